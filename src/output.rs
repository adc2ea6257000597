//! Printing to standard output, and files that are written whole or not at all.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::TempPath;

use crate::error::{Error, Kind, Result};
use crate::logging;

/// Names of standard output. They are never replaced: whoever reads it has the old file open.
const STDOUT: [&str; 3] = ["-", "/dev/stdout", "/dev/fd/1"];

/// Bytes read from an existing file to find out what it is.
const LOOK_BYTES: u64 = 64 * 1024;

/// A file that appears, or replaces an existing one, in one step when it is finished. Links are followed. Standard
/// output (`-`), devices and FIFOs are written to directly.
pub struct WholeFile {
    path: PathBuf,
    /// None for standard output.
    file: Option<File>,
    /// The temporary file, which is deleted if it is dropped, and the path that it is renamed to.
    renamed: Option<(TempPath, PathBuf)>,
}

/// Prints to standard output, after all earlier log lines. A reader may close the pipe early: that is not an error.
pub fn print(text: impl AsRef<[u8]>) -> Result<()> {
    logging::flush();
    let mut stdout = io::stdout().lock();
    let written = unless_closed(stdout.write_all(text.as_ref()).and_then(|()| stdout.flush()));
    written.map_err(|error| Error::failed(format!("standard output: cannot write: {error}")))
}

/// A result for programs, as `--json` prints it: one JSON object. docs/JSON.md lists the fields of each.
pub fn object(result: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(result);
    Ok(text.map_err(|error| Error::failed(format!("cannot print JSON: {error}")))? + "\n")
}

/// Refuses to replace a file unless `is_ours` recognises its beginning. Empty files, devices and FIFOs lose nothing.
pub fn check_replaceable(path: &Path, what: &str, is_ours: impl Fn(&[u8]) -> bool) -> Result<()> {
    if STDOUT.map(Path::new).contains(&path) || !path.is_file() {
        return Ok(());
    }
    let mut start = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LOOK_BYTES).read_to_end(&mut start))
        .map_err(|error| Error::at_path(Kind::BadInput, path, "read what is there", &error))?;
    if start.is_empty() || is_ours(&start) {
        return Ok(());
    }
    Err(Error::bad_path(path, format!("is there already and is no {what}; --force replaces it")))
}

/// A number with its noun, in the plural unless it is 1.
pub fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// The folder that holds a path's file.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl WholeFile {
    /// Fails now, before any work is done, if the path cannot be written.
    pub fn create(path: &Path) -> Result<WholeFile> {
        WholeFile::open(path, Permissions::from_mode(0o666), false).map_err(|error| unwritable(path, &error))
    }

    /// The same for a file that nobody but its owner may read, even if the one that it replaces could be read by others.
    pub fn create_private(path: &Path) -> Result<WholeFile> {
        WholeFile::open(path, Permissions::from_mode(0o600), true).map_err(|error| unwritable(path, &error))
    }

    /// False for standard output, devices and FIFOs.
    pub fn is_regular(&self) -> bool {
        self.renamed.is_some()
    }

    pub fn write(&mut self, text: &[u8]) -> Result<()> {
        let Some(file) = &mut self.file else { return print(text) };
        unless_closed(file.write_all(text)).map_err(|error| unwritable(&self.path, &error))
    }

    pub fn finish(self) -> Result<()> {
        let (Some(file), Some((beside, target))) = (self.file, self.renamed) else { return Ok(()) };
        let put = file.sync_all().and_then(|()| Ok(beside.persist(target)?));
        put.map_err(|error| unwritable(&self.path, &error))
    }

    /// With a mode for a new file, or always.
    fn open(path: &Path, mode: Permissions, always: bool) -> io::Result<WholeFile> {
        let opened = |file, renamed| Ok(WholeFile { path: path.to_owned(), file, renamed });
        if STDOUT.map(Path::new).contains(&path) {
            return opened(None, None);
        }
        // Opened to check the permission: a rename would replace a read-only file as well.
        let present = match OpenOptions::new().write(true).open(path) {
            Ok(file) if !file.metadata()?.is_file() => return opened(Some(file), None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            file => Some(file?.metadata()?.permissions()),
        };
        let mut target = path.to_owned();
        // This ends: a loop of links would have failed to open above.
        while let Ok(next) = target.read_link() {
            target = folder_of(&target).join(next);
        }
        // Otherwise the error would name the temporary file, which nobody knows.
        folder_of(&target).metadata()?;
        // The umask applies to a new file as to any other.
        let mode = present.filter(|_| !always).unwrap_or(mode);
        let beside = tempfile::Builder::new().prefix(".quiniela-").permissions(mode).tempfile_in(folder_of(&target))?;
        let (file, beside) = beside.into_parts();
        opened(Some(file), Some((beside, target)))
    }
}

fn unless_closed(written: io::Result<()>) -> io::Result<()> {
    written.or_else(|error| if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })
}

fn unwritable(path: &Path, error: &io::Error) -> Error {
    Error::at_path(Kind::BadInput, path, "write", error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn write(path: &Path, text: &str) {
        let mut file = WholeFile::create(path).unwrap();
        file.write(text.as_bytes()).unwrap();
        file.finish().unwrap();
    }

    #[test]
    fn a_file_is_replaced_whole_with_its_mode_and_through_its_links() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("other")).unwrap();
        fs::write(path("other/real"), "a much longer text than the one that takes its place").unwrap();
        fs::set_permissions(path("other/real"), Permissions::from_mode(0o640)).unwrap();
        symlink("real", path("other/link")).unwrap();
        symlink("other/link", path("link")).unwrap();
        write(&path("link"), "new");
        assert_eq!(fs::read_to_string(path("other/real")).unwrap(), "new");
        assert_eq!(fs::metadata(path("other/real")).unwrap().permissions().mode() & 0o777, 0o640);
        fs::remove_file(path("other/real")).unwrap();
        write(&path("link"), "where a link leads to nothing");
        assert_eq!(fs::read_to_string(path("other/real")).unwrap(), "where a link leads to nothing");
        assert!(path("link").is_symlink() && path("other/link").is_symlink() && !path("other/real").is_symlink());
        let count = |name: &str| fs::read_dir(path(name)).unwrap().count();
        assert_eq!((count("."), count("other")), (2, 2), "nothing is left behind");
    }

    #[test]
    fn a_private_file_can_be_read_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        for text in ["new", "another"] {
            let mut file = WholeFile::create_private(&path).unwrap();
            file.write(text.as_bytes()).unwrap();
            file.finish().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        }
    }

    #[test]
    fn a_file_that_never_gets_whole_is_never_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w");
        fs::write(&path, "of before\n").unwrap();
        let mut file = WholeFile::create(&path).unwrap();
        file.write(b"1\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "of before\n");
        drop(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "of before\n");
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn an_unwritable_place_is_named_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let circle = folder.path().join("circle");
        symlink("circle", &circle).unwrap();
        for path in [folder.path().to_owned(), folder.path().join("none/winners.txt"), circle] {
            let error = WholeFile::create(&path).err().unwrap();
            assert_eq!(error.kind, Kind::BadInput);
            assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
            assert!(!error.to_string().contains(".quiniela-"), "{error}");
        }
    }
}
