//! What a central tells by HTTP, asked for by code of its own.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::{Central, CentralStart, LIMIT, tells, value};

pub struct Answer {
    /// The status line and the headers, in lower case.
    pub head: String,
    pub body: String,
}

#[track_caller]
pub fn get(port: u16, path: &str) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}"));
    Answer { head: head.to_lowercase(), body: body.to_owned() }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

impl CentralStart {
    /// Starts with the pages at a free port. Returns that port too.
    #[track_caller]
    pub fn start_with_http(self) -> (Central, u16) {
        self.start_with_http_at(0)
    }

    #[track_caller]
    pub fn start_with_http_at(self, port: u16) -> (Central, u16) {
        let central = self.with(&format!("--http 127.0.0.1:{port}")).start();
        let line = central.process.wait_for(|line| tells(line, "http", "success"));
        let port = value(&line, "address").unwrap().rsplit(':').next().unwrap().parse().unwrap();
        (central, port)
    }
}
