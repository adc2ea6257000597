//! A disk that loses power at any moment and fails at any call, under the real ledger. After every single call an image is
//! taken of what a crash could have left (each write since its file's last sync kept, torn or dropped), the ledger is opened
//! on it, and what it holds is compared with what was acknowledged.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use fastrand::Rng;
use parking_lot::Mutex;
use tempfile::SpooledTempFile;

use super::disk::{Folder, Medium, ReplaceError};
use super::{BETS, Files};
use crate::domain::{AgencyId, Bet, Draw, Roster, Rows};
use crate::ledger::{Entry, Held, Store, Verdict};

const SECTOR: usize = 512;
const AGENCIES: u32 = 3;
const WINNING_NUMBER: u32 = 1;

#[derive(Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    SetLength(usize),
}

#[derive(Clone, Default)]
struct SimFile {
    durable: Vec<u8>,
    /// Since the last sync.
    changes: Vec<Change>,
    live: Vec<u8>,
}

/// Sees the files at each call, and decides whether it fails.
type OnCall = Box<dyn FnMut(&BTreeMap<String, SimFile>) -> Option<Fault> + Send>;

#[derive(Default)]
struct Disk {
    is_full: bool,
    files: BTreeMap<String, SimFile>,
    on_call: Option<OnCall>,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Error(i32),
    Interrupted,
    Short,
    /// A part is written, and then there is no space.
    Partial,
}

#[derive(Clone, Default)]
struct SimFolder(Arc<Mutex<Disk>>);

struct Handle {
    folder: SimFolder,
    name: String,
}

/// What the agencies know: every batch that was sent, and how many of an agency's bets were acknowledged.
#[derive(Default)]
struct Agencies {
    sent: BTreeMap<u32, Vec<u64>>,
    acknowledged: BTreeMap<u32, u64>,
    done: Vec<u32>,
    draw: Draw,
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

    /// What is left of a change when the power goes: all, nothing, the front part, or some of the sectors.
    fn after_power_loss(&self, bytes: &mut Vec<u8>, rng: &mut Rng) {
        match (self, rng.u8(0..4)) {
            (_, 0) => self.apply(bytes),
            (_, 1) | (Change::SetLength(_), _) => {}
            (Change::Write { offset, bytes: written }, 2) => {
                let kept = rng.usize(0..=written.len());
                Change::Write { offset: *offset, bytes: written[..kept].to_vec() }.apply(bytes);
            }
            (Change::Write { offset, bytes: written }, _) => {
                // The length comes through, and any of the sectors.
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

impl SimFolder {
    fn of(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> SimFolder {
        let file = |bytes: Vec<u8>| SimFile { durable: bytes.clone(), changes: Vec::new(), live: bytes };
        let files = files.into_iter().map(|(name, bytes)| (name, file(bytes))).collect();
        SimFolder(Arc::new(Mutex::new(Disk { files, ..Disk::default() })))
    }

    /// Every call passes here, and learns whether it fails.
    fn call(&self) -> Option<Fault> {
        let mut disk = self.0.lock();
        let Disk { is_full, files, on_call } = &mut *disk;
        if std::mem::take(is_full) {
            return Some(Fault::Error(28));
        }
        on_call.as_mut().and_then(|on_call| on_call(files))
    }

    fn with<T>(&self, name: &str, act: impl FnOnce(&mut SimFile) -> T) -> T {
        act(self.0.lock().files.get_mut(name).unwrap())
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        self.with(name, |file| file.live.clone())
    }
}

fn error_of(fault: Fault) -> io::Error {
    match fault {
        Fault::Error(code) => io::Error::from_raw_os_error(code),
        Fault::Interrupted => io::ErrorKind::Interrupted.into(),
        Fault::Short | Fault::Partial => io::Error::from_raw_os_error(5),
    }
}

impl Folder for SimFolder {
    fn open_alone(&self, name: &str) -> io::Result<Box<dyn Medium>> {
        self.0.lock().files.entry(name.to_owned()).or_default();
        self.open(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Medium>> {
        Ok(Box::new(Handle { folder: self.clone(), name: name.to_owned() }))
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        Ok(self.0.lock().files.contains_key(name))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<Box<dyn Medium>, ReplaceError> {
        if let Some(fault) = self.call() {
            return Err(ReplaceError::Before(error_of(fault)));
        }
        let file = SimFile { durable: bytes.to_vec(), changes: Vec::new(), live: bytes.to_vec() };
        self.0.lock().files.insert(name.to_owned(), file);
        self.call();
        Ok(Box::new(Handle { folder: self.clone(), name: name.to_owned() }))
    }

    fn scratch(&self, in_memory: usize) -> SpooledTempFile {
        tempfile::spooled_tempfile(in_memory)
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(name)
    }
}

impl FileExt for Handle {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.folder.with(&self.name, |file| {
            let rest = file.live.get(offset as usize..).unwrap_or_default();
            let length = rest.len().min(buffer.len());
            buffer[..length].copy_from_slice(&rest[..length]);
            Ok(length)
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let length = match self.folder.call() {
            Some(Fault::Short) => bytes.len().div_ceil(2),
            Some(Fault::Partial) => {
                self.folder.0.lock().is_full = true;
                bytes.len() / 2
            }
            Some(fault) => return Err(error_of(fault)),
            None => bytes.len(),
        };
        self.folder.with(&self.name, |file| {
            let change = Change::Write { offset: offset as usize, bytes: bytes[..length].to_vec() };
            change.apply(&mut file.live);
            file.changes.push(change);
        });
        Ok(length)
    }
}

impl Medium for Handle {
    fn sync(&self) -> io::Result<()> {
        let fault = self.folder.call();
        self.folder.with(&self.name, |file| {
            if fault.is_none() {
                file.durable = file.live.clone();
                file.changes.clear();
            }
        });
        fault.map_or(Ok(()), |fault| Err(error_of(fault)))
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        if let Some(fault) = self.folder.call() {
            return Err(error_of(fault));
        }
        self.folder.with(&self.name, |file| {
            let change = Change::SetLength(length as usize);
            change.apply(&mut file.live);
            file.changes.push(change);
        });
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.folder.with(&self.name, |file| file.live.len() as u64))
    }
}

/// Batches hold consecutive documents, so every bet of an agency is its own place in the sequence.
fn batch(agency: u32, first: u64, count: u64, padding: usize) -> Rows {
    let mut rows = Rows::new(AgencyId(agency));
    let name = "x".repeat(1 + padding);
    for document in first..first + count {
        let document = document.to_string();
        let bet = Bet::new([&name, "Paz, la \"Ñ\"", &document, "2000-01-01", "7"]).unwrap();
        rows.push(&bet);
    }
    rows
}

/// What one entry is judged to be.
fn ask(files: &Files, entry: Entry) -> Verdict {
    files.commit(&[entry]).remove(0)
}

fn account(files: &Files, agency: u32) -> (u64, bool) {
    match ask(files, Entry::Account { agency: AgencyId(agency) }) {
        Verdict::Account { stored, is_closed } => (stored, is_closed),
        other => panic!("{other:?}"),
    }
}

/// Opens the files on a disk and compares them with what the agencies know.
fn check(folder: SimFolder, agencies: &Agencies, context: &str) {
    let (files, recovered) = Files::open_in(Box::new(folder.clone()), Roster::Fixed(AGENCIES))
        .unwrap_or_else(|error| panic!("{context}: refused to start: {error}"));
    let mut stored_rows = 0;
    for agency in 1..=AGENCIES {
        let (stored, is_closed) = account(&files, agency);
        let acknowledged = agencies.acknowledged.get(&agency).copied().unwrap_or(0);
        assert!(stored >= acknowledged, "{context}: agency {agency} lost {acknowledged} to {stored}");
        let mut ends = vec![0];
        agencies.sent.get(&agency).into_iter().flatten().for_each(|count| ends.push(ends[ends.len() - 1] + count));
        assert!(ends.contains(&stored), "{context}: {stored} is no batch's end");
        assert!(!agencies.done.contains(&agency) || is_closed, "{context}: DONE of {agency} is lost");
        stored_rows += stored;
    }
    let draw = files.state().draw;
    assert!(agencies.draw == Draw::Open || draw != Draw::Open, "{context}: the draw is lost");
    let announced = Draw::Held { number: WINNING_NUMBER, is_announced: true };
    assert!(agencies.draw != announced || draw == announced, "{context}: it is forgotten that the draw was announced");
    assert_eq!(recovered.bets, stored_rows, "{context}");
    let bytes = folder.bytes(BETS);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&bytes[..]);
    let mut next = [0; AGENCIES as usize];
    for row in reader.records().map(Result::unwrap) {
        let (agency, document): (usize, u64) = (row[0].parse().unwrap(), row[3].parse().unwrap());
        assert_eq!(
            document,
            next[agency - 1],
            "{context}: a bet of agency {agency} is missing, doubled or out of order"
        );
        next[agency - 1] += 1;
    }
    assert_eq!(next.iter().sum::<u64>(), stored_rows, "{context}: rows in the file");
}

/// A lottery with groups of batches, DONE marks and a draw; stops at the first failure that is final.
fn hold_lottery(files: &Files, agencies: &Mutex<Agencies>, rng: &mut Rng) {
    for _ in 0..rng.u64(1..25) {
        let mut group = Vec::new();
        for _ in 0..rng.u64(1..5) {
            let agency = rng.u32(1..=AGENCIES);
            let first = agencies.lock().sent.get(&agency).into_iter().flatten().sum();
            let count = rng.u64(1..6);
            let padding = if rng.u8(0..20) == 0 { 99 } else { 0 };
            let rows = batch(agency, first, count, padding);
            agencies.lock().sent.entry(agency).or_default().push(count);
            group.push(Entry::Bets { agency: AgencyId(agency), first: Some(first), rows });
        }
        if rng.u8(0..4) == 0 {
            group.push(Entry::Done { agency: AgencyId(rng.u32(1..=AGENCIES)) });
        }
        for (entry, verdict) in group.iter().zip(files.commit(&group)) {
            match (entry, verdict) {
                (Entry::Bets { agency, first, rows }, Verdict::Stored { .. }) => {
                    let end = first.unwrap() + rows.count();
                    agencies.lock().acknowledged.insert(agency.0, end);
                }
                (Entry::Done { agency }, Verdict::Marked) => agencies.lock().done.push(agency.0),
                (_, Verdict::Failed(_) | Verdict::Closed | Verdict::Gap) => {}
                (_, other) => panic!("{other:?}"),
            }
        }
        if files.state().broken.is_some() {
            return;
        }
        forget_unstored(files, agencies);
        if matches!(files.hold_draw(WINNING_NUMBER, AGENCIES), Ok(Held::ByUs)) {
            agencies.lock().draw = files.state().draw;
            if ask(files, Entry::Announced) == Verdict::Marked {
                agencies.lock().draw = files.state().draw;
            }
        }
    }
}

/// The agencies learn by HELLO what is stored, and go on from there.
fn forget_unstored(files: &Files, agencies: &Mutex<Agencies>) {
    for (agency, sent) in &mut agencies.lock().sent {
        let (stored, _) = account(files, *agency);
        while sent.iter().sum::<u64>() > stored {
            sent.pop();
        }
    }
}

fn images_to_check() -> usize {
    std::env::var("QUINIELA_IMAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(3_000)
}

/// Runs lotteries until enough images were checked. `fault` decides the fate of each call.
fn run(seed: u64, fault: impl Fn(&mut Rng) -> Option<Fault> + Clone + Send + 'static) {
    let checked = Arc::new(Mutex::new(0));
    let mut lottery = 0;
    while *checked.lock() < images_to_check() {
        lottery += 1;
        let mut rng = Rng::with_seed(seed + lottery);
        let folder = SimFolder::default();
        let agencies = Arc::new(Mutex::new(Agencies::default()));
        let (files, _) = Files::open_in(Box::new(folder.clone()), Roster::Fixed(AGENCIES)).unwrap();
        let (known, counter, mut image_rng, fault) = (agencies.clone(), checked.clone(), rng.fork(), fault.clone());
        folder.0.lock().on_call = Some(Box::new(move |files| {
            let image = files.iter().map(|(name, file)| {
                let mut bytes = file.durable.clone();
                file.changes.iter().for_each(|change| change.after_power_loss(&mut bytes, &mut image_rng));
                (name.clone(), bytes)
            });
            let context = format!("seed {seed}, lottery {lottery}, image {}", *counter.lock());
            check(SimFolder::of(image), &known.lock(), &context);
            *counter.lock() += 1;
            fault(&mut image_rng)
        }));
        hold_lottery(&files, &agencies, &mut rng);
        folder.0.lock().on_call = None;
        let context = format!("seed {seed}, lottery {lottery}, at the end");
        if files.state().broken.is_none() {
            files.close().unwrap();
        }
        drop(files);
        check(folder, &agencies.lock(), &context);
    }
}

#[test]
fn no_power_loss_loses_doubles_or_halves_anything() {
    run(1, |_| None);
}

#[test]
fn no_failing_call_loses_doubles_or_halves_anything() {
    run(1 << 32, |rng| match rng.u8(0..60) {
        0 => Some(Fault::Error(5)),
        1 => Some(Fault::Error(28)),
        2 => Some(Fault::Interrupted),
        3 | 4 => Some(Fault::Short),
        5 => Some(Fault::Partial),
        _ => None,
    });
}
