//! The reasons for which a request is refused: each is printed and parsed here, and nowhere else.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// The reason behind `ERR|` in a reply. It must hold no control character, so foreign text in one has to be escaped
/// (`domain::Quoted`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The agency has said DONE, or betting is closed.
    Closed,
    /// Bets before these are missing.
    Gap,
    /// More bets are stored than these and those before them, so the checksum cannot be compared.
    Stale,
    /// The checksum does not match the stored bets.
    Conflict,
    /// Betting is not closed yet, or the draw was not held yet.
    NotReady,
    /// The list of winners does not fit one frame, and has to be asked for in pages.
    TooMany { total: u64 },
    /// The number or the root of the bets that an agency declares is not that of what is stored: so many bets.
    Unbalanced { stored: u64 },
    /// The central is overloaded, and closes the connection.
    Busy(String),
    /// The disk failed, and nothing of the request is acknowledged. The central closes the connection.
    Storage(String),
    /// The central has keys, and this connection is without TLS. The central closes it.
    NeedsTls,
    /// The peer's certificate does not speak for whom the request needs.
    Identity(String),
    /// A bet of a batch is invalid. Places count from 1.
    Bet { place: u32, reason: String },
    /// The central does not know this request.
    Unknown(String),
    /// Any other reason: a text for people, which programs do not interpret.
    Other(String),
}

const BUSY: &str = "busy";
const STORAGE: &str = "storage";
const NEEDS_TLS: &str = "this central speaks TLS: connect with the keys of an agency";
const IDENTITY: &str = "identity";
const UNKNOWN: &str = "unknown request";

impl Refusal {
    /// Every [`Refusal::kind`].
    pub const KINDS: [&str; 14] = [
        "closed",
        "gap",
        "stale",
        "conflict",
        "not_ready",
        "too_many",
        "unbalanced",
        "busy",
        "storage",
        "needs_tls",
        "identity",
        "bet",
        "unknown",
        "other",
    ];

    /// Its kind in one word, for who counts refusals.
    pub fn kind(&self) -> &'static str {
        match self {
            Refusal::Closed => "closed",
            Refusal::Gap => "gap",
            Refusal::Stale => "stale",
            Refusal::Conflict => "conflict",
            Refusal::NotReady => "not_ready",
            Refusal::TooMany { .. } => "too_many",
            Refusal::Unbalanced { .. } => "unbalanced",
            Refusal::Busy(_) => "busy",
            Refusal::Storage(_) => "storage",
            Refusal::NeedsTls => "needs_tls",
            Refusal::Identity(_) => "identity",
            Refusal::Bet { .. } => "bet",
            Refusal::Unknown(_) => "unknown",
            Refusal::Other(_) => "other",
        }
    }

    pub fn other(reason: impl Into<String>) -> Refusal {
        Refusal::Other(reason.into())
    }
}

/// As it goes on the wire.
impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Closed => out.write_str("closed"),
            Refusal::Gap => out.write_str("gap"),
            Refusal::Stale => out.write_str("stale"),
            Refusal::Conflict => out.write_str("conflict"),
            Refusal::NotReady => out.write_str("not_ready"),
            Refusal::TooMany { total } => write!(out, "too_many|{total}"),
            Refusal::Unbalanced { stored } => write!(out, "unbalanced|{stored}"),
            Refusal::Busy(detail) => write!(out, "{BUSY}: {detail}"),
            Refusal::Storage(detail) => write!(out, "{STORAGE}: {detail}"),
            Refusal::NeedsTls => out.write_str(NEEDS_TLS),
            Refusal::Identity(detail) => write!(out, "{IDENTITY}: {detail}"),
            Refusal::Bet { place, reason } => write!(out, "bet {place}: {reason}"),
            Refusal::Unknown(word) => write!(out, "{UNKNOWN} {word}"),
            Refusal::Other(reason) => out.write_str(reason),
        }
    }
}

/// Never fails: any text of another form is a [`Refusal::Other`].
impl FromStr for Refusal {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Refusal, Infallible> {
        let behind = |start: &str, separator: &str| Some(text.strip_prefix(start)?.strip_prefix(separator)?.to_owned());
        let bet = || {
            let (place, reason) = text.strip_prefix("bet ")?.split_once(": ")?;
            Some(Refusal::Bet { place: place.parse().ok()?, reason: reason.to_owned() })
        };
        let unbalanced = || Some(Refusal::Unbalanced { stored: text.strip_prefix("unbalanced|")?.parse().ok()? });
        let too_many = || Some(Refusal::TooMany { total: text.strip_prefix("too_many|")?.parse().ok()? });
        let known = match text {
            "closed" => Some(Refusal::Closed),
            "gap" => Some(Refusal::Gap),
            "stale" => Some(Refusal::Stale),
            "conflict" => Some(Refusal::Conflict),
            "not_ready" => Some(Refusal::NotReady),
            NEEDS_TLS => Some(Refusal::NeedsTls),
            _ => None,
        };
        Ok(known
            .or_else(too_many)
            .or_else(unbalanced)
            .or_else(|| behind(BUSY, ": ").map(Refusal::Busy))
            .or_else(|| behind(STORAGE, ": ").map(Refusal::Storage))
            .or_else(|| behind(IDENTITY, ": ").map(Refusal::Identity))
            .or_else(|| behind(UNKNOWN, " ").map(Refusal::Unknown))
            .or_else(bet)
            .unwrap_or_else(|| Refusal::other(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_reason_has_its_form_and_is_read_again() {
        let text = |text: &str| text.to_owned();
        let forms = [
            (Refusal::Closed, "closed"),
            (Refusal::Gap, "gap"),
            (Refusal::Stale, "stale"),
            (Refusal::Conflict, "conflict"),
            (Refusal::NotReady, "not_ready"),
            (Refusal::TooMany { total: 910 }, "too_many|910"),
            (Refusal::Unbalanced { stored: 17 }, "unbalanced|17"),
            (Refusal::Busy(text("2 connections are open")), "busy: 2 connections are open"),
            (Refusal::Storage(text("bets.csv: cannot write: full")), "storage: bets.csv: cannot write: full"),
            (Refusal::NeedsTls, "this central speaks TLS: connect with the keys of an agency"),
            (
                Refusal::Identity(text("this certificate speaks for agency 3")),
                "identity: this certificate speaks for agency 3",
            ),
            (Refusal::Bet { place: 2, reason: text("number: odd") }, "bet 2: number: odd"),
            (Refusal::Unknown(text("\"HOLA\"")), "unknown request \"HOLA\""),
            (Refusal::Other(text("agency 6 is unknown")), "agency 6 is unknown"),
        ];
        for (refusal, form) in forms {
            assert_eq!(refusal.to_string(), form);
            assert_eq!(form.parse(), Ok(refusal));
        }
    }

    #[test]
    fn what_only_resembles_a_form_is_another_reason() {
        for text in [
            "",
            "closed for today",
            "gaps",
            "too_many|x",
            "busy",
            "storage",
            "identity",
            "this central speaks TLS",
            "bet x: y",
            "bet 1",
            "unknown",
        ] {
            assert_eq!(text.parse(), Ok(Refusal::other(text)));
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back_as_it_was(text in "[^\n]{0,60}") {
            crate::wire::fuzzing::refusals(text.as_bytes());
        }
    }
}
