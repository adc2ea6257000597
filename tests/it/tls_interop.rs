//! TLS clients that are not ours, where they are there: OpenSSL's `s_client`, and Python's `ssl`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};

use crate::common::client::frame;
use crate::common::keys::Place;
use crate::common::{ANA, Central, Folder};

/// The output of a command, or none, which is said, if the machine has no such program.
fn version(program: &str, words: &[&str]) -> Option<String> {
    match Command::new(program).args(words).output() {
        Ok(output) if output.status.success() => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        _ => {
            eprintln!("left out: this machine has no {program} that works");
            None
        }
    }
}

#[test]
fn openssl_sends_frames_and_gets_answers() {
    if version("openssl", &["version"]).is_none() {
        return;
    }
    let (place, folder) = (Place::with_agencies(2), Folder::new());
    let central = Central::on(&folder).agencies(2).tls(&place).start();
    let port = central.port.to_string();
    let start = |party: &str, more: &[&str]| {
        let folder = place.path(&format!("keys/{party}"));
        Command::new("openssl")
            .args(["s_client", "-quiet", "-verify_return_error", "-verify_hostname", "localhost"])
            .args(["-servername", "localhost", "-connect", &format!("127.0.0.1:{port}")])
            .args(["-CAfile", "ca.pem", "-cert", "cert.pem", "-key", "key.pem"])
            .args(more)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut child = start("agency-1", &[]);
    let (mut to, mut from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    for (request, reply) in [
        ("HELLO|1\n".to_owned(), "HELLO|OK|0|open\n"),
        (format!("BET|1|{ANA}\n"), "ACK|OK\n"),
        ("HELLO|1\n".to_owned(), "HELLO|OK|1|open\n"),
        ("HELLO|2\n".to_owned(), "HELLO|ERR|identity: this certificate speaks for agency 1\n"),
    ] {
        to.write_all(&frame(&request)).unwrap();
        let mut answer = vec![0; 4 + reply.len()];
        from.read_exact(&mut answer).unwrap();
        assert_eq!(answer, frame(reply), "{request}");
    }
    to.write_all(b"hola\n").unwrap();
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    assert_eq!(line, "hola\n");
    drop(to);
    child.wait().unwrap();
    // Neither an older version nor a certificate that is no client's.
    for (party, more) in [("agency-1", &["-tls1_2"][..]), ("central", &[])] {
        let mut child = start(party, more);
        // It may have ended already.
        let _ = child.stdin.take().unwrap().write_all(&frame("HELLO|1\n"));
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.stdout, b"", "{said}");
        assert!(said.contains("alert"), "{party}: {said}");
    }
    central.stop();
}

const PYTHON: &str = r#"
import socket, ssl, sys
port, folder, party = int(sys.argv[1]), sys.argv[2], sys.argv[3]
context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=folder + "/ca.pem")
context.minimum_version = ssl.TLSVersion.TLSv1_3
context.load_cert_chain(folder + "/cert.pem", folder + "/key.pem")
with socket.create_connection(("127.0.0.1", port), timeout=60) as plain:
    with context.wrap_socket(plain, server_hostname="localhost") as tls:
        assert tls.version() == "TLSv1.3", tls.version()
        stream = tls.makefile("rwb")
        for request in sys.argv[4:]:
            text = request.encode() + b"\n"
            stream.write(len(text).to_bytes(4, "big") + text)
            stream.flush()
            length = int.from_bytes(stream.read(4), "big")
            print(stream.read(length).decode(), end="")
"#;

#[test]
fn python_sends_frames_and_gets_answers() {
    let Some(has) = version("python3", &["-c", "import ssl; print(ssl.HAS_TLSv1_3)"]) else { return };
    if has.trim() != "True" {
        eprintln!("left out: this machine's Python has no TLS 1.3");
        return;
    }
    let (place, folder) = (Place::with_agencies(2), Folder::new());
    let central = Central::on(&folder).agencies(2).tls(&place).start();
    let run = |party: &str, requests: &[&str]| {
        let keys = place.path(&format!("keys/{party}"));
        let (port, keys) = (central.port.to_string(), keys.display().to_string());
        let output = Command::new("python3").args(["-c", PYTHON, &port, &keys, party]).args(requests).output().unwrap();
        (output.status.success(), [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap()))
    };
    let (ok, [said, errors]) = run("agency-2", &[&format!("BET|2|{ANA}"), "DONE|2", "HELLO|2", "HELLO|1"]);
    let expected = "ACK|OK\nACK_DONE|OK\nHELLO|OK|1|done\nHELLO|ERR|identity: this certificate speaks for agency 2\n";
    assert_eq!((ok, &*said), (true, expected), "{errors}");
    place.ok("revoke keys --agency 1");
    central.process.signal(crate::common::Signal::HUP);
    central.process.wait_for(|line| crate::common::tells(line, "load_keys", "success"));
    let (ok, [said, errors]) = run("agency-1", &["HELLO|1"]);
    assert!(!ok && said.is_empty() && errors.to_lowercase().contains("revoked"), "{said}{errors}");
    central.stop();
}
