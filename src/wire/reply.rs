//! What the central answers.

use std::fmt;

use crate::domain::{Phase, Quoted};

/// A reply. Its reasons are already safe to send: they hold no control character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Ack(Result<(), String>),
    AckBatch {
        count: u32,
        result: Result<(), String>,
    },
    AckDone(Result<(), String>),
    /// The documents, joined by commas; a page also tells how many there are in all.
    Winners(Result<(Option<u64>, String), String>),
    Hello(Result<(u64, Phase), String>),
    Draw(Result<(), String>),
}

impl Reply {
    /// The refusal for load, which is no judgement of the request: the agency comes back later.
    pub fn busy(detail: &str) -> Reply {
        Reply::Ack(Err(format!("busy: {detail}")))
    }

    pub fn is_busy(&self) -> bool {
        matches!(self, Reply::Ack(Err(reason)) if reason.starts_with("busy"))
    }

    /// Reads a reply. `paged` tells whether a winners list was asked for in pages: only the asker knows.
    pub fn parse(text: &str, paged: bool) -> Result<Reply, String> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let strange = || format!("reply {} is none that was expected", Quoted(text));
        let (word, rest) = text.split_once('|').ok_or_else(strange)?;
        let (verdict, rest) = rest.split_once('|').unwrap_or((rest, ""));
        let ok = match verdict {
            "OK" => true,
            "ERR" => false,
            _ => return Err(strange()),
        };
        let plain = || if ok { Ok(()) } else { Err(rest.to_owned()) };
        Ok(match word {
            "ACK" => Reply::Ack(plain()),
            "ACK_DONE" => Reply::AckDone(plain()),
            "DRAW" => Reply::Draw(plain()),
            "ACK_BATCH" => {
                let (count, reason) = rest.split_once('|').unwrap_or((rest, ""));
                let count = count.parse().map_err(|_| strange())?;
                Reply::AckBatch { count, result: if ok { Ok(()) } else { Err(reason.to_owned()) } }
            }
            "HELLO" if ok => {
                let (stored, phase) = rest.split_once('|').ok_or_else(strange)?;
                let phase = parse_phase(phase).ok_or_else(strange)?;
                Reply::Hello(Ok((stored.parse().map_err(|_| strange())?, phase)))
            }
            "HELLO" => Reply::Hello(Err(rest.to_owned())),
            "WINNERS" if !ok => Reply::Winners(Err(rest.to_owned())),
            "WINNERS" if paged => {
                let (total, documents) = rest.split_once('|').ok_or_else(strange)?;
                Reply::Winners(Ok((Some(total.parse().map_err(|_| strange())?), documents.to_owned())))
            }
            "WINNERS" => Reply::Winners(Ok((None, rest.to_owned()))),
            _ => return Err(strange()),
        })
    }
}

fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Open => "open",
        Phase::Done => "done",
        Phase::Drawn => "drawn",
    }
}

fn parse_phase(word: &str) -> Option<Phase> {
    [Phase::Open, Phase::Done, Phase::Drawn].into_iter().find(|phase| phase_word(*phase) == word)
}

/// As it goes on the wire, without the line feed at its end.
impl fmt::Display for Reply {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |out: &mut fmt::Formatter<'_>, word, result: &Result<(), String>| match result {
            Ok(()) => write!(out, "{word}|OK"),
            Err(reason) => write!(out, "{word}|ERR|{reason}"),
        };
        match self {
            Reply::Ack(result) => plain(out, "ACK", result),
            Reply::AckDone(result) => plain(out, "ACK_DONE", result),
            Reply::Draw(result) => plain(out, "DRAW", result),
            Reply::AckBatch { count, result: Ok(()) } => write!(out, "ACK_BATCH|OK|{count}"),
            Reply::AckBatch { count, result: Err(reason) } => write!(out, "ACK_BATCH|ERR|{count}|{reason}"),
            Reply::Hello(Ok((stored, phase))) => write!(out, "HELLO|OK|{stored}|{}", phase_word(*phase)),
            Reply::Hello(Err(reason)) => write!(out, "HELLO|ERR|{reason}"),
            Reply::Winners(Ok((None, documents))) => write!(out, "WINNERS|OK|{documents}"),
            Reply::Winners(Ok((Some(total), documents))) => write!(out, "WINNERS|OK|{total}|{documents}"),
            Reply::Winners(Err(reason)) => write!(out, "WINNERS|ERR|{reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_refusal_for_load_is_told_from_a_judgement() {
        assert_eq!(Reply::busy("1024 requests wait").to_string(), "ACK|ERR|busy: 1024 requests wait");
        assert!(Reply::busy("x").is_busy());
        assert!(!Reply::Ack(Err("unknown request".to_owned())).is_busy());
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        for text in ["", "ACK", "ACK|MAYBE", "ACK_BATCH|OK|x", "HELLO|OK|5", "HELLO|OK|5|lost", "HOLA|OK"] {
            assert!(Reply::parse(text, false).is_err(), "{text}");
        }
        assert!(Reply::parse("WINNERS|OK|1,2", true).is_err(), "a page tells the total");
    }

    proptest! {
        #[test]
        fn replies_survive_the_wire(
            kind in 0..6, count in any::<u32>(), stored in any::<u64>(), phase in 0..3_usize, paged in any::<bool>(),
            reason in prop::option::of("[^\n]{0,40}"), documents in "([0-9]{8}(,[0-9]{8}){0,5})?",
        ) {
            let result = reason.clone().map_or(Ok(()), Err);
            let phase = [Phase::Open, Phase::Done, Phase::Drawn][phase];
            let reply = match kind {
                0 => Reply::Ack(result),
                1 => Reply::AckBatch { count, result },
                2 => Reply::AckDone(result),
                3 => Reply::Winners(reason.map_or(Ok((paged.then_some(stored), documents)), Err)),
                4 => Reply::Hello(reason.map_or(Ok((stored, phase)), Err)),
                _ => Reply::Draw(result),
            };
            prop_assert_eq!(Reply::parse(&format!("{reply}\n"), paged), Ok(reply));
        }
    }
}
