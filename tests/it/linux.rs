//! Tests that need Linux to see a central's processor time and what its sockets have received.

use std::collections::VecDeque;
use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use socket2::SockRef;

use crate::common::client::frame;
use crate::common::{ANA, Central, Client, Folder, Signal, tells};

/// Makes the socket's receive buffer as large as the system allows, as for a distant peer.
fn widen(central: &Central, client: &Client) {
    let pid = central.process.pid();
    // Containers may forbid this. The central then has less to answer.
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
        let number = entry.unwrap().file_name().to_str().unwrap().parse().unwrap();
        let Ok(file) = pidfd_getfd(&process, number, PidfdGetfdFlags::empty()) else { continue };
        let socket = SockRef::from(&file);
        let peer = socket.peer_addr().ok().and_then(|address| address.as_socket());
        if peer.is_some_and(|peer| peer.port() == client.port()) {
            socket.set_recv_buffer_size(16 << 20).unwrap();
        }
    }
}

/// Bytes of this client that the central's system has received, and the central has not read.
fn received(central: &Central, client: &Client) -> usize {
    let ends = [central.port, client.port()].map(|port| format!("0100007F:{port:04X}"));
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let mut rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row[1..3] == ends).expect("the central's end");
    usize::from_str_radix(row[4].split_once(':').unwrap().1, 16).unwrap()
}

#[test]
fn what_was_received_before_the_signal_is_answered_however_much_it_is() {
    const BETS: usize = 36;
    let folder = Folder::new();
    let central = Central::on(&folder).with("--stop-timeout 60s").start();
    let mut client = central.client();
    client.ask("HELLO|1", "HELLO|OK|0|open");
    widen(&central, &client);
    central.process.hold();
    let long = "x".repeat(100);
    let bet = format!("\n{long}|{long}|1|2000-01-01|7574");
    let batch = frame(&format!("BATCH|1|{BETS}{}\n", bet.repeat(BETS)));
    let mut sent = 0;
    while sent < 6 << 20 && received(&central, &client) == sent {
        client.send_bytes(&batch.repeat(8));
        sent += 8 * batch.len();
    }
    let batches = received(&central, &client) / batch.len();
    println!("{batches} batches were received");
    assert!(batches > 0);
    central.process.signal(Signal::TERM);
    central.process.signal(Signal::CONT);
    for _ in 0..batches {
        client.expect(&format!("ACK_BATCH|OK|{BETS}"));
    }
    let exit = central.stopped();
    assert!(exit.count(|line| tells(line, "apuesta_recibida", "success")) >= batches);
    assert!(folder.stored_of(1).len() >= batches * BETS);
}

/// The processor time of the process.
fn used(central: &Central) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", central.process.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

#[test]
fn a_central_without_file_descriptors_serves_on_and_accepts_again() {
    const CONNECTIONS: usize = 60;
    let folder = Folder::new();
    let central = Central::on(&folder).after("ulimit -n 40").start();
    let begun = Instant::now();
    let refused = |line: &str| tells(line, "accept_connections", "fail");
    let mut waiting: VecDeque<Client> = (0..CONNECTIONS).map(|_| central.client()).collect();
    // The central retries now and then, and is idle in between.
    central.process.wait_for_nth(central.process.count(refused) + 1, refused);
    let (used_before, idle_since) = (used(&central), Instant::now());
    central.process.wait_for_nth(central.process.count(refused) + 3, refused);
    let (used, idle) = (used(&central) - used_before, idle_since.elapsed());
    assert!(used <= idle / 20, "{used:?} of {idle:?} went into waiting");
    let inside = central.process.count(|line| tells(line, "accept_connections", "success"));
    assert!((1..CONNECTIONS).contains(&inside), "{inside} connections were accepted");
    let mut clients: Vec<Client> = waiting.drain(..inside).collect();
    for client in &mut clients {
        client.ask(&format!("BET|1|{ANA}"), "ACK|OK");
    }
    drop(clients);
    // Each one that closes makes room for another.
    for mut client in waiting {
        client.ask(&format!("BET|1|{ANA}"), "ACK|OK");
    }
    assert_eq!(folder.stored_of(1).len(), CONNECTIONS);
    let ticks = begun.elapsed().as_millis() as usize / 500;
    let refusals = central.stop().count(refused);
    assert!(refusals <= CONNECTIONS + ticks + 1, "{refusals} refusals in {ticks} ticks");
}
