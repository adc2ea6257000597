//! A short talk with a server: a connection, plain or TLS, over which bytes are sent until an answer has come, or until a
//! deadline.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::resolve;
use crate::transport::{self, Connector, Read, Stream};

/// See the module.
pub struct Dialog {
    stream: Box<dyn Stream>,
    poll: Poll,
    deadline: Instant,
}

/// Connects to one of the addresses of `host:port`.
pub fn connect(address: &str, deadline: Instant) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let resolving = resolve::start(address, || ())?;
    let addresses: Vec<SocketAddr> = resolving.recv_timeout(left(deadline)?).map_err(|_| out_of_time())??;
    for address in addresses {
        match TcpStream::connect_timeout(&address, left(deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

impl Dialog {
    /// Over a connection, with TLS if there are keys.
    pub fn new(stream: TcpStream, connector: Option<&Connector>, deadline: Instant) -> io::Result<Dialog> {
        stream.set_nonblocking(true)?;
        let mut stream = mio::net::TcpStream::from_std(stream);
        let poll = Poll::new()?;
        poll.registry().register(&mut stream, Token(0), Interest::READABLE | Interest::WRITABLE)?;
        let stream: Box<dyn Stream> = match connector {
            Some(connector) => Box::new(connector.connect(stream)?),
            None => Box::new(stream),
        };
        Ok(Dialog { stream, poll, deadline })
    }

    /// Sends the bytes, and passes on what comes until `take` says that it was enough.
    pub fn exchange(&mut self, bytes: &[u8], mut take: impl FnMut(&[u8]) -> io::Result<bool>) -> io::Result<()> {
        let (mut unsent, mut events) = (bytes, Events::with_capacity(4));
        loop {
            if self.stream.is_handshaking() {
                self.stream.handshake()?;
            }
            if !self.stream.is_handshaking() {
                // Sending and reading take turns: a server that answers as it reads would otherwise block on more than the
                // socket buffers hold. After a failure to send, the answer is short or wrong.
                unsent = transport::send(&mut *self.stream, unsent).map_or(&[], |sent| &unsent[sent..]);
                if self.read(&mut take)? {
                    return Ok(());
                }
            }
            match self.poll.poll(&mut events, Some(left(self.deadline)?)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
    }

    /// Reads what is there.
    fn read(&mut self, take: &mut impl FnMut(&[u8]) -> io::Result<bool>) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        loop {
            match transport::read(&mut *self.stream, &mut buffer)? {
                Read::Some(read) if take(&buffer[..read])? => return Ok(true),
                Read::Some(_) => {}
                Read::Nothing => return Ok(false),
                Read::End => {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed before the whole answer came"));
                }
            }
        }
    }
}

pub fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(out_of_time()) } else { Ok(left) }
}

fn out_of_time() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}
