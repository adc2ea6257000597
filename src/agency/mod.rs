//! An agency: one thread that talks to the central over one connection at a time, and can be stopped at any moment.
//!
//! `reader` splits the file into rows (`growing` is one that grows, and `follow` knows when it ends), `dataset` knows what they mean, `batches` fills frames with them. `dial`
//! connects, `link` is a connection, `conversation` sends requests over it and takes the replies. `root` hashes the rows,
//! and `seal` checks what the central shows at the close against that. `lottery`, `bet` and `echo` are the modes of an agency. Every wait goes through the `reactor`, so that a stop ends it.

mod batches;
mod bet;
mod conversation;
mod dataset;
mod dial;
mod echo;
mod follow;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod growing;
mod link;
mod lottery;
mod pin;
mod progress;
mod reactor;
mod reader;
mod receipt;
mod root;
mod seal;
#[cfg(test)]
mod seal_testing;
#[cfg(test)]
mod seal_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tls_tests;
mod winners;

use log::Level;

use crate::config::{AgencyConfig, Task};
use crate::domain::Role;
use crate::error::{Error, Kind, Result};
use crate::logging::{self, Event, EventResult};
use crate::signals::StopSignal;
use crate::transport::Connector;
use dial::{Dialer, Patience, host_of};
use pin::Pin;
use reactor::{Halt, Reactor};

/// Runs the configured mode to its end, or until a signal stops it. SIGTERM is a success, SIGINT is an error.
pub(crate) fn run(config: &AgencyConfig, stop: StopSignal) -> Result<()> {
    // The log begins with the settings, since every later line depends on them.
    logging::log_at_any_level(config.level.value, || {
        Event::success("config")
            .with("client_id", config.id)
            .with("server_address", &config.server_address)
            .with("loop_amount", &config.loop_amount.text)
            .with("loop_period", &config.loop_period.text)
            .with("log_level", &config.level.text)
    });
    let mut reactor =
        Reactor::new(config.id, stop).map_err(|error| Error::failed(format!("cannot wait for events: {error}")))?;
    let error = match play(&mut reactor, config) {
        Ok(()) => return Ok(()),
        Err(Halt::Stopped) => {
            reactor.log(Event::success("shutdown").with("client_id", config.id));
            return if reactor.stop.is_interrupt() {
                Err(Error::new(Kind::Interrupted, "interrupted"))
            } else {
                Ok(())
            };
        }
        Err(Halt::Lost(cause)) => Error::unreachable(cause),
        Err(Halt::Fatal(error)) => error,
    };
    reactor.bar.finish_and_clear();
    reactor.log(Event::fail("shutdown").with("client_id", config.id).with("error", &error));
    Err(error)
}

fn play(reactor: &mut Reactor, config: &AgencyConfig) -> Result<(), Halt> {
    let connector = load_keys(reactor, config)?;
    let mut dialer = Dialer::new(&config.server_address, Patience::new(config.retry_for))
        .with_keys(connector.as_ref())?
        .with_pin(Pin::new(config.lottery));
    match &config.task {
        Task::Lottery(task) => lottery::run(reactor, &mut dialer, task),
        Task::Bet { person } => bet::run(reactor, &mut dialer, person),
        Task::Echo { amount, period } => echo::run(reactor, &mut dialer.quiet(), *amount, *period),
    }
}

/// Reads the agency's keys, if the settings name any. What should be seen to is a warning in the log.
fn load_keys(reactor: &Reactor, config: &AgencyConfig) -> Result<Option<Connector>> {
    let Some(paths) = &config.tls else { return Ok(None) };
    let first = config.server_address.split(',').next().unwrap_or_default();
    let (connector, warnings) = Connector::load(paths, Some(Role::Agency(config.id)), host_of(first))?;
    for warning in warnings {
        let event = Event::new(Level::Warn, "load_keys", EventResult::Success);
        reactor.log(event.with("client_id", config.id).with("warning", warning));
    }
    Ok(Some(connector))
}
