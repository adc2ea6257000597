use std::io::Read as _;

use super::*;
use crate::server::testing::Stage;

const ANA: &str = "Ana|Paz|1|2000-01-01|7574";
const SHORT: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(600);

#[test]
fn an_answer_comes_once_it_is_on_disk_and_later_ones_stay_behind_it() {
    let mut stage = Stage::new(1 << 16, LONG);
    stage.send(&format!("BET|1|{ANA}")).send("HOLA").send("GET_WINNERS|1").send("HELLO|1");
    assert!(stage.park().owes);
    stage.expect(&[]);
    stage.write();
    assert!(!stage.park().owes);
    stage.expect(&["ACK|OK", "ACK|ERR|unknown request \"HOLA\"", "WINNERS|ERR|not_ready", "HELLO|OK|1|open"]);
}

#[test]
fn a_spread_batch_is_taken_as_its_frames_come() {
    let mut stage = Stage::new(1 << 16, LONG);
    stage.send("BATCH|1|3").send(ANA);
    assert!(stage.park().deadline.is_some(), "the rest of it is owed");
    stage.send(&format!("BET|1|{ANA}\n{ANA}")).send("HELLO|1");
    stage.park();
    stage.write().park();
    stage.expect(&["ACK_BATCH|OK|3", "HELLO|OK|3|open"]);
    stage.send("BATCH|1|2").send("nonsense").send(ANA);
    stage.park();
    stage.expect(&["ACK_BATCH|ERR|2|bet 1: 1 values, where a bet has 5"]);
}

#[test]
fn more_requests_than_may_be_owed_wait_until_some_are_answered() {
    let mut stage = Stage::new(1 << 20, LONG);
    (0..3000).for_each(|_| _ = stage.send("HELLO|1"));
    let mut replies = 0;
    for _ in 0..3 {
        assert!(stage.park().owes);
        stage.write();
        assert_eq!(stage.replies().len(), 0);
        stage.park();
        let now = stage.replies().len();
        assert!(now <= 1024 && now > 900, "{now}");
        replies += now;
    }
    assert_eq!(replies, 3000);
}

#[test]
fn a_peer_that_does_not_read_is_waited_for_and_then_closed() {
    let mut stage = Stage::new(100, LONG);
    (0..9).for_each(|_| _ = stage.send("HOLA"));
    let note = stage.park();
    assert!(note.has_unsent && note.deadline.is_some());
    let mut replies = 0;
    while replies < 9 {
        let before = replies;
        // What does not fit yet is cut anywhere, so it is only counted here.
        let mut buffer = [0; 100];
        while let Ok(read @ 1..) = stage.peer().read(&mut buffer) {
            replies += buffer[..read].iter().filter(|byte| **byte == b'\n').count();
        }
        assert!(replies > before);
        stage.park();
    }
    let mut stage = Stage::new(100, SHORT);
    (0..9).for_each(|_| _ = stage.send("HOLA"));
    let deadline = stage.park().deadline.unwrap();
    while Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert_eq!(stage.pass(), Next::Close(End::Late));
}

#[test]
fn what_is_not_finished_in_time_ends_the_connection_but_not_while_the_central_owes() {
    let mut stage = Stage::new(1 << 16, SHORT);
    stage.send(&format!("BET|1|{ANA}")).send_bytes(&[0, 0, 0, 9, b'D']);
    assert_eq!(stage.park().deadline, None, "it is the central that owes");
    stage.write();
    let deadline = stage.park().deadline.unwrap();
    while Instant::now() < deadline {
        std::thread::yield_now();
    }
    stage.park();
    stage.expect(&["ACK|OK", "ACK|ERR|frame not completed within 1ms"]);
    stage.peer = None;
    assert_eq!(stage.pass(), Next::Close(End::Framing));
}

#[test]
fn what_stands_behind_a_wait_for_the_draw_is_answered_behind_it() {
    let mut stage = Stage::new(1 << 16, LONG);
    stage.send(&format!("BET|1|{ANA}")).send("DONE|1").send("WAIT_DRAW|1").send("GET_WINNERS|1|0").send("WAIT_DRAW|1");
    stage.park();
    stage.write();
    assert!(stage.park().waits_for_draw);
    stage.expect(&["ACK|OK", "ACK_DONE|OK"]);
    stage.draw();
    stage.park();
    stage.expect(&["DRAW|OK", "WINNERS|OK|1|1", "DRAW|OK"]);
}

#[test]
fn an_end_waits_for_the_answers_that_are_owed() {
    let mut stage = Stage::new(1 << 16, LONG);
    stage.send(&format!("BET|1|{ANA}")).peer().close_sending().unwrap();
    stage.park();
    stage.write();
    assert_eq!(stage.pass(), Next::Close(End::Peer));
    stage.expect(&["ACK|OK"]);

    // Who waits for the draw and closes its side has gone, but what was asked before is answered.
    let mut stage = Stage::new(1 << 16, LONG);
    stage.send(&format!("BET|1|{ANA}")).send("WAIT_DRAW|1").peer().close_sending().unwrap();
    stage.park();
    stage.write();
    assert_eq!(stage.pass(), Next::Close(End::Peer));
    stage.expect(&["ACK|OK"]);

    let mut stage = Stage::new(1 << 16, LONG);
    stage.send(&format!("BET|1|{ANA}")).send_bytes(b"hola\n");
    stage.park();
    stage.write();
    assert_eq!(stage.pass(), Next::Close(End::Echo));
    stage.expect(&["ACK|OK", "hola\n"]);
}

#[test]
fn a_reset_drops_replies_and_no_outcome() {
    let mut stage = Stage::new(1 << 16, LONG);
    stage.send(&format!("BET|1|{ANA}"));
    stage.park();
    stage.peer().reset();
    assert_eq!(stage.pass(), Next::Close(End::Error));
    stage.write();
    let state = stage.central.stored_bets();
    assert_eq!(state, 1);
}

#[test]
fn a_stop_answers_what_has_come_in_every_state() {
    let whole = |stage: &mut Stage| {
        stage.send(&format!("BET|1|{ANA}"));
    };
    type Begin = fn(&mut Stage);
    let states: [(&str, Begin); 5] = [
        ("idle", |_| {}),
        ("in a frame", |stage| _ = stage.send_bytes(&[0, 0, 0])),
        ("in a batch", |stage| _ = stage.send("BATCH|1|2").send(ANA)),
        ("at the draw", |stage| _ = stage.send("WAIT_DRAW|1").send("HELLO|1")),
        ("in a line", |stage| _ = stage.send_bytes(b"a line without its end")),
    ];
    for (name, begin) in states {
        let mut stage = Stage::new(1 << 16, LONG);
        whole(&mut stage);
        begin(&mut stage);
        stage.is_stopping = true;
        assert!(matches!(stage.pass(), Next::Park(_)), "{name}: the bet is not on disk yet");
        stage.write();
        assert_eq!(stage.pass(), Next::Close(End::Shutdown), "{name}");
        stage.expect(&["ACK|OK"]);
    }
}
