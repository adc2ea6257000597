//! Shared by the agency's tests: a reactor, and a central that follows a script.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use log::LevelFilter;
use mio::Interest;

use super::link::Link;
use super::reactor::{Reactor, SOCKET};
use crate::config::{AgencyConfig, AsWritten, LotteryTask, Task};
use crate::domain::AgencyId;
use crate::signals::{StopSignal, StopSwitch};
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
    LotteryTask { file, batch_period: Duration::ZERO, batch_max: 3, in_flight: 4, winners: None, force: false }
}

pub(super) fn config(task: Task, address: &str) -> AgencyConfig {
    AgencyConfig {
        id: AgencyId(3),
        server_address: address.to_owned(),
        task,
        loop_amount: AsWritten { value: 3, text: "3".to_owned() },
        loop_period: AsWritten { value: Duration::ZERO, text: "0s".to_owned() },
        level: AsWritten { value: LevelFilter::Info, text: "INFO".to_owned() },
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
pub(super) struct FakePeer(BufReader<TcpStream>);

/// A central whose connections a script handles, one after another.
pub(super) struct FakeCentral<T> {
    pub(super) address: String,
    handle: JoinHandle<T>,
}

impl<T: Send + 'static> FakeCentral<T> {
    /// The script accepts connections with the function that it is given.
    pub(super) fn start(script: impl FnOnce(&dyn Fn() -> FakePeer) -> T + Send + 'static) -> FakeCentral<T> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let handle = std::thread::spawn(move || script(&|| FakePeer::accept(&listener)));
        FakeCentral { address, handle }
    }

    pub(super) fn join(self) -> T {
        self.handle.join().unwrap()
    }
}

impl FakePeer {
    fn accept(listener: &TcpListener) -> FakePeer {
        let stream = listener.accept().unwrap().0;
        // A script that waits for what never comes must fail, not hang.
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        FakePeer(BufReader::new(stream))
    }

    /// The next frame's text, or `None` if the agency has closed the connection.
    pub(super) fn frame(&mut self) -> Option<String> {
        let mut header = [0; frame::HEADER];
        self.0.read_exact(&mut header).ok()?;
        let mut text = vec![0; u32::from_be_bytes(header) as usize];
        self.0.read_exact(&mut text).ok()?;
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
        self.0.get_ref().set_read_timeout(Some(duration)).unwrap();
        assert_eq!(self.0.fill_buf().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }

    /// Expects the agency to close the connection.
    #[track_caller]
    pub(super) fn expect_end(&mut self) {
        assert_eq!(self.frame(), None);
    }

    pub(super) fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    pub(super) fn send(&mut self, reply: &str) -> &mut FakePeer {
        let mut bytes = Vec::new();
        frame::push(&mut bytes, &reply);
        self.send_raw(&bytes)
    }

    pub(super) fn send_raw(&mut self, bytes: &[u8]) -> &mut FakePeer {
        // The agency may have closed the connection. Whether it should is for the rest of the test to check.
        let _ = self.0.get_mut().write_all(bytes);
        self
    }
}
