//! The central's replies.

use std::fmt;

use super::refusal::Refusal;
use super::shown::{Drawn, SealShown, Stand};
use super::verb::Verb;
use crate::domain::{Checksum, LotteryId, Phase, Quoted, Secret};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Ack(Result<(), Refusal>),
    AckBatch { count: u32, result: Result<(), Refusal> },
    AckDone(Result<(), Refusal>),
    Winners(Result<Documents, Refusal>),
    Hello(Result<Standing, Refusal>),
    Draw(Result<(), Refusal>),
    Seal(Result<SealShown, Refusal>),
    Drawn(Result<Drawn, Refusal>),
    Status(Result<Stand, Refusal>),
}

/// A list of winners, or a page of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Documents {
    /// The number of winners in all, which only a page tells.
    pub total: Option<u64>,
    /// The documents, joined by commas.
    pub list: String,
}

/// The reply to HELLO. What is optional is there only if the request asked for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub stored: u64,
    pub phase: Phase,
    /// That of the stored bets.
    pub checksum: Option<Checksum>,
    /// The lottery, and the agency's own secret. They come together.
    pub identity: Option<(LotteryId, Secret)>,
}

impl Reply {
    /// The refusal of a request of this kind. An unknown request gets `ACK|ERR`.
    pub fn refusal(verb: Option<Verb>, refusal: Refusal) -> Reply {
        match verb {
            None | Some(Verb::Bet) => Reply::Ack(Err(refusal)),
            Some(Verb::Batch { count }) => Reply::AckBatch { count, result: Err(refusal) },
            Some(Verb::Done) => Reply::AckDone(Err(refusal)),
            Some(Verb::GetWinners { .. }) => Reply::Winners(Err(refusal)),
            Some(Verb::Hello) => Reply::Hello(Err(refusal)),
            Some(Verb::WaitDraw) => Reply::Draw(Err(refusal)),
            Some(Verb::WaitSeal) => Reply::Seal(Err(refusal)),
            Some(Verb::GetDraw | Verb::HoldDraw) => Reply::Drawn(Err(refusal)),
            Some(Verb::Status) => Reply::Status(Err(refusal)),
        }
    }

    pub fn is_ok(&self) -> bool {
        match self {
            Reply::Ack(result) | Reply::AckBatch { result, .. } | Reply::AckDone(result) | Reply::Draw(result) => {
                result.is_ok()
            }
            Reply::Winners(result) => result.is_ok(),
            Reply::Hello(result) => result.is_ok(),
            Reply::Seal(result) => result.is_ok(),
            Reply::Drawn(result) => result.is_ok(),
            Reply::Status(result) => result.is_ok(),
        }
    }

    /// Reads a reply. Only from what was `asked` is it known whether a list of winners is a page.
    pub fn parse(text: &str, asked: Option<Verb>) -> Result<Reply, String> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        Reply::read(text, asked).ok_or_else(|| format!("unexpected reply {}", Quoted(text)))
    }

    fn read(text: &str, asked: Option<Verb>) -> Option<Reply> {
        let (word, rest) = text.split_once('|')?;
        let (verdict, rest) = rest.split_once('|').unwrap_or((rest, ""));
        let mut verb = Verb::of_answer(word)?;
        let mut rest = rest;
        if let Verb::Batch { count } = &mut verb {
            let (said, reason) = rest.split_once('|').unwrap_or((rest, ""));
            *count = said.parse().ok()?;
            rest = reason;
        }
        match verdict {
            "OK" => {}
            "ERR" => {
                let Ok(refusal) = rest.parse();
                return Some(Reply::refusal(Some(verb), refusal));
            }
            _ => return None,
        }
        Some(match verb {
            Verb::Bet => Reply::Ack(Ok(())),
            Verb::Batch { count } => Reply::AckBatch { count, result: Ok(()) },
            Verb::Done => Reply::AckDone(Ok(())),
            Verb::WaitDraw => Reply::Draw(Ok(())),
            Verb::WaitSeal => Reply::Seal(Ok(SealShown::read(rest)?)),
            Verb::GetDraw | Verb::HoldDraw => Reply::Drawn(Ok(Drawn::read(rest)?)),
            Verb::Status => Reply::Status(Ok(Stand::read(rest)?)),
            Verb::Hello => {
                // A later central may send more fields.
                let mut fields = rest.split('|');
                let (stored, phase) = (fields.next()?.parse().ok()?, parse_phase(fields.next()?)?);
                let checksum = fields.next().map(str::parse).transpose().ok()?;
                let lottery = fields.next().map(str::parse).transpose().ok()?;
                let secret = fields.next().map(str::parse).transpose().ok()?;
                let identity = lottery.map(|lottery| Some((lottery, secret?)));
                Reply::Hello(Ok(Standing { stored, phase, checksum, identity: identity.unwrap_or(None) }))
            }
            Verb::GetWinners { .. } => {
                let paged = asked == Some(Verb::GetWinners { paged: true });
                let (total, list) = if paged { rest.split_once('|')? } else { ("", rest) };
                let total = if paged { Some(total.parse().ok()?) } else { None };
                Reply::Winners(Ok(Documents { total, list: list.to_owned() }))
            }
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
        let plain = |out: &mut fmt::Formatter<'_>, verb: Verb, result: &Result<(), Refusal>| match result {
            Ok(()) => write!(out, "{}|OK", verb.answer()),
            Err(refusal) => write!(out, "{}|ERR|{refusal}", verb.answer()),
        };
        match self {
            Reply::Ack(result) => plain(out, Verb::Bet, result),
            Reply::AckDone(result) => plain(out, Verb::Done, result),
            Reply::Draw(result) => plain(out, Verb::WaitDraw, result),
            Reply::AckBatch { count, result: Ok(()) } => write!(out, "ACK_BATCH|OK|{count}"),
            Reply::AckBatch { count, result: Err(refusal) } => write!(out, "ACK_BATCH|ERR|{count}|{refusal}"),
            Reply::Hello(Ok(Standing { stored, phase, checksum, identity })) => {
                write!(out, "HELLO|OK|{stored}|{}", phase_word(*phase))?;
                checksum.map_or(Ok(()), |checksum| write!(out, "|{checksum}"))?;
                identity.map_or(Ok(()), |(lottery, secret)| write!(out, "|{lottery}|{secret}"))
            }
            Reply::Seal(result) => shown(out, Verb::WaitSeal, result),
            Reply::Drawn(result) => shown(out, Verb::GetDraw, result),
            Reply::Status(result) => shown(out, Verb::Status, result),
            Reply::Hello(Err(refusal)) => write!(out, "HELLO|ERR|{refusal}"),
            Reply::Winners(Ok(Documents { total: None, list })) => write!(out, "WINNERS|OK|{list}"),
            Reply::Winners(Ok(Documents { total: Some(total), list })) => write!(out, "WINNERS|OK|{total}|{list}"),
            Reply::Winners(Err(refusal)) => write!(out, "WINNERS|ERR|{refusal}"),
        }
    }
}

fn shown(out: &mut fmt::Formatter<'_>, verb: Verb, result: &Result<impl fmt::Display, Refusal>) -> fmt::Result {
    match result {
        Ok(shown) => write!(out, "{}|OK|{shown}", verb.answer()),
        Err(refusal) => write!(out, "{}|ERR|{refusal}", verb.answer()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Hash, Status};
    use proptest::prelude::*;

    #[test]
    fn a_refusal_for_load_is_told_from_a_judgement() {
        let busy = Reply::Ack(Err(Refusal::Busy("1024 requests wait".to_owned())));
        assert_eq!(busy.to_string(), "ACK|ERR|busy: 1024 requests wait");
        assert_eq!(Reply::parse("ACK|ERR|busy: 1024 requests wait", None), Ok(busy));
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        for text in
            ["", "ACK", "ACK|MAYBE", "ACK_BATCH|OK|x", "HELLO|OK|5", "HELLO|OK|5|lost", "HELLO|OK|5|open|x", "HOLA|OK"]
        {
            assert!(Reply::parse(text, None).is_err(), "{text}");
        }
        assert!(
            Reply::parse("WINNERS|OK|1,2", Some(Verb::GetWinners { paged: true })).is_err(),
            "a page tells the total"
        );
    }

    proptest! {
        #[test]
        fn replies_survive_the_wire(
            kind in 0..9, count in any::<u32>(), checksum in prop::option::of(any::<u32>()), stored in any::<u64>(), phase in 0..3_usize, paged in any::<bool>(),
            reason in prop::option::of("[^\n]{0,40}"), list in "([0-9]{8}(,[0-9]{8}){0,5})?",
        ) {
            let refusal = reason.map(|reason| { let Ok(refusal) = reason.parse::<Refusal>(); refusal });
            let result = refusal.clone().map_or(Ok(()), Err);
            let phase = [Phase::Open, Phase::Done, Phase::Drawn][phase];
            let documents = Documents { total: paged.then_some(stored), list };
            let reply = match kind {
                0 => Reply::Ack(result),
                1 => Reply::AckBatch { count, result },
                2 => Reply::AckDone(result),
                3 => Reply::Winners(refusal.map_or(Ok(documents), Err)),
                4 => {
                    let identity = checksum.filter(|_| paged).map(|id| (LotteryId(id.into()), Secret([id as u8; 32])));
                    let standing = Standing { stored, phase, checksum: checksum.map(Checksum), identity };
                    Reply::Hello(refusal.map_or(Ok(standing), Err))
                }
                5 => {
                    let path = vec![Hash([7; 32]); count as usize % 17];
                    let status = [Status::Undeclared, Status::Declared, Status::Signed, Status::Overridden];
                    let shown = SealShown {
                        bets: stored, root: Hash([1; 32]), status: status[stored as usize % 4], agencies: count, total: stored,
                        seal: Hash([2; 32]), time: stored, path, signature: paged.then(|| "ED25519:AA==".to_owned()),
                    };
                    Reply::Seal(refusal.map_or(Ok(shown), Err))
                }
                6 => {
                    let drawn = Drawn { number: count, signature: paged.then(|| "ED25519:AA==".to_owned()) };
                    Reply::Drawn(refusal.map_or(Ok(drawn), Err))
                }
                7 => {
                    let seal = paged.then_some(Hash([2; 32]));
                    let lottery = checksum.map(|id| LotteryId(id.into()));
                    let stand = Stand { lottery, agencies: count, done: count, bets: stored, seal, number: checksum };
                    Reply::Status(refusal.map_or(Ok(stand), Err))
                }
                _ => Reply::Draw(result),
            };
            prop_assert_eq!(Reply::parse(&format!("{reply}\n"), Some(Verb::GetWinners { paged })), Ok(reply));
        }
    }
}
