//! A batch that is being received, in one frame or several. Its bets are checked as they arrive.

use super::admit::Admitted;
use super::kept::{Blocks, Kept};
use crate::domain::{AgencyId, Bet, Rows};
use crate::wire::{BatchHeader, BetLine, Refusal};

/// The most bytes of rows that a batch spread over frames may keep in memory. A frame is 8 KiB, and the same bets in many
/// frames take some more.
const MAX_ROW_BYTES: usize = 64 * 1024;

/// The bets of a batch, as far as they have come, or what is wrong with it.
pub struct Batch {
    pub agency: AgencyId,
    pub header: BatchHeader,
    /// The start of a line that is not bare.
    start_of_line: String,
    rows: Rows,
    kept: Kept,
    row_bytes: usize,
    lines: u32,
    state: Result<Admitted, Refusal>,
}

impl Batch {
    /// The bets are added to `rows`, which holds none.
    pub fn new(agency: AgencyId, admitted: Result<Admitted, Refusal>, header: BatchHeader, rows: Rows) -> Batch {
        let start_of_line = format!("BET|{agency}|");
        let kept = Kept::default();
        Batch { agency, header, start_of_line, rows, kept, row_bytes: 0, lines: 0, state: admitted }
    }

    /// Takes the bets in a piece of text, one a line.
    pub fn take(&mut self, text: &str) {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let ends = memchr::memchr_iter(b'\n', text.as_bytes()).chain([text.len()]);
        let mut start = 0;
        for end in ends {
            let line = &text[start..end];
            start = end + 1;
            self.take_bet(|batch| batch.add_line(line));
        }
    }

    /// Takes one bet. After the first invalid bet the rest are only counted, so that all declared lines are consumed.
    pub fn take_bet(&mut self, add: impl FnOnce(&mut Batch) -> Result<(), String>) {
        self.lines = self.lines.saturating_add(1);
        if self.state.is_ok()
            && self.lines <= self.header.count
            && let Err(reason) = add(self)
        {
            self.state = Err(Refusal::Bet { place: self.lines, reason });
            self.rows = Rows::new(self.agency);
        }
    }

    /// Puts the rows where they wait for the next pass.
    pub fn put_away(&mut self, blocks: &Blocks) {
        self.kept.put(&self.rows.take_bytes(), blocks);
    }

    pub fn take_out(&mut self, blocks: &Blocks) {
        let mut bytes = Vec::new();
        self.kept.take(blocks, |piece| bytes.extend_from_slice(piece));
        self.rows.bring_back(bytes);
    }

    /// The bytes of memory that the rows take while they wait.
    pub fn held(&self) -> usize {
        self.kept.held()
    }

    pub fn is_complete(&self) -> bool {
        self.lines >= self.header.count
    }

    /// The rows, if all the bets have come and none is wrong.
    pub fn finish(self) -> Result<(Admitted, Rows), Refusal> {
        let admitted = self.state?;
        if self.lines != self.header.count {
            let Batch { lines, header: BatchHeader { count, .. }, .. } = self;
            return Err(Refusal::Other(format!("{lines} bets came, where the batch says {count}")));
        }
        Ok((admitted, self.rows))
    }

    fn add_line(&mut self, line: &str) -> Result<(), String> {
        self.row_bytes += line.len();
        let fits = self.row_bytes <= MAX_ROW_BYTES;
        if fits && self.rows.push_plain(line.strip_prefix(&self.start_of_line).unwrap_or(line)) {
            return Ok(());
        }
        let BetLine { agency, fields } = BetLine::parse(line)?;
        if let Some(agency) = agency.filter(|agency| *agency != self.agency) {
            return Err(format!("agency {agency} in a batch of agency {}", self.agency));
        }
        if !fits {
            return Err(format!("the batch is larger than {MAX_ROW_BYTES} bytes"));
        }
        self.add(fields)
    }

    pub fn add(&mut self, fields: [&str; 5]) -> Result<(), String> {
        self.rows.push(&Bet::new(fields).map_err(|error| error.to_string())?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Plain;
    use crate::domain::Roster;
    use crate::server::admit::Gate;
    use crate::transport::{Peer, Who};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_line_is_judged_alike_whichever_way_it_takes(
            start in "|BET\\|0?[34]\\||BET\\||BAT\\|3\\|",
            values in "(Ana|\"A\"|BET|A,b|\u{85}?)\\|(Paz|3|)\\|(1|1 2)\\|2000-(01|02)-(01|30)\\|0?[0-9]{1,10}(\\|)?",
        ) {
            let line = format!("{start}{values}");
            let peer = Peer { address: ([127, 0, 0, 1], 1).into(), who: Who::Plain };
            let admitted = Gate::new(Roster::Fixed(5), Plain::All).admit(&peer, AgencyId(3));
            let header = BatchHeader { count: 2, place: None };
            let mut batch = Batch::new(AgencyId(3), admitted, header, Rows::new(AgencyId(3)));
            batch.take("Ana|Paz|1|2000-01-01|7");
            batch.take(&line);
            let expected = BetLine::parse(&line).and_then(|BetLine { agency, fields }| {
                if let Some(agency) = agency.filter(|agency| *agency != AgencyId(3)) {
                    return Err(format!("agency {agency} in a batch of agency 3"));
                }
                let mut rows = Rows::new(AgencyId(3));
                rows.push(&Bet::new(fields).map_err(|error| error.to_string())?);
                Ok(rows.bytes().to_vec())
            });
            let found = batch.finish().map(|(_, rows)| rows.split_at(1).1.to_vec());
            prop_assert_eq!(found, expected.map_err(|reason| Refusal::Bet { place: 2, reason }));
        }
    }
}
