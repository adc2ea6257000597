//! Connecting to the central: resolving its name, trying its addresses, and retrying while patience lasts.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::Interest;
use mio::net::TcpStream;
use socket2::{SockRef, TcpKeepalive};

use super::link::Link;
use super::pin::Pin;
use super::reactor::{Halt, Reactor, SOCKET};
use crate::error::{Error, Result};
use crate::logging::{Event, EventResult};
use crate::resolve::{self, Resolving};
use crate::transport::{Connector, Signer, Stream as _};

/// Time limits of one attempt to resolve the name, and of one to connect to an address, with the handshake of TLS.
const RESOLVE_DEADLINE: Duration = Duration::from_secs(10);
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// Minimum time of an attempt, however little patience is left. Otherwise `--retry-for 0s` would allow none.
const LEAST_DEADLINE: Duration = Duration::from_secs(1);

/// The pause before an attempt is random, up to a limit that doubles from the first of these to the second.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LAST_BACKOFF: Duration = Duration::from_secs(2);

/// An agency that waits for the draw sends nothing. TCP then notices a dead central within about 30 s.
const KEEPALIVE_TIME: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;

/// Connects to the central, and retries while patience lasts.
pub(super) struct Dialer {
    pub(super) patience: Patience,
    pub(super) pin: Pin,
    /// The centrals of the lottery, one or several.
    targets: Vec<Target>,
    /// The one whose turn it is.
    turn: usize,
    /// Log connections at DEBUG: the echo mode makes one for each message.
    quiet: bool,
}

/// A central that can be dialled.
struct Target {
    address: String,
    /// With it every connection uses TLS, and none ever goes without.
    connector: Option<Connector>,
    /// An attempt to resolve the name that has not ended yet.
    resolving: Option<Resolving>,
}

/// How long to retry without progress.
pub(super) struct Patience {
    limit: Duration,
    since: Instant,
    attempts: u32,
}

impl Dialer {
    /// Dials one central, or several with commas between them: in turn, from a random one, so that agencies share them.
    pub(super) fn new(addresses: &str, patience: Patience) -> Dialer {
        let target = |address: &str| Target { address: address.to_owned(), connector: None, resolving: None };
        let targets: Vec<Target> = addresses.split(',').map(target).collect();
        let turn = fastrand::usize(..targets.len());
        Dialer { patience, pin: Pin::default(), targets, turn, quiet: false }
    }

    /// With what makes each central prove its own name.
    pub(super) fn with_keys(mut self, connector: Option<&Connector>) -> Result<Dialer> {
        for target in &mut self.targets {
            target.connector = connector.map(|connector| connector.to(host_of(&target.address))).transpose()?;
        }
        Ok(self)
    }

    pub(super) fn with_pin(self, pin: Pin) -> Dialer {
        Dialer { pin, ..self }
    }

    /// Signs with the agency's key, if it has one.
    pub(super) fn signer(&self) -> Option<&Signer> {
        self.target().connector.as_ref().map(Connector::signer)
    }

    pub(super) fn quiet(self) -> Dialer {
        Dialer { quiet: true, ..self }
    }

    /// Retries until it is connected, or out of patience.
    pub(super) fn connect(&mut self, reactor: &mut Reactor) -> Result<Link, Halt> {
        loop {
            match self.attempt(reactor) {
                Ok(link) => {
                    let event = Event::quiet_if(self.quiet, "connect", EventResult::Success);
                    reactor.log(event.with("client_id", reactor.id));
                    return Ok(link);
                }
                Err(Halt::Lost(cause)) => {
                    reactor.log(Event::fail("connect").with("client_id", reactor.id).with("error", &cause));
                    self.back_off(reactor, &cause, "; check that the central runs and can be reached there")?;
                }
                Err(halt) => return Err(halt),
            }
        }
    }

    fn target(&self) -> &Target {
        &self.targets[self.turn]
    }

    /// Waits before the next attempt, which is for the next central. If patience has run out, returns an error that ends with
    /// `advice` instead.
    pub(super) fn back_off(&mut self, reactor: &mut Reactor, cause: &str, advice: &str) -> Result<(), Halt> {
        let Some(delay) = self.patience.next_delay() else {
            let limit = humantime::format_duration(self.patience.limit);
            return Err(Halt::Fatal(Error::unreachable(format!(
                "{}: no progress for {limit}, and at last: {cause}{advice}",
                self.target().address
            ))));
        };
        self.turn = (self.turn + 1) % self.targets.len();
        reactor.pause(delay)
    }

    fn attempt(&mut self, reactor: &mut Reactor) -> Result<Link, Halt> {
        let mut cause = format!("{} has no address", self.target().address);
        for address in self.resolve(reactor)? {
            match self.attempt_address(reactor, address) {
                Ok(link) => return Ok(link),
                Err(Halt::Lost(reason)) => cause = format!("{address}: {reason}"),
                Err(halt) => return Err(halt),
            }
        }
        Err(Halt::Lost(cause))
    }

    fn attempt_address(&mut self, reactor: &mut Reactor, address: SocketAddr) -> Result<Link, Halt> {
        let lost = |error: io::Error| Halt::Lost(error.to_string());
        let mut stream = TcpStream::connect(address).map_err(lost)?;
        reactor.registry().register(&mut stream, SOCKET, Interest::READABLE | Interest::WRITABLE).map_err(lost)?;
        let (begun, deadline) = (Instant::now(), self.patience.deadline(CONNECT_DEADLINE));
        loop {
            reactor.wait(Some(deadline))?;
            if let Some(error) = stream.take_error().map_err(lost)? {
                return Err(lost(error));
            }
            match stream.peer_addr() {
                // If nobody listens on a local port, the system may give that port to this socket, connected to itself.
                Ok(peer) if stream.local_addr().is_ok_and(|own| own == peer) => {
                    return Err(lost(io::ErrorKind::ConnectionRefused.into()));
                }
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
                Err(error) => return Err(lost(error)),
            }
            check_deadline(Some(deadline), begun)?;
        }
        let keepalive = TcpKeepalive::new()
            .with_time(KEEPALIVE_TIME)
            .with_interval(KEEPALIVE_INTERVAL)
            .with_retries(KEEPALIVE_RETRIES);
        SockRef::from(&stream).set_tcp_keepalive(&keepalive).map_err(lost)?;
        // Without delay: a batch is sent when it is full, and nothing follows a DONE.
        stream.set_nodelay(true).map_err(lost)?;
        let Some(connector) = &self.target().connector else { return Ok(Link::new(stream)) };
        let mut stream = connector.connect(stream).map_err(lost)?;
        loop {
            stream.handshake().map_err(|error| Halt::of_stream("TLS failed", &error))?;
            if !stream.is_handshaking() {
                return Ok(Link::new(stream));
            }
            check_deadline(Some(deadline), begun)?;
            reactor.wait(Some(deadline))?;
        }
    }

    fn resolve(&mut self, reactor: &mut Reactor) -> Result<Vec<SocketAddr>, Halt> {
        let Dialer { targets, turn, patience, .. } = self;
        let Target { address: name, resolving: unfinished, .. } = &mut targets[*turn];
        if let Ok(address) = name.parse() {
            return Ok(vec![address]);
        }
        // `server` is the central's name in the exercises' containers.
        let local = name.strip_prefix("server:").map(|port| format!("localhost:{port}"));
        let advice = local.map(|local| format!("; outside Docker give --server {local}")).unwrap_or_default();
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::InvalidInput => {
                Halt::Fatal(Error::bad_input(format!("{name}: {error}: expected HOST:PORT")))
            }
            _ => Halt::Lost(format!("{name}: {error}{advice}")),
        };
        let resolving = match unfinished.take() {
            Some(resolving) => resolving,
            None => {
                let waker = reactor.waker();
                // If the wake-up fails, the wait lasts until its deadline.
                resolve::start(name, move || drop(waker.wake())).map_err(failed)?
            }
        };
        let (begun, deadline) = (Instant::now(), patience.deadline(RESOLVE_DEADLINE));
        loop {
            if let Ok(result) = resolving.try_recv() {
                return result.map_err(failed);
            }
            if check_deadline(Some(deadline), begun).is_err() {
                // The next attempt waits for the same thread, so that threads do not pile up.
                *unfinished = Some(resolving);
                return Err(Halt::Lost(format!("{name}: the name is still being resolved{advice}")));
            }
            reactor.wait(Some(deadline))?;
        }
    }
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Patience {
        Patience { limit, since: Instant::now(), attempts: 0 }
    }

    /// Records progress: all of the time is left again.
    pub(super) fn progress(&mut self) {
        self.since = Instant::now();
        self.attempts = 0;
    }

    /// Does not count a wait as lack of progress, such as that for the draw, which has no time limit.
    pub(super) fn excuse(&mut self, waited: Duration) {
        self.since = (self.since + waited).min(Instant::now());
    }

    /// The deadline of a step that may take `longest`, less if less patience is left.
    pub(super) fn deadline(&self, longest: Duration) -> Instant {
        let left = self.limit.saturating_sub(self.since.elapsed());
        Instant::now() + longest.min(left).max(LEAST_DEADLINE.min(longest))
    }

    /// The pause before the next attempt. `None` if patience has run out.
    fn next_delay(&mut self) -> Option<Duration> {
        let left = self.limit.checked_sub(self.since.elapsed())?;
        let ceiling = FIRST_BACKOFF.saturating_mul(1 << self.attempts.min(16)).min(LAST_BACKOFF);
        self.attempts += 1;
        // Random from zero on, so that agencies that lost the same central do not all return at once.
        Some(ceiling.mul_f64(fastrand::f64()).min(left))
    }
}

/// The name or the address of a central, without its port.
pub(super) fn host_of(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

/// An error once the deadline has passed. It tells how long that was since `begun`.
pub(super) fn check_deadline(deadline: Option<Instant>, begun: Instant) -> Result<(), Halt> {
    match deadline {
        Some(deadline) if Instant::now() >= deadline => {
            Err(Halt::Lost(format!("no answer within {} s", (deadline - begun).as_secs_f32().ceil())))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agency::testing::reactor;
    use crate::error::Kind;
    use socket2::{Domain, Socket, Type};
    use std::net::TcpListener;

    /// A port that is taken, and that nobody listens at yet.
    fn reserve() -> (Socket, String) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap().to_string();
        (socket, address)
    }

    fn dial(address: &str, limit: Duration) -> Result<Link, Halt> {
        Dialer::new(address, Patience::new(limit)).connect(&mut reactor())
    }

    #[test]
    fn a_central_that_never_comes_ends_in_an_error_that_says_why() {
        let (_socket, address) = reserve();
        let Err(Halt::Fatal(error)) = dial(&address, Duration::from_millis(200)) else { panic!("not fatal") };
        assert_eq!(error.kind, Kind::Unreachable);
        let shown = error.to_string();
        assert!(shown.contains("no progress for 200ms") && shown.contains("refused") && shown.starts_with(&address));
    }

    #[test]
    fn a_central_that_comes_late_is_reached() {
        let (socket, address) = reserve();
        let mut dialer = Dialer::new(&address, Patience::new(Duration::from_secs(60)));
        let mut reactor = reactor();
        assert!(matches!(dialer.attempt(&mut reactor), Err(Halt::Lost(_))));
        socket.listen(1).unwrap();
        assert!(dialer.connect(&mut reactor).is_ok());
    }

    #[test]
    fn of_several_centrals_those_that_are_away_are_passed_over() {
        let (_away, nobody) = reserve();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut starts = [false; 3];
        for _ in 0..64 {
            let mut dialer =
                Dialer::new(&format!("{nobody},{address},{nobody}"), Patience::new(Duration::from_secs(60)));
            starts[dialer.turn] = true;
            assert!(dialer.connect(&mut reactor()).is_ok());
            assert_eq!(dialer.turn, 1);
        }
        assert_eq!(starts, [true; 3], "agencies begin with any of them");
    }

    #[test]
    fn names_are_resolved_and_what_is_no_address_is_bad_input() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(dial(&format!("localhost:{port}"), Duration::from_secs(60)).is_ok());
        for address in ["localhost", "localhost:many"] {
            assert!(
                matches!(dial(address, Duration::from_secs(60)), Err(Halt::Fatal(error)) if error.kind == Kind::BadInput)
            );
        }
    }

    #[test]
    fn delays_grow_to_a_limit_and_end_with_patience() {
        let mut patience = Patience::new(Duration::from_secs(6));
        for attempt in 0..100 {
            let delay = patience.next_delay().unwrap();
            assert!(delay <= LAST_BACKOFF && (attempt > 0 || delay <= FIRST_BACKOFF));
        }
        patience.since = Instant::now().checked_sub(Duration::from_secs(7)).unwrap();
        assert_eq!(patience.next_delay(), None);
        patience.excuse(Duration::from_secs(5));
        assert!(patience.next_delay().is_some(), "waiting for the draw is no lack of progress");
        patience.since = Instant::now().checked_sub(Duration::from_secs(7)).unwrap();
        patience.progress();
        assert!(patience.next_delay().unwrap() <= FIRST_BACKOFF);
    }
}
