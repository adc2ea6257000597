//! What a session makes of the bytes that come: frames and lines taken, and what is owed for them.

use std::mem;

use super::super::central::{Answer, Central};
use super::super::ending::End;
use super::super::incoming::Input;
use super::super::outcome::Outcome;
use super::super::owed::Form;
use super::{At, Session, State};
use crate::config::Plain;
use crate::logging::Event;
use crate::wire::frame::{self, Incoming};
use crate::wire::{Ask, HEALTH_MESSAGE, Message, Refusal, Reply, Request, keyed};

impl Session {
    /// Takes the whole frames that have come, as many as may be owed and have room in the ledger's line. False if there was none.
    pub(super) fn take_frames(&mut self, central: &Central, at: &At<'_>, input: &mut Input) -> bool {
        let mut has_taken = false;
        while matches!(self.state, State::Talking | State::InBatch(_)) && !self.owed.is_full() && self.claim.has_room()
        {
            match input.next() {
                Ok(None) => break,
                Ok(Some(Incoming::Frame(content))) => self.take_frame(central, at, content),
                Ok(Some(Incoming::Line(_))) if matches!(self.state, State::InBatch(_)) => {
                    self.fail(central, Refusal::other("a line stands where a batch's frames are expected"));
                }
                Ok(Some(Incoming::Line(line))) => self.take_line(central, line),
                Err(error) => self.fail(central, Refusal::other(error.to_string())),
            }
            self.clocks.frame = None;
            has_taken = true;
        }
        has_taken
    }

    fn take_frame(&mut self, central: &Central, at: &At<'_>, content: &[u8]) {
        if central.plain(&self.peer) != Plain::All {
            return self.fail(central, Refusal::NeedsTls);
        }
        // In a batch a row is a row, whatever it looks like.
        if matches!(self.state, State::Talking) && keyed::is_keyed(content) {
            let answer = match keyed::parse(content) {
                Ok(bets) => central.take_keyed(&mut self.asker(at), &bets),
                Err(malformed) => Answer::Now(Outcome::Malformed(malformed)),
            };
            return self.owe(central, Form::Keyed, answer);
        }
        match frame::text(content) {
            Ok(text) => self.take_text(central, at, text),
            Err(error) => self.fail(central, Refusal::other(error.to_string())),
        }
    }

    fn take_text(&mut self, central: &Central, at: &At<'_>, text: &str) {
        if let State::InBatch(mut batch) = mem::replace(&mut self.state, State::Talking) {
            // The declared count rules: these lines are rows, whatever they say.
            batch.take(text);
            if !batch.is_complete() {
                self.state = State::InBatch(batch);
                return;
            }
            let answer = central.take_batch(&mut self.asker(at), batch);
            return self.owe(central, Form::Text, answer);
        }
        match Message::parse(text) {
            Err(malformed) => self.owe(central, Form::Text, Answer::Now(Outcome::Malformed(malformed))),
            Ok(Message::Agency(Request { agency, ask: Ask::Batch { header, lines: "" } })) => {
                self.state = State::InBatch(central.open_batch(&self.peer, agency, header));
            }
            Ok(Message::Operator(command)) => {
                let answer = central.take_command(&self.asker(at), command);
                self.owe(central, Form::Text, answer);
            }
            Ok(Message::Agency(request)) => {
                let answer = central.take(&mut self.asker(at), request);
                self.owe(central, Form::Text, answer);
            }
        }
    }

    fn owe(&mut self, central: &Central, form: Form, answer: Answer) {
        match answer {
            Answer::Settled => self.owed.push_unsettled(form),
            Answer::SettledAlone => {
                self.owed.push_unsettled(form);
                self.state = State::Waiting;
            }
            Answer::Awaits(awaited) => {
                self.owed.push_awaited(awaited);
                self.state = State::Waiting;
            }
            Answer::Now(outcome) => {
                outcome.log();
                central.count(&outcome);
                if outcome.is_storage_failure() {
                    self.end(End::Storage);
                }
                self.owed.push_reply(form, &outcome.reply());
            }
        }
    }

    /// Sends a line back as it came, which ends the connection. But the health check gets another while the disk fails.
    fn take_line(&mut self, central: &Central, line: &[u8]) {
        if central.plain(&self.peer) == Plain::Nothing {
            return self.end(End::Tls);
        }
        let text = String::from_utf8_lossy(line);
        let message = text.trim_end_matches(['\n', '\r']);
        self.event("receive_message").with("ip", self.address()).with("msg", message).log();
        let complaint = Some(central).filter(|_| message == HEALTH_MESSAGE).and_then(Central::complaint);
        self.owed.push_bytes(complaint.map_or_else(|| line.to_vec(), |reason| format!("{reason}\n").into_bytes()));
        self.end(End::Echo);
    }

    /// The peer will send nothing more.
    pub(super) fn take_end(&mut self, central: &Central, input: &mut Input) {
        let is_line = matches!(self.state, State::Talking) && input.rest().first().is_some_and(|byte| *byte != 0);
        if is_line {
            // A line may end with the peer's bytes instead of a line feed.
            self.take_line(central, input.rest());
        }
        input.clear();
        self.end(End::Peer);
    }

    /// Ends the connection for an error in the framing: what follows cannot be told apart.
    pub(super) fn fail(&mut self, central: &Central, refusal: Refusal) {
        let event = Event::fail("receive_message").with("ip", self.address()).with("port", self.peer.address.port());
        event.with("error", &refusal).log();
        central.count_refusal(None, &refusal);
        self.owed.push_reply(Form::Text, &Reply::Ack(Err(refusal)));
        self.end(End::Framing);
    }
}
