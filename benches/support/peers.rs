//! Peers that are processes of the bench itself: each process has its own limit of open files, and an address of its own.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use socket2::{Domain, Socket, Type};

use super::{Central, setting};

/// How many processes the peers are.
const PROCESSES: u64 = 4;

pub struct Peers {
    children: Vec<Child>,
    /// How many of them got in.
    pub count: u64,
}

impl Peers {
    /// Starts so many peers of a kind, and waits until all have begun. `folder` is theirs to read, as `FOLDER`.
    pub fn start(kind: &str, central: &Central, count: u64, folder: &Path) -> Peers {
        let start = |address: u64| {
            Command::new(std::env::current_exe().unwrap())
                .env("KIND", kind)
                .env("PORT", central.port.to_string())
                .env("ADDRESS", address.to_string())
                .env("COUNT", (count / PROCESSES).to_string())
                .env("FOLDER", folder)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        };
        let mut children: Vec<Child> = (1..=PROCESSES).map(start).collect();
        let mut count = 0;
        for child in &mut children {
            let mut line = String::new();
            BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
            count += line.trim().parse::<u64>().unwrap();
        }
        Peers { children, count }
    }

    pub fn end(self) {
        for mut child in self.children {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }
}

/// The kind of the peers that this process is, if it is some.
pub fn kind() -> Option<String> {
    std::env::var("KIND").ok()
}

/// Is the peers of one process, which stay until standard input ends. `begin` does what one of them does once it is connected.
pub fn be(begin: impl Fn(TcpStream) -> io::Result<TcpStream>) {
    let number = |name| setting(name, 0);
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, number("PORT") as u16));
    let from = SocketAddr::from((Ipv4Addr::new(127, 0, 1, number("ADDRESS") as u8), 0));
    let connect = || -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&from.into())?;
        socket.connect(&to.into())?;
        begin(socket.into())
    };
    let peers: Vec<_> = (0..number("COUNT")).map(|_| connect()).collect();
    println!("{}", peers.iter().filter(|peer| peer.is_ok()).count());
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
}
