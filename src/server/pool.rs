//! The workers: a fixed number of threads on a bounded queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::{Condvar, Mutex};

use super::central::{Central, Client};
use super::connection::{Connection, Job, Queue};
use super::incoming::Input;
use super::session::{At, Next};

/// A worker's stack: it parses and writes in buffers on the heap.
const STACK_BYTES: usize = 256 * 1024;

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
        let (queue, jobs) = Queue::new(queue);
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
        let told = self.threads.iter().all(|_| self.queue.push_until(Job::End, deadline));
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
                next = self.queue.pop_overflow();
            }
        }
    }

    fn serve(&mut self, connection: Arc<Connection>) {
        let at = At { client: Arc::clone(&connection) as Arc<dyn Client>, outcomes: &connection.outcomes };
        while connection.turn.begin() {
            let mut guard = connection.session.lock();
            let Some(session) = guard.as_mut() else { return };
            // Looked at before the pass: only a pass that begins after the stop has read all that came before it.
            let is_stopping = self.is_stopping.load(Ordering::SeqCst);
            match session.serve(&self.central, &at, &mut self.input, is_stopping) {
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
