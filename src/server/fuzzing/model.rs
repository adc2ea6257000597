//! A model of a session: what it takes of a stream, and what it answers, without blocks, clocks and limits.

use std::collections::VecDeque;

use super::bets::{Batch, Stored, admitted, written};
use super::lottery::{Entry, Lottery};
use crate::domain::{AgencyId, Place};
use crate::ledger::files::fuzzing::SimFolder;
use crate::wire::frame::{self, Incoming};
use crate::wire::keyed::{self, KeyedBets};
use crate::wire::{Ask, BatchHeader, Command, Malformed, Message, Refusal, Reply, Request};

/// See the module.
pub struct Model {
    pub lottery: Lottery,
    /// What came and was not taken.
    stream: Vec<u8>,
    batch: Option<Batch>,
    is_waiting: bool,
    has_ended: bool,
    owed: VecDeque<Owed>,
    /// What has been put in line, and whether it came in the dialect of keys and values.
    line: Vec<(Entry, bool)>,
    settled: VecDeque<Vec<u8>>,
    answers: Vec<u8>,
}

enum Owed {
    Ready(Vec<u8>),
    Settled,
    Seal(AgencyId),
    Draw,
}

impl Model {
    pub fn new(lottery: Lottery) -> Model {
        Model {
            lottery,
            stream: Vec::new(),
            batch: None,
            is_waiting: false,
            has_ended: false,
            owed: VecDeque::new(),
            line: Vec::new(),
            settled: VecDeque::new(),
            answers: Vec::new(),
        }
    }

    pub fn receive(&mut self, bytes: &[u8]) {
        self.stream.extend_from_slice(bytes);
        self.go_on();
    }

    /// The peer sends nothing more. What waits behind an answer that only the lottery can give is dropped.
    pub fn end_of_peer(&mut self) {
        if self.has_ended {
            return;
        }
        let is_line = !self.is_waiting && self.batch.is_none() && self.stream.first().is_some_and(|byte| *byte != 0);
        if is_line {
            self.owed.push_back(Owed::Ready(self.stream.clone()));
        }
        self.end();
        self.go_on();
    }

    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// What has come back since the last call.
    pub fn answers(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.answers)
    }

    /// The ledger writes everything in line.
    pub fn write(&mut self) {
        self.commit();
        self.go_on();
    }

    /// The seal is put on what is stored. What is in line is written behind that, and before the draw is announced.
    pub fn draw(&mut self, folder: &SimFolder) {
        self.lottery.seal(folder);
        self.commit();
        self.lottery.is_drawn = true;
        self.go_on();
    }

    fn commit(&mut self) {
        for (entry, is_keyed) in std::mem::take(&mut self.line) {
            let reply = self.lottery.commit(entry);
            self.settled.push_back(written(&reply, is_keyed));
        }
    }

    /// Gives the answers that are ready, and takes what may be taken, until nothing changes.
    fn go_on(&mut self) {
        loop {
            while let Some(answer) = self.next_answer() {
                self.answers.extend(answer);
                self.owed.pop_front();
            }
            self.is_waiting &= !self.owed.is_empty();
            if self.has_ended || self.is_waiting || !self.take() {
                return;
            }
        }
    }

    fn next_answer(&mut self) -> Option<Vec<u8>> {
        match self.owed.front()? {
            Owed::Ready(bytes) => Some(bytes.clone()),
            Owed::Settled => self.settled.pop_front(),
            Owed::Draw => self.lottery.is_drawn.then(|| written(&Reply::Draw(Ok(())), false)),
            Owed::Seal(agency) => Some(written(&Reply::Seal(Ok(self.lottery.shown(*agency)?)), false)),
        }
    }

    /// Takes one message. False if there is none that is whole.
    fn take(&mut self) -> bool {
        let stream = std::mem::take(&mut self.stream);
        let taken = match frame::next_content(&stream) {
            Ok(None) => {
                self.stream = stream;
                return false;
            }
            Err(error) => {
                self.fail(error.to_string());
                return true;
            }
            Ok(Some((Incoming::Line(line), taken))) => {
                if self.batch.is_some() {
                    self.fail("a line stands where a batch's frames are expected".to_owned());
                } else {
                    self.owed.push_back(Owed::Ready(line.to_vec()));
                    self.end();
                }
                taken
            }
            Ok(Some((Incoming::Frame(content), taken))) => {
                self.take_frame(content);
                taken
            }
        };
        if !self.has_ended {
            self.stream = stream[taken..].to_vec();
        }
        true
    }

    fn take_frame(&mut self, content: &[u8]) {
        if self.batch.is_none() && keyed::is_keyed(content) {
            return match keyed::parse(content) {
                Err(Malformed { verb, refusal }) => self.reply(&Reply::refusal(verb, refusal), true),
                Ok(KeyedBets { agency, bets, is_batch: false }) => self.take_bet(agency, bets[0], None, true),
                Ok(KeyedBets { agency, bets, is_batch: true }) => {
                    let header = BatchHeader { count: bets.len() as u32, place: None };
                    let mut batch = Batch::new(agency, header);
                    bets.iter().for_each(|fields| batch.add(Stored::new(agency, *fields)));
                    self.close_batch(batch, true);
                }
            };
        }
        let text = match frame::text(content) {
            Ok(text) => text,
            Err(error) => return self.fail(error.to_string()),
        };
        if let Some(batch) = self.batch.take() {
            return self.continue_batch(batch, text);
        }
        match Message::parse(text) {
            Err(Malformed { verb, refusal }) => self.reply(&Reply::refusal(verb, refusal), false),
            Ok(Message::Operator(Command::Status)) => self.reply(&Reply::Status(Ok(self.lottery.stand())), false),
            Ok(Message::Operator(Command::HoldDraw { .. })) => {
                let reason =
                    "a draw is held by whoever can read the store: from this machine, and with its operator.token";
                self.reply(&Reply::Drawn(Err(Refusal::Identity(reason.to_owned()))), false);
            }
            Ok(Message::Agency(request)) => self.take_request(request),
        }
    }

    fn take_request(&mut self, Request { agency, ask }: Request<'_>) {
        let verb = ask.verb();
        match ask {
            Ask::Bet { fields, place } => return self.take_bet(agency, fields, place, false),
            Ask::Batch { header, lines: "" } => return self.batch = Some(Batch::new(agency, header)),
            Ask::Batch { header, lines } => {
                let mut batch = Batch::new(agency, header);
                batch.add_lines(lines);
                return self.close_batch(batch, false);
            }
            _ => {}
        }
        if let Err(refusal) = admitted(agency) {
            return self.reply(&Reply::refusal(Some(verb), refusal), false);
        }
        match ask {
            Ask::Bet { .. } | Ask::Batch { .. } => unreachable!("they were taken above"),
            Ask::Done { declaration: None } => self.put(Entry::Done { agency, declared: None }, false),
            Ask::Done { declaration: Some(said) } if said.signature.is_some() => {
                let reason = "a signature needs a certificate, and this connection is without TLS";
                self.reply(&Reply::AckDone(Err(Refusal::other(reason))), false);
            }
            Ask::Done { declaration: Some(said) } => {
                let declared = Some((said.declared.bets, said.declared.root));
                self.put(Entry::Done { agency, declared }, false);
                self.is_waiting = true;
            }
            Ask::Hello { more } => self.put(Entry::Hello { agency, more }, false),
            Ask::WaitSeal => self.wait(Owed::Seal(agency)),
            Ask::WaitDraw => self.wait(Owed::Draw),
            Ask::GetDraw => self.reply(&Reply::Drawn(self.lottery.drawn()), false),
            Ask::GetWinners { from } => self.reply(&Reply::Winners(self.lottery.winners(agency, from)), false),
        }
    }

    fn take_bet(&mut self, agency: AgencyId, fields: [&str; 5], place: Option<Place>, is_keyed: bool) {
        let judged = admitted(agency).and_then(|()| Stored::new(agency, fields).map_err(Refusal::Other));
        match judged {
            Ok(bet) => self.put(Entry::Bets { agency, place, bets: vec![bet], count: None }, is_keyed),
            Err(refusal) => self.reply(&Reply::Ack(Err(refusal)), is_keyed),
        }
    }

    fn continue_batch(&mut self, mut batch: Batch, text: &str) {
        batch.add_lines(text);
        if batch.lines < batch.header.count {
            self.batch = Some(batch);
        } else {
            self.close_batch(batch, false);
        }
    }

    fn close_batch(&mut self, batch: Batch, is_keyed: bool) {
        let Batch { agency, header: BatchHeader { count, place }, lines, bets } = batch;
        let wrong = || Refusal::Other(format!("{lines} bets came, where the batch says {count}"));
        let bets = bets.and_then(|bets| if lines == count { Ok(bets) } else { Err(wrong()) });
        match bets {
            Ok(bets) => self.put(Entry::Bets { agency, place, bets, count: Some(count) }, is_keyed),
            Err(refusal) => self.reply(&Reply::AckBatch { count, result: Err(refusal) }, is_keyed),
        }
    }

    fn put(&mut self, entry: Entry, is_keyed: bool) {
        self.line.push((entry, is_keyed));
        self.owed.push_back(Owed::Settled);
    }

    fn wait(&mut self, what: Owed) {
        self.owed.push_back(what);
        self.is_waiting = true;
    }

    fn reply(&mut self, reply: &Reply, is_keyed: bool) {
        self.owed.push_back(Owed::Ready(written(reply, is_keyed)));
    }

    /// What follows cannot be told apart.
    fn fail(&mut self, reason: String) {
        self.reply(&Reply::Ack(Err(Refusal::Other(reason))), false);
        self.end();
    }

    fn end(&mut self) {
        self.has_ended = true;
        self.stream.clear();
        self.owed.retain(|answer| matches!(answer, Owed::Ready(_) | Owed::Settled));
    }
}
