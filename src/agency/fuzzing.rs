//! What has to hold of an agency's file, whatever bytes it has. See `src/fuzzing.rs`.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::{Seek as _, Write as _};

use memchr::memchr_iter;

use super::dataset::Dataset;
use super::reader::{BYTE_ORDER_MARK, Position, Reader, Source};
use crate::domain::{AgencyId, Bet, Rows, has_won};
use crate::wire::BetLine;

/// A row: where it begins, its fields, and whether it was recognised as a plain bet.
pub type Row = (Position, Vec<Vec<u8>>, bool);

/// The first two bytes choose rows to return to, and the rest is the file.
pub fn agency_file(bytes: &[u8]) {
    let Some((places, text)) = bytes.split_first_chunk::<2>() else { return };
    rows_are_those_of_the_csv_crate(text, &places.map(usize::from));
    lines_and_rows_are_of_the_same_bet(text);
}

/// Rows and their places are those that the csv crate finds, also after a return to any of these rows.
pub fn rows_are_those_of_the_csv_crate(bytes: &[u8], places: &[usize]) {
    let expected = rows_by_the_book(bytes);
    let mut reader = reader(bytes);
    let mut ends = Vec::new();
    for (position, fields) in &expected {
        let (found_position, found, _) = next(&mut reader).unwrap();
        assert_eq!((found_position, &found), (*position, fields));
        ends.push(reader.position);
    }
    assert_eq!(next(&mut reader), None);
    assert_eq!(next(&mut reader), None);
    for place in places.iter().filter(|_| !expected.is_empty()) {
        let row = place % expected.len();
        for (place, row) in [(expected[row].0, row), (ends[row], row + 1)] {
            reader.seek(place).unwrap();
            for row in [row, row + 1] {
                let found = next(&mut reader).map(|(position, fields, _)| (position, fields));
                assert_eq!(found.as_ref(), expected.get(row));
            }
        }
    }
}

/// What is sent of a row, what is hashed of it and whether it has won all come from one bet. An error names the file and the
/// line.
fn lines_and_rows_are_of_the_same_bet(bytes: &[u8]) {
    let source = Source::Whole(file_of(bytes));
    let mut dataset = match Dataset::of("data/agency-3.csv".as_ref(), bytes.len() as u64, source) {
        Ok(dataset) => dataset,
        Err(error) => return assert_names_its_line(&error.to_string(), bytes),
    };
    let mut last = dataset.start.position;
    loop {
        match dataset.advance() {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return assert_names_its_line(&error.to_string(), bytes),
        }
        assert!(dataset.mark().position.byte >= last.byte && dataset.next_mark().position.byte > last.byte);
        last = dataset.next_mark().position;
        let mut line = Vec::new();
        dataset.push_line(&mut line);
        let line = str::from_utf8(&line).unwrap();
        assert!(!line.contains(char::is_control), "the wire cannot carry it: {line:?}");
        assert_eq!(line.split('|').count(), dataset.value_count());
        let bet = (dataset.value_count() == 5).then(|| BetLine::parse(line).unwrap().fields);
        let bet = bet.and_then(|fields| Bet::new(fields).ok());
        let (mut rows, mut expected) = (Rows::new(AgencyId(3)), Rows::new(AgencyId(3)));
        assert_eq!(dataset.push_row(&mut rows), bet.is_some(), "{line}");
        bet.iter().for_each(|bet| expected.push(bet));
        assert_eq!(rows.bytes(), expected.bytes());
        for number in [7, 7574] {
            let won = bet.filter(|bet| has_won(bet.number, number)).map(|bet| bet.document);
            assert_eq!(dataset.winner(number), won);
        }
    }
    assert!(last.byte <= bytes.len() as u64);
}

fn assert_names_its_line(error: &str, bytes: &[u8]) {
    let line = error.strip_prefix("agency-3.csv:").or(error.strip_prefix("data/agency-3.csv:"));
    let line = line.and_then(|rest| rest.split(':').next()?.parse::<usize>().ok());
    let lines = 1 + memchr_iter(b'\n', bytes).count();
    assert!(line.is_some_and(|line| (1..=lines).contains(&line)), "{error}");
    assert!(!error.contains(char::is_control), "{error:?}");
}

pub fn reader(bytes: &[u8]) -> Reader {
    Reader::new(Source::Whole(file_of(bytes)))
}

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file
}

pub fn next(reader: &mut Reader) -> Option<Row> {
    reader.read().unwrap().then(|| {
        let mut fields: Vec<Vec<u8>> = reader.fields().map(<[u8]>::to_vec).collect();
        assert_eq!(reader.field_bytes(), fields.concat());
        assert_eq!(reader.broken_field(), fields.iter().position(|field| str::from_utf8(field).is_err()));
        let mut line = Vec::new();
        reader.push_line(&mut line);
        if reader.plain().is_some() {
            assert!(!str::from_utf8(&line).unwrap().chars().any(char::is_control) && fields.is_empty());
            fields = line.split(|byte| *byte == b'|').map(<[u8]>::to_vec).collect();
        }
        assert_eq!(line, fields.join(&b'|'));
        (reader.row_position, fields, reader.plain().is_some())
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
