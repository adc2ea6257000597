//! The rules that define a lottery. They are fixed from its first bet or DONE on.

use std::fmt;

use super::{Roster, WINNING_NUMBER};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub roster: Roster,
    pub winning_number: WinningNumber,
}

/// When the winning number is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WinningNumber {
    /// From the beginning: the draw follows the seal at once.
    Known(u32),
    /// After the seal: the operator holds the draw.
    Later,
}

/// The rules in the settings of a start. Those that are not set stay as they were recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SaidRules {
    pub roster: Option<Roster>,
    pub winning_number: Option<WinningNumber>,
}

impl Rules {
    /// The rules of the exercises.
    pub const DEFAULT: Rules = Rules { roster: Roster::Fixed(5), winning_number: WinningNumber::Known(WINNING_NUMBER) };
}

impl SaidRules {
    /// The rules of a lottery that was begun with `recorded`, or that begins now. `None` if the settings contradict the
    /// recorded rules.
    pub fn resolve(self, recorded: Option<Rules>) -> Option<Rules> {
        let base = recorded.unwrap_or(Rules::DEFAULT);
        let rules = Rules {
            roster: self.roster.unwrap_or(base.roster),
            winning_number: self.winning_number.unwrap_or(base.winning_number),
        };
        (recorded.is_none() || rules == base).then_some(rules)
    }
}

impl fmt::Display for WinningNumber {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WinningNumber::Known(number) => number.fmt(out),
            WinningNumber::Later => out.write_str("later"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_recorded_is_used_and_not_changed() {
        let two = Rules { roster: Roster::Fixed(2), winning_number: WinningNumber::Known(1314) };
        let said = |roster: Option<u32>, number: Option<u32>| SaidRules {
            roster: roster.map(Roster::Fixed),
            winning_number: number.map(WinningNumber::Known),
        };
        assert_eq!(said(None, None).resolve(None), Some(Rules::DEFAULT));
        assert_eq!(said(Some(2), Some(1314)).resolve(None), Some(two));
        assert_eq!(said(None, None).resolve(Some(two)), Some(two));
        assert_eq!(said(Some(2), None).resolve(Some(two)), Some(two));
        assert_eq!(said(Some(5), None).resolve(Some(two)), None);
        assert_eq!(said(None, Some(7574)).resolve(Some(two)), None);
        let later = SaidRules { winning_number: Some(WinningNumber::Later), ..SaidRules::default() };
        assert_eq!((later.resolve(Some(two)), later.resolve(None).is_some()), (None, true));
    }
}
