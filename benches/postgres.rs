//! A ledger on PostgreSQL, with the standby in step: one central against psql's binary COPY of the same rows, and the whole wire
//! against a folder, in the same run. Then one batch in flight, two centrals beside one, the draw without the seal, and how long no
//! bet is taken when the primary is killed and the standby promoted at once.
//!
//! `cargo bench --bench postgres`; `BETS=1000000`, `ROUNDS=3`, `IN_FLIGHT=256`, `FAILOVERS=10`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code)]
#[path = "../tests/postgres/cluster.rs"]
mod cluster;
#[allow(dead_code, unused_imports)]
#[path = "../tests/it/common/mod.rs"]
mod common;
mod support;

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cluster::{Follows, Pair};
use support::{Central, QUINIELA, make_bets, median, setting, time, upload, work_folder};

/// A bet's part of a second, as a number of bets in each.
fn rate(bets: u64, times: &[Duration]) -> f64 {
    bets as f64 / median(times).as_secs_f64()
}

fn empty(pair: &Pair) {
    pair.primary.sql("TRUNCATE draws, agencies, batches, centrals, winners; CHECKPOINT");
}

/// The upload of these agencies, each at its own central if there are several.
fn uploads(pair: &Pair, agencies: &[u64], centrals: usize, all: u64, data: &Path, in_flight: u64) -> Duration {
    empty(pair);
    let url = pair.url();
    let centrals: Vec<Central> = (0..centrals).map(|_| Central::start(QUINIELA, Path::new(&url), all)).collect();
    let taken = time(|| {
        std::thread::scope(|scope| {
            for (place, agency) in agencies.iter().enumerate() {
                let port = centrals[place % centrals.len()].port;
                scope.spawn(move || upload(QUINIELA, *agency, port, data, in_flight, None));
            }
        });
    });
    centrals.into_iter().for_each(Central::stop);
    taken
}

/// From the kill of the primary, and from the end of the standby's promotion, to the next bet that is acknowledged. Nothing is frozen
/// meanwhile, and the central is the same all the while.
fn failover() -> [Duration; 2] {
    let mut pair = Pair::start(Follows::InStep).unwrap();
    let central = Central::start(QUINIELA, Path::new(&pair.url()), 1);
    let is_over = AtomicBool::new(false);
    let pauses = std::thread::scope(|scope| {
        let bets = scope.spawn(|| {
            let mut stream = TcpStream::connect(("127.0.0.1", central.port)).unwrap();
            let mut acknowledged = Vec::new();
            while !is_over.load(Ordering::SeqCst) {
                // One is refused if the central gives its server up while it stores it. An agency sends it again.
                if support::ask(&mut stream, "BET|1|Ana|Paz|1|2000-01-01|7574").trim_end() == "ACK|OK" {
                    acknowledged.push(Instant::now());
                } else {
                    stream = TcpStream::connect(("127.0.0.1", central.port)).unwrap();
                }
            }
            acknowledged
        });
        std::thread::sleep(Duration::from_millis(300));
        pair.primary.kill();
        let killed = Instant::now();
        pair.standby.promote();
        let promoted = Instant::now();
        std::thread::sleep(Duration::from_secs(4));
        is_over.store(true, Ordering::SeqCst);
        let acknowledged = bets.join().unwrap();
        let next = acknowledged.into_iter().find(|at| *at > promoted).expect("service again within four seconds");
        [next - killed, next - promoted]
    });
    central.stop();
    pauses
}

fn main() {
    let Some(pair) = Pair::start(Follows::InStep) else { return };
    let (bets, rounds, in_flight) = (setting("BETS", 1_000_000), setting("ROUNDS", 3), setting("IN_FLIGHT", 256));
    let (data, store) = (work_folder("postgres-data"), work_folder("postgres-store"));
    // Agency 3 sends nothing, so that there is no draw.
    make_bets(&data, 2, bets);
    let copy = pair.primary.data.join("batches");
    let (mut copies, mut ones, mut twos, mut folders) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        ones.push(uploads(&pair, &[1, 2], 1, 3, &data, in_flight));
        assert_eq!(pair.primary.sql("SELECT sum(count) FROM batches"), bets.to_string());
        pair.primary.sql(&format!("COPY batches TO '{}' (FORMAT binary)", copy.display()));
        pair.primary.sql("DROP TABLE IF EXISTS copied; CREATE TABLE copied (LIKE batches INCLUDING ALL); CHECKPOINT");
        let text = format!("\\copy copied FROM '{}' (FORMAT binary)", copy.display());
        copies.push(time(|| _ = pair.primary.sql(&text)));
        twos.push(uploads(&pair, &[1, 2], 2, 3, &data, in_flight));
        let _ = std::fs::remove_dir_all(&store);
        let central = Central::start(QUINIELA, &store, 3);
        folders.push(time(|| {
            std::thread::scope(|scope| {
                for agency in [1, 2] {
                    let (port, data) = (central.port, &data);
                    scope.spawn(move || upload(QUINIELA, agency, port, data, in_flight, None));
                }
            });
        }));
        central.stop();
    }
    let (one, copied, folder) = (rate(bets, &ones), rate(bets, &copies), rate(bets, &folders));
    println!("psql's binary COPY     {copied:>10.0} bets/s");
    println!("a folder               {folder:>10.0} bets/s");
    println!(
        "one central            {one:>10.0} bets/s: {:.2} of COPY, {:.2} of the folder",
        one / copied,
        one / folder
    );
    println!("two centrals           {:>10.0} bets/s", rate(bets, &twos));

    let few = work_folder("postgres-few");
    make_bets(&few, 1, 20_000);
    let alone = uploads(&pair, &[1], 1, 2, &few, 1);
    println!("one batch in flight    {:>10.3} ms each", alone.as_secs_f64() * 1000.0 / 200.0);

    // The number comes later, so the seal is made before.
    empty(&pair);
    let folder = common::Folder::new();
    let central = common::Central::on(&folder).in_database(&pair.url());
    let central = central.with("--client-amount 2 --winning-number later").start();
    let upload = |id| upload(QUINIELA, id, central.port, &data, in_flight, None);
    for id in [1, 2] {
        upload(id);
        // The agency may be gone before it has said so.
        assert_eq!(central.ask(&format!("DONE|{id}")), "ACK_DONE|OK");
    }
    let seal = loop {
        let status = central.ask("STATUS");
        if let Some(seal) = status.split('|').find(|field| field.len() == 64) {
            break seal.to_owned();
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let draw = time(|| {
        let mut command = Command::new(QUINIELA);
        command.args(["draw", "7574", "--seal", &seal, "--store", &pair.url(), "--server"]);
        assert!(command.arg(format!("127.0.0.1:{}", central.port)).status().unwrap().success());
    });
    println!("the draw over {bets} bets, without the seal: {} ms", draw.as_millis());
    central.stop();
    drop(pair);

    let pauses: Vec<[Duration; 2]> = (0..setting("FAILOVERS", 10)).map(|_| failover()).collect();
    if pauses.is_empty() {
        return;
    }
    for (place, since) in ["the kill", "the promotion"].iter().enumerate() {
        let pauses: Vec<Duration> = pauses.iter().map(|pause| pause[place]).collect();
        let worst = pauses.iter().max().copied().unwrap_or_default();
        println!("service again after {since}: median {:.0?}, worst {worst:.0?}, of {}", median(&pauses), pauses.len());
    }
}
