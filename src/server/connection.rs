//! A connection as the acceptor, the workers and the ledger's writer share it.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::outcome::Outcome;
use super::session::Session;
use super::turn::Turn;

pub struct Connection {
    pub turn: Turn,
    /// None once it is closed.
    pub session: Mutex<Option<Session>>,
    /// What became of the requests that it put in line, in their order, until the session takes them.
    outcomes: Mutex<VecDeque<Outcome>>,
}

impl Connection {
    pub fn new(session: Session) -> Connection {
        Connection { turn: Turn::parked(), session: Mutex::new(Some(session)), outcomes: Mutex::default() }
    }

    pub fn settle(&self, outcome: Outcome) {
        self.outcomes.lock().push_back(outcome);
    }

    pub fn next_outcome(&self) -> Option<Outcome> {
        self.outcomes.lock().pop_front()
    }
}
