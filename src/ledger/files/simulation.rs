//! Runs the real ledger on a simulated disk that may lose power at any moment and fail at any call. A lottery has several
//! centrals, one after another, each of which opens the files that the one before it left. Before every call an image is
//! made of what a power loss could leave: each write and each change of a name since the last sync is kept, torn or dropped.
//! The ledger is opened on each image, and its contents are compared with what was acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;
use parking_lot::Mutex;

use super::disk::Folder as _;
use super::simulated_disk::{Call, ENOSPC, Fault, SimFolder};
use super::writer::Snapshot;
use super::{BETS, Files, Limits, OpenError, Recovered};
use crate::domain::acta::Signed;
use crate::domain::seal::{Declared, Sealed};
use crate::domain::tree::Tree;
use crate::domain::{AgencyId, Bet, Draw, Hash, Place, Roster, Rows, SaidRules, SealStep, Status, WinningNumber};
use crate::ledger::{Declaration, DrawOrder, Entry, Held, StorageError, Store, Verdict};

pub const AGENCIES: u32 = 3;
pub const WINNING_NUMBER: u32 = 1;
const RULES: SaidRules =
    SaidRules { roster: Some(Roster::Fixed(AGENCIES)), winning_number: Some(WinningNumber::Known(WINNING_NUMBER)) };

/// These are so small that most lotteries complete blocks, extend the journal and replace it.
pub const LIMITS: Limits = Limits { block: 256, blocks: 3, growth: 256, log_bytes: 640, rows_behind: 1500 };

/// What the agencies know.
#[derive(Clone, Default)]
pub struct Agencies {
    /// The sizes of the batches that may be stored.
    pub sent: BTreeMap<u32, Vec<u64>>,
    acknowledged: BTreeMap<u32, u64>,
    /// The number of bets that were sent before a DONE that was not acknowledged.
    before_done: BTreeMap<u32, u64>,
    done: Vec<u32>,
    /// How those are done whose DONE was acknowledged.
    statuses: BTreeMap<u32, Status>,
    /// The seal, and its time.
    sealed: Option<(Hash, u64)>,
    draw: Draw,
}

type Known = Arc<Mutex<Agencies>>;

/// The document of each bet is its place in the agency's sequence.
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

pub fn open(folder: &SimFolder) -> Result<(Files, Recovered), OpenError> {
    open_and_count(folder, &Arc::default())
}

/// Counts the ledger's notices.
pub fn open_and_count(folder: &SimFolder, told: &Arc<Mutex<u32>>) -> Result<(Files, Recovered), OpenError> {
    let told = told.clone();
    Files::open_in(Box::new(folder.clone()), RULES, LIMITS, Box::new(move |_| *told.lock() += 1))
}

/// The verdict on one entry.
fn ask(files: &Files, entry: Entry) -> Verdict {
    files.commit(&[entry]).remove(0)
}

pub fn account(files: &Files, agency: u32) -> (u64, bool) {
    match ask(files, Entry::Account { agency: AgencyId(agency) }) {
        Verdict::Account { stored, is_closed, .. } => (stored, is_closed),
        other => panic!("{other:?}"),
    }
}

/// Opens the files on an image and compares them with what the agencies know.
pub fn check(image: &SimFolder, agencies: &Agencies, context: &str) -> Recovered {
    let (files, recovered) = open(image).unwrap_or_else(|error| panic!("{context}: refused to start: {error}"));
    compare(&files, &recovered, image, agencies, context);
    recovered
}

fn compare(files: &Files, recovered: &Recovered, folder: &SimFolder, agencies: &Agencies, context: &str) {
    let draw = files.state().draw;
    let mut stored_rows = 0;
    for agency in 1..=AGENCIES {
        let (stored, is_closed) = account(files, agency);
        let acknowledged = agencies.acknowledged.get(&agency).copied().unwrap_or(0);
        assert!(stored >= acknowledged, "{context}: agency {agency} lost {acknowledged} to {stored}");
        let mut ends = vec![0];
        agencies.sent.get(&agency).into_iter().flatten().for_each(|count| ends.push(ends[ends.len() - 1] + count));
        assert!(ends.contains(&stored), "{context}: {stored} is no batch's end");
        let is_done = agencies.done.contains(&agency);
        assert!(!is_done || is_closed, "{context}: DONE of {agency} is lost");
        let before_done = agencies.before_done.get(&agency).copied().unwrap_or(0);
        assert!(is_done || !is_closed || stored >= before_done, "{context}: DONE of {agency} overtook its bets");
        stored_rows += stored;
    }
    assert!(agencies.draw == Draw::Open || draw != Draw::Open, "{context}: the draw is lost");
    let announced = Draw::Held { number: WINNING_NUMBER, is_announced: true };
    assert!(agencies.draw != announced || draw == announced, "{context}: it is forgotten that the draw was announced");
    assert_eq!(recovered.bets, stored_rows, "{context}");
    let bytes = folder.bytes(BETS);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&bytes[..]);
    let mut next = [0; AGENCIES as usize];
    for row in reader.records().map(|row| row.unwrap_or_else(|error| panic!("{context}: {error}"))) {
        let (agency, document): (usize, u64) = (row[0].parse().unwrap(), row[3].parse().unwrap());
        let due = next[agency - 1];
        assert_eq!(document, due, "{context}: a bet of agency {agency} is missing, doubled or out of order");
        next[agency - 1] += 1;
    }
    assert_eq!(next.iter().sum::<u64>(), stored_rows, "{context}: rows in the file");
    compare_seal(files, &bytes, agencies, context);
}

/// The acta must be the one that was told, and its lines those of what is stored.
fn compare_seal(files: &Files, bytes: &[u8], agencies: &Agencies, context: &str) {
    let acta = files.acta();
    let told = acta.as_ref().map(|acta| (acta.seal, acta.sealed_at));
    assert!(agencies.sealed.is_none() || told == agencies.sealed, "{context}: the seal is lost, or another");
    let (register, state) = (files.register.read(), files.state());
    assert_eq!(acta.is_some(), state.seal != SealStep::Open, "{context}");
    let drawn = acta.as_ref().and_then(|acta| acta.draw.as_ref()).map(|draw| draw.number);
    let held = if let Draw::Held { number, .. } = state.draw { Some(number) } else { None };
    assert_eq!(held, drawn, "{context}: a draw without its seal and its acta");
    for (agency, status) in &agencies.statuses {
        assert_eq!(register.account(AgencyId(*agency)).done, Some(*status), "{context}: how {agency} is done");
    }
    let Some(acta) = acta else { return };
    let secret = files.writer.lock().papers.secrets.secret;
    for line in &acta.agencies {
        let (mut tree, leaves) = (Tree::default(), secret.of_agency(AgencyId(line.agency)).leaves());
        let start = format!("{},", line.agency);
        let rows = bytes.split_inclusive(|byte| *byte == b'\n').filter(|row| row.starts_with(start.as_bytes()));
        rows.for_each(|row| tree.push(leaves.leaf(tree.leaves(), row)));
        assert_eq!((line.bets, line.root), (tree.leaves(), tree.root()), "{context}: line of {}", line.agency);
        assert_eq!(Some(line.status), register.account(AgencyId(line.agency)).done, "{context}");
        assert_eq!(line.signed.is_some(), line.status == Status::Signed, "{context}: the signature of {}", line.agency);
    }
    let lines: Vec<_> = acta.lines().collect();
    assert_eq!(Sealed::of(acta.lottery, &lines, acta.sealed_at), acta.sealed(), "{context}: the seal");
}

/// Commits groups of batches and DONE marks, and holds the draw, until the store is broken or the number of groups is reached.
pub fn hold_lottery(files: &Files, agencies: &Mutex<Agencies>, rng: &mut Rng, context: &str) {
    for _ in 0..rng.u64(1..10) {
        let mut group = Vec::new();
        for _ in 0..rng.u64(0..5) {
            let agency = rng.u32(1..=AGENCIES);
            let first = agencies.lock().sent.get(&agency).into_iter().flatten().sum();
            let count = rng.u64(1..6);
            let padding = if rng.u8(0..20) == 0 { 99 } else { 0 };
            agencies.lock().sent.entry(agency).or_default().push(count);
            let rows = batch(agency, first, count, padding);
            group.push(Entry::Bets { agency: AgencyId(agency), place: Some(Place { first, before: None }), rows });
        }
        if rng.u8(0..8) == 0 {
            let agency = rng.u32(1..=AGENCIES);
            let mut agencies = agencies.lock();
            let sent = agencies.sent.get(&agency).into_iter().flatten().sum();
            if !agencies.done.contains(&agency) {
                agencies.before_done.insert(agency, sent);
            }
            drop(agencies);
            group.push(Entry::Done { agency: AgencyId(agency), declaration: declaration(files, agency, rng) });
        }
        for (entry, verdict) in group.iter().zip(files.commit(&group)) {
            match (entry, verdict) {
                (Entry::Bets { agency, place, rows }, Verdict::Stored { .. }) => {
                    let end = place.unwrap().first + rows.count();
                    agencies.lock().acknowledged.insert(agency.0, end);
                }
                (Entry::Done { agency, declaration }, Verdict::Marked) => {
                    let mut agencies = agencies.lock();
                    let is_new = !agencies.done.contains(&agency.0);
                    agencies.done.push(agency.0);
                    // One that was done before stays as it was.
                    if is_new {
                        agencies.statuses.insert(agency.0, status_of(declaration.as_ref()));
                    }
                }
                // Bets of the same group stand before what was declared.
                (Entry::Done { .. }, Verdict::Unweighed | Verdict::Unbalanced { .. }) => {}
                (_, Verdict::Failed(_) | Verdict::Closed | Verdict::Gap) => {}
                (_, other) => panic!("{context}: {other:?}"),
            }
        }
        if rng.bool() {
            let _ = files.maintain();
        } else if let Some(snapshot) = begin_checkpoint(files) {
            // A worker holds the draw while the snapshot is written.
            hold_draw(files, agencies);
            let written = snapshot.write(&*files.folder);
            let _ = files.writer.lock().end_checkpoint(&*files.folder, snapshot, written);
        }
        if files.state().broken.is_some() {
            let late = Entry::Bets { agency: AgencyId(1), place: None, rows: batch(1, 0, 1, 0) };
            let verdict = ask(files, late);
            assert!(matches!(verdict, Verdict::Failed(_) | Verdict::Closed), "{context}: taken by a broken ledger");
            return;
        }
        learn(files, agencies);
        if hold_draw(files, agencies) && ask(files, Entry::Announced) == Verdict::Marked {
            agencies.lock().draw = files.state().draw;
        }
    }
}

/// What an agency declares that knows what is stored: nothing, its root, or its root with a signature.
fn declaration(files: &Files, agency: u32, rng: &mut Rng) -> Option<Declaration> {
    let kind = rng.u8(0..3);
    let agency = AgencyId(agency);
    files.weigh(&[agency], &|| false).ok().filter(|()| kind > 0)?;
    let register = files.register.read();
    let bets = register.account(agency).stored;
    let declared = Declared { bets, root: register.root(agency, bets)? };
    let signed = (kind == 2).then(|| Box::new(Signed::new("ED25519:AA==", &[vec![agency.0 as u8; 99]])));
    Some(Declaration { declared, signed, is_forced: false })
}

fn status_of(declaration: Option<&Declaration>) -> Status {
    match declaration {
        None => Status::Undeclared,
        Some(Declaration { signed: None, .. }) => Status::Declared,
        Some(Declaration { signed: Some(_), .. }) => Status::Signed,
    }
}

/// Seals the lottery, and holds its draw.
pub fn close(files: &Files) -> (Result<Held, StorageError>, Result<Held, StorageError>) {
    let signed = |statement: &str| Ok(Some(Signed::new(statement, &[])));
    let sealed = files.seal(AGENCIES, &signed, &|| false);
    let held = files
        .winners(WINNING_NUMBER)
        .and_then(|winners| files.hold_draw(&DrawOrder { number: WINNING_NUMBER, signed: None }, &winners));
    (sealed, held)
}

fn hold_draw(files: &Files, agencies: &Mutex<Agencies>) -> bool {
    let (sealed, held) = close(files);
    if let (Ok(Held::ByUs | Held::Before), Some(acta)) = (sealed, files.acta()) {
        agencies.lock().sealed = Some((acta.seal, acta.sealed_at));
    }
    let is_held = matches!(held, Ok(Held::ByUs));
    if is_held {
        agencies.lock().draw = files.state().draw;
    }
    is_held
}

fn begin_checkpoint(files: &Files) -> Option<Snapshot> {
    files.writer.lock().begin_checkpoint(&files.register.read())
}

/// The agencies ask how many bets are stored, and continue from there. From now on these count as acknowledged.
fn learn(files: &Files, agencies: &Mutex<Agencies>) {
    let mut agencies = agencies.lock();
    for agency in 1..=AGENCIES {
        let (stored, is_closed) = account(files, agency);
        let sent = agencies.sent.entry(agency).or_default();
        while sent.iter().sum::<u64>() > stored {
            sent.pop();
        }
        agencies.acknowledged.insert(agency, stored);
        if is_closed && !agencies.done.contains(&agency) {
            agencies.done.push(agency);
        }
    }
}

/// Runs a lottery with several centrals. Each ends with a clean stop or without one, and then perhaps with a power loss.
fn live(seed: u64, images: &Arc<Mutex<usize>>, fails: bool) {
    let mut rng = Rng::with_seed(seed);
    let mut folder = SimFolder::new(rng.fork());
    let known = Known::default();
    for life in 0..rng.u32(1..6) {
        let context = format!("SEED={seed}, central {life}");
        let (images, known_then, mut image_rng, image_context) =
            (images.clone(), known.clone(), rng.fork(), context.clone());
        // Which calls fail, and how often. Most failed syncs end a central, so failures of other calls alone let it run longer.
        let weaknesses = [(None, 40), (Some(Call::Grow), 6), (Some(Call::Write), 10), (Some(Call::Name), 6)];
        let (weak, one_in) = weaknesses[rng.usize(0..weaknesses.len())];
        folder.on_call(move |disk, call| {
            // With failures, images are made before a quarter of the calls, so that more lotteries are run.
            if !fails || image_rng.u8(0..4) == 0 {
                *images.lock() += 1;
                check(&disk.after_power_loss(&mut image_rng), &known_then.lock(), &image_context);
            }
            let may_fail = fails && weak.is_none_or(|weak| weak == call);
            if may_fail { Fault::any(&mut image_rng, one_in) } else { None }
        });
        let faults = folder.faults();
        match open(&folder) {
            Err(error) => assert!(folder.faults() > faults, "{context}: refused to start: {error}"),
            Ok((files, recovered)) => {
                compare(&files, &recovered, &folder, &known.lock(), &context);
                learn(&files, &known);
                hold_lottery(&files, &known, &mut rng, &context);
                let is_broken = files.state().broken.is_some();
                let is_closed = rng.bool() && files.close().is_ok();
                assert!(!(is_broken && is_closed), "{context}: a broken ledger was closed in order");
                folder.calm();
                for _ in 0..if is_closed { 4 } else { 0 } {
                    let recovered = check(&folder.after_power_loss(&mut rng), &known.lock(), &context);
                    assert!(!recovered.after_crash, "{context}: a clean stop was none");
                }
            }
        }
        folder.calm();
        if rng.bool() {
            folder = folder.after_power_loss(&mut rng);
        }
    }
    check(&folder, &known.lock(), &format!("SEED={seed}, at the end"));
}

/// Runs lotteries until enough images were checked. `SEED=<number>` starts with the lottery that a failure named.
fn run(seed: u64, fails: bool) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let images_to_check = number("QUINIELA_IMAGES").unwrap_or(10_000) as usize;
    let images = Arc::new(Mutex::new(0));
    for seed in number("SEED").unwrap_or(seed).. {
        live(seed, &images, fails);
        if *images.lock() >= images_to_check {
            return;
        }
    }
}

#[test]
fn no_power_loss_loses_doubles_or_halves_anything() {
    run(1, false);
}

#[test]
fn no_failing_call_loses_doubles_or_halves_anything() {
    run(1 << 32, true);
}

pub fn one_bet(first: u64) -> Entry {
    let place = Some(Place { first, before: None });
    Entry::Bets { agency: AgencyId(1), place, rows: batch(1, first, 1, 0) }
}

pub fn store(files: &Files, first: u64) -> Verdict {
    let verdict = ask(files, one_bet(first));
    // What comes of it is seen by the next bet.
    let _ = files.maintain();
    verdict
}

#[test]
fn a_start_on_a_full_disk_tells_what_is_there_and_stores_once_there_is_space() {
    let folder = SimFolder::new(Rng::with_seed(1));
    let stored = Verdict::Stored { already: 0 };
    assert_eq!(store(&open(&folder).unwrap().0, 0), stored);
    folder.on_call(|_, call| (call == Call::Grow).then_some(Fault::Error(ENOSPC)));
    let told = Arc::default();
    for start in 1..4 {
        let (files, recovered) = open_and_count(&folder, &told).unwrap();
        assert_eq!((recovered.bets, account(&files, 1)), (1, (1, false)));
        for _ in 0..2 {
            let Verdict::Failed(error) = store(&files, 1) else { panic!("there is no space for it") };
            assert!(error.0.starts_with("journal: cannot replace: "), "{error}");
        }
        assert_eq!(*told.lock(), start, "it is told once");
        assert!(files.close().is_err());
        assert_eq!(folder.names().unwrap(), ["bets.csv", "journal", "secrets.json"]);
    }
    let (files, _) = open(&folder).unwrap();
    folder.calm();
    assert_eq!(store(&files, 1), stored);
    files.close().unwrap();
    assert_eq!(account(&open(&folder).unwrap().0, 1), (2, false));
}

#[test]
fn what_is_told_on_a_full_disk_is_on_it_even_after_a_failed_sync() {
    let mut rng = Rng::with_seed(1);
    for _ in 0..100 {
        let folder = SimFolder::new(rng.fork());
        let (files, _) = open(&folder).unwrap();
        let mut syncs = 0;
        folder.on_call(move |_, call| {
            syncs += u32::from(call == Call::Sync);
            // The first is that of the rows, the second that of the record.
            (syncs == 2).then_some(Fault::Interrupted)
        });
        assert!(matches!(store(&files, 0), Verdict::Failed(_)));
        folder.on_call(|_, call| (call == Call::Grow).then_some(Fault::Error(ENOSPC)));
        // If the record was lost, its rows have to be cut off, and there is no space to keep them.
        let Ok((files, _)) = open(&folder) else { continue };
        let told = account(&files, 1);
        assert_eq!(told, (1, false));
        assert_eq!(account(&open(&folder.after_power_loss(&mut rng)).unwrap().0, 1), told);
    }
}

/// The tails that were cut off, oldest first.
fn cuts(folder: &SimFolder) -> Vec<Vec<u8>> {
    let names = folder.names().unwrap().into_iter().filter(|name| name.starts_with("bets.csv.cut-"));
    names.map(|name| folder.bytes(&name)).collect()
}

/// Writes uncommitted bytes to an empty `bets.csv`.
fn add_tail(folder: &SimFolder, central: u32) -> Vec<u8> {
    let tail = format!("1,Ana,Paz,{central},2000-01-01,7\r\n2,Eva,").into_bytes();
    let bets = folder.open(BETS).unwrap();
    bets.write_all_at(&tail, 0).unwrap();
    bets.sync().unwrap();
    tail
}

#[test]
fn what_a_start_cuts_off_is_on_disk_in_another_file_first() {
    let mut rng = Rng::with_seed(1);
    for _ in 0..200 {
        let folder = SimFolder::new(rng.fork());
        drop(open(&folder).unwrap());
        let tail = add_tail(&folder, 1);
        let is_there = move |folder: &SimFolder| folder.bytes(BETS) == tail || cuts(folder).contains(&tail);
        let (is_there_then, mut image_rng) = (is_there.clone(), rng.fork());
        folder.on_call(move |disk, _| {
            assert!(is_there_then(&disk.after_power_loss(&mut image_rng)));
            Fault::any(&mut image_rng, 20)
        });
        let opened = open(&folder);
        folder.calm();
        assert!(is_there(&folder.after_power_loss(&mut rng)));
        // The cut has to be on disk before a clean stop, even if an earlier start made it.
        let (files, _) = opened.unwrap_or_else(|_| open(&folder).unwrap());
        assert!(folder.bytes(BETS).is_empty());
        files.close().unwrap();
        let image = folder.after_power_loss(&mut rng);
        open(&image).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn the_newest_eight_cuts_are_kept() {
    let folder = SimFolder::new(Rng::with_seed(1));
    drop(open(&folder).unwrap());
    let mut tails = Vec::new();
    for central in 0..12 {
        tails.push(add_tail(&folder, central));
        let (_, recovered) = open(&folder).unwrap();
        assert_eq!((recovered.dropped_rows, recovered.dropped_bytes), (1, tails[tails.len() - 1].len() as u64));
        assert_eq!(folder.bytes(&recovered.kept_in.unwrap()), tails[tails.len() - 1]);
    }
    assert_eq!(cuts(&folder), tails[4..]);
}
