//! The session of a connection: it takes requests and sends the answers it owes, until one side ends it. A worker runs one
//! pass of it when there is news. A pass never waits: the event that it needs wakes the connection.

mod taking;

use std::io;
use std::mem;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::central::{Asker, Central, Client};
use super::ending::{Clocks, End, LINGER};
use super::incoming::{Input, READ_BYTES};
use super::kept::{Blocks, Kept};
use super::outcome::Outcomes;
use super::owed::Owed;
use super::turn::Note;
use crate::ledger::Claim;
use crate::logging::{self, Event};
use crate::transport::{Peer, Read, Stream, TlsError};
use crate::wire::{HEALTH_SOURCE, Refusal};

/// Maximum bytes read of one connection in a pass. Then others get their turn.
const PASS_BYTES: usize = 4 * 1024 * 1024;
/// Maximum bytes read of one connection during a stop. A socket's buffer holds less, so everything that was received before
/// the stop is answered, however much the peer still sends.
const STOP_BYTES: usize = 8 * 1024 * 1024;

/// See the module.
pub struct Session {
    stream: Box<dyn Stream>,
    peer: Peer,
    frame_deadline: Duration,
    state: State,
    /// Bytes that were received and not taken: an incomplete frame or line, or requests that have to wait.
    untaken: Kept,
    owed: Owed,
    claim: Claim,
    clocks: Clocks,
    /// Bytes that may still be read during a stop. None before the stop.
    stop_budget: Option<usize>,
}

/// The connection that a session runs on.
pub struct At<'a> {
    pub client: Arc<dyn Client>,
    pub outcomes: &'a Outcomes,
    pub blocks: &'a Blocks,
    /// Whether it may go on with a handshake.
    pub has_lane: bool,
}

/// The state of the conversation.
enum State {
    Talking,
    /// The bets of this batch arrive in further frames.
    InBatch(Batch),
    /// No request is taken before the last one is answered: the ledger or the lottery takes its time.
    Waiting,
    /// No request is taken any more. The answers owed are sent, then the connection closes.
    Ending(End),
}

/// What a worker is to do with the connection after a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Wait for news.
    Park(Note),
    /// Queue again: there may be more to read, but other connections come first.
    Again,
    /// Wait for the lane for handshakes.
    Handshake,
    Close(End),
}

impl Session {
    pub fn new(stream: Box<dyn Stream>, peer: Peer, frame_deadline: Duration) -> Session {
        Session {
            stream,
            peer,
            frame_deadline,
            state: State::Talking,
            untaken: Kept::default(),
            owed: Owed::default(),
            claim: Claim::default(),
            clocks: Clocks::default(),
            stop_budget: None,
        }
    }

    /// One pass: sends what is ready, reads what is there, takes every whole frame of it.
    pub fn serve(&mut self, central: &Central, at: &At<'_>, input: &mut Input, is_stopping: bool) -> Next {
        if is_stopping {
            self.stop_budget.get_or_insert(STOP_BYTES);
        }
        let gathered = logging::gather();
        self.take_out(at.blocks);
        input.load(&mut self.untaken, at.blocks);
        let passed = self.pass(central, at, input).or_else(|error| self.refuse_tls(central, error, input));
        let next = match passed {
            Ok(Pass::Park) => Next::Park(self.note(!input.rest().is_empty())),
            Ok(Pass::Again) => Next::Again,
            Ok(Pass::Handshake) => Next::Handshake,
            Ok(Pass::Close) => self.close(End::Peer),
            Err(_) => self.close(End::Error),
        };
        if !self.claim.is_waiting() || matches!(next, Next::Close(_)) {
            central.give_back(&mut self.claim);
        }
        if !matches!(next, Next::Close(_)) {
            self.put_away(input, at.blocks);
        }
        // What follows logs lines of its own, which replies to others may follow.
        drop(gathered);
        if self.owed.has_unsettled() {
            central.write_or_hurry();
        }
        next
    }

    /// The bytes of memory that are held for the peer between two passes.
    pub fn held(&self) -> usize {
        let batch = if let State::InBatch(batch) = &self.state { batch.held() } else { 0 };
        self.untaken.held() + batch + self.owed.held() + self.stream.held_bytes()
    }

    /// Ends the session between two passes, and frees what is held for the peer. False if no reply may follow, because
    /// it would stand in the middle of another.
    pub fn free(&mut self, central: &Central, blocks: &Blocks) -> bool {
        self.take_out(blocks);
        self.untaken.take(blocks, |_| {});
        self.state = State::Ending(End::Busy);
        central.give_back(&mut self.claim);
        !mem::take(&mut self.owed).has_unsent()
    }

    fn take_out(&mut self, blocks: &Blocks) {
        self.owed.take_out(blocks);
        if let State::InBatch(batch) = &mut self.state {
            batch.take_out(blocks);
        }
    }

    fn put_away(&mut self, input: &Input, blocks: &Blocks) {
        self.untaken.put(input.rest(), blocks);
        self.owed.put_away(blocks);
        if let State::InBatch(batch) = &mut self.state {
            batch.put_away(blocks);
        }
    }

    pub fn into_stream(self) -> Box<dyn Stream> {
        self.stream
    }

    /// The peer's. That of a peer who came over IPv4 is one of IPv4, also where the listening socket says it as IPv6.
    pub fn address(&self) -> IpAddr {
        self.peer.address.ip()
    }

    pub fn log_accept(&self) {
        self.event("accept_connections").with("ip", self.address()).with("port", self.peer.address.port()).log();
    }

    pub fn log_close(&self, end: End) {
        let event = self.event("close_connection").with("ip", self.address()).with("port", self.peer.address.port());
        event.with("reason", end).log();
    }

    fn pass(&mut self, central: &Central, at: &At<'_>, input: &mut Input) -> io::Result<Pass> {
        let mut read_in_all = 0;
        if !matches!(self.state, State::Ending(_)) {
            self.stream.recheck()?;
        }
        loop {
            if self.stream.is_handshaking() {
                return self.shake_hands(at.has_lane);
            }
            self.peer.who = self.stream.who();
            self.deliver(central, at)?;
            if self.has_unsent() {
                return Ok(self.wait_for_peer());
            }
            if let State::Ending(end) = self.state {
                return self.finish(end, input);
            }
            let is_waiting = matches!(self.state, State::Waiting);
            if !is_waiting {
                let expects_nothing = !self.owed.has_unsettled();
                if !central.claim(&mut self.asker(at), expects_nothing) {
                    return Ok(Pass::Park);
                }
                if self.take_frames(central, at, input) {
                    continue;
                }
                if self.owed.is_full() {
                    return Ok(Pass::Park);
                }
            }
            if read_in_all >= PASS_BYTES {
                return Ok(Pass::Again);
            }
            // During such a wait the session reads only a little, to notice that the peer has gone.
            let most = if is_waiting { input.room_ahead() } else { self.stop_budget.unwrap_or(READ_BYTES) };
            let read = if most > 0 { input.read(&mut *self.stream, most)? } else { Read::Nothing };
            match read {
                Read::Some(read) => {
                    read_in_all += read;
                    self.stop_budget = self.stop_budget.map(|budget| budget.saturating_sub(read));
                }
                Read::End => self.take_end(central, input),
                // The first byte has just told that the peer speaks TLS.
                Read::Nothing if self.stream.is_handshaking() => {}
                Read::Nothing if self.stop_budget.is_some() => self.end(End::Shutdown),
                Read::Nothing if is_late(self.clocks.frame, self.frame_deadline) => {
                    input.clear();
                    let limit = humantime::format_duration(self.frame_deadline);
                    self.fail(central, Refusal::other(format!("frame not completed within {limit}")));
                }
                Read::Nothing => return Ok(Pass::Park),
            }
        }
    }

    /// Sends the TLS alert, and closes. Answers that are owed are dropped: the other end may be anybody.
    fn refuse_tls(&mut self, central: &Central, error: io::Error, input: &mut Input) -> io::Result<Pass> {
        if TlsError::of(&error).is_none() {
            return Err(error);
        }
        let event = Event::fail("identidad").with("ip", self.address()).with("port", self.peer.address.port());
        event.with("error", error).log();
        if mem::take(&mut self.owed).has_unsettled() {
            central.hurry();
        }
        self.end(End::Tls);
        self.finish(End::Tls, input)
    }

    /// Continues a handshake. Only one worker at a time may, since it takes much processor time.
    fn shake_hands(&mut self, has_lane: bool) -> io::Result<Pass> {
        if self.stop_budget.is_some() {
            self.end(End::Shutdown);
            return Ok(Pass::Close);
        }
        if is_late(self.clocks.frame, self.frame_deadline) {
            self.end(End::Late);
            return Ok(Pass::Close);
        }
        if !has_lane {
            return Ok(Pass::Handshake);
        }
        self.stream.handshake()?;
        Ok(if self.stream.is_handshaking() { Pass::Park } else { Pass::Again })
    }

    /// Sends the answers that are ready.
    fn deliver(&mut self, central: &Central, at: &At<'_>) -> io::Result<()> {
        let awaited = |what| central.awaited(what, self.stream.signer());
        let collected = self.owed.collect(|| at.outcomes.pop(), awaited);
        if collected.has_failed {
            self.end(End::Storage);
        }
        if matches!(self.state, State::Waiting) && !self.owed.has_unsettled() && !self.owed.has_awaited() {
            self.state = State::Talking;
        }
        if self.owed.has_unsent() {
            // A reply is sent only after the log lines about it are queued.
            logging::send_gathered();
        }
        // During a stop the clock is not reset: a peer that takes a few bytes now and then must not delay the stop.
        if self.owed.send(&mut *self.stream)? > 0 && self.stop_budget.is_none() {
            self.clocks.replies = None;
        }
        Ok(())
    }

    /// Ends the session: no request is taken any more. The first reason is kept.
    fn end(&mut self, end: End) {
        if !matches!(self.state, State::Ending(_)) {
            self.state = State::Ending(end);
            self.owed.drop_awaited();
        }
    }

    fn close(&mut self, end: End) -> Next {
        self.end(end);
        let State::Ending(end) = self.state else { return Next::Close(end) };
        Next::Close(end)
    }

    /// Time limit for the peer to take its replies: that of a frame, but at most `LINGER` during a stop.
    fn reply_deadline(&self) -> Duration {
        if self.stop_budget.is_some() { self.frame_deadline.min(LINGER) } else { self.frame_deadline }
    }

    /// Waits until the peer takes its replies.
    fn wait_for_peer(&mut self) -> Pass {
        let is_stopping = matches!(self.state, State::Ending(End::Shutdown)) && !self.owed.has_unsettled();
        if is_late(self.clocks.replies, self.reply_deadline()) {
            self.end(End::Late);
            return Pass::Close;
        }
        if is_stopping { Pass::Close } else { Pass::Park }
    }

    /// Closes once all answers are sent. After an error, received bytes are discarded first: closing with unread bytes would
    /// reset the connection, and the peer could lose the last reply.
    fn finish(&mut self, end: End, input: &mut Input) -> io::Result<Pass> {
        if !self.owed.is_empty() {
            return Ok(Pass::Park);
        }
        match end {
            End::Peer | End::Late | End::Busy | End::Error | End::Shutdown => return Ok(Pass::Close),
            End::Echo | End::Framing | End::Storage | End::Tls => {}
        }
        if self.clocks.linger.is_none() {
            self.stream.close_sending()?;
        }
        let begun = *self.clocks.linger.get_or_insert_with(Instant::now);
        let mut read_in_all = 0;
        let is_over = loop {
            match input.discard(&mut *self.stream)? {
                Read::End => break true,
                // After an echo the peer has sent everything. After an error more bytes may arrive.
                Read::Nothing => break end == End::Echo || is_late(Some(begun), LINGER),
                Read::Some(read) if read_in_all < PASS_BYTES => read_in_all += read,
                Read::Some(_) if is_late(Some(begun), LINGER) => break true,
                Read::Some(_) => return Ok(Pass::Again),
            }
        };
        input.clear();
        Ok(if is_over || self.stop_budget.is_some() { Pass::Close } else { Pass::Park })
    }

    /// What the connection waits for while it is parked.
    fn note(&mut self, has_untaken: bool) -> Note {
        let owes_rest = match self.state {
            State::Talking => has_untaken || self.stream.is_handshaking() || self.stream.has_part(),
            State::InBatch(_) => true,
            State::Waiting | State::Ending(_) => false,
        };
        let is_our_turn = self.owed.has_unsettled() || self.claim.is_waiting();
        let run = |clock: &mut Option<Instant>, runs| {
            *clock = if runs { clock.or_else(|| Some(Instant::now())) } else { None }
        };
        run(&mut self.clocks.frame, owes_rest && !is_our_turn);
        let has_unsent = self.has_unsent();
        run(&mut self.clocks.replies, has_unsent);
        let ends = [
            self.clocks.frame.map(|since| since + self.frame_deadline),
            self.clocks.replies.map(|since| since + self.reply_deadline()),
            self.clocks.linger.map(|since| since + LINGER),
        ];
        Note {
            deadline: ends.into_iter().flatten().min(),
            has_unsent,
            waits_for_draw: self.owed.has_awaited(),
            owes: !self.owed.is_empty() || is_our_turn || matches!(self.state, State::Ending(_)),
        }
    }

    fn has_unsent(&self) -> bool {
        self.owed.has_unsent() || self.stream.has_unsent()
    }

    fn asker<'a>(&'a mut self, at: &'a At<'_>) -> Asker<'a> {
        Asker { peer: &self.peer, stream: &*self.stream, client: &at.client, claim: &mut self.claim }
    }

    /// At INFO, but for the health check, which asks every other second.
    fn event(&self, action: &str) -> Event {
        Event::quiet_if(self.address() == IpAddr::V4(HEALTH_SOURCE), action, logging::EventResult::Success)
    }
}

/// How a pass ends.
enum Pass {
    Park,
    Again,
    Handshake,
    Close,
}

fn is_late(since: Option<Instant>, limit: Duration) -> bool {
    since.is_some_and(|since| since.elapsed() >= limit)
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
