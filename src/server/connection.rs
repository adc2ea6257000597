//! A connection as the acceptor and the workers share it: who has it, and until when it may wait.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::session::Session;

/// Nobody has it: the poll tells when it has something to read.
const PARKED: u8 = 0;
/// It is in the queue for a worker.
const QUEUED: u8 = 1;
/// A worker has it.
const SERVED: u8 = 2;
/// A worker has it, and meanwhile there is more to do.
const SERVED_AND_WANTED: u8 = 3;
const CLOSED: u8 = 4;

const NO_DEADLINE: u64 = u64::MAX;

/// See the module.
pub struct Connection {
    state: AtomicU8,
    /// None once it is closed.
    pub session: Mutex<Option<Session>>,
    start: Instant,
    /// Milliseconds after `start` at which what the peer has begun must be finished.
    deadline: AtomicU64,
    waits_for_draw: AtomicBool,
    has_unsent: AtomicBool,
}

impl Connection {
    pub fn new(session: Session) -> Connection {
        Connection {
            state: AtomicU8::new(PARKED),
            session: Mutex::new(Some(session)),
            start: Instant::now(),
            deadline: AtomicU64::new(NO_DEADLINE),
            waits_for_draw: AtomicBool::new(false),
            has_unsent: AtomicBool::new(false),
        }
    }

    /// Says that there is something to do. True if the caller has to put the connection in the queue now; otherwise it
    /// is there, or its worker will look once more.
    pub fn want(&self) -> bool {
        let update = |state| match state {
            PARKED => Some(QUEUED),
            SERVED => Some(SERVED_AND_WANTED),
            _ => None,
        };
        self.state.fetch_update(Ordering::SeqCst, Ordering::SeqCst, update) == Ok(PARKED)
    }

    /// Takes back [`Connection::want`], for a queue that was full.
    pub fn unwant(&self) {
        self.state.store(PARKED, Ordering::SeqCst);
    }

    /// The worker begins, or begins again.
    pub fn begin(&self) {
        self.state.store(SERVED, Ordering::SeqCst);
    }

    /// The worker has done all there was. False if more came meanwhile, and the worker has to begin again.
    pub fn park(&self) -> bool {
        self.state.compare_exchange(SERVED, PARKED, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// The worker puts it in the queue again, because others wait too.
    pub fn requeue(&self) {
        self.state.store(QUEUED, Ordering::SeqCst);
    }

    pub fn mark_closed(&self) {
        self.state.store(CLOSED, Ordering::SeqCst);
    }

    pub fn is_closed(&self) -> bool {
        self.state.load(Ordering::SeqCst) == CLOSED
    }

    /// What the acceptor has to know of the session while it is parked. To be called before [`Connection::park`].
    pub fn note(&self, session: &Session) {
        let deadline =
            session.deadline().map(|deadline| deadline.saturating_duration_since(self.start).as_millis() as u64);
        self.deadline.store(deadline.unwrap_or(NO_DEADLINE), Ordering::SeqCst);
        self.waits_for_draw.store(session.waits_for_draw(), Ordering::SeqCst);
        self.has_unsent.store(session.has_unsent(), Ordering::SeqCst);
    }

    pub fn is_late(&self, now: Instant) -> bool {
        let deadline = self.deadline.load(Ordering::SeqCst);
        deadline != NO_DEADLINE && self.start + Duration::from_millis(deadline) <= now
    }

    /// Whether the draw is news for it. One that is being served is asked in any case: it may just have begun to wait.
    pub fn may_wait_for_draw(&self) -> bool {
        self.waits_for_draw.load(Ordering::SeqCst) || self.state.load(Ordering::SeqCst) != PARKED
    }

    /// Whether room in the socket is news for it, in the same way.
    pub fn may_have_unsent(&self) -> bool {
        self.has_unsent.load(Ordering::SeqCst) || self.state.load(Ordering::SeqCst) != PARKED
    }
}
