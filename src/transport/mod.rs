//! Connections as both sides see them: a non-blocking stream, and who is at its other end.

#[cfg(test)]
pub mod memory;

use std::io;
use std::net::{Shutdown, SocketAddr};

use mio::net::TcpStream;

/// A connection's bytes. Reading and writing never block: they fail with `WouldBlock` where they would have to wait.
pub trait Stream: io::Read + io::Write + Send {
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

/// What a read has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    Some(usize),
    /// There is nothing more now.
    Nothing,
    /// The peer will send nothing more.
    End,
}

/// Reads once what is there.
pub fn read(stream: &mut dyn Stream, into: &mut [u8]) -> io::Result<Read> {
    loop {
        return match stream.read(into) {
            Ok(0) => Ok(Read::End),
            Ok(read) => Ok(Read::Some(read)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Read::Nothing),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
    }
}

/// Sends as many of the bytes as the stream takes now, and behind the last of them what it holds of its own. Returns how
/// many it has taken.
pub fn send(stream: &mut dyn Stream, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    let result = loop {
        if sent == bytes.len() {
            break if stream.has_unsent() { stream.flush() } else { Ok(()) };
        }
        match stream.write(&bytes[sent..]) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::WriteZero, "the connection takes no more bytes")),
            Ok(written) => sent += written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    match result {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(sent),
    }
}

impl Stream for TcpStream {
    fn close_sending(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn has_unsent(&self) -> bool {
        false
    }
}
