//! A session, its peer and the central behind it, in one thread and in memory, for tests and fuzzers alone.
#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use super::central::{Central, Client};
use super::connection::{Connection, Job, Queue};
use super::incoming::Input;
use super::kept::Blocks;
use super::lottery::Step;
use super::session::{At, Next, Session};
use super::turn::Note;
use crate::config::{AsWritten, ServerConfig};
use crate::domain::{Roster, SaidRules};
use crate::ledger::files::fuzzing::{SimFolder, in_memory};
use crate::observe::Watch;
use crate::transport::memory::{self, End as Peers};
use crate::transport::{Peer, Who};
use crate::wire::frame::{self, Incoming};

const LONG: Duration = Duration::from_secs(600);

/// A session, its peer and the central behind it: nothing happens before the test says so.
pub struct Stage {
    pub central: Central,
    connection: Arc<Connection>,
    pub peer: Option<Peers>,
    input: Input,
    blocks: Blocks,
    pub is_stopping: bool,
    /// The store's files.
    pub folder: SimFolder,
    /// Where the connection would wait for a worker.
    jobs: crossbeam_channel::Receiver<Job>,
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
        log_format: crate::logging::Form::Text,
        rules: SaidRules { roster: Some(Roster::Fixed(1)), winning_number: None },
        store: "unused".into(),
        database: None,
        said_unbalanced: None,
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
    pub fn new(capacity: usize, frame_deadline: Duration) -> Stage {
        Stage::of(1, capacity, frame_deadline)
    }

    /// The same, of a central with so many agencies.
    pub fn of(agencies: u32, capacity: usize, frame_deadline: Duration) -> Stage {
        let rules = SaidRules { roster: Some(Roster::Fixed(agencies)), winning_number: None };
        let config = ServerConfig { rules, ..config() };
        let (files, folder) = in_memory(rules);
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
            folder,
            jobs,
        }
    }

    pub fn peer(&mut self) -> &mut Peers {
        self.peer.as_mut().unwrap()
    }

    pub fn send(&mut self, text: &str) -> &mut Stage {
        let mut bytes = Vec::new();
        frame::push(&mut bytes, &text);
        self.send_bytes(&bytes)
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) -> &mut Stage {
        self.peer().write_all(bytes).unwrap();
        self
    }

    /// A worker serves the connection until it is parked or closed.
    pub fn pass(&mut self) -> Next {
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
    pub fn park(&mut self) -> Note {
        match self.pass() {
            Next::Park(note) => note,
            next => panic!("{next:?}"),
        }
    }

    /// The ledger's writer writes what stands in line.
    pub fn write(&mut self) -> &mut Stage {
        self.central.write_what_is_in_line();
        // A connection has the queue, and would be kept for ever by what is queued for it.
        self.jobs.try_iter().for_each(drop);
        self
    }

    /// What has come back.
    pub fn answers(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = self.peer().read(&mut buffer) {
            bytes.extend_from_slice(&buffer[..read]);
        }
        bytes
    }

    /// The texts of the frames that have come back.
    pub fn replies(&mut self) -> Vec<String> {
        let bytes = self.answers();
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
    pub fn expect(&mut self, replies: &[&str]) -> &mut Stage {
        assert_eq!(self.replies(), replies);
        self
    }

    pub fn draw(&mut self) {
        assert!(self.central.claims_draw());
        self.hold_claimed_draw();
    }

    /// Holds the draw, which was claimed before.
    pub fn hold_claimed_draw(&mut self) {
        self.central.hold_draw();
        self.write();
        assert_eq!(self.central.lottery.step(), Step::Drawn);
    }
}
