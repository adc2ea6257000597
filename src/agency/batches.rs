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
mod tests {
    use super::*;
    use crate::agency::testing::reactor;
    use crate::wire::frame;
    use crate::wire::{BetLine, Message};
    use proptest::prelude::*;

    fn batches(text: &str, most: u32) -> (Batches, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agency-3.csv");
        std::fs::write(&path, text).unwrap();
        (Batches::new(Dataset::open(&path).unwrap(), AgencyId(3), most), folder)
    }

    fn text(batch: &BatchMessage<'_>) -> String {
        let mut bytes = Vec::new();
        batch.write_to(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    fn standing(stored: u64, checksum: Option<Checksum>) -> Standing {
        Standing { stored, phase: crate::domain::Phase::Open, checksum, identity: None }
    }

    fn next(batches: &mut Batches) -> Option<String> {
        batches.next().unwrap().map(|batch| text(&batch))
    }

    #[test]
    fn batches_are_full_but_for_the_last() {
        let (mut batches, _folder) = batches("a,b,1,d,5\n\"c, d\",e,2,f,6\ng,h,3,i,7\n", 2);
        assert_eq!(next(&mut batches).unwrap(), "BATCH|3|2|0\nBET|3|a|b|1|d|5\nBET|3|c, d|e|2|f|6");
        assert_eq!(next(&mut batches).unwrap(), "BATCH|3|1|2\nBET|3|g|h|3|i|7");
        assert_eq!(next(&mut batches), None);
        assert_eq!(batches.unacknowledged(), 2);
        assert_eq!(batches.pop_oldest().unwrap().count, 2);
    }

    #[test]
    fn rows_with_other_numbers_of_fields_go_to_the_central_and_never_look_like_a_bet() {
        let rows = ["x", "x,y", "Ana,2000-01-01,7", "a,b,c,d", "a,b,c,d,e,f", "a,b,c,d,e,f,g", ",,", "BET,3,x"];
        let (mut batches, _folder) = batches(&rows.join("\n"), 1);
        for row in rows {
            let batch = next(&mut batches).unwrap();
            let line = batch.split_once('\n').unwrap().1;
            assert!(line.ends_with(&row.replace(',', "|")), "{line}");
            assert!(BetLine::parse(line).is_err(), "{line}");
        }
        assert_eq!(next(&mut batches), None);
    }

    #[test]
    fn a_refusal_names_the_line_of_the_file() {
        let (mut batches, _folder) = batches("nombre,apellido,dni,nacimiento,numero\n\na,b,1,c,5\n\nd,e,2,f,abc\n", 9);
        next(&mut batches).unwrap();
        let sent = batches.pop_oldest().unwrap();
        let mut shown = |reason: &str| {
            let Ok(refusal) = str::parse(reason);
            let error = batches.refusal(&sent, &refusal);
            assert_eq!(error.kind, Kind::Refused);
            error.to_string()
        };
        assert_eq!(shown("bet 2: number \"abc\" is odd: very"), "agency-3.csv:5: number \"abc\" is odd: very");
        assert_eq!(shown("bet 1: x"), "agency-3.csv:3: x");
        for reason in ["no place", "bet 3: x", "bet 0: x", "bet x: y"] {
            let expected = format!("agency-3.csv:3: the batch of 2 bets from here on was refused: {reason}");
            assert_eq!(shown(reason), expected);
        }
    }

    #[test]
    fn a_row_that_fits_no_frame_stops_at_its_line() {
        let overhead = "BATCH|3|1|1\nBET|3|\n".len();
        let row = |length: usize| format!("a,b,1,c,5\n{}\n", "x".repeat(length));
        let (mut fitting, _folder) = batches(&row(MAX_FRAME - overhead), 9);
        assert_eq!(next(&mut fitting).unwrap().lines().count(), 2, "the second row has a frame for itself");
        assert_eq!(next(&mut fitting).unwrap().len(), MAX_FRAME - 1);
        let (mut too_long, _folder) = batches(&row(MAX_FRAME - overhead + 1), 9);
        next(&mut too_long).unwrap();
        let error = too_long.next().err().unwrap();
        assert_eq!(error.kind, Kind::BadInput);
        assert!(error.to_string().starts_with("agency-3.csv:2: the row is too long"));
    }

    #[test]
    fn a_file_with_fewer_rows_than_are_stored_is_another_file() {
        let (mut batches, _folder) = batches("a,b,1,c,5\n", 9);
        assert!(!batches.resume(&standing(2, None), &mut reactor()).unwrap());
        assert_eq!(batches.count_rows(&mut reactor()).unwrap(), 1);
    }

    #[test]
    fn nothing_follows_a_batch_that_the_central_will_refuse() {
        let (mut batches, _folder) = batches("A,B,1,2000-01-01,5\nA,B,1,2000-02-30,5\nA,B,1,2000-01-01,5\n", 1);
        batches.resume(&standing(0, Some(Checksum::default())), &mut reactor()).unwrap();
        assert_eq!(next(&mut batches).unwrap(), "BATCH|3|1|0|00000000\nBET|3|A|B|1|2000-01-01|5");
        assert!(next(&mut batches).unwrap().starts_with("BATCH|3|1|1|"));
        assert_eq!(next(&mut batches), None);
        assert!(!batches.pop_oldest().unwrap().is_hopeless && batches.pop_oldest().unwrap().is_hopeless);
        // A central without checksums gets every batch.
        batches.resume(&standing(1, None), &mut reactor()).unwrap();
        assert_eq!(next(&mut batches).unwrap(), "BATCH|3|1|1\nBET|3|A|B|1|2000-02-30|5");
        assert!(next(&mut batches).is_some());
    }

    proptest! {
        #[test]
        fn every_row_is_sent_once_in_frames_as_full_as_they_can_be(
            lengths in prop::collection::vec(1..3000_usize, 1..60), most in 1..20_u32,
        ) {
            let rows: Vec<String> = lengths.iter().map(|length| "x".repeat(*length)).collect();
            let (mut batches, _folder) = batches(&rows.join("\n"), most);
            let (mut sent, mut previous): (Vec<String>, Option<usize>) = (Vec::new(), None);
            while let Some(batch) = batches.next().unwrap() {
                let mut frame = Vec::new();
                frame::push_with(&mut frame, |out| batch.write_to(out));
                let text = text(&batch);
                let Ok(Message::Agency(Request { ask: Ask::Batch { header, lines }, .. })) = Message::parse(&text) else { panic!("{text}") };
                prop_assert_eq!(header.place.map(|place| place.first), Some(sent.len() as u64));
                prop_assert_eq!(header.count as usize, lines.lines().count());
                prop_assert!(header.count <= most);
                if let Some(room) = previous {
                    prop_assert!(lines.lines().next().unwrap().len() + 1 > room, "it had fitted the batch before");
                }
                let growth = (header.count + 1).to_string().len() - header.count.to_string().len();
                prop_assert!(text.len() <= MAX_FRAME);
                // A full frame has no room, not even for the line feed before another row.
                previous = (header.count < most).then(|| (MAX_FRAME - text.len()).saturating_sub(1 + growth));
                sent.extend(lines.lines().map(|line| line.strip_prefix("BET|3|").unwrap().to_owned()));
            }
            prop_assert_eq!(sent, rows);
        }

        #[test]
        fn sending_goes_on_wherever_the_central_says(
            rows in 1..60_u64, most in 1..7_u32,
            steps in prop::collection::vec((0..5_usize, 0..5_usize, 0..60_u64), 1..12),
        ) {
            // Every third row has leading zeros, so that both paths of the reader are used.
            let value = |row: u64| if row.is_multiple_of(3) { format!("0{row}") } else { row.to_string() };
            let text: String = (0..rows).map(|row| format!("A,B,{row},2000-01-01,{}\n\n", value(row))).collect();
            let mut checksums = vec![Checksum::default()];
            for row in 0..rows {
                let stored = format!("3,A,B,{row},2000-01-01,{row}\r\n");
                checksums.push(checksums[checksums.len() - 1].extended(stored.as_bytes()));
            }
            let (mut batches, _folder) = batches(&text, most);
            for (sent, settled, stored) in steps {
                (0..sent).for_each(|_| { next(&mut batches); });
                (0..settled).for_each(|_| { batches.pop_oldest(); });
                let stored = stored.min(rows);
                let other = Checksum(checksums[stored as usize].0 ^ 1);
                prop_assert!(!batches.resume(&standing(stored, Some(other)), &mut reactor()).unwrap());
                let checksum = checksums[stored as usize];
                prop_assert!(batches.resume(&standing(stored, Some(checksum)), &mut reactor()).unwrap());
                prop_assert_eq!((batches.dataset.rows(), batches.unacknowledged()), (stored, 0));
                match next(&mut batches) {
                    Some(batch) => {
                        let first = format!("|{stored}|{checksum}\nBET|3|A|B|{stored}|");
                        prop_assert!(batch.contains(&first), "{} in {}", first, batch);
                    }
                    None => prop_assert_eq!(stored, rows),
                }
            }
        }
    }
}
