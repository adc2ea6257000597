//! An agency's file that grows through the day. Readers are shown whole lines alone: a last line waits for its end. Whatever
//! else happens to the file is an error that says where.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crc32fast::Hasher;
use memchr::{memchr_iter, memrchr};

use crate::error::{Error, Kind, Result};

/// Bytes that are looked at once, beside those of the longest line.
const LOOK_BYTES: u64 = 1024 * 1024;
/// A change is located to a block of this size.
const BLOCK: usize = 64 * 1024;
/// The bytes before the end that are compared each time the file has grown.
const TAIL_BYTES: usize = 4096;

pub struct Growing {
    path: PathBuf,
    file: File,
    /// Which file this is, whatever its name is now.
    identity: (u64, u64),
    /// A last line that is longer is shown too.
    most_line: u64,
    /// Readers are shown the bytes before this.
    shown: u64,
    /// Those before this were searched for line ends.
    searched: u64,
    /// The file's length and the time of its last change, when it was last looked at.
    length: u64,
    changed: (i64, i64),
    /// A checksum of each block that is shown, and of the one at the end.
    blocks: Vec<u32>,
    last: Hasher,
    tail: Vec<u8>,
    /// Where the reader is.
    cursor: u64,
    is_over: bool,
}

impl Growing {
    /// The file of this path, of which nothing is shown yet. No line of it should be longer than `most_line` bytes.
    pub(super) fn new(path: &Path, file: File, most_line: u64) -> io::Result<Growing> {
        let metadata = file.metadata()?;
        Ok(Growing {
            path: path.to_owned(),
            identity: identity(&metadata),
            most_line,
            file,
            shown: 0,
            searched: 0,
            length: 0,
            changed: changed(&metadata),
            blocks: Vec::new(),
            last: Hasher::new(),
            tail: Vec::new(),
            cursor: 0,
            is_over: false,
        })
    }

    /// The file's length when it was last looked at.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn shown(&self) -> u64 {
        self.shown
    }

    /// True once nothing more will be shown.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    pub(super) fn end(&mut self) {
        self.is_over = true;
    }

    /// Shows the lines that have been ended since, or some of them. False if there are none.
    pub(super) fn look(&mut self) -> Result<bool> {
        if self.is_over {
            return Ok(false);
        }
        self.check()?;
        if self.length == self.searched {
            return Ok(false);
        }
        let start = self.shown - self.tail.len() as u64;
        let mut piece =
            vec![0; (self.length - start).min(LOOK_BYTES + self.most_line + self.tail.len() as u64) as usize];
        self.file.read_exact_at(&mut piece, start).map_err(|error| self.unread(&error))?;
        if !piece.starts_with(&self.tail) {
            self.compare()?;
            return Err(self.error(start, "was changed while it was followed"));
        }
        let new = &piece[self.tail.len()..];
        self.searched = self.shown + new.len() as u64;
        let whole = memrchr(b'\n', new).map_or(0, |end| end + 1);
        // The reader says what is wrong with a row that does not end.
        let is_endless = whole == 0 && new.len() as u64 > self.most_line;
        let whole = if is_endless { new.len() } else { whole };
        self.show(&new[..whole]);
        Ok(whole > 0)
    }

    fn show(&mut self, mut bytes: &[u8]) {
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]);
        self.tail.drain(..self.tail.len().saturating_sub(TAIL_BYTES));
        while !bytes.is_empty() {
            let room = BLOCK - self.shown as usize % BLOCK;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.last.update(now);
            self.shown += now.len() as u64;
            if self.shown.is_multiple_of(BLOCK as u64) {
                self.blocks.push(std::mem::take(&mut self.last).finalize());
            }
            bytes = later;
        }
    }

    /// An error if the file was replaced, cut short, or changed without growing.
    fn check(&mut self) -> Result<()> {
        let named = match self.path.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(self.error(self.shown, "was removed or renamed while it was followed"));
            }
            named => named.map_err(|error| self.unread(&error))?,
        };
        if identity(&named) != self.identity {
            return Err(
                self.error(self.shown, "was replaced while it was followed: its name belongs to another file now")
            );
        }
        if named.len() < self.length {
            let what = format!("was cut from {} to {} bytes while it was followed", self.length, named.len());
            return Err(self.error(named.len(), &what));
        }
        let has_changed = changed(&named) != self.changed;
        if has_changed && named.len() == self.length {
            self.compare()?;
        }
        (self.length, self.changed) = (named.len(), changed(&named));
        Ok(())
    }

    /// An error if a byte that was shown is another now. It reads all of them.
    pub(super) fn compare(&self) -> Result<()> {
        let (mut buffer, mut start) = (vec![0; BLOCK], 0);
        let blocks = self.blocks.iter().copied().chain([self.last.clone().finalize()]);
        for crc in blocks {
            let size = (self.shown - start).min(BLOCK as u64) as usize;
            let block = &mut buffer[..size];
            self.file.read_exact_at(block, start).map_err(|error| self.unread(&error))?;
            if crc32fast::hash(block) != crc {
                let end = start + size as u64;
                let what = format!("was changed while it was followed, somewhere from here to byte {end}");
                return Err(self.error(start, &what));
            }
            start += size as u64;
        }
        Ok(())
    }

    fn unread(&self, error: &io::Error) -> Error {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return self.error(self.shown, "was cut short while it was followed");
        }
        Error::at_path(Kind::BadInput, &self.path, "read the agency's bets", error)
    }

    /// An error about what is at this byte.
    fn error(&self, byte: u64, what: &str) -> Error {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str()).display();
        let line = self.line_of(byte).map_or(String::new(), |line| format!(":{line}"));
        Error::bad_input(format!(
            "{name}{line}: the file {what} (byte {byte}); what was sent stays stored, so put it back as it was, with what is new \
             behind that, and start again"
        ))
    }

    /// The number of the line that holds a byte, if what is before can still be read.
    fn line_of(&self, byte: u64) -> io::Result<u64> {
        let (mut buffer, mut start, mut line) = (vec![0; BLOCK], 0, 1);
        while start < byte {
            let size = (byte - start).min(BLOCK as u64) as usize;
            self.file.read_exact_at(&mut buffer[..size], start)?;
            line += memchr_iter(b'\n', &buffer[..size]).count() as u64;
            start += size as u64;
        }
        Ok(line)
    }

    pub(super) fn go_to(&mut self, byte: u64) {
        self.cursor = byte;
    }
}

impl io::Read for Growing {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let room = self.shown.saturating_sub(self.cursor).min(into.len() as u64) as usize;
        if room == 0 {
            return Ok(0);
        }
        let read = self.file.read_at(&mut into[..room], self.cursor)?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file was cut short while it was followed"));
        }
        self.cursor += read as u64;
        Ok(read)
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn changed(metadata: &Metadata) -> (i64, i64) {
    (metadata.mtime(), metadata.mtime_nsec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, OpenOptions};
    use std::io::{Read as _, Write as _};
    use std::time::{Duration, SystemTime};

    const MOST_LINE: u64 = 256 * 1024;

    struct Stage {
        _folder: tempfile::TempDir,
        path: PathBuf,
        writer: File,
        growing: Growing,
        read: Vec<u8>,
    }

    impl Stage {
        fn new() -> Stage {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("agency-3.csv");
            let writer = OpenOptions::new().create(true).append(true).open(&path).unwrap();
            let growing = Growing::new(&path, File::open(&path).unwrap(), MOST_LINE).unwrap();
            Stage { _folder: folder, path, writer, growing, read: Vec::new() }
        }

        fn write(&mut self, bytes: impl AsRef<[u8]>) -> &mut Stage {
            self.writer.write_all(bytes.as_ref()).unwrap();
            self
        }

        /// Looks until there is nothing new, and reads what is shown.
        fn look(&mut self) -> Result<&[u8]> {
            while self.growing.look()? {
                self.growing.read_to_end(&mut self.read).unwrap();
            }
            Ok(&self.read)
        }

        #[track_caller]
        fn refused(&mut self, words: &[&str]) {
            let error = self.look().unwrap_err();
            assert_eq!(error.kind, Kind::BadInput);
            assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
        }

        /// Writes over what is there, and gives the file another time.
        fn overwrite(&mut self, at: u64, bytes: &[u8]) {
            let file = OpenOptions::new().write(true).open(&self.path).unwrap();
            file.write_all_at(bytes, at).unwrap();
            file.set_modified(SystemTime::now() + Duration::from_secs(5)).unwrap();
        }
    }

    #[test]
    fn whole_lines_are_shown_once_however_they_are_written() {
        let text = "José,Ñandú,1,2000-01-01,7\r\n\nAna,Paz,2,2000-01-01,8\n".repeat(3000);
        for size in [1, 7, 4096, 70_000, usize::MAX] {
            let mut stage = Stage::new();
            let text = if size < 7 { &text[..text.len() / 100] } else { &text[..] };
            let mut written = 0;
            for piece in text.as_bytes().chunks(size.min(text.len())) {
                written += piece.len();
                let whole = text.as_bytes()[..written].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
                assert_eq!(stage.write(piece).look().unwrap().len(), whole);
            }
            assert!(text.as_bytes().starts_with(stage.look().unwrap()));
            stage.growing.compare().unwrap();
        }
    }

    #[test]
    fn a_file_that_is_cut_replaced_or_removed_is_told_with_its_line() {
        let mut stage = Stage::new();
        stage.write("one\ntwo\nthr").look().unwrap();
        stage.writer.set_len(10).unwrap();
        stage.refused(&["agency-3.csv:3: the file was cut from 11 to 10 bytes", "byte 10"]);
        let mut stage = Stage::new();
        stage.write("one\ntwo\n").look().unwrap();
        stage.writer.set_len(5).unwrap();
        stage.refused(&["agency-3.csv:2: the file was cut from 8 to 5 bytes", "byte 5"]);
        let mut stage = Stage::new();
        stage.write("one\n").look().unwrap();
        fs::rename(&stage.path, stage.path.with_extension("old")).unwrap();
        stage.refused(&["agency-3.csv:2: the file was removed or renamed", "byte 4"]);
        fs::write(&stage.path, "one\ntwo\n").unwrap();
        stage.refused(&["agency-3.csv:2: the file was replaced"]);
    }

    #[test]
    fn a_byte_that_is_another_is_noticed() {
        let line = "Ana,Paz,2,2000-01-01,8\n";
        let start = || {
            let mut stage = Stage::new();
            stage.write(line.repeat(20_000)).look().unwrap();
            stage
        };
        // Without growth, at once, wherever it is.
        for at in [0, 70_000, 23 * 20_000 - 5] {
            let mut stage = start();
            stage.overwrite(at, b"X");
            let block = at / BLOCK as u64 * BLOCK as u64;
            let number = block / 23 + 1;
            stage.refused(&[&format!("agency-3.csv:{number}: the file was changed"), &format!("byte {block})")]);
        }
        // With growth, if it is near the end.
        let mut stage = start();
        stage.overwrite(23 * 20_000 - 5, b"X");
        stage.write(line).refused(&["was changed while it was followed"]);
        // And anywhere at the end.
        let mut stage = start();
        stage.overwrite(70_000, b"X");
        stage.write(line).look().unwrap();
        assert!(stage.growing.compare().unwrap_err().to_string().contains("byte 65536"));
        // Another time alone is nothing.
        let mut stage = start();
        stage.overwrite(70_000, &line.repeat(2).as_bytes()[70_000 % 23..][..1]);
        stage.look().unwrap();
    }

    #[test]
    fn a_row_without_an_end_is_shown_to_the_reader_who_says_so() {
        let mut stage = Stage::new();
        let long = "x".repeat(MOST_LINE as usize);
        assert!(stage.write(&long).look().unwrap().is_empty());
        assert!(!stage.write("xy").look().unwrap().is_empty());
    }

    #[test]
    fn nothing_is_shown_behind_the_end() {
        let mut stage = Stage::new();
        stage.write("one\n").look().unwrap();
        stage.growing.end();
        assert_eq!(stage.write("two\n").look().unwrap(), b"one\n");
        assert_eq!((stage.growing.shown(), stage.growing.length(), stage.growing.is_over()), (4, 4, true));
    }
}
