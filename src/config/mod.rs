//! Configuration, resolved once: flag before environment before file before default. What comes out is typed and
//! checked, and nothing downstream reads a file or an environment variable for its settings.

mod agency;
mod server;
mod source;
mod values;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;

use crate::domain::{AgencyId, Roster};

/// The settings themselves: what the command line takes its flags, their help and their checks from.
pub mod settings {
    pub use super::agency::settings as agency;
    pub use super::server::settings as server;
}

pub(crate) use agency::PERSON;
pub use agency::resolve as resolve_agency;
pub use server::{resolve as resolve_server, resolve_port};
pub use source::{Environment, Provenance, Setting};

/// A duration on the command line that must leave some time.
pub fn parse_limit(text: &str) -> Result<Duration, String> {
    values::limit(text).map_err(|allowed| format!("allowed is {allowed}"))
}

/// A value together with the text that it was written as, which is how it is shown again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsWritten<T> {
    pub value: T,
    pub text: String,
}

/// Everything that `quiniela server` needs to know.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// 0 takes a free port.
    pub port: AsWritten<u16>,
    pub bind: IpAddr,
    pub backlog: AsWritten<u32>,
    pub level: AsWritten<LevelFilter>,
    pub roster: Roster,
    pub store: PathBuf,
    pub winning_number: u32,
    pub workers: usize,
    /// Connections with something to read that may wait for a worker.
    pub queue: usize,
    pub max_connections: usize,
    /// From a frame's first byte to its last, and for a peer to take its replies.
    pub frame_deadline: Duration,
    /// How long a stop may take.
    pub stop_timeout: Duration,
    /// With [`Roster::Auto`]: how long no new agency may have appeared before the draw.
    pub quiet_time: Duration,
}

/// What an agency does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Sends every bet of its file, waits for the draw, asks for its winners.
    Lottery,
    /// Sends one bet, taken from the environment.
    Bet,
    /// Sends lines to the echo server, one connection each.
    Echo,
}

/// Everything that `quiniela agency` needs to know.
#[derive(Clone, Debug)]
pub struct AgencyConfig {
    pub id: AgencyId,
    pub server_address: String,
    pub task: Task,
    pub loop_amount: AsWritten<u32>,
    pub loop_period: AsWritten<Duration>,
    pub level: AsWritten<LevelFilter>,
    /// How long to go on trying without any progress.
    pub retry_for: Duration,
}

/// A mode, with all that it needs. A person's values are in the order of a bet's fields.
#[derive(Clone, Debug)]
pub enum Task {
    Lottery(LotteryTask),
    Bet { person: [String; 5] },
    Echo { amount: u32, period: Duration },
}

#[derive(Clone, Debug)]
pub struct LotteryTask {
    /// The CSV file: `<data>/agency-<id>.csv`.
    pub file: PathBuf,
    /// Between any two messages: `batch.period`, or `loop.period` where that is not said.
    pub batch_period: Duration,
    pub batch_max: u32,
    /// Batches sent and not yet acknowledged, when nothing is paced.
    pub in_flight: usize,
    /// Where to write the winners' documents, one a line.
    pub winners: Option<PathBuf>,
}
