//! What the operator asks: where the lottery stands, and to hold its draw.

use std::path::Path;

use super::{Answer, Asker, Awaited, Central};
use crate::domain::acta::StoreSecrets;
use crate::domain::seal::draw_statement;
use crate::domain::{Draw, Hash, SealStep, WinningNumber};
use crate::ledger::DrawOrder;
use crate::server::outcome::Outcome;
use crate::transport::Who;
use crate::wire::{Command, Refusal, Stand};

/// The text that shows, on a central without keys, that the operator can read the store.
pub struct Token(String);

impl Token {
    /// Makes a new one, in a file that its owner alone can read.
    pub fn make(path: &Path) -> std::io::Result<Token> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        let token = Hash(bytes).to_string();
        crate::ledger::files::write_private(path, format!("{token}\n").as_bytes())?;
        Ok(Token(token))
    }

    /// The one of a draw in a database, which is the same for all of its centrals.
    pub fn of(secrets: &StoreSecrets) -> Token {
        Token(secrets.secret.operator_token())
    }

    fn is(&self, text: &str) -> bool {
        // Hashes are compared, so that the time it takes tells nothing of the token.
        Hash::of_leaf(&[self.0.as_bytes()]) == Hash::of_leaf(&[text.as_bytes()])
    }
}

impl Central {
    pub fn take_command(&self, asker: &Asker<'_>, command: Command<'_>) -> Answer {
        match command {
            Command::Status => {
                let result = self.gate.admit_operator(asker.peer).map(|()| self.stand());
                Answer::Now(Outcome::Status { result })
            }
            Command::HoldDraw { number, seal, proof } => match self.order_draw(asker, number, seal, proof) {
                Ok(()) => Answer::Awaits(Awaited::Drawn),
                Err(refusal) => Answer::Now(Outcome::Drawn { result: Err(refusal) }),
            },
        }
    }

    fn stand(&self) -> Stand {
        let state = self.ledger.store.state();
        let number = if let Draw::Held { number, .. } = state.draw { Some(number) } else { None };
        Stand {
            lottery: self.secrets().map(|secrets| secrets.lottery),
            agencies: self.gate.agencies(state.highest),
            done: state.done,
            bets: state.bets,
            seal: self.lottery.seal().map(|seal| seal.acta.seal),
            number,
        }
    }

    /// Notes the draw that the operator wants, if it may be held.
    fn order_draw(&self, asker: &Asker<'_>, number: u32, seal: Hash, proof: &str) -> Result<(), Refusal> {
        self.gate.admit_operator(asker.peer)?;
        let is_plain = asker.peer.who == Who::Plain;
        let is_owner = || {
            let is_local = asker.peer.address.ip().is_loopback();
            is_local && self.token.as_ref().is_some_and(|token| token.is(proof))
        };
        if is_plain && !is_owner() {
            return Err(Refusal::Identity(
                "a draw is held by whoever can read the store: from this machine, and with its operator.token"
                    .to_owned(),
            ));
        }
        let state = self.ledger.store.state();
        let acta = match self.lottery.seal() {
            Some(seal) => &seal.acta,
            None => return Err(Refusal::Other(self.why_open(state.seal))),
        };
        if acta.seal != seal {
            return Err(Refusal::Other(format!("this lottery's seal is {}, and another was named", acta.seal)));
        }
        match state.draw {
            Draw::Held { number: held, .. } if held == number => return Ok(()),
            Draw::Held { number: held, .. } => {
                return Err(Refusal::Other(format!("the draw was held before, with {held}")));
            }
            Draw::Open => {}
        }
        if let WinningNumber::Known(known) = self.ledger.store.rules().winning_number {
            return Err(Refusal::Other(format!("the number of this lottery was known beforehand: {known}")));
        }
        let statement = draw_statement(acta.lottery, seal, number);
        let signed = if is_plain { None } else { Some(asker.signed("draw", &statement, proof)?) };
        let ordered = self.lottery.order(DrawOrder { number, signed });
        ordered.map_err(|other| Refusal::Other(format!("the draw is being held with {other}")))
    }

    /// Why there is no seal yet.
    fn why_open(&self, seal: SealStep) -> String {
        if seal != SealStep::Open {
            return "the lottery was sealed a moment ago, and is not announced yet: try again".to_owned();
        }
        let unbalanced = self.declarations.unbalanced().iter().map(ToString::to_string).collect::<Vec<_>>();
        let missing =
            self.missing().map_or_else(String::new, |(_, missing)| format!(": agencies that are not done: {missing}"));
        let more =
            if unbalanced.is_empty() { String::new() } else { format!("; unbalanced: {}", unbalanced.join(", ")) };
        format!("betting is not closed yet{missing}{more}")
    }
}
