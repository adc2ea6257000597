//! `quiniela echo-check` and `quiniela health`: send a line to an echo server and check that it comes back.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::domain::Quoted;
use crate::error::{Error, Result};
use crate::output::print;
use crate::resolve;
use crate::wire::{HEALTH_MESSAGE, HEALTH_SOURCE};

const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends a line to an echo server, and checks that it comes back unchanged.
///
/// Prints `action: test_echo_server | result: success`, or `fail`, and exits with 0, or 1.
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
}

/// Prints the result in the form that the exercises define. The error says why a check failed.
pub fn run(Args { address, message, timeout }: &Args) -> Result<()> {
    let verdict = check(address, message, Instant::now() + *timeout);
    let word = if verdict.is_ok() { "success" } else { "fail" };
    let printed = print(format!("action: test_echo_server | result: {word}\n"));
    verdict.map_err(|error| Error::failed(format!("{address}: {error}"))).and(printed)
}

/// Checks the central that listens at this address. Prints nothing on success.
pub fn health(central: SocketAddr) -> Result<()> {
    let deadline = Instant::now() + HEALTH_TIMEOUT;
    let ask = |host: IpAddr| {
        let address = SocketAddr::new(host, central.port());
        let verdict = connect_for_health(address, deadline)
            .and_then(|mut stream| exchange(&mut stream, HEALTH_MESSAGE, deadline));
        verdict.map_err(|error| Error::failed(format!("{address}: {error}")))
    };
    if !central.ip().is_unspecified() {
        return ask(central.ip());
    }
    // The central may listen on ::1 by a flag of its own, which this command cannot know.
    ask(Ipv4Addr::LOCALHOST.into()).or_else(|error| ask(Ipv6Addr::LOCALHOST.into()).map_err(|_| error))
}

fn connect_for_health(address: SocketAddr, deadline: Instant) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // On a system without this address the check still works, but the central logs its connection at INFO.
    let _ = socket.bind(&SocketAddr::from((HEALTH_SOURCE, 0)).into());
    socket.connect_timeout(&address.into(), left(deadline)?)?;
    Ok(socket.into())
}

fn check(address: &str, message: &str, deadline: Instant) -> io::Result<()> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let resolving = resolve::start(address, || ())?;
    for address in resolving.recv_timeout(left(deadline)?).map_err(|_| out_of_time())?? {
        match TcpStream::connect_timeout(&address, left(deadline)?) {
            Ok(mut stream) => return exchange(&mut stream, message, deadline),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn exchange(stream: &mut TcpStream, message: &str, deadline: Instant) -> io::Result<()> {
    let line = format!("{message}\n");
    // Writing and reading run at the same time: a server that echoes as it reads would otherwise block on a line that
    // is longer than the socket buffers.
    let mut writer = stream.try_clone()?;
    writer.set_write_timeout(Some(left(deadline)?))?;
    thread::scope(|scope| {
        let written = scope.spawn(|| writer.write_all(line.as_bytes()));
        let echoed = read_back(stream, line.as_bytes(), deadline);
        if echoed.is_err() {
            // Ends a write that blocks. The connection may be closed already.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        // Its error is ignored: after a failed write, the answer is short or wrong.
        let _ = written.join();
        echoed
    })
}

/// Checks the line alone: the peer may close the connection after it or keep it open.
fn read_back(stream: &mut TcpStream, expected: &[u8], deadline: Instant) -> io::Result<()> {
    let mut received = 0;
    let mut buffer = [0; 4096];
    while received < expected.len() {
        stream.set_read_timeout(Some(left(deadline)?))?;
        let read = match stream.read(&mut buffer) {
            Ok(0) => {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed before the whole line came back"));
            }
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err(out_of_time());
            }
            Err(error) => return Err(error),
        };
        if expected.get(received..received + read) != Some(&buffer[..read]) {
            let shown = String::from_utf8_lossy(&buffer[..read]).into_owned();
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("another answer: {}", Quoted(&shown))));
        }
        received += read;
    }
    Ok(())
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(out_of_time()) } else { Ok(left) }
}

fn out_of_time() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    const LONG: Duration = Duration::from_secs(60);

    fn echo(address: &str, message: &str, timeout: Duration) -> Result<()> {
        run(&Args { address: address.to_owned(), message: message.to_owned(), timeout })
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
        health(address).unwrap();
        let peer = server.join().unwrap();
        if cfg!(target_os = "linux") {
            assert_eq!(peer.ip(), HEALTH_SOURCE);
        }
        let (_socket, nobody) = reserve();
        assert!(health(nobody).is_err());
    }
}
