//! Why a connection ends, and the clocks that can end it.

use std::fmt;
use std::time::{Duration, Instant};

/// How long the rest of a peer's bytes is thrown away after an error, so that closing does not take the reply with it.
pub const LINGER: Duration = Duration::from_secs(1);

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer has ended it.
    Peer,
    /// A line was echoed.
    Echo,
    /// What came is no frame, or was not finished in time.
    Framing,
    /// The peer's certificate is refused, or TLS fails.
    Tls,
    /// Something could not be stored, so what comes behind it must not count.
    Storage,
    /// The peer did not take its replies.
    Late,
    /// The central has too much to do.
    Busy,
    /// Reading or writing failed.
    Error,
    /// The central is stopping.
    Shutdown,
}

/// Since when the peer lets the central wait. They run only while the connection is parked and the central owes nothing
/// that the peer would have to wait for.
#[derive(Default)]
pub struct Clocks {
    /// For the rest of a frame, a line or a batch.
    pub frame: Option<Instant>,
    /// For the peer to take replies.
    pub replies: Option<Instant>,
    /// For the peer to close its side, after an error.
    pub linger: Option<Instant>,
}

impl fmt::Display for End {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            End::Peer => "peer",
            End::Echo => "echo",
            End::Framing => "framing",
            End::Tls => "tls",
            End::Storage => "storage",
            End::Late => "late",
            End::Busy => "busy",
            End::Error => "error",
            End::Shutdown => "shutdown",
        })
    }
}
