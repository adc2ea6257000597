//! The workers: a fixed number of threads on a bounded queue.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use parking_lot::{Condvar, Mutex};

use super::central::Central;
use super::connection::Connection;
use super::incoming::Input;
use super::session::Next;
use super::turn::{News, Tell};

/// A worker's stack: it parses and writes in buffers on the heap.
const STACK_BYTES: usize = 256 * 1024;

pub enum Job {
    Serve(Arc<Connection>),
    HoldDraw,
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

/// How many connections are open.
#[derive(Default)]
pub struct Open {
    count: Mutex<usize>,
    has_changed: Condvar,
}

/// See the module.
pub struct Pool {
    pub queue: Queue,
    /// Closed by every worker at its end.
    ended: Receiver<()>,
    threads: Vec<JoinHandle<()>>,
    is_stopping: Arc<AtomicBool>,
}

struct Worker {
    jobs: Receiver<Job>,
    queue: Queue,
    central: Arc<Central>,
    is_stopping: Arc<AtomicBool>,
    open: Arc<Open>,
    input: Input,
}

impl Queue {
    /// Gives a job to the workers, or gives it back when as many wait as may.
    pub fn offer(&self, job: Job) -> Result<(), Job> {
        self.bounded.try_send(job).map_err(|error| match error {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => job,
        })
    }

    /// Gives a job to the workers that must not be refused. Never waits.
    pub fn push(&self, job: Job) {
        let Err(job) = self.offer(job) else { return };
        self.overflow.lock().push_back(job);
        // The workers may have emptied the queue meanwhile, and all of them may wait at it. While it is full, one of them
        // will come back for the job.
        while !self.bounded.is_full() {
            let Some(job) = self.overflow.lock().pop_front() else { return };
            if let Err(job) = self.offer(job) {
                self.overflow.lock().push_front(job);
            }
        }
    }

    /// Tells a connection that the ledger has news for it.
    pub fn tell_of_ledger(&self, connection: Arc<Connection>) {
        self.tell(connection, News::Ledger);
    }

    /// Has a connection served that must not be refused, if this is news to it.
    pub fn tell(&self, connection: Arc<Connection>, news: News) {
        if let Tell::Queue { .. } = connection.turn.tell(news) {
            self.push(Job::Serve(connection));
        }
    }
}

impl Open {
    pub fn count(&self) -> usize {
        *self.count.lock()
    }

    pub fn add(&self) {
        *self.count.lock() += 1;
    }

    pub fn remove(&self) {
        *self.count.lock() -= 1;
        self.has_changed.notify_all();
    }

    /// Waits until no connection is open; false if the deadline came first.
    pub fn wait_for_none(&self, deadline: Instant) -> bool {
        let mut count = self.count.lock();
        while *count > 0 {
            if self.has_changed.wait_until(&mut count, deadline).timed_out() {
                return *count == 0;
            }
        }
        true
    }
}

impl Pool {
    pub fn start(workers: usize, queue: usize, central: &Arc<Central>, open: &Arc<Open>) -> std::io::Result<Pool> {
        let (bounded_queue, jobs) = bounded(queue);
        let queue = Queue { bounded: bounded_queue, overflow: Arc::default() };
        let (ending, ended) = bounded(0);
        let is_stopping = Arc::new(AtomicBool::new(false));
        let threads = (0..workers).map(|number| {
            let mut worker = Worker {
                jobs: jobs.clone(),
                queue: queue.clone(),
                central: Arc::clone(central),
                is_stopping: Arc::clone(&is_stopping),
                open: Arc::clone(open),
                input: Input::new(),
            };
            let ending: Sender<()> = ending.clone();
            std::thread::Builder::new().name(format!("worker-{number}")).stack_size(STACK_BYTES).spawn(move || {
                worker.run();
                drop(ending);
            })
        });
        let threads = threads.collect::<std::io::Result<_>>()?;
        Ok(Pool { queue, ended, threads, is_stopping })
    }

    /// From here on a worker closes each connection once all is answered that had been received.
    pub fn begin_stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
    }

    /// Has every worker end behind the jobs that are in the queue, and waits for it; false if the deadline came first.
    pub fn join(self, deadline: Instant) -> bool {
        let told = self.threads.iter().all(|_| self.queue.bounded.send_deadline(Job::End, deadline).is_ok());
        let ended = self.ended.recv_deadline(deadline) == Err(RecvTimeoutError::Disconnected);
        // A thread that has not ended is left to the end of the process.
        told && ended && self.threads.into_iter().all(|thread| thread.join().is_ok())
    }
}

impl Worker {
    fn run(&mut self) {
        while let Ok(job) = self.jobs.recv() {
            let mut next = Some(job);
            while let Some(job) = next {
                match job {
                    Job::Serve(connection) => self.serve(connection),
                    Job::HoldDraw => self.central.hold_draw(),
                    Job::End => return,
                }
                next = self.queue.overflow.lock().pop_front();
            }
        }
    }

    fn serve(&mut self, connection: Arc<Connection>) {
        while connection.turn.begin() {
            let mut guard = connection.session.lock();
            let Some(session) = guard.as_mut() else { return };
            // Looked at before the pass: only a pass that begins after the stop has read all that came before it.
            let is_stopping = self.is_stopping.load(Ordering::SeqCst);
            match session.serve(&self.central, &connection, &mut self.input, is_stopping) {
                Next::Close(end) => {
                    session.log_close(end);
                    *guard = None;
                    connection.turn.close();
                    self.open.remove();
                    return;
                }
                Next::Again => {
                    connection.turn.requeue();
                    drop(guard);
                    return self.queue.push(Job::Serve(connection));
                }
                Next::Park(note) => {
                    drop(guard);
                    if connection.turn.park(note) {
                        return;
                    }
                }
            }
        }
    }
}
