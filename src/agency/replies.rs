//! What the central's answers mean to an agency that can try again.

use super::dial::{Dialer, REPLY_DEADLINE};
use super::link::Link;
use super::reactor::{Halt, Reactor};
use crate::error::Error;
use crate::wire::{Ask, Refusal, Reply, Request, Standing};

/// Asks where this agency stands.
pub(super) fn hello(reactor: &mut Reactor, dialer: &mut Dialer, link: &mut Link) -> Result<Standing, Halt> {
    link.push(&Request { agency: reactor.id, ask: Ask::Hello });
    match link.reply(reactor, Some(dialer.patience.deadline(REPLY_DEADLINE)), false)? {
        Reply::Hello(Ok(standing)) => Ok(standing),
        Reply::Hello(Err(refusal)) => Err(not_now(&refusal).unwrap_or_else(|| {
            Halt::Fatal(Error::refused(format!("the central does not take agency {}: {refusal}", reactor.id)))
        })),
        reply => Err(unexpected(&reply, "HELLO")),
    }
}

/// The way on after a refusal that judges a moment and not the request: HELLO over a new connection then tells where
/// things stand. (An agency may be closed because another process for it has sent DONE meanwhile.)
pub(super) fn not_now(refusal: &Refusal) -> Option<Halt> {
    let is_passing = match refusal {
        Refusal::Storage(_) | Refusal::Busy(_) | Refusal::Gap | Refusal::Closed | Refusal::NotReady => true,
        Refusal::TooMany { .. } | Refusal::Bet { .. } | Refusal::Unknown(_) | Refusal::Other(_) => false,
    };
    is_passing.then(|| Halt::Lost(format!("the central answered: {refusal}")))
}

/// What to make of a reply to something else than what was asked. A bare `ACK|ERR` is how the central refuses a
/// connection, for load or for a frame that took too long.
pub(super) fn unexpected(reply: &Reply, asked: &str) -> Halt {
    match reply {
        Reply::Ack(Err(refusal @ Refusal::Unknown(_))) => {
            Halt::Fatal(Error::refused(format!("the central does not know {asked}: {refusal}")))
        }
        Reply::Ack(Err(refusal)) => Halt::Lost(format!("the central answered: {refusal}")),
        reply => Halt::Fatal(Error::failed(format!("the central answered {asked} with: {reply}"))),
    }
}
