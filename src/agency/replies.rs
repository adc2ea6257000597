//! What the central's answers mean to an agency that can try again.

use super::desk::{Desk, Halt};
use super::dial::{Dialer, REPLY_DEADLINE};
use super::link::Link;
use crate::domain::Phase;
use crate::error::Error;
use crate::wire::{Reply, Request};

/// The refusals that judge a moment and not a request, by how their reasons begin: the disk failed, the central has too
/// much to do, batches before this one are missing, another process for this agency sent DONE meanwhile, the draw is
/// still to come. HELLO over a new connection then tells where things stand.
const NOT_NOW: [&str; 5] = ["storage", "busy", "gap", "closed", "not_ready"];

/// Asks where this agency stands.
pub fn hello(desk: &mut Desk, dialer: &mut Dialer, link: &mut Link) -> Result<(u64, Phase), Halt> {
    link.push(&Request::Hello { agency: desk.id });
    match link.reply(desk, Some(dialer.patience.deadline(REPLY_DEADLINE)), false)? {
        Reply::Hello(Ok(answer)) => Ok(answer),
        Reply::Hello(Err(reason)) => Err(not_now(&reason).unwrap_or_else(|| {
            Halt::Fatal(Error::refused(format!("the central does not take agency {}: {reason}", desk.id)))
        })),
        reply => Err(unexpected(&reply, "HELLO")),
    }
}

/// The way on after a refusal that is worth another try.
pub fn not_now(reason: &str) -> Option<Halt> {
    NOT_NOW.iter().any(|start| reason.starts_with(start)).then(|| Halt::Lost(format!("the central answered: {reason}")))
}

/// What to make of a reply to something else than what was asked. A bare `ACK|ERR` is how the central refuses a
/// connection, for load or for a frame that took too long.
pub fn unexpected(reply: &Reply, asked: &str) -> Halt {
    match reply {
        Reply::Ack(Err(reason)) if reason.starts_with("unknown request") => {
            Halt::Fatal(Error::refused(format!("the central does not know {asked}: {reason}")))
        }
        Reply::Ack(Err(reason)) => Halt::Lost(format!("the central answered: {reason}")),
        reply => Halt::Fatal(Error::failed(format!("the central answered {asked} with: {reply}"))),
    }
}
