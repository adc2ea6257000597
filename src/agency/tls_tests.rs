//! An agency with keys at centrals of every kind, and one without keys at a central that needs them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::play;
use super::reactor::Halt;
use super::testing::{FakeCentral, FakePeer, bets, config, lottery, reactor, stoppable_reactor};
use crate::config::{AgencyConfig, Task};
use crate::error::{Error, Kind};
use crate::transport::testing::{Authority, Spec, posing};
use crate::transport::{Acceptance, Paths, TlsError};

const LINE: &str = "[CLIENT 3] Message N°1\n";
const BET: &str = "BET|3|Ana|Paz|1000|2000-01-01|0|0";
const NEEDS_TLS: &str = "ACK|ERR|this central speaks TLS: connect with the keys of an agency";

/// An authority, and the folder of agency 3.
struct Keys {
    authority: Authority,
    agency: TempDir,
}

impl Keys {
    fn new() -> Keys {
        let authority = Authority::new();
        let agency = authority.client(&Spec { serial: 3, ..Spec::agency(3) });
        Keys { authority, agency }
    }

    /// The true central, with some revoked certificates.
    fn central(&self, revoked: &[u64]) -> Option<Arc<Acceptance>> {
        let crl = self.authority.revoke(revoked, 30);
        let folder = self.authority.folder(&self.authority.issue(&Spec::central()), Some(&crl));
        Some(Acceptance::load(Paths::of_central(folder.path())).unwrap().0)
    }

    fn config(&self, task: Task, address: &str) -> AgencyConfig {
        secured(task, address, self.agency.path())
    }
}

fn secured(task: Task, address: &str, folder: &Path) -> AgencyConfig {
    AgencyConfig { tls: Some(Paths::of_client(folder)), ..config(task, address) }
}

fn bet() -> Task {
    Task::Bet { person: ["Ana", "Paz", "1000", "2000-01-01", "0"].map(str::to_owned) }
}

fn echo() -> Task {
    Task::Echo { amount: 1, period: Duration::ZERO }
}

fn modes(file: &Path) -> [Task; 3] {
    [Task::Lottery(lottery(PathBuf::from(file))), bet(), echo()]
}

#[track_caller]
fn failure(config: &AgencyConfig) -> Error {
    match play(&mut reactor(), config) {
        Err(Halt::Fatal(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn hold_lottery(peer: &mut FakePeer, lines: &[String]) {
    peer.expect("HELLO|3|+").send("HELLO|OK|0|open").expect(&format!("BATCH|3|2|0\n{}", lines.join("\n")));
    peer.send("ACK_BATCH|OK|2").expect("DONE|3").send("ACK_DONE|OK").expect("WAIT_DRAW|3").send("DRAW|OK");
    peer.expect("GET_WINNERS|3|0").send("WINNERS|OK|1|1000").expect_end();
}

#[test]
fn every_mode_uses_tls() {
    let (keys, (_folder, path, lines)) = (Keys::new(), bets(2));
    let central = FakeCentral::with(keys.central(&[]), move |accept| {
        hold_lottery(&mut accept(), &lines);
        accept().expect("HELLO|3|+").send("HELLO|OK|0|open").expect(BET).send("ACK|OK").expect_end();
        let mut peer = accept();
        assert_eq!(peer.line(), LINE);
        peer.send_raw(LINE.as_bytes()).expect_end();
    });
    for task in modes(&path) {
        play(&mut reactor(), &keys.config(task, &central.address)).unwrap();
    }
    central.join();
}

#[test]
fn a_central_that_is_not_the_right_one_is_sent_nothing() {
    let (keys, (_folder, path, _)) = (Keys::new(), bets(2));
    let (authority, other) = (&keys.authority, Authority::new());
    let agency = Spec { uris: vec!["urn:quiniela:agency:7"], uses: vec![], ..Spec::central() };
    let elsewhere = Spec { hosts: vec!["elsewhere"], ..Spec::central() };
    for (issued, reason) in [
        (authority.issue(&agency), "it speaks for agency 7, and not for the central"),
        (authority.issue(&elsewhere), "is not for the name 127.0.0.1"),
        (other.issue(&Spec::central()), "is not of this lottery's authority"),
    ] {
        for task in modes(&path) {
            let central = FakeCentral::with(Some(posing(&issued, authority)), |accept| accept().failure());
            let error = failure(&keys.config(task, &central.address));
            assert_eq!(error.kind, Kind::Refused);
            assert!(error.to_string().contains(reason) && error.to_string().contains("nothing was sent"), "{error}");
            // All that came was the handshake and the alert in it.
            assert!(matches!(TlsError::of(&central.join()), Some(TlsError::Rejected(_))));
        }
    }
}

#[test]
fn a_certificate_that_the_central_refuses_ends_the_agency_at_once() {
    let (keys, (_folder, path, _)) = (Keys::new(), bets(2));
    for task in modes(&path) {
        // The agency's handshake is over by then, so it hears of it at its first read.
        let central = FakeCentral::with(keys.central(&[3]), |accept| accept().failure());
        let error = failure(&keys.config(task, &central.address));
        assert_eq!(error.kind, Kind::Refused);
        assert!(error.to_string().starts_with("the central refuses our certificate: it is revoked; give"), "{error}");
        assert!(matches!(TlsError::of(&central.join()), Some(TlsError::Untrusted(_))));
    }
}

#[test]
fn a_central_without_tls_is_never_spoken_to_without_tls() {
    let (keys, (_folder, path, _)) = (Keys::new(), bets(2));
    for task in modes(&path) {
        let central = FakeCentral::start(|accept| {
            let mut peer = accept();
            peer.send("ACK|ERR|frame length 369295616 is not 1 to 8192");
            let received = peer.rest();
            assert!(received.starts_with(&[0x16, 3, 1]), "a handshake, and nothing else: {received:?}");
            assert!(!received.windows(5).any(|bytes| bytes == b"HELLO" || bytes == b"[CLIE"));
        });
        let error = failure(&keys.config(task, &central.address));
        assert_eq!(error.kind, Kind::Failed);
        assert!(error.to_string().starts_with("the central answered without TLS; check --server"), "{error}");
        central.join();
    }
}

#[test]
fn a_connection_that_ends_in_the_handshake_is_tried_again() {
    let keys = Keys::new();
    let central = FakeCentral::with(keys.central(&[]), |accept| {
        drop(accept());
        let peer = accept();
        peer.await_byte();
        peer.cut();
        accept().expect("HELLO|3|+").send("HELLO|OK|0|open").expect(BET).send("ACK|OK").expect_end();
    });
    play(&mut reactor(), &keys.config(bet(), &central.address)).unwrap();
    central.join();
}

#[test]
fn a_silent_central_is_waited_for_no_longer_than_patience_and_a_stop_ends_the_wait() {
    let keys = Keys::new();
    let central = FakeCentral::start(|accept| accept().rest());
    let config = AgencyConfig { retry_for: Duration::ZERO, ..keys.config(bet(), &central.address) };
    let error = failure(&config);
    assert!(error.kind == Kind::Unreachable && error.to_string().contains("no answer within"), "{error}");
    central.join();

    let (mut reactor, switch) = stoppable_reactor();
    let central = FakeCentral::start(move |accept| {
        let mut peer = accept();
        peer.await_byte();
        switch.raise();
        peer.rest()
    });
    assert!(matches!(play(&mut reactor, &keys.config(bet(), &central.address)), Err(Halt::Stopped)));
    central.join();
}

#[test]
fn an_end_without_a_word_is_never_a_success() {
    let (keys, (_folder, path, _)) = (Keys::new(), bets(2));
    let [lottery, bet, echo] = modes(&path);
    let central = FakeCentral::with(keys.central(&[]), move |accept| {
        // An end that TCP alone tells is no end of the winners.
        let mut peer = accept();
        peer.expect("HELLO|3|+").send("HELLO|OK|2|drawn").expect("GET_WINNERS|3|0").send("WINNERS|OK|2|1000");
        peer.expect("GET_WINNERS|3|1");
        peer.cut();
        let mut peer = accept();
        peer.expect("HELLO|3|+").send("HELLO|OK|2|drawn").expect("GET_WINNERS|3|1").send("WINNERS|OK|2|1001");
        peer.expect_end();

        let mut peer = accept();
        peer.expect("HELLO|3|+").send("HELLO|OK|0|open").expect(BET);
        peer.cut();
        accept().expect("HELLO|3|+").send("HELLO|OK|0|open").expect(BET).send("ACK|OK").expect_end();

        let mut peer = accept();
        peer.line();
        peer.send_raw(&LINE.as_bytes()[..9]);
        peer.cut();
    });
    play(&mut reactor(), &keys.config(lottery, &central.address)).unwrap();
    play(&mut reactor(), &keys.config(bet, &central.address)).unwrap();
    assert_eq!(failure(&keys.config(echo, &central.address)).kind, Kind::Failed);
    central.join();
}

#[test]
fn keys_are_checked_before_anything_is_dialled() {
    let (keys, (_folder, path, _)) = (Keys::new(), bets(2));
    let [nothing, another] = [tempfile::tempdir().unwrap(), keys.authority.client(&Spec::agency(7))];
    for (folder, file, reason) in [
        (&nothing, "cert.pem", "cannot read this file"),
        (&another, "cert.pem", "holds agency 7's key, and this is agency 3"),
    ] {
        for task in modes(&path) {
            let error = failure(&secured(task, "unused:1", folder.path()));
            assert_eq!(error.kind, Kind::BadInput);
            let place = folder.path().join(file).display().to_string();
            assert!(error.to_string().starts_with(&place) && error.to_string().contains(reason), "{error}");
        }
    }
}

#[test]
fn an_agency_without_keys_is_told_to_give_them() {
    let (_folder, path, _) = bets(2);
    for task in modes(&path) {
        let central = FakeCentral::start(|accept| {
            accept().send(NEEDS_TLS).rest();
        });
        let error = failure(&config(task, &central.address));
        assert_eq!(error.kind, Kind::Refused);
        assert!(error.to_string().ends_with("connect with the keys of an agency; give --keys DIR"), "{error}");
        central.join();
    }
}

#[test]
fn a_certificate_of_another_agency_is_a_refusal_whatever_was_asked() {
    let (_folder, path, _) = bets(2);
    let reason = "identity: this certificate speaks for agency 7";
    let central = FakeCentral::start(move |accept| {
        accept().expect("HELLO|3|+").send(&format!("HELLO|ERR|{reason}")).expect_end();
        let mut peer = accept();
        peer.expect("HELLO|3|+").send("HELLO|OK|0|open").frame();
        peer.send(&format!("ACK_BATCH|ERR|2|{reason}")).expect_end();
    });
    for _ in 0..2 {
        let error = failure(&config(Task::Lottery(lottery(path.clone())), &central.address));
        let told = format!("the central answered: {reason}; give --keys DIR with the keys of this agency");
        assert_eq!((error.kind, error.to_string()), (Kind::Refused, told));
    }
    central.join();
}
