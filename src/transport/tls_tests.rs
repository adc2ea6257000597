use std::time::Duration;

use rustls::HandshakeKind;

use super::*;
use crate::transport::incoming::Incoming;
use crate::transport::memory;
use crate::transport::testing::{CAPACITY, Dribble, Lottery, SEVEN, Spec, kind, meet, tls_error, transfer, write_keys};
use crate::transport::{Signer, verify_signature};

#[test]
fn bytes_arrive_whole_however_they_are_cut() {
    let lottery = Lottery::new();
    let bytes: Vec<u8> = (0..50_000_u32).map(|at| at.to_le_bytes()[usize::from(at % 3 == 0)]).collect();
    let (client, server) = memory::pair(1 << 10);
    let mut client = lottery.connector.connect(Dribble(client, false)).unwrap();
    let mut server = Incoming::new(Dribble(server, true), Arc::clone(&lottery.acceptance));
    assert_eq!(meet(&mut client, &mut server), (Ok(()), Ok(SEVEN)));
    transfer(&mut client, &mut server, &bytes[..20_000]);
    transfer(&mut server, &mut client, &bytes[..20_000]);

    let (mut client, mut server) = lottery.linked(5_000);
    let many = bytes.repeat(10);
    transfer(&mut client, &mut server, &many);
    transfer(&mut server, &mut client, &many);
    client.connection.refresh_traffic_keys().unwrap();
    transfer(&mut client, &mut server, b"after new keys");
    transfer(&mut server, &mut client, b"and an answer");
    assert_eq!((client.held_bytes(), server.held_bytes()), (0, 0));
}

#[test]
fn nothing_is_read_or_written_before_the_handshake_is_over() {
    let lottery = Lottery::new();
    let (mut client, mut server) = lottery.ends(CAPACITY);
    assert_eq!(kind(server.write(b"x")), Some(io::ErrorKind::NotConnected), "nobody knows what the peer speaks");
    assert!(client.is_handshaking() && !server.is_handshaking());
    for _ in 0..3 {
        assert_eq!(kind(client.write(b"x")), Some(io::ErrorKind::WouldBlock));
        assert_eq!(kind(client.read(&mut [0])), Some(io::ErrorKind::WouldBlock));
        assert_eq!(kind(server.read(&mut [0; 1000])), Some(io::ErrorKind::WouldBlock));
    }
    assert!(!server.is_handshaking(), "and nobody has gone on with it");
    client.handshake().unwrap();
    assert_eq!(kind(server.read(&mut [0; 1])), Some(io::ErrorKind::WouldBlock));
    assert!(server.is_handshaking() && !server.has_unsent(), "what costs time waits for its turn");
    assert_eq!(kind(server.write(b"x")), Some(io::ErrorKind::WouldBlock));
    server.recheck().unwrap();
    assert_eq!((server.who(), client.who()), (Who::Nobody, Who::Nobody));
    assert_eq!(meet(&mut client, &mut server), (Ok(()), Ok(SEVEN)));
}

#[test]
fn plain_peers_are_served_as_if_there_were_no_tls() {
    let lottery = Lottery::new();
    for bytes in [&b"hello\n"[..], b"\0\0\0\x05abcde", b"\x15x", b"\x17"] {
        let (mut client, server) = memory::pair(CAPACITY);
        let mut server = Incoming::new(server, Arc::clone(&lottery.acceptance));
        assert_eq!((kind(server.read(&mut [0])), server.who()), (Some(io::ErrorKind::WouldBlock), Who::Nobody));
        transfer(&mut client, &mut server, bytes);
        assert_eq!((server.who(), server.is_handshaking()), (Who::Plain, false));
        transfer(&mut server, &mut client, b"an answer");
        drop(client);
        assert_eq!(server.read(&mut [0]).unwrap(), 0);
    }
    let (client, server) = memory::pair(CAPACITY);
    let mut server = Incoming::new(server, Arc::clone(&lottery.acceptance));
    drop(client);
    assert_eq!(server.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn a_central_without_tls_is_told_apart_from_a_lost_one() {
    let lottery = Lottery::new();
    let hello = lottery.hello();
    let echo = hello.split_inclusive(|byte| *byte == b'\n').next().unwrap();
    assert!(echo.len() < hello.len(), "every hello has the byte of a line feed");
    for answer in [&b"\0\0\0\x10ACK|ERR|what is "[..], b"HTTP/1.1 400 Bad Request\r\n", b"hello\n", echo] {
        let (mut client, mut server) = lottery.connector_ends();
        client.handshake().unwrap();
        server.write_all(answer).unwrap();
        let error = tls_error(client.handshake().unwrap_err());
        assert_eq!(error, TlsError::Protocol("the central answered without TLS".to_owned()));
        assert_eq!(tls_error(client.read(&mut [0]).unwrap_err()), error, "and so it stays");
        assert_eq!(tls_error(client.write(b"x").unwrap_err()), error);
    }
    let (mut client, server) = lottery.connector_ends();
    drop(server);
    let error = client.handshake().unwrap_err();
    assert!(TlsError::of(&error).is_none(), "{error}");
}

#[test]
fn handshakes_that_are_cut_or_spoilt_end_in_an_error() {
    let lottery = Lottery::new();
    let hello = lottery.hello();
    for cut in 1..hello.len() {
        let (result, _, held) = lottery.feed(&hello[..cut], false);
        assert!(result.is_ok() && held <= HANDSHAKE_STATE + 2 * cut, "it may still come");
        assert_eq!(kind(lottery.feed(&hello[..cut], true).0), Some(io::ErrorKind::UnexpectedEof), "{cut}");
    }
    for at in (0..hello.len()).step_by(7) {
        let mut spoilt = hello.clone();
        spoilt[at] ^= 0x40;
        let (result, _, held) = lottery.feed(&spoilt, true);
        assert!(at == 0 || result.is_err() && held < CAPACITY, "{at}");
    }
    for garbage in [&b"garbage behind it"[..], &[0; 100], b"\x16\x03\x03\x00\x05\x01\x00\x00\x01\x00", &hello] {
        let (result, answer, _) = lottery.feed(&[&hello, garbage].concat(), false);
        assert!(matches!(tls_error(result.unwrap_err()), TlsError::Protocol(_)));
        assert_eq!(answer.first(), Some(&0x16), "what came before it was answered");
    }
}

#[test]
fn an_older_tls_is_refused() {
    let extensions = b"\0\x10\0\x0a\0\x04\0\x02\0\x17\0\x0d\0\x04\0\x02\x04\x03";
    let body = [b"\x03\x03", &[7; 32][..], b"\0\0\x04\xc0\x2b\xc0\x2f\x01\0", extensions].concat();
    let length = u8::try_from(body.len()).unwrap();
    let hello = [&[0x16, 3, 1, 0, length + 4, 1, 0, 0, length][..], &body].concat();
    let (result, answer, _) = Lottery::new().feed(&hello, false);
    let error = tls_error(result.unwrap_err());
    assert!(matches!(&error, TlsError::Protocol(text) if text.contains("speaks no TLS 1.3")), "{error}");
    assert_eq!(answer, [0x15, 3, 3, 0, 2, 2, 70], "the alert protocol_version");
}

#[test]
fn a_handshake_has_a_limit() {
    let lottery = Lottery::new();
    // A hello that says that it is longer than a handshake may be, in records of one byte or of many.
    let message = [&[1, 0, 0xf0, 0][..], &[0; 0xf000]].concat();
    for size in [1, 1000, 16_000] {
        let record = |content: &[u8]| {
            [&[0x16, 3, 1][..], &u16::try_from(content.len()).unwrap().to_be_bytes(), content].concat()
        };
        let mut bytes: Vec<u8> = message.chunks(size).flat_map(record).collect();
        bytes.truncate(HANDSHAKE_BYTES - 1);
        let (result, _, held) = lottery.feed(&bytes, false);
        assert!(result.is_ok() && held <= HANDSHAKE_STATE + 2 * HANDSHAKE_BYTES, "{size}");
        bytes.extend_from_slice(&[0; 100]);
        let (result, _, held) = lottery.feed(&bytes, false);
        assert!(matches!(tls_error(result.unwrap_err()), TlsError::Protocol(text) if text.contains("more than 16384")));
        assert!(held <= HANDSHAKE_STATE + 2 * HANDSHAKE_BYTES);
    }
}

#[test]
fn a_certificate_that_expires_is_noticed_on_an_open_connection() {
    let lottery = Lottery::new();
    let (_client, mut server) = lottery.linked(CAPACITY);
    let chain = match &server.tls().connection {
        Connection::Server(connection) => connection.peer_certificates().unwrap().to_vec(),
        Connection::Client(_) => panic!("a client"),
    };
    let current = lottery.acceptance.current();
    let mut judgement = Judgement::pending(Arc::clone(&lottery.acceptance), &current);
    let in_days =
        |days: u64| UnixTime::since_unix_epoch(Duration::from_secs(UnixTime::now().as_secs() + days * 86_400));
    assert_eq!(judgement.renew(&chain, in_days(0)), Ok(SEVEN));
    assert_eq!(judgement.renew(&chain, in_days(396)), Ok(SEVEN));
    let refused = judgement.renew(&chain, in_days(398));
    assert!(matches!(refused, Err(TlsError::Untrusted(text)) if text.contains("has expired")));
    assert!(judgement.renew(&[], in_days(398)).is_err());
}

#[test]
fn nothing_is_resumed() {
    let lottery = Lottery::new();
    for _ in 0..3 {
        let (mut client, mut server) = lottery.linked(CAPACITY);
        transfer(&mut server, &mut client, b"a ticket would come before this");
        let Connection::Client(connection) = &client.connection else { panic!("a server") };
        assert_eq!((connection.handshake_kind(), connection.tls13_tickets_received()), (Some(HandshakeKind::Full), 0));
        assert_eq!(server.tls().connection.handshake_kind(), Some(HandshakeKind::Full));
    }
}

#[test]
fn a_peer_that_does_not_read_is_held_no_more_than_a_buffer() {
    let lottery = Lottery::new();
    let (mut client, mut server) = lottery.linked(3_000);
    for stream in [&mut client as &mut dyn Stream, &mut server] {
        let bytes = vec![7; 10_000_000];
        let sent: usize = (0..100).map(|_| crate::transport::send(stream, &bytes).unwrap()).sum();
        assert!(stream.has_unsent() && sent <= UNSENT_BYTES, "{sent}");
        let held = stream.held_bytes();
        assert!(held > UNSENT_BYTES - 3_000 && held <= UNSENT_BYTES + 1_000, "{held}");
        assert_eq!(kind(stream.write(b"more")), Some(io::ErrorKind::WouldBlock));
        stream.close_sending().unwrap();
        assert!(stream.has_unsent(), "the end is sent behind what waits");
    }
}

#[test]
fn an_end_is_believed_only_if_it_was_said() {
    let lottery = Lottery::new();
    let read_all = |stream: &mut dyn Stream| (kind(stream.read(&mut [0; 9])), kind(stream.read(&mut [0; 9])));
    let (mut client, mut server) = lottery.linked(CAPACITY);
    server.write_all(b"so far").unwrap();
    server.close_sending().unwrap();
    assert_eq!(kind(server.write(b"x")), Some(io::ErrorKind::BrokenPipe));
    assert_eq!(read_all(&mut client), (None, None));
    transfer(&mut client, &mut server, b"the other direction is still open");
    client.close_sending().unwrap();
    assert_eq!(server.read(&mut [0; 9]).unwrap(), 0);

    let (mut client, server) = lottery.linked(CAPACITY);
    drop(server);
    assert_eq!(client.read(&mut [0; 9]).unwrap(), 0, "who goes in peace says so");

    let (mut client, mut server) = lottery.linked(CAPACITY);
    client.write_all(b"so far").unwrap();
    server.write_all(b"so far").unwrap();
    client.wire.stream.close_sending().unwrap();
    server.tls().wire.stream.close_sending().unwrap();
    assert_eq!(read_all(&mut client), (None, Some(io::ErrorKind::UnexpectedEof)));
    assert_eq!(read_all(&mut server), (None, None));
    assert_eq!(server.read(&mut [0; 9]).unwrap(), 0);
}

#[test]
fn each_end_knows_the_other_ones_certificates_and_can_check_its_signature() {
    let lottery = Lottery::new();
    let (client, server) = lottery.ends(CAPACITY);
    assert_eq!((client.certificates(), server.certificates()), (vec![], vec![]));
    let (client, mut server) = lottery.linked(CAPACITY);
    let (agency, central) = (lottery.connector.signer().clone(), lottery.acceptance.signer());
    let verify = |signer: &Signer, stream: &dyn Stream| {
        let signed = signer.sign("a statement\n").unwrap();
        let chain = stream.certificates();
        assert_eq!(chain.len(), 1);
        verify_signature("a statement\n", &signed.signature, &chain[0])
    };
    assert_eq!((verify(&agency, &server), verify(&central, &client)), (Ok(()), Ok(())));
    assert!(verify(&central, &server).is_err());

    let another = lottery.authority.issue(&Spec::central());
    write_keys(lottery.folder.path(), &another);
    assert_eq!(verify(&lottery.acceptance.signer(), &client), Ok(()));
    lottery.acceptance.reload().unwrap();
    assert!(verify(&lottery.acceptance.signer(), &client).is_err(), "it has another key now");
    server.tls().failure = Some(TlsError::Protocol(String::new()));
    assert_eq!(server.certificates(), [[0_u8; 0]; 0]);
}
