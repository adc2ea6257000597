//! A connection as the acceptor, the workers and the ledger's writer share it, and the queue in which it waits for a worker.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, TrySendError};
use parking_lot::Mutex;

use super::central::Client;
use super::outcome::{Outcome, Outcomes};
use super::session::Session;
use super::turn::{News, Tell, Turn};

pub struct Connection {
    pub turn: Turn,
    /// None once it is closed.
    pub session: Mutex<Option<Session>>,
    pub outcomes: Outcomes,
    queue: Queue,
}

pub enum Job {
    Serve(Arc<Connection>),
    /// To be served in the lane for handshakes.
    Handshake(Arc<Connection>),
    HoldDraw,
    /// Compute the roots that declarations wait for.
    Weigh,
    ReloadKeys,
    /// The worker that takes it ends.
    End,
}

/// Where jobs wait for a worker: a bounded queue, and behind it a list for jobs that must not be refused.
#[derive(Clone)]
pub struct Queue {
    bounded: Sender<Job>,
    /// Taken by every worker before it looks at the queue again. Its length is bounded by the number of connections.
    overflow: Arc<Mutex<VecDeque<Job>>>,
}

impl Connection {
    pub fn new(session: Session, queue: Queue) -> Connection {
        Connection { turn: Turn::parked(), session: Mutex::new(Some(session)), outcomes: Outcomes::default(), queue }
    }
}

impl Client for Connection {
    fn settle(&self, outcome: Outcome) {
        self.outcomes.push(outcome);
    }

    fn wake(self: Arc<Self>) {
        let queue = self.queue.clone();
        queue.tell(self, News::Ledger);
    }
}

impl Queue {
    /// A queue of so many jobs, and its other end.
    pub fn new(most: usize) -> (Queue, Receiver<Job>) {
        let (bounded, jobs) = crossbeam_channel::bounded(most);
        (Queue { bounded, overflow: Arc::default() }, jobs)
    }

    /// Queues a job, or returns it if the queue is full.
    pub fn offer(&self, job: Job) -> Result<(), Job> {
        self.bounded.try_send(job).map_err(|error| match error {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => job,
        })
    }

    /// Queues a job that must not be refused. Never waits.
    pub fn push(&self, job: Job) {
        let Err(TrySendError::Full(job)) = self.bounded.try_send(job) else { return };
        self.overflow.lock().push_back(job);
        // The workers may have emptied the queue meanwhile, and all of them may wait for it. While it is full, one of them
        // will come back for the job.
        while !self.bounded.is_full() {
            let Some(job) = self.overflow.lock().pop_front() else { return };
            match self.bounded.try_send(job) {
                Ok(()) => {}
                Err(TrySendError::Full(job)) => self.overflow.lock().push_front(job),
                // The workers have ended: nothing is served any more.
                Err(TrySendError::Disconnected(_)) => return,
            }
        }
    }

    /// Queues a connection that must not be refused, if the news concerns it.
    pub fn tell(&self, connection: Arc<Connection>, news: News) {
        if let Tell::Queue { .. } = connection.turn.tell(news) {
            self.push(Job::Serve(connection));
        }
    }

    /// Queues a job once there is room. False if the deadline passed first.
    pub fn push_until(&self, job: Job, deadline: Instant) -> bool {
        self.bounded.send_deadline(job, deadline).is_ok()
    }

    /// Jobs that wait for a worker.
    pub fn len(&self) -> usize {
        self.bounded.len() + self.overflow.lock().len()
    }

    /// A job that found no room in the bounded queue.
    pub fn pop_overflow(&self) -> Option<Job> {
        self.overflow.lock().pop_front()
    }
}
