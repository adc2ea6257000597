//! Compares what the central stored with the agencies' files, row by row, without holding them in memory.
//!
//! It has its own code to read the files, because the agencies' reader is part of what it checks.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use csv::{ByteRecord, Reader, ReaderBuilder};

use crate::error::{Error, Kind, Result};

const FIELDS: usize = 5;

/// The contents of an agency's file, as far as the result needs them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSummary {
    pub bets: u64,
    /// The documents of its bets on the winning number, in their order.
    pub winners: Vec<String>,
}

/// Reads all files once, side by side: each stored row must be the next one of its agency's file, and no file may have
/// more rows.
pub fn compare(stored: &Path, files: &[PathBuf], winning_number: u32) -> Result<Vec<FileSummary>> {
    let mut rows = CsvFile::open(stored)?;
    let mut files = files.iter().map(|path| CsvFile::open(path)).collect::<Result<Vec<CsvFile>>>()?;
    let mut summaries = vec![FileSummary::default(); files.len()];
    let winning_number = winning_number.to_string();
    while rows.advance()? {
        let agency = rows.agency(files.len())?;
        let (file, summary) = (&mut files[agency - 1], &mut summaries[agency - 1]);
        if !file.advance_past_header(summary.bets == 0)? {
            return Err(rows.wrong(&format!("{} holds no more bets", file.path.display())));
        }
        if !same(&rows.record, &file.record) {
            return Err(rows.wrong(&format!("{} holds {:?}", file.place(), shown(&file.record))));
        }
        summary.bets += 1;
        if rows.record[FIELDS] == *winning_number.as_bytes() {
            summary.winners.push(String::from_utf8_lossy(&rows.record[3]).into_owned());
        }
    }
    for (file, summary) in files.iter_mut().zip(&summaries) {
        if file.advance_past_header(summary.bets == 0)? {
            let (place, stored) = (file.place(), stored.display());
            return Err(Error::failed(format!("{place}: {:?} is missing in {stored}", shown(&file.record))));
        }
    }
    Ok(summaries)
}

/// Checks that an agency was told all winners of its file, and no others.
pub fn check_told(agency: usize, summary: &FileSummary, told: &Path) -> Result<()> {
    let text = fs::read_to_string(told).map_err(|error| Error::at_path(Kind::Failed, told, "read it", &error))?;
    let (mut told, mut due): (Vec<&str>, Vec<&str>) =
        (text.lines().collect(), summary.winners.iter().map(String::as_str).collect());
    told.sort_unstable();
    due.sort_unstable();
    if told == due {
        return Ok(());
    }
    let (told, due) = (told.len(), due.len());
    Err(Error::failed(format!("agency {agency} was told {told} winners, and they are not the {due} of its file")))
}

struct CsvFile {
    path: PathBuf,
    reader: Reader<File>,
    record: ByteRecord,
    /// The number of rows read. It is also the line of the last one, since no value contains a line feed. The CSV
    /// reader's own line number is one too low in files with `\r\n`.
    line: u64,
}

impl CsvFile {
    fn open(path: &Path) -> Result<CsvFile> {
        let file = File::open(path).map_err(|error| Error::at_path(Kind::Failed, path, "read it", &error))?;
        let reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(file);
        Ok(CsvFile { path: path.to_owned(), reader, record: ByteRecord::new(), line: 0 })
    }

    fn advance(&mut self) -> Result<bool> {
        let broken = |error| Error::failed(format!("{}: cannot read it: {error}", self.path.display()));
        let more = self.reader.read_byte_record(&mut self.record).map_err(broken)?;
        self.line += u64::from(more);
        Ok(more)
    }

    /// Reads a row, and the next one if the first is a header. A first row without a number is one: the central would
    /// have refused it as a bet.
    fn advance_past_header(&mut self, first: bool) -> Result<bool> {
        let is_bet = |record: &ByteRecord| record.get(FIELDS - 1).is_some_and(is_number);
        Ok(self.advance()? && (!first || is_bet(&self.record) || self.advance()?))
    }

    fn agency(&self, agencies: usize) -> Result<usize> {
        let agency = std::str::from_utf8(&self.record[0]).ok().and_then(|agency| agency.parse().ok());
        agency
            .filter(|agency| (1..=agencies).contains(agency) && self.record.len() == FIELDS + 1)
            .ok_or_else(|| self.wrong(&format!("rows are six fields, the first an agency from 1 to {agencies}")))
    }

    fn place(&self) -> String {
        format!("{}:{}", self.path.display(), self.line)
    }

    fn wrong(&self, expected: &str) -> Error {
        Error::failed(format!("{}: {:?}, where {expected}", self.place(), shown(&self.record)))
    }
}

/// True if a stored row, which begins with its agency, is this row of a file. The central stores numbers without
/// leading zeros.
fn same(stored: &ByteRecord, row: &ByteRecord) -> bool {
    row.len() == FIELDS
        && stored.len() == FIELDS + 1
        && (0..FIELDS - 1).all(|field| stored[field + 1] == row[field])
        && stored[FIELDS] == *without_zeros(&row[FIELDS - 1])
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|digit| **digit == b'0').count();
    &number[zeros.min(number.len().saturating_sub(1))..]
}

fn is_number(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

fn shown(record: &ByteRecord) -> String {
    record.iter().map(String::from_utf8_lossy).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    struct Folder(TempDir);

    impl Folder {
        fn compare(stored: &str, files: &[&str]) -> Result<Vec<FileSummary>, String> {
            let folder = Folder(tempfile::tempdir().unwrap());
            let stored = folder.write("bets.csv", stored);
            let files: Vec<PathBuf> =
                (1..).zip(files).map(|(agency, text)| folder.write(&format!("agency-{agency}.csv"), text)).collect();
            let compared = compare(&stored, &files, 7574);
            compared.map_err(|error| error.to_string().replace(&format!("{}/", folder.0.path().display()), ""))
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.path().join(name);
            fs::write(&path, text).unwrap();
            path
        }
    }

    const ONE: &str = "Ana,Paz,1,2000-01-01,7574\nJosé,\"Paz, Ñato\",2,2000-01-01,0012\n";
    const TWO: &str = "first_name,last_name,document,birthdate,number\nEva,Sosa,3,2000-01-01,000\n";
    const STORED: &str = "1,Ana,Paz,1,2000-01-01,7574\r\n2,Eva,Sosa,3,2000-01-01,0\r\n\
                          1,José,\"Paz, Ñato\",2,2000-01-01,12\r\n";

    #[test]
    fn equal_is_equal_in_any_order_of_agencies() {
        let summaries = Folder::compare(STORED, &[ONE, TWO, ""]).unwrap();
        assert_eq!(summaries[0], FileSummary { bets: 2, winners: vec!["1".to_owned()] });
        assert_eq!(summaries[1], FileSummary { bets: 1, winners: Vec::new() });
        assert_eq!(summaries[2], FileSummary::default());
    }

    #[test]
    fn every_difference_is_found_and_placed() {
        let lines: Vec<&str> = STORED.split_inclusive('\n').collect();
        let missing = Folder::compare(&lines[..2].concat(), &[ONE, TWO]).unwrap_err();
        assert_eq!(missing, "agency-1.csv:2: \"José,Paz, Ñato,2,2000-01-01,0012\" is missing in bets.csv");
        let nothing = Folder::compare("", &[TWO]).unwrap_err();
        assert!(nothing.starts_with("agency-1.csv:2: \"Eva,"), "{nothing}");
        let twice = Folder::compare(&[lines[0], lines[0], lines[1], lines[2]].concat(), &[ONE, TWO]).unwrap_err();
        assert!(twice.starts_with("bets.csv:2: ") && twice.contains("where agency-1.csv:2 holds"), "{twice}");
        let more = Folder::compare(&format!("{STORED}2,Eva,Sosa,3,2000-01-01,0\r\n"), &[ONE, TWO]).unwrap_err();
        assert!(more.starts_with("bets.csv:4: ") && more.ends_with("agency-2.csv holds no more bets"), "{more}");
        let swapped = Folder::compare(&STORED.replace("1,José", "2,José"), &[ONE, TWO]).unwrap_err();
        assert!(swapped.starts_with("bets.csv:3: "), "{swapped}");
        let stranger = Folder::compare(STORED, &[ONE]).unwrap_err();
        assert!(stranger.contains("the first an agency from 1 to 1"), "{stranger}");
        for (from, to) in [("7574", "7575"), ("Ana", "ana"), (",12\r", ",012\r"), ("José", "Jose"), (",3,", ",33,")] {
            let changed = STORED.replace(from, to);
            assert!(Folder::compare(&changed, &[ONE, TWO]).is_err(), "{changed}");
        }
        assert!(Folder::compare("1,Ana\r\n", &[ONE]).unwrap_err().contains("rows are six fields"));
    }

    #[test]
    fn agencies_must_be_told_their_own_winners() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let summary = FileSummary { bets: 9, winners: ["2", "1", "1"].map(str::to_owned).to_vec() };
        let told = |text: &str| check_told(4, &summary, &folder.write("told", text));
        assert!(told("1\n2\n1\n").is_ok());
        for wrong in ["", "1\n2\n", "1\n2\n2\n", "1\n1\n2\n3\n"] {
            assert!(told(wrong).unwrap_err().to_string().starts_with("agency 4 was told "), "{wrong}");
        }
        assert!(check_told(4, &summary, &folder.0.path().join("nowhere")).is_err());
    }
}
