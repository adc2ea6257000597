//! The rows of `bets.csv` that may not be on disk there, because they ride in the journal.

use std::io;
use std::os::unix::fs::FileExt;

use super::disk::{CHUNK, Medium};

/// The rows behind the last length of `bets.csv` that is known to be synced, up to the last commit.
#[derive(Debug, Default)]
pub struct Unsynced {
    pub start: u64,
    pub rows: Vec<u8>,
}

/// What the file lacks of these rows.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Lacking {
    pub bytes: u64,
    /// The first byte that is neither the one that is due nor zero. No crash leaves one.
    pub other: Option<u64>,
}

/// `bets.csv` as it is once these rows are restored, to be read.
pub struct Whole<'a> {
    bets: &'a dyn Medium,
    unsynced: &'a Unsynced,
}

impl Unsynced {
    /// Notes that the file is synced up to this length.
    pub fn note_sync(&mut self, length: u64) {
        (self.start, self.rows) = (length, Vec::new());
    }

    pub fn over<'a>(&'a self, bets: &'a dyn Medium) -> Whole<'a> {
        Whole { bets, unsynced: self }
    }

    /// Compares the file, which has this length, with these rows.
    pub fn compare(&self, bets: &dyn Medium, length: u64) -> io::Result<Lacking> {
        let (mut lacking, mut offset, mut buffer) =
            (Lacking::default(), self.start, vec![0; CHUNK.min(self.rows.len())]);
        for rows in self.rows.chunks(CHUNK) {
            let present = length.saturating_sub(offset).min(rows.len() as u64) as usize;
            bets.read_exact_at(&mut buffer[..present], offset)?;
            let pairs = || buffer[..present].iter().zip(rows);
            lacking.bytes += (rows.len() - pairs().filter(|(is, due)| is == due).count()) as u64;
            let other = pairs().position(|(is, due)| is != due && *is != 0).map(|place| offset + place as u64);
            lacking.other = lacking.other.or(other);
            offset += rows.len() as u64;
        }
        Ok(lacking)
    }

    /// Writes all these rows. Those that the file seems to have are written too: after a failed sync they may be in memory
    /// alone, and no later sync would write them.
    pub fn restore(&self, bets: &dyn Medium) -> io::Result<()> {
        if self.rows.is_empty() { Ok(()) } else { bets.write_all_at(&self.rows, self.start) }
    }
}

impl FileExt for Whole<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let Unsynced { start, rows } = self.unsynced;
        if offset < *start {
            let own = (*start - offset).min(buffer.len() as u64) as usize;
            return self.bets.read_at(&mut buffer[..own], offset);
        }
        let rest = usize::try_from(offset - start).ok().and_then(|from| rows.get(from..)).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Medium for Whole<'_> {
    fn sync(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.unsynced.start + self.unsynced.rows.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of(bytes: &[u8]) -> std::fs::File {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file
    }

    fn bytes_of(file: &dyn Medium) -> Vec<u8> {
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn rows_are_read_as_they_will_be_restored() {
        let rows: Vec<u8> = (0..CHUNK + 700).map(|place| b'a' + (place % 26) as u8).collect();
        let due = [b"start", &rows[..]].concat();
        let (mut holed, mut other) = (due.clone(), due.clone());
        holed[100..600].fill(0);
        (other[CHUNK + 90], other[CHUNK + 99]) = (b'!', b'!');
        for (present, bytes, other) in [
            (due.clone(), 0, None),
            (due[..5].to_vec(), rows.len() as u64, None),
            (due[..CHUNK + 9].to_vec(), 696, None),
            (holed, 500, None),
            (other, 2, Some(CHUNK as u64 + 90)),
        ] {
            let (file, unsynced) = (file_of(&present), Unsynced { start: 5, rows: rows.clone() });
            let whole = unsynced.over(&file);
            assert!(bytes_of(&whole) == due);
            assert!(whole.sync().is_err() && whole.set_len(0).is_err() && whole.write_at(b"x", 0).is_err());
            assert_eq!(whole.read_at(&mut [0; 9], due.len() as u64 + 1).unwrap(), 0);
            assert_eq!(unsynced.compare(&file, present.len() as u64).unwrap(), Lacking { bytes, other });
            unsynced.restore(&file).unwrap();
            assert!(bytes_of(&file) == due);
        }
    }

    #[test]
    fn what_was_synced_rides_no_more() {
        let mut unsynced = Unsynced { start: 5, rows: vec![b'x'; 9] };
        unsynced.note_sync(14);
        assert!(unsynced.start == 14 && unsynced.rows.is_empty());
    }
}
