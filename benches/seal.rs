//! What the seal costs: the close of many bets, an audit of them, and an upload that declares its root.
//!
//! `cargo bench --bench seal`; `BETS=10000000`, `UPLOAD=3000000`, `ROUNDS=5`. `OLD=/path/to/quiniela` is a program of before the seal,
//! whose agencies declare nothing; without it the uploads are left out. `ONLY=close` or `ONLY=upload` measures a part.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{Central, QUINIELA, agency, ask, make_bets, median, setting, time, work_folder};

fn connect(central: &Central) -> TcpStream {
    TcpStream::connect(("127.0.0.1", central.port)).unwrap()
}

/// The store of a lottery of three agencies whose bets of the first two are stored, and none is done.
fn fill(folder: &Path, bets: u64) {
    let (data, store) = (folder.join("data"), folder.join("store"));
    make_bets(&data, 2, bets);
    let central = Central::start(QUINIELA, &store, 3);
    let rows = |id: u64| {
        let text = std::fs::read(data.join(format!("agency-{id}.csv"))).unwrap();
        memchr::memchr_iter(b'\n', &text).count()
    };
    let mut uploaders: Vec<_> = (1..=2).map(|id| agency(QUINIELA, id, central.port, &data, 256, None)).collect();
    let mut stream = connect(&central);
    for id in 1..=2 {
        let stored = format!("HELLO|OK|{}|", rows(id));
        while !ask(&mut stream, &format!("HELLO|{id}")).starts_with(&stored) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    for uploader in &mut uploaders {
        uploader.kill().unwrap();
        uploader.wait().unwrap();
    }
    central.stop();
}

fn close(folder: &Path, bets: u64, rounds: u64) {
    fill(folder, bets);
    let (store, copy) = (folder.join("store"), folder.join("copy"));
    let names = ["bets.csv", "journal", "secrets.json"];
    let (mut greps, mut seals, mut audits, mut memory) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for _ in 0..rounds {
        // Every round starts from the same lottery before its close. It may have been done already when it was stopped.
        std::fs::create_dir_all(&copy).unwrap();
        names.iter().for_each(|name| _ = std::fs::copy(store.join(name), copy.join(name)).unwrap());
        greps.push(time(|| {
            let mut grep = Command::new("grep");
            grep.args(["-c", ",7574.$"]).arg(copy.join("bets.csv")).stdout(Stdio::piped());
            assert!(grep.output().unwrap().status.success());
        }));
        let central = Central::start(QUINIELA, &copy, 3);
        let mut stream = connect(&central);
        for id in 1..=2 {
            assert_eq!(ask(&mut stream, &format!("DONE|{id}")), "ACK_DONE|OK\n");
        }
        let start = Instant::now();
        assert_eq!(ask(&mut stream, "DONE|3"), "ACK_DONE|OK\n");
        assert!(ask(&mut stream, "WAIT_SEAL|3").starts_with("SEAL|OK|"));
        seals.push(start.elapsed());
        assert_eq!(ask(&mut stream, "WAIT_DRAW|3"), "DRAW|OK\n");
        memory = memory.max(central.peak_memory());
        central.stop();
        audits.push(time(|| {
            let mut audit = Command::new(QUINIELA);
            assert!(audit.arg("audit").arg(&copy).stdout(Stdio::null()).status().unwrap().success());
        }));
        std::fs::remove_dir_all(&copy).unwrap();
    }
    println!("{bets} bets of two agencies, median of {rounds} rounds in turn");
    let grep = median(&greps).as_secs_f64();
    println!("grep -c                      {grep:.2} s");
    for (name, times) in [("last DONE to the seal's answer", &seals), ("quiniela audit", &audits)] {
        let taken = median(times).as_secs_f64();
        println!("{name:<30} {taken:.2} s   {:.1} of grep -c", taken / grep);
    }
    println!("central's peak memory        {memory} KiB");
}

/// From the agencies' start until all of their batches are acknowledged.
fn upload(central: &str, program: &str, data: &Path, store: &Path, agencies: u64, in_flight: u64) -> Duration {
    // One more agency, so that the lottery is not closed.
    let central = Central::start(central, store, agencies + 1);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for id in 1..=agencies {
            let port = central.port;
            scope.spawn(move || support::upload(program, id, port, data, in_flight, None));
        }
    });
    let taken = start.elapsed();
    central.stop();
    std::fs::remove_dir_all(store).unwrap();
    taken
}

fn uploads(folder: &Path, bets: u64, rounds: u64, old: &str) {
    let contenders =
        [("before the seal", old, old), ("no roots declared", QUINIELA, old), ("roots declared", QUINIELA, QUINIELA)];
    for (agencies, in_flight) in [(1, 16), (1, 256), (5, 256)] {
        let data = folder.join(format!("data-{agencies}-{in_flight}"));
        make_bets(&data, agencies, bets);
        let mut times = vec![Vec::new(); contenders.len()];
        for _ in 0..rounds {
            for ((_, central, program), times) in contenders.iter().zip(&mut times) {
                times.push(upload(central, program, &data, &folder.join("uploaded"), agencies, in_flight));
            }
        }
        println!("{bets} bets, {agencies} agencies, {in_flight} batches in flight, median of {rounds} rounds in turn");
        let base = median(&times[0]).as_secs_f64();
        for ((name, ..), times) in contenders.iter().zip(&times) {
            let taken = median(times).as_secs_f64();
            println!("{name:<18} {:>10.0} bets/s   {:.2} of the first", bets as f64 / taken, base / taken);
        }
    }
}

fn main() {
    let (bets, upload, rounds) = (setting("BETS", 10_000_000), setting("UPLOAD", 3_000_000), setting("ROUNDS", 5));
    let only = std::env::var("ONLY").unwrap_or_default();
    let folder = work_folder("seal");
    if only != "upload" {
        close(&folder, bets, rounds);
    }
    match std::env::var("OLD") {
        Ok(old) if only != "close" => uploads(&folder, upload, rounds, &old),
        _ => println!("uploads are left out: give OLD=/path/to/a/quiniela of before the seal"),
    }
    std::fs::remove_dir_all(folder).unwrap();
}
