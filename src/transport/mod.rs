//! Connections as both sides see them: a non-blocking stream, plain or TLS, and who is at its other end.

mod acceptance;
mod certificate;
mod connector;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
#[cfg(test)]
mod handshake_tests;
mod identity;
mod incoming;
#[cfg(any(test, fuzzing))]
#[cfg_attr(fuzzing, allow(dead_code))]
pub mod memory;
mod records;
mod secret;
mod signature;
#[cfg(test)]
pub mod testing;
mod tls;
mod tls_error;
mod verify;

pub use acceptance::Acceptance;
pub use certificate::{party, role};
pub use connector::Connector;
pub use identity::{Expiring, Expiry, Paths, Warning};
pub use incoming::Incoming;
pub use secret::open_secret;
pub use signature::{Signer, verify as verify_signature};
pub use tls_error::TlsError;

use std::io;
use std::net::{Shutdown, SocketAddr};

use mio::net::TcpStream;

use crate::domain::Role;

/// A connection's bytes. Reading and writing never block: they fail with `WouldBlock` where they would have to wait.
pub trait Stream: io::Read + io::Write + Send {
    /// Says that nothing more will be sent. What the peer still sends can be read.
    fn close_sending(&mut self) -> io::Result<()>;

    /// Whether the stream holds bytes of its own that wait to be sent (a handshake's, say).
    fn has_unsent(&self) -> bool;

    /// Whether a part of something has come that cannot be read before the rest of it: of a TLS record.
    fn has_part(&self) -> bool {
        false
    }

    /// Whether a handshake has begun and is not over. Until it is, reading and writing fail with `WouldBlock`.
    fn is_handshaking(&self) -> bool {
        false
    }

    /// Goes on with the handshake, as far as what has come allows. Whoever calls it knows that it takes time: a signature, and
    /// the judgement of certificates.
    fn handshake(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Whom the peer has proved to be. Nobody before its handshake is over.
    fn who(&self) -> Who {
        Who::Plain
    }

    /// The peer's certificates (DER), its own first. None before its handshake is over, or without TLS.
    fn certificates(&self) -> Vec<Vec<u8>> {
        Vec::new()
    }

    /// Signs with our own key, as the peer has seen its certificate in the handshake: the files may have been read again since.
    /// None at a client, before the handshake is over, or without TLS.
    fn signer(&self) -> Option<&Signer> {
        None
    }

    /// Judges the peer's certificate again, if what it is judged by has changed, or if it may have expired. An error is its
    /// refusal.
    fn recheck(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// The memory that the stream takes, beside what the system holds.
    fn held_bytes(&self) -> usize {
        0
    }

    /// Reads what is not wanted any more, also when what comes can no longer be understood.
    fn discard(&mut self, scratch: &mut [u8]) -> io::Result<usize> {
        self.read(scratch)
    }
}

/// Whom a peer has proved to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// It speaks without TLS, and proves nothing.
    Plain,
    /// Its certificate is good, and speaks for no party of a lottery that can be at this end.
    Nobody,
    Party(Role),
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    pub address: SocketAddr,
    pub who: Who,
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
    read_by(|| stream.read(into))
}

/// Reads once what nobody wants any more.
pub fn discard(stream: &mut dyn Stream, scratch: &mut [u8]) -> io::Result<Read> {
    read_by(|| stream.discard(scratch))
}

fn read_by(mut attempt: impl FnMut() -> io::Result<usize>) -> io::Result<Read> {
    loop {
        return match attempt() {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream of which a signal interrupts every other call.
    struct Disturbed {
        bytes: &'static [u8],
        sent: Vec<u8>,
        is_due: bool,
    }

    impl Disturbed {
        fn disturb(&mut self) -> io::Result<()> {
            self.is_due = !self.is_due;
            if self.is_due { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
        }
    }

    impl io::Read for Disturbed {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.disturb()?;
            self.bytes.read(into)
        }
    }

    impl io::Write for Disturbed {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.disturb()?;
            self.sent.write(&bytes[..1])
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Stream for Disturbed {
        fn close_sending(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn has_unsent(&self) -> bool {
            false
        }
    }

    #[test]
    fn a_signal_ends_neither_a_read_nor_a_write() {
        let mut stream = Disturbed { bytes: b"abcd", sent: Vec::new(), is_due: false };
        let mut into = [0; 2];
        assert_eq!((read(&mut stream, &mut into).unwrap(), &into), (Read::Some(2), b"ab"));
        assert_eq!(discard(&mut stream, &mut into).unwrap(), Read::Some(2), "what is not wanted is read, too");
        assert_eq!(discard(&mut stream, &mut into).unwrap(), Read::End);
        assert_eq!((send(&mut stream, b"xyz").unwrap(), &stream.sent[..]), (3, &b"xyz"[..]));
    }
}
