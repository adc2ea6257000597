//! TLS beside plain connections, in one run: durable ingest, connections a second, the memory of idle connections, and an
//! agency's upload beside handshakes that nobody ends. The peers are processes of this program, each with an address of its own.
//!
//! `cargo bench --bench tls` (`BETS=3000000 ROUNDS=5 CONNECTS=4000 PEERS=10000`); `ONLY=ingest`, `connects`, `idle` or `half`
//! for one part.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, version};
use socket2::{Domain, Socket, Type};
use support::{Central, QUINIELA, lottery_with, make_bets, make_keys, median, setting, time, upload, work_folder};

/// How many processes the peers are.
const PROCESSES: u64 = 4;
/// Clients that connect at the same time.
const CLIENTS: u64 = 4;
const HELLO: &[u8] = b"\x00\x00\x00\x08HELLO|1\n";
const ANSWER: &[u8] = b"\x00\x00\x00\x10HELLO|OK|0|open\n";

/// What an agency's client needs of its folder.
fn client(folder: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("ca.pem")).unwrap()).unwrap();
    let chain = vec![CertificateDer::from_pem_file(folder.join("cert.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .unwrap();
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

fn tls(config: &Arc<ClientConfig>) -> ClientConnection {
    ClientConnection::new(Arc::clone(config), ServerName::try_from("localhost").unwrap()).unwrap()
}

fn ask(stream: &mut (impl Read + Write)) {
    stream.write_all(HELLO).unwrap();
    let mut answer = vec![0; ANSWER.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, ANSWER);
}

/// The peers of one process. They stay until standard input ends.
fn be_peers(kind: &str) {
    let number = |name| setting(name, 0);
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, number("PORT") as u16));
    let from = SocketAddr::from((Ipv4Addr::new(127, 0, 1, number("ADDRESS") as u8), 0));
    let config = client(Path::new(&std::env::var("FOLDER").unwrap()));
    let connect = || -> std::io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&from.into())?;
        socket.connect(&to.into())?;
        let mut stream = TcpStream::from(socket);
        match kind {
            "plain" => ask(&mut stream),
            "tls" => {
                let mut stream = StreamOwned::new(tls(&config), stream);
                ask(&mut stream);
                // Without the client's state: its memory is not what is measured.
                return Ok(stream.sock);
            }
            "hellos" => {
                tls(&config).write_tls(&mut stream)?;
            }
            "parts of hellos" => {
                let mut hello = Vec::new();
                tls(&config).write_tls(&mut hello)?;
                stream.write_all(&hello[..hello.len() - 1])?;
            }
            other => panic!("{other}"),
        }
        Ok(stream)
    };
    let peers: Vec<_> = (0..number("COUNT")).map(|_| connect()).collect();
    println!("{}", peers.iter().filter(|peer| peer.is_ok()).count());
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

struct Peers {
    children: Vec<Child>,
    count: u64,
}

impl Peers {
    fn start(kind: &str, central: &Central, count: u64, folder: &Path) -> Peers {
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

    fn end(self) {
        for mut child in self.children {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }
}

fn ingest(folder: &Path, keys: &Path, bets: u64, rounds: u64) {
    let store = folder.join("store");
    println!("ingest: {bets} bets, 256 batches in flight, medians of {rounds} rounds in turn");
    for agencies in [5, 1] {
        let data = folder.join(format!("data-{agencies}"));
        make_bets(&data, agencies, bets);
        let (mut times, mut memory) = ([Vec::new(), Vec::new()], [0, 0]);
        for _ in 0..rounds {
            for (place, keys) in [None, Some(keys)].into_iter().enumerate() {
                let (taken, peak) = lottery_with(QUINIELA, &data, &store, agencies, 256, keys);
                times[place].push(taken);
                memory[place] = memory[place].max(peak);
            }
        }
        let base = median(&times[0]).as_secs_f64();
        for (place, kind) in ["plain", "TLS"].into_iter().enumerate() {
            let seconds = median(&times[place]).as_secs_f64();
            let (speed, ratio) = (bets as f64 / seconds, base / seconds);
            println!(
                "{agencies} agencies, {kind:<5} {speed:>10.0} bets/s  {ratio:.2} of plain  {:>6} KiB",
                memory[place]
            );
        }
        std::fs::remove_dir_all(data).unwrap();
    }
}

/// Clients that connect, ask, get the answer and close, again and again.
fn connects(folder: &Path, keys: &Path, connects: u64) {
    println!(
        "connects: {connects} connections by {CLIENTS} threads, each with one request; the clients use the same processors"
    );
    let config = client(&keys.join("agency-1"));
    for kind in ["plain", "TLS"] {
        let store = folder.join("store");
        let _ = std::fs::remove_dir_all(&store);
        let central = Central::start_with(QUINIELA, &store, 2, (kind == "TLS").then_some(keys));
        let before = central.ticks();
        let connect = || {
            let stream = TcpStream::connect(("127.0.0.1", central.port)).unwrap();
            stream.set_nodelay(true).unwrap();
            stream
        };
        let taken = time(|| {
            std::thread::scope(|scope| {
                for _ in 0..CLIENTS {
                    scope.spawn(|| {
                        for _ in 0..connects / CLIENTS {
                            match kind {
                                "plain" => ask(&mut connect()),
                                _ => ask(&mut StreamOwned::new(tls(&config), connect())),
                            }
                        }
                    });
                }
            });
        });
        let cost = (central.ticks() - before) as f64 * 10_000.0 / connects as f64;
        let speed = connects as f64 / taken.as_secs_f64();
        println!("{kind:<5} {speed:>8.0} connections/s  {cost:>5.0} µs of the central's processor time for each");
        central.stop();
    }
}

fn idle(folder: &Path, keys: &Path, peers: u64) {
    println!("idle: the central's peak memory with connections that have asked once");
    for kind in ["plain", "tls"] {
        let store = folder.join("store");
        let _ = std::fs::remove_dir_all(&store);
        let central = Central::start_with(QUINIELA, &store, 2, (kind == "tls").then_some(keys));
        let alone = central.peak_memory();
        let peers = Peers::start(kind, &central, peers, &keys.join("agency-1"));
        let memory = central.peak_memory();
        let each = (memory - alone) as f64 / peers.count as f64;
        println!("{kind:<5} {:>6} connections  {:>4} MiB  {each:.1} KiB each", peers.count, memory / 1024);
        peers.end();
        central.stop();
    }
}

fn half(folder: &Path, keys: &Path, peers: u64, bets: u64, rounds: u64) {
    const KINDS: [&str; 3] = ["none", "hellos", "parts of hellos"];
    let (data, store) = (folder.join("data"), folder.join("store"));
    make_bets(&data, 1, bets);
    println!("half: {bets} bets of one agency over TLS beside {peers} peers, medians of {rounds} rounds in turn");
    let (mut times, mut memory) = ([(); KINDS.len()].map(|()| Vec::<Duration>::new()), [0; KINDS.len()]);
    for _ in 0..rounds {
        for (place, kind) in KINDS.into_iter().enumerate() {
            let _ = std::fs::remove_dir_all(&store);
            let central = Central::start_with(QUINIELA, &store, 2, Some(keys));
            let begun = (kind != "none").then(|| Peers::start(kind, &central, peers, &keys.join("agency-1")));
            times[place].push(upload(QUINIELA, 1, central.port, &data, 256, Some(keys)));
            memory[place] = memory[place].max(central.peak_memory() / 1024);
            eprintln!("{kind}: {:?}, {} MiB", times[place].last().unwrap(), memory[place]);
            begun.into_iter().for_each(Peers::end);
            central.stop();
        }
    }
    let base = median(&times[0]).as_secs_f64();
    for (place, kind) in KINDS.into_iter().enumerate() {
        let seconds = median(&times[place]).as_secs_f64();
        println!("{kind:<16} {seconds:>6.2} s  {:.2} of the speed  {:>4} MiB", base / seconds, memory[place]);
    }
}

fn main() {
    if let Ok(kind) = std::env::var("KIND") {
        return be_peers(&kind);
    }
    let only = std::env::var("ONLY").unwrap_or_default();
    let is_wanted = |part: &str| only.is_empty() || only == part;
    let folder = work_folder("tls");
    let keys = folder.join("keys");
    make_keys(&keys, 5);
    let (bets, rounds, peers) = (setting("BETS", 3_000_000), setting("ROUNDS", 5), setting("PEERS", 10_000));
    if is_wanted("ingest") {
        ingest(&folder, &keys, bets, rounds);
    }
    if is_wanted("connects") {
        connects(&folder, &keys, setting("CONNECTS", 4_000));
    }
    if is_wanted("idle") {
        idle(&folder, &keys, peers);
    }
    if is_wanted("half") {
        half(&folder, &keys, peers, bets, rounds);
    }
    std::fs::remove_dir_all(folder).unwrap();
}
