//! The answers owed to a peer, in the order of its requests, and the bytes that are not sent yet.

use std::collections::VecDeque;
use std::io;
use std::mem;

use super::central::Awaited;
use super::kept::{Blocks, Kept};
use super::outcome::Outcome;
use crate::transport::{self, Stream};
use crate::wire::{Reply, frame, keyed};

/// Maximum answers owed at once. No request is read beyond it.
const MAX_ANSWERS: usize = 1024;
/// Maximum bytes of replies gathered before they are sent. A short request can have a long reply.
const REPLY_BYTES: usize = 128 * 1024;
/// Bytes that an answer to be settled counts for in the peers' memory: its outcome, which may have to wait until a worker takes
/// it, with the texts of a bet or of a refusal in it.
const UNSETTLED: usize = size_of::<Outcome>() + 128;

/// See the module.
#[derive(Default)]
pub struct Owed {
    answers: VecDeque<Answer>,
    /// How many of the answers are still to be settled by the ledger.
    unsettled: usize,
    /// Bytes of the ready answers that wait behind others.
    ready: usize,
    unsent: Vec<u8>,
    kept: Kept,
}

enum Answer {
    Ready(Vec<u8>),
    /// The ledger's verdict.
    Unsettled(Form),
    /// What the lottery has to come to first.
    Awaited(Awaited),
}

/// How a reply is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Text,
    /// In the dialect of keys and values.
    Keyed,
}

/// What happened to the answers that were collected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// A request could not be stored.
    pub has_failed: bool,
}

impl Owed {
    pub fn push_reply(&mut self, form: Form, reply: &Reply) {
        let mut bytes = Vec::new();
        form.push(&mut bytes, reply);
        self.push_bytes(bytes);
    }

    pub fn push_bytes(&mut self, bytes: Vec<u8>) {
        if self.answers.is_empty() {
            self.unsent.extend_from_slice(&bytes);
        } else {
            self.ready += bytes.len();
            self.answers.push_back(Answer::Ready(bytes));
        }
    }

    /// A request of this connection was put in the ledger's line.
    pub fn push_unsettled(&mut self, form: Form) {
        self.unsettled += 1;
        self.answers.push_back(Answer::Unsettled(form));
    }

    pub fn push_awaited(&mut self, awaited: Awaited) {
        self.answers.push_back(Answer::Awaited(awaited));
    }

    /// Drops what the lottery has not come to: the session ends.
    pub fn drop_awaited(&mut self) {
        self.answers.retain(|answer| !matches!(answer, Answer::Awaited(_)));
    }

    pub fn has_awaited(&self) -> bool {
        matches!(self.answers.back(), Some(Answer::Awaited(_)))
    }

    /// True if no request may be taken before some answers are sent.
    pub fn is_full(&self) -> bool {
        self.answers.len() >= MAX_ANSWERS || self.unsent.len() + self.ready >= REPLY_BYTES
    }

    pub fn has_unsent(&self) -> bool {
        !self.unsent.is_empty() || !self.kept.is_empty()
    }

    pub fn has_unsettled(&self) -> bool {
        self.unsettled > 0
    }

    pub fn is_empty(&self) -> bool {
        self.answers.is_empty() && self.unsent.is_empty()
    }

    /// Takes the answers that are ready, up to the first that is not. `next` gives the outcomes of what was put in line, in
    /// order, and `awaited` what the lottery has come to.
    pub fn collect(
        &mut self,
        mut next: impl FnMut() -> Option<Outcome>,
        awaited: impl Fn(Awaited) -> Option<Reply>,
    ) -> Collected {
        let mut collected = Collected::default();
        while let Some(answer) = self.answers.front_mut() {
            match answer {
                Answer::Ready(bytes) => {
                    self.ready -= bytes.len();
                    self.unsent.append(bytes);
                }
                Answer::Unsettled(form) => {
                    let Some(outcome) = next() else { break };
                    self.unsettled -= 1;
                    collected.has_failed |= outcome.is_storage_failure();
                    form.push(&mut self.unsent, &outcome.reply());
                }
                Answer::Awaited(what) => {
                    let Some(reply) = awaited(*what) else { break };
                    Form::Text.push(&mut self.unsent, &reply);
                }
            }
            self.answers.pop_front();
        }
        collected
    }

    /// Sends what the stream takes now. Returns how many bytes that were.
    pub fn send(&mut self, stream: &mut dyn Stream) -> io::Result<usize> {
        let sent = transport::send(stream, &self.unsent)?;
        self.unsent.drain(..sent);
        Ok(sent)
    }

    /// Puts what is not sent where it waits for the next pass, and frees the rest: thousands of connections are idle.
    pub fn put_away(&mut self, blocks: &Blocks) {
        self.kept.put(&mem::take(&mut self.unsent), blocks);
        if self.answers.is_empty() {
            self.answers = VecDeque::new();
        }
    }

    pub fn take_out(&mut self, blocks: &Blocks) {
        self.kept.take(blocks, |piece| self.unsent.extend_from_slice(piece));
    }

    /// The bytes of memory that it takes between two passes.
    pub fn held(&self) -> usize {
        self.answers.capacity() * size_of::<Answer>() + self.unsettled * UNSETTLED + self.ready + self.kept.held()
    }
}

impl Form {
    fn push(self, out: &mut Vec<u8>, reply: &Reply) {
        match self {
            Form::Text => frame::push(out, reply),
            Form::Keyed => keyed::push_answer(out, if reply.is_ok() { keyed::SUCCESS } else { keyed::ERROR }),
        }
    }
}
