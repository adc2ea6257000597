//! An agency: one thread that talks to the central over one connection at a time, and can be stopped at any moment.
//!
//! `reader` splits the file, `dataset` knows what its rows mean, `batches` fills frames with them, `link` is a connection and
//! `dial` makes one, as often as it takes. `lottery`, `bet` and `echo` are what an agency can be told to do. Every wait there
//! is goes through the `desk`, which is where a stop is noticed.

mod batches;
mod bet;
mod dataset;
mod desk;
mod dial;
mod echo;
mod link;
mod lottery;
mod progress;
mod reader;
mod replies;
#[cfg(test)]
mod testing;
mod winners;

use log::LevelFilter;

use crate::config::{AgencyConfig, Mode};
use crate::error::{Error, Result};
use crate::logging::{self, Event};
use crate::signals::StopSignal;
use desk::{Desk, Halt};
use dial::{Dialer, Patience};

/// Does what the configuration says, to its end or until it is told to stop, which is no failure.
pub fn run(config: &AgencyConfig, stop: StopSignal) -> Result<()> {
    // Whatever the level, the log begins with what it was written under.
    logging::start(config.level.value.max(LevelFilter::Info));
    tell(config);
    logging::start(config.level.value);
    let mut desk =
        Desk::new(config.id, stop).map_err(|error| Error::failed(format!("cannot wait for events: {error}")))?;
    match play(&mut desk, config) {
        Ok(()) => Ok(()),
        Err(Halt::Stopped) => {
            desk.say(Event::success("shutdown").with("client_id", config.id));
            Ok(())
        }
        Err(Halt::Lost(cause)) => Err(Error::unreachable(cause)),
        Err(Halt::Fatal(error)) => {
            desk.bar.finish_and_clear();
            Err(error)
        }
    }
}

fn tell(config: &AgencyConfig) {
    Event::success("config")
        .with("client_id", config.id)
        .with("server_address", &config.server_address)
        .with("loop_amount", &config.loop_amount.text)
        .with("loop_period", &config.loop_period.text)
        .with("log_level", &config.level.text)
        .log();
}

fn play(desk: &mut Desk, config: &AgencyConfig) -> Result<(), Halt> {
    let mut dialer = Dialer::new(&config.server_address, Patience::new(config.retry_for));
    match config.mode {
        Mode::Lottery => lottery::run(desk, &mut dialer, config),
        Mode::Bet => bet::run(desk, &mut dialer, config),
        Mode::Echo => echo::run(desk, &mut dialer.quiet(), config),
    }
}
