//! The open journal: the space of its log, which is made before it is needed, and the commits that are written into it.

use std::io;

use super::JOURNAL;
use super::disk::{Folder, Medium};
use super::failure::{Failure, fatal, undone};
use super::journal::MAX_JOURNAL;
use super::limits::Limits;
use super::record::RECORD;

/// The open journal.
pub struct Log {
    file: Box<dyn Medium>,
    /// Where the next commit goes: on a sector.
    pub end: u64,
    /// The bytes that were zeroed and synced, or written since.
    length: u64,
    /// The number of the last commit.
    pub number: u64,
    /// The lengths of log and `bets.csv` from which a new snapshot is due.
    pub due: (u64, u64),
    /// After a failure, no space is prepared before the log is this long.
    retry: u64,
}

impl Log {
    pub fn new(file: Box<dyn Medium>, end: u64, length: u64, number: u64, due: (u64, u64)) -> Log {
        Log { file, end, length, number, due, retry: 0 }
    }

    /// Extends the file, if need be, so that it has room for a commit of this size and at least `spare` bytes behind it.
    pub fn make_room(&mut self, commit: u64, spare: u64, growth: u64) -> Result<(), Failure> {
        // The last record of the file stays unused.
        let wanted = self.end + commit + spare.max(RECORD as u64);
        if wanted <= self.length { Ok(()) } else { self.extend(wanted.next_multiple_of(growth)) }
    }

    /// Extends the file before a commit needs the space. If that fails, a snapshot is due once half of the space that is
    /// left is used: a new journal may have more.
    pub fn prepare(&mut self, limits: &Limits) -> Result<(), Failure> {
        if !self.wants_space(limits) {
            return Ok(());
        }
        let step = self.length.clamp(limits.growth, limits.step.max(limits.growth)).next_multiple_of(limits.growth);
        match self.extend(self.length + step) {
            Err(Failure::Undone(_)) => {
                self.retry = self.end + limits.growth;
                self.due.0 = self.due.0.min(self.end.midpoint(self.length));
                Ok(())
            }
            result => result,
        }
    }

    pub fn wants_space(&self, limits: &Limits) -> bool {
        self.length - self.end < limits.ahead && self.end >= self.retry
    }

    fn extend(&mut self, new_length: u64) -> Result<(), Failure> {
        let grow = || {
            if new_length > MAX_JOURNAL {
                return Err(io::Error::other("it has reached its largest size, and no snapshot could replace it"));
            }
            self.file.set_len(new_length)?;
            // Writing zeros allocates the space now, and makes later syncs cheaper, since those change no metadata.
            self.file.write_all_at(&vec![0; (new_length - self.length) as usize], self.length)
        };
        if let Err(error) = grow() {
            // Other files may need the space. What is left of it is zeros, and does no harm.
            let _ = self.file.set_len(self.length);
            return Err(undone(JOURNAL, "extend", error));
        }
        self.file.sync().map_err(|error| fatal(JOURNAL, "sync", error))?;
        self.length = new_length;
        Ok(())
    }

    /// Writes a commit for which there is room. Until it is taken, it does not count.
    pub fn write(&self, commit: &[u8]) -> Result<(), Failure> {
        // The space was allocated before, so this is no full disk, and a part of the commit may be written.
        write_at_once(&*self.file, commit, self.end).map_err(|error| fatal(JOURNAL, "write", error))
    }

    /// The file, to sync what was written.
    pub fn file(&self) -> &dyn Medium {
        &*self.file
    }

    /// Goes on behind a commit that was written and synced.
    pub fn take(&mut self, commit: &[u8]) {
        self.end += commit.len() as u64;
        self.number += 1;
    }
}

/// Writes all of these bytes in one call. If a part was written and then the rest, a power loss could leave the rest alone,
/// with a hole in the middle of a sector, which is read as damage.
pub fn write_at_once(file: &dyn Medium, bytes: &[u8], offset: u64) -> io::Result<()> {
    loop {
        match file.write_at(bytes, offset) {
            Ok(written) if written == bytes.len() => return Ok(()),
            Ok(written) => {
                let what = format!("only {written} of {} bytes were written", bytes.len());
                return Err(io::Error::other(what));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes the journal's own bytes over it again, which takes no space, and syncs it. What was read from it may come from
/// memory alone: after a failed sync the system may never write it to the disk.
pub fn renew_journal(folder: &dyn Folder) -> io::Result<()> {
    if !folder.exists(JOURNAL)? {
        return Ok(());
    }
    let journal = folder.open(JOURNAL)?;
    let mut bytes = vec![0; journal.len()? as usize];
    journal.read_exact_at(&mut bytes, 0)?;
    write_at_once(&*journal, &bytes, 0)?;
    journal.sync()
}

#[cfg(test)]
mod tests {
    use super::super::limits::LIMITS;
    use super::*;

    /// The most bytes of a journal that a start reads.
    const MOST: u64 = 268_435_456;

    /// A log that ends here, in a file that is nearly as long as it may be.
    fn long_log(end: u64) -> Log {
        // A file that is long and empty takes no space.
        let file = tempfile::tempfile().unwrap();
        file.set_len(MOST - 1024).unwrap();
        Log::new(Box::new(file), end, MOST - 1024, 1, (0, 0))
    }

    fn lengths(log: &Log) -> (u64, u64) {
        (log.length, log.file.len().unwrap())
    }

    #[test]
    fn a_log_grows_by_whole_steps_and_never_beyond_what_a_start_reads() {
        for (end, spare, grown) in [
            (MOST - 1600, 0, 0),
            (MOST - 1599, 0, 512),
            (MOST - 1600, 65, 512),
            (MOST - 1088, 64, 512),
            (MOST - 576, 64, 1024),
        ] {
            let mut log = long_log(end);
            log.make_room(512, spare, 512).unwrap();
            assert_eq!(lengths(&log), (MOST - 1024 + grown, MOST - 1024 + grown), "{end}, {spare}");
        }
        for (end, spare) in [(MOST - 575, 64), (MOST - 1024, 513)] {
            let mut log = long_log(end);
            assert!(matches!(log.make_room(512, spare, 512), Err(Failure::Undone(_))));
            assert_eq!(lengths(&log), (MOST - 1024, MOST - 1024), "{end}, {spare}");
        }
    }

    #[test]
    fn space_is_prepared_before_it_is_needed_and_a_snapshot_is_due_where_there_is_none() {
        let limits = Limits { growth: 512, ahead: 1024, step: 2048, ..LIMITS };
        let file = tempfile::tempfile().unwrap();
        file.set_len(1024).unwrap();
        let mut log = Log::new(Box::new(file), 0, 1024, 1, (9000, 9000));
        log.prepare(&limits).unwrap();
        assert_eq!(lengths(&log), (1024, 1024), "there is enough");
        for (end, length) in [(512, 2048), (1536, 4096), (3584, 6144), (5632, 8192)] {
            log.end = end;
            log.prepare(&limits).unwrap();
            assert_eq!((lengths(&log), log.due), ((length, length), (9000, 9000)), "behind {end}");
        }
        let mut log = long_log(MOST - 1536);
        log.due = (MOST, 0);
        log.prepare(&limits).unwrap();
        assert_eq!((lengths(&log), log.due.0), ((MOST - 1024, MOST - 1024), MOST - 1280));
        log.due = (MOST, 0);
        log.prepare(&limits).unwrap();
        assert_eq!(log.due.0, MOST, "it is not tried again at once");
    }

    #[test]
    fn a_commit_is_written_by_one_call_or_fails() {
        let file = tempfile::tempfile().unwrap();
        let mut log = Log::new(Box::new(file), 512, 2048, 7, (0, 0));
        log.write(&[b'x'; 512]).unwrap();
        log.take(&[b'x'; 512]);
        assert_eq!((log.end, log.number, log.file().len().unwrap()), (1024, 8, 1024));
        let nowhere = std::fs::File::open("/dev/null").unwrap();
        let log = Log::new(Box::new(nowhere), 0, 2048, 1, (0, 0));
        assert!(matches!(log.write(b"x"), Err(Failure::Final(_))), "it was opened to be read");
    }
}
