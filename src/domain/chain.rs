//! The chain of an agency's bets: a running checksum over its rows in order, so that it can be told whether two sides mean
//! the same bets and not only as many.

use std::fmt;
use std::str::FromStr;

use crc32fast::Hasher;

/// CRC-32 (zlib's) over whole rows as `bets.csv` has them, agency and line end included. Its value is its whole state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksum(pub u32);

/// Where an agency says that its bets stand in its sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// How many of the agency's bets stand before them.
    pub first: u64,
    /// The checksum of those, if the agency keeps one.
    pub before: Option<Checksum>,
}

impl Checksum {
    /// The checksum once these rows follow.
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

/// What [`Checksum`] prints, and no other form of it.
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
