//! Starts: on a full disk, and with rows behind the committed ones.

use std::sync::Arc;

use fastrand::Rng;

use super::BETS;
use super::disk::Folder as _;
use super::limits::Limits;
use super::lottery_testing::{LIMITS, account, open, open_and_count, open_with, store};
use super::simulated_disk::{Call, ENOSPC, Fault, SimFolder};
use crate::ledger::{Store as _, Verdict};

#[test]
fn a_start_on_a_full_disk_tells_what_is_there_and_stores_once_there_is_space() {
    let folder = SimFolder::new(Rng::with_seed(1));
    let stored = Verdict::Stored { already: 0 };
    assert_eq!(store(&open(&folder).unwrap().0, 0), stored);
    folder.on_call(|_, call| (call == Call::Grow).then_some(Fault::Error(ENOSPC)));
    let told = Arc::default();
    for start in 1..4 {
        let (files, recovered) = open_and_count(&folder, &told).unwrap();
        assert_eq!((recovered.bets, account(&files, 1)), (1, (1, false)));
        for _ in 0..2 {
            let Verdict::Failed(error) = store(&files, 1) else { panic!("there is no space for it") };
            assert!(error.0.starts_with("journal: cannot replace: "), "{error}");
        }
        assert_eq!(*told.lock(), start, "it is told once");
        assert!(files.close().is_err());
        assert_eq!(folder.names().unwrap(), ["bets.csv", "journal", "secrets.json"]);
    }
    let (files, _) = open(&folder).unwrap();
    folder.calm();
    assert_eq!(store(&files, 1), stored);
    files.close().unwrap();
    assert_eq!(account(&open(&folder).unwrap().0, 1), (2, false));
}

#[test]
fn what_is_told_on_a_full_disk_is_on_it_even_after_a_failed_sync() {
    let mut rng = Rng::with_seed(1);
    for round in 0..200 {
        let folder = SimFolder::new(rng.fork());
        // The log has space, so no sync but those of the commit is made.
        let riding = if round % 2 == 0 { 0 } else { 600 };
        let files = open_with(&folder, Limits { growth: 4096, riding, ..LIMITS });
        let mut syncs = 0;
        folder.on_call(move |_, call| {
            syncs += u32::from(call == Call::Sync);
            // That of the journal is the only one, or the second one behind that of the rows.
            (syncs == if riding == 0 { 2 } else { 1 }).then_some(Fault::Interrupted)
        });
        assert!(matches!(store(&files, 0), Verdict::Failed(_)));
        folder.on_call(|_, call| (call == Call::Grow).then_some(Fault::Error(ENOSPC)));
        // If the record was lost, its rows have to be cut off, and there is no space to keep them.
        let Ok((files, _)) = open(&folder) else { continue };
        let told = account(&files, 1);
        assert_eq!(told, (1, false));
        assert_eq!(account(&open(&folder.after_power_loss(&mut rng)).unwrap().0, 1), told);
    }
}

/// The tails that were cut off, oldest first.
fn cuts(folder: &SimFolder) -> Vec<Vec<u8>> {
    let names = folder.names().unwrap().into_iter().filter(|name| name.starts_with("bets.csv.cut-"));
    names.map(|name| folder.bytes(&name)).collect()
}

/// Writes uncommitted bytes to an empty `bets.csv`.
fn add_tail(folder: &SimFolder, central: u32) -> Vec<u8> {
    let tail = format!("1,Ana,Paz,{central},2000-01-01,7\r\n2,Eva,").into_bytes();
    let bets = folder.open(BETS).unwrap();
    bets.write_all_at(&tail, 0).unwrap();
    bets.sync().unwrap();
    tail
}

#[test]
fn what_a_start_cuts_off_is_on_disk_in_another_file_first() {
    let mut rng = Rng::with_seed(1);
    for _ in 0..200 {
        let folder = SimFolder::new(rng.fork());
        drop(open(&folder).unwrap());
        let tail = add_tail(&folder, 1);
        let is_there = move |folder: &SimFolder| folder.bytes(BETS) == tail || cuts(folder).contains(&tail);
        let (is_there_then, mut image_rng) = (is_there.clone(), rng.fork());
        folder.on_call(move |disk, _| {
            assert!(is_there_then(&disk.after_power_loss(&mut image_rng)));
            Fault::any(&mut image_rng, 20)
        });
        let opened = open(&folder);
        folder.calm();
        assert!(is_there(&folder.after_power_loss(&mut rng)));
        // The cut has to be on disk before a clean stop, even if an earlier start made it.
        let (files, _) = opened.unwrap_or_else(|_| open(&folder).unwrap());
        assert!(folder.bytes(BETS).is_empty());
        files.close().unwrap();
        let image = folder.after_power_loss(&mut rng);
        open(&image).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn the_newest_eight_cuts_are_kept() {
    let folder = SimFolder::new(Rng::with_seed(1));
    drop(open(&folder).unwrap());
    let mut tails = Vec::new();
    for central in 0..12 {
        tails.push(add_tail(&folder, central));
        let (_, recovered) = open(&folder).unwrap();
        assert_eq!((recovered.dropped_rows, recovered.dropped_bytes), (1, tails[tails.len() - 1].len() as u64));
        assert_eq!(folder.bytes(&recovered.kept_in.unwrap()), tails[tails.len() - 1]);
    }
    assert_eq!(cuts(&folder), tails[4..]);
}
