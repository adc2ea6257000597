//! Shared by the black-box tests: real processes of the program, real sockets and files. Every wait is for a condition,
//! with a limit that only a failure reaches.

pub mod client;
pub mod files;
pub mod http;
pub mod keys;
pub mod process;
pub mod proxy;
pub mod seed;
pub mod tls;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

pub use client::Client;
pub use files::Folder;
pub use process::{Exit, Process, Signal};
pub use proxy::Proxy;
pub use seed::seed;

/// The values of a winning bet.
pub const ANA: &str = "Ana|Paz|1|2000-01-01|7574";

/// Limit of every wait. Even on a slow machine only a hang takes this long.
pub const LIMIT: Duration = Duration::from_secs(120);

/// A running central that listens.
pub struct Central {
    pub process: Process,
    pub port: u16,
}

/// How a central is to be started.
pub struct CentralStart {
    store: PathBuf,
    words: Vec<String>,
    /// Shell commands that run first, in the same process.
    prelude: &'static str,
}

/// How an agency is to be started.
pub struct Agency {
    id: u32,
    folder: PathBuf,
    words: Vec<String>,
}

/// A port where every attempt to connect is refused while this value lives.
pub struct Nobody(Socket);

/// The program with these arguments, and without settings from the environment.
pub fn quiniela(folder: &Path, words: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quiniela"));
    command.args(words).env_clear().current_dir(folder);
    command
}

/// The value of a key in a log line.
pub fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let details = &line[line.find("action: ")?..];
    details.split(" | ").find_map(|detail| detail.strip_prefix(key)?.strip_prefix(": "))
}

/// True for a log line with this action and this result.
pub fn tells(line: &str, action: &str, result: &str) -> bool {
    value(line, "action") == Some(action) && value(line, "result") == Some(result)
}

/// True for an agency's log line about an acknowledged batch.
pub fn sent(line: &str) -> bool {
    tells(line, "apuesta_enviada", "success")
}

/// How many bets were acknowledged, by the agency's log.
pub fn acknowledged(lines: &[String]) -> usize {
    let bets = |line: &String| value(line, "cantidad").unwrap().parse::<usize>().unwrap();
    lines.iter().filter(|line| sent(line)).map(bets).sum()
}

impl Central {
    /// With the store of a folder. The defaults are five agencies, a free port and the loopback address.
    pub fn on(folder: &Folder) -> CentralStart {
        CentralStart { store: folder.store(), words: Vec::new(), prelude: "" }
    }

    /// Sends SIGTERM, and expects a clean end.
    #[track_caller]
    pub fn stop(self) -> Exit {
        self.process.signal(Signal::TERM);
        self.stopped()
    }

    /// Expects a clean end after a SIGTERM.
    #[track_caller]
    pub fn stopped(self) -> Exit {
        let exit = self.process.finish();
        exit.ok();
        let is_shutdown = |line: &&String| value(line, "action") == Some("shutdown");
        let shutdown: Vec<&str> =
            exit.lines.iter().filter(is_shutdown).filter_map(|line| value(line, "result")).collect();
        assert_eq!(shutdown, ["in_progress", "success"], "{exit}");
        let count = |action: &str| exit.count(|line| tells(line, action, "success"));
        assert_eq!(count("close_connection"), count("accept_connections"), "every connection is told of twice: {exit}");
        for action in ["close_listener", "close_workers", "close_ledger"] {
            assert_eq!(count(action), 1, "{action}: {exit}");
        }
        exit
    }

    /// Sends SIGKILL. Returns the log up to then.
    #[track_caller]
    pub fn kill(self) -> Exit {
        self.process.signal(Signal::KILL);
        self.process.finish()
    }

    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(self.port)
    }

    /// How many bets it has stored of an agency that has not sent DONE.
    #[track_caller]
    pub fn stored_while_open(&self, agency: u32) -> usize {
        let reply = self.ask(&format!("HELLO|{agency}"));
        let stored = reply.strip_prefix("HELLO|OK|").and_then(|rest| rest.strip_suffix("|open"));
        stored.unwrap_or_else(|| panic!("{reply}")).parse().unwrap()
    }

    /// Sends one request over a new connection.
    #[track_caller]
    pub fn ask(&self, request: &str) -> String {
        self.client().send(request).reply()
    }
}

impl CentralStart {
    pub fn agencies(self, agencies: u32) -> CentralStart {
        self.with(&format!("--client-amount {agencies}"))
    }

    /// Adds arguments.
    pub fn with(mut self, words: &str) -> CentralStart {
        self.words.extend(words.split_whitespace().map(str::to_owned));
        self
    }

    /// Starts in a shell that runs these commands first, such as `ulimit`.
    pub fn after(self, prelude: &'static str) -> CentralStart {
        CentralStart { prelude, ..self }
    }

    #[track_caller]
    pub fn start(self) -> Central {
        let process = Process::start(self.command());
        let line = process.wait_for(|line| tells(line, "config", "success"));
        let port = value(&line, "port").unwrap().parse().unwrap();
        Central { process, port }
    }

    /// Expects the start to fail, and returns how it ended.
    #[track_caller]
    pub fn refused(self) -> Exit {
        let exit = Process::start(self.command()).finish();
        assert_eq!(exit.count(|line| tells(line, "accept_connections", "in_progress")), 0, "{exit}");
        exit
    }

    pub fn command(&self) -> Command {
        let mut words: Vec<String> = ["server", "--port", "0", "--bind", "127.0.0.1"].map(str::to_owned).to_vec();
        words.extend(self.words.iter().cloned());
        words.extend(["--store".to_owned(), self.store.display().to_string()]);
        let central = quiniela(&self.store, &words);
        if self.prelude.is_empty() {
            return central;
        }
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("{} && exec \"$0\" \"$@\"", self.prelude)]).arg(central.get_program());
        shell.args(central.get_args()).env_clear().current_dir(&self.store);
        shell
    }
}

impl Agency {
    /// With its file in the folder's data, and a central at this port.
    pub fn new(id: u32, port: u16, folder: &Folder) -> Agency {
        let words = format!("agency --id {id} --server 127.0.0.1:{port} --data data");
        Agency { id, folder: folder.path().to_owned(), words: Vec::new() }.with(&words)
    }

    /// Adds arguments.
    pub fn with(mut self, words: &str) -> Agency {
        self.words.extend(words.split_whitespace().map(str::to_owned));
        self
    }

    pub fn id(&self) -> u32 {
        self.id
    }

    /// Writes its winners to `winners-<id>` in the folder.
    pub fn winners(self) -> Agency {
        let words = format!("--winners winners-{}", self.id);
        self.with(&words)
    }

    #[track_caller]
    pub fn start(self) -> Process {
        Process::start(self.command())
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(self) -> Exit {
        self.start().finish()
    }

    pub fn command(&self) -> Command {
        quiniela(&self.folder, &self.words)
    }
}

impl Nobody {
    /// A socket that is bound and does not listen reserves its port.
    pub fn at_home() -> Nobody {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        Nobody(socket)
    }

    pub fn port(&self) -> u16 {
        self.0.local_addr().unwrap().as_socket().unwrap().port()
    }
}
