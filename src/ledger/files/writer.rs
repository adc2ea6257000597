//! Writes the files. A commit first writes and syncs its rows, and then writes and syncs the journal's records. A record that
//! is whole on disk therefore proves that its rows are too, and rows without a record were never acknowledged.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::blocks::{Checksums, Mark};
use super::disk::{Folder, Medium, write_anew};
use super::journal::{self, Extent, MAX_JOURNAL, RECORD, Record};
use super::papers::{DECLARATIONS, Papers, SECRETS};
use super::{BETS, Change, Histogram, JOURNAL, Limits, Notice, StorageError, Tell};
use crate::domain::{Draw, Register, SealStep};
use crate::ledger::TIMES;

/// A new snapshot is due at this size of the log, or after this many bytes of rows. This bounds what a start after a crash
/// has to replay.
pub const MAX_LOG_BYTES: u64 = 1024 * 1024;
pub const MAX_ROWS_BEHIND: u64 = 64 * 1024 * 1024;

/// The name of a new journal until it is complete and replaces the old one.
const NEW_JOURNAL: &str = "journal.new";

/// The number of the log's first commit, which is the record [`Record::InUse`] alone.
const FIRST_GROUP: u64 = 1;

/// The open files, and the state of what is written to them.
pub struct Writer {
    limits: Limits,
    bets: Arc<dyn Medium>,
    checksums: Checksums,
    pub papers: Papers,
    /// None until a snapshot could be written. Until then the journal on disk is the one that the start has read.
    log: Option<Log>,
    tell: Tell,
    /// [`Notice::NoSnapshot`] was given since the last snapshot.
    is_told: bool,
    /// Memory for the rows of the next group. Its contents have no meaning.
    pub buffer: Vec<u8>,
    /// Why everything is refused, after a failure that leaves the state of the disk unknown.
    pub broken: Arc<OnceLock<StorageError>>,
    pub syncs: Arc<Histogram>,
}

/// The open journal.
struct Log {
    file: Box<dyn Medium>,
    /// Where the next record goes, the file's length, and the number of the last commit.
    end: u64,
    length: u64,
    group: u64,
    /// The lengths of log and `bets.csv` from which a new snapshot is due.
    due: (u64, u64),
}

/// A new journal, which holds what is committed.
pub struct Snapshot {
    bytes: Vec<u8>,
    /// Where its log's next record goes.
    end: u64,
    checksums: Checksums,
    /// Where the old journal's log ended when the snapshot was taken.
    old_end: Option<u64>,
}

/// A failed write, and the message about it.
#[derive(Debug)]
pub enum Failure {
    /// The write was undone, and the next may succeed.
    Undone(String),
    /// It is unknown what a crash would leave now.
    Final(String),
}

impl Writer {
    /// Takes over the files, and replaces the journal by a snapshot of the register. If there is no space for one, nothing
    /// can be stored until there is, but everything can be read.
    pub fn start(
        folder: &dyn Folder,
        bets: Box<dyn Medium>,
        checksums: Checksums,
        papers: Papers,
        register: &Register,
        limits: Limits,
        tell: Tell,
    ) -> Result<Writer, Failure> {
        let (log, buffer, broken) = (None, Vec::new(), Arc::default());
        let (bets, syncs, is_told) = (Arc::from(bets), Arc::new(Histogram::new(TIMES)), false);
        let mut writer = Writer { limits, bets, checksums, papers, log, tell, is_told, buffer, broken, syncs };
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

    /// Writes and syncs a change. `register` is the state before it.
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
        let result = self.try_commit(folder, &mut log, change, &before);
        self.log = Some(log);
        match result {
            Ok(declarations) => self.papers.extents.declarations = declarations,
            Err(failure) => {
                self.checksums.reset(before);
                return Err(self.note(failure));
            }
        }
        Ok(())
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

    /// Returns the new extent of the signed declarations.
    fn try_commit(
        &mut self,
        folder: &dyn Folder,
        log: &mut Log,
        change: &Change<'_>,
        before: &Mark,
    ) -> Result<Extent, Failure> {
        if !change.rows.is_empty() {
            self.checksums.update(change.rows);
            self.bets
                .write_all_at(change.rows, before.length)
                .map_err(|error| self.undo(before.length, undone(BETS, "write", error)))?;
            self.sync(&*self.bets).map_err(|error| fatal(BETS, "sync", error))?;
        }
        let declarations = match change.signed {
            [] => self.papers.extents.declarations,
            signed => self
                .papers
                .append(folder, signed)
                .map_err(|error| self.undo(before.length, undone(DECLARATIONS, "write", error)))?,
        };
        let records = self.records_of(log, change, before.whole, declarations);
        let room = log.make_room(records.len() as u64, self.limits.growth);
        room.map_err(|failure| self.undo(before.length, failure))?;
        // The space was allocated before, so this is no full disk, and part of the records may be written.
        log.file.write_all_at(&records, log.end).map_err(|error| fatal(JOURNAL, "write", error))?;
        self.sync(&*log.file).map_err(|error| fatal(JOURNAL, "sync", error))?;
        log.end += records.len() as u64;
        log.group += 1;
        Ok(declarations)
    }

    fn sync(&self, file: &dyn Medium) -> io::Result<()> {
        let begun = Instant::now();
        file.sync()?;
        self.syncs.add_time(begun.elapsed());
        Ok(())
    }

    fn records_of(&self, log: &Log, change: &Change<'_>, old_blocks: usize, declarations: Extent) -> Vec<u8> {
        let mut records = Vec::new();
        let mut push = |entry| journal::push(&mut records, log.end / RECORD as u64, log.group + 1, &entry);
        change.rules.into_iter().for_each(|rules| push(Record::Rules(rules)));
        if !change.rows.is_empty() {
            new_blocks(&self.checksums, old_blocks).for_each(&mut push);
            push(Record::Bets { length: self.checksums.length(), crc: self.checksums.last() });
        }
        // A torn write may leave records without those behind them: a DONE never stands before what it needs.
        if !change.signed.is_empty() {
            push(Record::Declarations(declarations));
        }
        change.done.iter().for_each(|(agency, status)| push(Record::Done { agency: *agency, status: *status }));
        change.seal.into_iter().for_each(|extent| push(Record::Sealed(extent)));
        if change.is_seal_announced {
            push(Record::SealAnnounced);
        }
        change.draw.into_iter().for_each(|(number, acta)| push(Record::Draw { number, acta: Some(acta) }));
        if change.is_announced {
            push(Record::Announced);
        }
        records
    }

    /// Cuts off rows that have no record, so that `bets.csv` holds nothing but committed rows. The cut has to be synced:
    /// otherwise a power loss after a clean stop could bring the rows back, and the next start would refuse the file.
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

    /// Returns a snapshot if one is due. The caller writes it, without the writer's lock, and then calls
    /// [`Writer::end_checkpoint`].
    pub fn begin_checkpoint(&self, register: &Register) -> Option<Snapshot> {
        let is_due = |log: &Log| log.end >= log.due.0 || self.checksums.length() >= log.due.1;
        let is_due = self.broken.get().is_none() && self.log.as_ref().is_some_and(is_due);
        is_due.then(|| self.snapshot(register, true))
    }

    /// Replaces the journal by a snapshot that was written. If a commit was made meanwhile, the snapshot lacks it: it is
    /// thrown away, and another one is due. If the snapshot could not be written, the old journal stays in use, and the
    /// next attempt is made after as much more log, or as many more rows, as make a snapshot due.
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

    /// Marks the files as closed in order, by a snapshot without [`Record::InUse`].
    pub fn close(&mut self, folder: &dyn Folder, register: &Register) -> Result<(), StorageError> {
        self.check()?;
        self.replace_journal(folder, register, false).map_err(|failure| self.note(failure))?;
        self.broken.get_or_init(|| StorageError("the ledger is closed".to_owned()));
        Ok(())
    }

    fn replace_journal(&mut self, folder: &dyn Folder, register: &Register, in_use: bool) -> Result<Log, Failure> {
        self.papers.write_secrets(folder).map_err(|error| undone(SECRETS, "write", error))?;
        let snapshot = self.snapshot(register, in_use);
        let file = snapshot.write(folder)?;
        self.put_in_place(folder, snapshot, file)
    }

    fn put_in_place(&mut self, folder: &dyn Folder, snapshot: Snapshot, file: Box<dyn Medium>) -> Result<Log, Failure> {
        // After a failure here it is unknown which of the two journals a crash would leave.
        let renamed = folder.rename(NEW_JOURNAL, JOURNAL).and_then(|()| folder.sync_names());
        renamed.map_err(|error| fatal(JOURNAL, "replace", error))?;
        let Snapshot { bytes, end, checksums, .. } = snapshot;
        // Only now: until the new journal is in use, records have to use the block size of the old one.
        self.checksums = checksums;
        self.papers.note_journal();
        self.is_told = false;
        let due = self.limits.due(end, self.checksums.length());
        Ok(Log { file, end, length: bytes.len() as u64, group: FIRST_GROUP, due })
    }

    fn log_end(&self) -> Option<u64> {
        self.log.as_ref().map(|log| log.end)
    }

    pub fn snapshot(&self, register: &Register, in_use: bool) -> Snapshot {
        let agencies = register.accounts().filter(|(_, account)| account.stored > 0 || account.done.is_some());
        let papers = &self.papers.extents;
        let lottery = papers.lottery.map(|(lottery, crc)| Record::Lottery { lottery, crc });
        let agencies = agencies.map(|(agency, account)| Record::Agency { agency, account });
        let mut records: Vec<Record> = lottery.into_iter().chain(agencies).collect();
        let mut checksums = self.checksums.clone();
        checksums.coarsen(self.limits.blocks);
        records.extend(new_blocks(&checksums, 0));
        records.push(Record::Bets { length: checksums.length(), crc: checksums.last() });
        records.extend(register.rules().map(Record::Rules));
        if papers.declarations.length > 0 {
            records.push(Record::Declarations(papers.declarations));
        }
        records.extend(papers.acta.map(Record::Sealed));
        records.extend((register.seal() == SealStep::Announced).then_some(Record::SealAnnounced));
        if let Draw::Held { number, is_announced } = register.draw() {
            records.push(Record::Draw { number, acta: None });
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
    /// Extends the file, if need be, so that it has room for these bytes of records and one unused record behind them.
    fn make_room(&mut self, records: u64, growth: u64) -> Result<(), Failure> {
        let wanted = self.end + records + RECORD as u64;
        if wanted <= self.length {
            return Ok(());
        }
        let new_length = wanted.next_multiple_of(growth);
        let grow = || {
            if new_length > MAX_JOURNAL {
                return Err(io::Error::other("it has reached its largest size, and no snapshot could replace it"));
            }
            self.file.set_len(new_length)?;
            // Writing zeros allocates the space now, and makes later syncs cheaper, since those change no metadata.
            self.file.write_all_at(&vec![0; (new_length - self.length) as usize], self.length)
        };
        grow().map_err(|error| undone(JOURNAL, "extend", error))?;
        self.file.sync().map_err(|error| fatal(JOURNAL, "sync", error))?;
        self.length = new_length;
        Ok(())
    }
}

/// Writes the journal's own bytes over it again, which takes no space, and syncs it. What was read from it may come from
/// memory alone: after a failed sync the system may never write it to the disk.
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
    Failure::Final(format!("{file}: cannot {action}: {error}; nothing more is stored"))
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
        assert_eq!(fatal, "bets.csv: cannot sync: no; nothing more is stored");
    }
}
