//! A folder of keys: one command at a time, and each change of it whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};
use crate::transport::open_secret;

/// Where a change is gathered. One that is found here was interrupted before it was decided, and is dropped.
const STAGED: &str = ".quiniela-staged";
/// Where a change is that was decided. One that is found here was interrupted, and is finished.
const DECIDED: &str = ".quiniela-change";
/// Longer than any command takes but the making of thousands of keys.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// Between two attempts to get the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// No file that is read here is longer: a list of issued certificates has about 100 bytes for each.
const MAX_FILE: u64 = 256 * 1024 * 1024;

const FOLDER_MODE: u32 = 0o700;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The owner alone.
    Secret,
    /// Whomever the umask lets.
    Public,
}

/// A folder that no other command changes while this is kept.
pub struct KeysFolder {
    path: PathBuf,
    /// Whether a change of an interrupted command was finished when it was opened.
    pub was_finished: bool,
    _lock: File,
}

/// Files that take their places together. Dropped without [`Change::commit`], it leaves what was there.
pub struct Change<'a> {
    folder: &'a KeysFolder,
    staged: PathBuf,
}

impl KeysFolder {
    /// Opens a folder that is there, or makes it.
    pub fn make(path: &Path) -> Result<KeysFolder> {
        fs::create_dir_all(path).map_err(|error| Error::at_path(Kind::Failed, path, "make this folder", &error))?;
        KeysFolder::open(path)
    }

    /// Waits for its turn. A change that an interrupted command had decided is finished here.
    pub fn open(path: &Path) -> Result<KeysFolder> {
        let lock = lock(path)?;
        let mut folder = KeysFolder { path: path.to_owned(), was_finished: false, _lock: lock };
        let staged = folder.path(STAGED);
        remove_all(&staged).map_err(|error| Error::at_path(Kind::Failed, &staged, "remove it", &error))?;
        if folder.path(DECIDED).exists() {
            folder.finish()?;
            folder.was_finished = true;
        }
        Ok(folder)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub fn holds(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    pub fn change(&self) -> Result<Change<'_>> {
        let staged = self.path(STAGED);
        make_folder(&staged).map_err(|error| Error::at_path(Kind::Failed, &staged, "make this folder", &error))?;
        Ok(Change { folder: self, staged })
    }

    /// Moves what is decided to its places. It can be done again, whatever an earlier attempt has moved.
    fn finish(&self) -> Result<()> {
        let decided = self.path(DECIDED);
        move_all(&decided, &self.path)?;
        let removed = settle(&self.path).and_then(|()| remove_all(&decided));
        removed.map_err(|error| Error::at_path(Kind::Failed, &decided, "finish this change", &error))
    }
}

impl Change<'_> {
    /// Adds a file, by its path in the folder.
    pub fn put(&mut self, name: &str, content: &[u8], access: Access) -> Result<()> {
        let place = self.folder.path(name);
        self.check_place(&place)?;
        let path = self.staged.join(name);
        let write = || {
            if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
                make_folder(parent)?;
            }
            let mode = if access == Access::Secret { 0o600 } else { 0o644 };
            let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
            file.write_all(content)
        };
        write().map_err(|error| Error::at_path(Kind::Failed, &place, "write", &error))
    }

    /// After this returns, and after any interruption from a certain moment on, the files are in their places.
    pub fn commit(self) -> Result<()> {
        let decide = || {
            settle(&self.staged)?;
            fs::rename(&self.staged, self.folder.path(DECIDED))?;
            File::open(&self.folder.path)?.sync_all()
        };
        decide().map_err(|error| Error::at_path(Kind::Failed, &self.folder.path, "write here", &error))?;
        self.folder.finish()
    }

    /// Refuses before anything is decided what could not be finished then.
    fn check_place(&self, place: &Path) -> Result<()> {
        if place.is_dir() {
            return Err(Error::bad_path(place, "is a folder, and a file is to be here"));
        }
        let folder = place.parent().unwrap_or(&self.folder.path);
        let (Ok(there), Ok(ours)) = (fs::metadata(folder), fs::metadata(&self.folder.path)) else { return Ok(()) };
        if !there.is_dir() {
            return Err(Error::bad_path(folder, "is no folder"));
        }
        if there.dev() != ours.dev() {
            let advice = "make a folder of it, and copy the files to where they are needed";
            return Err(Error::bad_path(folder, format!("is on another file system: {advice}")));
        }
        Ok(())
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        // What stays is removed by the next command.
        let _ = remove_all(&self.staged);
    }
}

/// What a file holds. A missing file is an error like any other.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    read_open(path, File::open(path))
}

/// What a private key's file holds. One that others can read is refused: they may have read it.
pub fn read_secret(path: &Path) -> Result<Vec<u8>> {
    read_open(path, Ok(open_secret(path)?))
}

fn read_open(path: &Path, file: io::Result<File>) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    file.and_then(|file| file.take(MAX_FILE).read_to_end(&mut content))
        .map_err(|error| Error::at_path(Kind::BadInput, path, "read", &error))?;
    Ok(content)
}

fn lock(path: &Path) -> Result<File> {
    let unusable = |error: &io::Error| Error::at_path(Kind::BadInput, path, "open this folder", error);
    let file = File::open(path).map_err(|error| unusable(&error))?;
    if !file.metadata().map_err(|error| unusable(&error))?.is_dir() {
        return Err(Error::bad_path(path, "is no folder"));
    }
    let until = Instant::now() + LOCK_WAIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < until => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => {
                let message = "another quiniela keys works here: try again when it has ended";
                return Err(Error::failed(format!("{}: {message}", path.display())));
            }
            Err(TryLockError::Error(error)) => return Err(Error::at_path(Kind::Failed, path, "lock it", &error)),
        }
    }
}

/// Moves the files of a folder, and those of its folders, to where they belong.
fn move_all(from: &Path, to: &Path) -> Result<()> {
    let failed = |path: &Path, error: &io::Error| Error::at_path(Kind::Failed, path, "write", error);
    if !to.is_dir() {
        make_folder(to).map_err(|error| failed(to, &error))?;
    }
    for entry in from.read_dir().map_err(|error| failed(from, &error))? {
        let entry = entry.map_err(|error| failed(from, &error))?;
        let (path, place) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            move_all(&path, &place)?;
        } else {
            fs::rename(&path, &place).map_err(|error| failed(&place, &error))?;
        }
    }
    Ok(())
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(FOLDER_MODE).create(path)
}

fn remove_all(path: &Path) -> io::Result<()> {
    fs::remove_dir_all(path).or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// Returns once all that is in a folder is on the disk. One call for the whole file system: a sync for each of the files of
/// a thousand agencies would take most of a minute.
#[cfg(target_os = "linux")]
fn settle(folder: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(folder)?)?)
}

#[cfg(not(target_os = "linux"))]
fn settle(folder: &Path) -> io::Result<()> {
    for entry in folder.read_dir()? {
        let path = entry?.path();
        if path.is_dir() { settle(&path)? } else { File::open(&path)?.sync_all()? }
    }
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(folder: &KeysFolder, name: &str, text: &str) {
        let mut change = folder.change().unwrap();
        change.put(name, text.as_bytes(), Access::Secret).unwrap();
        change.commit().unwrap();
    }

    fn names(path: &Path) -> Vec<String> {
        let names = path.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn a_change_that_is_dropped_leaves_what_was_there() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = KeysFolder::make(&temporary.path().join("keys")).unwrap();
        put(&folder, "ca/ca.key", "old");
        let mut change = folder.change().unwrap();
        change.put("ca/ca.key", b"new", Access::Secret).unwrap();
        change.put("operator/key.pem", b"new", Access::Secret).unwrap();
        drop(change);
        assert_eq!(fs::read(folder.path("ca/ca.key")).unwrap(), b"old");
        assert_eq!(names(&folder.path("")), ["ca"]);
        assert_eq!(fs::metadata(folder.path("ca")).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(folder.path("ca/ca.key")).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn an_undecided_change_is_dropped_and_a_decided_one_is_finished() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path();
        for (folder, name) in [(STAGED, "one"), (DECIDED, "two")] {
            fs::create_dir_all(path.join(folder).join("agency-1")).unwrap();
            fs::write(path.join(folder).join("agency-1").join(name), name).unwrap();
        }
        fs::create_dir(path.join("agency-1")).unwrap();
        fs::write(path.join("agency-1/three"), "stays").unwrap();
        assert!(KeysFolder::open(path).unwrap().was_finished);
        assert_eq!(
            (names(path), names(&path.join("agency-1"))),
            (vec!["agency-1".into()], vec!["three".into(), "two".into()])
        );
        assert!(!KeysFolder::open(path).unwrap().was_finished);
    }

    #[test]
    fn what_could_not_be_finished_is_refused_before_it_is_decided() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = KeysFolder::open(temporary.path()).unwrap();
        fs::create_dir_all(folder.path("agency-1/key.pem")).unwrap();
        fs::write(folder.path("agency-2"), "").unwrap();
        for (name, place) in [("agency-1/key.pem", "agency-1/key.pem: "), ("agency-2/key.pem", "agency-2: ")] {
            let error = folder.change().unwrap().put(name, b"", Access::Secret).unwrap_err();
            assert!(error.kind == Kind::BadInput && error.to_string().contains(place), "{error}");
        }
        assert_eq!(names(temporary.path()), ["agency-1", "agency-2"]);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = KeysFolder::open(temporary.path()).unwrap();
        put(&folder, "key.pem", "secret");
        assert_eq!(read_secret(&folder.path("key.pem")).unwrap(), b"secret");
        fs::set_permissions(folder.path("key.pem"), std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        let error = read_secret(&folder.path("key.pem")).unwrap_err();
        assert!(error.to_string().contains("(mode 640); if nobody has, run: chmod 600 "), "{error}");
    }
}
