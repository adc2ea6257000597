//! The ledger's default: two files of a folder, for one central.

mod blocks;
#[cfg(test)]
mod checkpoint_tests;
mod disk;
mod journal;
mod recovery;
mod rows;
#[cfg(test)]
mod simulated_disk;
#[cfg(test)]
mod simulation;
mod writer;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};

use super::judge::Judged;
use super::winners::Winners;
use super::{Entry, Held, State, StorageError, Store, Verdict};
use crate::domain::{AgencyId, Draw, Register, Rules, SaidRules};
use blocks::{BLOCK, MAX_BLOCKS};
use disk::{Folder, RealFolder};
use journal::GROWTH;
use rows::{WinnerFinder, for_each_chunk};
use writer::{MAX_LOG_BYTES, MAX_ROWS_BEHIND, Writer};

pub use recovery::{OpenError, Recovered};

/// The bets, for any reader of CSV files.
pub const BETS: &str = "bets.csv";
/// The rest: see the module `journal`.
pub const JOURNAL: &str = "journal";

/// What a person should know, though no request has failed.
#[derive(Debug)]
pub enum Notice {
    /// A start has checked so many bytes of the bets, and takes a while.
    Checking { bytes: u64, of: u64 },
    /// The journal cannot be replaced by a snapshot. After a start, nothing is stored until it can.
    NoSnapshot(String),
    /// The folder is on this network file system: locks and syncs may not do there what the ledger rests on.
    Network(&'static str),
}

pub type Tell = Box<dyn Fn(Notice) + Send + Sync>;

/// Sizes that tests make small, to reach what lies beyond them.
#[derive(Clone, Copy)]
struct Limits {
    block: u64,
    blocks: usize,
    growth: u64,
    log_bytes: u64,
    rows_behind: u64,
}

/// See the module.
pub struct Files {
    folder: Box<dyn Folder>,
    /// Recorded with the first bet or DONE.
    rules: Rules,
    /// What is on disk. Only who holds the writer changes it.
    register: RwLock<Register>,
    writer: Mutex<Writer>,
    /// Why nothing is taken any more. The writer sets it; it is read without the writer's lock.
    broken: Arc<OnceLock<StorageError>>,
}

/// What one write brings to the disk.
#[derive(Default)]
struct Change<'a> {
    rows: &'a [u8],
    done: &'a [AgencyId],
    draw: Option<u32>,
    is_announced: bool,
    rules: Option<Rules>,
}

impl Limits {
    /// When a snapshot is due again after one at these ends of log and rows.
    fn due(&self, log: u64, rows: u64) -> (u64, u64) {
        (log + self.log_bytes, rows + self.rows_behind)
    }
}

impl Files {
    /// Opens the files of a folder, repairs what a crash can leave, and refuses anything else that does not add up.
    pub fn open(path: &Path, said: SaidRules, tell: Tell) -> Result<(Files, Recovered), OpenError> {
        let folder = RealFolder::open(path).map_err(|error| {
            OpenError::at(path, &format!("cannot make or open this folder: {}", recovery::explain(&error)))
        })?;
        if let Some(name) = folder.network() {
            tell(Notice::Network(name));
        }
        let limits = Limits {
            block: BLOCK,
            blocks: MAX_BLOCKS,
            growth: GROWTH,
            log_bytes: MAX_LOG_BYTES,
            rows_behind: MAX_ROWS_BEHIND,
        };
        Files::open_in(Box::new(folder), said, limits, tell)
    }

    fn open_in(
        folder: Box<dyn Folder>,
        said: SaidRules,
        limits: Limits,
        tell: Tell,
    ) -> Result<(Files, Recovered), OpenError> {
        let (writer, register, rules, recovered) = recovery::open(&*folder, said, limits, tell)?;
        let (register, broken, writer) = (RwLock::new(register), writer.broken.clone(), Mutex::new(writer));
        Ok((Files { folder, rules, register, writer, broken }, recovered))
    }

    /// Brings a change to the disk, and then to the register by `apply`.
    fn write(
        &self,
        writer: &mut Writer,
        change: &Change<'_>,
        apply: impl FnOnce(&mut Register),
    ) -> Result<(), StorageError> {
        writer.commit(&*self.folder, &self.register.read(), change)?;
        apply(&mut self.register.write());
        Ok(())
    }
}

impl Store for Files {
    fn commit(&self, group: &[Entry]) -> Vec<Verdict> {
        let mut writer = self.writer.lock();
        let judged = Judged::new(group, &self.register.read(), writer.take_buffer());
        if judged.is_empty() {
            return judged.verdicts;
        }
        let Judged { rows, done, is_announced, .. } = &judged;
        let rules = self.register.read().rules().is_none().then_some(self.rules);
        let change = Change { rows, done, draw: None, is_announced: *is_announced, rules };
        let written = self.write(&mut writer, &change, |register| {
            register.record_rules(self.rules);
            judged.accounts.iter().for_each(|(agency, account)| register.set_account(*agency, *account));
            if judged.is_announced {
                register.announce_draw();
            }
        });
        match written {
            Ok(()) => {
                writer.keep_buffer(judged.rows);
                judged.verdicts
            }
            Err(error) => judged.failed(group, &self.register.read(), &error),
        }
    }

    fn hold_draw(&self, agencies: u32) -> Result<Held, StorageError> {
        let number = self.rules.winning_number;
        let mut writer = self.writer.lock();
        let State { done, draw, .. } = self.state();
        if draw != Draw::Open {
            return Ok(Held::Before);
        }
        if agencies == 0 || done != agencies {
            return Ok(Held::NotDue);
        }
        let change = Change { draw: Some(number), ..Change::default() };
        self.write(&mut writer, &change, |register| register.hold_draw(number))?;
        Ok(Held::ByUs)
    }

    fn maintain(&self) -> Result<(), StorageError> {
        let Some(snapshot) = self.writer.lock().begin_checkpoint(&self.register.read()) else { return Ok(()) };
        // Neither lock is held here, so that a draw does not wait for this write.
        let written = snapshot.write(&*self.folder);
        self.writer.lock().end_checkpoint(&*self.folder, snapshot, written)
    }

    fn state(&self) -> State {
        let register = self.register.read();
        State {
            done: register.done(),
            highest: register.highest(),
            draw: register.draw(),
            broken: self.broken.get().cloned(),
        }
    }

    fn missing(&self, agencies: u32, most: usize) -> Vec<AgencyId> {
        self.register.read().missing(agencies).take(most).collect()
    }

    fn rules(&self) -> Rules {
        self.rules
    }

    fn winners(&self) -> Result<Winners, StorageError> {
        let (bets, length) = self.writer.lock().committed_bets();
        let Draw::Held { number, .. } = self.register.read().draw() else {
            return Err(StorageError("the draw was not held".to_owned()));
        };
        let finder = WinnerFinder::new(number);
        let found = Winners::collect(
            || self.folder.scratch(Winners::IN_MEMORY),
            |found| {
                for_each_chunk(&*bets, 0, length, |rows| {
                    finder.winners(rows).try_for_each(|(agency, document)| found.add(agency, document))
                })
            },
        );
        found.map_err(|error| StorageError(format!("{BETS}: cannot find the winners: {error}")))
    }

    fn close(&self) -> Result<(), StorageError> {
        self.writer.lock().close(&*self.folder, &self.register.read())
    }
}
