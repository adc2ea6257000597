//! The canonical row of a bet: agency, first name, last name, document, birthdate, number, as Python's `csv.writer` writes
//! them. No value holds a line feed, so each row is one line.

use memchr::{memchr_iter, memchr2};

use super::plain::plain_bet;
use super::{AgencyId, Bet};

/// Rows of one agency. Memory is allocated only as rows are added, because thousands of peers may have begun a batch at once.
#[derive(Debug)]
pub struct Rows {
    /// The start of every row: the agency.
    start: String,
    bytes: Vec<u8>,
    count: u64,
}

impl Rows {
    pub fn new(agency: AgencyId) -> Rows {
        Rows { start: format!("{agency},"), bytes: Vec::new(), count: 0 }
    }

    pub fn push(&mut self, bet: &Bet<'_>) {
        self.bytes.extend_from_slice(self.start.as_bytes());
        self.push_name(bet.first_name);
        self.push_name(bet.last_name);
        for text in [bet.document, bet.birthdate] {
            self.bytes.extend_from_slice(text.as_bytes());
            self.bytes.push(b',');
        }
        self.end(itoa::Buffer::new().format(bet.number).as_bytes());
    }

    /// Adds a bet from the values in a message if the fast path recognises it. Otherwise this returns false and adds nothing,
    /// but the bet may still be valid.
    pub fn push_plain(&mut self, values: &str) -> bool {
        let bet = plain_bet(values.as_bytes(), b'|').filter(|bet| bet.end == values.len());
        if let Some(bet) = &bet {
            self.push_recognised(values.as_bytes(), &bet.separators);
        }
        bet.is_some()
    }

    /// Adds a bet that [`plain_bet`] has recognised, given the places of its separators.
    pub fn push_recognised(&mut self, values: &[u8], separators: &[usize; 4]) {
        let start = self.bytes.len() + self.start.len();
        self.bytes.extend_from_slice(self.start.as_bytes());
        self.end(values);
        separators.iter().for_each(|separator| self.bytes[start + separator] = b',');
    }

    /// Removes all rows, and keeps their memory for new ones.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    /// Takes the bytes of the rows out, to be brought back before anything else is done.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    pub fn bring_back(&mut self, bytes: Vec<u8>) {
        self.bytes = bytes;
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Splits the text behind this many rows.
    pub fn split_at(&self, rows: u64) -> (&[u8], &[u8]) {
        let Some(last) = rows.checked_sub(1) else { return (&[], &self.bytes) };
        let end = usize::try_from(last).ok().and_then(|last| memchr_iter(b'\n', &self.bytes).nth(last));
        self.bytes.split_at(end.map_or(self.bytes.len(), |end| end + 1))
    }

    /// Only names may need quotes, because of a comma or a quote: no other value, and no other character, does.
    fn push_name(&mut self, name: &str) {
        if memchr2(b',', b'"', name.as_bytes()).is_none() {
            self.bytes.extend_from_slice(name.as_bytes());
        } else {
            self.bytes.push(b'"');
            for piece in name.split_inclusive('"') {
                self.bytes.extend_from_slice(piece.as_bytes());
                self.bytes.extend(piece.ends_with('"').then_some(b'"'));
            }
            self.bytes.push(b'"');
        }
        self.bytes.push(b',');
    }

    fn end(&mut self, last: &[u8]) {
        self.bytes.extend_from_slice(last);
        self.bytes.extend_from_slice(b"\r\n");
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::fuzzing::{both_paths as plain, read_by_others, rows_of as rows};
    use proptest::prelude::*;

    #[test]
    fn rows_are_quoted_only_where_python_quotes_them() {
        let rows = rows(&[
            ["Santiago Lionel", "Lorca", "30904465", "1999-03-17", "02201"],
            ["María, la \"Negra\"", "O'Higgins", "1", "2000-01-01", "0"],
            [" Ana ", "#;'", "a-b.c", "2000-01-01", "7574"],
        ]);
        let expected = "3,Santiago Lionel,Lorca,30904465,1999-03-17,2201\r\n\
                        3,\"María, la \"\"Negra\"\"\",O'Higgins,1,2000-01-01,0\r\n\
                        3, Ana ,#;',a-b.c,2000-01-01,7574\r\n";
        assert_eq!(str::from_utf8(rows.bytes()).unwrap(), expected);
    }

    #[test]
    fn rows_can_be_parted() {
        let text = rows(&[["A", "B", "1", "2000-01-01", "1"], ["C", "D", "2", "2000-01-01", "2"]]);
        let (one, two) = (&b"3,A,B,1,2000-01-01,1\r\n"[..], &b"3,C,D,2,2000-01-01,2\r\n"[..]);
        assert_eq!(text.split_at(0), (&[][..], text.bytes()));
        assert_eq!(text.split_at(1), (one, two));
        assert_eq!(text.split_at(2), (text.bytes(), &[][..]));
        assert_eq!(text.split_at(3), (text.bytes(), &[][..]));
    }

    #[test]
    fn the_fast_path_takes_what_most_lines_hold() {
        let (name, document) = ("ñ".repeat(50), "9".repeat(32));
        let long = format!("{name}|{name}|{document}|2000-02-29|999999999");
        for values in ["Santiago Lionel|Lorca|30904465|1999-03-17|7574", " Ana |O'Paz|a-b.c|0001-01-01|0", &long] {
            assert!(plain(values), "{values}");
        }
    }

    #[test]
    fn the_fast_path_leaves_to_the_slow_one_what_needs_quotes_or_changes_or_an_explanation() {
        let long = "x".repeat(101);
        let good = ["Ana", "Paz", "1", "2000-01-01", "7"];
        let others = [
            (0, &["", "A,B", "\"A\"", "A\tB", "A\u{85}", "A\u{7f}", "A\r", &long][..]),
            (1, &["", "A,B", "A|B", "A\nB", &long]),
            (2, &["", "1 2", "1,2", "ñ", &long]),
            (3, &["", "2001-02-29", "1900-02-29", "2000-00-01", "2000-1-01", "0000-01-01", "2000-01-01 "]),
            (4, &["", "00", "07", "-1", "1 ", "1|2", "4294967295", "4294967296", "7\r"]),
        ];
        for (place, values) in others {
            for value in values {
                let mut fields = good;
                fields[place] = value;
                assert!(!plain(&fields.join("|")), "{fields:?}");
            }
        }
        assert!(plain(&good.join("|")) && !plain(&good[..4].join("|")) && !plain(""));
    }

    proptest! {
        #[test]
        fn any_row_can_be_read_by_a_csv_reader(
            names in prop::array::uniform2("[^|\\pC]{1,30}"), document in "[A-Za-z0-9.-]{1,32}", number in any::<u32>(),
        ) {
            let number = number.to_string();
            read_by_others([&names[0], &names[1], &document, "1999-12-31", &number]);
        }

        #[test]
        fn both_paths_make_the_same_row_of_anything(
            names in prop::array::uniform2("[^|]{0,3}|[a-zñ]{95,105}|[ -~&&[^|]]{1,9}"),
            document in "[A-Za-z0-9.-]{0,34}|.{0,3}",
            date in "(19|20)[0-9]{2}-(0[0-9]|1[0-3])-([0-2][0-9]|3[0-2])|[0-9-]{9,11}",
            number in "[0-9]{0,11}|.{0,2}|429496729[0-9]",
            rest in "|\\|[0-9]?|.",
        ) {
            let values = format!("{}|{}|{document}|{date}|{number}{rest}", names[0], names[1]);
            plain(&values);
        }

        #[test]
        fn no_text_at_all_becomes_a_row_that_the_rules_forbid(text in ".{0,80}|[a1|,\"\\-\u{80}\r\n]{0,40}") {
            plain(&text);
        }
    }

    #[test]
    fn rows_are_taken_out_brought_back_and_cleared() {
        let bet = ["A", "B", "1", "2000-01-01", "1"];
        let (mut changed, two) = (rows(&[bet]), rows(&[bet, bet]));
        let mut bytes = changed.take_bytes();
        assert_eq!((changed.bytes(), &bytes[..]), (&[][..], two.split_at(1).0));
        bytes.push(b'x');
        changed.bring_back(bytes);
        assert_eq!(changed.bytes().strip_suffix(b"x"), Some(two.split_at(1).0));
        changed.clear();
        assert_eq!((changed.bytes(), changed.count()), (&[][..], 0));
    }
}
