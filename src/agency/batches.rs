//! The file's rows as batches: as full as a frame and the configuration allow, each with its place in the agency's
//! sequence, and kept in mind until it is acknowledged.

use std::collections::VecDeque;
use std::fmt;

use super::dataset::{Dataset, Mark};
use super::reactor::{Halt, Reactor};
use crate::domain::AgencyId;
use crate::error::{Error, Kind, Result};
use crate::wire::frame::MAX_FRAME;
use crate::wire::{Ask, BatchHeader, BetLine, MAX_BATCH, Refusal, Request};

/// How often a long reading looks whether it is told to stop.
const ROWS_BETWEEN_CHECKS: u64 = 4096;

/// More bytes than any batch's header has.
const LONGEST_HEADER: usize = "BATCH|4294967295|4294967295|18446744073709551615".len();

pub struct Batches {
    dataset: Dataset,
    agency: AgencyId,
    /// What every bet's line begins with.
    start_of_line: String,
    most: u32,
    /// The current batch's lines, each with a line feed before it.
    lines: String,
    /// The line of the row that was read last, when it found no room in the batch before.
    left_over: String,
    unacknowledged: VecDeque<Sent>,
}

/// A batch that is on its way.
pub struct Sent {
    pub count: u32,
    /// Where its rows begin.
    pub mark: Mark,
}

/// A batch as it goes on the wire, without the line feed at its end.
pub struct BatchMessage<'a> {
    agency: AgencyId,
    pub header: BatchHeader,
    lines: &'a str,
}

impl Batches {
    pub fn new(dataset: Dataset, agency: AgencyId, most: u32) -> Batches {
        Batches {
            dataset,
            agency,
            start_of_line: format!("\nBET|{agency}|"),
            most: most.clamp(1, MAX_BATCH),
            lines: String::with_capacity(MAX_FRAME),
            left_over: String::new(),
            unacknowledged: VecDeque::new(),
        }
    }

    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    pub fn unacknowledged(&self) -> usize {
        self.unacknowledged.len()
    }

    /// How many rows were sent, or are about to be.
    pub fn rows(&self) -> u64 {
        self.dataset.rows()
    }

    /// Goes to the row that the central expects, wherever sending had got to.
    pub fn resume(&mut self, stored: u64, reactor: &mut Reactor) -> Result<(), Halt> {
        let newest = if self.left_over.is_empty() { self.dataset.next_mark() } else { self.dataset.mark() };
        let known = self.unacknowledged.drain(..).map(|sent| sent.mark).chain([self.dataset.start(), newest]);
        let nearest = known.filter(|mark| mark.row <= stored).max_by_key(|mark| mark.row);
        self.left_over.clear();
        if let Some(mark) = nearest {
            self.dataset.return_to(&mark)?;
        }
        while self.dataset.rows() < stored {
            if self.dataset.rows().is_multiple_of(ROWS_BETWEEN_CHECKS) {
                reactor.check()?;
            }
            if !self.dataset.advance()? {
                return Err(Halt::Fatal(Error::bad_input(format!(
                    "{}: holds {} bets, but the central has stored {stored} of agency {}: give the file that was being \
                     sent, or start the central with an empty store",
                    self.dataset.name(),
                    self.dataset.rows(),
                    self.agency
                ))));
            }
        }
        Ok(())
    }

    /// The next batch, which from now on waits for its acknowledgement. `None` when every row is in one.
    pub fn next(&mut self) -> Result<Option<BatchMessage<'_>>> {
        self.lines.clear();
        let mut count = 0;
        let mut mark = None;
        while count < self.most {
            if self.left_over.is_empty() && !self.read_line()? {
                break;
            }
            let first = mark.get_or_insert_with(|| self.dataset.mark());
            let first = first.row;
            if !self.has_room(count + 1, first) {
                if count == 0 {
                    let reason = format!("the row is too long: it does not fit a frame of {MAX_FRAME} bytes");
                    return Err(self.dataset.error_here(Kind::BadInput, &reason));
                }
                break;
            }
            self.lines.push_str(&self.left_over);
            self.left_over.clear();
            count += 1;
        }
        let Some(mark) = mark.filter(|_| count > 0) else { return Ok(None) };
        let header = self.header(count, mark.row);
        self.unacknowledged.push_back(Sent { count, mark });
        Ok(Some(BatchMessage { agency: self.agency, header, lines: &self.lines }))
    }

    /// The batch that the next acknowledgement is about, which is the oldest.
    pub fn pop_oldest(&mut self) -> Option<Sent> {
        self.unacknowledged.pop_front()
    }

    /// The central's refusal in terms of the file. A reason that names no bet is about the batch.
    pub fn refusal(&mut self, sent: &Sent, refusal: &Refusal) -> Error {
        match refusal {
            Refusal::Bet { place, reason } if (1..=sent.count).contains(place) => {
                self.dataset.error_at(Kind::Refused, &sent.mark, u64::from(place - 1), reason)
            }
            _ => {
                let reason = format!("the batch of {} bets from here on was refused: {refusal}", sent.count);
                self.dataset.error_at(Kind::Refused, &sent.mark, 0, &reason)
            }
        }
    }

    /// Whether the line that is left over fits the batch, which then holds `count` bets from `first` on.
    fn has_room(&self, count: u32, first: u64) -> bool {
        // The frame ends with a line feed.
        let lines = self.lines.len() + self.left_over.len() + 1;
        // Measuring the header of every row would cost as much as the row.
        lines + LONGEST_HEADER <= MAX_FRAME || lines + self.header_length(count, first) <= MAX_FRAME
    }

    fn header_length(&self, count: u32, first: u64) -> usize {
        BatchMessage { agency: self.agency, header: self.header(count, first), lines: "" }.to_string().len()
    }

    fn header(&self, count: u32, first: u64) -> BatchHeader {
        BatchHeader { count, first: Some(first) }
    }

    /// Reads a row as a line of a batch. False at the end of the file.
    ///
    /// A row with too few or too many fields goes on its way as well: the central is the judge, and tells of it in its
    /// log. But three fields behind `BET` and the agency would read as the five of a bare line, so these go without.
    fn read_line(&mut self) -> Result<bool> {
        if !self.dataset.advance()? {
            return Ok(false);
        }
        let bare = self.dataset.field_count() == 3;
        self.left_over.push_str(if bare { "\n" } else { &self.start_of_line });
        for (place, field) in self.dataset.fields().enumerate() {
            if place > 0 {
                self.left_over.push('|');
            }
            self.left_over.push_str(field);
        }
        debug_assert_eq!(BetLine::parse(&self.left_over[1..]).is_ok(), self.dataset.field_count() == 5);
        Ok(true)
    }
}

impl fmt::Display for BatchMessage<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = Ask::Batch { header: self.header, lines: "" };
        write!(out, "{}", Request { agency: self.agency, ask: header })?;
        out.write_str(self.lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agency::testing::reactor;
    use crate::wire::frame;
    use proptest::prelude::*;

    fn batches(text: &str, most: u32) -> (Batches, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agency-3.csv");
        std::fs::write(&path, text).unwrap();
        (Batches::new(Dataset::open(&path).unwrap(), AgencyId(3), most), folder)
    }

    fn next(batches: &mut Batches) -> Option<String> {
        batches.next().unwrap().map(|batch| batch.to_string())
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
        let Err(Halt::Fatal(error)) = batches.resume(2, &mut reactor()) else { panic!("resumed") };
        assert_eq!(error.kind, Kind::BadInput);
        assert!(error.to_string().starts_with("agency-3.csv: holds 1 bets, but the central has stored 2 of agency 3"));
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
                frame::push(&mut frame, &batch);
                let text = batch.to_string();
                let Ok(Request { ask: Ask::Batch { header, lines }, .. }) = Request::parse(&text) else { panic!("{text}") };
                prop_assert_eq!(header.first, Some(sent.len() as u64));
                prop_assert_eq!(header.count as usize, lines.lines().count());
                prop_assert!(header.count <= most);
                if let Some(room) = previous {
                    prop_assert!(lines.lines().next().unwrap().len() + 1 > room, "it had fitted the batch before");
                }
                let growth = (header.count + 1).to_string().len() - header.count.to_string().len();
                previous = (header.count < most).then(|| MAX_FRAME - text.len() - 1 - growth);
                sent.extend(lines.lines().map(|line| line.strip_prefix("BET|3|").unwrap().to_owned()));
            }
            prop_assert_eq!(sent, rows);
        }

        #[test]
        fn sending_goes_on_wherever_the_central_says(
            rows in 1..60_u64, most in 1..7_u32,
            steps in prop::collection::vec((0..5_usize, 0..5_usize, 0..60_u64), 1..12),
        ) {
            let text: String = (0..rows).map(|row| format!("{row}\n\n")).collect();
            let (mut batches, _folder) = batches(&text, most);
            for (sent, settled, stored) in steps {
                (0..sent).for_each(|_| { next(&mut batches); });
                (0..settled).for_each(|_| { batches.pop_oldest(); });
                let stored = stored.min(rows);
                batches.resume(stored, &mut reactor()).unwrap();
                prop_assert_eq!((batches.rows(), batches.unacknowledged()), (stored, 0));
                match next(&mut batches) {
                    Some(batch) => {
                        let first = format!("|{stored}\nBET|3|{stored}");
                        prop_assert!(batch.contains(&first), "{} in {}", first, batch);
                    }
                    None => prop_assert_eq!(stored, rows),
                }
            }
        }
    }
}
