//! Splits a CSV file into rows.
//!
//! Nearly all rows are bets without quotes. Such a row is already a message, except for its separators: one pass over
//! its bytes recognises it, and it stays in the buffer. Any other row goes to the CSV engine, which reads the same
//! buffer from the start of that row, so that no part of the file is read twice.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;

use csv_core::ReadRecordResult;

use super::growing::Growing;
use crate::domain::plain_bet;

const READ_BUFFER: usize = 64 * 1024;

/// More bytes than the longest row that [`plain_bet`] recognises, with its line end.
const ENOUGH_FOR_PLAIN: usize = 512;

/// Maximum bytes read for one row. A row that fits a frame is far shorter. Without a limit, a quote that is never
/// closed would read the rest of the file into memory.
pub const MOST_ROW_BYTES: u64 = 256 * 1024;

pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// How many bytes come before it.
    pub byte: u64,
    /// The number of its line, from 1.
    pub line: u64,
}

/// What rows are read from.
pub enum Source {
    Whole(File),
    Growing(Box<Growing>),
}

pub struct Reader {
    source: Source,
    buffer: Box<[u8]>,
    /// How many bytes of the buffer hold the file's.
    filled: usize,
    /// How many of them were read as rows.
    taken: usize,
    /// How many of them are known to be UTF-8.
    valid: usize,
    file_ended: bool,
    /// Where the next row begins, or the line end before it.
    pub position: Position,
    /// Where the current row begins.
    pub row_position: Position,
    /// The current row if it is plain, with `|` between its values.
    plain: Option<Plain>,
    engine: csv_core::Reader,
    /// The bytes of the current row's fields, one after another, if it is not plain.
    bytes: Vec<u8>,
    /// Where each field ends.
    ends: Vec<usize>,
    field_count: usize,
}

/// The place of a plain row in the buffer, and those of its separators in the row.
struct Plain {
    range: Range<usize>,
    separators: [usize; 4],
}

impl Position {
    pub const START: Position = Position { byte: 0, line: 1 };
}

impl Reader {
    pub fn new(source: Source) -> Reader {
        Reader {
            source,
            buffer: vec![0; READ_BUFFER].into_boxed_slice(),
            filled: 0,
            taken: 0,
            valid: 0,
            file_ended: false,
            position: Position::START,
            row_position: Position::START,
            plain: None,
            engine: new_engine(),
            bytes: vec![0; 1024],
            ends: vec![0; 16],
            field_count: 0,
        }
    }

    /// Reads the next row. False at the end of the file. Blank lines are skipped.
    pub fn read(&mut self) -> io::Result<bool> {
        self.fill()?;
        if self.position == Position::START && self.rest().starts_with(BYTE_ORDER_MARK) {
            self.take(BYTE_ORDER_MARK.len(), 0);
        }
        loop {
            let blank = self.rest().iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            if blank == 0 {
                break;
            }
            let lines = self.rest()[..blank].iter().filter(|byte| **byte == b'\n').count();
            self.take(blank, lines as u64);
            self.fill()?;
        }
        self.row_position = self.position;
        self.plain = self.read_plain();
        self.field_count = 0;
        if self.plain.is_none() && !self.rest().is_empty() {
            self.read_fields()?;
        }
        Ok(self.position != self.row_position)
    }

    /// The fields of the current row. None if it is plain.
    pub fn fields(&self) -> impl Iterator<Item = &[u8]> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        starts.zip(&self.ends).take(self.field_count).map(|(start, end)| &self.bytes[start..*end])
    }

    /// The bytes of all fields together.
    pub fn field_bytes(&self) -> &[u8] {
        &self.bytes[..self.ends[..self.field_count].last().copied().unwrap_or(0)]
    }

    /// The index of the first field that is not UTF-8.
    pub fn broken_field(&self) -> Option<usize> {
        // What is known to be UTF-8 is the buffer's beginning, so a row that ends in it is all UTF-8.
        if self.taken < self.valid { None } else { self.fields().position(|field| str::from_utf8(field).is_err()) }
    }

    /// The current row and the places of its separators, `|`, if it is plain: UTF-8, and without a character that a
    /// message cannot carry.
    pub fn plain(&self) -> Option<(&[u8], &[usize; 4])> {
        self.plain.as_ref().map(|plain| (&self.buffer[plain.range.clone()], &plain.separators))
    }

    /// Appends the current row with `|` between its values, as in a message.
    pub fn push_line(&self, out: &mut Vec<u8>) {
        if let Some((plain, _)) = self.plain() {
            out.extend_from_slice(plain);
        }
        for (place, field) in self.fields().enumerate() {
            if place > 0 {
                out.push(b'|');
            }
            out.extend_from_slice(field);
        }
    }

    /// The file, if it is followed as it grows.
    pub fn growing(&mut self) -> Option<&mut Growing> {
        match &mut self.source {
            Source::Whole(_) => None,
            Source::Growing(growing) => Some(growing),
        }
    }

    /// Continues from a place where a row begins or ends.
    pub fn seek(&mut self, position: Position) -> io::Result<()> {
        match &mut self.source {
            Source::Whole(file) => _ = file.seek(SeekFrom::Start(position.byte))?,
            Source::Growing(growing) => growing.go_to(position.byte),
        }
        (self.filled, self.taken) = (0, 0);
        self.file_ended = false;
        self.position = position;
        self.engine = new_engine();
        Ok(())
    }

    fn rest(&self) -> &[u8] {
        &self.buffer[self.taken..self.filled]
    }

    fn take(&mut self, bytes: usize, lines: u64) {
        self.taken += bytes;
        self.position.byte += bytes as u64;
        self.position.line += lines;
    }

    /// Reads more of the file if the buffer may end within the next plain row.
    fn fill(&mut self) -> io::Result<()> {
        if self.rest().len() >= ENOUGH_FOR_PLAIN || self.file_ended {
            return Ok(());
        }
        self.buffer.copy_within(self.taken..self.filled, 0);
        (self.filled, self.taken) = (self.filled - self.taken, 0);
        let room = &mut self.buffer[self.filled..];
        let read = match &mut self.source {
            Source::Whole(file) => file.read(room)?,
            Source::Growing(growing) => growing.read(room)?,
        };
        self.filled += read;
        self.file_ended = read == 0;
        self.valid = match simdutf8::compat::from_utf8(self.rest()) {
            Ok(_) => self.filled,
            Err(error) => error.valid_up_to(),
        };
        Ok(())
    }

    fn read_plain(&mut self) -> Option<Plain> {
        let start = self.taken;
        let text = self.buffer.get(start..self.valid)?;
        let bet = plain_bet(text, b',')?;
        let line_end = match text[bet.end..] {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => return None,
        };
        self.take(bet.end + line_end, 1);
        bet.separators.iter().for_each(|separator| self.buffer[start + separator] = b'|');
        Some(Plain { range: start..start + bet.end, separators: bet.separators })
    }

    fn read_fields(&mut self) -> io::Result<()> {
        let mut length = 0;
        loop {
            let line = self.engine.line();
            let input = &self.buffer[self.taken..self.filled];
            let (bytes, ends) = (&mut self.bytes[length..], &mut self.ends[self.field_count..]);
            let (result, taken, more, fields) = self.engine.read_record(input, bytes, ends);
            self.take(taken, self.engine.line() - line);
            length += more;
            self.field_count += fields;
            match result {
                ReadRecordResult::Record | ReadRecordResult::End => return Ok(()),
                ReadRecordResult::OutputFull => self.bytes.resize(2 * self.bytes.len(), 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(2 * self.ends.len(), 0),
                ReadRecordResult::InputEmpty => {
                    if self.position.byte - self.row_position.byte >= MOST_ROW_BYTES {
                        return Err(io::ErrorKind::FileTooLarge.into());
                    }
                    self.fill()?;
                    // `fill` has checked the UTF-8 of a part that may begin inside a character of this row.
                    self.valid = 0;
                }
            }
        }
    }
}

/// An engine that has already read a blank line. It drops a byte order mark from the first bytes it reads, and after a
/// seek these may be from anywhere in the file.
fn new_engine() -> csv_core::Reader {
    let mut engine = csv_core::Reader::new();
    engine.read_record(b"\n", &mut [0], &mut [0]);
    engine
}

#[cfg(test)]
mod tests {
    use super::super::fuzzing::{Row, next, reader, rows_are_those_of_the_csv_crate};
    use proptest::prelude::*;

    #[test]
    fn bets_without_quotes_are_plain_wherever_they_stand() {
        let mut text = "nombre,apellido,dni,nacimiento,numero\n".to_owned();
        for row in 0..5000 {
            let (quote, end) = (if row % 100 == 7 { "\"" } else { "" }, if row % 3 == 0 { "\r\n" } else { "\n" });
            text.push_str(&format!("{quote}Ana María{quote},Núñez,{row},2000-01-01,{row}{end}"));
        }
        let mut reader = reader(text.as_bytes());
        let rows: Vec<Row> = std::iter::from_fn(|| next(&mut reader)).skip(1).collect();
        assert!(rows.iter().enumerate().all(|(row, (_, _, plain))| *plain == (row % 100 != 7)));
        assert_eq!(rows.len(), 5000);
    }

    proptest! {
        #[test]
        fn rows_and_places_are_those_of_the_csv_crate(
            pieces in prop::collection::vec(
                prop_oneof![
                    4 => "([A-Zñ][a-zé ]{0,9},){2}[0-9]{1,8},(19|20)[0-9]{2}-[01][0-9]-[0-3][0-9],[0-9]{1,10}\r?\n"
                        .prop_map(String::into_bytes),
                    1 => "\"?[a-z,]{0,9}\"{0,2}[a-z,]{0,9}\"?(\r\n|\n|\r|,|)".prop_map(String::into_bytes),
                    1 => "(\r|\n|\"|,|\\||\u{85}|\u{feff}|\u{0}|ñ){1,3}".prop_map(String::into_bytes),
                    1 => prop::collection::vec(any::<u8>(), 0..9),
                    1 => (any::<u8>(), 0..400_usize).prop_map(|(byte, length)| vec![byte; length]),
                    1 => (0..1500_usize).prop_map(|rows| b"Ana,Paz,30904465,1999-12-31,7574\n".repeat(rows)),
                ],
                0..24,
            ),
            places in prop::array::uniform8(any::<prop::sample::Index>()),
        ) {
            let places = places.map(|place: prop::sample::Index| place.index(1 << 20));
            rows_are_those_of_the_csv_crate(&pieces.concat(), &places);
        }
    }
}
