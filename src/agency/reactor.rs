//! The one place where an agency waits and logs, so that a stop ends every wait and a progress bar spoils no log line.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use mio::{Events, Poll, Registry, Token, Waker};

use crate::domain::AgencyId;
use crate::error::Error;
use crate::logging::{self, Event, EventResult};
use crate::signals::StopSignal;
use crate::transport::TlsError;

/// Events of the socket to the central. At most one socket is open at a time.
pub(super) const SOCKET: Token = Token(0);
const STOP: Token = Token(1);
const WAKE: Token = Token(2);

/// Room for one event of each source (the socket, the stop and the waker), and more.
const EVENTS: usize = 8;

/// Why an agency does not continue.
#[derive(Debug)]
pub(super) enum Halt {
    /// A signal told it to stop. This is a clean end.
    Stopped,
    /// The connection was lost, or the central cannot answer now. A later attempt may succeed.
    Lost(String),
    /// Another attempt would fail in the same way.
    Fatal(Error),
}

pub(super) struct Reactor {
    pub(super) id: AgencyId,
    /// Hidden unless there is something to show and a terminal to show it on.
    pub(super) bar: ProgressBar,
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    pub(super) stop: StopSignal,
    /// True once the stop is logged.
    stopping: bool,
}

impl Reactor {
    pub(super) fn new(id: AgencyId, mut stop: StopSignal) -> io::Result<Reactor> {
        let poll = Poll::new()?;
        stop.register(poll.registry(), STOP)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let events = Events::with_capacity(EVENTS);
        Ok(Reactor { id, bar: ProgressBar::hidden(), poll, events, waker, stop, stopping: false })
    }

    /// Logs an event. A progress bar on the same terminal is hidden until the line is written.
    pub(super) fn log(&self, event: Event) {
        let is_beside_bar = !self.bar.is_hidden() && io::stdout().is_terminal();
        self.bar.suspend(|| {
            event.log();
            if is_beside_bar {
                logging::flush();
            }
        });
    }

    pub(super) fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// Lets another thread end a wait.
    pub(super) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// An error once the process is told to stop. Long work without a wait must call this regularly.
    pub(super) fn check(&mut self) -> Result<(), Halt> {
        if !self.stop.is_raised() {
            return Ok(());
        }
        if !self.stopping {
            self.stopping = true;
            self.bar.finish_and_clear();
            self.log(Event::in_progress("shutdown").with("client_id", self.id));
        }
        Err(Halt::Stopped)
    }

    /// Waits for any event, or until the deadline. A stop ends the wait at once.
    pub(super) fn wait(&mut self, deadline: Option<Instant>) -> Result<(), Halt> {
        self.check()?;
        let timeout = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                return Err(Halt::Fatal(Error::failed(format!("cannot wait for the central: {error}"))));
            }
            _ => {}
        }
        if self.events.iter().any(|event| event.token() == STOP) {
            self.stop.acknowledge();
        }
        self.check()
    }

    /// Waits for the whole duration, whatever events there are.
    pub(super) fn pause(&mut self, duration: Duration) -> Result<(), Halt> {
        // A pause whose end would overflow has none.
        let end = Instant::now().checked_add(duration);
        self.check()?;
        while end.is_none_or(|end| Instant::now() < end) {
            self.wait(end)?;
        }
        Ok(())
    }

    /// Logs a closed connection at DEBUG, but during a stop at INFO, like every resource that is closed then.
    pub(super) fn tell_closed(&self) {
        let event = Event::quiet_if(!self.stopping, "close_connection", EventResult::Success);
        self.log(event.with("client_id", self.id));
    }
}

impl Halt {
    /// What an error of a connection means. Only a failure of TLS would come again at the next attempt.
    pub(super) fn of_stream(what: &str, error: &io::Error) -> Halt {
        let Some(failure) = TlsError::of(error) else { return Halt::Lost(format!("{what}: {error}")) };
        Halt::Fatal(match failure {
            TlsError::Rejected(_) => Error::refused(format!(
                "{failure}; give --keys DIR with keys that the authority of this lottery has signed and not revoked: quiniela \
                 keys renew"
            )),
            TlsError::Untrusted(_) => Error::refused(format!(
                "{failure}, so nothing was sent to it; check --server, and that --keys DIR is of the same lottery as the central"
            )),
            TlsError::Protocol(_) => {
                Error::failed(format!("{failure}; check --server, and that the central there has keys too"))
            }
        })
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Halt {
        Halt::Fatal(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn a_stop_ends_every_wait_at_once() {
        let (stop, switch) = StopSignal::by_hand().unwrap();
        let mut reactor = Reactor::new(AgencyId(1), stop).unwrap();
        let raiser = std::thread::spawn(move || switch.raise());
        assert!(matches!(reactor.pause(LONG), Err(Halt::Stopped)));
        assert!(matches!(reactor.wait(None), Err(Halt::Stopped)), "and stays raised");
        assert!(matches!(reactor.pause(Duration::ZERO), Err(Halt::Stopped)));
        raiser.join().unwrap();
    }

    #[test]
    fn a_pause_lasts_as_long_as_it_should_whatever_happens() {
        let (stop, _switch) = StopSignal::by_hand().unwrap();
        let mut reactor = Reactor::new(AgencyId(1), stop).unwrap();
        reactor.waker().wake().unwrap();
        let begun = Instant::now();
        reactor.pause(Duration::from_millis(30)).unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(30));
    }
}
