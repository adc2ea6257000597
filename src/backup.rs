//! `quiniela backup`: a copy of a store, which a central may be using meanwhile.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueHint;
use serde::Serialize;

use crate::config::whole_number;
use crate::domain::{Draw, Hash, LotteryId, SealStep};
use crate::error::{Error, Kind, Result};
use crate::ledger::files::{BETS, BackupError, Copied, JOURNAL, back_up};
use crate::output::{counted, folder_of, object, print};
use crate::progress::Progress;
use crate::signals::StopSignal;

const MEBIBYTE: u64 = 1024 * 1024;
/// A wait for the pace looks for a stop this often.
const LOOK_PERIOD: Duration = Duration::from_millis(50);
/// The lowest priority: a central that has something to do goes first.
const NICENESS: i32 = 19;

/// Copies a central's store, which may be in use: all of its files as they were at one moment.
///
/// The copy is checked as a start of a central checks its store, and is on disk when the command ends. It appears whole or not
/// at all. A central can be started on it: quiniela server --store DIR. The exit code is 5 if the store is damaged.
///
/// Example: quiniela backup /var/lib/quiniela /backup/quiniela-1
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The central's store
    #[arg(value_name = "STORE", value_hint = ValueHint::DirPath)]
    store: PathBuf,

    /// Folder of the copy; it must not exist yet, or be empty
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    dir: PathBuf,

    /// Most MiB to copy in a second, so that the central keeps its speed; 0 is no limit
    #[arg(long, value_name = "MIB", default_value_t = 32, value_parser = whole_number(0..=65_536_u64))]
    rate: u64,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    folder: String,
    lottery: Option<LotteryId>,
    bets: u64,
    bytes: u64,
    agencies_done: u32,
    phase: &'static str,
    seal: Option<Hash>,
    number: Option<u32>,
}

pub fn run(args: &Args, stop: &StopSignal) -> Result<()> {
    let (store, dir) = (&args.store, target(&args.dir)?);
    check_store(store)?;
    // Without it the copy only takes more of the processors.
    let _ = rustix::process::nice(NICENESS);
    let parent = folder_of(&dir);
    let unmade = |error: io::Error| Error::at_path(Kind::BadInput, parent, "make a folder in it", &error);
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let partial = tempfile::Builder::new()
        .prefix(&format!(".{name}.partial-"))
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(parent)
        .map_err(unmade)?;
    let copied = copy(store, partial.path(), args.rate, stop)?;
    let unnamed = |error: io::Error| Error::at_path(Kind::BadInput, &dir, "put the copy there", &error);
    fs::rename(partial.path(), &dir).map_err(unnamed)?;
    // It has another name now.
    let _ = partial.keep();
    if let Err(error) = fs::File::open(parent).and_then(|parent| parent.sync_all()) {
        // Nobody is to rely on a copy that a power loss may take away.
        let _ = fs::remove_dir_all(&dir);
        return Err(unnamed(error));
    }
    let report = report(&dir, &copied);
    print(if args.json { object(&report)? } else { told(store, &report) })
}

/// Where the copy goes. A folder that is there is looked up through its links, and has to be empty.
fn target(dir: &Path) -> Result<PathBuf> {
    let unreadable = |error: io::Error| Error::at_path(Kind::BadInput, dir, "read it", &error);
    let mut entries = match dir.read_dir() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(dir.to_owned()),
        entries => entries.map_err(unreadable)?,
    };
    if entries.next().is_some() {
        return Err(Error::bad_path(dir, "is not empty; give a folder that is, or one that does not exist yet"));
    }
    dir.canonicalize().map_err(unreadable)
}

fn check_store(store: &Path) -> Result<()> {
    let metadata = store.metadata().map_err(|error| Error::at_path(Kind::BadInput, store, "read it", &error))?;
    let is_store = metadata.is_dir() && (store.join(JOURNAL).exists() || store.join(BETS).exists());
    if is_store {
        return Ok(());
    }
    Err(Error::bad_path(store, format!("holds neither {JOURNAL} nor {BETS}: give the central's store")))
}

/// Copies at this rate, and shows how far it is.
fn copy(store: &Path, dir: &Path, rate: u64, stop: &StopSignal) -> Result<Copied> {
    let (begun, mut shown) = (Instant::now(), None::<(Progress, u64)>);
    let mut watch = |done: u64, of: u64| {
        let (progress, told) = shown.get_or_insert_with(|| (Progress::of("backup", of), 0));
        progress.add(done - std::mem::replace(told, done));
        let due = begun + (done * 1000).checked_div(rate * MEBIBYTE).map_or(Duration::ZERO, Duration::from_millis);
        while !stop.is_raised() {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            thread::sleep(left.min(LOOK_PERIOD));
        }
        false
    };
    let copied = back_up(store, dir, &mut watch);
    copied.map_err(|error| match error {
        BackupError::Store(error) => Error::storage(error.to_string()),
        BackupError::Copy(error) => Error::failed(error.to_string()),
        BackupError::Check(error) => {
            Error::failed(format!("the copy is not what was read, so check the disk that it is on: {error}"))
        }
        BackupError::Stopped if stop.is_interrupt() => Error::new(Kind::Interrupted, "interrupted"),
        BackupError::Stopped => Error::failed("told to stop before the copy was whole; nothing of it is left"),
    })
}

fn report(dir: &Path, copied: &Copied) -> Report {
    let state = &copied.state;
    let number = if let Draw::Held { number, .. } = state.draw { Some(number) } else { None };
    let phase = match (state.seal, number) {
        (_, Some(_)) => "drawn",
        (SealStep::Open, None) => "open",
        (_, None) => "sealed",
    };
    Report {
        folder: dir.display().to_string(),
        lottery: copied.lottery,
        bets: state.bets,
        bytes: copied.bytes,
        agencies_done: state.done,
        phase,
        seal: copied.acta.as_ref().map(|acta| acta.seal),
        number,
    }
}

fn told(store: &Path, report: &Report) -> String {
    let Report { folder, bets, agencies_done, .. } = report;
    let done = if *agencies_done == 1 { "1 agency".to_owned() } else { format!("{agencies_done} agencies") };
    let phase = match report.number {
        Some(number) => format!("drawn: {number}"),
        None => report.phase.to_owned(),
    };
    let seal = report.seal.map_or(String::new(), |seal| format!("seal    {seal}\n"));
    format!(
        "{folder}: a copy of {}\nbets    {bets}\nphase   {phase}\ndone    {done}\n{seal}\n\
         The copy of {} was checked as a start of a central checks its store.\n",
        store.display(),
        counted(*bets, "bet"),
    )
}
