//! TLS over a stream, for both sides. It never blocks, and what it holds is bounded.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::pki_types::UnixTime;
use rustls::{ClientConnection, Connection, ServerConnection};

use super::acceptance::{Acceptance, Judgement};
use super::records::Wire;
use super::tls_error::{OtherEnd, TlsError};
use super::{Signer, Stream, Who};
use crate::domain::Role;

/// What a peer may send before its handshake is over.
pub(super) const HANDSHAKE_BYTES: usize = 16 * 1024;
/// Encrypted bytes that wait to be sent. More is taken only once all of them are.
const UNSENT_BYTES: usize = 64 * 1024;
/// What may come after the handshake without a byte for the reader: changes of keys, empty records.
const FRUITLESS_BYTES: usize = 16 * 1024;
/// What a handshake takes beside what came in. What a connection takes after it is not counted: the number of connections
/// bounds it.
const HANDSHAKE_STATE: usize = 8 * 1024;

/// See the module. Until the handshake is over, reading and writing fail with `WouldBlock`, and only
/// [`Stream::handshake`] goes on with it.
pub struct TlsStream<S: Stream> {
    connection: Connection,
    wire: Wire<S>,
    side: Side,
    /// Why nothing more can be read or written.
    failure: Option<TlsError>,
    sending: Sending,
    /// Received in the handshake.
    in_handshake: usize,
    /// Received since there was last something to read.
    fruitless: usize,
    /// Decrypted and not read yet.
    unread: usize,
    /// Encrypted and not sent yet.
    unsent: usize,
}

enum Side {
    /// The verifier has seen to it that the other end is the central.
    Client,
    Server(Judgement),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sending {
    Open,
    /// The end was said, and has still to be sent.
    Ending,
    Ended,
}

impl<S: Stream> TlsStream<S> {
    /// `early` is what was read of the stream already.
    pub(super) fn of_server(stream: S, early: Vec<u8>, acceptance: Arc<Acceptance>) -> io::Result<TlsStream<S>> {
        let current = acceptance.current();
        let connection = ServerConnection::new(Arc::clone(&current.config)).map_err(io::Error::other)?;
        let side = Side::Server(Judgement::pending(acceptance, &current));
        Ok(TlsStream::new(connection.into(), Wire::new(stream, early), side))
    }

    pub(super) fn of_client(stream: S, connection: ClientConnection) -> TlsStream<S> {
        TlsStream::new(connection.into(), Wire::new(stream, Vec::new()), Side::Client)
    }

    fn new(mut connection: Connection, wire: Wire<S>, side: Side) -> TlsStream<S> {
        connection.set_buffer_limit(Some(UNSENT_BYTES));
        let (failure, sending) = (None, Sending::Open);
        TlsStream { connection, wire, side, failure, sending, in_handshake: 0, fruitless: 0, unread: 0, unsent: 0 }
    }

    fn other_end(&self) -> OtherEnd {
        match self.side {
            Side::Client => OtherEnd::Central,
            Side::Server(_) => OtherEnd::Client,
        }
    }

    /// Reads once from the stream below, and decrypts what is whole.
    fn receive(&mut self) -> io::Result<()> {
        let is_handshaking = self.connection.is_handshaking();
        if is_handshaking {
            self.wire.most = HANDSHAKE_BYTES - self.in_handshake;
            if self.wire.most == 0 {
                let text = format!("{} sends more than {HANDSHAKE_BYTES} bytes of handshake", self.other_end());
                return Err(self.fail(TlsError::Protocol(text)));
            }
        } else {
            self.wire.most = usize::MAX;
        }
        let read = match self.connection.read_tls(&mut self.wire) {
            Ok(read) => read,
            // That is how rustls says that its buffer is full.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let text = format!("{} sends a message that is too long", self.other_end());
                return Err(self.fail(TlsError::Protocol(text)));
            }
            Err(error) => return Err(error),
        };
        if is_handshaking && matches!(self.side, Side::Client) && self.wire.is_hello() {
            // An echo server takes a hello for a line, and sends it back up to its first line feed.
            let text = format!("{} answered without TLS", self.other_end());
            return Err(self.fail(TlsError::Protocol(text)));
        }
        let state = match self.connection.process_new_packets() {
            Ok(state) => state,
            Err(error) => {
                let error = TlsError::explain(&error, self.other_end());
                return Err(self.fail(error));
            }
        };
        self.unread = state.plaintext_bytes_to_read();
        if is_handshaking {
            self.in_handshake += read;
            if read == 0 {
                let text = format!("{} closed the connection in the handshake", self.other_end());
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
            }
            return Ok(());
        }
        self.fruitless = if self.unread > 0 { 0 } else { self.fruitless + read };
        // A record that is not whole yet may carry something.
        if self.fruitless.saturating_sub(self.wire.held()) > FRUITLESS_BYTES {
            let text = format!("{} sends records that carry nothing", self.other_end());
            return Err(self.fail(TlsError::Protocol(text)));
        }
        Ok(())
    }

    /// Sends what waits, as far as the stream below takes it now.
    fn send_waiting(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut self.wire.stream) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.unsent = self.connection.process_new_packets().map_or(0, |state| state.tls_bytes_to_write());
                    return Err(error);
                }
            }
        }
        self.unsent = 0;
        if self.sending == Sending::Ending {
            self.sending = Sending::Ended;
            self.wire.stream.close_sending()?;
        }
        Ok(())
    }

    /// Sends what waits. What does not fit now is no error.
    fn send_some(&mut self) -> io::Result<()> {
        match self.send_waiting() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    /// The connection is of no more use. The peer is told, if it takes that now.
    fn fail(&mut self, failure: TlsError) -> io::Error {
        self.failure = Some(failure.clone());
        let _ = self.send_waiting();
        failure.into()
    }

    fn check(&self) -> io::Result<()> {
        self.failure.clone().map_or(Ok(()), |failure| Err(failure.into()))
    }

    fn judge(&mut self) -> io::Result<()> {
        let Side::Server(judgement) = &mut self.side else { return Ok(()) };
        let chain = self.connection.peer_certificates().unwrap_or_default();
        match judgement.renew(chain, UnixTime::now()) {
            Ok(_) => Ok(()),
            Err(error) => {
                self.connection.send_close_notify();
                Err(self.fail(error))
            }
        }
    }

    fn step(&mut self) -> io::Result<()> {
        while self.connection.is_handshaking() {
            if let Err(error) = self.send_waiting() {
                if error.kind() == io::ErrorKind::WouldBlock {
                    return Err(error);
                }
                // A peer that has hung up may have said why.
                return self.receive().and(Err(error));
            }
            match self.receive() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => result?,
            }
        }
        Ok(())
    }
}

impl<S: Stream> Stream for TlsStream<S> {
    fn close_sending(&mut self) -> io::Result<()> {
        if self.sending == Sending::Open {
            self.connection.send_close_notify();
            self.sending = Sending::Ending;
        }
        self.send_some()
    }

    fn has_unsent(&self) -> bool {
        self.connection.wants_write()
    }

    fn has_part(&self) -> bool {
        self.wire.held() > 0
    }

    fn is_handshaking(&self) -> bool {
        let is_judged = match &self.side {
            Side::Client => true,
            Side::Server(judgement) => judgement.who().is_some(),
        };
        self.failure.is_none() && (self.connection.is_handshaking() || !is_judged)
    }

    fn handshake(&mut self) -> io::Result<()> {
        self.check()?;
        match self.step() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            result => result?,
        }
        // If the last of it cannot be sent, reading tells why.
        let _ = self.send_waiting();
        if self.is_handshaking() { self.judge() } else { Ok(()) }
    }

    fn who(&self) -> Who {
        match &self.side {
            _ if self.failure.is_some() => Who::Nobody,
            Side::Client if self.connection.is_handshaking() => Who::Nobody,
            Side::Client => Who::Party(Role::Central),
            Side::Server(judgement) => judgement.who().unwrap_or(Who::Nobody),
        }
    }

    fn certificates(&self) -> Vec<Vec<u8>> {
        if self.failure.is_some() || self.is_handshaking() {
            return Vec::new();
        }
        self.connection.peer_certificates().unwrap_or_default().iter().map(|one| one.to_vec()).collect()
    }

    fn signer(&self) -> Option<&Signer> {
        match &self.side {
            Side::Server(judgement) if self.failure.is_none() && !self.is_handshaking() => Some(judgement.signer()),
            _ => None,
        }
    }

    fn recheck(&mut self) -> io::Result<()> {
        self.check()?;
        if self.is_handshaking() { Ok(()) } else { self.judge() }
    }

    fn held_bytes(&self) -> usize {
        let in_handshake = if self.is_handshaking() { HANDSHAKE_STATE + self.in_handshake } else { 0 };
        in_handshake + self.wire.held().max(self.fruitless) + self.unread + self.unsent
    }

    fn discard(&mut self, scratch: &mut [u8]) -> io::Result<usize> {
        let _ = self.send_waiting();
        if self.failure.is_some() || self.is_handshaking() {
            return self.wire.stream.read(scratch);
        }
        self.read(scratch)
    }
}

impl<S: Stream> Read for TlsStream<S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.is_handshaking() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if let Some(TlsError::Untrusted(_)) = self.failure {
            // Not even what had come before is taken from a peer that is refused.
            self.check()?;
        }
        loop {
            match self.connection.reader().read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.check()?,
                // Frames are whole or they are not, so the central need not know how a client has gone. A client must: a
                // third party can end a connection of TCP.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return match self.side {
                        Side::Server(_) => Ok(0),
                        Side::Client => Err(io::Error::new(
                            error.kind(),
                            "the central's end of the connection is gone without a word",
                        )),
                    };
                }
                result => {
                    let read = result?;
                    self.unread = self.unread.saturating_sub(read);
                    return Ok(read);
                }
            }
            self.receive()?;
            // Reading can make an answer necessary: to a change of keys. If it cannot be sent, the next write tells.
            let _ = self.send_waiting();
        }
    }
}

impl<S: Stream> Write for TlsStream<S> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.check()?;
        if self.is_handshaking() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if self.sending != Sending::Open {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.send_waiting()?;
        let taken = self.connection.writer().write(from)?;
        self.send_some()?;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send_waiting()?;
        self.wire.stream.flush()
    }
}

/// The end of what was sent is said, unless it was cut.
impl<S: Stream> Drop for TlsStream<S> {
    fn drop(&mut self) {
        let is_whole = self.failure.is_none() && !self.is_handshaking() && !self.has_unsent();
        if is_whole && self.sending == Sending::Open {
            self.connection.send_close_notify();
            let _ = self.send_waiting();
        }
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
