//! A ledger on PostgreSQL, with the standby in step: one central against psql's binary COPY of the same rows, and the whole wire
//! against a folder, in the same run. Then one batch in flight, two centrals beside one, and the draw without the seal.
//!
//! `cargo bench --bench postgres`; `BETS=1000000`, `ROUNDS=3`, `IN_FLIGHT=256`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code)]
#[path = "../tests/postgres/cluster.rs"]
mod cluster;
#[allow(dead_code, unused_imports)]
#[path = "../tests/it/common/mod.rs"]
mod common;
mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

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
    [1, 2].into_iter().for_each(|id| _ = upload(id));
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
}
