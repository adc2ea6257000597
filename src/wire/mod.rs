//! The wire format, shared by the central and the agency: frames, and the messages in them. This code knows no socket.

mod command;
pub mod frame;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod keyed;
mod refusal;
mod reply;
mod request;
mod shown;
mod verb;

pub use command::{Command, Message};
pub use refusal::Refusal;
pub use reply::{Documents, Reply, Standing};
pub use request::{Ask, BatchHeader, BetLine, Declaration, MAX_BATCH, Malformed, Request};
pub use shown::{Drawn, SealShown, Stand};
pub use verb::Verb;

/// The source address of `quiniela health`, by which the central recognises its connections and does not log them. Only a
/// process on the same host can use it.
pub const HEALTH_SOURCE: std::net::Ipv4Addr = std::net::Ipv4Addr::new(127, 0, 0, 2);

/// The line that `quiniela health` sends. The central echoes it, or answers with the reason while the disk refuses bets.
pub const HEALTH_MESSAGE: &str = "quiniela health check";
