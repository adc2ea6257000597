//! Checkpoints: no answer waits for one, and one that fails loses nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use fastrand::Rng;
use parking_lot::Mutex;

use super::disk::Folder as _;
use super::limits::Limits;
use super::lottery_testing::{
    AGENCIES, LIMITS, WINNING_NUMBER, account, close, one_bet, open, open_and_count, open_with, store,
};
use super::simulated_disk::{Call, ENOSPC, Fault, SimFolder};
use super::{BETS, JOURNAL};
use crate::domain::{AgencyId, Draw};
use crate::ledger::{Audience, Claim, Entry, Held, Ledger, Store as _, Verdict};

/// Counts the verdicts that are published, and notes whether the store is lost.
#[derive(Default)]
struct Listener {
    told: AtomicU64,
    is_lost: AtomicBool,
}

impl Audience<u64, ()> for Listener {
    fn settle(&self, verdicts: Vec<(u64, Verdict)>) {
        self.told.fetch_add(verdicts.len() as u64, Ordering::SeqCst);
    }

    fn admit_to_line(&self, _: Vec<()>) {}

    fn lose_store(&self) {
        self.is_lost.store(true, Ordering::SeqCst);
    }
}

#[test]
fn verdicts_are_told_before_a_checkpoint_and_its_failure_after_them() {
    let folder = SimFolder::new(Rng::with_seed(1));
    let ledger = Ledger::<u64, ()>::new(Box::new(open(&folder).unwrap().0));
    let listener = Arc::new(Listener::default());
    let put = Arc::new(AtomicU64::new(0));
    let write_one = || {
        ledger.line.put(&mut Claim::default(), one_bet(put.fetch_add(1, Ordering::SeqCst)), 0);
        ledger.line.hurry();
        ledger.write_group_if_any(&*listener);
    };
    let (listener_then, put_then, checkpoints) = (listener.clone(), put.clone(), Arc::new(Mutex::new(0)));
    let counter = checkpoints.clone();
    folder.on_call(move |_, call| {
        if call == Call::Name {
            *counter.lock() += 1;
            assert_eq!(listener_then.told.load(Ordering::SeqCst), put_then.load(Ordering::SeqCst));
        }
        None
    });
    (0..100).for_each(|_| write_one());
    assert!(*checkpoints.lock() > 10 && !listener.is_lost.load(Ordering::SeqCst));

    let mut names = 0;
    folder.on_call(move |_, call| {
        names += u32::from(call == Call::Name);
        // The first two are the removal and the creation of the new journal, and the third renames it.
        (names == 3).then_some(Fault::Interrupted)
    });
    while !listener.is_lost.load(Ordering::SeqCst) {
        assert_eq!(ledger.store.state().broken, None);
        write_one();
    }
    let error = ledger.store.state().broken.unwrap();
    assert!(error.0.starts_with("journal: cannot replace: "), "{error}");
    folder.calm();
    assert_eq!(ledger.store.commit(&[one_bet(0), one_bet(1000)])[1], Verdict::Gap);
    let next = put.load(Ordering::SeqCst);
    assert_eq!(ledger.store.commit(&[one_bet(next)]), [Verdict::Failed(error)]);
    assert_eq!(account(&open(&folder).unwrap().0, 1), (next, false), "what was acknowledged is there");
}

#[test]
fn a_checkpoint_holds_no_lock_while_it_writes() {
    let folder = SimFolder::new(Rng::with_seed(1));
    // Space of the log is made under the lock, if it is made beforehand.
    let files = Arc::new(open_with(&folder, Limits { ahead: 0, ..LIMITS }));
    let (files_then, writes, in_checkpoint) =
        (files.clone(), Arc::new(Mutex::new(0)), Arc::new(AtomicBool::new(false)));
    let (counter, is_one) = (writes.clone(), in_checkpoint.clone());
    folder.on_call(move |_, call| {
        if is_one.load(Ordering::SeqCst) {
            assert!(files_then.register.try_write().is_some());
            if call != Call::Name {
                *counter.lock() += 1;
                assert!(files_then.writer.try_lock().is_some());
            }
        }
        None
    });
    for first in 0..20 {
        files.commit(&[one_bet(first)]);
        in_checkpoint.store(true, Ordering::SeqCst);
        files.maintain().unwrap();
        in_checkpoint.store(false, Ordering::SeqCst);
    }
    assert!(*writes.lock() > 2);
    folder.calm();
}

#[test]
fn a_draw_that_is_held_while_a_snapshot_is_written_is_in_the_next() {
    let folder = SimFolder::new(Rng::with_seed(1));
    let (files, _) = open(&folder).unwrap();
    let done = (1..=AGENCIES).map(|agency| Entry::Done { agency: AgencyId(agency), declaration: None });
    files.commit(&done.collect::<Vec<_>>());
    let snapshot = files.writer.lock().snapshot(&files.register.read(), true);
    let written = snapshot.write(&folder);
    assert_eq!(close(&files), (Ok(Held::ByUs), Ok(Held::ByUs)));
    files.writer.lock().end_checkpoint(&folder, snapshot, written).unwrap();
    assert_eq!(folder.names().unwrap(), ["acta.json", BETS, JOURNAL, "secrets.json"]);
    let held = Draw::Held { number: WINNING_NUMBER, is_announced: false };
    assert_eq!(open(&folder.after_power_loss(&mut Rng::with_seed(1))).unwrap().0.state().draw, held);
}

#[test]
fn a_snapshot_that_fails_is_told_once_and_tried_now_and_then() {
    let folder = SimFolder::new(Rng::with_seed(1));
    let (told, tries) = (Arc::default(), Arc::new(Mutex::new(0)));
    let (files, _) = open_and_count(&folder, &told).unwrap();
    let counter = tries.clone();
    folder.on_call(move |_, call| {
        *counter.lock() += u32::from(call == Call::Name);
        (call == Call::Name).then_some(Fault::Error(ENOSPC))
    });
    for first in 0..100 {
        assert_eq!(store(&files, first), Verdict::Stored { already: 0 });
    }
    assert_eq!(*told.lock(), 1);
    // Each attempt fails at its first call, and then removes the file that it may have left.
    assert!((4..40).contains(&*tries.lock()), "{} calls", tries.lock());
    folder.calm();
    (100..200).for_each(|first| assert_eq!(store(&files, first), Verdict::Stored { already: 0 }));
    assert!(folder.bytes("journal").len() < 10_000, "a snapshot has replaced the long log");
    files.close().unwrap();
    let blocks = String::from_utf8(folder.bytes("journal")).unwrap().matches(":block:").count();
    assert!((2..=LIMITS.blocks).contains(&blocks), "{blocks} blocks, however many rows");
    assert_eq!(account(&open(&folder).unwrap().0, 1), (200, false));
}
