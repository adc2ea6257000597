//! A disk in memory that loses power at any moment and fails at any call.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use fastrand::Rng;
use parking_lot::Mutex;
use tempfile::SpooledTempFile;

use super::disk::{Folder, Medium};

const SECTOR: usize = 512;
const EIO: i32 = 5;
pub const ENOSPC: i32 = 28;

#[derive(Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    SetLength(usize),
}

/// A file without its name.
#[derive(Clone, Default)]
struct File {
    durable: Vec<u8>,
    /// The changes since the last sync.
    changes: Vec<Change>,
    live: Vec<u8>,
}

/// An atomic change of a name.
#[derive(Clone)]
enum Naming {
    Set(String, usize),
    Remove(String),
    Rename(String, String, usize),
}

type Names = BTreeMap<String, usize>;

/// The kind of a call to the disk, other than a read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// A write that takes space.
    Grow,
    /// Any other write.
    Write,
    Sync,
    /// A change of names, or a sync of them.
    Name,
}

/// Sees the disk at each call, and decides whether it fails.
type OnCall = Box<dyn FnMut(&Disk, Call) -> Option<Fault> + Send>;

#[derive(Default)]
pub struct Disk {
    files: Vec<File>,
    durable_names: Names,
    /// The changes of names since their last sync.
    namings: Vec<Naming>,
    names: Names,
    on_call: Option<OnCall>,
    /// Decides what a failing call does despite its failure.
    rng: Rng,
    is_full: bool,
    faults: usize,
}

#[derive(Clone, Copy, Debug)]
pub enum Fault {
    Error(i32),
    Interrupted,
    Short,
    /// A part is written, and the next call fails because the disk is full.
    Partial,
}

#[derive(Clone, Default)]
pub struct SimFolder(Arc<Mutex<Disk>>);

struct Handle {
    folder: SimFolder,
    file: usize,
}

impl Fault {
    /// Lets one call in `one_in` fail, in any way.
    pub fn any(rng: &mut Rng, one_in: u32) -> Option<Fault> {
        let faults = [Fault::Error(EIO), Fault::Error(ENOSPC), Fault::Interrupted, Fault::Short, Fault::Partial];
        (rng.u32(0..one_in) == 0).then(|| faults[rng.usize(0..faults.len())])
    }

    fn error(self) -> io::Error {
        match self {
            Fault::Error(code) => io::Error::from_raw_os_error(code),
            Fault::Interrupted => io::ErrorKind::Interrupted.into(),
            Fault::Short | Fault::Partial => io::Error::from_raw_os_error(EIO),
        }
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::SetLength(length) => bytes.resize(*length, 0),
            Change::Write { offset, bytes: written } => {
                bytes.resize(bytes.len().max(offset + written.len()), 0);
                bytes[*offset..offset + written.len()].copy_from_slice(written);
            }
        }
    }

    /// Applies what a power loss may leave of a change: all, nothing, the front part, or some of the sectors.
    fn after_power_loss(&self, bytes: &mut Vec<u8>, rng: &mut Rng) {
        match (self, rng.u8(0..4)) {
            (_, 0) => self.apply(bytes),
            (_, 1) | (Change::SetLength(_), _) => {}
            (Change::Write { offset, bytes: written }, 2) => {
                let mut kept = rng.usize(0..=written.len());
                // Where something was written before, a sector has its new bytes or its old ones. Elsewhere this does not have to
                // hold: a file may end anywhere.
                let is_rewritten = bytes.get(offset + kept..).is_some_and(|rest| rest.iter().any(|byte| *byte != 0));
                if is_rewritten {
                    kept = ((offset + kept) / SECTOR * SECTOR).saturating_sub(*offset);
                }
                Change::Write { offset: *offset, bytes: written[..kept].to_vec() }.apply(bytes);
            }
            (Change::Write { offset, bytes: written }, _) => {
                // The length survives, and any of the sectors.
                bytes.resize(bytes.len().max(offset + written.len()), 0);
                let mut start = *offset;
                while start < offset + written.len() {
                    let end = (start / SECTOR * SECTOR + SECTOR).min(offset + written.len());
                    if rng.bool() {
                        bytes[start..end].copy_from_slice(&written[start - offset..end - offset]);
                    }
                    start = end;
                }
            }
        }
    }
}

impl File {
    fn take(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.changes.push(change);
    }

    fn sync(&mut self) {
        self.changes.drain(..).for_each(|change| change.apply(&mut self.durable));
    }

    /// A failed sync may lose writes for good: no later sync writes them. Whether they can still be read depends on the file
    /// system.
    fn fail_to_sync(&mut self, rng: &mut Rng) {
        self.changes.retain(|change| matches!(change, Change::SetLength(_)) || rng.bool());
        if rng.bool() {
            self.live = self.durable.clone();
            self.changes.iter().for_each(|change| change.apply(&mut self.live));
        }
    }
}

impl Naming {
    fn apply(&self, names: &mut Names) {
        match self {
            Naming::Set(name, file) => _ = names.insert(name.clone(), *file),
            Naming::Remove(name) => _ = names.remove(name),
            Naming::Rename(from, to, file) => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
        }
    }
}

impl Disk {
    /// A disk as a power loss could leave it now.
    pub fn after_power_loss(&self, rng: &mut Rng) -> SimFolder {
        let mut names = self.durable_names.clone();
        self.namings.iter().filter(|_| rng.bool()).for_each(|naming| naming.apply(&mut names));
        let file = |file: &File| {
            let mut durable = file.durable.clone();
            file.changes.iter().for_each(|change| change.after_power_loss(&mut durable, rng));
            File { live: durable.clone(), changes: Vec::new(), durable }
        };
        let files = self.files.iter().map(file).collect();
        let disk = Disk { files, durable_names: names.clone(), names, rng: rng.fork(), ..Disk::default() };
        SimFolder(Arc::new(Mutex::new(disk)))
    }

    /// A disk as another process sees it now.
    pub fn as_it_is(&self) -> SimFolder {
        let file = |file: &File| File { live: file.live.clone(), changes: Vec::new(), durable: file.live.clone() };
        let (files, names) = (self.files.iter().map(file).collect(), self.names.clone());
        let disk = Disk { files, durable_names: names.clone(), names, ..Disk::default() };
        SimFolder(Arc::new(Mutex::new(disk)))
    }

    fn take(&mut self, naming: Naming) {
        naming.apply(&mut self.names);
        self.namings.push(naming);
    }

    fn file_of(&mut self, name: &str) -> usize {
        if let Some(file) = self.names.get(name) {
            return *file;
        }
        let file = self.files.len();
        self.files.push(File::default());
        self.take(Naming::Set(name.to_owned(), file));
        file
    }
}

impl SimFolder {
    pub fn new(rng: Rng) -> SimFolder {
        SimFolder(Arc::new(Mutex::new(Disk { rng, ..Disk::default() })))
    }

    pub fn on_call(&self, on_call: impl FnMut(&Disk, Call) -> Option<Fault> + Send + 'static) {
        self.0.lock().on_call = Some(Box::new(on_call));
    }

    /// No call fails from now on.
    pub fn calm(&self) {
        let mut disk = self.0.lock();
        (disk.on_call, disk.is_full) = (None, false);
    }

    pub fn faults(&self) -> usize {
        self.0.lock().faults
    }

    pub fn after_power_loss(&self, rng: &mut Rng) -> SimFolder {
        self.0.lock().after_power_loss(rng)
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let disk = self.0.lock();
        disk.files[disk.names[name]].live.clone()
    }

    /// Every call comes through here first, and fails if this returns a fault.
    fn call(&self, call: Call) -> Option<Fault> {
        let mut disk = self.0.lock();
        let mut on_call = disk.on_call.take();
        let fault = match on_call.as_mut() {
            Some(_) if std::mem::take(&mut disk.is_full) => Some(Fault::Error(ENOSPC)),
            Some(on_call) => on_call(&disk, call),
            None => None,
        };
        disk.on_call = on_call;
        disk.faults += usize::from(fault.is_some());
        fault
    }

    /// Changes names. A call that fails may have made the change.
    fn name(&self, act: impl FnOnce(&mut Disk)) -> io::Result<()> {
        let fault = self.call(Call::Name);
        let mut disk = self.0.lock();
        if fault.is_none() || disk.rng.bool() {
            act(&mut disk);
        }
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn handle(&self, name: &str) -> Box<dyn Medium> {
        Box::new(Handle { folder: self.clone(), file: self.0.lock().file_of(name) })
    }
}

impl Folder for SimFolder {
    fn open_alone(&self, name: &str) -> io::Result<Box<dyn Medium>> {
        if !self.exists(name)? {
            self.name(|disk| _ = disk.file_of(name))?;
        }
        Ok(self.handle(name))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Medium>> {
        Ok(self.handle(name))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Medium>> {
        if self.exists(name)? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.open_alone(name)
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        Ok(self.0.lock().names.contains_key(name))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().names.keys().cloned().collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.name(|disk| {
            let file = disk.names[from];
            disk.take(Naming::Rename(from.to_owned(), to.to_owned(), file));
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.name(|disk| disk.take(Naming::Remove(name.to_owned())))
    }

    fn sync_names(&self) -> io::Result<()> {
        let fault = self.call(Call::Name);
        let mut disk = self.0.lock();
        match fault {
            None => {
                disk.namings.clear();
                disk.durable_names = disk.names.clone();
                Ok(())
            }
            Some(fault) => Err(fault.error()),
        }
    }

    fn scratch(&self, in_memory: usize) -> SpooledTempFile {
        tempfile::spooled_tempfile(in_memory)
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(name)
    }
}

impl Handle {
    fn with<T>(&self, act: impl FnOnce(&mut File, &mut Rng) -> T) -> T {
        let disk = &mut *self.folder.0.lock();
        act(&mut disk.files[self.file], &mut disk.rng)
    }
}

impl FileExt for Handle {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|file, _| {
            let rest = file.live.get(offset as usize..).unwrap_or_default();
            let length = rest.len().min(buffer.len());
            buffer[..length].copy_from_slice(&rest[..length]);
            Ok(length)
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let grows = offset + bytes.len() as u64 > self.len()?;
        let length = match self.folder.call(if grows { Call::Grow } else { Call::Write }) {
            Some(Fault::Short) => bytes.len().div_ceil(2),
            Some(Fault::Partial) => {
                self.folder.0.lock().is_full = true;
                bytes.len() / 2
            }
            Some(fault) => return Err(fault.error()),
            None => bytes.len(),
        };
        self.with(|file, _| file.take(Change::Write { offset: offset as usize, bytes: bytes[..length].to_vec() }));
        Ok(length)
    }
}

impl Medium for Handle {
    fn sync(&self) -> io::Result<()> {
        let fault = self.folder.call(Call::Sync);
        self.with(|file, rng| if fault.is_none() { file.sync() } else { file.fail_to_sync(rng) });
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let grows = length > self.len()?;
        if let Some(fault) = self.folder.call(if grows { Call::Grow } else { Call::Write }) {
            return Err(fault.error());
        }
        self.with(|file, _| file.take(Change::SetLength(length as usize)));
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.with(|file, _| file.live.len() as u64))
    }
}
