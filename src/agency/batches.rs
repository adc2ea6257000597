//! Makes batches of the file's rows: as full as a frame and the configuration allow, each with its place in the
//! agency's sequence. Remembers each batch until it is acknowledged.

use std::collections::VecDeque;
use std::io::Write as _;

use super::dataset::{Dataset, RowMark};
use super::reactor::{Halt, Reactor};
use super::root::Root;
use super::winners::winner_leaf;
use crate::domain::seal::Declared;
use crate::domain::tree::Tree;
use crate::domain::{AgencyId, Checksum, Place, Rows};
use crate::error::{Error, Kind, Result};
use crate::wire::frame::MAX_FRAME;
use crate::wire::{Ask, BatchHeader, MAX_BATCH, Refusal, Request, Standing};

/// Rows between two checks for a stop during a long read.
const ROWS_BETWEEN_CHECKS: u64 = 4096;

/// Length of the longest header of a batch.
const LONGEST_HEADER: usize = "BATCH|4294967295|4294967295|18446744073709551615|00000000".len();

/// Bytes of rows gathered for one step of the checksum.
const GATHERED_BYTES: usize = 64 * 1024;

pub struct Batches {
    dataset: Dataset,
    agency: AgencyId,
    /// The beginning of every bet's line.
    start_of_line: String,
    most: u32,
    /// The current batch's lines, each with a line feed before it.
    lines: Vec<u8>,
    /// Its rows as the central stores them.
    rows: Rows,
    /// True if the row that was read last did not fit the batch before.
    left_over: bool,
    unacknowledged: VecDeque<Sent>,
    chain: Chain,
    /// Once the central has told the agency's secret.
    root: Option<Root>,
}

/// What is known about the rows before the next batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chain {
    /// Nothing: the central keeps no checksum.
    None,
    Known(Checksum),
    /// The central will refuse the last batch, so no checksum can follow it.
    Broken,
}

/// A batch that was sent and is not acknowledged yet.
pub struct Sent {
    pub count: u32,
    /// Where its rows begin.
    pub mark: RowMark,
    before: Chain,
    /// True if it holds a row that the central will refuse.
    pub is_hopeless: bool,
}

/// A batch as it is sent, without the line feed at its end.
pub struct BatchMessage<'a> {
    pub header: Request<'static>,
    lines: &'a [u8],
}

impl Batches {
    pub fn new(dataset: Dataset, agency: AgencyId, most: u32) -> Batches {
        Batches {
            dataset,
            agency,
            start_of_line: format!("\nBET|{agency}|"),
            most: most.clamp(1, MAX_BATCH),
            lines: Vec::with_capacity(MAX_FRAME),
            rows: Rows::new(agency),
            left_over: false,
            unacknowledged: VecDeque::new(),
            chain: Chain::None,
            root: None,
        }
    }

    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    pub fn dataset_mut(&mut self) -> &mut Dataset {
        &mut self.dataset
    }

    pub fn unacknowledged(&self) -> usize {
        self.unacknowledged.len()
    }

    /// Goes to the row that the central expects. False if the checksum of what it has stored is not that of the file's
    /// rows before this one. A central without checksums is trusted.
    pub fn resume(&mut self, standing: &Standing, reactor: &mut Reactor) -> Result<bool, Halt> {
        if let (None, Some((_, secret))) = (&self.root, &standing.identity) {
            self.root = Some(Root::start(secret)?);
        }
        let newest = if self.left_over { self.dataset.mark() } else { self.dataset.next_mark() };
        let sent = self.unacknowledged.drain(..).map(|sent| (sent.mark, sent.before));
        // A row that is not hashed yet has to be read, even if it is stored.
        let hashed = self.root.as_ref().map_or(u64::MAX, Root::rows);
        let beginning = (self.dataset.start, Chain::Known(Checksum::default()));
        let known = sent.chain([beginning, (newest, self.chain)]);
        let usable = |(mark, chain): &(RowMark, Chain)| {
            mark.row <= standing.stored.min(hashed) && (standing.checksum.is_none() || matches!(chain, Chain::Known(_)))
        };
        let (mark, chain) = known.filter(usable).max_by_key(|(mark, _)| mark.row).unwrap_or(beginning);
        self.left_over = false;
        self.dataset.return_to(&mark)?;
        let Some(theirs) = standing.checksum else {
            self.chain = Chain::None;
            return skip_to(&mut self.dataset, standing.stored, reactor, |_| Ok(true));
        };
        let mut ours = if let Chain::Known(checksum) = chain { checksum } else { Checksum::default() };
        let (mut rows, mut first) = (Rows::new(self.agency), mark.row);
        let mut gathered = |rows: &mut Rows| {
            ours = ours.extended(rows.bytes());
            self.root.as_mut().map_or(Ok(()), |root| root.take(first, rows))?;
            first += rows.count();
            rows.clear();
            Ok(())
        };
        let has_all = skip_to(&mut self.dataset, standing.stored, reactor, |dataset| {
            let is_row = dataset.push_row(&mut rows);
            if rows.bytes().len() >= GATHERED_BYTES {
                gathered(&mut rows)?;
            }
            Ok(is_row)
        })?;
        gathered(&mut rows)?;
        self.chain = Chain::Known(ours);
        Ok(has_all && ours == theirs)
    }

    /// How many rows were sent, and the root of their tree. `None` if the central has told no secret for it.
    pub fn declare(&mut self) -> Result<Option<Declared>> {
        self.root.as_mut().map(Root::tell).transpose()
    }

    /// The documents of the file's first rows that have won, a leaf each.
    pub fn winners(&mut self, rows: u64, winning_number: u32, reactor: &mut Reactor) -> Result<Tree, Halt> {
        let (start, mut winners) = (self.dataset.start, Tree::default());
        // What is known about the rows before the reader's place was about another place.
        self.chain = Chain::Broken;
        self.dataset.return_to(&start)?;
        skip_to(&mut self.dataset, rows, reactor, |dataset| {
            dataset.winner(winning_number).map(winner_leaf).into_iter().for_each(|leaf| winners.push(leaf));
            Ok(true)
        })?;
        Ok(winners)
    }

    /// True if the file has no row after those that the central has. To be called after [`Batches::resume`].
    pub fn is_at_end(&mut self) -> Result<bool> {
        let mark = self.dataset.next_mark();
        let is_at_end = !self.dataset.advance()?;
        self.dataset.return_to(&mark)?;
        Ok(is_at_end)
    }

    /// How many rows the file has, for an error message.
    pub fn count_rows(&mut self, reactor: &mut Reactor) -> Result<u64, Halt> {
        skip_to(&mut self.dataset, u64::MAX, reactor, |_| Ok(true))?;
        Ok(self.dataset.rows())
    }

    /// The next batch, which then waits for its acknowledgement. `None` if no row is left, or after a batch that the
    /// central will refuse: the checksum before the next one would be unknown.
    pub fn next(&mut self) -> Result<Option<BatchMessage<'_>>> {
        if self.chain == Chain::Broken {
            return Ok(None);
        }
        self.lines.clear();
        self.rows.clear();
        let mut is_hopeless = false;
        let mut count = 0;
        let mut mark = None;
        while count < self.most {
            if !self.left_over && !self.dataset.advance()? {
                break;
            }
            let first = mark.get_or_insert_with(|| self.dataset.mark()).row;
            let end = self.lines.len();
            // A row without its five values is sent too, so that the central refuses it and logs that. Three values are
            // sent without `BET` and the agency: with them they would look like the five values of a bare line.
            let start = if self.dataset.value_count() == 3 { "\n" } else { &self.start_of_line };
            self.lines.extend_from_slice(start.as_bytes());
            self.dataset.push_line(&mut self.lines);
            self.left_over = !self.fits_frame(count + 1, first);
            if self.left_over {
                if count == 0 {
                    let reason = format!("the row is too long: it does not fit a frame of {MAX_FRAME} bytes");
                    return Err(self.dataset.error_here(Kind::BadInput, &reason));
                }
                self.lines.truncate(end);
                break;
            }
            is_hopeless |= self.chain != Chain::None && !self.dataset.push_row(&mut self.rows);
            count += 1;
        }
        let Some(mark) = mark.filter(|_| count > 0) else { return Ok(None) };
        if let Some(root) = self.root.as_mut().filter(|_| !is_hopeless) {
            root.take(mark.row, &self.rows)?;
        }
        let header = self.header(count, mark.row);
        self.unacknowledged.push_back(Sent { count, mark, before: self.chain, is_hopeless });
        self.chain = match self.chain {
            Chain::Known(_) if is_hopeless => Chain::Broken,
            Chain::Known(checksum) => Chain::Known(checksum.extended(self.rows.bytes())),
            other => other,
        };
        Ok(Some(BatchMessage { header, lines: &self.lines }))
    }

    /// The oldest batch, which the next acknowledgement is about.
    pub fn pop_oldest(&mut self) -> Option<Sent> {
        self.unacknowledged.pop_front()
    }

    /// An error that names the line of the refused bet, or the first line of the batch if the refusal names no bet.
    pub fn refusal(&mut self, sent: &Sent, refusal: &Refusal) -> Error {
        let (offset, reason) = match refusal {
            Refusal::Bet { place, reason } if (1..=sent.count).contains(place) => (place - 1, reason.clone()),
            _ => (0, format!("the batch of {} bets from here on was refused: {refusal}", sent.count)),
        };
        self.dataset.error_at(Kind::Refused, &sent.mark, u64::from(offset), &reason)
    }

    /// True if the lines fit a frame as a batch of `count` bets from `first` on.
    fn fits_frame(&self, count: u32, first: u64) -> bool {
        // The frame ends with a line feed.
        let lines = self.lines.len() + 1;
        // The exact length is needed for few rows, and would cost as much as the row.
        lines + LONGEST_HEADER <= MAX_FRAME || lines + self.header(count, first).to_string().len() <= MAX_FRAME
    }

    fn header(&self, count: u32, first: u64) -> Request<'static> {
        let before = if let Chain::Known(checksum) = self.chain { Some(checksum) } else { None };
        let header = BatchHeader { count, place: Some(Place { first, before }) };
        Request { agency: self.agency, ask: Ask::Batch { header, lines: "" } }
    }
}

/// Reads rows up to a place, and passes each to `take`. False if the file ends first, or `take` returns false.
fn skip_to(
    dataset: &mut Dataset,
    place: u64,
    reactor: &mut Reactor,
    mut take: impl FnMut(&Dataset) -> Result<bool>,
) -> Result<bool, Halt> {
    while dataset.rows() < place {
        if dataset.rows().is_multiple_of(ROWS_BETWEEN_CHECKS) {
            reactor.check()?;
        }
        if !dataset.advance()? || !take(dataset)? {
            return Ok(false);
        }
    }
    Ok(true)
}

impl BatchMessage<'_> {
    pub fn write_to(&self, out: &mut Vec<u8>) {
        // Writing to a vector cannot fail.
        let _ = write!(out, "{}", self.header);
        out.extend_from_slice(self.lines);
    }
}

#[cfg(test)]
#[path = "batches_tests.rs"]
mod tests;
