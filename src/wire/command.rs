//! The requests of the lottery's operator, and what any peer can send: an agency's request, or the operator's.

use std::fmt;

use super::request::{Malformed, Request, split, whole_32};
use super::verb::Verb;
use crate::domain::{Hash, Quoted};

/// A frame's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    Agency(Request<'a>),
    Operator(Command<'a>),
}

/// What the operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Hold the draw with this number, over this seal. `proof` is the operator's signature or the store's token.
    HoldDraw { number: u32, seal: Hash, proof: &'a str },
    /// Tell where the lottery stands.
    Status,
}

impl<'a> Message<'a> {
    /// Reads a frame's text. The line feed at its end is optional.
    pub fn parse(text: &'a str) -> Result<Message<'a>, Malformed> {
        let (line, lines) = text.split_once('\n').unwrap_or((text, ""));
        let word = line.split('|').next().unwrap_or_default();
        let Some(mut verb) = Verb::of_word(word) else {
            return Err(Malformed::unknown(word));
        };
        let message = if matches!(verb, Verb::HoldDraw | Verb::Status) {
            Command::read(verb, line, lines).map(Message::Operator)
        } else {
            Request::read(&mut verb, line, lines).map(Message::Agency)
        };
        message.map_err(|reason| Malformed::of(verb, reason))
    }
}

impl<'a> Command<'a> {
    fn read(verb: Verb, line: &'a str, lines: &'a str) -> Result<Command<'a>, String> {
        let fields = split(verb, line, lines)?;
        let [_, number, seal, proof] = fields[..] else { return Ok(Command::Status) };
        let seal = seal.parse().map_err(|reason| format!("seal {}: {reason}", Quoted(seal)))?;
        Ok(Command::HoldDraw { number: whole_32("number", number)?, seal, proof })
    }

    pub fn verb(&self) -> Verb {
        match self {
            Command::HoldDraw { .. } => Verb::HoldDraw,
            Command::Status => Verb::Status,
        }
    }
}

/// As it goes on the wire, without the line feed at its end.
impl fmt::Display for Command<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.verb().word())?;
        match self {
            Command::HoldDraw { number, seal, proof } => write!(out, "|{number}|{seal}|{proof}"),
            Command::Status => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Reply;

    fn refusal(text: &str) -> String {
        let Malformed { verb, refusal } = Message::parse(text).unwrap_err();
        Reply::refusal(verb, refusal).to_string()
    }

    #[test]
    fn commands_survive_the_wire() {
        let seal = Hash([0xab; 32]);
        for command in [Command::HoldDraw { number: u32::MAX, seal, proof: "ED25519:AA==" }, Command::Status] {
            assert_eq!(Message::parse(&command.to_string()), Ok(Message::Operator(command)));
            assert_eq!(Message::parse(&format!("{command}\n")), Ok(Message::Operator(command)));
        }
    }

    #[test]
    fn a_malformed_command_gets_the_refusal_of_its_kind() {
        let seal = "ab".repeat(32);
        assert!(refusal("HOLD_DRAW|5").starts_with("DRAWN|ERR|2 fields, where the form is: HOLD_DRAW <number>"));
        assert_eq!(refusal(&format!("HOLD_DRAW|x|{seal}|-")), "DRAWN|ERR|number \"x\" is not a whole number");
        let too_large = refusal(&format!("HOLD_DRAW|4294967296|{seal}|-"));
        assert_eq!(too_large, "DRAWN|ERR|number 4294967296 is larger than 4294967295");
        let bad = refusal("HOLD_DRAW|5|ABC|-");
        assert_eq!(bad, "DRAWN|ERR|seal \"ABC\": a hash is 64 lowercase hexadecimal digits");
        assert_eq!(refusal("STATUS|1"), "STATUS|ERR|2 fields, where the form is: STATUS");
        assert_eq!(refusal("STATUS\nSTATUS"), "STATUS|ERR|STATUS is one line, and more follow it");
    }
}
