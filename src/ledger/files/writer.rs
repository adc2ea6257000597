//! Writes the files. A small commit writes its rows to `bets.csv`, and then its records with the same rows into the journal, and
//! syncs the journal alone. A large one writes its rows and syncs them, and then does the same with its records. So a commit
//! that is whole in the journal proves that its rows are on disk, in one file or the other.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::blocks::{Checksums, Mark};
use super::disk::{Folder, Medium, write_anew};
use super::failure::{Failure, fatal, undone};
use super::journal;
use super::limits::Limits;
use super::log::{Log, renew_journal};
use super::papers::{DECLARATIONS, Papers, SECRETS};
use super::record::{Extent, Record};
use super::sectors;
use super::{BETS, Change, Histogram, JOURNAL, Notice, StorageError, Tell};
use crate::domain::{Draw, Register, SealStep};
use crate::ledger::TIMES;

/// The name of a new journal until it is complete and replaces the old one.
const NEW_JOURNAL: &str = "journal.new";

/// The number of the log's first commit, which is the record [`Record::InUse`] alone.
const FIRST_COMMIT: u64 = 1;

/// The open files, and the state of what is written to them.
pub struct Writer {
    limits: Limits,
    bets: Arc<dyn Medium>,
    checksums: Checksums,
    /// `bets.csv` is synced up to this length. The rows behind it ride in the journal.
    synced: u64,
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

/// A new journal, which holds what is committed.
pub struct Snapshot {
    bytes: Vec<u8>,
    /// Where its log's next commit goes.
    end: u64,
    checksums: Checksums,
    /// Where the old journal's log ended when the snapshot was taken.
    old_end: Option<u64>,
    /// `bets.csv`, if it has to be synced before this journal replaces one in which rows ride.
    unsynced: Option<Arc<dyn Medium>>,
}

impl Writer {
    /// Takes over the files, which are synced, and replaces the journal by a snapshot of the register. If there is no space
    /// for one, nothing can be stored until there is, but everything can be read.
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
        let synced = checksums.length();
        let mut writer = Writer { limits, bets, checksums, synced, papers, log, tell, is_told, buffer, broken, syncs };
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
        // If a later step fails, these do not count.
        let declarations = match change.signed {
            [] => self.papers.extents.declarations,
            signed => self.papers.append(folder, signed).map_err(|error| undone(DECLARATIONS, "write", error))?,
        };
        self.checksums.update(change.rows);
        // What is sealed is on disk in `bets.csv` itself, so that it can be checked without the journal.
        let is_sealing = change.seal.is_some() && self.synced < before.length;
        let records = self.records_of(change, before.whole, declarations, is_sealing);
        let riding = self.make_room(log, records.len(), change.rows)?;
        if !change.rows.is_empty() {
            let written = self.bets.write_all_at(change.rows, before.length);
            written.map_err(|error| self.undo(before.length, undone(BETS, "write", error)))?;
        }
        let syncs_bets = is_sealing || riding.len() < change.rows.len();
        if syncs_bets {
            self.sync(&*self.bets).map_err(|error| fatal(BETS, "sync", error))?;
        }
        let commit = sectors::write(log.end, log.number + 1, &records, riding);
        log.write(&commit)?;
        self.sync(log.file()).map_err(|error| fatal(JOURNAL, "sync", error))?;
        log.take(&commit);
        if syncs_bets {
            self.synced = self.checksums.length();
        }
        Ok(declarations)
    }

    /// Makes room for a commit, and returns those of its rows that ride in the journal: all or none. None if they are many, or
    /// if there is no space for them.
    fn make_room<'a>(&self, log: &mut Log, records: usize, rows: &'a [u8]) -> Result<&'a [u8], Failure> {
        let spare = if rows.is_empty() { 0 } else { self.limits.reserve };
        let mut make_room =
            |riding: &[u8]| log.make_room(sectors::size(records, riding.len()), spare, self.limits.growth);
        if !rows.is_empty() && rows.len() as u64 <= self.limits.riding {
            match make_room(rows) {
                Err(Failure::Undone(_)) => {}
                made => return made.map(|()| rows),
            }
        }
        make_room(&[]).map(|()| &rows[..0])
    }

    fn sync(&self, file: &dyn Medium) -> io::Result<()> {
        let begun = Instant::now();
        file.sync()?;
        self.syncs.add_time(begun.elapsed());
        Ok(())
    }

    fn records_of(
        &self,
        change: &Change<'_>,
        old_blocks: usize,
        declarations: Extent,
        is_sealing: bool,
    ) -> Vec<Record> {
        let mut records = Vec::new();
        records.extend(change.rules.map(Record::Rules));
        // In a commit in which no rows ride, this also says that `bets.csv` is synced.
        if !change.rows.is_empty() || is_sealing {
            records.extend(new_blocks(&self.checksums, old_blocks));
            records.push(Record::Bets { length: self.checksums.length(), crc: self.checksums.last() });
        }
        if !change.signed.is_empty() {
            records.push(Record::Declarations(declarations));
        }
        records.extend(change.done.iter().map(|(agency, status)| Record::Done { agency: *agency, status: *status }));
        records.extend(change.seal.map(Record::Sealed));
        records.extend(change.is_seal_announced.then_some(Record::SealAnnounced));
        records.extend(change.draw.map(|(number, acta)| Record::Draw { number, acta: Some(acta) }));
        records.extend(change.is_announced.then_some(Record::Announced));
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
        self.is_checkpoint_due().then(|| self.snapshot(register, true))
    }

    fn is_checkpoint_due(&self) -> bool {
        let is_due = |log: &Log| log.end >= log.due.0 || self.checksums.length() >= log.due.1;
        self.broken.get().is_none() && self.log.as_ref().is_some_and(is_due)
    }

    pub fn is_maintenance_due(&self) -> bool {
        let wants_space = |log: &Log| log.wants_space(&self.limits);
        self.broken.get().is_none() && (self.is_checkpoint_due() || self.log.as_ref().is_some_and(wants_space))
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
        let written = match written {
            Err(Failure::Final(message)) => return Err(self.note(Failure::Final(message))),
            written => written,
        };
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

    /// Makes space in the log before the next commit needs it.
    pub fn prepare(&mut self) -> Result<(), StorageError> {
        if self.broken.get().is_some() {
            return Ok(());
        }
        let prepared = self.log.as_mut().map_or(Ok(()), |log| log.prepare(&self.limits));
        prepared.map_err(|failure| self.note(failure))
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
        self.synced = self.checksums.length();
        self.papers.note_journal();
        self.is_told = false;
        let due = self.limits.due(end, self.checksums.length());
        Ok(Log::new(file, end, bytes.len() as u64, FIRST_COMMIT, due))
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
        let (mut bytes, mut end) = journal::snapshot(&records, self.limits.growth);
        if in_use {
            let commit = sectors::write(end, FIRST_COMMIT, &[Record::InUse], &[]);
            bytes[end as usize..][..commit.len()].copy_from_slice(&commit);
            end += commit.len() as u64;
        }
        let unsynced = (self.synced < checksums.length()).then(|| Arc::clone(&self.bets));
        Snapshot { bytes, end, checksums, old_end: self.log_end(), unsynced }
    }

    /// Whether rows ride in the journal that `bets.csv` may lack after a power loss.
    #[cfg(test)]
    pub fn has_riding(&self) -> bool {
        self.synced < self.checksums.length()
    }

    /// The file of the bets, and how much of it is committed.
    pub fn committed_bets(&self) -> (Arc<dyn Medium>, u64) {
        (Arc::clone(&self.bets), self.checksums.length())
    }
}

impl Snapshot {
    /// Writes the new journal, without its name, and syncs the rows that the old one holds.
    pub fn write(&self, folder: &dyn Folder) -> Result<Box<dyn Medium>, Failure> {
        let written = write_anew(folder, NEW_JOURNAL, &self.bytes);
        let file = written.map_err(|error| undone(JOURNAL, "replace", error))?;
        if let Some(bets) = &self.unsynced {
            bets.sync().map_err(|error| fatal(BETS, "sync", error))?;
        }
        Ok(file)
    }
}

fn new_blocks(checksums: &Checksums, old: usize) -> impl Iterator<Item = Record> + '_ {
    checksums.whole().iter().enumerate().skip(old).map(|(index, crc)| Record::Block { index: index as u64, crc: *crc })
}
