//! The disk as the ledger sees it: a folder with files that are written at offsets and synced. Behind a trait, so that
//! tests can lose, tear and fail every single write and sync.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tempfile::SpooledTempFile;

/// Bets name people: their files are for the owner alone.
const FILE_MODE: u32 = 0o600;

/// An open file. Reading and writing at offsets come from [`FileExt`].
pub trait Medium: FileExt + Send + Sync {
    /// Returns once all that was written is on the disk itself.
    fn sync(&self) -> io::Result<()>;
    fn set_len(&self, length: u64) -> io::Result<()>;
    fn len(&self) -> io::Result<u64>;
}

/// The ledger's folder.
pub trait Folder: Send + Sync {
    /// Opens a file, made empty if it is not there, and keeps every other process from doing so.
    fn open_alone(&self, name: &str) -> io::Result<Box<dyn Medium>>;
    /// Opens a file that is there.
    fn open(&self, name: &str) -> io::Result<Box<dyn Medium>>;
    fn exists(&self, name: &str) -> io::Result<bool>;
    /// Replaces a file by these bytes: after a crash it holds the old bytes or the new ones, and after the return the new.
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<Box<dyn Medium>, ReplaceError>;
    /// A file without a name, gone with its handle, and in memory while it has no more than so many bytes.
    fn scratch(&self, in_memory: usize) -> SpooledTempFile;
    /// How an error message names a file.
    fn path(&self, name: &str) -> PathBuf;
}

/// Why a file was not replaced.
#[derive(Debug)]
pub enum ReplaceError {
    /// The old file is still there, whatever happens.
    Before(io::Error),
    /// Nobody knows which of the two a crash would leave.
    Unknown(io::Error),
}

/// A folder of the file system.
pub struct RealFolder {
    path: PathBuf,
}

impl RealFolder {
    /// Makes the folder if it is not there.
    pub fn open(path: &Path) -> io::Result<RealFolder> {
        std::fs::create_dir_all(path)?;
        Ok(RealFolder { path: path.to_owned() })
    }

    fn options() -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(FILE_MODE);
        options
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
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
        self.sync_names()?;
        Ok(Box::new(file))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Medium>> {
        Ok(Box::new(RealFolder::options().open(self.path(name))?))
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        self.path(name).try_exists()
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<Box<dyn Medium>, ReplaceError> {
        let temporary = self.path(&format!("{name}.new"));
        let write = || {
            let mut file = RealFolder::options().create(true).truncate(true).open(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            file.rewind()?;
            std::fs::rename(&temporary, self.path(name))?;
            Ok(file)
        };
        let file = write().map_err(ReplaceError::Before)?;
        self.sync_names().map_err(ReplaceError::Unknown)?;
        Ok(Box::new(file))
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
