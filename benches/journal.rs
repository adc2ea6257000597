//! The cost of the journal in a commit: one record in space that was zeroed beforehand, the same record appended to a
//! growing file, and a transaction of an embedded store (redb). See docs/DURABILITY.md.
//!
//! `cargo bench --bench journal`; `COMMITS=500`, `ROUNDS=5`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use redb::{Database, TableDefinition};
use support::{median, setting, time, work_folder};

const RECORD: usize = 64;
const TABLE: TableDefinition<u64, u64> = TableDefinition::new("agencies");

fn main() {
    let (commits, rounds) = (setting("COMMITS", 500), setting("ROUNDS", 5));
    let folder = work_folder("journal");
    let mut times: [Vec<Duration>; 3] = Default::default();
    for _ in 0..rounds {
        let file = File::create(folder.join("zeroed")).unwrap();
        file.write_all_at(&vec![0; RECORD * commits as usize], 0).unwrap();
        file.sync_all().unwrap();
        times[0].push(time(|| {
            for commit in 0..commits {
                file.write_all_at(&[b'x'; RECORD], commit * RECORD as u64).unwrap();
                file.sync_data().unwrap();
            }
        }));
        let mut file = File::create(folder.join("growing")).unwrap();
        times[1].push(time(|| {
            for _ in 0..commits {
                file.write_all(&[b'x'; RECORD]).unwrap();
                file.sync_data().unwrap();
            }
        }));
        let _ = std::fs::remove_file(folder.join("redb"));
        let store = Database::create(folder.join("redb")).unwrap();
        times[2].push(time(|| {
            for commit in 0..commits {
                let transaction = store.begin_write().unwrap();
                transaction.open_table(TABLE).unwrap().insert(commit % 5, commit).unwrap();
                transaction.commit().unwrap();
            }
        }));
    }
    println!("{commits} commits, median of {rounds} rounds in turn");
    let base = median(&times[0]).as_secs_f64();
    for (name, times) in ["record in zeroed space", "record in a growing file", "redb transaction"].iter().zip(&times) {
        let taken = median(times).as_secs_f64();
        println!("{name:<26} {:>8.0} µs a commit   {:.2} of the first", taken / commits as f64 * 1e6, taken / base);
    }
    std::fs::remove_dir_all(folder).unwrap();
}
