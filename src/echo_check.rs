//! `quiniela echo-check` and `quiniela health`: send a line to an echo server and check that it comes back.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde::Serialize;
use socket2::{Domain, Socket, Type};

use crate::config::ClientKeys;
use crate::dialog::{self, Dialog, left};
use crate::domain::Quoted;
use crate::error::{Error, Result};
use crate::output::{object, print};
use crate::transport::Connector;
use crate::wire::{HEALTH_MESSAGE, HEALTH_SOURCE};

const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends a line to an echo server, and checks that it comes back unchanged.
///
/// Prints `action: test_echo_server | result: success`, or `fail`, and exits with 0, or 1. With --keys it asks a central over
/// TLS, whose certificate must be for the host of the address.
///
/// Example: quiniela echo-check server:12345 "hola, ¿qué tal?"
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The echo server, as host:port
    #[arg(value_hint = clap::ValueHint::Hostname)]
    address: String,

    /// The line to send
    #[arg(default_value = "quiniela echo check")]
    message: String,

    /// Time limit for the whole check, such as 3s or 500ms
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = crate::config::parse_limit)]
    timeout: Duration,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    keys: ClientKeys,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    address: &'a str,
    /// `success` or `fail`.
    result: &'a str,
    /// Why it failed.
    error: Option<String>,
}

/// Prints the result in the form that the exercises define. The error says why a check failed.
pub fn run(Args { address, message, timeout, json, keys }: &Args) -> Result<()> {
    let host = address.rsplit_once(':').map_or(&**address, |(host, _)| host);
    let connector = connector(keys, host)?;
    let verdict = check(address, message, connector.as_ref(), Instant::now() + *timeout);
    let word = word(verdict.is_ok());
    let text = if *json { report(address, &verdict)? } else { format!("action: test_echo_server | result: {word}\n") };
    let printed = print(text);
    verdict.map_err(|error| Error::failed(format!("{address}: {error}"))).and(printed)
}

fn word(is_good: bool) -> &'static str {
    if is_good { "success" } else { "fail" }
}

fn report<E: ToString>(address: &str, verdict: &Result<(), E>) -> Result<String> {
    let error = verdict.as_ref().err().map(ToString::to_string);
    object(&Report { address, result: word(verdict.is_ok()), error })
}

/// Checks the central that listens at this address. Prints nothing, or with `json` what came of it.
pub fn health(central: SocketAddr, json: bool, keys: &ClientKeys) -> Result<()> {
    let verdict = check_health(central, keys);
    let printed = if json { print(report(&central.to_string(), &verdict)?) } else { Ok(()) };
    verdict.and(printed)
}

fn check_health(central: SocketAddr, keys: &ClientKeys) -> Result<()> {
    let deadline = Instant::now() + HEALTH_TIMEOUT;
    let ask = |host: IpAddr| {
        let address = SocketAddr::new(host, central.port());
        let connector = connector(keys, &host.to_string())?;
        let verdict = connect_for_health(address, deadline)
            .and_then(|stream| exchange(stream, HEALTH_MESSAGE, connector.as_ref(), deadline));
        verdict.map_err(|error| Error::failed(format!("{address}: {error}")))
    };
    if !central.ip().is_unspecified() {
        return ask(central.ip());
    }
    // The central may listen on ::1 by a flag of its own, which this command cannot know.
    ask(Ipv4Addr::LOCALHOST.into()).or_else(|error| ask(Ipv6Addr::LOCALHOST.into()).map_err(|_| error))
}

/// The keys that the flags name, for the central at this host. What should be seen to is for the keys' owner to log.
fn connector(keys: &ClientKeys, host: &str) -> Result<Option<Connector>> {
    let paths = keys.paths()?;
    paths.map(|paths| Connector::load(&paths, None, host).map(|(connector, _)| connector)).transpose()
}

fn connect_for_health(address: SocketAddr, deadline: Instant) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // On a system without this address the check still works, but the central logs its connection at INFO.
    let _ = socket.bind(&SocketAddr::from((HEALTH_SOURCE, 0)).into());
    socket.connect_timeout(&address.into(), left(deadline)?)?;
    Ok(socket.into())
}

fn check(address: &str, message: &str, connector: Option<&Connector>, deadline: Instant) -> io::Result<()> {
    exchange(dialog::connect(address, deadline)?, message, connector, deadline)
}

/// Sends the line and reads it back, over TLS if there are keys. The peer may close the connection after it or keep it open.
fn exchange(stream: TcpStream, message: &str, connector: Option<&Connector>, deadline: Instant) -> io::Result<()> {
    let line = format!("{message}\n");
    let mut expected = line.as_bytes();
    Dialog::new(stream, connector, deadline)?.exchange(line.as_bytes(), |read| {
        expected = expected.strip_prefix(read).ok_or_else(|| {
            let shown = String::from_utf8_lossy(read).into_owned();
            io::Error::new(io::ErrorKind::InvalidData, format!("another answer: {}", Quoted(&shown)))
        })?;
        Ok(expected.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args as _, Command, FromArgMatches as _};
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::thread;

    use tempfile::TempDir;

    use crate::error::Kind;
    use crate::transport::testing::{Authority, Spec};
    use crate::transport::{Acceptance, Incoming, Paths, Stream as _};

    const LONG: Duration = Duration::from_secs(60);

    fn echo(address: &str, message: &str, timeout: Duration) -> Result<()> {
        echo_with(&[], address, message, timeout)
    }

    fn echo_with(keys: &[String], address: &str, message: &str, timeout: Duration) -> Result<()> {
        let timeout = format!("--timeout={}", humantime::format_duration(timeout));
        let words = ["echo-check", address, message, &timeout].into_iter().chain(keys.iter().map(String::as_str));
        let matches = Args::augment_args(Command::new("quiniela")).get_matches_from(words);
        run(&Args::from_arg_matches(&matches).unwrap())
    }

    fn health(central: SocketAddr, keys: &[String]) -> Result<()> {
        let words = ["health"].into_iter().chain(keys.iter().map(String::as_str));
        let matches = ClientKeys::augment_args(Command::new("quiniela")).get_matches_from(words);
        super::health(central, false, &ClientKeys::from_arg_matches(&matches).unwrap())
    }

    fn flags(keys: &TempDir) -> [String; 1] {
        [format!("--keys={}", keys.path().display())]
    }

    /// A central with this acceptance, which echoes a line or only the beginning of it.
    fn serve_tls(acceptance: &Arc<Acceptance>, most: usize) -> (SocketAddr, thread::JoinHandle<SocketAddr>) {
        let acceptance = Arc::clone(acceptance);
        serve(move |stream| {
            let mut socket = stream.try_clone().unwrap();
            let mut stream = Incoming::new(stream, acceptance);
            assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock, "a handshake");
            if stream.handshake().is_ok() {
                let mut line = Vec::new();
                BufReader::new(&mut stream).read_until(b'\n', &mut line).unwrap();
                line.truncate(most);
                stream.write_all(&line).unwrap();
                socket.shutdown(std::net::Shutdown::Write).unwrap();
            }
            let _ = io::copy(&mut socket, &mut io::sink());
        })
    }

    /// A server for one connection, which tells the address that its peer came from.
    fn serve(handle: impl FnOnce(TcpStream) + Send + 'static) -> (SocketAddr, thread::JoinHandle<SocketAddr>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (stream, peer) = listener.accept().unwrap();
            handle(stream);
            peer
        });
        (address, server)
    }

    /// A port that is taken, and that nobody listens at.
    fn reserve() -> (Socket, SocketAddr) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        (socket, address)
    }

    fn echo_line(stream: &TcpStream) {
        let mut line = Vec::new();
        BufReader::new(stream).read_until(b'\n', &mut line).unwrap();
        let mut stream = stream;
        stream.write_all(&line).unwrap();
    }

    #[test]
    fn an_echo_is_an_echo_whether_the_server_closes_or_waits() {
        for message in ["hola", "", "a 'b' \"c\" $d %s ñ|", &"x".repeat(1_000_000)] {
            let (address, server) = serve(|stream| echo_line(&stream));
            echo(&address.to_string(), message, LONG).unwrap();
            server.join().unwrap();
            // This one goes on until its peer closes, and echoes whatever it has, whenever it has it.
            let (address, server) = serve(|mut stream| {
                let mut writer = stream.try_clone().unwrap();
                let _ = io::copy(&mut stream, &mut writer);
            });
            echo(&address.to_string(), message, LONG).unwrap();
            server.join().unwrap();
        }
    }

    #[test]
    fn anything_else_is_a_failure() {
        for answer in [&b""[..], b"hol", b"hola", b"hole\n", b"hola\nhola\n", b"\0\0\0\x0bACK|ERR|x\n"] {
            let (address, server) = serve(move |mut stream| {
                let mut line = [0; 5];
                stream.read_exact(&mut line).unwrap();
                stream.write_all(answer).unwrap();
            });
            assert!(echo(&address.to_string(), "hola", LONG).is_err(), "{answer:?}");
            server.join().unwrap();
        }
        let (_socket, nobody) = reserve();
        assert!(echo(&nobody.to_string(), "hola", LONG).is_err());
        assert!(echo("no port", "hola", LONG).is_err());
    }

    #[test]
    fn silence_is_a_failure_in_time() {
        let (address, server) = serve(|mut stream| {
            let mut all = Vec::new();
            let _ = stream.read_to_end(&mut all);
        });
        let error = echo(&address.to_string(), "hola", Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().ends_with("no answer in time"));
        server.join().unwrap();
    }

    #[test]
    fn a_health_check_comes_from_its_own_address() {
        let (address, server) = serve(|stream| echo_line(&stream));
        health(address, &[]).unwrap();
        let peer = server.join().unwrap();
        if cfg!(target_os = "linux") {
            assert_eq!(peer.ip(), HEALTH_SOURCE);
        }
        let (_socket, nobody) = reserve();
        assert!(health(nobody, &[]).is_err());
    }

    #[test]
    fn with_keys_a_check_uses_tls_and_nothing_else() {
        let authority = Authority::new();
        let central = authority.folder(&authority.issue(&Spec::central()), Some(&authority.revoke(&[9], 30)));
        let (acceptance, _) = Acceptance::load(Paths::of_central(central.path())).unwrap();
        let operator = authority.client(&Spec::client("urn:quiniela:operator"));
        for message in ["hola", &"x".repeat(1_000_000)] {
            let (address, server) = serve_tls(&acceptance, usize::MAX);
            echo_with(&flags(&operator), &address.to_string(), message, LONG).unwrap();
            server.join().unwrap();
        }
        let (address, server) = serve_tls(&acceptance, usize::MAX);
        health(address, &flags(&operator)).unwrap();
        server.join().unwrap();

        let failure = |address: SocketAddr, keys: &TempDir, kind: Kind| {
            let error = echo_with(&flags(keys), &address.to_string(), "hola", LONG).unwrap_err();
            assert_eq!(error.kind, kind, "{error}");
            error.to_string()
        };
        // A whole line is one, and the end of a connection says nothing about a part of one.
        let (address, server) = serve_tls(&acceptance, 4);
        assert!(failure(address, &operator, Kind::Failed).contains("gone without a word"));
        server.join().unwrap();
        let revoked = authority.client(&Spec { serial: 9, ..Spec::agency(3) });
        let (address, server) = serve_tls(&acceptance, 0);
        assert!(failure(address, &revoked, Kind::Failed).contains("refuses our certificate: it is revoked"));
        server.join().unwrap();
        let (address, server) = serve(|mut stream| {
            stream.write_all(b"hola\n").unwrap();
            let mut all = Vec::new();
            let _ = stream.read_to_end(&mut all);
            assert_eq!(all[..3], [0x16, 3, 1]);
        });
        assert!(failure(address, &operator, Kind::Failed).contains("the central answered without TLS"));
        server.join().unwrap();
        let (_socket, nobody) = reserve();
        assert!(failure(nobody, &central, Kind::BadInput).contains("holds the central's key, which is no client's"));
    }
}
