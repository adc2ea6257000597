//! Bad peers of every kind at once beside honest agencies: these finish with everything right, and when the bad ones are gone
//! nothing of them is left.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::bad_peers::{Arms, Attacker, KINDS};
use crate::common::keys::Place;
use crate::common::{Agency, Central, Client, Folder, LIMIT, Signal};
use crate::orders::Orders;

const AGENCIES: u32 = 3;
/// What the central is told to let its peers have. On a slow machine the bad ones reach every limit, and what they reach
/// must not depend on the machine. An address of its own always has a place: the bad ones have four addresses.
const LIMITS: &str = "--max-connections 2000 --max-connections-per-address 450 --peer-memory 16";
/// KiB: 16 MiB for the program and 16 MiB of its peers; what 64 workers can add before they note it, 300 KiB each; the ledger's
/// line, the group that is being written and what becomes of it, 8 MiB each at most; and 8 KiB for what else the central knows of
/// each of 2,000 connections.
const MOST_MEMORY: u64 = (16 + 16) * 1024 + 64 * 300 + 3 * 8 * 1024 + 2000 * 8;

/// The most memory that the central ever had, in KiB.
fn peak_memory(central: &Central) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", central.process.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn descriptors(central: &Central) -> usize {
    fs::read_dir(format!("/proc/{}/fd", central.process.pid())).unwrap().count()
}

/// How many it has with no connection.
fn own_descriptors(central: &Central, keys: Option<&Place>) -> usize {
    let mut client = match keys {
        Some(place) => Client::connect_tls(central.port, &place.party("agency-1")),
        None => central.client(),
    };
    client.ask("HELLO|1", "HELLO|OK|0|open");
    descriptors(central) - 1
}

/// Lets all honest agencies do their work, and returns how long they took.
fn work(central: &Central, folder: &Folder, keys: Option<&Place>) -> Duration {
    let begun = Instant::now();
    let agency = |id| {
        let agency = Agency::new(id, central.port, folder).winners().with("--in-flight 16");
        match keys {
            Some(place) => agency.tls(place),
            None => agency,
        }
        .start()
    };
    (1..=AGENCIES).map(agency).collect::<Vec<_>>().into_iter().for_each(|agency| agency.finish().ok());
    let took = begun.elapsed();
    for id in 1..=AGENCIES {
        assert_eq!(folder.winners_told(id), folder.winners_due(id, "7574"), "agency {id}");
    }
    took
}

fn central(folder: &Folder, keys: Option<&Place>) -> Central {
    let start = Central::on(folder).agencies(AGENCIES).with("--frame-deadline 2s --log-level WARNING").with(LIMITS);
    match keys {
        Some(place) => start.tls(place),
        None => start,
    }
    .start()
}

/// At this level the log tells nothing of connections and of the stop.
fn stop(central: Central) {
    central.process.signal(Signal::TERM);
    central.process.finish().ok();
}

/// What a run among bad peers has shown.
struct Shown {
    alone: Duration,
    among: Duration,
    peak: u64,
    descriptors: (usize, usize),
}

/// Attacks of each kind, until it is said that they are over. Each kind attacks at least once.
fn attack(seed: u64, port: u16, arms: &Arc<Arms>, is_over: &AtomicBool, counts: &Mutex<BTreeMap<&'static str, u64>>) {
    thread::scope(|scope| {
        for (place, (name, _, attack)) in (0..).zip(KINDS) {
            let mut attacker = Attacker { rng: Rng::with_seed(seed.wrapping_add(place)), port, arms: Arc::clone(arms) };
            scope.spawn(move || {
                loop {
                    // What became of it is the central's business.
                    let _ = attack(&mut attacker);
                    *counts.lock().unwrap().entry(name).or_default() += 1;
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                }
            });
        }
    });
}

fn run(
    seed: u64,
    bets: u32,
    keys: Option<&Place>,
    arms: &Arc<Arms>,
    counts: &Mutex<BTreeMap<&'static str, u64>>,
) -> Shown {
    let words = format!("--agencies {AGENCIES} --bets {bets} --seed {seed} --winners 300");
    let quiet = Folder::with_data(&words);
    let alone = {
        let central = central(&quiet, keys);
        let took = work(&central, &quiet, keys);
        stop(central);
        took
    };
    let folder = Folder::with_data(&words);
    let central = central(&folder, keys);
    let before = own_descriptors(&central, keys);
    let is_over = AtomicBool::new(false);
    let among = thread::scope(|scope| {
        scope.spawn(|| attack(seed, central.port, arms, &is_over, counts));
        // They end too if the work fails.
        let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&central, &folder, keys)));
        is_over.store(true, Ordering::SeqCst);
        worked.unwrap_or_else(|cause| std::panic::resume_unwind(cause))
    });
    let deadline = Instant::now() + LIMIT;
    while descriptors(&central) > before && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    let (peak, descriptors) = (peak_memory(&central), (before, descriptors(&central)));
    stop(central);
    folder.assert_stored_equals_files(AGENCIES);
    Shown { alone, among, peak, descriptors }
}

#[test]
fn honest_agencies_finish_among_bad_peers_of_every_kind() {
    let orders = Orders::new("peers", Duration::ZERO, 10);
    let place = Place::with_agencies(AGENCIES + 1);
    let arms = Arms::new(&place, &format!("agency-{}", AGENCIES + 1));
    let bets = if orders.is_long { 100_000 } else { 4000 };
    let (mut shown, counts) = (Vec::new(), Mutex::default());
    while let Some(round) = orders.next() {
        for keys in [None, Some(&place)] {
            let found = run(round.seed, bets, keys, &arms, &counts);
            assert!(found.peak < MOST_MEMORY, "{} KiB", found.peak);
            assert!(
                found.descriptors.1 <= found.descriptors.0,
                "descriptors before and after: {:?}",
                found.descriptors
            );
            shown.push((keys.is_some(), found));
        }
    }
    for (name, is_tls, _) in KINDS {
        println!("{:<36} | {:<5} | {:>7}", name, if is_tls { "TLS" } else { "plain" }, counts.lock().unwrap()[name]);
    }
    for is_tls in [false, true] {
        let rounds: Vec<&Shown> = shown.iter().filter(|(kind, _)| *kind == is_tls).map(|(_, found)| found).collect();
        let mut slower: Vec<f64> =
            rounds.iter().map(|round| round.among.as_secs_f64() / round.alone.as_secs_f64()).collect();
        slower.sort_by(f64::total_cmp);
        let peak = rounds.iter().map(|round| round.peak).max().unwrap();
        println!(
            "honest agencies {}: {} lotteries, median {:.1} and at worst {:.1} times as long; the central's peak {peak} KiB",
            if is_tls { "over TLS" } else { "plain" },
            rounds.len(),
            slower[slower.len() / 2],
            slower[slower.len() - 1],
        );
    }
    println!("{} kinds, descriptors as before; {}", KINDS.len(), orders.closing());
}
