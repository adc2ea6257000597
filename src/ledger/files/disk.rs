//! The disk as the ledger sees it: a folder with files that are written at offsets and synced. It is a trait, so that tests
//! can lose, tear and fail every single write and sync.

use std::fs::{DirEntry, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tempfile::SpooledTempFile;

/// Bets are personal data, so only the owner may read their files.
const FILE_MODE: u32 = 0o600;

/// The most bytes of `bets.csv` that are read at once.
pub const CHUNK: usize = 256 * 1024;

/// Network file systems, by the number that `statfs` returns for them.
const NETWORKS: [(u64, &str); 6] = [
    (0x6969, "NFS"),
    (0x517B, "SMB"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB2"),
    (0x00C3_6400, "Ceph"),
    (0x0102_1997, "9P"),
];

/// An open file. Reading and writing at offsets come from [`FileExt`].
pub trait Medium: FileExt + Send + Sync {
    /// Returns once everything that was written is on the disk itself.
    fn sync(&self) -> io::Result<()>;
    fn set_len(&self, length: u64) -> io::Result<()>;
    fn len(&self) -> io::Result<u64>;
}

/// The ledger's folder. A crash may undo any creation, removal or renaming since the last [`Folder::sync_names`].
pub trait Folder: Send + Sync {
    /// Opens a file, which is created if it does not exist, and locks it against other processes.
    fn open_alone(&self, name: &str) -> io::Result<Box<dyn Medium>>;
    /// Opens an existing file.
    fn open(&self, name: &str) -> io::Result<Box<dyn Medium>>;
    /// Creates a file. An existing file or link of that name is an error.
    fn create(&self, name: &str) -> io::Result<Box<dyn Medium>>;
    fn exists(&self, name: &str) -> io::Result<bool>;
    fn names(&self) -> io::Result<Vec<String>>;
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file if it exists.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Returns once all changes of names are on the disk itself.
    fn sync_names(&self) -> io::Result<()>;
    /// Creates a file without a name, which ends with its handle. It stays in memory up to `in_memory` bytes.
    fn scratch(&self, in_memory: usize) -> SpooledTempFile;
    /// The path of a file, for error messages.
    fn path(&self, name: &str) -> PathBuf;
}

/// Writes and syncs a new file. It replaces one that a crash has left, and a link, which must not be followed.
pub fn write_anew(folder: &dyn Folder, name: &str, bytes: &[u8]) -> io::Result<Box<dyn Medium>> {
    let write = || {
        folder.remove(name)?;
        let file = folder.create(name)?;
        file.write_all_at(bytes, 0)?;
        file.sync()?;
        Ok(file)
    };
    // A partial file may take space that other files need. If it cannot be removed, the next attempt removes it.
    write().inspect_err(|_| _ = folder.remove(name))
}

/// Writes a new file that its owner alone can read. It replaces one of the same name, and a link.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    RealFolder::options().create_new(true).open(path)?.write_all_at(bytes, 0)
}

/// A folder of the file system.
pub struct RealFolder {
    path: PathBuf,
    /// Nothing in it is changed.
    is_read_only: bool,
}

impl RealFolder {
    /// Opens the folder. It is created with its parents if it does not exist.
    pub fn open(path: &Path) -> io::Result<RealFolder> {
        let parents = parents_of_missing(path);
        std::fs::create_dir_all(path)?;
        // Without these syncs a crash could undo the creation of the folder, and lose acknowledged bets with it.
        parents.into_iter().try_for_each(|parent| File::open(parent)?.sync_all())?;
        Ok(RealFolder { path: path.to_owned(), is_read_only: false })
    }

    /// A folder that another process may be using. Its files are opened to be read.
    pub fn to_read(path: &Path) -> RealFolder {
        RealFolder { path: path.to_owned(), is_read_only: true }
    }

    /// The name of the network file system that the folder is on, if it is on one.
    pub fn network(&self) -> Option<&'static str> {
        network_of(rustix::fs::statfs(&self.path).ok()?.f_type as u64)
    }

    fn options() -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(FILE_MODE);
        options
    }
}

/// The folders in which a folder is made if this path and its parents are: those that hold one that does not exist.
fn parents_of_missing(path: &Path) -> Vec<&Path> {
    let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let parents = path.ancestors().take_while(is_missing).filter_map(Path::parent);
    parents.map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent }).collect()
}

/// The number has 32 bits, and their sign before them where the system's type for it is larger.
fn network_of(kind: u64) -> Option<&'static str> {
    NETWORKS.iter().find(|(magic, _)| *magic == kind & 0xFFFF_FFFF).map(|(_, name)| *name)
}

impl Folder for RealFolder {
    fn open_alone(&self, name: &str) -> io::Result<Box<dyn Medium>> {
        let file = RealFolder::options().create(true).truncate(false).open(self.path(name))?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::new(
                io::ErrorKind::WouldBlock,
                "another central has it open: stop that one, or choose another --store",
            ),
            TryLockError::Error(error) => error,
        })?;
        Ok(Box::new(file))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Medium>> {
        Ok(Box::new(RealFolder::options().write(!self.is_read_only).open(self.path(name))?))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Medium>> {
        Ok(Box::new(RealFolder::options().create_new(true).open(self.path(name))?))
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        self.path(name).try_exists()
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let name = |entry: io::Result<DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        std::fs::read_dir(&self.path)?.map(name).collect()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match std::fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn scratch(&self, in_memory: usize) -> SpooledTempFile {
        tempfile::spooled_tempfile_in(in_memory, &self.path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Medium for File {
    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        File::set_len(self, length)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;

    fn names(folder: &RealFolder) -> Vec<String> {
        let mut names = folder.names().unwrap();
        names.sort();
        names
    }

    #[test]
    fn a_folder_does_to_its_files_what_it_says() {
        let outside = tempfile::tempdir().unwrap();
        let path = outside.path().join("made/as/well");
        let folder = RealFolder::open(&path).unwrap();
        assert!(names(&folder).is_empty() && folder.path("one") == path.join("one"));
        let one = folder.create("one").unwrap();
        assert_eq!(folder.create("one").err().unwrap().kind(), io::ErrorKind::AlreadyExists);
        one.write_all_at(b"123456", 0).unwrap();
        one.set_len(4).unwrap();
        one.sync().unwrap();
        let (first, second) = (folder.open_alone("two").unwrap(), folder.open_alone("two").err().unwrap());
        assert_eq!((first.len().unwrap(), second.kind()), (0, io::ErrorKind::WouldBlock));
        assert_eq!(names(&folder), ["one", "two"]);
        folder.rename("one", "three").unwrap();
        folder.sync_names().unwrap();
        assert!(folder.open("one").is_err() && folder.open("three").unwrap().len().unwrap() == 4);
        assert!(!folder.exists("one").unwrap() && folder.exists("three").unwrap());
        folder.remove("two").unwrap();
        folder.remove("two").unwrap();
        assert_eq!(names(&folder), ["three"]);
    }

    #[test]
    fn a_folder_tells_what_it_could_not_do() {
        let outside = tempfile::tempdir().unwrap();
        let path = outside.path().join("folder");
        let folder = RealFolder::open(&path).unwrap();
        std::fs::create_dir(path.join("inner")).unwrap();
        assert!(folder.remove("inner").is_err(), "it is no file");
        std::fs::remove_dir_all(&path).unwrap();
        assert!(folder.sync_names().is_err() && folder.rename("one", "two").is_err() && folder.names().is_err());
    }

    #[test]
    fn a_sync_asks_the_system() {
        // Nothing can sync a pipe.
        let (reader, _writer) = io::pipe().unwrap();
        assert!(File::from(OwnedFd::from(reader)).sync().is_err());
    }

    #[test]
    fn network_file_systems_are_told_by_their_number() {
        assert_eq!(network_of(0x6969), Some("NFS"));
        let cifs = 0xFF53_4D42_u32;
        assert_eq!([network_of(cifs.into()), network_of(i64::from(cifs as i32) as u64)], [Some("CIFS"); 2]);
        // That of ext4, and none.
        assert_eq!([network_of(0xEF53), network_of(0)], [None; 2]);
        assert_eq!(RealFolder::to_read(Path::new("/proc")).network(), None);
    }

    #[test]
    fn the_parents_of_every_folder_that_is_made_are_synced() {
        let outside = tempfile::tempdir().unwrap();
        let made = outside.path().join("made");
        assert_eq!(parents_of_missing(&made.join("as/well")), [&made.join("as"), &made, outside.path()]);
        assert!(parents_of_missing(outside.path()).is_empty());
        assert_eq!(parents_of_missing(Path::new("no such/folder")), [Path::new("no such"), Path::new(".")]);
    }
}
