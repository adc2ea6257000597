//! A fast path for the bets of nearly all lines, which looks at each byte once.
//!
//! Splitting a line, checking its values one by one and writing them as CSV costs several times as much as reading the line.
//! But if no value needs quotes, the line already is the CSV row, except for its separators, so it only has to be recognised.
//! A line that is not recognised here may still be a valid bet: only [`Bet::new`](super::Bet::new) rejects one, and says why.

use super::bet::{MAX_DOCUMENT_CHARACTERS, MAX_NAME_CHARACTERS, is_calendar_date};

/// A bet found by [`plain_bet`]: the places of the four separators between its values, and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainBet {
    pub separators: [usize; 4],
    pub end: usize,
}

const NAME: u8 = 1;
const DOCUMENT: u8 = 2;
const DIGIT: u8 = 4;

/// The kinds of value that each byte may be part of.
static CLASSES: [u8; 256] = classes();

/// "YYYY-MM-DD"
const DATE_BYTES: usize = 10;
/// A number of this many digits always fits a `u32`.
const MAX_DIGITS: usize = 9;

/// The bet at the start of `bytes`, which must be UTF-8, if it obeys every rule and each value is written as in a row. The
/// caller checks what follows it.
pub fn plain_bet(bytes: &[u8], separator: u8) -> Option<PlainBet> {
    let (mut separators, mut start) = ([0; 4], 0);
    // These limits count bytes: a name has at most as many characters.
    let values = [(NAME, MAX_NAME_CHARACTERS), (NAME, MAX_NAME_CHARACTERS), (DOCUMENT, MAX_DOCUMENT_CHARACTERS)];
    for (place, (class, most)) in separators.iter_mut().zip(values) {
        *place = start + span(&bytes[start..], class, most)?;
        start = *place + 1;
        (bytes.get(*place) == Some(&separator)).then_some(())?;
    }
    separators[3] = start + DATE_BYTES;
    let date = bytes.get(start..separators[3])?;
    let number = bytes.get(separators[3] + 1..)?;
    let digits = span(number, DIGIT, MAX_DIGITS)?;
    let recognised = bytes[separators[3]] == separator && is_calendar_date(date) && (number[0] != b'0' || digits == 1);
    recognised.then_some(PlainBet { separators, end: separators[3] + 1 + digits })
}

/// The number of bytes of a class at the start, if it is 1 to `most`.
fn span(bytes: &[u8], class: u8, most: usize) -> Option<usize> {
    let length = bytes.iter().take(most + 1).take_while(|byte| CLASSES[usize::from(**byte)] & class != 0).count();
    (1..=most).contains(&length).then_some(length)
}

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0_u8;
    loop {
        // 0xC2 starts U+0080 to U+00BF, and some of these are control characters.
        let is_name = !byte.is_ascii_control() && !matches!(byte, b',' | b'"' | b'|' | 0xC2);
        let is_document = byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
        let digit = if byte.is_ascii_digit() { DIGIT } else { 0 };
        classes[byte as usize] = digit | if is_name { NAME } else { 0 } | if is_document { DOCUMENT } else { 0 };
        if byte == u8::MAX {
            return classes;
        }
        byte += 1;
    }
}
