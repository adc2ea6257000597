//! Refusals for load, written by a thread of their own, so that a flood of connections costs the acceptor nothing.

use std::io;
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, bounded};

use crate::transport::Stream;
use crate::wire::frame;
use crate::wire::{Refusal, Reply};

/// Connections that wait for their refusal. A further one is closed without.
const MAX_WAITING: usize = 64;
/// What is read of a refused peer, so that the close does not reset the connection under the refusal.
const MAX_DISCARDED: usize = 64 * 1024;

/// See the module.
pub struct Refuser {
    waiting: Sender<(Box<dyn Stream>, String)>,
    thread: JoinHandle<()>,
}

impl Refuser {
    pub fn start() -> io::Result<Refuser> {
        let (waiting, refused) = bounded::<(Box<dyn Stream>, String)>(MAX_WAITING);
        let run = move || refused.iter().for_each(|(mut stream, reason)| refuse(&mut *stream, reason));
        let thread = std::thread::Builder::new().name("refuser".to_owned()).spawn(run)?;
        Ok(Refuser { waiting, thread })
    }

    /// Has a connection refused and closed. Never waits.
    pub fn refuse(&self, stream: Box<dyn Stream>, reason: String) {
        // A peer that is told nothing finds its connection closed, and comes back later all the same.
        let _ = self.waiting.try_send((stream, reason));
    }

    /// Ends the thread once the refusals that wait are written.
    pub fn join(self) {
        drop(self.waiting);
        // It has nothing left that could matter.
        let _ = self.thread.join();
    }
}

/// It is only a courtesy: the connection closes in any case.
pub fn refuse(stream: &mut dyn Stream, reason: String) {
    let mut bytes = Vec::new();
    frame::push(&mut bytes, &Reply::Ack(Err(Refusal::Busy(reason))));
    let _ = stream.write_all(&bytes).and_then(|()| stream.close_sending());
    let mut rest = [0; 4096];
    for _ in 0..MAX_DISCARDED / rest.len() {
        if !matches!(stream.read(&mut rest), Ok(1..)) {
            return;
        }
    }
}
