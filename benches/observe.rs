//! Durable ingest with `--http`, and metrics and state asked for once a second, beside the same without it; and beside an older
//! program, if there is one. The processor time counts most: it is what the central itself has used, and is less noisy.
//!
//! `cargo bench --bench observe`; `BETS=3000000`, `ROUNDS=7`, `IN_FLIGHT=256`, `OLD=/path/to/an/older/quiniela`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use support::{Central, QUINIELA, agency, make_bets, median, setting, time, work_folder};

/// Asks as Prometheus and an open board do, until the other end of the channel is dropped. Returns how many answers came.
fn scrape(port: u16, end: &mpsc::Receiver<()>) -> u64 {
    let mut answers = 0;
    while end.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
        for path in ["/metrics", "/status.json"] {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nhost: central\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            answers += 1;
        }
    }
    answers
}

/// The time of a lottery, the ticks of processor time that its central used, and the answers that were had meanwhile.
fn lottery(
    program: &str,
    data: &Path,
    store: &Path,
    agencies: u64,
    in_flight: u64,
    words: &[String],
) -> (Duration, u64, u64) {
    let _ = std::fs::remove_dir_all(store);
    let central = Central::start_words(program, store, agencies, words);
    let (stop, end) = mpsc::channel();
    let http = central.http;
    let scraping = std::thread::spawn(move || http.map_or(0, |port| scrape(port, &end)));
    let taken = time(|| {
        let start = |id| agency(program, id, central.port, data, in_flight, None);
        let children: Vec<_> = (1..=agencies).map(start).collect();
        children.into_iter().for_each(|mut child| assert!(child.wait().unwrap().success()));
    });
    let ticks = central.ticks();
    drop(stop);
    let answers = scraping.join().unwrap();
    central.stop();
    (taken, ticks, answers)
}

fn main() {
    let (bets, rounds, in_flight) = (setting("BETS", 3_000_000), setting("ROUNDS", 7), setting("IN_FLIGHT", 256));
    let old = std::env::var("OLD").ok();
    let watched = ["--http", "127.0.0.1:0"].map(str::to_owned);
    let mut contenders: Vec<(&str, &str, &[String])> =
        vec![("without", QUINIELA, &[]), ("with --http", QUINIELA, &watched)];
    if let Some(old) = &old {
        contenders.push(("the older program", old, &[]));
    }
    let folder = work_folder("observe");
    let store = folder.join("store");
    println!("{bets} bets, {in_flight} batches in flight, medians of {rounds} rounds in turn");
    for agencies in [5, 1] {
        let data = folder.join(format!("data-{agencies}"));
        make_bets(&data, agencies, bets);
        let mut times = vec![Vec::new(); contenders.len()];
        let mut ticks = vec![Vec::new(); contenders.len()];
        let mut answers = 0;
        for round in 0..rounds {
            // Each goes first in turn: what comes first finds the machine in another state.
            for step in 0..contenders.len() {
                let place = (step + round as usize) % contenders.len();
                let (_, program, words) = contenders[place];
                let (taken, used, had) = lottery(program, &data, &store, agencies, in_flight, words);
                times[place].push(taken);
                ticks[place].push(Duration::from_millis(used * 10));
                answers += had;
            }
        }
        let base = (median(&times[0]).as_secs_f64(), median(&ticks[0]).as_secs_f64());
        for ((name, ..), (times, ticks)) in contenders.iter().zip(times.iter().zip(&ticks)) {
            let (taken, used) = (median(times).as_secs_f64(), median(ticks).as_secs_f64());
            println!(
                "{agencies} agencies, {name:<18} {:>10.0} bets/s  {:.3} of the speed without; {used:.2} s of the central's processor time, {:.3} of it",
                bets as f64 / taken,
                base.0 / taken,
                used / base.1,
            );
        }
        println!("{answers} answers over HTTP");
        std::fs::remove_dir_all(data).unwrap();
    }
    std::fs::remove_dir_all(folder).unwrap();
}
