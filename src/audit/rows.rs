//! The rows of `bets.csv`: read by the csv crate, checked against the rules of a bet, and written again as they must be.

use csv::{ReaderBuilder, StringRecord};

use crate::domain::Bet;

/// Bytes that the CSV reader takes at once.
const READER_BYTES: usize = 64 * 1024;

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

/// Reads a text that is to be made of whole rows, of agencies from 1 to this one.
pub fn read(text: &[u8], agencies: u32, rows: &mut Vec<Row>) -> Result<(), Bad> {
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).buffer_capacity(READER_BYTES).from_reader(text);
    let (mut record, mut written) = (StringRecord::new(), Vec::new());
    // No value can hold a line feed. So each row is a line, and if each line is what its row must look like, the reader and
    // this loop are at the same place.
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let row = next(&mut reader, &mut record, agencies, &mut written)
            .and_then(|row| if written == line { Ok(row) } else { Err(unlike(line, &written)) })
            .map_err(|reason| Bad { row: rows.len() as u64, reason })?;
        rows.push(row);
    }
    Ok(())
}

fn next(
    reader: &mut csv::Reader<&[u8]>,
    record: &mut StringRecord,
    agencies: u32,
    written: &mut Vec<u8>,
) -> Result<Row, String> {
    let more = reader.read_record(record).map_err(|error| format!("it cannot be read: {error}"))?;
    if !more {
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
    Ok(Row { agency, number: bet.number, bytes: written.len() })
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

    const GOOD: &str = "1,Ana,Paz,1,2000-01-01,7574\r\n3,José,\"Paz, \"\"Ñato\"\"\",2,2000-01-01,0\r\n";

    #[test]
    fn rows_are_read_as_python_writes_them() {
        assert_eq!(rows(GOOD), Ok(vec![(1, 7574, 29), (3, 0, 41)]));
        assert_eq!(rows(""), Ok(vec![]));
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
            ("\r\n1,Ana,Paz,1,2000-01-01,7\r\n", "not in the form"),
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
