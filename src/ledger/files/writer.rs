//! The one who writes. First the rows and a sync, then the journal's records and a sync: a record that is whole on disk
//! therefore vouches for rows that are, and rows that none vouches for were never acknowledged.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::blocks::Checksums;
use super::disk::{Folder, Medium, ReplaceError, replace};
use super::journal::{self, RECORD, Record};
use super::{BETS, Change, JOURNAL, Limits, StorageError};
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
    journal: Box<dyn Medium>,
    checksums: Checksums,
    /// Where the next record goes, the file's length, and the number of the last commit.
    journal_end: u64,
    journal_length: u64,
    group: u64,
    log_start: u64,
    rows_at_snapshot: u64,
    /// An emptied buffer for the rows of the next group.
    buffer: Vec<u8>,
    /// Why nothing is taken any more.
    broken: Option<StorageError>,
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
    /// Takes over the files with a fresh snapshot of the register.
    pub fn start(
        folder: &dyn Folder,
        bets: Box<dyn Medium>,
        checksums: Checksums,
        register: &Register,
        limits: Limits,
    ) -> Result<Writer, Failure> {
        let (journal, journal_end, journal_length) = replace_journal(folder, &checksums, register, limits, true)?;
        let writer = Writer {
            limits,
            bets: Arc::from(bets),
            journal,
            journal_end,
            journal_length,
            group: FIRST_GROUP,
            log_start: journal_end,
            rows_at_snapshot: checksums.length(),
            checksums,
            buffer: Vec::new(),
            broken: None,
        };
        Ok(writer)
    }

    /// Brings a change to the disk.
    pub fn commit(&mut self, change: &Change<'_>) -> Result<(), StorageError> {
        self.check()?;
        let before = self.checksums.mark();
        let result = self.try_commit(change, before.length, before.whole);
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

    fn try_commit(&mut self, change: &Change<'_>, old_length: u64, old_blocks: usize) -> Result<(), Failure> {
        if !change.rows.is_empty() {
            self.checksums.update(change.rows);
            self.bets
                .write_all_at(change.rows, old_length)
                .map_err(|error| self.undo(old_length, undone(BETS, "write", error)))?;
            self.bets.sync().map_err(|error| fatal(BETS, "sync", error))?;
        }
        let records = self.records_of(change, old_blocks);
        self.make_room(records.len() as u64).map_err(|failure| self.undo(old_length, failure))?;
        // The space is there already, so a failure here is the disk's own, and part of the records may stand.
        self.journal.write_all_at(&records, self.journal_end).map_err(|error| fatal(JOURNAL, "write", error))?;
        self.journal.sync().map_err(|error| fatal(JOURNAL, "sync", error))?;
        self.journal_end += records.len() as u64;
        self.group += 1;
        Ok(())
    }

    fn records_of(&self, change: &Change<'_>, old_blocks: usize) -> Vec<u8> {
        let mut records = Vec::new();
        let mut push = |entry| journal::push(&mut records, self.journal_end / RECORD as u64, self.group + 1, &entry);
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

    /// Makes space for so many bytes of records and for the unused one behind them.
    fn make_room(&mut self, records: u64) -> Result<(), Failure> {
        let wanted = self.journal_end + records + RECORD as u64;
        if wanted <= self.journal_length {
            return Ok(());
        }
        let new_length = wanted.next_multiple_of(self.limits.growth);
        let grow = || {
            self.journal.set_len(new_length)?;
            // Zeros that are really written take their space now, and make later syncs cheaper: they change no metadata.
            self.journal.write_all_at(&vec![0; (new_length - self.journal_length) as usize], self.journal_length)
        };
        grow().map_err(|error| undone(JOURNAL, "extend", error))?;
        self.journal.sync().map_err(|error| fatal(JOURNAL, "sync", error))?;
        self.journal_length = new_length;
        Ok(())
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

    pub fn wants_checkpoint(&self) -> bool {
        self.journal_end - self.log_start >= self.limits.log_bytes
            || self.checksums.length() - self.rows_at_snapshot >= self.limits.rows_behind
    }

    /// Replaces the journal by a snapshot. A snapshot that cannot be made is no harm while the old journal serves on.
    pub fn checkpoint_or_go_on(&mut self, folder: &dyn Folder, register: &Register) -> Result<(), StorageError> {
        match self.checkpoint(folder, register, true) {
            Err(failure @ Failure::Final(_)) => Err(self.note(failure)),
            Err(Failure::Undone(_)) | Ok(()) => Ok(()),
        }
    }

    /// Marks the files as closed in order.
    pub fn close(&mut self, folder: &dyn Folder, register: &Register) -> Result<(), StorageError> {
        self.check()?;
        self.checkpoint(folder, register, false).map_err(|failure| self.note(failure))?;
        self.broken = Some(StorageError("the ledger is closed".to_owned()));
        Ok(())
    }

    fn checkpoint(&mut self, folder: &dyn Folder, register: &Register, in_use: bool) -> Result<(), Failure> {
        (self.journal, self.journal_end, self.journal_length) =
            replace_journal(folder, &self.checksums, register, self.limits, in_use)?;
        self.group = FIRST_GROUP;
        self.log_start = self.journal_end;
        self.rows_at_snapshot = self.checksums.length();
        Ok(())
    }

    /// The file of the bets, and how much of it is committed.
    pub fn committed_bets(&self) -> (Arc<dyn Medium>, u64) {
        (Arc::clone(&self.bets), self.checksums.length())
    }
}

/// Puts a snapshot in the journal's place. Returns the file, where its log goes on, and its length.
fn replace_journal(
    folder: &dyn Folder,
    checksums: &Checksums,
    register: &Register,
    limits: Limits,
    in_use: bool,
) -> Result<(Box<dyn Medium>, u64, u64), Failure> {
    let agencies = register.accounts().filter(|(_, account)| account.stored > 0 || account.done);
    let mut records: Vec<Record> = agencies.map(|(agency, account)| Record::Agency { agency, account }).collect();
    records.extend(new_blocks(checksums, 0));
    records.push(Record::Bets { length: checksums.length(), crc: checksums.last() });
    if let Draw::Held { number, is_announced } = register.draw() {
        records.push(Record::Draw { number });
        records.extend(is_announced.then_some(Record::Announced));
    }
    let mut bytes = journal::snapshot(&records, limits.growth);
    let mut end = (records.len() + 1) * RECORD;
    if in_use {
        let mut record = Vec::new();
        journal::push(&mut record, (end / RECORD) as u64, FIRST_GROUP, &Record::InUse);
        bytes[end..end + RECORD].copy_from_slice(&record);
        end += RECORD;
    }
    let journal = replace(folder, JOURNAL, &bytes).map_err(|error| match error {
        ReplaceError::Before(error) => undone(JOURNAL, "replace", error),
        ReplaceError::Unknown(error) => fatal(JOURNAL, "replace", error),
    })?;
    Ok((journal, end as u64, bytes.len() as u64))
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
