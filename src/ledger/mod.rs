//! The ledger: the bets and the lottery's phase, on disk. What it acknowledges survives any crash, whole, and once.
//!
//! The central asks it for five things: to take bets ([`Ledger::append`]), a DONE mark ([`Ledger::close_agency`]), the
//! draw ([`Ledger::hold_draw`]), an agency's account ([`Ledger::account`]) and its winners ([`Ledger::winners`]). The
//! first three only stand in line; [`Ledger::wait`] returns once they are on disk. Whoever waits first, or a thread of its
//! own ([`Ledger::write_until_closed`]), writes for everybody in line, so that one sync serves them all.
//!
//! It knows no protocol and no socket.

mod blocks;
mod disk;
mod journal;
mod recovery;
mod rows;
#[cfg(test)]
mod simulation;
mod winners;
mod writer;

use std::io;
use std::mem;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};

use crate::domain::{Account, AgencyId, Phase, Register, Roster, Rows};
use disk::{Folder, RealFolder};
use winners::Winners;
use writer::Writer;

pub use recovery::{OpenError, Recovered};
pub use winners::Page;

/// The bets, for any reader of CSV files.
pub const BETS: &str = "bets.csv";
/// The rest: see the module `journal`.
pub const JOURNAL: &str = "journal";

/// The most bytes of rows in one write. More wait for the next, which bounds the memory and an uncommitted tail.
const MAX_GROUP: usize = 2 * 1024 * 1024;

/// Rows that are written before anybody waits for them. A sync costs the processor too, so small groups do not pay.
const EARLY_GROUP: usize = 128 * 1024;

/// See the module.
pub struct Ledger {
    folder: Box<dyn Folder>,
    /// What is on disk.
    register: RwLock<Register>,
    /// What stands in line, and who writes.
    desk: Mutex<Desk>,
    /// Something was put in line, for [`Ledger::write_until_closed`].
    work: Condvar,
    /// A write has ended.
    turn: Condvar,
    writer: Mutex<Writer>,
    winners: OnceLock<Winners>,
}

/// Why bets were not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// The agency is done, or the draw was held.
    Closed,
    /// The batch starts behind the agency's next bet.
    Gap {
        stored: u64,
    },
    Storage(StorageError),
}

/// A write that did not come to the disk: nothing of it will be there, or the ledger takes no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageError(pub String);

/// A claim to something that stands in line, for [`Ledger::wait`].
#[must_use = "nothing is on disk before Ledger::wait returns"]
#[derive(Clone)]
pub struct Receipt {
    verdict: Verdict,
    /// How many of the bets were stored before, and so were not stored again.
    pub already: u64,
}

/// Set once for a whole group, when its write has succeeded or failed.
type Verdict = Arc<OnceLock<Result<(), StorageError>>>;

/// What one write brings to the disk.
#[derive(Default)]
struct Group {
    rows: Vec<u8>,
    added: Vec<(AgencyId, u64)>,
    done: Vec<AgencyId>,
    draw: Option<u32>,
    verdict: Verdict,
}

struct Desk {
    /// As it will be once everything in line is on disk.
    register: Register,
    group: Group,
    /// The group that is being written, if one is.
    writing: Option<Verdict>,
    /// An emptied buffer, for the next group.
    spare: Vec<u8>,
    /// Why nothing is taken any more.
    broken: Option<StorageError>,
}

impl Ledger {
    /// Opens the ledger in a folder, repairs what a crash can leave, and refuses anything else that does not add up.
    pub fn open(path: &Path, roster: Roster) -> Result<(Ledger, Recovered), OpenError> {
        let folder = RealFolder::open(path)
            .map_err(|error| OpenError::at(path, &format!("cannot make or open this folder: {error}")))?;
        Ledger::open_in(Box::new(folder), roster)
    }

    fn open_in(folder: Box<dyn Folder>, roster: Roster) -> Result<(Ledger, Recovered), OpenError> {
        let (writer, register, recovered) = recovery::open(&*folder, roster)?;
        let desk = Desk {
            register: register.clone(),
            group: Group::default(),
            writing: None,
            spare: Vec::new(),
            broken: None,
        };
        let ledger = Ledger {
            folder,
            register: RwLock::new(register),
            desk: Mutex::new(desk),
            work: Condvar::new(),
            turn: Condvar::new(),
            writer: Mutex::new(writer),
            winners: OnceLock::new(),
        };
        Ok((ledger, recovered))
    }

    /// Puts bets in line behind the agency's others. `first` is the place of the first of them in the agency's sequence:
    /// bets that are stored already, or in line already, are not stored again.
    pub fn append(&self, agency: AgencyId, first: Option<u64>, rows: &Rows) -> Result<Receipt, AppendError> {
        let mut desk = self.desk.lock();
        loop {
            desk.check().map_err(AppendError::Storage)?;
            let stored = desk.register.account(agency).stored;
            let already = match first {
                Some(first) if first > stored => return Err(AppendError::Gap { stored }),
                Some(first) => (stored - first).min(rows.count()),
                None => 0,
            };
            if already == rows.count() {
                return Ok(Receipt { verdict: desk.latest(), already });
            }
            if desk.register.is_closed(agency) {
                return Err(AppendError::Closed);
            }
            let new = rows.skip(already);
            if desk.group.rows.is_empty() || desk.group.rows.len() + new.len() <= MAX_GROUP {
                desk.group.rows.extend_from_slice(new);
                desk.group.added.push((agency, rows.count() - already));
                desk.register.add_bets(agency, rows.count() - already);
                if desk.group.rows.len() >= EARLY_GROUP {
                    self.work.notify_one();
                }
                return Ok(Receipt { verdict: Arc::clone(&desk.group.verdict), already });
            }
            // The line is full. Its own failure is not this batch's: what it means for it is judged anew.
            let verdict = Arc::clone(&desk.group.verdict);
            let _ = self.wait_for(&mut desk, &verdict);
        }
    }

    /// Puts an agency's DONE mark in line.
    pub fn close_agency(&self, agency: AgencyId) -> Result<Receipt, StorageError> {
        let mut desk = self.desk.lock();
        desk.check()?;
        if desk.register.account(agency).done {
            return Ok(Receipt { verdict: desk.latest(), already: 0 });
        }
        desk.register.mark_done(agency);
        desk.group.done.push(agency);
        Ok(Receipt { verdict: Arc::clone(&desk.group.verdict), already: 0 })
    }

    /// Notes that an agency was heard of, which may make an inferred roster larger; true when it is new. It is not kept
    /// on disk: an agency that matters has bets or a DONE mark.
    pub fn see(&self, agency: AgencyId) -> bool {
        self.desk.lock().register.see(agency);
        self.register.write().see(agency)
    }

    /// Returns once what the receipt stands for is on disk, or never will be.
    pub fn wait(&self, receipt: &Receipt) -> Result<(), StorageError> {
        match receipt.verdict.get() {
            Some(verdict) => verdict.clone(),
            None => self.wait_for(&mut self.desk.lock(), &receipt.verdict),
        }
    }

    /// Whether [`Ledger::wait`] would return at once.
    pub fn is_settled(&self, receipt: &Receipt) -> bool {
        receipt.verdict.get().is_some()
    }

    /// Writes what is in line whenever it is worth a write of its own, until the ledger is closed. It is no more than those
    /// who wait do themselves; with a thread for it, more can be put in line while the disk is busy.
    pub fn write_until_closed(&self) {
        let mut desk = self.desk.lock();
        while desk.broken.is_none() {
            if desk.writing.is_some() {
                self.turn.wait(&mut desk);
            } else if desk.group.rows.len() < EARLY_GROUP {
                self.work.wait(&mut desk);
            } else {
                self.write_group(&mut desk);
            }
        }
    }

    /// Holds the draw, if it is due and was not held yet. Returns the drawn number if this call was the one that held it.
    /// Its winners are known after [`Ledger::find_winners`].
    pub fn hold_draw(&self, winning_number: u32) -> Result<Option<u32>, StorageError> {
        let mut desk = self.desk.lock();
        desk.check()?;
        if !desk.register.draw_is_due() {
            return Ok(None);
        }
        desk.register.hold_draw(winning_number);
        desk.group.draw = Some(winning_number);
        let verdict = Arc::clone(&desk.group.verdict);
        self.wait_for(&mut desk, &verdict)?;
        Ok(Some(winning_number))
    }

    /// Whether the draw is due, by what is on disk.
    pub fn draw_is_due(&self) -> bool {
        self.register.read().draw_is_due()
    }

    /// Whether the draw was held, by what is on disk.
    pub fn is_drawn(&self) -> bool {
        self.register.read().drawn().is_some()
    }

    /// Finds the winners of a draw that was held, now or before a restart, unless that is done.
    pub fn find_winners(&self) -> Result<(), StorageError> {
        let Some(winning_number) = self.register.read().drawn() else { return Ok(()) };
        if self.winners.get().is_none() {
            let (bets, length) = self.writer.lock().committed_bets();
            let found = Winners::find(&*self.folder, &*bets, length, winning_number);
            let found = found.map_err(|error| StorageError(format!("{BETS}: cannot find the winners: {error}")))?;
            // Of two that search at once, either finds the same.
            let _ = self.winners.set(found);
        }
        Ok(())
    }

    /// An agency's account on disk, and its phase.
    pub fn account(&self, agency: AgencyId) -> (Account, Phase) {
        let register = self.register.read();
        (register.account(agency), register.phase(agency))
    }

    /// A page of an agency's winners, or `None` before the draw.
    pub fn winners(&self, agency: AgencyId, from: u64, max_bytes: usize) -> io::Result<Option<Page>> {
        self.winners.get().map(|winners| winners.page(agency, from, max_bytes)).transpose()
    }

    /// Winners in all, or `None` before the draw.
    pub fn total_winners(&self) -> Option<u64> {
        self.winners.get().map(Winners::total)
    }

    /// Why nothing is taken any more, if the disk has failed in a way that leaves no certainty.
    pub fn failure(&self) -> Option<StorageError> {
        self.desk.lock().broken.clone()
    }

    /// Writes what is in line and marks the files as closed in order.
    pub fn close(&self) -> Result<(), StorageError> {
        let mut desk = self.desk.lock();
        let latest = desk.latest();
        self.wait_for(&mut desk, &latest)?;
        desk.check()?;
        desk.broken = Some(StorageError("storage: the ledger is closed".to_owned()));
        self.work.notify_all();
        let mut writer = self.writer.lock();
        writer.checkpoint(&*self.folder, &self.register.read(), false).map_err(|error| StorageError(error.to_string()))
    }

    /// Waits for a verdict. Whoever finds nobody writing writes all that is in line.
    fn wait_for(&self, desk: &mut MutexGuard<'_, Desk>, verdict: &Verdict) -> Result<(), StorageError> {
        loop {
            if let Some(verdict) = verdict.get() {
                return verdict.clone();
            }
            if desk.writing.is_some() {
                self.turn.wait(desk);
            } else {
                self.write_group(desk);
            }
        }
    }

    fn write_group(&self, desk: &mut MutexGuard<'_, Desk>) {
        let empty = Group { rows: mem::take(&mut desk.spare), ..Group::default() };
        let mut group = mem::replace(&mut desk.group, empty);
        desk.writing = Some(Arc::clone(&group.verdict));
        let result = MutexGuard::unlocked(desk, || self.commit(&group));
        desk.writing = None;
        if let Err(error) = &result {
            // Whatever came into line meanwhile counts on what was lost, so it is lost too.
            let behind = mem::take(&mut desk.group);
            let _ = behind.verdict.set(Err(StorageError(error.to_string())));
            desk.register = self.register.read().clone();
            if error.is_final() {
                desk.broken = Some(StorageError(error.to_string()));
                self.work.notify_all();
            }
        }
        let _ = group.verdict.set(result.map_err(|error| StorageError(error.to_string())));
        group.rows.clear();
        desk.spare = group.rows;
        self.turn.notify_all();
    }

    fn commit(&self, group: &Group) -> Result<(), writer::Failure> {
        let mut writer = self.writer.lock();
        writer.commit(group)?;
        let mut register = self.register.write();
        group.added.iter().for_each(|(agency, bets)| register.add_bets(*agency, *bets));
        group.done.iter().for_each(|agency| register.mark_done(*agency));
        group.draw.into_iter().for_each(|winning_number| register.hold_draw(winning_number));
        if writer.wants_checkpoint() {
            writer.checkpoint(&*self.folder, &register, true).or_else(|failure| {
                // The group itself is on disk. Without a new snapshot the old journal serves on.
                if failure.is_final() { Err(failure) } else { Ok(()) }
            })?;
        }
        Ok(())
    }
}

impl Group {
    fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.done.is_empty() && self.draw.is_none()
    }
}

impl Desk {
    fn check(&self) -> Result<(), StorageError> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    /// The verdict that, once it is good, means that all that was put in line so far is on disk.
    fn latest(&self) -> Verdict {
        if !self.group.is_empty() {
            return Arc::clone(&self.group.verdict);
        }
        self.writing.clone().unwrap_or_else(|| Arc::new(OnceLock::from(Ok(()))))
    }
}
