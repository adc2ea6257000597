//! The wire: frames, and the messages in them. Shared by the central and the agency; knows no socket.

pub mod frame;
mod reply;
mod request;

pub use reply::Reply;
pub use request::{BatchHeader, BetLine, MAX_BATCH, Malformed, Request, Verb};
