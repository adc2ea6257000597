//! A bet and the rules that its values obey.

use std::fmt;

use super::text::{Quoted, is_digits, is_forbidden};

/// The default winning number, which is that of the exercises.
pub const WINNING_NUMBER: u32 = 7574;

pub(super) const MAX_NAME_CHARACTERS: usize = 100;
pub(super) const MAX_DOCUMENT_CHARACTERS: usize = 32;

/// A bet whose values all obey the rules. It borrows its texts, so that checking one allocates nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bet<'a> {
    pub first_name: &'a str,
    pub last_name: &'a str,
    pub document: &'a str,
    pub birthdate: &'a str,
    pub number: u32,
}

/// The fields of a bet, in the order that files and messages use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    FirstName,
    LastName,
    Document,
    Birthdate,
    Number,
}

/// A value that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BetError {
    pub field: Field,
    pub found: String,
    pub rule: &'static str,
}

impl<'a> Bet<'a> {
    /// Checks the five values of a bet in their order. The first that breaks a rule is the error.
    pub fn new([first_name, last_name, document, birthdate, number]: [&'a str; 5]) -> Result<Bet<'a>, BetError> {
        check_name(Field::FirstName, first_name)?;
        check_name(Field::LastName, last_name)?;
        check(Field::Document, document, is_document, "is not 1 to 32 ASCII letters, digits, \".\" or \"-\"")?;
        check(
            Field::Birthdate,
            birthdate,
            |date| is_calendar_date(date.as_bytes()),
            "is not a calendar date, YYYY-MM-DD",
        )?;
        let number = parse_number(number)?;
        Ok(Bet { first_name, last_name, document, birthdate, number })
    }
}

pub fn has_won(number: u32, winning_number: u32) -> bool {
    number == winning_number
}

fn check(field: Field, value: &str, rule: impl Fn(&str) -> bool, broken: &'static str) -> Result<(), BetError> {
    if rule(value) { Ok(()) } else { Err(BetError { field, found: value.to_owned(), rule: broken }) }
}

fn check_name(field: Field, name: &str) -> Result<(), BetError> {
    check(field, name, |name| !name.is_empty(), "is empty")?;
    // A name has at most as many characters as bytes, so most names need no counting.
    let fits = |name: &str| name.len() <= MAX_NAME_CHARACTERS || name.chars().count() <= MAX_NAME_CHARACTERS;
    check(field, name, fits, "is longer than 100 characters")?;
    // Names of plain ASCII, which most are, need no decoding.
    let plain = |byte: u8| byte.is_ascii() && !byte.is_ascii_control() && byte != b'|';
    let clean = |name: &str| name.bytes().all(plain) || !name.chars().any(is_forbidden);
    check(field, name, clean, "holds a control character or a \"|\"")
}

fn is_document(value: &str) -> bool {
    (1..=MAX_DOCUMENT_CHARACTERS).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-')
}

/// True for a date of the proleptic Gregorian calendar from year 1 on, as Python's `date.fromisoformat` accepts it.
pub(super) fn is_calendar_date(bytes: &[u8]) -> bool {
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return false;
    }
    let part = |from: usize, to: usize| {
        bytes[from..to]
            .iter()
            .try_fold(0_u16, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u16::from(byte - b'0')))
    };
    let (Some(year @ 1..), Some(month), Some(day)) = (part(0, 4), part(5, 7), part(8, 10)) else {
        return false;
    };
    let month = u8::try_from(month).ok().and_then(|month| time::Month::try_from(month).ok());
    month.is_some_and(|month| (1..=u16::from(month.length(i32::from(year)))).contains(&day))
}

/// Any number of leading zeros is allowed. A sign, a space or digits of another script are not.
fn parse_number(value: &str) -> Result<u32, BetError> {
    let broken = |rule| BetError { field: Field::Number, found: value.to_owned(), rule };
    if !is_digits(value) {
        return Err(broken("is not a whole number"));
    }
    value.parse().map_err(|_| broken("is larger than 4294967295"))
}

impl fmt::Display for Field {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Field::FirstName => "first name",
            Field::LastName => "last name",
            Field::Document => "document",
            Field::Birthdate => "birthdate",
            Field::Number => "number",
        })
    }
}

impl fmt::Display for BetError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {}", self.field, Quoted(&self.found), self.rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [&str; 5] = ["Santiago Lionel", "Lorca", "30904465", "1999-03-17", "7574"];

    fn with(field: Field, value: &str) -> Result<u32, String> {
        let mut fields = GOOD;
        fields[field as usize] = value;
        Bet::new(fields).map(|bet| bet.number).map_err(|error| error.to_string())
    }

    #[test]
    fn a_good_bet_is_taken_as_it_is() {
        let bet = Bet::new(GOOD).unwrap();
        assert_eq!((bet.first_name, bet.number), ("Santiago Lionel", 7574));
        assert!(has_won(bet.number, WINNING_NUMBER));
        assert!(!has_won(bet.number, 7575));
    }

    #[test]
    fn names_have_one_to_a_hundred_characters() {
        assert_eq!(with(Field::FirstName, "").unwrap_err(), "first name \"\" is empty");
        assert!(with(Field::LastName, &"ñ".repeat(100)).is_ok());
        assert!(with(Field::LastName, &"ñ".repeat(101)).unwrap_err().ends_with("is longer than 100 characters"));
        assert!(with(Field::FirstName, "O'Higgins, \"Ñato\"").is_ok());
        assert!(with(Field::FirstName, "a|b").is_err());
        assert!(with(Field::FirstName, "a\tb").is_err());
        assert!(with(Field::FirstName, "a\u{85}b").is_err());
    }

    #[test]
    fn documents_are_short_ascii() {
        for good in ["1", "30.904.465", "AB-123", &"9".repeat(32)] {
            assert!(with(Field::Document, good).is_ok(), "{good}");
        }
        for bad in ["", "12 34", "1,2", "ñ", &"9".repeat(33)] {
            assert!(with(Field::Document, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn birthdates_are_real_dates() {
        for good in ["2000-02-29", "2024-02-29", "1999-12-31", "0001-01-01"] {
            assert!(with(Field::Birthdate, good).is_ok(), "{good}");
        }
        for bad in ["1900-02-29", "2023-02-29", "1999-13-01", "1999-04-31", "1999-00-10", "1999-01-00", "0000-01-01"] {
            assert!(with(Field::Birthdate, bad).is_err(), "{bad}");
        }
        for bad in ["99-01-01", "1999/01/01", "1999-1-1", "1999-01-01 ", "+999-01-01", "１999-01-0"] {
            assert!(with(Field::Birthdate, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_are_ascii_digits_that_fit() {
        assert_eq!(with(Field::Number, "0007574"), Ok(7574));
        assert_eq!(with(Field::Number, &format!("{}42", "0".repeat(500))), Ok(42));
        assert_eq!(with(Field::Number, "4294967295"), Ok(u32::MAX));
        assert_eq!(with(Field::Number, "abc").unwrap_err(), "number \"abc\" is not a whole number");
        assert!(with(Field::Number, "4294967296").unwrap_err().contains("is larger than 4294967295"));
        for bad in ["", "-1", "+1", " 1", "1.0", "٣"] {
            assert!(with(Field::Number, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_name_holds_a_control_character_or_a_separator_wherever_it_stands() {
        for character in ('\0'..='\u{9f}').filter(|character| character.is_control() || *character == '|') {
            for name in [format!("{character}"), format!("a{character}b"), format!("ñ{character}")] {
                assert!(with(Field::FirstName, &name).is_err(), "{name:?}");
            }
        }
    }

    #[test]
    fn the_parts_of_a_date_stand_between_hyphens() {
        for bad in ["1999/03-17", "1999-03/17"] {
            assert!(with(Field::Birthdate, bad).is_err(), "{bad}");
        }
    }
}
