//! A batch on its way in: its bets are judged as they come, in one frame or over several.

use super::central::judge;
use crate::domain::{AgencyId, Roster, Rows};
use crate::wire::{BatchHeader, BetLine};

/// The most bytes of rows that a batch spread over frames may keep in memory. A frame is 8 KiB, and the same bets in many
/// frames take some more.
const MAX_ROW_BYTES: usize = 64 * 1024;

/// The bets of a batch, as far as they have come, or what is wrong with it.
pub struct Batch {
    pub header: BatchHeader,
    /// What a line begins with that is not bare.
    start_of_line: String,
    rows: Rows,
    row_bytes: usize,
    lines: u32,
    error: Option<String>,
}

impl Batch {
    pub fn new(header: BatchHeader, roster: Roster) -> Batch {
        let error = (!roster.admits(header.agency)).then(|| stranger(header.agency, roster));
        let start_of_line = format!("BET|{}|", header.agency);
        Batch { header, start_of_line, rows: Rows::new(header.agency), row_bytes: 0, lines: 0, error }
    }

    /// Takes the bets in a piece of text, one a line. Behind the first that is wrong the rest is only counted, so that a
    /// stream of frames stays in step.
    pub fn take(&mut self, text: &str) {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let ends = memchr::memchr_iter(b'\n', text.as_bytes()).chain([text.len()]);
        let mut start = 0;
        for end in ends {
            let line = &text[start..end];
            start = end + 1;
            self.lines = self.lines.saturating_add(1);
            if self.error.is_none() && self.lines <= self.header.count {
                self.error = self.add(line).err().map(|reason| format!("bet {}: {reason}", self.lines));
            }
        }
        if self.error.is_some() {
            self.rows = Rows::new(self.header.agency);
        }
    }

    pub fn is_complete(&self) -> bool {
        self.lines >= self.header.count
    }

    /// The rows, if all the bets have come and none is wrong.
    pub fn finish(self) -> Result<Rows, String> {
        match self.error {
            Some(error) => Err(error),
            None if self.lines != self.header.count => {
                Err(format!("{} bets came, where the batch says {}", self.lines, self.header.count))
            }
            None => Ok(self.rows),
        }
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        self.row_bytes += line.len();
        let fits = self.row_bytes <= MAX_ROW_BYTES;
        if fits && self.rows.push_plain(line.strip_prefix(&self.start_of_line).unwrap_or(line)) {
            return Ok(());
        }
        let BetLine { agency, fields } = BetLine::parse(line)?;
        if let Some(agency) = agency.filter(|agency| *agency != self.header.agency) {
            return Err(format!("agency {agency} in a batch of agency {}", self.header.agency));
        }
        if !fits {
            return Err(format!("the batch is larger than {MAX_ROW_BYTES} bytes"));
        }
        self.rows.push(&judge(fields)?);
        Ok(())
    }
}

/// Why an agency is not served.
pub fn stranger(agency: AgencyId, roster: Roster) -> String {
    match roster {
        Roster::Fixed(0) => format!("agency {agency} is unknown: this central holds no lottery"),
        Roster::Fixed(last) => format!("agency {agency} is unknown: the agencies are 1 to {last}"),
        Roster::Auto => format!("agency {agency} is unknown: agencies are 1 to {}", crate::domain::MAX_AGENCIES),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Bet;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_line_is_judged_alike_whichever_way_it_takes(
            start in "|BET\\|0?[34]\\||BET\\||BAT\\|3\\|",
            values in "(Ana|\"A\"|BET|A,b|\u{85}?)\\|(Paz|3|)\\|(1|1 2)\\|2000-(01|02)-(01|30)\\|0?[0-9]{1,10}(\\|)?",
        ) {
            let line = format!("{start}{values}");
            let header = BatchHeader { agency: AgencyId(3), count: 2, first: None };
            let mut batch = Batch::new(header, Roster::Fixed(5));
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
            let found = batch.finish().map(|rows| rows.skip(1).to_vec());
            prop_assert_eq!(found, expected.map_err(|reason| format!("bet 2: {reason}")));
        }
    }
}
