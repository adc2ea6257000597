//! Shared by the agency's tests: a reactor, and a central that follows a script.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use log::LevelFilter;
use mio::Interest;

use super::link::Link;
use super::reactor::{Reactor, SOCKET};
use crate::config::{AgencyConfig, AsWritten, LotteryTask, Task};
use crate::domain::AgencyId;
use crate::signals::{StopSignal, StopSwitch};
use crate::transport::{Acceptance, Incoming, Stream, Who};
use crate::wire::frame;

#[path = "../../tests/it/common/seed.rs"]
mod seed;
pub(super) use seed::seed;

pub(super) fn reactor() -> Reactor {
    stoppable_reactor().0
}

pub(super) fn stoppable_reactor() -> (Reactor, StopSwitch) {
    let (stop, switch) = StopSignal::by_hand().unwrap();
    (Reactor::new(AgencyId(3), stop).unwrap(), switch)
}

/// A link, and the other end of its connection.
pub(super) fn linked(reactor: &Reactor) -> (Link, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut stream = mio::net::TcpStream::from_std(stream);
    reactor.registry().register(&mut stream, SOCKET, Interest::READABLE | Interest::WRITABLE).unwrap();
    (Link::new(stream), listener.accept().unwrap().0)
}

pub(super) fn lottery(file: PathBuf) -> LotteryTask {
    LotteryTask {
        file,
        batch_period: Duration::ZERO,
        batch_max: 3,
        in_flight: 4,
        winners: None,
        receipt: None,
        force: false,
        follow: None,
    }
}

pub(super) fn config(task: Task, address: &str) -> AgencyConfig {
    AgencyConfig {
        tls: None,
        lottery: None,
        id: AgencyId(3),
        server_address: address.to_owned(),
        task,
        loop_amount: AsWritten { value: 3, text: "3".to_owned() },
        loop_period: AsWritten { value: Duration::ZERO, text: "0s".to_owned() },
        level: AsWritten { value: LevelFilter::Info, text: "INFO".to_owned() },
        log_format: crate::logging::Form::Text,
        retry_for: Duration::from_secs(30),
    }
}

/// A folder with a file of valid bets, the file's path, and the bets as lines of a batch.
pub(super) fn bets(rows: usize) -> (tempfile::TempDir, PathBuf, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agency-3.csv");
    let values: Vec<String> = (0..rows).map(|row| format!("Ana,Paz,{},2000-01-01,{row}", 1000 + row)).collect();
    std::fs::write(&path, values.join("\r\n")).unwrap();
    (folder, path, values.iter().map(|row| format!("BET|3|{}", row.replace(',', "|"))).collect())
}

/// The central's end of one connection.
pub(super) struct FakePeer {
    stream: BufReader<Box<dyn Stream>>,
    /// Below TLS, if there is any.
    socket: TcpStream,
}

/// A blocking end of TLS, whose handshake comes before its first byte.
struct Secure(Incoming<TcpStream>);

/// A central whose connections a script handles, one after another.
pub(super) struct FakeCentral<T> {
    pub(super) address: String,
    handle: JoinHandle<T>,
}

impl<T: Send + 'static> FakeCentral<T> {
    /// The script accepts connections with the function that it is given.
    pub(super) fn start(script: impl FnOnce(&dyn Fn() -> FakePeer) -> T + Send + 'static) -> FakeCentral<T> {
        FakeCentral::with(None, script)
    }

    /// With an acceptance its connections use TLS.
    pub(super) fn with(
        acceptance: Option<Arc<Acceptance>>,
        script: impl FnOnce(&dyn Fn() -> FakePeer) -> T + Send + 'static,
    ) -> FakeCentral<T> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let handle = std::thread::spawn(move || script(&|| FakePeer::accept(&listener, acceptance.as_ref())));
        FakeCentral { address, handle }
    }

    pub(super) fn join(self) -> T {
        self.handle.join().unwrap()
    }
}

impl FakePeer {
    fn accept(listener: &TcpListener, acceptance: Option<&Arc<Acceptance>>) -> FakePeer {
        let socket = listener.accept().unwrap().0;
        // A script that waits for what never comes must fail, not hang.
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let stream = socket.try_clone().unwrap();
        let stream: Box<dyn Stream> = match acceptance {
            Some(acceptance) => Box::new(Secure(Incoming::new(stream, Arc::clone(acceptance)))),
            None => Box::new(stream),
        };
        FakePeer { stream: BufReader::new(stream), socket }
    }

    /// Cuts the connection below TLS.
    pub(super) fn cut(self) {
        self.socket.shutdown(std::net::Shutdown::Both).unwrap();
    }

    /// Why nothing can be read, at a peer that must send nothing. Returns once the agency has closed the connection.
    #[track_caller]
    pub(super) fn failure(&mut self) -> io::Error {
        let error = self.stream.fill_buf().expect_err("the agency must send nothing");
        let _ = io::copy(&mut self.socket, &mut io::sink());
        error
    }

    /// All bytes that the agency sends until it closes the connection.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = self.stream.read_to_end(&mut bytes);
        bytes
    }

    /// Waits for the first byte, without taking it.
    pub(super) fn await_byte(&self) {
        assert_eq!(self.socket.peek(&mut [0]).unwrap(), 1);
    }

    /// The next frame's text, or `None` if the agency has closed the connection.
    pub(super) fn frame(&mut self) -> Option<String> {
        let mut header = [0; frame::HEADER];
        self.stream.read_exact(&mut header).ok()?;
        let mut text = vec![0; u32::from_be_bytes(header) as usize];
        self.stream.read_exact(&mut text).ok()?;
        assert!((1..=frame::MAX_FRAME).contains(&text.len()));
        Some(String::from_utf8(text).unwrap())
    }

    #[track_caller]
    pub(super) fn expect(&mut self, text: &str) -> &mut FakePeer {
        assert_eq!(self.frame().expect("a frame"), format!("{text}\n"));
        self
    }

    /// Expects the agency to send nothing for this time.
    #[track_caller]
    pub(super) fn expect_silence(&mut self, duration: Duration) {
        self.socket.set_read_timeout(Some(duration)).unwrap();
        assert_eq!(self.stream.fill_buf().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }

    /// Expects the agency to close the connection.
    #[track_caller]
    pub(super) fn expect_end(&mut self) {
        assert_eq!(self.frame(), None);
    }

    pub(super) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line
    }

    pub(super) fn send(&mut self, reply: &str) -> &mut FakePeer {
        let mut bytes = Vec::new();
        frame::push(&mut bytes, &reply);
        self.send_raw(&bytes)
    }

    pub(super) fn send_raw(&mut self, bytes: &[u8]) -> &mut FakePeer {
        // The agency may have closed the connection. Whether it should is for the rest of the test to check.
        let _ = self.stream.get_mut().write_all(bytes);
        self
    }
}

impl Secure {
    fn handshake(&mut self) -> io::Result<()> {
        if self.0.who() == Who::Nobody && !self.0.is_handshaking() {
            match self.0.read(&mut [0]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                result => panic!("a peer without TLS: {}", result?),
            }
        }
        if self.0.is_handshaking() {
            self.0.handshake()?;
            assert!(!self.0.is_handshaking(), "the agency is silent in its handshake");
        }
        Ok(())
    }
}

impl io::Read for Secure {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.handshake()?;
        self.0.read(into)
    }
}

impl io::Write for Secure {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.handshake()?;
        self.0.write(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Stream for Secure {
    fn close_sending(&mut self) -> io::Result<()> {
        self.0.close_sending()
    }

    fn has_unsent(&self) -> bool {
        self.0.has_unsent()
    }

    fn certificates(&self) -> Vec<Vec<u8>> {
        self.0.certificates()
    }
}
