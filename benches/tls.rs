//! TLS beside plain connections, in one run: durable ingest, connections a second, the memory of idle connections, and an
//! agency's upload beside handshakes that nobody ends. The peers are processes of this program, each with an address of its own.
//!
//! `cargo bench --bench tls` (`BETS=3000000 ROUNDS=5 CONNECTS=4000 PEERS=10000`); `ONLY=ingest`, `connects`, `idle` or `half`
//! for one part.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, version};
use support::peers::{self, Peers};
use support::{
    Central, QUINIELA, lottery_with, make_bets, make_keys, median, setting, time, upload_in_parts, work_folder,
};

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

fn be_peers(kind: &str) {
    let config = client(Path::new(&std::env::var("FOLDER").unwrap()));
    peers::be(|mut stream| {
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
    });
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
    let empty = || [(); KINDS.len()].map(|()| Vec::<Duration>::new());
    let (mut waits, mut times, mut memory) = (empty(), empty(), [0; KINDS.len()]);
    for _ in 0..rounds {
        for (place, kind) in KINDS.into_iter().enumerate() {
            let _ = std::fs::remove_dir_all(&store);
            let central = Central::start_with(QUINIELA, &store, 2, Some(keys));
            let begun = (kind != "none").then(|| Peers::start(kind, &central, peers, &keys.join("agency-1")));
            let (wait, taken) = upload_in_parts(QUINIELA, 1, central.port, &data, 256, Some(keys));
            waits[place].push(wait);
            times[place].push(taken);
            memory[place] = memory[place].max(central.peak_memory() / 1024);
            eprintln!("{kind}: {wait:?}, then {taken:?}, {} MiB", memory[place]);
            begun.into_iter().for_each(Peers::end);
            central.stop();
        }
    }
    let base = median(&times[0]).as_secs_f64();
    for (place, kind) in KINDS.into_iter().enumerate() {
        let (wait, seconds) = (median(&waits[place]).as_secs_f64(), median(&times[place]).as_secs_f64());
        let (speed, memory) = (base / seconds, memory[place]);
        println!(
            "{kind:<16} let in after {wait:.2} s, upload {seconds:.2} s: {speed:.2} of the speed  {memory:>4} MiB"
        );
    }
}

fn main() {
    if let Some(kind) = peers::kind() {
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
