//! The rows of `bets.csv`: agency, first name, last name, document, birthdate, number, as Python's `csv.writer` writes
//! them. No value holds a line feed, so a line is a row and a row is a line.

use std::io;

use csv::{QuoteStyle, Terminator, Writer, WriterBuilder};
use memchr::{memchr, memchr_iter, memmem, memrchr};

use crate::domain::{AgencyId, Bet, has_won};

/// What the CSV writer gathers before it hands it on. Thousands of peers may have begun a batch at once, so rows take hold of
/// memory only as they come.
const WRITER_BYTES: usize = 1024;

/// Rows on their way to the ledger.
pub struct Rows {
    writer: Writer<Vec<u8>>,
    count: u64,
    digits: itoa::Buffer,
}

/// The finished text of some rows.
pub struct RowsText {
    pub bytes: Vec<u8>,
    pub count: u64,
}

impl Rows {
    pub fn new() -> Rows {
        let writer = WriterBuilder::new()
            .quote_style(QuoteStyle::Necessary)
            .terminator(Terminator::CRLF)
            .flexible(true)
            .buffer_capacity(WRITER_BYTES)
            .from_writer(Vec::new());
        Rows { writer, count: 0, digits: itoa::Buffer::new() }
    }

    pub fn push(&mut self, agency: AgencyId, bet: &Bet<'_>) -> io::Result<()> {
        self.field(agency.0)?;
        for text in [bet.first_name, bet.last_name, bet.document, bet.birthdate] {
            self.writer.write_field(text)?;
        }
        self.field(bet.number)?;
        self.writer.write_record(None::<&[u8]>)?;
        self.count += 1;
        Ok(())
    }

    pub fn finish(self) -> io::Result<RowsText> {
        let bytes = self.writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
        Ok(RowsText { bytes, count: self.count })
    }

    fn field(&mut self, value: u32) -> io::Result<()> {
        Ok(self.writer.write_field(self.digits.format(value))?)
    }
}

impl Default for Rows {
    fn default() -> Rows {
        Rows::new()
    }
}

impl RowsText {
    /// The rows without the first few of them.
    pub fn skip(&self, rows: u64) -> &[u8] {
        let Some(last) = rows.checked_sub(1) else { return &self.bytes };
        let end = usize::try_from(last).ok().and_then(|last| memchr_iter(b'\n', &self.bytes).nth(last));
        end.map_or(&[], |end| &self.bytes[end + 1..])
    }
}

/// The agency of a row, which is its first field.
pub fn agency_of(row: &[u8]) -> Option<AgencyId> {
    let digits = &row[..memchr(b',', row)?];
    str::from_utf8(digits).ok()?.parse().ok().map(AgencyId)
}

/// Finds the rows of the winning number in text that holds whole rows. The number is a row's last field, is stored
/// without zeros before it, and no other field can hold its line end, so its text finds it.
pub struct WinnerFinder {
    winning_number: u32,
    needle: memmem::Finder<'static>,
}

impl WinnerFinder {
    pub fn new(winning_number: u32) -> WinnerFinder {
        let needle = memmem::Finder::new(format!(",{winning_number}\r\n").as_bytes()).into_owned();
        WinnerFinder { winning_number, needle }
    }

    /// The agency and the document of every winner, in the order of the rows.
    pub fn winners<'a>(&'a self, rows: &'a [u8]) -> impl Iterator<Item = (AgencyId, &'a [u8])> + 'a {
        self.needle.find_iter(rows).filter_map(|found| {
            let start = memrchr(b'\n', &rows[..found]).map_or(0, |line_feed| line_feed + 1);
            let row = &rows[start..found + self.needle.needle().len()];
            self.winner(row)
        })
    }

    /// Documents, dates and numbers hold no comma and are never quoted, so they can be split off a row's end.
    fn winner<'a>(&self, row: &'a [u8]) -> Option<(AgencyId, &'a [u8])> {
        let mut from_end = row.strip_suffix(b"\r\n")?.rsplit(|byte| *byte == b',');
        let number = str::from_utf8(from_end.next()?).ok()?.parse().ok()?;
        let document = from_end.nth(1)?;
        has_won(number, self.winning_number).then_some((agency_of(row)?, document))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(bets: &[[&str; 5]]) -> RowsText {
        let mut rows = Rows::new();
        bets.iter().for_each(|fields| rows.push(AgencyId(3), &Bet::new(*fields).unwrap()).unwrap());
        rows.finish().unwrap()
    }

    #[test]
    fn rows_are_quoted_only_where_python_quotes_them() {
        let text = rows(&[
            ["Santiago Lionel", "Lorca", "30904465", "1999-03-17", "02201"],
            ["María, la \"Negra\"", "O'Higgins", "1", "2000-01-01", "0"],
            [" Ana ", "#;'", "a-b.c", "2000-01-01", "7574"],
        ]);
        let expected = "3,Santiago Lionel,Lorca,30904465,1999-03-17,2201\r\n\
                        3,\"María, la \"\"Negra\"\"\",O'Higgins,1,2000-01-01,0\r\n\
                        3, Ana ,#;',a-b.c,2000-01-01,7574\r\n";
        assert_eq!(String::from_utf8(text.bytes).unwrap(), expected);
    }

    #[test]
    fn rows_can_be_left_out_from_the_front() {
        let text = rows(&[["A", "B", "1", "2000-01-01", "1"], ["C", "D", "2", "2000-01-01", "2"]]);
        assert_eq!(text.skip(0).len(), text.bytes.len());
        assert_eq!(text.skip(1), b"3,C,D,2,2000-01-01,2\r\n");
        assert_eq!(text.skip(2), b"");
        assert_eq!(text.skip(3), b"");
    }

    #[test]
    fn winners_are_found_by_their_number_alone() {
        let text = rows(&[
            ["A", "B", "11", "2000-01-01", "7574"],
            ["7574", ",7574", "7574", "2000-01-01", "17574"],
            ["C,\"", "D", "12", "2000-01-01", "75740"],
            ["x,7574", "D,7574", "13", "2000-01-01", "7574"],
        ]);
        let finder = WinnerFinder::new(7574);
        let winners: Vec<_> = finder.winners(&text.bytes).collect();
        assert_eq!(winners, [(AgencyId(3), &b"11"[..]), (AgencyId(3), &b"13"[..])]);
    }

    proptest! {
        #[test]
        fn any_row_can_be_read_by_a_csv_reader(
            names in prop::array::uniform2("[^|\\pC]{1,30}"), document in "[A-Za-z0-9.-]{1,32}", number in any::<u32>(),
        ) {
            let number_text = number.to_string();
            let fields = [&names[0][..], &names[1], &document, "1999-12-31", &number_text];
            let text = rows(&[fields]);
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&text.bytes[..]);
            let record = reader.records().next().unwrap().unwrap();
            prop_assert_eq!(&record[0], "3");
            prop_assert!(record.iter().skip(1).eq(fields.iter().copied()));
            let finder = WinnerFinder::new(number);
            let winners: Vec<_> = finder.winners(&text.bytes).collect();
            prop_assert_eq!(winners, [(AgencyId(3), document.as_bytes())]);
        }
    }
}
