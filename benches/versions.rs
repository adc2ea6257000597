//! Two builds of quiniela side by side: the same files of five agencies, in turn, from the agencies' start to the end
//! of the last. What is stored has to be the same, agency by agency.
//!
//! `OLD=/path/to/another/quiniela cargo bench --bench versions`; `BETS=1000000` for one size alone,
//! `ROUNDS=5`, `IN_FLIGHT=256`, `AGENCIES=5`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use support::{QUINIELA, lottery, make_bets, median, setting, work_folder};

fn main() {
    let Ok(old) = std::env::var("OLD") else {
        println!("OLD is not set: there is nothing to compare with");
        return;
    };
    let folder = work_folder("versions");
    let (data, store) = (folder.join("data"), folder.join("store"));
    let sizes = match setting("BETS", 0) {
        0 => vec![1_000_000, 10_000_000],
        bets => vec![bets],
    };
    let (rounds, agencies, in_flight) = (setting("ROUNDS", 5), setting("AGENCIES", 5), setting("IN_FLIGHT", 256));
    println!("{agencies} agencies, {in_flight} batches in flight, medians of {rounds} rounds in turn");
    for bets in sizes {
        make_bets(&data, agencies, bets);
        let (mut times, mut processor, mut stored) = ([vec![], vec![]], [vec![], vec![]], vec![]);
        for round in 0..rounds {
            // Each goes first in every other round: who comes second meets a disk that is still busy.
            for turn in 0..2 {
                let version = ((round + turn) % 2) as usize;
                let program = [old.as_str(), QUINIELA][version];
                let before = children_time();
                times[version].push(lottery(program, &data, &store, agencies, in_flight).0);
                processor[version].push(children_time() - before);
                stored.push(checksums(&store.join("bets.csv"), agencies));
            }
        }
        assert!(stored.iter().all(|checksums| *checksums == stored[0]), "they have not stored the same");
        let base = median(&times[0]).as_secs_f64();
        for (version, name) in ["old", "new"].into_iter().enumerate() {
            let seconds = median(&times[version]).as_secs_f64();
            let rate = bets as f64 / seconds;
            let nanoseconds = median(&processor[version]).as_nanos() / u128::from(bets);
            let ratio = base / seconds;
            print!("{bets:>10} bets  {name}  {seconds:>6.2} s  {rate:>9.0} bets/s  {ratio:.2} times");
            println!("  {nanoseconds:>4} ns of processor a bet");
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// The processor time of all child processes that have ended.
fn children_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // After the name, in hundredths of a second: user and system time.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = fields.split(' ').skip(13).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>();
    Duration::from_millis(10 * ticks)
}

/// A checksum of each agency's rows, in their order.
fn checksums(bets: &Path, agencies: u64) -> Vec<u32> {
    let mut checksums = vec![crc32fast::Hasher::new(); agencies as usize];
    let mut file = BufReader::new(std::fs::File::open(bets).unwrap());
    let mut row = Vec::new();
    while file.read_until(b'\n', &mut row).unwrap() > 0 {
        let agency = row.iter().take_while(|byte| byte.is_ascii_digit());
        let id = agency.fold(0, |id, digit| 10 * id + usize::from(digit - b'0'));
        checksums[id - 1].update(&row);
        row.clear();
    }
    checksums.into_iter().map(crc32fast::Hasher::finalize).collect()
}
