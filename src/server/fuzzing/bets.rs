//! What the model makes of bets and batches, by the plainest means.

use crate::domain::{AgencyId, Bet, WINNING_NUMBER, has_won};
use crate::wire::{BatchHeader, BetLine, Refusal, Reply, frame, keyed};

/// The agencies of the lottery.
pub const AGENCIES: u32 = 2;

/// A batch whose bets come in further frames.
pub struct Batch {
    pub agency: AgencyId,
    pub header: BatchHeader,
    pub lines: u32,
    pub bets: Result<Vec<Stored>, Refusal>,
}

/// A bet as it is kept: its row, and its document if it has won.
pub struct Stored {
    pub row: String,
    pub winner: Option<String>,
}

impl Stored {
    pub fn new(agency: AgencyId, fields: [&str; 5]) -> Result<Stored, String> {
        let bet = Bet::new(fields).map_err(|error| error.to_string())?;
        let number = bet.number.to_string();
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        let agency = agency.to_string();
        writer.write_record([&agency, bet.first_name, bet.last_name, bet.document, bet.birthdate, &number]).unwrap();
        let row = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        let winner = has_won(bet.number, WINNING_NUMBER).then(|| bet.document.to_owned());
        Ok(Stored { row, winner })
    }
}

impl Batch {
    pub fn new(agency: AgencyId, header: BatchHeader) -> Batch {
        Batch { agency, header, lines: 0, bets: admitted(agency).map(|()| Vec::new()) }
    }

    pub fn add_lines(&mut self, text: &str) {
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            let bet = BetLine::parse(line).and_then(|BetLine { agency, fields }| match agency {
                Some(other) if other != self.agency => {
                    Err(format!("agency {other} in a batch of agency {}", self.agency))
                }
                _ => Stored::new(self.agency, fields),
            });
            self.add(bet);
        }
    }

    /// Behind a wrong bet, and behind as many as were declared, bets are only counted.
    pub fn add(&mut self, bet: Result<Stored, String>) {
        self.lines += 1;
        let (Ok(bets), true) = (&mut self.bets, self.lines <= self.header.count) else { return };
        match bet {
            Ok(bet) => bets.push(bet),
            Err(reason) => self.bets = Err(Refusal::Bet { place: self.lines, reason }),
        }
    }
}

pub fn admitted(agency: AgencyId) -> Result<(), Refusal> {
    let is_known = (1..=AGENCIES).contains(&agency.0);
    let reason = || format!("agency {agency} is unknown: the agencies are 1 to {AGENCIES}");
    if is_known { Ok(()) } else { Err(Refusal::Other(reason())) }
}

/// A reply as it is sent, in our own form or in the dialect of keys and values.
pub fn written(reply: &Reply, is_keyed: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    if is_keyed {
        keyed::push_answer(&mut bytes, if reply.is_ok() { keyed::SUCCESS } else { keyed::ERROR });
    } else {
        frame::push(&mut bytes, reply);
    }
    bytes
}
