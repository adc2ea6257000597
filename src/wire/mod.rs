//! The wire: frames, and the messages in them. Shared by the central and the agency; knows no socket.

pub mod frame;
pub mod keyed;
mod refusal;
mod reply;
mod request;

pub use refusal::Refusal;
pub use reply::{Documents, Reply, Standing};
pub use request::{Ask, BatchHeader, BetLine, MAX_BATCH, Malformed, Request, Verb};

/// The address that `quiniela health` asks from, so that the central can keep its questions out of the log. Only a
/// process on the same host can use it.
pub const HEALTH_SOURCE: std::net::Ipv4Addr = std::net::Ipv4Addr::new(127, 0, 0, 2);

/// The line that `quiniela health` sends. It comes back changed while bets are refused for the disk.
pub const HEALTH_MESSAGE: &str = "quiniela health check";
