//! Copies of a store while a central writes to it, call by call: every file is read at another moment, in any combination that
//! can come about.

use std::path::PathBuf;
use std::sync::Arc;
use std::{io, mem};

use fastrand::Rng;
use parking_lot::Mutex;
use tempfile::SpooledTempFile;

use super::backup::copy;
use super::disk::{Folder, Medium};
use super::lottery_testing::{Agencies, LIMITS, check, open};
use super::simulated_disk::SimFolder;
use super::simulation::hold_lottery;
use crate::ledger::Store as _;

/// A folder over time. Time passes, by a few calls of the central, whenever a file is opened.
struct Passing {
    moments: Vec<SimFolder>,
    now: Mutex<(usize, Rng)>,
    /// The most calls that pass at once.
    haste: usize,
}

impl Passing {
    fn folder(&self) -> &SimFolder {
        let (now, rng) = &mut *self.now.lock();
        *now = (*now + rng.usize(0..=self.haste)).min(self.moments.len() - 1);
        &self.moments[*now]
    }
}

impl Folder for Passing {
    fn open(&self, name: &str) -> io::Result<Box<dyn Medium>> {
        self.folder().open(name)
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        self.folder().exists(name)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.moments[0].path(name)
    }

    fn open_alone(&self, _: &str) -> io::Result<Box<dyn Medium>> {
        panic!("a backup takes no lock");
    }

    fn create(&self, _: &str) -> io::Result<Box<dyn Medium>> {
        panic!("a backup changes nothing in the store");
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.folder().names()
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        panic!("a backup changes nothing in the store");
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        panic!("a backup changes nothing in the store");
    }

    fn sync_names(&self) -> io::Result<()> {
        panic!("a backup changes nothing in the store");
    }

    fn scratch(&self, _: usize) -> SpooledTempFile {
        panic!("a backup needs no scratch file");
    }
}

/// The store before each call of a central, and what the agencies knew then.
fn moments_of_a_lottery(rng: &mut Rng, context: &str) -> (Vec<SimFolder>, Vec<Agencies>) {
    let folder = SimFolder::new(rng.fork());
    let (known, seen) = (Arc::<Mutex<Agencies>>::default(), Arc::new(Mutex::new((Vec::new(), Vec::new()))));
    drop(open(&folder).unwrap());
    let (known_then, seen_then) = (known.clone(), seen.clone());
    folder.on_call(move |disk, _| {
        let (moments, agencies) = &mut *seen_then.lock();
        moments.push(disk.as_it_is());
        agencies.push(known_then.lock().clone());
        None
    });
    let (files, _) = open(&folder).unwrap();
    hold_lottery(&files, &known, rng, context);
    if rng.bool() {
        files.close().unwrap();
    }
    folder.calm();
    let (moments, mut agencies) = mem::take(&mut *seen.lock());
    // A copy may hold what was sent after it was begun.
    let sent = known.lock().sent.clone();
    agencies.iter_mut().for_each(|agencies| agencies.sent = sent.clone());
    (moments, agencies)
}

#[test]
fn a_copy_holds_what_was_acknowledged_before_it_and_no_half_of_anything() {
    let mut copies = 0;
    for seed in 1.. {
        let mut rng = Rng::with_seed(seed);
        let (moments, agencies) = moments_of_a_lottery(&mut rng, &format!("SEED={seed}"));
        for haste in [0, 1, 3, 20] {
            let start = rng.usize(0..moments.len());
            let context = format!("SEED={seed}, from call {start} on, {haste}");
            let passing = Passing { moments: moments.clone(), now: Mutex::new((start, rng.fork())), haste };
            let target = SimFolder::new(rng.fork());
            copy(&passing, &target, LIMITS, &mut |_, _| true).unwrap_or_else(|error| panic!("{context}: {error:?}"));
            let recovered = check(&target, &agencies[start], &context);
            assert_eq!((recovered.dropped_bytes, recovered.dropped_records), (0, 0), "{context}");
            copies += 1;
        }
        if copies >= 2_000 {
            return;
        }
    }
}
