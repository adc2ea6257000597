//! Connections as both sides see them: a non-blocking stream, and who is at its other end.

#[cfg(test)]
pub mod memory;

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};

use mio::net::TcpStream;

/// A connection's bytes. Reading and writing never block: they fail with `WouldBlock` where they would have to wait.
pub trait Stream: Read + Write + Send {
    /// Says that nothing more will be sent. What the peer still sends can be read.
    fn close_sending(&mut self) -> io::Result<()>;

    /// Whether the stream holds bytes of its own that wait to be sent (a handshake's, say).
    fn has_unsent(&self) -> bool;
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    pub address: SocketAddr,
}

impl Stream for TcpStream {
    fn close_sending(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn has_unsent(&self) -> bool {
        false
    }
}
