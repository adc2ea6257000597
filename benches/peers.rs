//! An agency's upload beside thousands of peers that have begun something and never finish it, and the central's peak
//! memory. The peers are processes of this program, each with an address of its own.
//!
//! `cargo bench --bench peers` (`PEERS=19900 BETS=1000000 ROUNDS=3`); where the system allows fewer open files, fewer peers
//! get in.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::Write as _;

use support::peers::{self, Peers};
use support::{Central, QUINIELA, make_bets, median, setting, upload, work_folder};

const KINDS: [&str; 4] = ["none", "partial frames", "batches", "waits for the draw"];

fn frame(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_be_bytes(), text.as_bytes()].concat()
}

/// What a peer sends.
fn begun(kind: &str) -> Vec<u8> {
    let names = "x".repeat(90);
    let row = format!("{names}|{names}|1|2000-01-01|7574\n");
    match kind {
        "partial frames" => frame(&row.repeat(39))[..7800].to_vec(),
        "batches" => [frame("BATCH|1|430\n"), frame(&row.repeat(39)).repeat(8)].concat(),
        "waits for the draw" => [frame("WAIT_DRAW|1\n"), frame("GET_WINNERS|1\n").repeat(900)].concat(),
        other => panic!("{other}"),
    }
}

/// They send what they have to, as far as it is taken, and read nothing.
fn be_peers(kind: &str) {
    let bytes = begun(kind);
    peers::be(|mut stream| {
        stream.set_nonblocking(true)?;
        let mut sent = 0;
        while let Ok(more @ 1..) = stream.write(&bytes[sent..]) {
            sent += more;
        }
        Ok(stream)
    });
}

fn main() {
    if let Some(kind) = peers::kind() {
        return be_peers(&kind);
    }
    let folder = work_folder("peers");
    let (data, store) = (folder.join("data"), folder.join("store"));
    let (peers, bets, rounds) = (setting("PEERS", 19_900), setting("BETS", 1_000_000), setting("ROUNDS", 3));
    make_bets(&data, 1, bets);
    println!("{bets} bets of one agency beside {peers} peers, medians of {rounds} rounds in turn");
    let (mut times, mut memory) = ([(); KINDS.len()].map(|()| vec![]), [0; KINDS.len()]);
    for _ in 0..rounds {
        for (place, kind) in KINDS.into_iter().enumerate() {
            let _ = std::fs::remove_dir_all(&store);
            let central = Central::start(QUINIELA, &store, 2);
            let begun = (kind != "none").then(|| Peers::start(kind, &central, peers, &folder));
            times[place].push(upload(QUINIELA, 1, central.port, &data, 256, None));
            eprintln!("{kind}: {:?}, {} KiB", times[place].last().unwrap(), central.peak_memory());
            memory[place] = memory[place].max(central.peak_memory() / 1024);
            begun.into_iter().for_each(Peers::end);
            central.stop();
        }
    }
    let base = median(&times[0]).as_secs_f64();
    for (place, kind) in KINDS.into_iter().enumerate() {
        let seconds = median(&times[place]).as_secs_f64();
        println!("{kind:<20} {seconds:>6.2} s  {:.2} of the speed  {:>4} MiB", base / seconds, memory[place]);
    }
    std::fs::remove_dir_all(folder).unwrap();
}
