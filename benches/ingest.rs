//! Durable ingest, compared with a bare program that moves the same bytes over loopback into a file, in frames of the
//! same size, with one `fdatasync` for all frames that have arrived. It parses, checks and logs nothing. It shows what
//! the machine can do, and the ratio to it shows what quiniela's work costs.
//!
//! `cargo bench --bench ingest`; `BETS=3000000`, `ROUNDS=5`, `IN_FLIGHT=16`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use support::floor::floor;
use support::{QUINIELA, lottery, make_bets, median, setting, work_folder};

fn main() {
    let (bets, rounds, in_flight) = (setting("BETS", 3_000_000), setting("ROUNDS", 5), setting("IN_FLIGHT", 16));
    let folder = work_folder("ingest");
    let (one, five, store) = (folder.join("one"), folder.join("five"), folder.join("store"));
    make_bets(&one, 1, bets);
    make_bets(&five, 5, bets);
    let contenders = ["bare", "1 agency", "1 agency, 256 in flight", "5 agencies, 256 in flight"];
    let mut times = vec![Vec::new(); contenders.len()];
    let mut memory = 0;
    for _ in 0..rounds {
        times[0].push(floor(&[one.join("agency-1.csv")], &folder, in_flight));
        for (place, (data, agencies, window)) in
            [(&one, 1, in_flight), (&one, 1, 256), (&five, 5, 256)].into_iter().enumerate()
        {
            let (taken, peak) = lottery(QUINIELA, data, &store, agencies, window);
            times[place + 1].push(taken);
            memory = memory.max(peak);
        }
    }
    println!("{bets} bets, {in_flight} batches in flight where not said, median of {rounds} rounds in turn");
    let base = median(&times[0]).as_secs_f64();
    for (name, times) in contenders.iter().zip(&times) {
        let taken = median(times).as_secs_f64();
        println!("{name:<26} {:>10.0} bets/s   {:.2} of bare", bets as f64 / taken, base / taken);
    }
    println!("central's peak memory: {memory} KiB");
    std::fs::remove_dir_all(folder).unwrap();
}
