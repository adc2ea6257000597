//! An agency's CSV file, read row by row. A row has the five values of a bet, without the agency.
//!
//! The central checks the values. Only what the wire cannot carry is refused here.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::reader::{MOST_ROW_BYTES, Position, Reader};
use crate::domain::{Bet, Quoted, Rows, has_won, is_forbidden};
use crate::error::{Error, Kind, Result};

/// Names of columns in the files that people have, a column a line. A first row made of these alone is a header.
#[rustfmt::skip]
const COLUMN_NAMES: [&str; 29] = [
    "agency", "agencia",
    "first_name", "first name", "firstname", "name", "nombre", "nombres",
    "last_name", "last name", "lastname", "surname", "apellido", "apellidos",
    "document", "documento", "dni", "id",
    "birthdate", "birth_date", "birth date", "birthday", "nacimiento", "fecha_nacimiento", "fecha de nacimiento",
    "number", "numero", "número", "bet",
];

/// The place before a row, to return to.
#[derive(Clone, Copy, Debug)]
pub struct RowMark {
    /// How many rows come before it.
    pub row: u64,
    pub position: Position,
}

pub struct Dataset {
    pub path: PathBuf,
    /// The file's size in bytes.
    pub size: u64,
    /// Before the first row that is not a header.
    pub start: RowMark,
    reader: Reader,
    /// How many rows were read.
    rows: u64,
}

impl Dataset {
    pub fn open(path: &Path) -> Result<Dataset> {
        let unreadable = |error: &io::Error| Error::at_path(Kind::BadInput, path, "read the agency's bets", error);
        // Opening a pipe without a writer would block for ever, and a pipe cannot be read again from a mark.
        let metadata = path.metadata().map_err(|error| unreadable(&error))?;
        if !metadata.is_file() {
            return Err(Error::bad_path(path, "not a regular file"));
        }
        let file = File::open(path).map_err(|error| unreadable(&error))?;
        let start = RowMark { row: 0, position: Position::START };
        let reader = Reader::new(file);
        let mut dataset = Dataset { path: path.to_owned(), size: metadata.len(), reader, rows: 0, start };
        let has_row = dataset.read()?;
        if has_row && dataset.has_semicolons() {
            let (path, line) = (path.display(), dataset.reader.row_position.line);
            return Err(Error::bad_input(format!("{path}:{line}: fields are separated by ;, and must be by ,")));
        }
        if has_row && dataset.is_header() {
            dataset.start.position = dataset.reader.position;
        }
        let start = dataset.start;
        dataset.return_to(&start)?;
        Ok(dataset)
    }

    /// How many rows were read.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Reads the next row. False at the end of the file. An error for a row that the wire cannot carry.
    pub fn advance(&mut self) -> Result<bool> {
        if !self.read()? {
            return Ok(false);
        }
        self.rows += 1;
        // Most rows have none of these bytes. The fold reads all of them, because a loop that may end early cannot be
        // vectorised. 0xC2 begins the control characters beyond ASCII.
        let odd = |byte: u8| (byte < b' ') | (byte == b'|') | (byte == 0x7f) | (byte == 0xC2);
        if self.reader.field_bytes().iter().fold(false, |any, byte| any | odd(*byte)) {
            self.check_characters()?;
        }
        Ok(true)
    }

    /// Appends the current row in the form of a message, with `|` between its values. It is UTF-8: [`Dataset::advance`]
    /// has checked it.
    pub fn push_line(&self, out: &mut Vec<u8>) {
        self.reader.push_line(out);
    }

    /// Appends the current row in the form in which the central stores it. False if the central will refuse it.
    pub fn push_row(&self, rows: &mut Rows) -> bool {
        if let Some((values, separators)) = self.reader.plain() {
            rows.push_recognised(values, separators);
            return true;
        }
        let values: Vec<&str> = self.values().collect();
        let bet = <[&str; 5]>::try_from(values).ok().and_then(|values| Bet::new(values).ok());
        bet.map(|bet| rows.push(&bet)).is_some()
    }

    /// The document of the current row, if its bet has won.
    pub fn winner(&self, winning_number: u32) -> Option<&str> {
        let (number, document) = match self.reader.plain() {
            Some((values, [_, second, third, fourth])) => {
                let text = |from: usize, to: usize| str::from_utf8(&values[from..to]).ok();
                (text(fourth + 1, values.len())?.parse().ok()?, text(second + 1, *third)?)
            }
            None => {
                let values: Vec<&str> = self.values().collect();
                let bet = Bet::new(values.try_into().ok()?).ok()?;
                (bet.number, bet.document)
            }
        };
        has_won(number, winning_number).then_some(document)
    }

    /// How many values the current row has.
    pub fn value_count(&self) -> usize {
        if self.reader.plain().is_some() { 5 } else { self.reader.fields().count() }
    }

    /// The place before the current row.
    pub fn mark(&self) -> RowMark {
        RowMark { row: self.rows.saturating_sub(1), position: self.reader.row_position }
    }

    /// The place before the next row.
    pub fn next_mark(&self) -> RowMark {
        RowMark { row: self.rows, position: self.reader.position }
    }

    pub fn return_to(&mut self, mark: &RowMark) -> Result<()> {
        self.rows = mark.row;
        self.reader.seek(mark.position).map_err(|error| self.broken(&error))
    }

    /// An error that names the line of the row `offset` rows after a mark. The reader moves there to find the line.
    pub fn error_at(&mut self, kind: Kind, mark: &RowMark, offset: u64, reason: &str) -> Error {
        let found = self.return_to(mark).and_then(|()| {
            for _ in 0..=offset {
                self.read()?;
            }
            Ok(())
        });
        match found {
            Ok(()) => self.error_here(kind, reason),
            Err(error) => error,
        }
    }

    /// An error that names the line of the current row.
    pub fn error_here(&self, kind: Kind, reason: &str) -> Error {
        Error::new(kind, format!("{}:{}: {reason}", self.name(), self.reader.row_position.line))
    }

    /// The file's name, for errors.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).display().to_string()
    }

    fn read(&mut self) -> Result<bool> {
        let found = self.reader.read().map_err(|error| self.broken(&error))?;
        match self.reader.broken_field() {
            None => Ok(found),
            Some(place) => Err(self.error_here(Kind::BadInput, &format!("field {} is not UTF-8", place + 1))),
        }
    }

    /// The values of the current row. None of a plain one.
    fn values(&self) -> impl Iterator<Item = &str> {
        // The default is never used: `read` refuses what is not UTF-8.
        self.reader.fields().map(|field| str::from_utf8(field).unwrap_or_default())
    }

    /// True for a row as some spreadsheets write it, with semicolons between five values.
    fn has_semicolons(&self) -> bool {
        self.values().count() == 1 && self.values().any(|row| row.matches(';').count() == 4)
    }

    fn is_header(&self) -> bool {
        let is_name = |value: &str| COLUMN_NAMES.contains(&value.trim().to_lowercase().as_str());
        self.reader.plain().is_none() && self.values().all(is_name)
    }

    fn check_characters(&self) -> Result<()> {
        for value in self.values() {
            let reason = match value.chars().find(|character| is_forbidden(*character)) {
                None => continue,
                Some('|') => "holds a \"|\", which separates the fields of a message",
                Some('\n') => "holds a line feed: is a quote left open?",
                Some(_) => "holds a control character",
            };
            return Err(self.error_here(Kind::BadInput, &format!("{} {reason}", Quoted(value))));
        }
        Ok(())
    }

    fn broken(&self, error: &io::Error) -> Error {
        if error.kind() != io::ErrorKind::FileTooLarge {
            return Error::at_path(Kind::BadInput, &self.path, "read the agency's bets", error);
        }
        let reason = format!("the row does not end within {MOST_ROW_BYTES} bytes: is a quote left open?");
        self.error_here(Kind::BadInput, &reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(dataset: &Dataset) -> String {
        let mut line = Vec::new();
        dataset.push_line(&mut line);
        String::from_utf8(line).unwrap()
    }

    /// The rows of a file of these bytes, up to the first that stops.
    fn rows(bytes: &[u8]) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agency-3.csv");
        std::fs::write(&path, bytes).unwrap();
        let read = || -> Result<Vec<String>> {
            let mut dataset = Dataset::open(&path)?;
            let mut rows = Vec::new();
            while dataset.advance()? {
                rows.push(shown(&dataset));
            }
            Ok(rows)
        };
        read().map_err(|error| {
            assert_eq!(error.kind, Kind::BadInput);
            error.to_string()
        })
    }

    #[test]
    fn rows_come_as_they_are() {
        let text = "Ana,Paz,1,2000-01-01,7\r\n\"O\"\"Hara, José\",Ñandú,2,x,\n\nonly\n";
        assert_eq!(rows(text.as_bytes()).unwrap(), ["Ana|Paz|1|2000-01-01|7", "O\"Hara, José|Ñandú|2|x|", "only"]);
        assert_eq!(rows(b"").unwrap(), [""; 0]);
    }

    #[test]
    fn a_header_is_skipped_and_nothing_that_could_be_a_bet() {
        for header in ["Nombre,APELLIDO, documento ,nacimiento,Número", "first_name,last_name,dni,birthdate,number"] {
            assert_eq!(rows(format!("\u{feff}{header}\na,b,c,d,e\n").as_bytes()).unwrap(), ["a|b|c|d|e"]);
        }
        assert_eq!(rows(b"nombre,apellido,1,nacimiento,numero\n").unwrap().len(), 1);
        assert_eq!(rows(b"a,b,c,d,e\nnombre,apellido,dni,nacimiento,numero\n").unwrap().len(), 2, "the first row only");
    }

    #[test]
    fn what_the_wire_cannot_carry_stops_at_its_line() {
        assert_eq!(
            rows(b"a,b,c,d,e\r\n\r\n\r\na,x|y,c,d,e\r\n").unwrap_err(),
            "agency-3.csv:4: \"x\\u{7c}y\" holds a \"|\", which separates the fields of a message"
        );
        assert_eq!(rows(b"a,b\n\xc3,\xb1\n").unwrap_err(), "agency-3.csv:2: field 1 is not UTF-8");
        assert!(rows(b"\n\na,\"b\nc\",d\n").unwrap_err().starts_with("agency-3.csv:3: \"b\\nc\" holds a line feed"));
        assert!(rows("a\nb\nñ\u{85}\n".as_bytes()).unwrap_err().starts_with("agency-3.csv:3:"));
        assert!(rows(b"a\tb,c").unwrap_err().contains("control character"));
        for (name, reason) in [
            (&b"\xff"[..], "field 2 is not UTF-8"),
            (b"|", "\"Paz\\u{7c}\" holds a \"|\", which separates the fields of a message"),
            (b"\x7f", "\"Paz\\u{7f}\" holds a control character"),
            (b"\xc2\x80", "\"Paz\\u{80}\" holds a control character"),
        ] {
            let bytes = [b"Ana,Paz,1,2000-01-01,7\r\n\nAna,Paz", name, b",1,2000-01-01,7\n"].concat();
            assert_eq!(rows(&bytes).unwrap_err(), format!("agency-3.csv:3: {reason}"));
        }
    }

    #[test]
    fn a_quote_left_open_stops_before_the_rest_of_the_file_is_in_memory() {
        let mut bytes = b"a,b,c,d,e\n\"a,b,c,d,e\n".to_vec();
        bytes.extend("f,g,h,i,j\n".repeat(100_000).as_bytes());
        let shown = rows(&bytes).unwrap_err();
        assert!(shown.starts_with("agency-3.csv:2: the row does not end within"), "{shown}");
    }

    #[test]
    fn what_is_no_file_says_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("none.csv");
        for path in [missing.as_path(), folder.path()] {
            let error = Dataset::open(path).err().unwrap();
            assert_eq!(error.kind, Kind::BadInput);
            assert!(error.to_string().starts_with(&path.display().to_string()));
        }
    }

    proptest! {
        #[test]
        fn every_mark_leads_back_to_its_row_and_line(
            blanks in prop::collection::vec(0..3_usize, 1..40), crlf in any::<bool>(), end in any::<bool>(),
        ) {
            let line_end = if crlf { "\r\n" } else { "\n" };
            let (mut text, mut lines, mut line) = (String::new(), Vec::new(), 1);
            for (row, blank) in blanks.iter().enumerate() {
                text.push_str(&line_end.repeat(*blank));
                line += blank;
                lines.push(line);
                text.push_str(&format!("row {row},x{line_end}"));
                line += 1;
            }
            let text = if end { text.as_str() } else { text.trim_end() };
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("agency-3.csv");
            std::fs::write(&path, text).unwrap();
            let mut dataset = Dataset::open(&path).unwrap();
            let mut marks = vec![dataset.start];
            while dataset.advance().unwrap() {
                marks.push(dataset.next_mark());
                let mark = dataset.mark();
                prop_assert_eq!(mark.row + 1, dataset.rows());
                marks.push(mark);
            }
            prop_assert_eq!(dataset.rows(), lines.len() as u64);
            for mark in marks.iter().rev() {
                dataset.return_to(mark).unwrap();
                if dataset.advance().unwrap() {
                    let row = mark.row as usize;
                    prop_assert_eq!(shown(&dataset), format!("row {row}|x"));
                    let shown = dataset.error_at(Kind::Refused, &marks[0], mark.row, "bad").to_string();
                    prop_assert_eq!(shown, format!("agency-3.csv:{}: bad", lines[row]));
                } else {
                    prop_assert_eq!(mark.row, lines.len() as u64);
                }
            }
        }
    }
}
