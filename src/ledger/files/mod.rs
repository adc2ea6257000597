//! The default store, for a single central: two files in one folder.

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

use std::mem;
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

/// The bets, in a form that any CSV reader understands.
pub const BETS: &str = "bets.csv";
/// Everything else: see the module `journal`.
pub const JOURNAL: &str = "journal";

/// Something that an operator should know, although no request has failed.
#[derive(Debug)]
pub enum Notice {
    /// How far a start is with checking the bets, if that takes a while.
    Checking { bytes: u64, of: u64 },
    /// The journal cannot be replaced by a snapshot. If this happens at a start, bets are refused until it can.
    NoSnapshot(String),
    /// The folder is on this network file system, whose locks and syncs may not be reliable.
    Network(&'static str),
}

pub type Tell = Box<dyn Fn(Notice) + Send + Sync>;

/// Sizes that tests make small, so that they reach every limit.
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
    /// They are recorded with the first bet or DONE.
    rules: Rules,
    /// What is on disk. It changes only while the writer is locked.
    register: RwLock<Register>,
    writer: Mutex<Writer>,
    /// Why everything is refused. The writer sets it, and it can be read without the writer's lock.
    broken: Arc<OnceLock<StorageError>>,
}

/// What one commit changes.
#[derive(Default)]
struct Change<'a> {
    rows: &'a [u8],
    done: &'a [AgencyId],
    draw: Option<u32>,
    is_announced: bool,
    rules: Option<Rules>,
}

impl Limits {
    /// The lengths of log and `bets.csv` from which the next snapshot is due, given the lengths now.
    fn due(&self, log: u64, rows: u64) -> (u64, u64) {
        (log + self.log_bytes, rows + self.rows_behind)
    }
}

impl Files {
    /// Opens the files of a folder and repairs what a crash can leave. Any other inconsistency is an error.
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
}

impl Store for Files {
    fn commit(&self, group: &[Entry]) -> Vec<Verdict> {
        let mut writer = self.writer.lock();
        let judged = Judged::new(group, &self.register.read(), mem::take(&mut writer.buffer));
        if judged.is_empty() {
            return judged.verdicts;
        }
        let Judged { rows, done, is_announced, .. } = &judged;
        let rules = self.register.read().rules().is_none().then_some(self.rules);
        let change = Change { rows, done, draw: None, is_announced: *is_announced, rules };
        let committed = writer.commit(&*self.folder, &self.register.read(), &change);
        if let Err(error) = committed {
            return judged.failed(group, &self.register.read(), &error);
        }
        let mut register = self.register.write();
        register.record_rules(self.rules);
        judged.accounts.iter().for_each(|(agency, account)| register.set_account(*agency, *account));
        if judged.is_announced {
            register.announce_draw();
        }
        writer.buffer = judged.rows;
        judged.verdicts
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
        writer.commit(&*self.folder, &self.register.read(), &change)?;
        self.register.write().hold_draw(number);
        Ok(Held::ByUs)
    }

    fn maintain(&self) -> Result<(), StorageError> {
        let Some(snapshot) = self.writer.lock().begin_checkpoint(&self.register.read()) else { return Ok(()) };
        // No lock is held here, so that a draw does not wait for this write.
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
