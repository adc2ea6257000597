//! `quiniela keys`: what is left of commands that are killed or meet each other.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::thread;

use fastrand::Rng;

use crate::common::keys::{Place, files, key};
use crate::common::seed;

#[test]
fn commands_at_once_lose_no_row() {
    let place = Place::with_agencies(8);
    thread::scope(|scope| {
        for agency in 1..=8 {
            let place = &place;
            scope.spawn(move || {
                place.ok(&format!("renew keys --agency {agency}"));
                place.ok(&format!("revoke keys --serial {}", place.serials(&format!("agency:{agency}"))[0]));
            });
        }
    });
    place.assert_whole(8);
    assert_eq!((place.issued().len(), place.revoked().len()), (18, 8));
    assert_eq!(place.list("keys/central/crl.pem"), (9, place.revoked()));
}

#[test]
fn of_two_inits_at_once_one_makes_the_keys() {
    let place = Place::new();
    let codes: Vec<Option<i32>> = thread::scope(|scope| {
        let started: Vec<_> =
            (0..4).map(|_| scope.spawn(|| place.run("init keys --agencies 5").status.code())).collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == Some(2)).count(), 3, "{codes:?}");
    place.assert_whole(5);
}

/// When a command is killed: once it has gathered so many files and folders, or once it has decided.
#[derive(Clone, Copy)]
enum Moment {
    Gathered(usize),
    Decided,
}

/// Starts a command that changes `keys`, and kills it at a moment. Returns whether it was done before.
fn killed(place: &Place, words: &str, moment: Moment) -> bool {
    let mut command = place.command(words);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let has_come = || match moment {
        Moment::Gathered(files) => {
            let staged = fs::read_dir(place.path("keys/.quiniela-staged"));
            files == 0 || staged.is_ok_and(|staged| staged.count() >= files)
        }
        Moment::Decided => place.path("keys/.quiniela-change").exists(),
    };
    while child.try_wait().unwrap().is_none() && !has_come() {
        thread::yield_now();
    }
    let _ = child.kill();
    child.wait().unwrap().success()
}

/// Every private key that is there is whole.
#[track_caller]
fn assert_keys_are_whole(place: &Place) {
    let in_place = files(&place.path("")).into_keys();
    for path in in_place.filter(|path| !path.to_str().unwrap().contains(".quiniela-")) {
        if path.ends_with("key.pem") || path.ends_with("ca.key") {
            key(&path);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}

#[test]
fn a_killed_init_leaves_no_half_and_the_next_one_makes_the_rest() {
    let mut rng = Rng::with_seed(seed());
    let (mut untouched, mut finished) = (0, 0);
    let words = "init keys --agencies 12";
    for round in 0..24 {
        let place = Place::new();
        let moment = if round % 2 == 0 { Moment::Gathered(rng.usize(..14)) } else { Moment::Decided };
        let was_done = killed(&place, words, moment);
        assert_keys_are_whole(&place);
        let next = place.run(words);
        let complaint = String::from_utf8(next.stderr).unwrap();
        if next.status.success() {
            untouched += 1;
            assert!(!was_done);
        } else {
            finished += 1;
            let told = if was_done { "--force makes a new authority" } else { "ca.key: " };
            assert!(next.status.code() == Some(2) && complaint.contains(told), "{complaint}");
        }
        place.assert_whole(12);
        assert_eq!(place.issued().len(), 14);
    }
    assert!(untouched > 0 && finished > 0, "{untouched} rounds killed early, {finished} late");
}

#[test]
fn a_killed_change_is_made_wholly_or_not_at_all() {
    let mut rng = Rng::with_seed(seed());
    let place = Place::with_agencies(2);
    let mut certificates = place.issued().len();
    for _ in 0..30 {
        let words = if rng.bool() { "renew keys --agency 1" } else { "revoke keys --agency 2" };
        let moment = if rng.bool() { Moment::Gathered(rng.usize(..4)) } else { Moment::Decided };
        killed(&place, words, moment);
        assert_keys_are_whole(&place);
        let before = place.issued().len();
        assert!(before >= certificates, "a row is lost");
        // It finishes what was decided, and changes nothing else.
        place.ok("renew keys --agency 2");
        place.assert_whole(2);
        certificates = place.issued().len();
        assert!((before + 1..=before + 2).contains(&certificates));
        assert!(place.revoked().is_subset(&place.list("keys/ca/crl.pem").1));
        assert_eq!(place.revoked().len(), place.list("keys/ca/crl.pem").1.len());
    }
}
