//! The one who writes. First the rows and a sync, then the journal's records and a sync: a record that is whole on disk
//! therefore vouches for rows that are, and rows that none vouches for were never acknowledged.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use super::blocks::{Checksums, Mark};
use super::disk::{Folder, Medium, write_anew};
use super::journal::{self, MAX_JOURNAL, RECORD, Record};
use super::{BETS, Change, JOURNAL, Limits, Notice, StorageError, Tell};
use crate::domain::{Draw, Register};

/// A log of this size, or so many rows behind the snapshot, is worth a new snapshot: it bounds what a start after a crash
/// has to replay.
pub const MAX_LOG_BYTES: u64 = 1024 * 1024;
pub const MAX_ROWS_BEHIND: u64 = 64 * 1024 * 1024;

/// What the journal is called until it is whole and takes the place of the one before.
const NEW_JOURNAL: &str = "journal.new";

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
    pub broken: Arc<OnceLock<StorageError>>,
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

/// A journal that holds what is committed, as it will be written to [`NEW_JOURNAL`].
pub struct Snapshot {
    bytes: Vec<u8>,
    /// Where the first record of its log goes.
    end: u64,
    checksums: Checksums,
    /// Where the log ended that it takes the place of.
    old_end: Option<u64>,
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
        let (log, buffer, broken) = (None, Vec::new(), Arc::default());
        let mut writer = Writer { limits, bets: Arc::from(bets), checksums, log, tell, is_told: false, buffer, broken };
        match writer.replace_journal(folder, register, true) {
            Ok(log) => writer.log = Some(log),
            Err(Failure::Undone(reason)) => {
                writer.tell_of_no_snapshot(reason);
                renew_journal(folder).map_err(|error| fatal(JOURNAL, "write again", error))?;
            }
            Err(failure) => return Err(failure),
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
            None => self.replace_journal(folder, register, true).map_err(|failure| self.note(failure))?,
        };
        let before = self.checksums.mark();
        let result = self.try_commit(&mut log, change, &before);
        self.log = Some(log);
        if result.is_err() {
            self.checksums.reset(before);
        }
        result.map_err(|failure| self.note(failure))
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
        self.broken.get().cloned().map_or(Ok(()), Err)
    }

    fn note(&self, failure: Failure) -> StorageError {
        match failure {
            Failure::Undone(message) => StorageError(message),
            Failure::Final(message) => self.broken.get_or_init(|| StorageError(message)).clone(),
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

    /// A snapshot, if one is due. Whoever takes it writes it, and then calls [`Writer::end_checkpoint`]: the writer is free
    /// meanwhile.
    pub fn begin_checkpoint(&self, register: &Register) -> Option<Snapshot> {
        let is_due = |log: &Log| log.end >= log.due.0 || self.checksums.length() >= log.due.1;
        let is_due = self.broken.get().is_none() && self.log.as_ref().is_some_and(is_due);
        is_due.then(|| self.snapshot(register, true))
    }

    /// Replaces the journal by a snapshot that was written, unless something was committed meanwhile that it does not hold:
    /// then one is still due. A snapshot that could not be written is no harm, since the old journal serves on, and is
    /// tried again after as much log or as many rows as make one due.
    pub fn end_checkpoint(
        &mut self,
        folder: &dyn Folder,
        snapshot: Snapshot,
        written: Result<Box<dyn Medium>, Failure>,
    ) -> Result<(), StorageError> {
        if self.broken.get().is_some() || self.log_end() != snapshot.old_end {
            // If it cannot be removed, the next checkpoint removes it.
            let _ = folder.remove(NEW_JOURNAL);
            return Ok(());
        }
        match written.and_then(|file| self.put_in_place(folder, snapshot, file)) {
            Ok(log) => self.log = Some(log),
            Err(Failure::Undone(reason)) => {
                self.tell_of_no_snapshot(reason);
                if let Some(log) = &mut self.log {
                    log.due = self.limits.due(log.end, self.checksums.length());
                }
            }
            Err(failure) => return Err(self.note(failure)),
        }
        Ok(())
    }

    fn tell_of_no_snapshot(&mut self, reason: String) {
        if !std::mem::replace(&mut self.is_told, true) {
            (self.tell)(Notice::NoSnapshot(reason));
        }
    }

    /// Marks the files as closed in order.
    pub fn close(&mut self, folder: &dyn Folder, register: &Register) -> Result<(), StorageError> {
        self.check()?;
        self.replace_journal(folder, register, false).map_err(|failure| self.note(failure))?;
        self.broken.get_or_init(|| StorageError("the ledger is closed".to_owned()));
        Ok(())
    }

    fn replace_journal(&mut self, folder: &dyn Folder, register: &Register, in_use: bool) -> Result<Log, Failure> {
        let snapshot = self.snapshot(register, in_use);
        let file = snapshot.write(folder)?;
        self.put_in_place(folder, snapshot, file)
    }

    fn put_in_place(&mut self, folder: &dyn Folder, snapshot: Snapshot, file: Box<dyn Medium>) -> Result<Log, Failure> {
        // After a failure here nobody knows which of the two journals a crash would leave.
        let renamed = folder.rename(NEW_JOURNAL, JOURNAL).and_then(|()| folder.sync_names());
        renamed.map_err(|error| fatal(JOURNAL, "replace", error))?;
        let Snapshot { bytes, end, checksums, .. } = snapshot;
        // Not before: the blocks of a journal's log are as large as those of its snapshot.
        self.checksums = checksums;
        self.is_told = false;
        let due = self.limits.due(end, self.checksums.length());
        Ok(Log { file, end, length: bytes.len() as u64, group: FIRST_GROUP, due })
    }

    fn log_end(&self) -> Option<u64> {
        self.log.as_ref().map(|log| log.end)
    }

    pub fn snapshot(&self, register: &Register, in_use: bool) -> Snapshot {
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
        Snapshot { bytes, end: end as u64, checksums, old_end: self.log_end() }
    }

    /// The file of the bets, and how much of it is committed.
    pub fn committed_bets(&self) -> (Arc<dyn Medium>, u64) {
        (Arc::clone(&self.bets), self.checksums.length())
    }
}

impl Snapshot {
    pub fn write(&self, folder: &dyn Folder) -> Result<Box<dyn Medium>, Failure> {
        write_anew(folder, NEW_JOURNAL, &self.bytes).map_err(|error| undone(JOURNAL, "replace", error))
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
