//! What the service manager is told (systemd's `Type=notify`): that the central accepts, that it lives, reads its keys again or
//! stops. Without a manager there is no `NOTIFY_SOCKET`, and nothing is sent.

use std::io;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use crate::logging::Event;

/// A start that still makes progress may take this much longer, each time that it says so.
const START_EXTENSION: Duration = Duration::from_secs(120);

/// The manager's watchdog, which ends a central whose acceptor no longer turns.
pub struct Watchdog {
    interval: Option<Duration>,
    fed: Instant,
}

impl Watchdog {
    /// With the interval that the manager wants. A third of it, so that one late tick is not the end.
    pub fn new(now: Instant) -> Watchdog {
        Watchdog { interval: sd_notify::watchdog_enabled().map(|interval| interval / 3), fed: now }
    }

    /// To be called at each tick.
    pub fn feed(&mut self, now: Instant) {
        if self.interval.is_some_and(|interval| now.duration_since(self.fed) >= interval) {
            self.fed = now;
            // A manager that no longer listens acts by itself, and a line at each tick would not help it.
            let _ = sd_notify::notify(&[NotifyState::Watchdog]);
        }
    }
}

/// A big store takes minutes to check, and a manager would take that for a hang.
pub fn tell_progress(bytes: u64, of: u64) {
    let status = format!("checks bets.csv: {bytes} of {of} bytes");
    let extension = u32::try_from(START_EXTENSION.as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::Status(&status), NotifyState::ExtendTimeoutUsec(extension)]);
}

pub fn tell_ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("accepts connections")]);
}

pub fn tell_stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("answers what it has received")]);
}

/// Runs a reload between the two messages that a manager waits for.
pub fn tell_reload(reload: impl FnOnce()) {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => log(error),
    }
    reload();
    tell(&[NotifyState::Ready]);
}

fn tell(news: &[NotifyState]) {
    sd_notify::notify(news).unwrap_or_else(log);
}

fn log(error: io::Error) {
    Event::fail("notify").with("error", error).log();
}
