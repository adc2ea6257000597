//! HTTP with code of its own: one request, and the whole answer.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use super::{Central, CentralStart, LIMIT, tells, value};

/// An answer as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// A field of its head.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, text) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(text)
        })
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl CentralStart {
    /// Starts with HTTP at a free port. Returns that port too.
    #[track_caller]
    pub fn start_with_http(self) -> (Central, u16) {
        self.start_with_http_at(0)
    }

    #[track_caller]
    pub fn start_with_http_at(self, http: u16) -> (Central, u16) {
        let central = self.with(&format!("--http 127.0.0.1:{http}")).start();
        let http = port(&central);
        (central, http)
    }
}

/// The port on which a central serves HTTP, from its log, once it has come so far that it takes requests.
#[track_caller]
pub fn port(central: &Central) -> u16 {
    let line = central.process.wait_for(|line| tells(line, "http", "success"));
    let port = value(&line, "address").unwrap().rsplit_once(':').unwrap().1.parse().unwrap();
    let deadline = Instant::now() + LIMIT;
    while get(port, "/readyz").body == "the central starts\n" {
        assert!(Instant::now() < deadline, "it does not come to its start");
    }
    port
}

pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

#[track_caller]
pub fn get(port: u16, path: &str) -> Answer {
    ask(port, "GET", path, "")
}

/// With these further lines of its head, each ended by CR LF.
#[track_caller]
pub fn ask(port: u16, method: &str, path: &str, lines: &str) -> Answer {
    let mut stream = connect(port);
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: central\r\n{lines}\r\n").unwrap();
    answer(stream)
}

/// Everything until the server closes.
#[track_caller]
pub fn answer(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{read:?}: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// The value of a sample, by its name and labels as they stand in the text.
pub fn sample(metrics: &str, name: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}
