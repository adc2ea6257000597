//! The workers: a fixed number of threads on a bounded queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};

use super::central::Central;
use super::connection::Connection;
use super::session::{Next, Scratch};

/// A worker's stack: it parses and writes in buffers on the heap.
const STACK_BYTES: usize = 256 * 1024;

/// How often a connection that has more is served once the central is stopping: two passes are more than a socket's buffer
/// holds, so all that had been received is answered, however fast the peer goes on.
const STOP_PASSES: usize = 2;

pub enum Job {
    Serve(Arc<Connection>),
    HoldDraw,
    /// The worker that takes it ends.
    End,
}

/// See the module.
pub struct Pool {
    queue: Sender<Job>,
    /// Closed by every worker at its end.
    ended: Receiver<()>,
    threads: Vec<JoinHandle<()>>,
    stopping: Arc<AtomicBool>,
}

struct Worker {
    queue: Receiver<Job>,
    /// To put a connection back behind the others.
    back: Sender<Job>,
    central: Arc<Central>,
    stopping: Arc<AtomicBool>,
    /// Connections that are open.
    open: Arc<AtomicUsize>,
    scratch: Scratch,
}

impl Pool {
    pub fn start(
        workers: usize,
        queue: usize,
        central: &Arc<Central>,
        open: &Arc<AtomicUsize>,
    ) -> std::io::Result<Pool> {
        let (sender, receiver) = bounded(queue);
        let (ending, ended) = bounded(0);
        let stopping = Arc::new(AtomicBool::new(false));
        let threads = (0..workers).map(|number| {
            let mut worker = Worker {
                queue: receiver.clone(),
                back: sender.clone(),
                central: Arc::clone(central),
                stopping: Arc::clone(&stopping),
                open: Arc::clone(open),
                scratch: Scratch::new(),
            };
            let ending: Sender<()> = ending.clone();
            std::thread::Builder::new().name(format!("worker-{number}")).stack_size(STACK_BYTES).spawn(move || {
                worker.run();
                drop(ending);
            })
        });
        let threads = threads.collect::<std::io::Result<_>>()?;
        Ok(Pool { queue: sender, ended, threads, stopping })
    }

    /// Gives a job to the workers, or gives it back when as many wait as may.
    pub fn submit(&self, job: Job) -> Result<(), Job> {
        self.queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => job,
        })
    }

    /// From here on a worker closes each connection after one last pass.
    pub fn begin_stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// Gives a job to the workers as soon as there is room for it, until the deadline.
    pub fn submit_until(&self, job: Job, deadline: Instant) -> bool {
        self.queue.send_deadline(job, deadline).is_ok()
    }

    /// Has every worker end behind the jobs that are in the queue, and waits for it; false if the deadline came first.
    pub fn join(self, deadline: Instant) -> bool {
        let told = self.threads.iter().all(|_| self.submit_until(Job::End, deadline));
        let ended = self.ended.recv_deadline(deadline) == Err(RecvTimeoutError::Disconnected);
        // A thread that has not ended is left to the end of the process.
        told && ended && self.threads.into_iter().all(|thread| thread.join().is_ok())
    }
}

impl Worker {
    fn run(&mut self) {
        while let Ok(job) = self.queue.recv() {
            match job {
                Job::Serve(connection) => self.serve(connection),
                Job::HoldDraw => self.central.hold_draw(),
                Job::End => return,
            }
        }
    }

    fn serve(&mut self, connection: Arc<Connection>) {
        loop {
            connection.begin();
            let mut guard = connection.session.lock();
            let Some(session) = guard.as_mut() else { return };
            // Looked at before the pass: only a pass that begins after the stop has read all that came before it.
            let is_stopping = self.stopping.load(Ordering::SeqCst);
            let mut next = session.serve(&self.central, &mut self.scratch);
            for _ in 1..STOP_PASSES {
                if is_stopping && next == Next::Again {
                    next = session.serve(&self.central, &mut self.scratch);
                }
            }
            if is_stopping || next == Next::Close {
                session.log_close(if is_stopping { "shutdown" } else { "peer" });
                *guard = None;
                drop(guard);
                connection.mark_closed();
                self.open.fetch_sub(1, Ordering::SeqCst);
                return;
            }
            connection.note(session);
            drop(guard);
            if next == Next::Park {
                if connection.park() {
                    return;
                }
                continue;
            }
            connection.requeue();
            let is_queued = self.back.try_send(Job::Serve(Arc::clone(&connection))).is_ok();
            // When the queue is full this worker goes on with what it has. It also does when a stop has begun: the others
            // may end before they come to it. Whoever finds it closed then has nothing to do.
            if is_queued && !self.stopping.load(Ordering::SeqCst) {
                return;
            }
        }
    }
}
