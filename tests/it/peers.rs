//! Peers that hold memory or places and give nothing: the central bounds what it holds for all of them and what one address
//! may have, says so, and serves honest agencies meanwhile.

use std::fs;

use crate::common::client::frame;
use crate::common::{ANA, Agency, Central, Client, Folder, tells, value};

const BUSY: &str = "ACK|ERR|busy: too much is held for this connection; try again later\n";

/// The most memory that the central ever had, in KiB.
fn peak_memory(central: &Central) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", central.process.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// What a peer begins: a request that is answered, and behind it what it never ends.
fn hold(begun: &[u8]) {
    const PEERS: usize = 600;
    let folder = Folder::with_equal_files(1, 3000);
    let central = Central::on(&folder).agencies(1).with("--peer-memory 1 --workers 4 --frame-deadline 1h").start();
    let before = peak_memory(&central);
    let begin = |_| {
        let mut client = central.client();
        client.send_bytes(&[&frame("HELLO|1\n"), begun].concat()).expect("HELLO|OK|0|open");
        client
    };
    let clients: Vec<Client> = (0..PEERS).map(begin).collect();
    // Each of them holds 7 kB or more, and 1 MiB is not enough for 160 of them.
    let is_refused = |line: &str| tells(line, "close_connection", "success") && value(line, "reason") == Some("busy");
    central.process.wait_for_nth(PEERS - 160, is_refused);
    let agency = Agency::new(1, central.port, &folder).winners().run();
    agency.ok();
    assert_eq!(agency.count(|line| tells(line, "connection_lost", "fail")), 0, "{agency}");
    assert_eq!(folder.winners_told(1), folder.winners_due(1, "7574"));
    let grown = peak_memory(&central) - before;
    let exit = central.stop();
    let refused = exit.count(is_refused);
    assert!(refused < PEERS, "none of them may stay");
    let told = clients.into_iter().map(|mut client| client.rest()).filter(|rest| rest.ends_with(BUSY)).count();
    assert_eq!(told, refused, "who is refused is told why");
    println!("{refused} of {PEERS} were refused, and the central grew by {grown} KiB");
    assert!(grown < BOUND, "{grown} KiB");
}

/// KiB. Without a limit the smallest of these floods takes twice as much.
const BOUND: u64 = 8 * 1024;

#[test]
fn batches_that_nobody_ends_are_bounded() {
    let row = format!("{}\n", ANA.replace("Ana", &"A".repeat(90)));
    hold(&[frame("BATCH|1|430\n"), frame(&row.repeat(60)).repeat(7)].concat());
}

#[test]
fn frames_that_nobody_ends_are_bounded() {
    hold(&frame(&"x".repeat(8000))[..7900]);
}

#[test]
fn what_stands_behind_waits_for_the_draw_is_bounded() {
    hold(&[frame("WAIT_DRAW|1\n"), frame("GET_WINNERS|1\n").repeat(440)].concat());
}

#[test]
fn replies_that_nobody_reads_are_bounded() {
    let folder = Folder::with_data("--agencies 2 --bets 3000 --seed 5 --winners 1500");
    let central = Central::on(&folder).agencies(2).with("--peer-memory 1 --workers 4 --frame-deadline 1h").start();
    let agencies: Vec<_> = [1, 2].map(|id| Agency::new(id, central.port, &folder).winners().start()).into();
    agencies.into_iter().for_each(|agency| agency.finish().ok());
    let before = peak_memory(&central);
    // Each asks for some 150 kB, of which its own and the central's system take less than half.
    let ask = |_| {
        let mut client = Client::connect_with(central.port, |socket| socket.set_recv_buffer_size(4 * 1024).unwrap());
        client.send_bytes(&frame("GET_WINNERS|1|0\n").repeat(25));
        client
    };
    let clients: Vec<Client> = (0..100).map(ask).collect();
    let is_refused = |line: &str| tells(line, "close_connection", "success") && value(line, "reason") == Some("busy");
    // Each of the others holds 50 kB at least.
    central.process.wait_for_nth(80, is_refused);
    central.client().ask("HELLO|1", &format!("HELLO|OK|{}|drawn", folder.rows(1).len()));
    let grown = peak_memory(&central) - before;
    drop(clients);
    central.stop();
    assert!(grown < BOUND, "{grown} KiB");
}

#[test]
fn one_address_takes_no_more_places_than_it_may() {
    let folder = Folder::with_equal_files(1, 30);
    let central = Central::on(&folder).agencies(1).with("--max-connections 100").start();
    let ask = |mut client: Client| {
        client.ask("HELLO|1", "HELLO|OK|0|open");
        client
    };
    let mut inside: Vec<Client> = (0..64).map(|_| ask(central.client())).collect();
    let full = "ACK|ERR|busy: 64 connections are open from 127.0.0.1; try again later";
    central.client().expect(full).expect_end();
    ask(Client::connect_from([127, 0, 0, 3], central.port));
    // Whoever leaves makes room.
    inside.truncate(63);
    let is_end = |line: &str| tells(line, "close_connection", "success") && value(line, "reason") == Some("peer");
    central.process.wait_for_nth(2, is_end);
    Agency::new(1, central.port, &folder).run().ok();
    central.stop();

    let central = Central::on(&folder).with("--max-connections-per-address 1").start();
    let mut client = central.client();
    client.ask("WAIT_DRAW|1", "DRAW|OK");
    central.client().expect("ACK|ERR|busy: 1 connections are open from 127.0.0.1; try again later").expect_end();
    central.stop();
}

/// Any worker may serve any agency, and none keeps memory for each that it has served.
#[test]
fn uploads_take_little_memory_however_many_workers_there_are() {
    const AGENCIES: u32 = 5;
    let folder = Folder::with_equal_files(AGENCIES, 100_000);
    let central = Central::on(&folder).agencies(AGENCIES).start();
    let running: Vec<_> = (1..=AGENCIES).map(|id| Agency::new(id, central.port, &folder).start()).collect();
    running.into_iter().for_each(|agency| agency.finish().ok());
    let peak = peak_memory(&central);
    println!("{peak} KiB");
    assert!(peak < 32 * 1024, "{peak} KiB");
    central.stop();
}
