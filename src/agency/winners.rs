//! The winners as they come in, page by page.

use std::fs::Permissions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, Kind, Result};

/// Counts the winners and, if wanted, writes their documents to a file, one a line. The file appears at once and whole.
pub(super) struct WinnersOutput {
    received: u64,
    file: Option<(PathBuf, BufWriter<NamedTempFile>)>,
}

impl WinnersOutput {
    /// Fails at once when the file cannot be written: not after hours of uploading.
    pub(super) fn new(path: Option<&Path>) -> Result<WinnersOutput> {
        let file = path.map(|path| Ok((path.to_owned(), BufWriter::new(beside(path)?)))).transpose()?;
        Ok(WinnersOutput { received: 0, file })
    }

    /// How many came so far, which is also where the next page begins.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Takes a page: documents joined by commas. Returns how many there were.
    pub(super) fn take(&mut self, page: &str) -> Result<u64> {
        let mut count = 0;
        for document in page.split(',').filter(|document| !document.is_empty()) {
            count += 1;
            if let Some((path, file)) = &mut self.file {
                writeln!(file, "{document}").map_err(|error| unwritable(path, &error))?;
            }
        }
        self.received += count;
        Ok(count)
    }

    /// Puts the file in its place.
    pub(super) fn finish(&mut self) -> Result<()> {
        let Some((path, file)) = self.file.take() else { return Ok(()) };
        let file = file.into_inner().map_err(|error| unwritable(&path, error.error()))?;
        file.as_file().sync_all().map_err(|error| unwritable(&path, &error))?;
        file.persist(&path).map_err(|error| unwritable(&path, &error.error))?;
        Ok(())
    }
}

/// A file in the same folder, so that a rename puts it in its place. It is deleted if that never happens.
fn beside(path: &Path) -> Result<NamedTempFile> {
    if path.is_dir() {
        return Err(unwritable(path, &io::ErrorKind::IsADirectory.into()));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::Builder::new()
        .prefix(".winners-")
        // As any file that the user makes: the umask takes from this what it takes.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &io::Error) -> Error {
    Error::at_path(Kind::BadInput, path, "write the winners", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_become_lines_once_all_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("winners.txt");
        std::fs::write(&path, "of the lottery before\n").unwrap();
        let mut winners = WinnersOutput::new(Some(&path)).unwrap();
        assert_eq!(winners.take("1,2.a").unwrap(), 2);
        assert_eq!(winners.take("").unwrap(), 0);
        assert_eq!(winners.take("3").unwrap(), 1);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "of the lottery before\n");
        winners.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n2.a\n3\n");
        assert_eq!(winners.received(), 3);
        assert_eq!(folder.path().read_dir().unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_file_that_never_gets_whole_is_never_seen() {
        let folder = tempfile::tempdir().unwrap();
        let mut winners = WinnersOutput::new(Some(&folder.path().join("w"))).unwrap();
        winners.take("1").unwrap();
        drop(winners);
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn an_unwritable_place_is_named_at_once() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("none/winners.txt")] {
            let error = WinnersOutput::new(Some(&path)).err().unwrap();
            assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
        }
    }
}
