//! Requests to the central over one connection, their replies, and which failures are worth another attempt.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use log::Level;

use super::batches::BatchMessage;
use super::dial::{Dialer, check_deadline};
use super::link::{Link, strange};
use super::reactor::{Halt, Reactor};
use crate::error::Error;
use crate::logging::{Event, EventResult};
use crate::wire::frame::Incoming;
use crate::wire::{Ask, Refusal, Reply, Request, Standing, Verb};

/// Time limit for every reply but those of WAIT_SEAL and WAIT_DRAW.
const REPLY_DEADLINE: Duration = Duration::from_secs(30);

pub(super) struct Conversation<'a> {
    pub(super) reactor: &'a mut Reactor,
    pub(super) dialer: &'a mut Dialer,
    pub(super) link: Link,
    /// Requests without a reply yet. Replies come in the order of the requests.
    asked: VecDeque<Verb>,
    /// When the wait for the oldest reply began, and its deadline. `None` before the first wait for it.
    waiting: Option<(Instant, Option<Instant>)>,
}

/// Connects and runs `hold`. If the connection is lost, starts again over a new one.
pub(super) fn converse<T>(
    reactor: &mut Reactor,
    dialer: &mut Dialer,
    mut hold: impl FnMut(&mut Conversation<'_>) -> Result<T, Halt>,
) -> Result<T, Halt> {
    loop {
        let link = dialer.connect(reactor)?;
        let mut conversation = Conversation::new(reactor, dialer, link);
        let result = hold(&mut conversation);
        conversation.link.close();
        reactor.tell_closed();
        match result {
            Err(Halt::Lost(cause)) => {
                let event = Event::new(Level::Warn, "connection_lost", EventResult::Fail);
                reactor.log(event.with("client_id", reactor.id).with("error", &cause));
                dialer.back_off(reactor, &cause, "")?;
            }
            result => return result,
        }
    }
}

impl<'a> Conversation<'a> {
    fn new(reactor: &'a mut Reactor, dialer: &'a mut Dialer, link: Link) -> Conversation<'a> {
        Conversation { reactor, dialer, link, asked: VecDeque::new(), waiting: None }
    }

    /// Sends a request and waits for its reply.
    pub(super) fn ask(&mut self, ask: Ask<'_>) -> Result<Reply, Halt> {
        self.link.push(&Request { agency: self.reactor.id, ask });
        self.asked.push_back(ask.verb());
        self.wait_for(Conversation::try_reply)
    }

    /// Asks how many of this agency's bets are stored, and for the lottery's phase.
    pub(super) fn hello(&mut self) -> Result<Standing, Halt> {
        match self.ask(Ask::Hello { more: true })? {
            Reply::Hello(Ok(standing)) => {
                self.dialer.pin.check(standing.identity)?;
                Ok(standing)
            }
            Reply::Hello(Err(refusal)) => {
                Err(refused(&refusal, &format!("the central does not take agency {}", self.reactor.id)))
            }
            reply => Err(unexpected(&reply, "HELLO")),
        }
    }

    /// Sends a line of text, waits for a line or a frame, and passes it to `read`.
    pub(super) fn ask_line<T>(&mut self, line: &str, read: impl Fn(Incoming<'_>) -> T) -> Result<T, Halt> {
        self.link.push_line(line);
        self.wait_for(|conversation| conversation.link.next(|incoming| Ok(read(incoming))))
    }

    /// Queues a batch without waiting. The caller takes its acknowledgement with [`Conversation::try_reply`].
    pub(super) fn push_batch(&mut self, batch: &BatchMessage<'_>) {
        self.link.push_batch(batch);
        self.asked.push_back(batch.header.ask.verb());
    }

    /// The next reply, if it has arrived.
    pub(super) fn try_reply(&mut self) -> Result<Option<Reply>, Halt> {
        let asked = self.asked.front().copied();
        let reply = self.link.next(|incoming| match incoming {
            Incoming::Frame(text) => Reply::parse(text, asked).map_err(strange),
            Incoming::Line(_) => Err(strange("it sent a line of text, not a frame".to_owned())),
        })?;
        if reply.is_some() {
            self.asked.pop_front();
            self.waiting = None;
        }
        Ok(reply)
    }

    /// Waits for any event, until the deadline of the oldest reply. A wait for the seal or for the draw has no
    /// deadline, and does not count as lack of progress.
    pub(super) fn wait(&mut self) -> Result<(), Halt> {
        self.wait_until(None)
    }

    /// The same, but only until there may be something to send, if that is known. Time in which no reply is due does not count
    /// as lack of progress.
    pub(super) fn wait_until(&mut self, next: Option<Instant>) -> Result<(), Halt> {
        if self.asked.is_empty() && next.is_some() {
            let paused = Instant::now();
            let result = self.reactor.wait(next);
            self.dialer.patience.excuse(paused.elapsed());
            return result;
        }
        let is_for_others = matches!(self.asked.front(), Some(Verb::WaitSeal | Verb::WaitDraw));
        let patience = &mut self.dialer.patience;
        let (begun, deadline) = *self
            .waiting
            .get_or_insert_with(|| (Instant::now(), (!is_for_others).then(|| patience.deadline(REPLY_DEADLINE))));
        check_deadline(deadline, begun)?;
        let paused = Instant::now();
        let result = self.reactor.wait(deadline.into_iter().chain(next).min());
        if is_for_others {
            patience.excuse(paused.elapsed());
        }
        result
    }

    fn wait_for<T>(&mut self, attempt: impl Fn(&mut Self) -> Result<Option<T>, Halt>) -> Result<T, Halt> {
        self.reactor.check()?;
        loop {
            self.link.flush();
            if let Some(found) = attempt(self)? {
                return Ok(found);
            }
            self.wait()?;
        }
    }
}

/// What a refusal means for this attempt: lost, or fatal with an error that begins with `what`.
pub(super) fn refused(refusal: &Refusal, what: &str) -> Halt {
    general(refusal).unwrap_or_else(|| Halt::Fatal(Error::refused(format!("{what}: {refusal}"))))
}

/// What a refusal means whatever was asked. Another attempt may avoid most of them: HELLO over a new connection then tells
/// what is stored. (`closed` is one of them: another process for the same agency may have sent DONE meanwhile.) `None` for
/// a refusal of the request itself.
pub(super) fn general(refusal: &Refusal) -> Option<Halt> {
    let (is_passing, advice) = match refusal {
        Refusal::Storage(_) => (true, "; look at the central's disk"),
        Refusal::Busy(_) | Refusal::NotReady => (true, ""),
        Refusal::Gap | Refusal::Closed | Refusal::Stale | Refusal::Conflict => (true, ""),
        Refusal::NeedsTls => (false, "; give --keys DIR"),
        Refusal::Identity(_) => (false, "; give --keys DIR with the keys of this agency"),
        Refusal::TooMany { .. }
        | Refusal::Unbalanced { .. }
        | Refusal::Bet { .. }
        | Refusal::Unknown(_)
        | Refusal::Other(_) => return None,
    };
    let cause = format!("the central answered: {refusal}{advice}");
    Some(if is_passing { Halt::Lost(cause) } else { Halt::Fatal(Error::refused(cause)) })
}

/// What a reply of the wrong kind means. With a bare `ACK|ERR` the central refuses a whole connection, for load or for
/// a frame that took too long.
pub(super) fn unexpected(reply: &Reply, asked: &str) -> Halt {
    match reply {
        Reply::Ack(Err(refusal @ Refusal::Unknown(_))) => {
            Halt::Fatal(Error::refused(format!("the central does not know {asked}: {refusal}")))
        }
        Reply::Ack(Err(refusal)) => {
            general(refusal).unwrap_or_else(|| Halt::Lost(format!("the central answered: {refusal}")))
        }
        reply => Halt::Fatal(Error::failed(format!("the central answered {asked} with: {reply}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agency::dial::Patience;
    use crate::agency::testing::{linked, reactor};
    use crate::wire::frame;
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    fn dialer() -> Dialer {
        Dialer::new("unused:1", Patience::new(Duration::from_secs(60)))
    }

    fn start<'a>(reactor: &'a mut Reactor, dialer: &'a mut Dialer) -> (Conversation<'a>, TcpStream) {
        let (link, central) = linked(reactor);
        (Conversation::new(reactor, dialer, link), central)
    }

    fn reply(conversation: &mut Conversation<'_>) -> Result<Reply, Halt> {
        conversation.wait_for(Conversation::try_reply)
    }

    #[test]
    fn replies_come_back_in_order_however_they_are_cut() {
        let (mut reactor, mut dialer) = (reactor(), dialer());
        let (mut conversation, mut central) = start(&mut reactor, &mut dialer);
        let writer = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            (0..500).for_each(|count| frame::push(&mut bytes, &Reply::AckBatch { count, result: Ok(()) }));
            let (pieces, rest) = bytes.split_at(300);
            for piece in pieces.chunks(1) {
                central.write_all(piece).unwrap();
            }
            central.write_all(rest).unwrap();
            central
        });
        for expected in 0..500 {
            assert_eq!(reply(&mut conversation).unwrap(), Reply::AckBatch { count: expected, result: Ok(()) });
        }
        drop(writer.join().unwrap());
        assert!(matches!(reply(&mut conversation), Err(Halt::Lost(cause)) if cause.contains("closed")));
    }

    #[test]
    fn what_the_central_said_before_it_hung_up_is_still_heard() {
        let (mut reactor, mut dialer) = (reactor(), dialer());
        let (mut conversation, mut central) = start(&mut reactor, &mut dialer);
        let mut bytes = Vec::new();
        frame::push(&mut bytes, &"ACK|ERR|busy: too many");
        central.write_all(&bytes).unwrap();
        drop(central);
        assert_eq!(conversation.ask(Ask::Done { declaration: None }).unwrap().to_string(), "ACK|ERR|busy: too many");
    }

    #[test]
    fn a_deadline_ends_a_wait_and_more_than_a_socket_takes_is_sent_in_the_end() {
        let (mut reactor, mut dialer) = (reactor(), dialer());
        let (mut conversation, mut central) = start(&mut reactor, &mut dialer);
        let now = Instant::now();
        conversation.waiting = Some((now, Some(now + Duration::from_millis(20))));
        assert!(matches!(reply(&mut conversation), Err(Halt::Lost(cause)) if cause.contains("no answer")));
        conversation.waiting = None;

        let line = "x".repeat(8000);
        (1..2000).for_each(|_| conversation.link.push_line(&line));
        let reader = std::thread::spawn(move || {
            let mut received = vec![0; 2000 * 8001];
            central.read_exact(&mut received).unwrap();
            central.write_all(b"all\n").unwrap();
            central
        });
        assert!(conversation.ask_line(&line, |incoming| incoming == Incoming::Line(b"all\n")).unwrap());
        assert_eq!(conversation.link.unsent(), 0);
        drop(reader.join().unwrap());
    }

    #[test]
    fn a_peer_of_another_kind_is_told_apart_from_a_lost_one() {
        let (mut reactor, mut dialer) = (reactor(), dialer());
        for bytes in [&b"HTTP/1.1 400 Bad Request\r\n"[..], b"\0\0\0\x05HOLA\n", b"\0\xff\xff\xff"] {
            let (mut conversation, mut central) = start(&mut reactor, &mut dialer);
            central.write_all(bytes).unwrap();
            assert!(matches!(reply(&mut conversation), Err(Halt::Fatal(_))));
        }
    }
}
