//! Who is believed, and who is refused: both ends of a handshake, in memory.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::{ClientConfig, ClientConnection};
use rustls::pki_types::ServerName;
use rustls::version;

use super::acceptance::Acceptance;
use super::connector::Connector;
use super::incoming::Incoming;
use super::memory;
use super::testing::{Authority, CAPACITY, Issued, Lottery, SEVEN, Spec, meet, serve, tls_error, transfer, unchecked};
use super::tls::TlsStream;
use super::{Stream as _, TlsError, Who};
use crate::domain::Role;

/// What becomes of a client that shows what was issued, at a central that trusts `trusted`.
fn judge_client(lottery: &Lottery, issued: &Issued) -> (Result<(), TlsError>, Result<Who, TlsError>) {
    let name = ServerName::try_from("server").unwrap();
    let connector = Connector::new(unchecked(issued, &lottery.authority, None), name).unwrap();
    let (client, server) = memory::pair(CAPACITY);
    let mut server = Incoming::new(server, Arc::clone(&lottery.acceptance));
    meet(&mut connector.connect(client).unwrap(), &mut server)
}

#[test]
fn a_client_is_whom_its_certificate_speaks_for() {
    let lottery = Lottery::new();
    let many = vec!["urn:quiniela:agency:7", "urn:quiniela:agency:3"];
    for (spec, who) in [
        (Spec::agency(7), SEVEN),
        (Spec::bare(vec!["https://example.org", "urn:quiniela:agency:7"]), SEVEN),
        (Spec::client("urn:quiniela:operator"), Who::Party(Role::Operator)),
        (Spec::bare(vec!["urn:quiniela:central"]), Who::Nobody),
        (Spec::bare(vec![]), Who::Nobody),
        (Spec::bare(many), Who::Nobody),
        (Spec::client("urn:quiniela:agency:0"), Who::Nobody),
        (Spec::client("urn:quiniela:agency:65536"), Who::Nobody),
        (Spec::client("urn:quiniela:agency:07"), Who::Nobody),
        (Spec::client("urn:quiniela:agency:7 "), Who::Nobody),
    ] {
        let judged = judge_client(&lottery, &lottery.authority.issue(&spec));
        assert_eq!(judged, (Ok(()), Ok(who)), "{:?}", spec.uris);
    }
}

#[test]
fn a_client_that_cannot_be_believed_is_refused_and_told() {
    let lottery = Lottery::new();
    lottery.write("crl.pem", &lottery.authority.revoke(&[99], -1));
    assert_eq!(lottery.acceptance.reload().unwrap().len(), 1, "a list that is out of date is a warning, and counts");
    let agency = Spec::agency(7);
    for (issued, at_server, at_client) in [
        (Authority::new().issue(&agency), "not of this lottery's authority", "not of the authority"),
        (agency.self_signed(), "not of this lottery's authority", "not of the authority"),
        (lottery.authority.issue(&Spec { days: (-9, -1), ..agency.clone() }), "has expired", "not valid now"),
        (lottery.authority.issue(&Spec { days: (1, 9), ..agency.clone() }), "not valid yet", "not valid now"),
        (lottery.authority.issue(&Spec { serial: 99, ..agency.clone() }), "is revoked", "is revoked"),
        (lottery.authority.issue(&Spec::central()), "not made for this use", "not made for this use"),
    ] {
        let (client, server) = judge_client(&lottery, &issued);
        assert!(matches!(&server, Err(TlsError::Untrusted(text)) if text.contains(at_server)), "{server:?}");
        assert!(matches!(&client, Err(TlsError::Rejected(text)) if text.contains(at_client)), "{client:?}");
    }
}

#[test]
fn a_client_without_a_certificate_is_refused_in_the_handshake() {
    let lottery = Lottery::new();
    let identity = unchecked(&lottery.authority.issue(&Spec::agency(7)), &lottery.authority, None);
    let config = ClientConfig::builder_with_provider(identity.provider)
        .with_protocol_versions(&[&version::TLS13])
        .unwrap()
        .with_root_certificates(identity.roots)
        .with_no_client_auth();
    let (client, server) = memory::pair(CAPACITY);
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("server").unwrap()).unwrap();
    let mut server = Incoming::new(server, Arc::clone(&lottery.acceptance));
    let (client, server) = meet(&mut TlsStream::of_client(client, connection), &mut server);
    assert!(matches!(server, Err(TlsError::Untrusted(text)) if text == "the client shows no certificate"));
    assert!(matches!(client, Err(TlsError::Rejected(text)) if text.contains("got none")));
}

#[test]
fn a_client_believes_the_central_at_its_own_name_alone() {
    let (authority, other) = (Authority::new(), Authority::new());
    let agency = authority.issue(&Spec::agency(7));
    let judge = |issued: &Issued, host: &str, crl: Option<&str>| {
        let (client, server) = memory::pair(CAPACITY);
        let acceptance = Acceptance::unchecked(unchecked(issued, &authority, None));
        let host = ServerName::try_from(host.to_owned()).unwrap();
        let connector = Connector::new(unchecked(&agency, &authority, crl), host).unwrap();
        let (mut client, mut server) = (connector.connect(client).unwrap(), Incoming::new(server, acceptance));
        let outcome = meet(&mut client, &mut server);
        assert_eq!(client.who(), if outcome.0.is_ok() { Who::Party(Role::Central) } else { Who::Nobody });
        outcome
    };
    let central = authority.issue(&Spec::central());
    for host in ["server", "localhost", "127.0.0.1", "::1"] {
        assert_eq!(judge(&central, host, None), (Ok(()), Ok(SEVEN)), "{host}");
    }
    let named = |uris| Spec { uris, uses: vec![], ..Spec::central() };
    let revoked = authority.revoke(&[1], 30);
    for (issued, host, crl, reason) in [
        (&central, "example.org", None, "is not for the name example.org"),
        (&central, "127.0.0.2", None, "is not for the name 127.0.0.2"),
        (&central, "server", Some(&revoked), "is revoked"),
        (&other.issue(&Spec::central()), "server", None, "is not of this lottery's authority"),
        (&Spec::central().self_signed(), "server", None, "is not of this lottery's authority"),
        (&authority.issue(&Spec { days: (-9, -1), ..Spec::central() }), "server", None, "has expired"),
        (&authority.issue(&Spec { days: (1, 9), ..Spec::central() }), "server", None, "is not valid yet"),
        (&authority.issue(&named(vec!["urn:quiniela:agency:3"])), "server", None, "it speaks for agency 3, and not"),
        (&authority.issue(&named(vec!["urn:quiniela:operator"])), "server", None, "it speaks for the operator"),
        (&authority.issue(&named(vec![])), "server", None, "does not speak for the central"),
        (&authority.issue(&named(vec!["urn:quiniela:central"; 2])), "server", None, "does not speak for the central"),
        (
            &authority.issue(&Spec { uses: Spec::agency(7).uses, ..Spec::central() }),
            "server",
            None,
            "not made for this use",
        ),
    ] {
        let (client, server) = judge(issued, host, crl.map(String::as_str));
        assert!(matches!(&client, Err(TlsError::Untrusted(text)) if text.contains(reason)), "{client:?}: {reason}");
        assert!(matches!(&server, Err(TlsError::Rejected(_))), "{server:?}: {reason}");
    }
}

#[test]
fn a_reload_judges_what_is_open_and_what_is_at_its_handshake() {
    let lottery = Lottery::new();
    let (mut client, mut server) = lottery.linked(CAPACITY);
    let (mut late_client, mut late) = lottery.ends(CAPACITY);
    late_client.handshake().unwrap();
    serve(&mut late).unwrap();
    assert!(late.is_handshaking());
    server.recheck().unwrap();

    lottery.write("crl.pem", &lottery.authority.revoke(&[8], 30));
    assert_eq!(lottery.acceptance.reload().unwrap(), []);
    server.recheck().unwrap();
    transfer(&mut client, &mut server, b"nothing is lost");

    client.write_all(b"what is half read").unwrap();
    server.read_exact(&mut [0; 4]).unwrap();
    lottery.write("crl.pem", &lottery.authority.revoke(&[7, 8], 30));
    lottery.acceptance.reload().unwrap();
    assert_eq!(server.who(), SEVEN);
    for _ in 0..2 {
        let error = tls_error(server.recheck().unwrap_err());
        assert!(matches!(&error, TlsError::Untrusted(text) if text.contains("is revoked")));
        assert_eq!(tls_error(server.read(&mut [0]).unwrap_err()), error, "nothing more is taken");
        assert_eq!(server.who(), Who::Nobody);
    }
    let (_, result) = meet(&mut late_client, &mut late);
    assert!(matches!(result, Err(TlsError::Untrusted(text)) if text.contains("is revoked")));
    assert_eq!(late.who(), Who::Nobody);
    let (mut client, mut server) = lottery.ends(CAPACITY);
    assert!(matches!(meet(&mut client, &mut server), (Err(TlsError::Rejected(_)), Err(TlsError::Untrusted(_)))));
}

#[test]
fn a_reload_that_fails_changes_nothing() {
    let lottery = Lottery::new();
    let (_client, mut server) = lottery.linked(CAPACITY);
    let other = Authority::new();
    let good = |file: &str| fs::read_to_string(lottery.folder.path().join(file)).unwrap();
    let expired = lottery.authority.issue(&Spec { days: (-9, -1), ..Spec::central() });
    let agency = lottery.authority.issue(&Spec::agency(3));
    for (file, bad) in [
        ("ca.pem", other.pem()),
        ("crl.pem", other.revoke(&[7], 30)),
        ("crl.pem", "half a li".to_owned()),
        ("key.pem", agency.key),
        ("cert.pem", expired.cert),
        ("cert.pem", agency.cert),
    ] {
        let kept = good(file);
        lottery.write(file, &bad);
        let error = lottery.acceptance.reload().unwrap_err().to_string();
        assert!(error.contains(".pem: "), "{error}");
        server.recheck().unwrap();
        lottery.linked(CAPACITY);
        lottery.write(file, &kept);
    }
    lottery.acceptance.reload().unwrap();
    server.recheck().unwrap();
}

#[test]
fn a_refused_client_hears_why_over_a_real_socket_too() {
    let lottery = Lottery::new();
    let issued = lottery.authority.issue(&Spec { serial: 99, ..Spec::agency(7) });
    lottery.write("crl.pem", &lottery.authority.revoke(&[99], 30));
    lottery.acceptance.reload().unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = Connector::new(unchecked(&issued, &lottery.authority, None), name).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut client = connector.connect(mio::net::TcpStream::from_std(stream)).unwrap();
    let stream = listener.accept().unwrap().0;
    stream.set_nonblocking(true).unwrap();
    let mut server = Incoming::new(mio::net::TcpStream::from_std(stream), Arc::clone(&lottery.acceptance));

    let pause = || std::thread::sleep(Duration::from_millis(1));
    loop {
        client.handshake().unwrap();
        if !client.is_handshaking() {
            break;
        }
        serve(&mut server).unwrap();
        pause();
    }
    // It does not know yet that it is refused.
    assert!(super::send(&mut client, &[7; 100_000]).unwrap() > 0);
    let refused = loop {
        match serve(&mut server) {
            Ok(()) => pause(),
            Err(error) => break tls_error(error),
        }
    };
    assert!(matches!(refused, TlsError::Untrusted(_)));
    server.close_sending().unwrap();
    let mut scratch = vec![0; CAPACITY];
    while matches!(server.discard(&mut scratch), Ok(1..)) {}
    let heard = loop {
        match client.read(&mut scratch) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => pause(),
            result => break tls_error(result.unwrap_err()),
        }
    };
    assert!(matches!(heard, TlsError::Rejected(text) if text.contains("it is revoked")));
}
