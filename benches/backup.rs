//! What `quiniela backup` costs the central: an upload beside backups of the same store, one after another, compared with an upload
//! alone. The store has bets already, so that a backup has something to copy all the while.
//!
//! `cargo bench --bench backup`; `BETS=3000000` uploaded, `STORED=3000000` before, `ROUNDS=5`, `IN_FLIGHT=256`, `RATE=32` MiB a second.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::{Central, QUINIELA, make_bets, median, setting, upload, work_folder};

/// One more than upload, so that there is no draw.
const AGENCIES: u64 = 3;
const FILES: [&str; 3] = ["bets.csv", "journal", "secrets.json"];

/// How many backups were made beside an upload, and how long one took on average.
#[derive(Default)]
struct Beside {
    backups: u32,
    taken: Duration,
}

/// A store with the bets of the first agency.
fn fill(data: &Path, store: &Path) {
    let central = Central::start(QUINIELA, store, AGENCIES);
    upload(QUINIELA, 1, central.port, data, 256, None);
    central.stop();
}

fn back_up_until(is_over: &AtomicBool, store: &Path, copy: &Path, rate: u64) -> Beside {
    let mut beside = Beside::default();
    while !is_over.load(Ordering::SeqCst) {
        let begun = Instant::now();
        let mut command = Command::new(QUINIELA);
        command.args(["backup", "--rate", &rate.to_string()]).arg(store).arg(copy).stdout(Stdio::null());
        assert!(command.status().unwrap().success());
        beside.backups += 1;
        beside.taken += begun.elapsed();
        std::fs::remove_dir_all(copy).unwrap();
    }
    beside
}

/// An upload of the second agency to a store that is as it was after the first one's, with backups beside it at this rate.
fn round(folder: &Path, in_flight: u64, rate: Option<u64>) -> (Duration, Beside) {
    let (filled, store, copy) = (folder.join("filled"), folder.join("store"), folder.join("copy"));
    std::fs::create_dir(&store).unwrap();
    FILES.iter().for_each(|name| _ = std::fs::copy(filled.join(name), store.join(name)).unwrap());
    let central = Central::start(QUINIELA, &store, AGENCIES);
    let (is_over, store_path) = (AtomicBool::new(false), &store);
    let result = thread::scope(|scope| {
        let (is_over_then, copy) = (&is_over, &copy);
        let backups = rate.map(|rate| scope.spawn(move || back_up_until(is_over_then, store_path, copy, rate)));
        let taken = upload(QUINIELA, 2, central.port, &folder.join("data"), in_flight, None);
        is_over.store(true, Ordering::SeqCst);
        (taken, backups.map(|backups| backups.join().unwrap()).unwrap_or_default())
    });
    central.stop();
    std::fs::remove_dir_all(&store).unwrap();
    result
}

fn main() {
    let (bets, stored, rounds) = (setting("BETS", 3_000_000), setting("STORED", 3_000_000), setting("ROUNDS", 5));
    let (in_flight, rate) = (setting("IN_FLIGHT", 256), setting("RATE", 32));
    let folder = work_folder("backup");
    make_bets(&folder.join("before"), 1, stored);
    make_bets(&folder.join("made"), 1, bets);
    std::fs::create_dir(folder.join("data")).unwrap();
    std::fs::rename(folder.join("made/agency-1.csv"), folder.join("data/agency-2.csv")).unwrap();
    fill(&folder.join("before"), &folder.join("filled"));
    let (mut alone, mut beside, mut backups, mut taken) = (Vec::new(), Vec::new(), 0, Duration::ZERO);
    for _ in 0..rounds {
        alone.push(round(&folder, in_flight, None).0);
        let (time, made) = round(&folder, in_flight, Some(rate));
        beside.push(time);
        backups += made.backups;
        taken += made.taken;
    }
    println!("{bets} bets to a store of {stored}, {in_flight} batches in flight, median of {rounds} rounds in turn");
    let base = median(&alone).as_secs_f64();
    for (name, times) in [("alone".to_owned(), &alone), (format!("backups at {rate} MiB/s"), &beside)] {
        let taken = median(times).as_secs_f64();
        println!("{name:<24} {:>10.0} bets/s   {:.2} of alone", bets as f64 / taken, base / taken);
    }
    println!("{backups} backups, {:.2} s each", taken.as_secs_f64() / f64::from(backups.max(1)));
    std::fs::remove_dir_all(folder).unwrap();
}
