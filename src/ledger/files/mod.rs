//! The default store, for a single central: two files in one folder.

mod backup;
#[cfg(test)]
mod backup_simulation;
mod blocks;
#[cfg(test)]
mod checkpoint_tests;
mod close;
#[cfg(test)]
mod close_tests;
mod disk;
mod failure;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod journal;
#[cfg(test)]
mod journal_tests;
mod limits;
mod log;
#[cfg(test)]
mod lottery_testing;
mod open_error;
mod packed;
mod papers;
mod record;
mod recovery;
mod replay;
#[cfg(test)]
mod riding_tests;
mod rows;
mod sectors;
// Fuzzers need no failing disk.
#[cfg(any(test, fuzzing))]
#[cfg_attr(fuzzing, allow(dead_code))]
mod simulated_disk;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod start_tests;
mod unsynced;
mod writer;

use std::mem;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};

use super::find::WinnerFinder;
use super::judge::Judged;
use super::winners::Winners;
use super::{DrawOrder, Entry, Held, Histogram, IsStopping, Sign, State, StorageError, Store, Verdict};
use crate::domain::acta::{Acta, Signed, StoreSecrets};
use crate::domain::seal::Declared;
use crate::domain::{Account, AgencyId, Register, Rules, SaidRules, SealStep, Status};
use disk::{Folder, RealFolder};
use limits::{LIMITS, Limits};
use record::Extent;
use rows::for_each_chunk;
use writer::Writer;

pub use backup::{BackupError, Copied, back_up};
pub use disk::write_private;
pub use open_error::OpenError;
pub(super) use papers::{SignedLine, new_secrets};
pub use recovery::{Recovered, recover};

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
    syncs: Arc<Histogram>,
}

/// What one commit changes.
#[derive(Default)]
struct Change<'a> {
    rows: &'a [u8],
    done: &'a [(AgencyId, Status)],
    signed: &'a [(AgencyId, Declared, Signed)],
    seal: Option<Extent>,
    is_seal_announced: bool,
    draw: Option<(u32, Extent)>,
    is_announced: bool,
    rules: Option<Rules>,
}

impl Files {
    /// Opens the files of a folder and repairs what a crash can leave. Any other inconsistency is an error.
    pub fn open(path: &Path, said: SaidRules, tell: Tell) -> Result<(Files, Recovered), OpenError> {
        let folder = RealFolder::open(path).map_err(|error| {
            OpenError::at(path, &format!("cannot make or open this folder: {}", open_error::explain(&error)))
        })?;
        if let Some(name) = folder.network() {
            tell(Notice::Network(name));
        }
        Files::open_in(Box::new(folder), said, LIMITS, tell)
    }

    fn open_in(
        folder: Box<dyn Folder>,
        said: SaidRules,
        limits: Limits,
        tell: Tell,
    ) -> Result<(Files, Recovered), OpenError> {
        let (writer, register, rules, recovered) = recovery::open(&*folder, said, limits, tell)?;
        let (broken, syncs) = (Arc::clone(&writer.broken), Arc::clone(&writer.syncs));
        let (register, writer) = (RwLock::new(register), Mutex::new(writer));
        Ok((Files { folder, rules, register, writer, broken, syncs }, recovered))
    }

    /// How long the syncs take that verdicts wait for.
    pub fn syncs(&self) -> Arc<Histogram> {
        Arc::clone(&self.syncs)
    }
}

impl Store for Files {
    fn commit(&self, group: &[Entry]) -> Vec<Verdict> {
        let mut writer = self.writer.lock();
        let judged = Judged::new(group, &self.register.read(), mem::take(&mut writer.buffer));
        if judged.is_empty() {
            return judged.verdicts;
        }
        let Judged { rows, done, signed, is_seal_announced, is_announced, .. } = &judged;
        let rules = self.register.read().rules().is_none().then_some(self.rules);
        let (is_seal_announced, is_announced) = (*is_seal_announced, *is_announced);
        let change = Change { rows, done, signed, is_seal_announced, is_announced, rules, ..Change::default() };
        let committed = writer.commit(&*self.folder, &self.register.read(), &change);
        if let Err(error) = committed {
            return judged.failed(group, &self.register.read(), &error);
        }
        let mut register = self.register.write();
        register.record_rules(self.rules);
        judged.accounts.iter().for_each(|(agency, account)| register.set_account(*agency, *account));
        if judged.is_seal_announced {
            register.advance_seal(SealStep::Announced);
        }
        if judged.is_announced {
            register.announce_draw();
        }
        writer.buffer = judged.rows;
        judged.verdicts
    }

    fn secrets(&self) -> Option<StoreSecrets> {
        self.writer.lock().papers.lasting_secrets().cloned()
    }

    fn weigh(&self, agencies: &[AgencyId], is_stopping: IsStopping<'_>) -> Result<(), StorageError> {
        self.weigh_all(agencies.iter().copied(), is_stopping)
    }

    fn seal(&self, agencies: u32, sign: Sign<'_>, is_stopping: IsStopping<'_>) -> Result<Held, StorageError> {
        self.close_betting(agencies, sign, is_stopping)
    }

    fn acta(&self) -> Option<Arc<Acta>> {
        self.writer.lock().papers.acta.clone()
    }

    fn hold_draw(&self, order: &DrawOrder, winners: &Winners) -> Result<Held, StorageError> {
        self.record_draw(order, winners)
    }

    fn is_maintenance_due(&self) -> bool {
        self.writer.lock().is_maintenance_due()
    }

    fn maintain(&self) -> Result<(), StorageError> {
        let snapshot = self.writer.lock().begin_checkpoint(&self.register.read());
        let Some(snapshot) = snapshot else { return self.writer.lock().prepare() };
        // No lock is held here, so that a draw does not wait for this write.
        let written = snapshot.write(&*self.folder);
        self.writer.lock().end_checkpoint(&*self.folder, snapshot, written)
    }

    fn state(&self) -> State {
        let register = self.register.read();
        State {
            done: register.done(),
            highest: register.highest(),
            bets: register.bets(),
            seal: register.seal(),
            draw: register.draw(),
            broken: self.broken.get().cloned(),
        }
    }

    fn accounts(&self) -> Vec<(AgencyId, Account)> {
        self.register.read().accounts().collect()
    }

    fn missing(&self, agencies: u32, most: usize) -> Vec<AgencyId> {
        self.register.read().missing(agencies).take(most).collect()
    }

    fn rules(&self) -> Rules {
        self.rules
    }

    fn winners(&self, number: u32) -> Result<Winners, StorageError> {
        let (bets, length) = self.writer.lock().committed_bets();
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

#[cfg(test)]
mod tests {
    use super::simulated_disk::SimFolder;
    use super::*;
    use crate::domain::{Bet, Draw, Roster, Rows, WinningNumber};

    const SAID: SaidRules = SaidRules { roster: Some(Roster::Fixed(2)), winning_number: Some(WinningNumber::Known(7)) };

    fn open(path: &Path) -> (Files, Recovered) {
        Files::open(path, SAID, Box::new(|_| ())).unwrap()
    }

    fn done(agency: u32) -> Entry {
        Entry::Done { agency: AgencyId(agency), declaration: None }
    }

    #[test]
    fn a_lottery_is_held_in_a_real_folder_and_is_there_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let (files, recovered) = open(folder.path());
        assert_eq!(recovered, Recovered::default());
        assert_eq!(files.rules(), Rules { roster: Roster::Fixed(2), winning_number: WinningNumber::Known(7) });
        let seal = |files: &Files, agencies| files.seal(agencies, &|_| Ok(None), &|| false);
        let hold_draw = |files: &Files| {
            let winners = files.winners(7)?;
            files.hold_draw(&DrawOrder { number: 7, signed: None }, &winners)
        };
        assert_eq!(seal(&files, 0), Ok(Held::NotDue), "there is no lottery without agencies");
        let mut rows = Rows::new(AgencyId(2));
        for (document, number) in [("11", "7"), ("12", "8"), ("13", "7")] {
            rows.push(&Bet::new(["Ana", "Paz", document, "2000-01-01", number]).unwrap());
        }
        let group = [Entry::Bets { agency: AgencyId(2), place: None, rows }, done(2)];
        assert_eq!(files.commit(&group), [Verdict::Stored { already: 0 }, Verdict::Marked]);
        assert_eq!((files.missing(2, 5), files.missing(9, 3).len()), (vec![AgencyId(1)], 3));
        assert_eq!((seal(&files, 2), hold_draw(&files)), (Ok(Held::NotDue), Ok(Held::NotDue)));
        assert_eq!(files.commit(&[done(1)]), [Verdict::Marked]);
        assert_eq!(hold_draw(&files), Ok(Held::NotDue), "there is no draw without a seal");
        assert_eq!((seal(&files, 2), seal(&files, 2)), (Ok(Held::ByUs), Ok(Held::Before)));
        assert_eq!((hold_draw(&files), hold_draw(&files)), (Ok(Held::ByUs), Ok(Held::Before)));
        let acta = files.acta().unwrap();
        let lines: Vec<_> = acta.agencies.iter().map(|line| (line.bets, line.status, line.winners)).collect();
        assert_eq!(lines, [(0, Status::Undeclared, Some(0)), (3, Status::Undeclared, Some(2))]);
        let secrets = files.secrets().unwrap();
        assert_eq!(secrets.lottery, acta.lottery);
        let draw = Draw::Held { number: 7, is_announced: false };
        let state = State { done: 2, highest: 2, bets: 3, seal: SealStep::Sealed, draw, broken: None };
        assert_eq!(files.state(), state);
        let page = files.winners(7).unwrap().page(AgencyId(2), 0, 100).unwrap();
        assert_eq!((page.documents.as_str(), page.total), ("11,13", 2));
        files.close().unwrap();
        assert!(matches!(files.commit(&[Entry::Announced])[..], [Verdict::Failed(_)]), "it is closed");
        drop(files);
        let (files, recovered) = open(folder.path());
        assert_eq!(recovered, Recovered { bets: 3, is_sealed: true, drawn: Some(7), ..Recovered::default() });
        assert_eq!((files.state(), files.acta(), files.secrets()), (state, Some(acta), Some(secrets)));
    }

    /// How the error of a start reads that is refused, and whether the files are said to be sound.
    fn refused(path: &Path, said: SaidRules) -> (String, bool) {
        let error = Files::open(path, said, Box::new(|_| ())).err().unwrap();
        (error.to_string(), error.is_misconfigured)
    }

    #[test]
    fn files_that_do_not_fit_are_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (bets, journal) = (folder.path().join(BETS), folder.path().join(JOURNAL));
        drop(open(folder.path()));
        std::fs::remove_file(&bets).unwrap();
        let (files, _) = open(folder.path());
        let mut rows = Rows::new(AgencyId(1));
        rows.push(&Bet::new(["Ana", "Paz", "1", "2000-01-01", "7"]).unwrap());
        let entry = Entry::Bets { agency: AgencyId(1), place: None, rows };
        assert_eq!(files.commit(&[entry]), [Verdict::Stored { already: 0 }]);
        files.close().unwrap();
        drop(files);

        let (message, is_misconfigured) =
            refused(folder.path(), SaidRules { winning_number: Some(WinningNumber::Known(8)), ..SAID });
        assert!(message.contains("--winning-number 7") && is_misconfigured, "{message}");
        let sound = std::fs::read(&journal).unwrap();
        std::fs::OpenOptions::new().write(true).open(&journal).unwrap().set_len(268_435_457).unwrap();
        let (message, is_misconfigured) = refused(folder.path(), SAID);
        assert!(message.contains("byte 268435456: ") && !is_misconfigured, "{message}");
        std::fs::write(&journal, sound).unwrap();
        let row = std::fs::read(&bets).unwrap();
        for (bytes, words) in [
            ([&row[1..], b"\n"].concat(), "byte 0: damaged"),
            (row[1..].to_vec(), "ends at byte"),
            ([&row[..], &row].concat(), "bytes follow"),
        ] {
            std::fs::write(&bets, bytes).unwrap();
            let (message, is_misconfigured) = refused(folder.path(), SAID);
            assert!(message.contains(words) && !is_misconfigured, "{message}");
        }
        std::fs::remove_file(&bets).unwrap();
        let (message, is_misconfigured) = refused(folder.path(), SAID);
        assert!(message.contains("missing") && !is_misconfigured && !bets.exists(), "{message}");
    }

    #[test]
    fn a_long_log_makes_a_snapshot_due_and_so_do_many_rows() {
        let agencies_in_snapshot = |limits: Limits, rows_of_each: u32| {
            let folder = SimFolder::new(fastrand::Rng::with_seed(1));
            let (files, _) = Files::open_in(Box::new(folder.clone()), SAID, limits, Box::new(|_| ())).unwrap();
            for agency in (1..=12).map(AgencyId) {
                let mut rows = Rows::new(agency);
                (0..rows_of_each).for_each(|_| rows.push(&Bet::new(["A", "B", "1", "2000-01-01", "7"]).unwrap()));
                files.commit(&[Entry::Bets { agency, place: None, rows }, Entry::Done { agency, declaration: None }]);
                files.maintain().unwrap();
            }
            let journal = journal::read(&folder.bytes(JOURNAL)).unwrap();
            journal.snapshot.iter().filter(|record| matches!(record, record::Record::Agency { .. })).count()
        };
        let never = Limits { block: 256, blocks: 3, growth: 512, log_bytes: 1 << 40, rows_behind: 1 << 40, ..LIMITS };
        assert_eq!(agencies_in_snapshot(never, 3), 0);
        assert_ne!(agencies_in_snapshot(Limits { log_bytes: 640, ..never }, 3), 0);
        assert_ne!(agencies_in_snapshot(Limits { rows_behind: 640, ..never }, 3), 0);
        assert_eq!(agencies_in_snapshot(Limits { rows_behind: 640, ..never }, 0), 0);
    }

    #[test]
    fn a_commit_behind_a_lost_one_is_damage() {
        let folder = SimFolder::new(fastrand::Rng::with_seed(1));
        let limits = Limits { block: 256, blocks: 3, growth: 512, log_bytes: 1 << 40, rows_behind: 1 << 40, ..LIMITS };
        let (files, _) = Files::open_in(Box::new(folder.clone()), SAID, limits, Box::new(|_| ())).unwrap();
        // The log's first commit is on disk before the first one that is asked for.
        for (agency, lost) in [(1, ":inuse"), (2, ":done:1:")] {
            files.commit(&[done(agency)]);
            let mut bytes = folder.bytes(JOURNAL);
            let sectors = bytes.chunks_mut(sectors::SECTOR);
            let holds = |sector: &[u8]| String::from_utf8_lossy(sector).contains(lost);
            let mut found: Vec<&mut [u8]> = sectors.filter(|sector| holds(sector)).collect();
            assert_eq!(found.len(), 1, "{lost}");
            found.iter_mut().for_each(|sector| sector.fill(0));
            assert!(journal::read(&bytes).is_err(), "{lost}");
        }
    }
}
