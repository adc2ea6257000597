//! Peers that abuse TLS: what is plain where TLS is due and the other way round, handshakes that are cut, spoilt, old or never
//! ended, and clients that never read. The central ends each of them, and honest agencies do not notice.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::ops::Range;

use fastrand::Rng;

use crate::common::client::frame;
use crate::common::keys::Place;
use crate::common::process::Process;
use crate::common::proxy::Knife;
use crate::common::tls::{connection, hello, shake};
use crate::common::{ANA, Agency, Central, Client, Folder, Proxy, seed, tells};

const PLAIN: &str = "ACK|ERR|this central speaks TLS: connect with the keys of an agency";
/// The type of a record that holds an alert.
const ALERT: u8 = 0x15;
const PROTOCOL_VERSION: u8 = 70;

/// All that comes until the central closes the connection.
#[track_caller]
pub fn rest(mut stream: &TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("not closed: {error}"),
        _ => rest,
    }
}

pub fn stored(central: &Central, place: &Place) -> String {
    Client::connect_tls(central.port, &place.party("agency-1")).send("HELLO|1").reply()
}

/// An agency that uploads, and is never cut off.
#[track_caller]
pub fn work(central: &Central, place: &Place, folder: &Folder) {
    let agency = Agency::new(1, central.port, folder).tls(place).winners().run();
    agency.ok();
    assert_eq!(agency.count(|line| tells(line, "connection_lost", "fail")), 0, "{agency}");
    assert_eq!(folder.winners_told(1), folder.winners_due(1, "7574"));
}

#[test]
fn after_something_plain_there_is_no_tls() {
    let (place, folder) = (Place::with_agencies(1), Folder::new());
    let central = Central::on(&folder).agencies(1).tls(&place).start();
    let hello = hello(&place.party("agency-1"));
    for (plain, reply) in [
        (frame("HELLO|1\n"), PLAIN),
        (frame("nonsense\n"), PLAIN),
        (vec![0, 0, 32, 1], "ACK|ERR|frame length 8193 is not 1 to 8192"),
    ] {
        let mut client = central.client();
        client.send_bytes(&plain).expect(reply);
        // The central may have closed the connection already.
        let _ = client.try_send(&hello);
        client.expect_end();
        let mut client = central.client();
        let _ = client.try_send(&[plain, hello.clone()].concat());
        client.expect(reply).expect_end();
    }
    let mut client = central.client();
    client.send_bytes(b"hola\n").expect_bytes(b"hola\n");
    let _ = client.try_send(&hello);
    client.expect_end();
    assert_eq!(stored(&central, &place), "HELLO|OK|0|open");
    central.stop();
}

#[test]
fn without_plain_lines_nothing_plain_is_echoed() {
    let (place, folder) = (Place::with_agencies(1), Folder::new());
    let central = Central::on(&folder).agencies(1).tls(&place).with("--plain none").start();
    central.client().send_bytes(b"hola\n").expect_end();
    central.client().send_bytes(b"no line feed").half_close().expect_end();
    central.client().send("HELLO|1").expect(PLAIN).expect_end();
    // Over TLS a line is a line.
    for party in ["agency-1", "operator"] {
        let mut client = Client::connect_tls(central.port, &place.party(party));
        client.send_bytes("ñandú\n".as_bytes()).expect_bytes("ñandú\n".as_bytes()).expect_end();
    }
    central.stop();
}

#[test]
fn after_tls_has_begun_nothing_plain_is_taken() {
    let (place, folder) = (Place::with_agencies(1), Folder::new());
    let central = Central::on(&folder).agencies(1).tls(&place).start();
    let config = place.party("agency-1");
    let bet = frame(&format!("BET|1|{ANA}\n"));
    for plain in [bet.clone(), b"hola\n".to_vec(), hello(&config)] {
        let mut client = Client::connect_tls(central.port, &config);
        client.ask("HELLO|1", "HELLO|OK|0|open");
        let mut stream = client.into_tcp();
        stream.write_all(&plain).unwrap();
        let rest = rest(&stream);
        // An alert, encrypted or not, and nothing that could be read.
        assert!(!rest.windows(3).any(|part| part == b"ACK" || part == b"hol"), "{rest:?}");

        let mut stream = central.client().into_tcp();
        stream.write_all(&[hello(&config), plain].concat()).unwrap();
        self::rest(&stream);
    }
    assert_eq!(stored(&central, &place), "HELLO|OK|0|open");
    central.stop();
}

#[test]
fn a_connection_cut_at_any_byte_stores_no_part_of_a_request() {
    let (place, folder) = (Place::with_agencies(1), Folder::new());
    let central = Central::on(&folder).agencies(1).tls(&place).start();
    let config = place.party("agency-1");
    let hello = hello(&config);
    for end in (1..hello.len()).step_by(5) {
        let mut client = central.client();
        client.send_bytes(&hello[..end]).half_close();
        rest(&client.into_tcp());
    }
    let start = || {
        let (mut connection, mut stream) = (connection(&config), central.client().into_tcp());
        shake(&mut connection, &mut stream).unwrap();
        let mut records = Vec::new();
        connection.writer().write_all(&frame(&format!("BET|1|{ANA}\n"))).unwrap();
        connection.write_tls(&mut records).unwrap();
        (connection, stream, records)
    };
    let (_, _, records) = start();
    for end in 0..records.len() {
        let (_connection, mut stream, records) = start();
        stream.write_all(&records[..end]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        rest(&stream);
    }
    assert_eq!(stored(&central, &place), "HELLO|OK|0|open");
    // A request that came whole is answered, however the connection ends behind it.
    let (connection, mut stream, records) = start();
    stream.write_all(&records).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    Client::over(connection, stream).expect("ACK|OK");
    assert_eq!(stored(&central, &place), "HELLO|OK|1|open");
    central.stop();
}

#[test]
fn garbage_ends_a_handshake_and_nothing_else() {
    let mut rng = Rng::with_seed(seed());
    let (place, folder) = (Place::with_agencies(1), Folder::with_equal_files(1, 900));
    let central = Central::on(&folder).agencies(1).tls(&place).with("--frame-deadline 500ms").start();
    let hello = hello(&place.party("agency-1"));
    let mut garble = |number: usize| {
        let length = rng.usize(1..20_000);
        let mut garbage: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(length).collect();
        match number % 4 {
            // Behind a whole hello; behind its beginning; in its place; a bit of it flipped.
            0 => [hello.clone(), garbage].concat(),
            1 => [&hello[..rng.usize(..hello.len())], &garbage].concat(),
            2 => {
                garbage[0] = 0x16;
                garbage
            }
            _ => {
                let mut flipped = hello.clone();
                flipped[rng.usize(1..hello.len())] ^= 1 << rng.u8(..8);
                flipped
            }
        }
    };
    for number in 0..200 {
        let mut client = central.client();
        // The central may refuse it before all of it is sent.
        let _ = client.try_send(&garble(number));
        rest(&client.into_tcp());
    }
    work(&central, &place, &folder);
    central.stop();
}

/// Where a hello's extensions begin, and each of them: its type, and where it stands.
fn extensions(hello: &[u8]) -> (usize, Vec<(usize, Range<usize>)>) {
    let number = |at: usize| usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
    // A record's header, a message's, the version, 32 random bytes.
    let session = 5 + 4 + 2 + 32;
    let suites = session + 1 + usize::from(hello[session]);
    let methods = suites + 2 + number(suites);
    let start = methods + 1 + usize::from(hello[methods]);
    assert_eq!(start + 2 + number(start), hello.len());
    let (mut all, mut at) = (Vec::new(), start + 2);
    while at < hello.len() {
        let next = at + 4 + number(at + 2);
        all.push((number(at), at..next));
        at = next;
    }
    (start, all)
}

/// The extension that lists the versions of TLS 1.3 and later.
const VERSIONS: usize = 43;

/// A hello without that list: a client of TLS 1.2.
fn without_versions(hello: &[u8]) -> Vec<u8> {
    let (start, all) = extensions(hello);
    let kept: Vec<u8> =
        all.into_iter().filter(|(kind, _)| *kind != VERSIONS).flat_map(|(_, at)| &hello[at]).copied().collect();
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap().to_be_bytes();
    let body = [&hello[9..start], &length(&kept), &kept].concat();
    let message = [&[1, 0], &length(&body)[..], &body].concat();
    [&[0x16, 3, 1], &length(&message)[..], &message].concat()
}

#[test]
fn an_older_version_is_refused() {
    let (place, folder) = (Place::with_agencies(1), Folder::new());
    let central = Central::on(&folder).agencies(1).tls(&place).start();
    let hello = hello(&place.party("agency-1"));
    // A list of 1.2 alone, which is the extension's last two bytes.
    let mut listed = hello.clone();
    let (_, versions) = extensions(&hello).1.into_iter().find(|(kind, _)| *kind == VERSIONS).unwrap();
    assert_eq!(hello[versions.start + 4..versions.end], [2, 3, 4]);
    listed[versions.end - 1] = 3;
    for hello in [without_versions(&hello), listed] {
        let mut client = central.client();
        client.send_bytes(&hello);
        let rest = rest(&client.into_tcp());
        assert!(rest.len() == 7 && rest[0] == ALERT && rest[6] == PROTOCOL_VERSION, "{rest:?}");
    }
    assert_eq!(stored(&central, &place), "HELLO|OK|0|open");
    central.stop();
}

#[test]
fn a_frame_has_to_end_within_its_deadline_over_tls_too() {
    let (place, folder) = (Place::with_agencies(1), Folder::new());
    let central = Central::on(&folder).agencies(1).tls(&place).with("--frame-deadline 300ms").start();
    let mut client = Client::connect_tls(central.port, &place.party("agency-1"));
    client.ask("HELLO|1", "HELLO|OK|0|open").send_bytes(&frame("HELLO|1\n")[..9]);
    client.expect("ACK|ERR|frame not completed within 300ms").expect_end();
    central.stop();
}

/// What has come of a record is no frame yet, but something that was begun.
#[test]
fn a_record_has_to_end_within_the_frame_deadline() {
    let (place, folder) = (Place::with_agencies(1), Folder::new());
    let central = Central::on(&folder).agencies(1).tls(&place).with("--frame-deadline 300ms").start();
    let (mut connection, mut stream) = (connection(&place.party("agency-1")), central.client().into_tcp());
    shake(&mut connection, &mut stream).unwrap();
    let mut records = Vec::new();
    connection.writer().write_all(&frame("HELLO|1\n")).unwrap();
    connection.write_tls(&mut records).unwrap();
    stream.write_all(&records[..records.len() - 1]).unwrap();
    rest(&stream);
    central.stop();
}

#[test]
fn who_never_reads_is_cut_off() {
    const PEERS: usize = 60;
    let place = Place::with_agencies(1);
    let folder = Folder::with_data("--agencies 1 --bets 3000 --seed 5 --winners 3000");
    let central = Central::on(&folder).agencies(1).tls(&place).with("--frame-deadline 1s --workers 4").start();
    work(&central, &place, &folder);
    let config = place.party("agency-1");
    let from = central.process.count(|line| tells(line, "close_connection", "success"));
    // Each asks for more than its own and the central's system take.
    let ask = |_| {
        let tcp = Client::connect_with(central.port, |socket| socket.set_recv_buffer_size(4 * 1024).unwrap());
        let mut client = tcp.tls(&config);
        client.ask("HELLO|1", "HELLO|OK|3000|drawn");
        let _ = client.try_send(&frame("GET_WINNERS|1|0\n").repeat(800));
        client
    };
    let peers: Vec<Client> = (0..PEERS).map(ask).collect();
    central.process.wait_for_nth(from + PEERS, |line| tells(line, "close_connection", "success"));
    work(&central, &place, &folder);
    drop(peers);
    central.stop();
}

/// Agencies whose connections carry single bytes, and are cut anywhere: in the handshake, in a record, between them.
#[test]
fn every_bet_comes_once_and_in_order_through_single_bytes_and_cuts() {
    const AGENCIES: u32 = 2;
    const CUTS: usize = 12;
    let mut rng = Rng::with_seed(seed());
    let (place, folder) = (Place::with_agencies(AGENCIES), Folder::with_equal_files(AGENCIES, 3600));
    let central = Central::on(&folder).agencies(AGENCIES).tls(&place).start();
    let proxies: Vec<Proxy> = (0..AGENCIES).map(|_| Proxy::to(central.port)).collect();
    let start = |(id, proxy): (u32, &Proxy)| {
        proxy.carry_single_bytes();
        // A handshake has some 1200 bytes each way, a batch 600 and its acknowledgement 40: at most 300 bets before a cut.
        proxy.cut_with(Knife { rng: rng.fork(), most_up: 8_000, most_down: 2_000, left: CUTS });
        Agency::new(id, proxy.port, &folder).tls(&place).with("--batch-max 10 --in-flight 4").winners().start()
    };
    let running: Vec<Process> = (1..).zip(&proxies).map(start).collect();
    for ((id, agency), proxy) in (1..).zip(running).zip(&proxies) {
        agency.finish().ok();
        assert_eq!(folder.winners_told(id), folder.winners_due(id, "7574"), "agency {id}");
        assert_eq!(proxy.cuts(), CUTS, "agency {id}");
    }
    folder.assert_stored_equals_files(AGENCIES);
    let exit = central.stop();
    assert_eq!(exit.count(|line| tells(line, "identidad", "fail")), 0, "a cut is no refusal: {exit}");
}
