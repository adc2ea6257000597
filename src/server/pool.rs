//! The workers: a fixed number of threads on a bounded queue.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;

use super::central::{Central, Client};
use super::connection::{Connection, Job, Queue};
use super::ending::End;
use super::incoming::Input;
use super::lane::Lane;
use super::manager;
use super::open::Open;
use super::refuse::refuse;
use super::session::{At, Next};
use crate::observe::Turned;

/// Stack of a worker, in bytes. Its buffers are on the heap.
const STACK_BYTES: usize = 256 * 1024;

/// See the module.
pub struct Pool {
    pub queue: Queue,
    /// Disconnected once every worker has ended.
    ended: Receiver<()>,
    threads: Vec<JoinHandle<()>>,
    /// Of each worker, whether it has a job.
    pub busy: Vec<Arc<AtomicBool>>,
    is_stopping: Arc<AtomicBool>,
}

struct Worker {
    jobs: Receiver<Job>,
    queue: Queue,
    central: Arc<Central>,
    is_stopping: Arc<AtomicBool>,
    open: Arc<Open>,
    lane: Arc<Lane<IpAddr, Arc<Connection>>>,
    inputs: Arc<Inputs>,
    is_busy: Arc<AtomicBool>,
}

/// The buffers that no worker uses now. The one that was used last is used next, so there are no more of them, and no more
/// memory is touched, than for the workers that were ever busy at once: far fewer than all.
type Inputs = Mutex<Vec<Input>>;

impl Pool {
    pub fn start(workers: usize, queue: usize, central: &Arc<Central>, open: &Arc<Open>) -> std::io::Result<Pool> {
        let (queue, jobs) = Queue::new(queue);
        let (ending, ended) = bounded(0);
        let (lane, inputs) = (Arc::new(Lane::new()), Arc::new(Inputs::default()));
        let is_stopping = Arc::new(AtomicBool::new(false));
        let busy: Vec<_> = (0..workers).map(|_| Arc::<AtomicBool>::default()).collect();
        let threads = busy.iter().enumerate().map(|(number, is_busy)| {
            let worker = Worker {
                jobs: jobs.clone(),
                queue: queue.clone(),
                central: Arc::clone(central),
                is_stopping: Arc::clone(&is_stopping),
                open: Arc::clone(open),
                lane: Arc::clone(&lane),
                inputs: Arc::clone(&inputs),
                is_busy: Arc::clone(is_busy),
            };
            let ending: Sender<()> = ending.clone();
            std::thread::Builder::new().name(format!("worker-{number}")).stack_size(STACK_BYTES).spawn(move || {
                worker.run();
                drop(ending);
            })
        });
        let threads = threads.collect::<std::io::Result<_>>()?;
        Ok(Pool { queue, ended, threads, busy, is_stopping })
    }

    /// From now on workers close each connection once everything received is answered.
    pub fn begin_stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
    }

    /// Lets every worker end after the jobs that are queued, and waits for that. False if the deadline passed first.
    pub fn join(self, deadline: Instant) -> bool {
        let told = self.threads.iter().all(|_| self.queue.push_until(Job::End, deadline));
        let ended = self.ended.recv_deadline(deadline) == Err(RecvTimeoutError::Disconnected);
        // Threads that have not ended stop when the process ends.
        told && ended && self.threads.into_iter().all(|thread| thread.join().is_ok())
    }
}

impl Worker {
    fn run(&self) {
        while let Ok(job) = self.jobs.recv() {
            let mut next = Some(job);
            self.is_busy.store(true, Ordering::Relaxed);
            while let Some(job) = next {
                match job {
                    Job::Serve(connection) => self.serve(connection, false),
                    Job::Handshake(connection) => {
                        self.serve(connection, true);
                        if let Some(next) = self.lane.leave() {
                            self.queue.push(Job::Handshake(next));
                        }
                    }
                    Job::ReloadKeys => manager::tell_reload(|| self.central.reload_keys()),
                    Job::HoldDraw => self.central.hold_draw(),
                    Job::Weigh => self.central.weigh(),
                    Job::End => return,
                }
                next = self.queue.pop_overflow();
            }
            self.is_busy.store(false, Ordering::Relaxed);
        }
    }

    fn serve(&self, connection: Arc<Connection>, has_lane: bool) {
        let free = self.inputs.lock().pop();
        let mut input = free.unwrap_or_else(Input::new);
        self.serve_with(&mut input, connection, has_lane);
        self.inputs.lock().push(input);
    }

    fn serve_with(&self, input: &mut Input, connection: Arc<Connection>, has_lane: bool) {
        let client = Arc::clone(&connection) as Arc<dyn Client>;
        let at = At { client, outcomes: &connection.outcomes, blocks: &self.open.blocks, has_lane };
        while connection.turn.begin() {
            let mut guard = connection.session.lock();
            let Some(session) = guard.as_mut() else { return };
            // Looked at before the pass: only a pass that begins after the stop has read all that came before it.
            let is_stopping = self.is_stopping.load(Ordering::SeqCst);
            let next = session.serve(&self.central, &at, input, is_stopping);
            let waits_for_peer = matches!(next, Next::Park(note) if note.waits_for_peer());
            let held = if matches!(next, Next::Close(_)) { 0 } else { session.held() };
            let is_too_much = self.open.hold(&connection, held, waits_for_peer);
            match next {
                Next::Close(end) => {
                    session.log_close(end);
                    let address = session.address();
                    *guard = None;
                    connection.turn.close();
                    self.open.remove(address);
                    return;
                }
                Next::Again => {
                    connection.turn.requeue();
                    drop(guard);
                    self.queue.push(Job::Serve(connection));
                    return self.free_if(is_too_much);
                }
                Next::Handshake => {
                    // Requeue first: the worker that has the lane may serve it at once.
                    connection.turn.requeue();
                    let address = session.address();
                    drop(guard);
                    if let Some(connection) = self.lane.enter(address, connection) {
                        self.queue.push(Job::Handshake(connection));
                    }
                    return self.free_if(is_too_much);
                }
                Next::Park(note) => {
                    drop(guard);
                    self.free_if(is_too_much);
                    if connection.turn.park(note) {
                        return;
                    }
                }
            }
        }
    }

    /// Closes connections until the memory held for all others is within the limit again.
    fn free_if(&self, is_too_much: bool) {
        if !is_too_much {
            return;
        }
        let mut freed = Vec::new();
        self.open.free(|connection| {
            // A worker serves this one now, and notes afterwards what it holds.
            let Some(mut guard) = connection.session.try_lock() else { return false };
            let Some(mut session) = guard.take() else { return false };
            connection.turn.close();
            let may_reply = session.free(&self.central, &self.open.blocks);
            self.open.hold(connection, 0, false);
            freed.push((session, may_reply));
            true
        });
        // The memory is free. Logging and replies can take their time.
        for (session, may_reply) in freed {
            let address = session.address();
            session.log_close(End::Busy);
            self.central.watch.turn_away(Turned::Memory);
            let mut stream = session.into_stream();
            if may_reply {
                refuse(&mut *stream, "too much is held for this connection; try again later".to_owned());
            }
            drop(stream);
            self.open.remove(address);
        }
    }
}
