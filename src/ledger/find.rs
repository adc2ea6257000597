//! What can be told of a row by its text: whose it is, and whether it has won.

use memchr::{memchr, memmem, memrchr};

use crate::domain::{AgencyId, has_won};

/// The agency of a row, which is its first field.
pub fn agency_of(row: &[u8]) -> Option<AgencyId> {
    let digits = &row[..memchr(b',', row)?];
    str::from_utf8(digits).ok()?.parse().ok().map(AgencyId)
}

/// Finds the rows with the winning number. It searches whole rows for the text of that number between a comma and a line
/// end. Only the last field of a row can match: it is the number, stored without leading zeros, and no field holds a line end.
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

    /// Splits a row from its end, because only the names before document, date and number can hold commas.
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
    use crate::domain::{Bet, Rows};
    use proptest::prelude::*;

    fn rows(bets: &[[&str; 5]]) -> Rows {
        let mut rows = Rows::new(AgencyId(3));
        bets.iter().for_each(|fields| rows.push(&Bet::new(*fields).unwrap()));
        rows
    }

    #[test]
    fn winners_are_found_by_their_number_alone() {
        let rows = rows(&[
            ["A", "B", "11", "2000-01-01", "7574"],
            ["7574", ",7574", "7574", "2000-01-01", "17574"],
            ["C,\"", "D", "12", "2000-01-01", "75740"],
            ["x,7574", "D,7574", "13", "2000-01-01", "7574"],
        ]);
        let finder = WinnerFinder::new(7574);
        let winners: Vec<_> = finder.winners(rows.bytes()).collect();
        assert_eq!(winners, [(AgencyId(3), &b"11"[..]), (AgencyId(3), &b"13"[..])]);
    }

    proptest! {
        #[test]
        fn any_winner_is_found(
            names in prop::array::uniform2("[^|\\pC]{1,30}"), document in "[A-Za-z0-9.-]{1,32}", number in any::<u32>(),
        ) {
            let number_text = number.to_string();
            let fields = [&names[0][..], &names[1], &document, "1999-12-31", &number_text];
            let rows = rows(&[fields]);
            let finder = WinnerFinder::new(number);
            let winners: Vec<_> = finder.winners(rows.bytes()).collect();
            prop_assert_eq!(winners, [(AgencyId(3), document.as_bytes())]);
        }
    }
}
