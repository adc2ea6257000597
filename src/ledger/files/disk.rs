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

/// A folder of the file system.
pub struct RealFolder {
    path: PathBuf,
}

impl RealFolder {
    /// Opens the folder. It is created with its parents if it does not exist.
    pub fn open(path: &Path) -> io::Result<RealFolder> {
        let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
        let made: Vec<&Path> = path.ancestors().take_while(is_missing).collect();
        std::fs::create_dir_all(path)?;
        // Without these syncs a crash could undo the creation of the folder, and lose acknowledged bets with it.
        for parent in made.into_iter().filter_map(Path::parent) {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            File::open(parent)?.sync_all()?;
        }
        Ok(RealFolder { path: path.to_owned() })
    }

    /// The name of the network file system that the folder is on, if it is on one.
    pub fn network(&self) -> Option<&'static str> {
        let kind = rustix::fs::statfs(&self.path).ok()?.f_type as u64 & 0xFFFF_FFFF;
        NETWORKS.iter().find(|(magic, _)| *magic == kind).map(|(_, name)| *name)
    }

    fn options() -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(FILE_MODE);
        options
    }
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
        Ok(Box::new(RealFolder::options().open(self.path(name))?))
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
