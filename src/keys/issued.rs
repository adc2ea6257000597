//! `issued.csv`: every certificate that an authority has ever made, and which of them are revoked.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use csv::{ReaderBuilder, StringRecord};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::domain::Role;
use crate::error::{Error, Result};

/// The file, in the folder of keys.
pub const FILE: &str = "ca/issued.csv";

const COLUMNS: [&str; 5] = ["serial", "role", "from", "until", "revoked"];
const TIME: &[BorrowedFormatItem] = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
/// RFC 5280 allows no more.
const MAX_SERIAL: usize = 20;

/// A certificate's number, big-endian and without leading zeros.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Serial(Vec<u8>);

/// A certificate that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    pub serial: Serial,
    pub role: Role,
    pub from: OffsetDateTime,
    pub until: OffsetDateTime,
    pub revoked: Option<OffsetDateTime>,
}

/// All of them, in the order in which they were made.
#[derive(Debug, Default)]
pub struct Issued(pub Vec<Issue>);

/// A moment as files and `show` tell it: UTC, to the second.
pub fn told(moment: OffsetDateTime) -> String {
    // Only a year of more than four digits cannot be told so.
    moment.format(TIME).unwrap_or_else(|_| moment.to_string())
}

impl Serial {
    pub fn new(bytes: &[u8]) -> Serial {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Serial(bytes[zeros..].to_vec())
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

/// In hexadecimal, with colons or without, as OpenSSL prints them.
impl FromStr for Serial {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Serial, &'static str> {
        let digits: Vec<char> = text.chars().filter(|character| *character != ':').collect();
        let byte = |pair: &[char]| pair.iter().try_fold(0, |byte, digit| Some(byte * 16 + digit.to_digit(16)? as u8));
        let bytes: Option<Vec<u8>> = digits.rchunks(2).rev().map(byte).collect();
        let serial = bytes.map(|bytes| Serial::new(&bytes));
        let usable = serial.filter(|serial| (1..=MAX_SERIAL).contains(&serial.0.len()));
        usable.ok_or("allowed is a serial number in hexadecimal, as quiniela keys show tells it")
    }
}

impl Issued {
    pub fn of(&self, role: Role) -> impl Iterator<Item = &Issue> {
        self.0.iter().filter(move |issue| issue.role == role)
    }

    pub fn to_csv(&self) -> String {
        let mut text = COLUMNS.join(",") + "\n";
        for issue in &self.0 {
            let (from, until) = (told(issue.from), told(issue.until));
            let revoked = issue.revoked.map(told).unwrap_or_default();
            text.push_str(&format!("{},{},{from},{until},{revoked}\n", issue.serial, issue.role));
        }
        text
    }

    /// Reads what [`Issued::to_csv`] has written. Anything else is refused, since a row that is lost or misread would
    /// make a revoked certificate valid again.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Issued> {
        let damaged = |line: u64, why: &str| {
            let advice = "restore the file from a backup";
            Error::bad_input(format!("{}:{line}: {why}: {advice}", path.display()))
        };
        if !text.ends_with(b"\n") {
            let line = text.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
            return Err(damaged(line, "the end of this line is missing"));
        }
        let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
        let (mut issued, mut serials) = (Issued::default(), BTreeSet::new());
        for (place, row) in reader.records().enumerate() {
            let row = row.map_err(|error| {
                let line = error.position().map_or(place as u64 + 1, csv::Position::line);
                damaged(line, "this is no text in UTF-8")
            })?;
            let line = row.position().map_or(place as u64 + 1, csv::Position::line);
            if place == 0 {
                if row != COLUMNS[..] {
                    return Err(damaged(line, &format!("the columns must be {}", COLUMNS.join(","))));
                }
                continue;
            }
            let issue = parse_row(&row).map_err(|why| damaged(line, why))?;
            if !serials.insert(issue.serial.clone()) {
                return Err(damaged(line, "this serial number stands here twice"));
            }
            issued.0.push(issue);
        }
        Ok(issued)
    }
}

fn parse_row(row: &StringRecord) -> Result<Issue, &'static str> {
    let fields: Vec<&str> = row.iter().collect();
    let [serial, role, from, until, revoked] = fields[..] else { return Err("a row has five fields") };
    let time = |text: &str| PrimitiveDateTime::parse(text, TIME).map(PrimitiveDateTime::assume_utc).ok();
    let issue = Issue {
        serial: serial.parse().map_err(|_| "the first field must be a serial number in hexadecimal")?,
        role: Role::of_names([role]).ok_or("the second field must be a role such as urn:quiniela:agency:7")?,
        from: time(from).ok_or("the third field must be a time such as 2026-03-01T12:00:00Z")?,
        until: time(until).ok_or("the fourth field must be a time such as 2026-03-01T12:00:00Z")?,
        revoked: match revoked {
            "" => None,
            revoked => Some(time(revoked).ok_or("the fifth field must be a time, or nothing")?),
        },
    };
    Ok(issue)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::AgencyId;
    use time::macros::datetime;

    fn sample() -> Issued {
        let issue = |serial: &[u8], role, revoked| Issue {
            serial: Serial::new(serial),
            role,
            from: datetime!(2026-03-01 12:00:00 UTC),
            until: datetime!(2027-04-02 12:00:00 UTC),
            revoked,
        };
        let revoked = Some(datetime!(2026-05-06 07:08:09 UTC));
        Issued(vec![issue(&[0x4a, 1], Role::Central, None), issue(&[0x4b, 2], Role::Agency(AgencyId(7)), revoked)])
    }

    const SAMPLE: &str = "serial,role,from,until,revoked\n\
        4a01,urn:quiniela:central,2026-03-01T12:00:00Z,2027-04-02T12:00:00Z,\n\
        4b02,urn:quiniela:agency:7,2026-03-01T12:00:00Z,2027-04-02T12:00:00Z,2026-05-06T07:08:09Z\n";

    fn error_of(text: &str) -> String {
        let parsed = Issued::parse(Path::new("issued.csv"), text.as_bytes());
        parsed.map(|issued| issued.to_csv()).unwrap_err().to_string()
    }

    #[test]
    fn the_list_is_read_as_it_is_written() {
        assert_eq!(sample().to_csv(), SAMPLE);
        assert_eq!(Issued::parse(Path::new("issued.csv"), SAMPLE.as_bytes()).unwrap().0, sample().0);
    }

    #[test]
    fn damage_is_told_with_its_line() {
        for (old, new, told) in [
            ("serial,role", "role,serial", "issued.csv:1: the columns must be serial,role,"),
            ("4a01,", "xyz,", "issued.csv:2: the first field"),
            ("4a01,", "4b02,", "issued.csv:3: this serial number stands here twice"),
            ("agency:7", "agency:07", "issued.csv:3: the second field"),
            ("2027-04-02T12:00:00Z,\n", "2027-04-02T12:00:00Z\n", "issued.csv:2: a row has five fields"),
            (",2026-05-06", ",2026-15-06", "issued.csv:3: the fifth field"),
            ("07:08:09Z\n", "07:08:09Z", "issued.csv:3: the end of this line is missing"),
        ] {
            let error = error_of(&SAMPLE.replacen(old, new, 1));
            assert!(error.starts_with(told) && error.contains("restore"), "{error}");
        }
        assert!(error_of("").starts_with("issued.csv:1: "));
    }

    #[test]
    fn every_cut_and_every_other_byte_is_damage_or_another_list() {
        for end in 0..SAMPLE.len() {
            let cut = Issued::parse(Path::new("issued.csv"), &SAMPLE.as_bytes()[..end]);
            assert!(cut.is_err() || SAMPLE[..end].ends_with('\n'), "{end}");
        }
        for place in 0..SAMPLE.len() {
            let mut text = SAMPLE.as_bytes().to_vec();
            text[place] ^= 0x80;
            assert!(Issued::parse(Path::new("issued.csv"), &text).is_err(), "{place}");
        }
    }

    #[test]
    fn a_serial_number_is_read_in_the_forms_that_others_print() {
        let serial = Serial::new(&[0, 0x0a, 0xbc]);
        assert_eq!(serial.to_string(), "0abc");
        for text in ["0abc", "0ABC", "abc", "0A:BC", "00:0a:bc", "000000000000000000000000000000000000000000000abc"] {
            assert_eq!(text.parse(), Ok(serial.clone()), "{text}");
        }
        for text in ["", "0", "00", "xyz", "+1", "0x0a", "1 2", &"7f".repeat(21)] {
            assert!(text.parse::<Serial>().is_err(), "{text:?}");
        }
    }
}
