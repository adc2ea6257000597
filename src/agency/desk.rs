//! The one place where an agency waits and logs, and so where it notices a stop.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use mio::{Events, Poll, Registry, Token, Waker};

use crate::domain::AgencyId;
use crate::error::Error;
use crate::logging::{self, Event, Outcome};
use crate::signals::StopSignal;

/// The events of the socket to the central. There is one at a time.
pub const SOCKET: Token = Token(0);
const STOP: Token = Token(1);
const WAKE: Token = Token(2);

/// More than the sources of events: the socket, the stop and the waker.
const EVENTS: usize = 8;

/// Why an agency does not continue.
#[derive(Debug)]
pub enum Halt {
    /// A signal told it to stop, which is a clean end.
    Stopped,
    /// The connection, or the central's ability to answer, was lost. A later attempt may succeed.
    Lost(String),
    /// Another attempt would fail in the same way.
    Fatal(Error),
}

pub struct Desk {
    pub id: AgencyId,
    /// Hidden unless there is something to show and a terminal to show it on.
    pub bar: ProgressBar,
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    stop: StopSignal,
    stopping: bool,
}

impl Desk {
    pub fn new(id: AgencyId, mut stop: StopSignal) -> io::Result<Desk> {
        let poll = Poll::new()?;
        stop.register(poll.registry(), STOP)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let events = Events::with_capacity(EVENTS);
        Ok(Desk { id, bar: ProgressBar::hidden(), poll, events, waker, stop, stopping: false })
    }

    /// Logs an event. A progress bar on the same terminal is hidden until the line is written.
    pub fn say(&self, event: Event) {
        let is_beside_bar = !self.bar.is_hidden() && io::stdout().is_terminal();
        self.bar.suspend(|| {
            event.log();
            if is_beside_bar {
                logging::flush();
            }
        });
    }

    pub fn is_interrupted(&self) -> bool {
        self.stop.is_interrupt()
    }

    pub fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// Ends a wait of this desk from another thread.
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Fails once the process is told to stop. Code that works for long without waiting calls it regularly.
    pub fn check(&mut self) -> Result<(), Halt> {
        if !self.stop.is_raised() {
            return Ok(());
        }
        if !self.stopping {
            self.stopping = true;
            self.bar.finish_and_clear();
            self.say(Event::in_progress("shutdown").with("client_id", self.id));
        }
        Err(Halt::Stopped)
    }

    /// Waits for any event, or for the deadline. A stop ends the wait at once.
    pub fn wait(&mut self, deadline: Option<Instant>) -> Result<(), Halt> {
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

    /// Waits for a duration.
    pub fn pause(&mut self, duration: Duration) -> Result<(), Halt> {
        // A pause whose end overflows never ends.
        let end = Instant::now().checked_add(duration);
        self.check()?;
        while end.is_none_or(|end| Instant::now() < end) {
            self.wait(end)?;
        }
        Ok(())
    }

    /// Logs a closed connection: at INFO during a stop, where every resource is logged.
    pub fn tell_closed(&self) {
        let event = Event::quiet_if(!self.stopping, "close_connection", Outcome::Success);
        self.say(event.with("client_id", self.id));
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
        let mut desk = Desk::new(AgencyId(1), stop).unwrap();
        let raiser = std::thread::spawn(move || switch.raise());
        assert!(matches!(desk.pause(LONG), Err(Halt::Stopped)));
        assert!(matches!(desk.wait(None), Err(Halt::Stopped)), "and stays raised");
        assert!(matches!(desk.pause(Duration::ZERO), Err(Halt::Stopped)));
        raiser.join().unwrap();
    }

    #[test]
    fn a_pause_lasts_as_long_as_it_should_whatever_happens() {
        let (stop, _switch) = StopSignal::by_hand().unwrap();
        let mut desk = Desk::new(AgencyId(1), stop).unwrap();
        desk.waker().wake().unwrap();
        let begun = Instant::now();
        desk.pause(Duration::from_millis(30)).unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(30));
    }
}
