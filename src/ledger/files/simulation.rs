//! Runs the real ledger on a simulated disk that may lose power at any moment and fail at any call. A lottery has several
//! centrals, one after another, each of which opens the files that the one before it left. Before every call an image is
//! made of what a power loss could leave: each write and each change of a name since the last sync is kept, torn or dropped.
//! The ledger is opened on each image, and its contents are compared with what was acknowledged.

use std::collections::BTreeSet;
use std::sync::Arc;

use fastrand::Rng;
use parking_lot::Mutex;

use super::Files;
use super::lottery_testing::{AGENCIES, Agencies, account, ask, batch, check, close, compare, open};
use super::simulated_disk::{Call, Fault, SimFolder};
use super::writer::Snapshot;
use crate::domain::acta::Signed;
use crate::domain::seal::Declared;
use crate::domain::{AgencyId, Place, Status};
use crate::ledger::{Declaration, Entry, Held, Store as _, Verdict};

type Known = Arc<Mutex<Agencies>>;

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
        let before = files.state().bets;
        let verdicts = files.commit(&group);
        if files.state().bets > before {
            agencies.lock().steps.push(if files.writer.lock().has_riding() { 'r' } else { 'l' });
        }
        for (entry, verdict) in group.iter().zip(verdicts) {
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
        let has_riding = files.writer.lock().has_riding();
        if rng.bool() {
            let _ = files.maintain();
        } else if let Some(snapshot) = begin_checkpoint(files) {
            // A worker holds the draw while the snapshot is written.
            hold_draw(files, agencies);
            let written = snapshot.write(&*files.folder);
            let _ = files.writer.lock().end_checkpoint(&*files.folder, snapshot, written);
        }
        if has_riding && !files.writer.lock().has_riding() {
            agencies.lock().steps.push('c');
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

/// Runs a lottery with several centrals. Each ends with a clean stop or without one, and then perhaps with a power loss. Returns
/// what they did.
fn live(seed: u64, images: &Arc<Mutex<usize>>, fails: bool) -> String {
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
                known.lock().steps.push('s');
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
    known.lock().steps.clone()
}

/// Runs lotteries until enough images were checked. `SEED=<number>` starts with the lottery that a failure named.
fn run(seed: u64, fails: bool) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let images_to_check = number("QUINIELA_IMAGES").unwrap_or(10_000) as usize;
    let (images, mut seen) = (Arc::new(Mutex::new(0)), BTreeSet::new());
    for seed in number("SEED").unwrap_or(seed).. {
        let steps: Vec<char> = live(seed, &images, fails).chars().collect();
        seen.extend(steps.windows(2).map(|pair| pair.iter().collect::<String>()));
        if *images.lock() >= images_to_check {
            break;
        }
    }
    if images_to_check >= 10_000 {
        let switches = ["sr", "sl", "rr", "rl", "lr", "ll", "rc", "cr", "cl", "rs", "ls", "cs"];
        assert!(switches.iter().all(|switch| seen.contains(*switch)), "only {seen:?}");
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
