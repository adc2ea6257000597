use std::io::{Read as _, Write as _};

use super::*;
use crate::config::{AsWritten, ServerConfig};
use crate::domain::{Roster, SaidRules};
use crate::ledger::files::Files;
use crate::observe::Watch;
use crate::server::connection::{Connection, Job, Queue};
use crate::server::lottery::Step;
use crate::transport::Who;
use crate::transport::memory::{self, End as Peers};
use crate::wire::frame::{self, Incoming};

const ANA: &str = "Ana|Paz|1|2000-01-01|7574";
const SHORT: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(600);

/// A session, its peer and the central behind it, in one thread: nothing happens before the test says so.
struct Stage {
    central: Central,
    connection: Arc<Connection>,
    peer: Option<Peers>,
    input: Input,
    blocks: Blocks,
    is_stopping: bool,
    /// Where the connection would wait for a worker.
    _jobs: crossbeam_channel::Receiver<Job>,
    _folder: tempfile::TempDir,
}

/// Of a central that nobody watches.
pub fn unwatched() -> Arc<Watch> {
    Arc::new(Watch::new("unused".as_ref(), None))
}

/// A central's settings, for one agency.
pub fn config() -> ServerConfig {
    let written = |value| AsWritten { value, text: String::new() };
    ServerConfig {
        port: AsWritten { value: 0, text: String::new() },
        bind: [127, 0, 0, 1].into(),
        backlog: written(1),
        level: AsWritten { value: log::LevelFilter::Off, text: String::new() },
        rules: SaidRules { roster: Some(Roster::Fixed(1)), winning_number: None },
        store: "unused".into(),
        tls: None,
        plain: crate::config::Plain::All,
        workers: 1,
        queue: 1,
        max_connections: 1,
        max_per_address: None,
        peer_memory: usize::MAX,
        frame_deadline: LONG,
        stop_timeout: LONG,
        quiet_time: LONG,
        unbalanced: crate::config::Unbalanced::Refuse,
        require_signed: false,
        http: None,
    }
}

impl Stage {
    /// Each direction of the connection holds `capacity` bytes.
    fn new(capacity: usize, frame_deadline: Duration) -> Stage {
        let folder = tempfile::tempdir().unwrap();
        let (files, _) = Files::open(folder.path(), config().rules, Box::new(|_| {})).unwrap();
        let config = config();
        let (ours, theirs) = memory::pair(capacity);
        let peer = Peer { address: ([127, 0, 0, 1], 1).into(), who: Who::Plain };
        let session = Session::new(Box::new(ours), peer, frame_deadline);
        let (queue, jobs) = Queue::new(1);
        Stage {
            central: Central::new(&config, None, None, Box::new(files), unwatched()),
            connection: Arc::new(Connection::new(session, queue)),
            peer: Some(theirs),
            input: Input::new(),
            blocks: Blocks::default(),
            is_stopping: false,
            _jobs: jobs,
            _folder: folder,
        }
    }

    fn peer(&mut self) -> &mut Peers {
        self.peer.as_mut().unwrap()
    }

    fn send(&mut self, text: &str) -> &mut Stage {
        let mut bytes = Vec::new();
        frame::push(&mut bytes, &text);
        self.send_bytes(&bytes)
    }

    fn send_bytes(&mut self, bytes: &[u8]) -> &mut Stage {
        self.peer().write_all(bytes).unwrap();
        self
    }

    /// A worker serves the connection until it is parked or closed.
    fn pass(&mut self) -> Next {
        let client = Arc::clone(&self.connection) as Arc<dyn Client>;
        let at = At { client, outcomes: &self.connection.outcomes, blocks: &self.blocks, has_lane: false };
        let mut session = self.connection.session.lock();
        loop {
            let session = session.as_mut().unwrap();
            match session.serve(&self.central, &at, &mut self.input, self.is_stopping) {
                Next::Again => {}
                next => return next,
            }
        }
    }

    #[track_caller]
    fn park(&mut self) -> Note {
        match self.pass() {
            Next::Park(note) => note,
            next => panic!("{next:?}"),
        }
    }

    /// The ledger's writer writes what stands in line.
    fn write(&mut self) -> &mut Stage {
        self.central.write_what_is_in_line();
        self
    }

    /// The texts of the frames that have come back.
    fn replies(&mut self) -> Vec<String> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = self.peer().read(&mut buffer) {
            bytes.extend_from_slice(&buffer[..read]);
        }
        let mut replies = Vec::new();
        let mut rest = &bytes[..];
        while let Ok(Some((incoming, length))) = frame::next(rest) {
            replies.push(match incoming {
                Incoming::Frame(text) => text.trim_end().to_owned(),
                Incoming::Line(line) => String::from_utf8_lossy(line).into_owned(),
            });
            rest = &rest[length..];
        }
        assert!(rest.is_empty(), "a part of a reply: {rest:?}");
        replies
    }

    #[track_caller]
    fn expect(&mut self, replies: &[&str]) -> &mut Stage {
        assert_eq!(self.replies(), replies);
        self
    }

    fn draw(&mut self) {
        assert!(self.central.claims_draw());
        self.central.hold_draw();
        self.write();
        assert_eq!(self.central.lottery.step(), Step::Drawn);
    }
}

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
