//! The bets that nearly all lines hold, recognised in one look at each byte.
//!
//! Splitting a line, judging its values one by one and writing them as CSV costs several times what reading it does. A bet
//! whose values need no quotes is its own row but for what separates the values, so recognising it is all there is to do.
//! What is not recognised here may still be a bet: [`Bet::new`](super::Bet::new) alone judges and explains.

use super::bet::{MAX_DOCUMENT_CHARACTERS, MAX_NAME_CHARACTERS, is_calendar_date};

/// A bet found by [`plain_bet`]: where the separators behind its first four values are, and where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainBet {
    pub separators: [usize; 4],
    pub end: usize,
}

const NAME: u8 = 1;
const DOCUMENT: u8 = 2;
const DIGIT: u8 = 4;

/// What each byte can be part of.
static CLASSES: [u8; 256] = classes();

/// "YYYY-MM-DD"
const DATE_BYTES: usize = 10;
/// Any number of so many digits is small enough.
const MAX_DIGITS: usize = 9;

/// The bet at the start of `bytes`, which are UTF-8, if it obeys every rule and is written as a row writes it. The caller
/// looks at what follows it.
pub fn plain_bet(bytes: &[u8], separator: u8) -> Option<PlainBet> {
    let (mut separators, mut start) = ([0; 4], 0);
    // No name of so many bytes has more characters.
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

/// How many bytes of a class come first, if there are 1 to `most` of them.
fn span(bytes: &[u8], class: u8, most: usize) -> Option<usize> {
    let length = bytes.iter().take(most + 1).take_while(|byte| CLASSES[usize::from(**byte)] & class != 0).count();
    (1..=most).contains(&length).then_some(length)
}

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0_u8;
    loop {
        // 0xC2 begins U+0080 to U+00BF, some of which are control characters.
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
