//! Floods of handshakes that nobody ends: what they hold is bounded, each has a deadline, and they hold up no honest agency.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::common::keys::Place;
use crate::common::process::Signal;
use crate::common::tls::{connection, hello, shake};
use crate::common::{Central, Client, Folder, tells};
use crate::tls_hostile::{rest, stored, work};

/// The most memory that the central ever had, in KiB.
#[cfg(target_os = "linux")]
fn peak_memory(central: &Central) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", central.process.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// What a peer begins and never ends: a part of its hello, or all of it.
fn half_finished(central: &Central, place: &Place, count: usize) -> Vec<TcpStream> {
    let hello = hello(&place.party("agency-1"));
    let begin = |number: usize| {
        let mut stream = central.client().into_tcp();
        let end = [hello.len(), 1, 100, hello.len() - 1][number % 4];
        stream.write_all(&hello[..end]).unwrap();
        stream
    };
    (0..count).map(begin).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn handshakes_that_nobody_ends_cost_little() {
    const PEERS: usize = 400;
    let (place, folder) = (Place::with_agencies(1), Folder::with_equal_files(1, 3000));
    let central = Central::on(&folder).agencies(1).tls(&place).with("--workers 4 --frame-deadline 1h").start();
    stored(&central, &place);
    let before = peak_memory(&central);
    let peers = half_finished(&central, &place, PEERS);
    work(&central, &place, &folder);
    let grown = peak_memory(&central) - before;
    for peer in peers {
        peer.set_nonblocking(true).unwrap();
        // The central's part of the handshake, or nothing; the end never.
        assert!(!matches!((&peer).read(&mut [0; 64]), Ok(0)));
    }
    println!("{PEERS} handshakes and an upload: the central grew by {grown} KiB");
    assert!(grown < 24 * 1024, "{grown} KiB");
    central.stop();
}

#[cfg(target_os = "linux")]
#[test]
fn what_handshakes_hold_is_bounded() {
    const PEERS: usize = 400;
    let (place, folder) = (Place::with_agencies(1), Folder::with_equal_files(1, 3000));
    let words = "--workers 4 --frame-deadline 1h --peer-memory 1";
    let central = Central::on(&folder).agencies(1).tls(&place).with(words).start();
    stored(&central, &place);
    let before = peak_memory(&central);
    let config = place.party("agency-1");
    // A record that is announced to be long, and never ends.
    let begun = [hello(&config), [&[0x16, 3, 3, 0x3f, 0][..], &[0; 12_000]].concat()].concat();
    let begin = |_| {
        let mut client = central.client();
        let _ = client.try_send(&begun);
        client
    };
    let peers: Vec<Client> = (0..PEERS).map(begin).collect();
    // Each of them holds 12 kB or more, and 1 MiB is not enough for 90 of them.
    central.process.wait_for_nth(PEERS - 90, |line| tells(line, "close_connection", "success"));
    work(&central, &place, &folder);
    let grown = peak_memory(&central) - before;
    println!("the central grew by {grown} KiB");
    assert!(grown < 12 * 1024, "{grown} KiB");
    drop(peers);
    central.stop();
}

/// The hellos have all come before the agency's, and all of them are there when the central begins with the first.
#[test]
fn a_flood_of_hellos_from_one_address_holds_up_no_other() {
    const PEERS: usize = 600;
    let (place, folder) = (Place::with_agencies(1), Folder::new());
    let words = "--backlog 2000 --workers 4 --frame-deadline 1h";
    let central = Central::on(&folder).agencies(1).tls(&place).with(words).start();
    let config = place.party("agency-1");
    let hello = hello(&config);
    central.process.hold();
    let begin = |_| {
        let mut peer = Client::connect_from([127, 0, 0, 2], central.port);
        peer.send_bytes(&hello);
        peer.into_tcp()
    };
    let peers: Vec<TcpStream> = (0..PEERS).map(begin).collect();
    let (mut connection, mut stream) =
        (connection(&config), Client::connect_from([127, 0, 0, 1], central.port).into_tcp());
    connection.write_tls(&mut stream).unwrap();
    central.process.signal(Signal::CONT);
    shake(&mut connection, &mut stream).unwrap();
    Client::over(connection, stream).ask("HELLO|1", "HELLO|OK|0|open");
    let is_answered = |mut peer: &TcpStream| {
        peer.set_nonblocking(true).unwrap();
        peer.read(&mut [0]).is_ok()
    };
    let answered = peers.iter().filter(|peer| is_answered(peer)).count();
    println!("{answered} of {PEERS} were answered before the agency");
    assert!(answered < PEERS / 2, "the agency came after {answered} of {PEERS} that had come before it");
    central.stop();
}

#[test]
fn a_handshake_has_to_end_within_the_frame_deadline() {
    let (place, folder) = (Place::with_agencies(1), Folder::new());
    let central = Central::on(&folder).agencies(1).tls(&place).with("--frame-deadline 300ms").start();
    for peer in half_finished(&central, &place, 200) {
        rest(&peer);
    }
    // One that goes on byte by byte has no more time.
    let hello = hello(&place.party("agency-1"));
    let mut stream = central.client().into_tcp();
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let is_time_out = |error: std::io::Error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
    let ended =
        hello.iter().any(|byte| stream.write_all(&[*byte]).is_err() || !stream.read(&mut [0]).is_err_and(is_time_out));
    assert!(ended);
    // Between requests there is no deadline.
    let mut idle = Client::connect_tls(central.port, &place.party("agency-1"));
    idle.ask("HELLO|1", "HELLO|OK|0|open");
    rest(&half_finished(&central, &place, 1)[0]);
    idle.ask("HELLO|1", "HELLO|OK|0|open");
    central.stop();
}
