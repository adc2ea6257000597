//! The names of the acta: whatever fails to be renamed or synced, an acta that the journal knows is never lost.

use std::sync::Arc;

use fastrand::Rng;
use parking_lot::Mutex;

use super::disk::write_anew;
use super::lottery_testing::{AGENCIES, close, open, store};
use super::papers::ACTA;
use super::simulated_disk::{Call, Fault, SimFolder};
use super::{Files, JOURNAL};
use crate::domain::AgencyId;
use crate::ledger::{Entry, Held, Store as _, Verdict};

/// Fails the changes of names from this one on, but no more than so many.
fn fail_names(folder: &SimFolder, first: u32, most: u32) {
    let mut names = 0;
    folder.on_call(move |_, call| {
        names += u32::from(call == Call::Name);
        (call == Call::Name && (first..first.saturating_add(most)).contains(&names)).then_some(Fault::Interrupted)
    });
}

fn all_done(folder: &SimFolder) -> Files {
    let files = open(folder).unwrap().0;
    store(&files, 0);
    for agency in (1..=AGENCIES).map(AgencyId) {
        assert_eq!(files.commit(&[Entry::Done { agency, declaration: None }]), [Verdict::Marked]);
    }
    files
}

fn seal(files: &Files) -> Result<Held, crate::ledger::StorageError> {
    files.seal(AGENCIES, &|_| Ok(None), &|| false)
}

#[test]
fn a_seal_whose_name_could_not_be_made_or_synced_is_taken_up() {
    for failing in 1..=5 {
        let folder = SimFolder::new(Rng::with_seed(1));
        let files = all_done(&folder);
        fail_names(&folder, failing, 1);
        assert!(seal(&files).is_err(), "{failing}");
        folder.calm();
        assert!(seal(&files).is_ok(), "{failing}");
        assert!(!folder.bytes(ACTA).is_empty());
    }
}

#[test]
fn an_acta_without_a_name_is_not_written_over() {
    for (failing, later) in (1..=5).flat_map(|failing| (1..=12).map(move |later| (failing, later))) {
        let folder = SimFolder::new(Rng::with_seed(1));
        let files = all_done(&folder);
        fail_names(&folder, failing, 1);
        assert!(seal(&files).is_err());
        let is_known = files.acta().is_some();
        drop(files);
        fail_names(&folder, later, u32::MAX);
        let opened = open(&folder);
        folder.calm();
        let Ok((files, _)) = opened else { continue };
        let (rng, images) = (Mutex::new(Rng::with_seed(1)), Arc::new(Mutex::new(0)));
        let counted = Arc::clone(&images);
        folder.on_call(move |disk, _| {
            for _ in 0..8 {
                let image = disk.after_power_loss(&mut rng.lock());
                let opened = open(&image).unwrap_or_else(|error| panic!("{failing}, {later}: {error}"));
                assert!(!is_known || opened.0.acta().is_some(), "{failing}, {later}: the seal is lost");
                *counted.lock() += 1;
            }
            None
        });
        let _ = close(&files);
        assert!(*images.lock() > 0);
    }
}

#[test]
fn a_named_acta_that_the_journal_does_not_know_is_refused_and_kept() {
    let folder = SimFolder::new(Rng::with_seed(1));
    let before = {
        let files = all_done(&folder);
        let before = folder.bytes(JOURNAL);
        seal(&files).unwrap();
        before
    };
    let acta = folder.bytes(ACTA);
    write_anew(&folder, JOURNAL, &before).unwrap();
    let Err(error) = open(&folder) else { panic!("an older journal has made it forget its seal") };
    assert!(error.to_string().contains("acta.json: the journal does not know it"), "{error}");
    assert_eq!(folder.bytes(ACTA), acta);
}
