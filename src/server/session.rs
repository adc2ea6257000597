//! One connection's bytes: frames are found in them, answered, and the replies sent. A worker runs it when there is
//! something to read, and it never waits for the socket.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown};
use std::time::{Duration, Instant};

use mio::net::TcpStream;

use super::batch::Batch;
use super::central::{Central, Step};
use crate::logging::{self, Event, Outcome};
use crate::wire::frame::{self, HEADER, Incoming, MAX_FRAME};
use crate::wire::{HEALTH_SOURCE, Reply, Request};

/// Read at once, at most.
const READ_BYTES: usize = 64 * 1024;
/// The longest beginning of a frame or line that can be left over.
const PARTIAL_BYTES: usize = HEADER + MAX_FRAME + 1;
/// Read before the replies are sent and others get their turn.
const PASS_BYTES: usize = 4 * 1024 * 1024;
/// Replies gathered before they are sent: a short request can have a long reply.
const REPLY_BYTES: usize = 128 * 1024;
/// How long the rest of a peer's bytes is thrown away after an error, so that closing does not take the reply with it.
const LINGER: Duration = Duration::from_secs(1);

/// A worker's own buffer, used for one connection after the other.
pub struct Scratch {
    input: Vec<u8>,
}

/// What a pass owes the peer, in the order in which it was asked.
enum Answer {
    Step(Step),
    /// The line itself, for the echo.
    Line(Vec<u8>),
}

/// What a worker is to do with the connection after a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// There is nothing more to do before the poll says so.
    Park,
    /// There may be more to read: others first.
    Again,
    Close,
}

/// See the module.
pub struct Session {
    stream: TcpStream,
    peer: IpAddr,
    frame_deadline: Duration,
    /// The start of a frame or line whose end has not come, or what stands behind a request that waits for the draw.
    partial: Vec<u8>,
    unsent: Vec<u8>,
    /// A batch whose bets come in frames of their own.
    batch: Option<Batch>,
    waits_for_draw: bool,
    /// After an error in the framing, or an echo: only what is unsent goes out, what comes in is thrown away.
    ending: Option<&'static str>,
    /// Since when the peer owes the rest of something, or has not taken a reply.
    owing_since: Option<Instant>,
}

impl Scratch {
    pub fn new() -> Scratch {
        Scratch { input: vec![0; READ_BYTES + PARTIAL_BYTES] }
    }
}

impl Session {
    pub fn new(stream: TcpStream, peer: IpAddr, frame_deadline: Duration) -> Session {
        Session {
            stream,
            peer,
            frame_deadline,
            partial: Vec::new(),
            unsent: Vec::new(),
            batch: None,
            waits_for_draw: false,
            ending: None,
            owing_since: None,
        }
    }

    /// One pass: sends what is unsent, reads what is there, answers every whole frame of it.
    pub fn serve(&mut self, central: &Central, scratch: &mut Scratch) -> Next {
        let _gathered = logging::gather();
        let mut answers = VecDeque::new();
        let pass = self.pass(central, scratch, &mut answers);
        // What a broken connection's requests have changed is changed, and the log tells it.
        self.settle(central, &mut answers);
        let next = pass.unwrap_or_else(|_| self.end("error"));
        if next == Next::Park {
            self.note_debt();
        }
        next
    }

    /// Refuses the connection for load: the agency comes back later.
    pub fn refuse(&mut self, detail: &str) {
        frame::push(&mut self.unsent, &Reply::busy(detail));
        // It is only a courtesy: the connection closes in any case.
        let _ = self.send().and_then(|_| self.stream.shutdown(Shutdown::Write));
        let mut rest = [0; 4096];
        for _ in 0..READ_BYTES / rest.len() {
            if !matches!(self.stream.read(&mut rest), Ok(read) if read > 0) {
                break;
            }
        }
        self.ending = Some("busy");
    }

    pub fn log_close(&mut self, reason: &str) {
        let reason = self.ending.unwrap_or(reason);
        self.event("close_connection", Outcome::Success).with("ip", self.peer).with("reason", reason).log();
    }

    pub fn log_accept(&self) {
        self.event("accept_connections", Outcome::Success).with("ip", self.peer).log();
    }

    pub fn deadline(&self) -> Option<Instant> {
        let allowed = if self.ending.is_some() { LINGER } else { self.frame_deadline };
        self.owing_since.map(|since| since + allowed)
    }

    pub fn waits_for_draw(&self) -> bool {
        self.waits_for_draw
    }

    pub fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    fn pass(&mut self, central: &Central, scratch: &mut Scratch, answers: &mut VecDeque<Answer>) -> io::Result<Next> {
        if !self.send()? {
            return Ok(if self.is_late() { self.end("late") } else { Next::Park });
        }
        if self.ending.is_some() {
            return self.linger(scratch);
        }
        let mut filled = self.partial.len();
        scratch.input[..filled].copy_from_slice(&self.partial);
        let (mut read_in_all, mut has_ended, mut is_drained) = (0, false, false);
        loop {
            let (taken, are_all) = self.take_frames(central, &scratch.input[..filled], answers);
            scratch.input.copy_within(taken..filled, 0);
            filled -= taken;
            if !are_all {
                // Replies have piled up: they go first.
                if self.answer(central, answers, true)? {
                    continue;
                }
                break;
            }
            // While it waits for the draw it is read only to see whether the peer has gone, and a little ahead.
            let room = if self.waits_for_draw { PARTIAL_BYTES.saturating_sub(filled) } else { READ_BYTES };
            if self.ending.is_some() || room == 0 || read_in_all >= PASS_BYTES {
                break;
            }
            match self.stream.read(&mut scratch.input[filled..filled + room]) {
                Ok(0) => has_ended = true,
                Ok(read) => {
                    filled += read;
                    read_in_all += read;
                    // The disk works while more is read; what it has finished meanwhile can be told.
                    if self.answer(central, answers, false)? {
                        continue;
                    }
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    is_drained = answers.is_empty();
                    // Nothing to read: the oldest answer is waited for, and more may have come by then.
                    if !is_drained && self.answer(central, answers, true)? {
                        continue;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            break;
        }
        let is_open = !self.waits_for_draw && self.ending.is_none();
        if has_ended && is_open && scratch.input[..filled].first().is_some_and(|byte| *byte != 0) {
            // A line may end with the peer's bytes instead of a line feed.
            self.take_line(&scratch.input[..filled], answers);
            filled = 0;
        }
        self.partial = scratch.input[..filled].to_vec();
        if is_drained {
            self.check_debt(answers);
        }
        self.settle(central, answers);
        if !self.send()? {
            return Ok(Next::Park);
        }
        match self.ending {
            _ if has_ended => Ok(self.end("peer")),
            Some(_) => self.stream.shutdown(Shutdown::Write).and_then(|()| self.linger(scratch)),
            None if is_drained || self.waits_for_draw => Ok(Next::Park),
            None => Ok(Next::Again),
        }
    }

    /// Sends the replies that are ready, and before them, if asked to, the oldest as soon as it is. False if the peer does
    /// not take them, and so must be given no more.
    fn answer(&mut self, central: &Central, answers: &mut VecDeque<Answer>, wait: bool) -> io::Result<bool> {
        let mut may_wait = wait;
        while let Some(answer) = answers.pop_front() {
            match answer {
                Answer::Step(step) if may_wait || central.is_ready(&step) => {
                    frame::push(&mut self.unsent, &central.finish(step));
                    may_wait = false;
                }
                Answer::Line(line) => self.unsent.extend_from_slice(&line),
                unfinished => {
                    answers.push_front(unfinished);
                    break;
                }
            }
        }
        self.send()
    }

    /// Answers the whole frames at the start of `bytes`. Returns how many bytes they are, and whether they are all that can
    /// be answered now: it stops when the replies have grown long.
    fn take_frames(&mut self, central: &Central, bytes: &[u8], answers: &mut VecDeque<Answer>) -> (usize, bool) {
        if self.waits_for_draw && central.is_drawn() {
            self.waits_for_draw = false;
            answers.push_back(Answer::Step(Step::WaitDraw));
        }
        let (mut taken, mut reply_bytes) = (0, 0);
        while !self.waits_for_draw && self.ending.is_none() {
            if reply_bytes >= REPLY_BYTES {
                return (taken, false);
            }
            match frame::next(&bytes[taken..]) {
                Ok(None) => break,
                Ok(Some((Incoming::Frame(text), length))) => {
                    taken += length;
                    self.take_frame(central, text, answers);
                    reply_bytes += match answers.back() {
                        Some(Answer::Step(Step::Answered(Reply::Winners(Ok((_, documents)))))) => documents.len(),
                        _ => 0,
                    };
                }
                Ok(Some((Incoming::Line(line), length))) if self.batch.is_none() => {
                    taken += length;
                    self.take_line(line, answers);
                }
                Ok(Some((Incoming::Line(_), _))) => {
                    self.fail("a line stands where a batch's frames are expected", answers)
                }
                Err(error) => self.fail(&error.to_string(), answers),
            }
            self.owing_since = None;
        }
        (taken, true)
    }

    fn take_frame(&mut self, central: &Central, text: &str, answers: &mut VecDeque<Answer>) {
        if let Some(mut batch) = self.batch.take() {
            if !Request::starts_with_other_request(text) {
                batch.take(text);
                if batch.is_complete() {
                    answers.push_back(Answer::Step(central.take_batch(batch)));
                } else {
                    self.batch = Some(batch);
                }
                return;
            }
            // The batch is too short, and is refused; the request behind it counts as usual.
            answers.push_back(Answer::Step(central.take_batch(batch)));
        }
        let step = match Request::parse(text) {
            Err(malformed) => Step::Answered(central.refuse(malformed)),
            Ok(Request::Batch { header, lines }) => {
                let mut batch = central.open_batch(header);
                if lines.is_empty() {
                    self.batch = Some(batch);
                    return;
                }
                batch.take(lines);
                central.take_batch(batch)
            }
            Ok(request) => {
                if matches!(request, Request::Hello { .. }) {
                    // It tells what is stored, and must count what was acknowledged before it.
                    self.settle(central, answers);
                }
                central.take(request)
            }
        };
        self.waits_for_draw = matches!(step, Step::WaitDraw) && !central.is_drawn();
        if !self.waits_for_draw {
            answers.push_back(Answer::Step(step));
        }
    }

    /// Waits until everything that is owed can be answered, and answers it in its order.
    fn settle(&mut self, central: &Central, answers: &mut VecDeque<Answer>) {
        for answer in answers.drain(..) {
            match answer {
                Answer::Step(step) => frame::push(&mut self.unsent, &central.finish(step)),
                Answer::Line(line) => self.unsent.extend_from_slice(&line),
            }
        }
    }

    /// Sends a line back as it came, which ends the connection.
    fn take_line(&mut self, line: &[u8], answers: &mut VecDeque<Answer>) {
        let text = String::from_utf8_lossy(line);
        let message = text.trim_end_matches(['\n', '\r']);
        self.event("receive_message", Outcome::Success).with("ip", self.peer).with("msg", message).log();
        answers.push_back(Answer::Line(line.to_vec()));
        self.ending = Some("echo");
    }

    /// Ends the connection for an error in the framing: what follows cannot be told apart.
    fn fail(&mut self, reason: &str, answers: &mut VecDeque<Answer>) {
        Event::fail("receive_message").with("ip", self.peer).with("error", reason).log();
        answers.push_back(Answer::Step(Step::Answered(Reply::Ack(Err(reason.to_owned())))));
        self.ending = Some("framing");
        self.batch = None;
    }

    /// Sends what is unsent; false if the peer does not take all of it now.
    fn send(&mut self) -> io::Result<bool> {
        let mut sent = 0;
        if !self.unsent.is_empty() {
            // A reply is sent only after the log lines about it are queued.
            logging::send_gathered();
        }
        while sent < self.unsent.len() {
            match self.stream.write(&self.unsent[sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if sent > 0 {
            self.owing_since = None;
        }
        self.unsent.drain(..sent);
        if self.unsent.is_empty() {
            self.unsent = Vec::new();
        }
        Ok(self.unsent.is_empty())
    }

    /// Throws away what still comes, so that the close does not reset the connection under the last reply.
    fn linger(&mut self, scratch: &mut Scratch) -> io::Result<Next> {
        for _ in 0..PASS_BYTES / READ_BYTES {
            match self.stream.read(&mut scratch.input[..READ_BYTES]) {
                Ok(0) => return Ok(Next::Close),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // After an echo the peer has said all it had to; after an error more may be under way.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let is_over = self.ending == Some("echo") || self.is_late();
                    return Ok(if is_over { Next::Close } else { Next::Park });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(if self.is_late() { Next::Close } else { Next::Again })
    }

    /// Ends the connection when the peer has not finished in time what it began.
    fn check_debt(&mut self, answers: &mut VecDeque<Answer>) {
        if !self.is_late() || self.waits_for_draw || (self.partial.is_empty() && self.batch.is_none()) {
            return;
        }
        let reason = format!("frame not completed within {}", humantime::format_duration(self.frame_deadline));
        self.partial = Vec::new();
        self.fail(&reason, answers);
        self.owing_since = None;
    }

    fn note_debt(&mut self) {
        let owes = (!self.partial.is_empty() && !self.waits_for_draw)
            || self.batch.is_some()
            || !self.unsent.is_empty()
            || self.ending.is_some();
        self.owing_since = if owes { self.owing_since.or_else(|| Some(Instant::now())) } else { None };
    }

    fn is_late(&self) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= Instant::now())
    }

    fn end(&mut self, reason: &'static str) -> Next {
        self.ending.get_or_insert(reason);
        Next::Close
    }

    /// At INFO, but for the health check, which asks every other second.
    fn event(&self, action: &str, outcome: Outcome) -> Event {
        Event::quiet_if(self.peer == IpAddr::V4(HEALTH_SOURCE), action, outcome)
    }
}
