//! Why a connection ends, and the clocks that can end it.

use std::fmt;
use std::time::{Duration, Instant};

/// How long bytes are discarded after an error. Closing earlier could reset the connection and lose the last reply.
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
    /// A request could not be stored, so later ones must not count.
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

/// Since when the central waits for the peer. The clocks run only while the connection is parked and the peer does not
/// wait for the central.
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
