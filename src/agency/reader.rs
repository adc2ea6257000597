//! The rows of a CSV file, out of a buffer of its own.
//!
//! Nearly all rows are bets that need no quotes, and such a row is its message already, but for what separates its values.
//! It is recognised in one look at each of its bytes, and stays where it is. From any other row the CSV engine makes
//! fields; it reads the same buffer, from where that row begins, so no byte is read twice.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use csv_core::ReadRecordResult;

use crate::domain::plain_bet;

const READ_BUFFER: usize = 64 * 1024;

/// More bytes than any row has that [`plain_bet`] recognises, with its line's end.
const ENOUGH_FOR_PLAIN: usize = 512;

/// The most bytes read for one row. A row that fits a frame needs a small part of it; a quote that is never closed
/// would otherwise take the rest of the file into memory.
pub const MOST_ROW_BYTES: u64 = 256 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// How many bytes come before it.
    pub byte: u64,
    /// The line that it is in, from 1.
    pub line: u64,
}

pub struct Reader {
    file: File,
    buffer: Box<[u8]>,
    /// How much of the buffer holds the file, how much of that was read as rows, and how much is known to be UTF-8.
    filled: usize,
    taken: usize,
    valid: usize,
    file_ended: bool,
    position: Position,
    /// Where the row that was read last begins.
    row_position: Position,
    /// That row, if it is a plain one, with `|` between its values.
    plain: Option<Plain>,
    engine: csv_core::Reader,
    /// If it is not: the bytes of its fields, one behind the other, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
    field_count: usize,
}

/// Where a plain row stands in the buffer, and where its separators are.
struct Plain {
    range: Range<usize>,
    separators: [usize; 4],
}

impl Position {
    pub const START: Position = Position { byte: 0, line: 1 };
}

impl Reader {
    pub fn new(file: File) -> Reader {
        Reader {
            file,
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

    /// Reads the next row. False at the end of the file. Blank lines are no rows.
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

    /// Where the row that was read last begins.
    pub fn row_position(&self) -> Position {
        self.row_position
    }

    /// Where the row before ends, or a place from [`Reader::seek`].
    pub fn position(&self) -> Position {
        self.position
    }

    /// Whether the row that was read last is a plain bet: UTF-8, without a character that a message cannot carry.
    pub fn is_plain(&self) -> bool {
        self.plain.is_some()
    }

    /// The fields of the row that was read last, if it is not.
    pub fn fields(&self) -> impl Iterator<Item = &[u8]> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        starts.zip(&self.ends).take(self.field_count).map(|(start, end)| &self.bytes[start..*end])
    }

    /// All of their bytes.
    pub fn field_bytes(&self) -> &[u8] {
        &self.bytes[..self.ends[..self.field_count].last().copied().unwrap_or(0)]
    }

    /// The place of the first that is not UTF-8.
    pub fn broken_field(&self) -> Option<usize> {
        // A row that ends within what is known to be UTF-8 began there as well.
        if self.taken < self.valid { None } else { self.fields().position(|field| str::from_utf8(field).is_err()) }
    }

    /// That bet, with `|` between its values, and the places of these.
    pub fn plain(&self) -> Option<(&[u8], &[usize; 4])> {
        self.plain.as_ref().map(|plain| (&self.buffer[plain.range.clone()], &plain.separators))
    }

    /// Appends the row that was read last as a message has it, with `|` between its values.
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

    /// Goes to a place where a row begins, or the end of one.
    pub fn seek(&mut self, position: Position) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(position.byte))?;
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

    /// Sees to it that a plain row does not end behind the buffer, unless the file ends there.
    fn fill(&mut self) -> io::Result<()> {
        if self.rest().len() >= ENOUGH_FOR_PLAIN || self.file_ended {
            return Ok(());
        }
        self.buffer.copy_within(self.taken..self.filled, 0);
        (self.filled, self.taken) = (self.filled - self.taken, 0);
        let read = self.file.read(&mut self.buffer[self.filled..])?;
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
                    // The row began before what was looked at now, perhaps in the middle of a character.
                    self.valid = 0;
                }
            }
        }
    }
}

/// The engine would take a byte order mark away from whatever it reads first, which may stand anywhere in the file: so that
/// is a blank line.
fn new_engine() -> csv_core::Reader {
    let mut engine = csv_core::Reader::new();
    engine.read_record(b"\n", &mut [0], &mut [0]);
    engine
}

#[cfg(test)]
mod tests {
    use super::*;
    use memchr::memchr_iter;
    use proptest::prelude::*;

    /// A row: where it begins, its fields, and whether it was recognised as a plain bet.
    type Row = (Position, Vec<Vec<u8>>, bool);

    fn reader(bytes: &[u8]) -> Reader {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, bytes).unwrap();
        file.rewind().unwrap();
        Reader::new(file)
    }

    fn next(reader: &mut Reader) -> Option<Row> {
        reader.read().unwrap().then(|| {
            let mut fields: Vec<Vec<u8>> = reader.fields().map(<[u8]>::to_vec).collect();
            assert_eq!(reader.field_bytes(), fields.concat());
            assert_eq!(reader.broken_field(), fields.iter().position(|field| str::from_utf8(field).is_err()));
            let mut line = Vec::new();
            reader.push_line(&mut line);
            if reader.is_plain() {
                assert!(!str::from_utf8(&line).unwrap().chars().any(char::is_control) && fields.is_empty());
                fields = line.split(|byte| *byte == b'|').map(<[u8]>::to_vec).collect();
            }
            assert_eq!(line, fields.join(&b'|'));
            (reader.row_position(), fields, reader.is_plain())
        })
    }

    /// The rows as the CSV crate's own reader finds them.
    fn rows_by_the_book(bytes: &[u8]) -> Vec<(Position, Vec<Vec<u8>>)> {
        let reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
        let row = |record: csv::ByteRecord| {
            let before = record.position().unwrap().byte() as usize;
            let mark = if before == 0 && bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
            let behind = &bytes[before + mark..];
            let blank = behind.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            let start = before + mark + blank;
            let line = 1 + memchr_iter(b'\n', &bytes[..start]).count() as u64;
            (Position { byte: start as u64, line }, record.iter().map(<[u8]>::to_vec).collect())
        };
        reader.into_byte_records().map(|record| row(record.unwrap())).collect()
    }

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
            places in prop::collection::vec(any::<prop::sample::Index>(), 8),
        ) {
            let bytes = pieces.concat();
            let expected = rows_by_the_book(&bytes);
            let mut reader = reader(&bytes);
            let mut ends = Vec::new();
            for (position, fields) in &expected {
                let (found_position, found, _) = next(&mut reader).unwrap();
                prop_assert_eq!((found_position, &found), (*position, fields));
                ends.push(reader.position());
            }
            prop_assert_eq!(next(&mut reader), None);
            prop_assert_eq!(next(&mut reader), None);
            for place in places.iter().filter(|_| !expected.is_empty()) {
                let row = place.index(expected.len());
                for (place, row) in [(expected[row].0, row), (ends[row], row + 1)] {
                    reader.seek(place).unwrap();
                    for row in [row, row + 1] {
                        let found = next(&mut reader).map(|(position, fields, _)| (position, fields));
                        prop_assert_eq!(found.as_ref(), expected.get(row));
                    }
                }
            }
        }
    }
}
