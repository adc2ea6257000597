//! A connection to the central before its first byte tells whether the peer speaks TLS.

use std::io::{self, Read, Write};
use std::sync::Arc;

use super::acceptance::Acceptance;
use super::tls::{HANDSHAKE_BYTES, TlsStream};
use super::{Signer, Stream, Who};

/// The first byte of a handshake's record. A frame begins with 0, and a line with a character of text.
const HANDSHAKE_RECORD: u8 = 0x16;

/// See the module. Reading finds out: a peer that speaks TLS makes it `WouldBlock`, and [`Stream::is_handshaking`] is then
/// true. Writing fails before that, since what is plain would mean nothing to a peer that speaks TLS.
pub struct Incoming<S: Stream>(State<S>);

enum State<S: Stream> {
    Undecided(S, Arc<Acceptance>),
    Plain(S),
    Tls(Box<TlsStream<S>>),
    /// TLS could not be set up.
    Gone,
}

impl<S: Stream> Incoming<S> {
    pub fn new(stream: S, acceptance: Arc<Acceptance>) -> Incoming<S> {
        Incoming(State::Undecided(stream, acceptance))
    }

    fn stream(&self) -> Option<&dyn Stream> {
        match &self.0 {
            State::Undecided(stream, _) | State::Plain(stream) => Some(stream),
            State::Tls(stream) => Some(&**stream),
            State::Gone => None,
        }
    }

    fn stream_mut(&mut self) -> io::Result<&mut dyn Stream> {
        match &mut self.0 {
            State::Undecided(stream, _) | State::Plain(stream) => Ok(stream),
            State::Tls(stream) => Ok(&mut **stream),
            State::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The first bytes have come.
    fn decide(&mut self, bytes: &[u8]) -> io::Result<()> {
        let is_tls = bytes.first() == Some(&HANDSHAKE_RECORD);
        self.0 = match std::mem::replace(&mut self.0, State::Gone) {
            State::Undecided(stream, acceptance) if is_tls => {
                State::Tls(Box::new(TlsStream::of_server(stream, bytes.to_vec(), acceptance)?))
            }
            State::Undecided(stream, _) => State::Plain(stream),
            decided => decided,
        };
        Ok(())
    }
}

#[cfg(test)]
impl<S: Stream> Incoming<S> {
    pub(super) fn tls(&mut self) -> &mut TlsStream<S> {
        match &mut self.0 {
            State::Tls(stream) => stream,
            _ => panic!("it speaks no TLS"),
        }
    }
}

impl<S: Stream> Read for Incoming<S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let State::Undecided(stream, _) = &mut self.0 else { return self.stream_mut()?.read(into) };
        // No more than a handshake may have, since all of it is kept.
        let most = into.len().min(HANDSHAKE_BYTES);
        let read = stream.read(&mut into[..most])?;
        if read > 0 {
            self.decide(&into[..read])?;
        }
        if matches!(self.0, State::Tls(_)) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(read) }
    }
}

impl<S: Stream> Write for Incoming<S> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        if matches!(self.0, State::Undecided(..)) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        self.stream_mut()?.write(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream_mut()?.flush()
    }
}

impl<S: Stream> Stream for Incoming<S> {
    fn close_sending(&mut self) -> io::Result<()> {
        self.stream_mut()?.close_sending()
    }

    fn has_unsent(&self) -> bool {
        self.stream().is_some_and(Stream::has_unsent)
    }

    fn has_part(&self) -> bool {
        self.stream().is_some_and(Stream::has_part)
    }

    fn is_handshaking(&self) -> bool {
        self.stream().is_some_and(Stream::is_handshaking)
    }

    fn handshake(&mut self) -> io::Result<()> {
        self.stream_mut()?.handshake()
    }

    fn who(&self) -> Who {
        match &self.0 {
            State::Undecided(..) | State::Gone => Who::Nobody,
            State::Plain(stream) => stream.who(),
            State::Tls(stream) => stream.who(),
        }
    }

    fn certificates(&self) -> Vec<Vec<u8>> {
        self.stream().map(Stream::certificates).unwrap_or_default()
    }

    fn signer(&self) -> Option<&Signer> {
        self.stream().and_then(Stream::signer)
    }

    fn recheck(&mut self) -> io::Result<()> {
        self.stream_mut()?.recheck()
    }

    fn held_bytes(&self) -> usize {
        self.stream().map_or(0, Stream::held_bytes)
    }

    fn discard(&mut self, scratch: &mut [u8]) -> io::Result<usize> {
        self.stream_mut()?.discard(scratch)
    }
}
