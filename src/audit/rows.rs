//! The rows of `bets.csv`: read by the csv crate, checked against the rules of a bet, and written again as they must be.

use csv::{ReaderBuilder, StringRecord};
use memchr::{memchr, memchr_iter};

use crate::domain::Bet;

/// A row of `bets.csv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub agency: u32,
    pub number: u32,
    /// With its line end.
    pub bytes: usize,
}

/// A row that no central writes: how many rows stand before it in the text, and what is wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Bad {
    pub row: u64,
    pub reason: String,
}

/// Reads a text that is to be made of whole rows, of agencies from 1 to this one. No value can hold a line feed, so a row is a
/// line.
pub fn read(text: &[u8], agencies: u32, rows: &mut Vec<Row>) -> Result<(), Bad> {
    let (mut start, mut others, mut places) = (0, Vec::new(), Vec::new());
    while start < text.len() {
        let end = memchr(b'\n', &text[start..]).map_or(text.len(), |at| start + at + 1);
        let line = &text[start..end];
        start = end;
        let row = plain(line).filter(|row| row.agency <= agencies).unwrap_or_else(|| {
            others.extend_from_slice(line);
            places.push(rows.len());
            Row { agency: 0, number: 0, bytes: line.len() }
        });
        rows.push(row);
    }
    // Those behind a bad row may not have been read yet.
    by_reader(&others, agencies, &places, rows).inspect_err(|bad| rows.truncate(bad.row as usize))
}

/// Reads lines by the csv crate, and compares each with what its row must look like. While they are the same, the reader and
/// this loop are at the same place. The rows belong at these places.
fn by_reader(lines: &[u8], agencies: u32, places: &[usize], rows: &mut [Row]) -> Result<(), Bad> {
    if places.is_empty() {
        return Ok(());
    }
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(lines);
    let (mut record, mut written) = (StringRecord::new(), Vec::new());
    for (place, line) in places.iter().zip(lines.split_inclusive(|byte| *byte == b'\n')) {
        rows[*place] = next(&mut reader, &mut record, line, agencies, &mut written)
            .map_err(|reason| Bad { row: *place as u64, reason })?;
    }
    Ok(())
}

fn next(
    reader: &mut csv::Reader<&[u8]>,
    record: &mut StringRecord,
    line: &[u8],
    agencies: u32,
    written: &mut Vec<u8>,
) -> Result<Row, String> {
    if !reader.read_record(record).map_err(|error| format!("it cannot be read: {error}"))? {
        return Err("it is no row".to_owned());
    }
    let mut values = record.iter();
    let agency = values.next().unwrap_or_default();
    let agency = number(agency)
        .filter(|agency| (1..=agencies).contains(agency))
        .ok_or_else(|| format!("its first value is no agency from 1 to {agencies}, as the acta has them"))?;
    let bet = bet(values)?;
    written.clear();
    write(agency, &bet, written);
    if written == line { Ok(Row { agency, number: bet.number, bytes: line.len() }) } else { Err(unlike(line, written)) }
}

/// A row as most are, whose rules can be seen at a glance: it has no quotes, so that commas alone tell its values apart. The
/// csv crate takes several times as long, and reads all others.
fn plain(line: &[u8]) -> Option<Row> {
    let body = line.strip_suffix(b"\r\n")?;
    // The fold reads all of them, because a loop that may end early cannot be vectorised.
    let is_odd = |byte: u8| (byte < b' ') | (byte == 0x7f) | (byte == b'"') | (byte == b'|');
    if body.iter().fold(false, |any, byte| any | is_odd(*byte)) {
        return None;
    }
    if !body.is_ascii() && str::from_utf8(body).ok()?.chars().any(char::is_control) {
        return None;
    }
    let (mut commas, mut count) = ([0; 5], 0);
    for comma in memchr_iter(b',', body) {
        *commas.get_mut(count)? = comma;
        count += 1;
    }
    if count != commas.len() {
        return None;
    }
    let [one, two, three, four, five] = commas;
    let is_name = |name: &[u8]| (1..=100).contains(&name.len());
    let is_document = |document: &[u8]| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() | (byte == b'.') | (byte == b'-');
        (1..=32).contains(&document.len()) && document.iter().fold(true, |all, byte| all & is_plain(*byte))
    };
    let are_kept = is_name(&body[one + 1..two])
        && is_name(&body[two + 1..three])
        && is_document(&body[three + 1..four])
        && is_early_date(&body[four + 1..five]);
    let agency = short_number(&body[..one]).filter(|agency| are_kept && *agency > 0)?;
    Some(Row { agency, number: short_number(&body[five + 1..])?, bytes: line.len() })
}

/// A date whose month certainly has such a day.
fn is_early_date(date: &[u8]) -> bool {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = date else { return false };
    let are_digits = [y1, y2, y3, y4, m1, m2, d1, d2].iter().fold(true, |all, digit| all & digit.is_ascii_digit());
    let two = |high: u8, low: u8| high.wrapping_sub(b'0').wrapping_mul(10).wrapping_add(low.wrapping_sub(b'0'));
    let (month, day, has_year) = (two(m1, m2), two(d1, d2), [y1, y2, y3, y4] != *b"0000");
    let last = if month == 2 { 28 } else { 30 };
    are_digits && has_year && (1..=12).contains(&month) && (1..=last).contains(&day)
}

/// A number of up to nine digits in its one form.
fn short_number(text: &[u8]) -> Option<u32> {
    let has_form = (1..=9).contains(&text.len()) && (text.len() == 1 || text[0] != b'0');
    let digit = |sum: u32, digit: &u8| digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0'));
    if has_form { text.iter().try_fold(0, digit) } else { None }
}

/// A bet of its five values.
pub fn bet<'a>(values: impl Iterator<Item = &'a str>) -> Result<Bet<'a>, String> {
    let mut five = [""; 5];
    let mut count = 0;
    for value in values {
        if let Some(place) = five.get_mut(count) {
            *place = value;
        }
        count += 1;
    }
    if count != five.len() {
        return Err(format!("it has {count} values of a bet, and must have {}", five.len()));
    }
    Bet::new(five).map_err(|error| format!("its {error}"))
}

/// Writes a bet's one form, as Python's `csv.writer` would: quotes only around what holds a comma or a quote.
pub fn write(agency: u32, bet: &Bet<'_>, row: &mut Vec<u8>) {
    row.extend_from_slice(itoa::Buffer::new().format(agency).as_bytes());
    for value in [bet.first_name, bet.last_name, bet.document, bet.birthdate] {
        row.push(b',');
        if value.bytes().any(|byte| byte == b',' || byte == b'"') {
            row.extend_from_slice(format!("\"{}\"", value.replace('"', "\"\"")).as_bytes());
        } else {
            row.extend_from_slice(value.as_bytes());
        }
    }
    row.push(b',');
    row.extend_from_slice(itoa::Buffer::new().format(bet.number).as_bytes());
    row.extend_from_slice(b"\r\n");
}

/// A whole number in its one form.
pub fn number(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

fn unlike(line: &[u8], written: &[u8]) -> String {
    if !line.ends_with(b"\n") {
        return "it does not end as a row does, with a carriage return and a line feed: the file is cut".to_owned();
    }
    let same = line.iter().zip(written).take_while(|(one, other)| one == other).count();
    format!("it is not in the form in which a central writes it, from byte {} of the line on", same + 1)
}

/// Whether a line is seen at a glance. It is what the csv crate reads then.
#[cfg(any(test, fuzzing))]
pub fn both_ways(line: &[u8]) -> bool {
    let Some(row) = plain(line) else { return false };
    assert_eq!(read_alone(line), Some(row), "{}", String::from_utf8_lossy(line));
    true
}

#[cfg(any(test, fuzzing))]
fn read_alone(line: &[u8]) -> Option<Row> {
    let mut rows = [Row { agency: 0, number: 0, bytes: 0 }];
    by_reader(line, u32::MAX, &[0], &mut rows).ok().map(|()| rows[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agency, a number and a length.
    type Short = (u32, u32, usize);

    fn rows(text: &str) -> Result<Vec<Short>, (u64, String)> {
        let mut rows = Vec::new();
        read(text.as_bytes(), 3, &mut rows).map_err(|bad| (bad.row, bad.reason))?;
        Ok(rows.iter().map(|row| (row.agency, row.number, row.bytes)).collect())
    }

    #[test]
    fn nothing_is_told_of_rows_behind_a_bad_one() {
        let mut read_rows = Vec::new();
        let text = format!("{GOOD}x\r\n1,\"A,B\",Paz,1,2000-01-01,7574\r\n");
        assert_eq!(read(text.as_bytes(), 3, &mut read_rows).unwrap_err().row, 2);
        assert!(read_rows.len() == 2 && read_rows.iter().all(|row| row.agency > 0), "{read_rows:?}");
    }

    const GOOD: &str = "1,Ana,Paz,1,2000-01-01,7574\r\n3,José,\"Paz, \"\"Ñato\"\"\",2,2000-01-01,0\r\n";

    #[test]
    fn rows_are_read_as_python_writes_them() {
        assert_eq!(rows(GOOD), Ok(vec![(1, 7574, 29), (3, 0, 41)]));
        assert_eq!(rows(""), Ok(vec![]));
    }

    #[test]
    fn what_is_seen_at_a_glance_is_what_the_reader_reads() {
        let mut rng = fastrand::Rng::with_seed(12);
        let mut seen = 0;
        for _ in 0..50_000 {
            let mut line = "3,Juan,De la Peña,1.2-A,2000-12-28,7574\r\n".as_bytes().to_vec();
            for _ in 0..rng.usize(0..3) {
                let at = rng.usize(0..line.len());
                match rng.u8(0..3) {
                    0 => line[at] = *rng.choice(b",\"|\r\n 0123459-.A\x7f\xc3\xb1").unwrap(),
                    1 => line.insert(at, *rng.choice(b",\"|\r 013-Z").unwrap()),
                    _ => drop(line.remove(at)),
                }
            }
            seen += u32::from(both_ways(&line));
        }
        assert!(seen > 10_000, "{seen}");
        for (name, document) in [("A".repeat(100), "1".repeat(32)), ("A".repeat(101), "1".repeat(33))] {
            for line in [format!("1,{name},B,1,2000-01-01,7\r\n"), format!("1,B,B,{document},2000-01-01,7\r\n")] {
                assert_eq!(plain(line.as_bytes()).is_some(), read_alone(line.as_bytes()).is_some(), "{line}");
            }
        }
    }

    #[test]
    fn every_other_form_is_named_by_its_row() {
        let first = "1,Ana,Paz,1,2000-01-01,7\r\n";
        for (second, reason) in [
            ("1,Ana,Paz,1,2000-01-01,07\r\n", "from byte 24 of the line"),
            ("1,\"Ana\",Paz,1,2000-01-01,7\r\n", "from byte 3 of the line"),
            ("1,Ana,Paz,1,2000-01-01,7\n", "from byte 25 of the line"),
            ("1,Ana,Paz,1,2000-01-01,7\r\r\n", "not in the form"),
            ("1,Ana,Paz,1,2000-01-01,7", "the file is cut"),
            ("1,Ana,Paz,1,2000-01-01,7\r", "the file is cut"),
            ("\r\n", "it is no row"),
            ("\r\n1,Ana,Paz,1,2000-01-01,7\r\n", "it is no row"),
            ("01,Ana,Paz,1,2000-01-01,7\r\n", "no agency from 1 to 3"),
            ("4,Ana,Paz,1,2000-01-01,7\r\n", "no agency from 1 to 3"),
            ("0,Ana,Paz,1,2000-01-01,7\r\n", "no agency from 1 to 3"),
            ("Ana,Paz,1,2000-01-01,7\r\n", "no agency from 1 to 3"),
            ("1,Ana,Paz,1,2000-01-01\r\n", "it has 4 values"),
            ("1,Ana,Paz,1,2000-01-01,7,\r\n", "it has 6 values"),
            ("1,,Paz,1,2000-01-01,7\r\n", "its first name \"\" is empty"),
            ("1,Ana,Paz,1,2001-02-29,7\r\n", "its birthdate"),
            ("1,\"A\r\nna\",Paz,1,2000-01-01,7\r\n", "its first name"),
            ("1,Ana,Paz,1,2000-01-01,4294967296\r\n", "its number"),
        ] {
            let (row, found) = rows(&format!("{first}{second}")).unwrap_err();
            assert!(row == 1 && found.contains(reason), "{second:?}: {row}: {found}");
        }
        let mut found = Vec::new();
        let bad = read(b"1,\xff,Paz,1,2000-01-01,7\r\n", 3, &mut found).unwrap_err();
        assert!(bad.row == 0 && bad.reason.starts_with("it cannot be read"), "{bad:?}");
    }
}
