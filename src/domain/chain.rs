//! A running checksum over an agency's rows in order. By comparing it, central and agency find out whether they hold the same
//! bets, and not only the same number of bets.

use std::fmt;
use std::str::FromStr;

use crc32fast::Hasher;

/// The CRC-32 (zlib's) of whole rows as `bets.csv` has them, agency and line end included. It can be extended by more rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksum(pub u32);

/// The place of bets in their agency's sequence, as the agency gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The number of the agency's bets before them.
    pub first: u64,
    /// The checksum of the bets before them, if the agency keeps one.
    pub before: Option<Checksum>,
}

impl Checksum {
    /// The checksum of the rows so far and these.
    pub fn extended(self, rows: &[u8]) -> Checksum {
        let mut hasher = Hasher::new_with_initial(self.0);
        hasher.update(rows);
        Checksum(hasher.finalize())
    }
}

/// Eight lowercase hexadecimal digits.
impl fmt::Display for Checksum {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:08x}", self.0)
    }
}

/// Accepts only the form that [`Checksum`] prints.
impl FromStr for Checksum {
    type Err = ();

    fn from_str(text: &str) -> Result<Checksum, ()> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_one = text.len() == 8 && text.bytes().all(is_digit);
        u32::from_str_radix(text, 16).ok().filter(|_| is_one).map(Checksum).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_goes_on_where_it_was() {
        // As Python's zlib.crc32 has them.
        assert_eq!(Checksum::default().extended(b"123456789").to_string(), "cbf43926");
        assert_eq!(Checksum::default().extended(b"1234").extended(b"56789").to_string(), "cbf43926");
        assert_eq!(Checksum::default().extended(b"").to_string(), "00000000");
    }

    #[test]
    fn its_text_has_one_form() {
        assert_eq!("0000abcd".parse(), Ok(Checksum(0xabcd)));
        for text in ["", "abcd", "0000ABCD", "00000abcd", "+000abcd", "0000abcg", "0x00abcd"] {
            assert_eq!(text.parse::<Checksum>(), Err(()), "{text}");
        }
    }
}
