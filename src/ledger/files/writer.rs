//! The one who writes. First the rows and a sync, then the journal's records and a sync: a record that is whole on disk
//! therefore vouches for rows that are, and rows that none vouches for were never acknowledged.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::blocks::{Checksums, Mark};
use super::disk::{Folder, Medium, ReplaceError, replace};
use super::journal::{self, MAX_JOURNAL, RECORD, Record};
use super::{BETS, Change, JOURNAL, Limits, Notice, StorageError, Tell};
use crate::domain::{Draw, Register};

/// A log of this size, or so many rows behind the snapshot, is worth a new snapshot: it bounds what a start after a crash
/// has to replay.
pub const MAX_LOG_BYTES: u64 = 1024 * 1024;
pub const MAX_ROWS_BEHIND: u64 = 64 * 1024 * 1024;

/// The group of the log's first record, which says that the files are in use.
const FIRST_GROUP: u64 = 1;

/// The open files, and how far they are written.
pub struct Writer {
    limits: Limits,
    bets: Arc<dyn Medium>,
    checksums: Checksums,
    /// None until a snapshot could be written. The journal on disk is the one that the start has read, as it was.
    log: Option<Log>,
    tell: Tell,
    is_told: bool,
    /// An emptied buffer for the rows of the next group.
    buffer: Vec<u8>,
    /// Why nothing is taken any more.
    broken: Option<StorageError>,
}

/// A journal that is written to.
struct Log {
    file: Box<dyn Medium>,
    /// Where the next record goes, the file's length, and the number of the last commit.
    end: u64,
    length: u64,
    group: u64,
    /// The ends of log and rows from which a new snapshot is due.
    due: (u64, u64),
}

/// A write that failed, and what to tell of it.
#[derive(Debug)]
pub enum Failure {
    /// Nothing of it is left, and the next may succeed.
    Undone(String),
    /// Nobody can tell what a crash would leave now.
    Final(String),
}

impl Writer {
    /// Takes over the files with a fresh snapshot of the register. When there is no space for one, nothing can be written
    /// until there is, and everything can be read.
    pub fn start(
        folder: &dyn Folder,
        bets: Box<dyn Medium>,
        checksums: Checksums,
        register: &Register,
        limits: Limits,
        tell: Tell,
    ) -> Result<Writer, Failure> {
        let (log, buffer, broken) = (None, Vec::new(), None);
        let mut writer = Writer { limits, bets: Arc::from(bets), checksums, log, tell, is_told: false, buffer, broken };
        writer.checkpoint_or_go_on(folder, register)?;
        if writer.log.is_none() {
            renew_journal(folder).map_err(|error| fatal(JOURNAL, "write again", error))?;
        }
        Ok(writer)
    }

    /// Brings a change to the disk. `register` is what is there before it.
    pub fn commit(
        &mut self,
        folder: &dyn Folder,
        register: &Register,
        change: &Change<'_>,
    ) -> Result<(), StorageError> {
        self.check()?;
        let mut log = match self.log.take() {
            Some(log) => log,
            None => self.snapshot(folder, register, true).map_err(|failure| self.note(failure))?,
        };
        let before = self.checksums.mark();
        let result = self.try_commit(&mut log, change, &before);
        self.log = Some(log);
        if result.is_err() {
            self.checksums.reset(before);
        }
        result.map_err(|failure| self.note(failure))
    }

    /// Why nothing is taken any more, if nobody can tell what the disk holds.
    pub fn failure(&self) -> Option<&StorageError> {
        self.broken.as_ref()
    }

    pub fn take_buffer(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    /// Takes a buffer back that [`Writer::take_buffer`] gave.
    pub fn keep_buffer(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.buffer = buffer;
    }

    fn check(&self) -> Result<(), StorageError> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    fn note(&mut self, failure: Failure) -> StorageError {
        match failure {
            Failure::Undone(message) => StorageError(message),
            Failure::Final(message) => {
                let error = StorageError(message);
                self.broken = Some(error.clone());
                error
            }
        }
    }

    fn try_commit(&mut self, log: &mut Log, change: &Change<'_>, before: &Mark) -> Result<(), Failure> {
        if !change.rows.is_empty() {
            self.checksums.update(change.rows);
            self.bets
                .write_all_at(change.rows, before.length)
                .map_err(|error| self.undo(before.length, undone(BETS, "write", error)))?;
            self.bets.sync().map_err(|error| fatal(BETS, "sync", error))?;
        }
        let records = self.records_of(log, change, before.whole);
        let room = log.make_room(records.len() as u64, self.limits.growth);
        room.map_err(|failure| self.undo(before.length, failure))?;
        // The space is there already, so a failure here is the disk's own, and part of the records may stand.
        log.file.write_all_at(&records, log.end).map_err(|error| fatal(JOURNAL, "write", error))?;
        log.file.sync().map_err(|error| fatal(JOURNAL, "sync", error))?;
        log.end += records.len() as u64;
        log.group += 1;
        Ok(())
    }

    fn records_of(&self, log: &Log, change: &Change<'_>, old_blocks: usize) -> Vec<u8> {
        let mut records = Vec::new();
        let mut push = |entry| journal::push(&mut records, log.end / RECORD as u64, log.group + 1, &entry);
        change.rules.into_iter().for_each(|rules| push(Record::Rules(rules)));
        if !change.rows.is_empty() {
            new_blocks(&self.checksums, old_blocks).for_each(&mut push);
            push(Record::Bets { length: self.checksums.length(), crc: self.checksums.last() });
        }
        change.done.iter().for_each(|agency| push(Record::Done { agency: *agency }));
        change.draw.into_iter().for_each(|number| push(Record::Draw { number }));
        if change.is_announced {
            push(Record::Announced);
        }
        records
    }

    /// Takes back rows that no record vouches for, so that `bets.csv` stays readable to its end. The cut is synced: a clean
    /// stop's snapshot says that nothing follows the committed rows, and a power loss could bring unsynced ones back.
    fn undo(&self, length: u64, failure: Failure) -> Failure {
        let cut = || {
            self.bets.set_len(length).map_err(|error| fatal(BETS, "shorten", error))?;
            self.bets.sync().map_err(|error| fatal(BETS, "sync", error))
        };
        match failure {
            Failure::Undone(_) => cut().err().unwrap_or(failure),
            Failure::Final(_) => failure,
        }
    }

    /// Replaces the journal by a snapshot, if that is due. One that cannot be made is no harm while the old journal serves
    /// on, and is tried again when as much was written once more.
    pub fn checkpoint_if_due(&mut self, folder: &dyn Folder, register: &Register) -> Result<(), StorageError> {
        let is_due = |log: &Log| log.end >= log.due.0 || self.checksums.length() >= log.due.1;
        if self.log.as_ref().is_some_and(is_due) {
            self.checkpoint_or_go_on(folder, register).map_err(|failure| self.note(failure))?;
        }
        Ok(())
    }

    fn checkpoint_or_go_on(&mut self, folder: &dyn Folder, register: &Register) -> Result<(), Failure> {
        match self.snapshot(folder, register, true) {
            Ok(log) => self.log = Some(log),
            Err(Failure::Undone(reason)) => {
                if !std::mem::replace(&mut self.is_told, true) {
                    (self.tell)(Notice::NoSnapshot(reason));
                }
                if let Some(log) = &mut self.log {
                    log.due = self.limits.due(log.end, self.checksums.length());
                }
            }
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    /// Marks the files as closed in order.
    pub fn close(&mut self, folder: &dyn Folder, register: &Register) -> Result<(), StorageError> {
        self.check()?;
        self.snapshot(folder, register, false).map_err(|failure| self.note(failure))?;
        self.broken = Some(StorageError("the ledger is closed".to_owned()));
        Ok(())
    }

    /// Puts a snapshot in the journal's place.
    fn snapshot(&mut self, folder: &dyn Folder, register: &Register, in_use: bool) -> Result<Log, Failure> {
        let agencies = register.accounts().filter(|(_, account)| account.stored > 0 || account.done);
        let mut records: Vec<Record> = agencies.map(|(agency, account)| Record::Agency { agency, account }).collect();
        let mut checksums = self.checksums.clone();
        checksums.coarsen(self.limits.blocks);
        records.extend(new_blocks(&checksums, 0));
        records.push(Record::Bets { length: checksums.length(), crc: checksums.last() });
        records.extend(register.rules().map(Record::Rules));
        if let Draw::Held { number, is_announced } = register.draw() {
            records.push(Record::Draw { number });
            records.extend(is_announced.then_some(Record::Announced));
        }
        let mut bytes = journal::snapshot(&records, self.limits.growth);
        let mut end = (records.len() + 1) * RECORD;
        if in_use {
            let mut record = Vec::new();
            journal::push(&mut record, (end / RECORD) as u64, FIRST_GROUP, &Record::InUse);
            bytes[end..end + RECORD].copy_from_slice(&record);
            end += RECORD;
        }
        let file = replace(folder, JOURNAL, &bytes).map_err(|error| match error {
            ReplaceError::Before(error) => undone(JOURNAL, "replace", error),
            ReplaceError::Unknown(error) => fatal(JOURNAL, "replace", error),
        })?;
        // Not before: the blocks of a journal's log are as large as those of its snapshot.
        self.checksums = checksums;
        self.is_told = false;
        let (end, length) = (end as u64, bytes.len() as u64);
        Ok(Log { file, end, length, group: FIRST_GROUP, due: self.limits.due(end, self.checksums.length()) })
    }

    /// The file of the bets, and how much of it is committed.
    pub fn committed_bets(&self) -> (Arc<dyn Medium>, u64) {
        (Arc::clone(&self.bets), self.checksums.length())
    }
}

impl Log {
    /// Makes space for so many bytes of records and for the unused one behind them.
    fn make_room(&mut self, records: u64, growth: u64) -> Result<(), Failure> {
        let wanted = self.end + records + RECORD as u64;
        if wanted <= self.length {
            return Ok(());
        }
        let new_length = wanted.next_multiple_of(growth);
        let grow = || {
            if new_length > MAX_JOURNAL {
                return Err(io::Error::other("it is too long, and no snapshot could replace it"));
            }
            self.file.set_len(new_length)?;
            // Zeros that are really written take their space now, and make later syncs cheaper: they change no metadata.
            self.file.write_all_at(&vec![0; (new_length - self.length) as usize], self.length)
        };
        grow().map_err(|error| undone(JOURNAL, "extend", error))?;
        self.file.sync().map_err(|error| fatal(JOURNAL, "sync", error))?;
        self.length = new_length;
        Ok(())
    }
}

/// Writes the journal again in its place, which takes no space. What can be read of it need not be on the disk: a failed sync may
/// have lost it, and then no later sync brings it there.
fn renew_journal(folder: &dyn Folder) -> io::Result<()> {
    if !folder.exists(JOURNAL)? {
        return Ok(());
    }
    let journal = folder.open(JOURNAL)?;
    let mut bytes = vec![0; journal.len()? as usize];
    journal.read_exact_at(&mut bytes, 0)?;
    journal.write_all_at(&bytes, 0)?;
    journal.sync()
}

fn new_blocks(checksums: &Checksums, old: usize) -> impl Iterator<Item = Record> + '_ {
    checksums.whole().iter().enumerate().skip(old).map(|(index, crc)| Record::Block { index: index as u64, crc: *crc })
}

fn undone(file: &str, action: &str, error: io::Error) -> Failure {
    Failure::Undone(format!("{file}: cannot {action}: {error}"))
}

fn fatal(file: &str, action: &str, error: io::Error) -> Failure {
    Failure::Final(format!("{file}: cannot {action}: {error}; nothing more is taken"))
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Failure::Undone(message) | Failure::Final(message)) = self;
        formatter.write_str(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The most bytes of a journal that a start reads.
    const MOST: u64 = 268_435_456;

    #[test]
    fn a_log_grows_by_whole_steps_and_never_beyond_what_a_start_reads() {
        let log = |end| {
            // A file that is long and empty takes no space.
            let file = tempfile::tempfile().unwrap();
            file.set_len(MOST - 1024).unwrap();
            Log { file: Box::new(file), end, length: MOST - 1024, group: 1, due: (0, 0) }
        };
        let lengths = |log: &Log| (log.length, log.file.len().unwrap());
        for (end, grown) in [(MOST - 1152, 0), (MOST - 1088, 512), (MOST - 576, 1024), (MOST - 128, 1024)] {
            let mut log = log(end);
            log.make_room(64, 512).unwrap();
            assert_eq!(lengths(&log), (MOST - 1024 + grown, MOST - 1024 + grown), "{end}");
        }
        let mut log = log(MOST - 64);
        assert!(matches!(log.make_room(64, 512), Err(Failure::Undone(_))));
        assert_eq!(lengths(&log), (MOST - 1024, MOST - 1024));
    }

    #[test]
    fn a_failure_says_what_could_not_be_done() {
        let [undone, fatal] = [undone, fatal].map(|failure| failure(BETS, "sync", io::Error::other("no")).to_string());
        assert_eq!(undone, "bets.csv: cannot sync: no");
        assert_eq!(fatal, "bets.csv: cannot sync: no; nothing more is taken");
    }
}
