//! An agency's CSV file, read row by row. A row has the five values of a bet, without the agency.
//!
//! The central checks the values. Only what the wire cannot carry is refused here.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::growing::Growing;
use super::reader::{MOST_ROW_BYTES, Position, Reader, Source};
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

/// A line of its own that ends the file: no bets come behind it.
const CLOSE: &str = "#cierre";

/// The place before a row, to return to.
#[derive(Clone, Copy, Debug)]
pub struct RowMark {
    /// How many rows come before it.
    pub row: u64,
    pub position: Position,
}

pub struct Dataset {
    pub path: PathBuf,
    /// The file's size in bytes when it was opened.
    size: u64,
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
        Dataset::of(path, metadata.len(), Source::Whole(file))
    }

    /// A file that grows. None until it is there, with a whole line; or with nothing in it, if it is `due` now.
    pub fn follow(path: &Path, is_due: bool) -> Result<Option<Dataset>> {
        let unreadable = |error: &io::Error| Error::at_path(Kind::BadInput, path, "read the agency's bets", error);
        match path.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Ok(metadata) if !metadata.is_file() => return Err(Error::bad_path(path, "not a regular file")),
            metadata => metadata.map_err(|error| unreadable(&error))?,
        };
        let file = File::open(path).map_err(|error| unreadable(&error))?;
        let mut growing = Growing::new(path, file, MOST_ROW_BYTES).map_err(|error| unreadable(&error))?;
        let is_shown = growing.look()? || is_due && growing.length() == 0;
        is_shown.then(|| Dataset::of(path, growing.length(), Source::Growing(Box::new(growing)))).transpose()
    }

    pub fn of(path: &Path, size: u64, source: Source) -> Result<Dataset> {
        let start = RowMark { row: 0, position: Position::START };
        let mut dataset = Dataset { path: path.to_owned(), size, reader: Reader::new(source), rows: 0, start };
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
        let found = self.read_any()?;
        if !found || self.reader.plain().is_some() || !self.is_close() {
            return Ok(found);
        }
        let position = self.reader.row_position;
        if self.read_any()? || self.shown() < self.size() {
            return Err(self.error_here(Kind::BadInput, &format!("more follows the line {CLOSE}, which ends the file")));
        }
        self.end();
        // So that it is found again, whoever reads on.
        self.reader.seek(position).map_err(|error| self.broken(&error))?;
        Ok(false)
    }

    /// Reads the next row, whatever it is. A file that is followed is looked at when there is none.
    fn read_any(&mut self) -> Result<bool> {
        let found = loop {
            if self.reader.read().map_err(|error| self.broken(&error))? {
                break true;
            }
            match self.reader.growing().map(Growing::look).transpose()? {
                Some(true) => self.reader.seek(self.reader.position).map_err(|error| self.broken(&error))?,
                _ => break false,
            }
        };
        match self.reader.broken_field() {
            None => Ok(found),
            Some(place) => Err(self.error_here(Kind::BadInput, &format!("field {} is not UTF-8", place + 1))),
        }
    }

    fn is_close(&self) -> bool {
        let mut values = self.values();
        values.next().is_some_and(|value| value.trim() == CLOSE) && values.next().is_none()
    }

    /// True unless more rows may come.
    pub fn is_over(&mut self) -> bool {
        self.reader.growing().is_none_or(|growing| growing.is_over())
    }

    /// No more rows will come.
    pub fn end(&mut self) {
        if let Some(growing) = self.reader.growing() {
            growing.end();
        }
    }

    /// The file's size in bytes, as far as it is known.
    pub fn size(&mut self) -> u64 {
        let length = self.reader.growing().map(|growing| growing.length());
        length.unwrap_or(self.size)
    }

    /// The bytes that can be read as rows.
    pub fn shown(&mut self) -> u64 {
        let shown = self.reader.growing().map(|growing| growing.shown());
        shown.unwrap_or(self.size)
    }

    /// An error if a file that is followed has other bytes now than those that were read.
    pub fn compare(&mut self) -> Result<()> {
        self.reader.growing().map_or(Ok(()), |growing| growing.compare())
    }

    /// An error that names the line behind the last row.
    pub fn error_at_end(&self, kind: Kind, reason: &str) -> Error {
        Error::new(kind, format!("{}:{}: {reason}", self.name(), self.reader.position.line))
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
#[path = "dataset_tests.rs"]
mod tests;
