//! A client of the protocol with code of its own, so that it does not share the program's bugs.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{AlertDescription, ClientConfig, ClientConnection, StreamOwned};
use socket2::{Domain, SockRef, Socket, Type};

use super::{LIMIT, tls};

pub struct Client {
    stream: Stream,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => &stream.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.read(into),
            Stream::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.write(from),
            Stream::Tls(stream) => stream.write(from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}

/// A frame around a text. The caller adds the line feed at its end.
pub fn frame(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap();
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

impl Client {
    #[track_caller]
    pub fn connect(port: u16) -> Client {
        Client::connect_with(port, |_| {})
    }

    /// From one of this machine's own addresses.
    #[track_caller]
    pub fn connect_from(address: [u8; 4], port: u16) -> Client {
        Client::connect_with(port, |socket| socket.bind(&SocketAddr::from((address, 0)).into()).unwrap())
    }

    /// With a socket that is prepared first.
    #[track_caller]
    pub fn connect_with(port: u16, prepare: impl FnOnce(&Socket)) -> Client {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        prepare(&socket);
        socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream: Stream::Plain(stream) }
    }

    /// Over TLS. The handshake is part of what is first sent or read.
    #[track_caller]
    pub fn connect_tls(port: u16, config: &Arc<ClientConfig>) -> Client {
        Client::connect(port).tls(config)
    }

    /// From here on TLS, whatever was sent before.
    #[track_caller]
    pub fn tls(self, config: &Arc<ClientConfig>) -> Client {
        Client::over(tls::connection(config), self.into_tcp())
    }

    /// With a handshake that may have begun.
    pub fn over(connection: ClientConnection, stream: TcpStream) -> Client {
        Client { stream: Stream::Tls(Box::new(StreamOwned::new(connection, stream))) }
    }

    /// What is below TLS, or the plain connection.
    pub fn into_tcp(self) -> TcpStream {
        match self.stream {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => stream.sock,
        }
    }

    /// The port of this end.
    pub fn port(&self) -> u16 {
        self.stream.tcp().local_addr().unwrap().port()
    }

    /// Sends a request in a frame, ended by a line feed.
    #[track_caller]
    pub fn send(&mut self, request: &str) -> &mut Client {
        self.send_bytes(&frame(&format!("{request}\n")))
    }

    #[track_caller]
    pub fn send_bytes(&mut self, bytes: &[u8]) -> &mut Client {
        self.stream.write_all(bytes).unwrap();
        self
    }

    /// Sends to a peer that may have closed the connection.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next frame's content.
    pub fn try_content(&mut self) -> io::Result<Vec<u8>> {
        let mut header = [0; 4];
        self.stream.read_exact(&mut header)?;
        let length = u32::from_be_bytes(header) as usize;
        assert!((1..=8192).contains(&length), "a reply of {length} bytes");
        let mut content = vec![0; length];
        self.stream.read_exact(&mut content)?;
        Ok(content)
    }

    /// The next frame's text, without the line feed that it must end with.
    #[track_caller]
    pub fn reply(&mut self) -> String {
        let mut text = self.try_content().unwrap();
        assert_eq!(text.pop(), Some(b'\n'), "{text:?}");
        String::from_utf8(text).unwrap()
    }

    /// The alert with which the central refuses the handshake. Nothing else may come.
    #[track_caller]
    pub fn alert(&mut self) -> AlertDescription {
        match self.stream.read(&mut [0; 64]) {
            Ok(read) => panic!("{read} bytes, where an alert was expected"),
            Err(error) => tls::alert(&error).unwrap_or_else(|| panic!("{error}, where an alert was expected")),
        }
    }

    /// The next frame, byte for byte, whatever its length says.
    #[track_caller]
    pub fn expect(&mut self, reply: &str) -> &mut Client {
        let expected = frame(&format!("{reply}\n"));
        self.expect_bytes(&expected)
    }

    #[track_caller]
    pub fn expect_bytes(&mut self, expected: &[u8]) -> &mut Client {
        let mut found = vec![0; expected.len()];
        let mut read = 0;
        while read < expected.len() && expected[..read] == found[..read] {
            match self.stream.read(&mut found[read..]) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&found[..read])),
            }
        }
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(shown(&found[..read]), shown(expected));
        assert_eq!(found[..read], *expected, "the same only as text");
        self
    }

    /// The next bytes, so many.
    #[track_caller]
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).unwrap_or_else(|error| panic!("{error}"));
        bytes
    }

    /// Asks HELLO for all fields. The reply begins with these; the lottery's id and the agency's secret follow. Returns both.
    #[track_caller]
    pub fn hello(&mut self, agency: u32, start: &str) -> (String, String) {
        let reply = self.send(&format!("HELLO|{agency}|+")).reply();
        let fields: Vec<&str> = reply.trim_end().split('|').collect();
        let [.., lottery, secret] = fields[..] else { panic!("{reply}") };
        assert_eq!(fields[..fields.len() - 2].join("|"), start, "{reply}");
        assert_eq!((fields.len(), lottery.len(), secret.len()), (7, 32, 64), "{reply}");
        (lottery.to_owned(), secret.to_owned())
    }

    /// Sends a request and expects a reply.
    #[track_caller]
    pub fn ask(&mut self, request: &str, reply: &str) -> &mut Client {
        self.send(request).expect(reply)
    }

    /// Everything that is received until the central closes the connection.
    #[track_caller]
    pub fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("not closed: {error}"),
            _ => String::from_utf8_lossy(&rest).into_owned(),
        }
    }

    /// Expects the central to have closed the connection, without any more bytes.
    #[track_caller]
    pub fn expect_end(&mut self) {
        assert_eq!(self.rest(), "", "where the end was expected");
    }

    /// Expects the same, and no reset.
    #[track_caller]
    pub fn expect_clean_end(&mut self) {
        assert_eq!(self.stream.read(&mut [0]).unwrap(), 0, "more than the end has come");
    }

    /// Closes the sending side.
    #[track_caller]
    pub fn half_close(&mut self) -> &mut Client {
        self.try_half_close().unwrap();
        self
    }

    pub fn try_half_close(&mut self) -> io::Result<()> {
        if let Stream::Tls(stream) = &mut self.stream {
            stream.conn.send_close_notify();
            stream.flush()?;
        }
        self.stream.tcp().shutdown(Shutdown::Write)
    }

    /// Resets the connection.
    pub fn reset(self) {
        SockRef::from(self.stream.tcp()).set_linger(Some(Duration::ZERO)).unwrap();
    }
}
