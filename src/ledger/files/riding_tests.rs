//! Rows that ride in the journal: one sync for a small group, and `bets.csv` whole where it has to be.

use std::sync::Arc;

use fastrand::Rng;
use parking_lot::Mutex;

use super::limits::Limits;
use super::lottery_testing::{AGENCIES, LIMITS, account, ask, batch, close, one_bet, open, open_with, store};
use super::simulated_disk::{Call, ENOSPC, Fault, SimFolder};
use super::{BETS, Files, JOURNAL, journal};
use crate::domain::AgencyId;
use crate::ledger::{Entry, Held, Store as _, Verdict};

/// Space for a log that is not extended.
const ROOMY: Limits = Limits { growth: 16384, ahead: 0, log_bytes: 1 << 30, rows_behind: 1 << 30, ..LIMITS };
const STORED: Verdict = Verdict::Stored { already: 0 };

/// Counts the syncs from now on.
fn count_syncs(folder: &SimFolder) -> Arc<Mutex<u32>> {
    let syncs = Arc::new(Mutex::new(0));
    let counter = syncs.clone();
    folder.on_call(move |_, call| {
        *counter.lock() += u32::from(call == Call::Sync);
        None
    });
    syncs
}

fn bets(files: &Files, count: u64) -> Verdict {
    ask(files, Entry::Bets { agency: AgencyId(1), place: None, rows: batch(1, 0, count, 0) })
}

fn rides(folder: &SimFolder) -> bool {
    journal::read(&folder.bytes(JOURNAL)).unwrap().log.last().is_some_and(|commit| !commit.rows.is_empty())
}

#[test]
fn a_small_group_is_synced_once_and_a_larger_one_twice() {
    let folder = SimFolder::new(Rng::with_seed(1));
    let (files, syncs) = (open_with(&folder, ROOMY), count_syncs(&folder));
    let row = batch(1, 0, 1, 0).bytes().len();
    let most = ROOMY.riding as usize / row;
    for (count, expected) in [(1, 1), (most as u64, 1), (most as u64 + 1, 2), (1, 1), (30, 2), (2, 1)] {
        *syncs.lock() = 0;
        assert_eq!(bets(&files, count), STORED);
        assert_eq!((*syncs.lock(), rides(&folder)), (expected, expected == 1), "{count} bets");
    }
}

#[test]
fn a_full_disk_refuses_bets_and_takes_a_mark() {
    let folder = SimFolder::new(Rng::with_seed(1));
    let files = open_with(&folder, ROOMY);
    let space = |folder: &SimFolder| folder.bytes(JOURNAL).iter().rev().take_while(|byte| **byte == 0).count();
    let mut ridden = 0;
    while space(&folder) as u64 >= ROOMY.reserve + 1536 {
        assert_eq!(bets(&files, 1), STORED);
        ridden += 1;
    }
    assert!(ridden > 10 && rides(&folder));
    let length = folder.bytes(JOURNAL).len();
    folder.on_call(|_, call| (call == Call::Grow).then_some(Fault::Error(ENOSPC)));
    assert!(matches!(bets(&files, 12), Verdict::Failed(_)), "there is no space for them");
    assert_eq!(ask(&files, Entry::Done { agency: AgencyId(2), declaration: None }), Verdict::Marked);
    assert_eq!(folder.bytes(JOURNAL).len(), length);
    folder.calm();
    assert_eq!(bets(&files, 1), STORED);
    assert_eq!(account(&open(&folder).unwrap().0, 1), (ridden + 1, false));
}

#[test]
fn a_checkpoint_that_cannot_sync_the_rows_ends_the_store_and_keeps_the_old_journal() {
    let mut rng = Rng::with_seed(1);
    for round in 0..40 {
        let folder = SimFolder::new(rng.fork());
        let files = open_with(&folder, Limits { log_bytes: 2048, ..ROOMY });
        let mut stored = 0;
        let error = loop {
            assert_eq!(files.commit(&[one_bet(stored)]), [STORED]);
            stored += 1;
            let mut syncs = 0;
            folder.on_call(move |_, call| {
                syncs += u32::from(call == Call::Sync);
                // The first is that of the new journal.
                (call == Call::Sync && syncs == 2).then_some(Fault::Interrupted)
            });
            let maintained = files.maintain();
            folder.calm();
            if let Err(error) = maintained {
                break error;
            }
        };
        assert!(error.0.starts_with("bets.csv: cannot sync: "), "{error}");
        assert_eq!(files.state().broken, Some(error));
        assert!(stored > 2);
        drop(files);
        // Whether the next start reads what is on the disk or what was lost on its way there, it writes it.
        let folder = if round % 2 == 0 { folder.after_power_loss(&mut rng) } else { folder };
        let (files, _) = open(&folder).unwrap();
        assert_eq!(account(&files, 1), (stored, false));
        drop(files);
        assert_eq!(account(&open(&folder.after_power_loss(&mut rng)).unwrap().0, 1), (stored, false));
    }
}

#[test]
fn a_failed_sync_of_the_rows_counts_although_its_checkpoint_does_not() {
    let folder = SimFolder::new(Rng::with_seed(1));
    let files = open_with(&folder, ROOMY);
    assert_eq!(bets(&files, 1), STORED);
    let snapshot = files.writer.lock().snapshot(&files.register.read(), true);
    let mut syncs = 0;
    folder.on_call(move |_, call| {
        syncs += u32::from(call == Call::Sync);
        (call == Call::Sync && syncs == 2).then_some(Fault::Interrupted)
    });
    let written = snapshot.write(&folder);
    folder.calm();
    // With this the snapshot is thrown away.
    assert_eq!(ask(&files, Entry::Done { agency: AgencyId(2), declaration: None }), Verdict::Marked);
    let error = files.writer.lock().end_checkpoint(&folder, snapshot, written).unwrap_err();
    assert!(error.0.starts_with("bets.csv: cannot sync: ") && files.state().broken == Some(error));
}

#[test]
fn what_is_sealed_or_closed_is_whole_without_the_journal() {
    let mut rng = Rng::with_seed(1);
    for is_sealed in [true, false] {
        let folder = SimFolder::new(rng.fork());
        let files = open_with(&folder, ROOMY);
        (0..9).for_each(|first| assert_eq!(store(&files, first), STORED));
        let is_whole = |rng: &mut Rng| folder.after_power_loss(rng).bytes(BETS) == folder.bytes(BETS);
        assert!(!(0..40).all(|_| is_whole(&mut rng)), "it is whole before");
        if is_sealed {
            for agency in (1..=AGENCIES).map(AgencyId) {
                assert_eq!(ask(&files, Entry::Done { agency, declaration: None }), Verdict::Marked);
            }
            assert!(matches!(close(&files), (Ok(Held::ByUs), Ok(Held::ByUs))));
        } else {
            files.close().unwrap();
        }
        assert!((0..40).all(|_| is_whole(&mut rng)));
    }
}
