//! A copy of a store that a central may be writing to. The central does not know: no lock is taken, and nothing in its folder
//! is changed. docs/DURABILITY.md says why the copy is of one committed point.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::disk::{Folder, RealFolder};
use super::limits::{LIMITS, Limits};
use super::open_error::OpenError;
use super::papers;
use super::recovery::{damaged, journal_bytes, parse_journal, too_short};
use super::replay::{Replayed, replay};
use super::{BETS, Files, JOURNAL};
use crate::domain::acta::Acta;
use crate::domain::{LotteryId, SaidRules};
use crate::ledger::{State, Store as _};

/// Bytes that are read, checked and written at once.
const PIECE_BYTES: usize = 1024 * 1024;
/// Bytes that are written before they are synced, so that no sync of the central waits for many.
const SYNC_BYTES: u64 = 8 * 1024 * 1024;
/// How often the small files are read before what does not fit is taken for damage, and the pause between: a central may be
/// writing them.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(20);

/// Why there is no copy.
#[derive(Debug)]
pub enum BackupError {
    /// The store cannot be read, or is damaged.
    Store(OpenError),
    /// The copy cannot be written.
    Copy(OpenError),
    /// The copy was made, and is not what it should be.
    Check(OpenError),
    /// Whoever watches has said so.
    Stopped,
}

/// What a copy holds.
pub struct Copied {
    pub lottery: Option<LotteryId>,
    pub state: State,
    pub acta: Option<Arc<Acta>>,
    /// Of `bets.csv`.
    pub bytes: u64,
}

/// Gets the bytes of `bets.csv` that are copied, and all that there are. False stops the copy.
pub type Watch<'a> = &'a mut dyn FnMut(u64, u64) -> bool;

/// Everything that is committed at one point, but the bets.
struct Point {
    journal: Vec<u8>,
    replayed: Replayed,
    papers: Vec<(&'static str, Vec<u8>)>,
}

/// Copies the store to an empty folder, and opens and closes the copy as a central does.
pub fn back_up(from: &Path, to: &Path, watch: Watch<'_>) -> Result<Copied, BackupError> {
    let target = RealFolder::open(to);
    let target = target.map_err(|error| BackupError::Copy(OpenError::at(to, &format!("cannot open: {error}"))))?;
    let bytes = copy(&RealFolder::to_read(from), &target, LIMITS, watch)?;
    let (files, recovered) =
        Files::open_in(Box::new(target), SaidRules::default(), LIMITS, Box::new(|_| ())).map_err(BackupError::Check)?;
    let different = |what: &str| BackupError::Check(OpenError::at(&to.join(BETS), what));
    if recovered.dropped_bytes > 0 {
        return Err(different("has more bytes than were copied"));
    }
    let (lottery, state, acta) = (files.secrets().map(|secrets| secrets.lottery), files.state(), files.acta());
    files.close().map_err(|error| different(&error.to_string()))?;
    Ok(Copied { lottery, state, acta, bytes })
}

/// Copies the files. The journal comes last, since no start takes bets without one. Returns the bytes of the bets.
pub fn copy(source: &dyn Folder, target: &dyn Folder, limits: Limits, watch: Watch<'_>) -> Result<u64, BackupError> {
    let Point { journal, replayed, papers } = read_point(source, limits).map_err(BackupError::Store)?;
    copy_bets(source, target, &replayed, watch)?;
    for (name, bytes) in papers.iter().map(|(name, bytes)| (*name, bytes)).chain([(JOURNAL, &journal)]) {
        let write = || {
            let file = target.create(name)?;
            file.write_all_at(bytes, 0)?;
            file.sync()
        };
        write().map_err(|error| unwritten(target, name, error))?;
    }
    target.sync_names().map_err(|error| unwritten(target, JOURNAL, error))?;
    Ok(replayed.checksums.length())
}

fn unwritten(target: &dyn Folder, name: &str, error: io::Error) -> BackupError {
    BackupError::Copy(OpenError::of(target, name, "write")(error))
}

/// Reads the small files until they fit each other.
fn read_point(source: &dyn Folder, limits: Limits) -> Result<Point, OpenError> {
    let mut tries = 1;
    loop {
        match try_point(source, limits) {
            Err(_) if tries < TRIES => {
                tries += 1;
                thread::sleep(PAUSE);
            }
            point => return point,
        }
    }
}

fn try_point(source: &dyn Folder, limits: Limits) -> Result<Point, OpenError> {
    let bytes = journal_bytes(source)?;
    let journal = parse_journal(source, &bytes)?;
    let bad = |what: &str| OpenError::at(&source.path(JOURNAL), what);
    let replayed = replay(journal, limits.block).map_err(|what| bad(&what))?;
    if replayed.papers.lottery.is_none() {
        return Err(bad("is of an older version: start this version's central on the store once, and then copy it"));
    }
    let papers = papers::read_all(source, replayed.papers)?;
    Ok(Point { journal: bytes, replayed, papers })
}

/// Copies what is committed of the bets, and compares it with the journal's checksums on the way.
fn copy_bets(
    source: &dyn Folder,
    target: &dyn Folder,
    replayed: &Replayed,
    watch: Watch<'_>,
) -> Result<(), BackupError> {
    let unread = |error| BackupError::Store(OpenError::of(source, BETS, "read")(error));
    let bad = |what: &str| BackupError::Store(OpenError::at(&source.path(BETS), what));
    let unwritten = |error| unwritten(target, BETS, error);
    let (bets, copy) = (source.open(BETS).map_err(unread)?, target.create(BETS).map_err(unwritten)?);
    let (all, mut sums) = (&replayed.checksums, replayed.checksums.restarted());
    let (length, present) = (all.length(), bets.len().map_err(unread)?);
    let synced = replayed.unsynced.start;
    if present < synced {
        return Err(bad(&too_short(present, synced)));
    }
    // After a power loss the rows behind that may be in the journal alone.
    let bets = replayed.unsynced.over(&*bets);
    let mut buffer = vec![0; PIECE_BYTES.min(length as usize)];
    let (mut done, mut synced) = (0, 0);
    while done < length {
        let piece = buffer.len().min((length - done) as usize);
        let piece = &mut buffer[..piece];
        bets.read_exact_at(piece, done).map_err(unread)?;
        sums.update(piece);
        if let Some(range) = sums.first_difference(all) {
            return Err(bad(&damaged(&range)));
        }
        copy.write_all_at(piece, done).map_err(unwritten)?;
        done += piece.len() as u64;
        if done - synced >= SYNC_BYTES {
            copy.sync().map_err(unwritten)?;
            synced = done;
        }
        if !watch(done, length) {
            return Err(BackupError::Stopped);
        }
    }
    copy.sync().map_err(unwritten)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use super::*;
    use crate::domain::{AgencyId, Bet, Place, Roster, Rows, WinningNumber};
    use crate::ledger::{DrawOrder, Entry, Verdict};

    const SAID: SaidRules = SaidRules { roster: Some(Roster::Fixed(1)), winning_number: Some(WinningNumber::Known(7)) };
    /// Every few commits make a snapshot.
    const SMALL: Limits =
        Limits { block: 256, blocks: 3, growth: 512, riding: 200, log_bytes: 3000, rows_behind: 4096, ..LIMITS };
    const ONE: AgencyId = AgencyId(1);

    fn open(path: &Path, limits: Limits) -> Files {
        let folder = Box::new(RealFolder::open(path).unwrap());
        Files::open_in(folder, SAID, limits, Box::new(|_| ())).unwrap_or_else(|error| panic!("{error}")).0
    }

    fn batch(first: u64, count: u64) -> Entry {
        let mut rows = Rows::new(ONE);
        for document in first..first + count {
            rows.push(&Bet::new(["Ana", "Paz", &document.to_string(), "2000-01-01", "7"]).unwrap());
        }
        Entry::Bets { agency: ONE, place: Some(Place { first, before: None }), rows }
    }

    fn store(files: &Files, first: u64, count: u64) {
        assert_eq!(files.commit(&[batch(first, count)]), [Verdict::Stored { already: 0 }]);
        files.maintain().unwrap();
    }

    fn go_on(_: u64, _: u64) -> bool {
        true
    }

    fn copied(from: &Path, limits: Limits) -> Result<(tempfile::TempDir, u64), BackupError> {
        let outside = tempfile::tempdir().unwrap();
        let target = RealFolder::open(outside.path()).unwrap();
        let bytes = copy(&RealFolder::to_read(from), &target, limits, &mut go_on)?;
        Ok((outside, bytes))
    }

    #[test]
    fn copies_beside_commits_and_checkpoints_are_of_one_point_each() {
        let folder = tempfile::tempdir().unwrap();
        let files = open(folder.path(), SMALL);
        store(&files, 0, 1);
        let (acknowledged, is_over) = (AtomicU64::new(1), AtomicBool::new(false));
        let mut copies = 0;
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    let first = acknowledged.load(Ordering::SeqCst);
                    let count = first % 7 + 1;
                    store(&files, first, count);
                    acknowledged.store(first + count, Ordering::SeqCst);
                }
            });
            // Whatever fails here must not leave the other thread running.
            let checked = std::panic::catch_unwind(|| {
                for _ in 0..100 {
                    let before = acknowledged.load(Ordering::SeqCst);
                    let (copy, bytes) = copied(folder.path(), SMALL).map_err(|error| format!("{error:?}")).unwrap();
                    let after = acknowledged.load(Ordering::SeqCst);
                    let copy = open(copy.path(), SMALL);
                    let bets = copy.state().bets;
                    // One more batch may be stored and not acknowledged yet.
                    assert!((before..=after + 7).contains(&bets), "{before} <= {bets} <= {after}");
                    assert!(bytes > 0);
                }
            });
            is_over.store(true, Ordering::SeqCst);
            checked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            copies += 100;
        });
        assert!(copies == 100 && acknowledged.load(Ordering::SeqCst) > 100, "{acknowledged:?}");
        files.close().unwrap();
        let rows = std::fs::read(folder.path().join(BETS)).unwrap();
        assert_eq!(std::fs::read(copied(folder.path(), SMALL).unwrap().0.path().join(BETS)).unwrap(), rows);
    }

    #[test]
    fn a_copy_says_what_it_holds_in_every_phase() {
        let folder = tempfile::tempdir().unwrap();
        let files = open(folder.path(), LIMITS);
        let lottery = files.secrets().unwrap().lottery;
        let back_up = || {
            let copy = tempfile::tempdir().unwrap();
            let told = back_up(folder.path(), copy.path(), &mut go_on).unwrap();
            assert_eq!((told.lottery, &told.state), (Some(lottery), &files.state()));
            assert_eq!(told.acta, files.acta());
            let mode = |name: PathBuf| name.metadata().unwrap().permissions().mode() & 0o777;
            let names = || std::fs::read_dir(copy.path()).unwrap().map(|entry| entry.unwrap().path());
            assert!(names().all(|name| mode(name) == 0o600));
            let mut all: Vec<_> = names().map(|path| path.file_name().unwrap().to_owned()).collect();
            all.sort();
            // The copy is closed in order: it is as a clean stop would have left it.
            let (again, recovered) = Files::open(copy.path(), SaidRules::default(), Box::new(|_| ())).unwrap();
            assert!(!recovered.after_crash);
            assert_eq!(again.acta(), files.acta());
            all
        };
        assert_eq!(back_up(), ["bets.csv", "journal", "secrets.json"]);
        store(&files, 0, 3);
        files.commit(&[Entry::Done { agency: ONE, declaration: None }]);
        assert_eq!(back_up(), ["bets.csv", "journal", "secrets.json"]);
        files.seal(1, &|_| Ok(None), &|| false).unwrap();
        assert_eq!(back_up(), ["acta.json", "bets.csv", "journal", "secrets.json"]);
        files.hold_draw(&DrawOrder { number: 7, signed: None }, &files.winners(7).unwrap()).unwrap();
        assert_eq!(back_up(), ["acta.json", "bets.csv", "journal", "secrets.json"]);
    }

    #[test]
    fn damage_is_refused_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let files = open(folder.path(), LIMITS);
        (0..300).for_each(|batch| store(&files, batch * 400, 400));
        files.close().unwrap();
        drop(files);
        let refused = || match copied(folder.path(), LIMITS) {
            Err(BackupError::Store(error)) => error.to_string(),
            other => panic!("{:?}", other.map(|_| ())),
        };
        for name in [BETS, JOURNAL, "secrets.json"] {
            let path = folder.path().join(name);
            let sound = std::fs::read(&path).unwrap();
            assert!(copied(folder.path(), LIMITS).is_ok());
            let places = if name == JOURNAL { vec![70] } else { vec![0, sound.len() / 2, sound.len() - 1] };
            for place in places {
                let mut damaged = sound.clone();
                damaged[place] ^= 1;
                std::fs::write(&path, damaged).unwrap();
                let told = refused();
                assert!(told.starts_with(&format!("{}: ", path.display())), "{told}");
                if name != "secrets.json" {
                    let start =
                        told.split("byte ").nth(1).unwrap().split(':').next().unwrap().parse::<usize>().unwrap();
                    assert!(start <= place && place < start + 2 * 256 * 1024, "{place}: {told}");
                }
            }
            std::fs::write(&path, &sound[..sound.len() - 1]).unwrap();
            assert!(name == JOURNAL || refused().starts_with(&path.display().to_string()));
            std::fs::remove_file(&path).unwrap();
            assert!(refused().starts_with(&path.display().to_string()));
            std::fs::write(&path, sound).unwrap();
        }
    }

    #[test]
    fn a_copy_stops_when_it_is_told_to() {
        let folder = tempfile::tempdir().unwrap();
        let files = open(folder.path(), LIMITS);
        (0..100).for_each(|batch| store(&files, batch * 430, 430));
        let copy = tempfile::tempdir().unwrap();
        let mut told = Vec::new();
        let mut watch = |done: u64, of: u64| {
            told.push((done, of));
            false
        };
        assert!(matches!(back_up(folder.path(), copy.path(), &mut watch), Err(BackupError::Stopped)));
        let [(done, of)] = told[..] else { panic!("{told:?}") };
        assert_eq!((done, of), (PIECE_BYTES as u64, folder.path().join(BETS).metadata().unwrap().len()));
        assert!(!copy.path().join(JOURNAL).exists(), "no start takes it for a store");
    }
}
