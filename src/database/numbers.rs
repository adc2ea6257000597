//! The digest of a batch's numbers, which a draw searches instead of its rows: it is a twentieth of their size.

use memchr::memchr_iter;

/// The low 16 bits of each row's number, the higher byte first. The rows are as `bets.csv` has them.
pub fn digest(rows: &[u8]) -> Vec<u8> {
    let mut digest = Vec::with_capacity(rows.len() / 16);
    let mut start = 0;
    for end in memchr_iter(b'\n', rows) {
        digest.extend(key(last_digits(&rows[start..end])));
        start = end + 1;
    }
    digest
}

/// What the digest of a batch holds if a bet of it has this number. It may hold it without: what is cut off is what the digest lacks,
/// and two bets side by side have it too.
pub fn key(number: u32) -> [u8; 2] {
    (number as u16).to_be_bytes()
}

/// The number at the end of a row, in front of its line end.
fn last_digits(row: &[u8]) -> u32 {
    let row = row.strip_suffix(b"\r").unwrap_or(row);
    let digits = row.iter().rev().take_while(|byte| byte.is_ascii_digit());
    let (number, _) = digits.fold((0_u32, 1_u32), |(number, place), digit| {
        (number.wrapping_add(u32::from(digit - b'0').wrapping_mul(place)), place.wrapping_mul(10))
    });
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_has_the_low_bits_of_each_number_in_order() {
        let rows =
            b"1,Ana,Paz,1,2000-01-01,7574\r\n2,\"Gil, 99\",Paz,2,2000-01-01,0\r\n3,A,B,3,2000-01-01,4294967295\r\n";
        assert_eq!(digest(rows), [0x1d, 0x96, 0, 0, 0xff, 0xff]);
        assert!(digest(b"").is_empty());
    }

    #[test]
    fn the_key_of_each_number_is_in_the_digest_of_a_row_that_has_it() {
        for number in (0..=70_000).chain([u32::MAX - 1, u32::MAX]) {
            assert_eq!(digest(format!("1,A,B,1,2000-01-01,{number}\r\n").as_bytes()), key(number));
        }
    }
}
