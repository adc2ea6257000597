//! An agency: one thread that talks to the central over one connection at a time, and can be stopped at any moment.
//!
//! `reader` splits the file, `dataset` knows what its rows mean, `batches` fills frames with them, `link` is a connection and
//! `dial` makes one, as often as it takes; a `conversation` asks over it. `lottery`, `bet` and `echo` are what an agency can be
//! told to do. Every wait goes through the `reactor`, which is where a stop is noticed.

mod batches;
mod bet;
mod conversation;
mod dataset;
mod dial;
mod echo;
mod link;
mod lottery;
mod progress;
mod reactor;
mod reader;
#[cfg(test)]
mod testing;
mod winners;

use crate::config::{AgencyConfig, Task};
use crate::error::{Error, Kind, Result};
use crate::logging::{self, Event};
use crate::signals::StopSignal;
use dial::{Dialer, Patience};
use reactor::{Halt, Reactor};

/// Does what the configuration says, to its end or until a signal stops it. SIGTERM is no failure, SIGINT is.
pub(crate) fn run(config: &AgencyConfig, stop: StopSignal) -> Result<()> {
    // The log begins with what it was written under.
    logging::log_at_any_level(config.level.value, || described(config));
    let mut reactor =
        Reactor::new(config.id, stop).map_err(|error| Error::failed(format!("cannot wait for events: {error}")))?;
    let error = match play(&mut reactor, config) {
        Ok(()) => return Ok(()),
        Err(Halt::Stopped) => {
            reactor.log(Event::success("shutdown").with("client_id", config.id));
            let is_interrupted = reactor.is_interrupted();
            return if is_interrupted { Err(Error::new(Kind::Interrupted, "interrupted")) } else { Ok(()) };
        }
        Err(Halt::Lost(cause)) => Error::unreachable(cause),
        Err(Halt::Fatal(error)) => error,
    };
    reactor.bar.finish_and_clear();
    reactor.log(Event::fail("shutdown").with("client_id", config.id).with("error", &error));
    Err(error)
}

fn described(config: &AgencyConfig) -> Event {
    Event::success("config")
        .with("client_id", config.id)
        .with("server_address", &config.server_address)
        .with("loop_amount", &config.loop_amount.text)
        .with("loop_period", &config.loop_period.text)
        .with("log_level", &config.level.text)
}

fn play(reactor: &mut Reactor, config: &AgencyConfig) -> Result<(), Halt> {
    let mut dialer = Dialer::new(&config.server_address, Patience::new(config.retry_for));
    match &config.task {
        Task::Lottery(task) => lottery::run(reactor, &mut dialer, task),
        Task::Bet { person } => bet::run(reactor, &mut dialer, person),
        Task::Echo { amount, period } => echo::run(reactor, &mut dialer.quiet(), *amount, *period),
    }
}
