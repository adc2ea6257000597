//! Configuration, resolved once: a flag overrides the environment, which overrides the file, which overrides the
//! default. The result is typed and checked. No other room reads a configuration file or an environment variable.

mod agency;
mod close;
mod database;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod server;
mod setting;
mod source;
mod tls;
mod values;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use log::LevelFilter;

use crate::database::Url;
use crate::domain::{AgencyId, LotteryId, SaidRules};
use crate::logging::Form;
use crate::transport::Paths;
use setting::Setting;

pub(crate) use agency::PERSON;
pub use agency::{AgencyArgs, resolve as resolve_agency};
pub use database::{DatabaseArgs, PasswordArgs, database};
pub use server::{HealthArgs, ServerArgs, resolve as resolve_server, resolve_health};
pub use source::{Environment, Provenance};
pub use tls::ClientKeys;
pub use values::{parse_limit, whole_number};

/// The log level. Server and agency add their own names for the environment and the file.
const LEVEL: Setting<LevelFilter> = Setting::new("log-level", "LEVEL", values::level)
    .about("Minimum level to log, by Python's or Go's name")
    .choices(&values::LEVELS)
    .default("INFO");
/// The form of the log. Server and agency add their own names, as above.
const LOG_FORMAT: Setting<Form> = Setting::new("log-format", "FORM", values::log_format)
    .about("Form of the log: text as the exercises have it, or json with one object a line")
    .choices(&values::LOG_FORMATS)
    .default("text");

/// A value, and the text that it was parsed from, for output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsWritten<T> {
    pub value: T,
    pub text: String,
}

/// The settings of `quiniela server`.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// 0 takes a free port.
    pub port: AsWritten<u16>,
    pub bind: IpAddr,
    pub backlog: AsWritten<u32>,
    pub level: AsWritten<LevelFilter>,
    pub log_format: Form,
    /// The lottery's rules, as far as a flag, the environment or the file sets them.
    pub rules: SaidRules,
    /// The folder, or the address of the database without its password.
    pub store: PathBuf,
    /// The database, if the store is one.
    pub database: Option<DatabaseConfig>,
    /// Where the central's certificate and key are, if connections use TLS.
    pub tls: Option<Paths>,
    pub plain: Plain,
    pub workers: usize,
    /// Maximum connections with something to read that wait for a worker.
    pub queue: usize,
    pub max_connections: usize,
    /// Open at once from one address. None is a part of all.
    pub max_per_address: Option<usize>,
    /// Bytes of memory held for all peers together.
    pub peer_memory: usize,
    /// Time limit from a frame's first byte to its last, and for a peer to take its replies.
    pub frame_deadline: Duration,
    /// Time limit of a stop.
    pub stop_timeout: Duration,
    /// With an inferred roster: time without a new agency that must pass before the draw.
    pub quiet_time: Duration,
    pub unbalanced: Unbalanced,
    /// The same, if it was set.
    pub said_unbalanced: Option<Unbalanced>,
    /// Take a DONE only with the agency's signature.
    pub require_signed: bool,
    /// Where to serve metrics, readiness and pages, if at all.
    pub http: Option<SocketAddr>,
}

/// A database that several centrals share.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    pub url: Url,
    /// The draw, since many live in one database.
    pub draw: String,
    /// Refuse a server whose commits wait for no standby.
    pub require_standby: bool,
}

/// What becomes of a DONE that declares something else than is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unbalanced {
    Refuse,
    /// It is taken, and the acta says so.
    Accept,
}

/// What a connection without TLS gets of the central.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plain {
    /// Everything: the central has no keys.
    All,
    /// The echo of a line.
    Echo,
    Nothing,
}

/// What an agency does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Sends every bet of its file, waits for the draw, asks for its winners.
    Lottery,
    /// Sends one bet, taken from the environment.
    Bet,
    /// Sends lines to the echo server, one connection each.
    Echo,
}

/// The settings of `quiniela agency`.
#[derive(Clone, Debug)]
pub struct AgencyConfig {
    pub id: AgencyId,
    pub server_address: String,
    /// Where the agency's certificate and key are, if it uses TLS.
    pub tls: Option<Paths>,
    /// The only lottery that it takes part in.
    pub lottery: Option<LotteryId>,
    pub task: Task,
    pub loop_amount: AsWritten<u32>,
    pub loop_period: AsWritten<Duration>,
    pub level: AsWritten<LevelFilter>,
    pub log_format: Form,
    /// How long to keep retrying without progress.
    pub retry_for: Duration,
}

/// A mode with its settings. `person` is in the order of a bet's fields.
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
    /// Wait between two messages: `batch.period`, or `loop.period` if that is not set.
    pub batch_period: Duration,
    pub batch_max: u32,
    /// Maximum batches sent and not yet acknowledged, if `batch_period` is zero.
    pub in_flight: usize,
    /// Where to write the winners' documents, one a line.
    pub winners: Option<PathBuf>,
    /// Where to write the receipt of the seal.
    pub receipt: Option<PathBuf>,
    /// Let `winners` and `receipt` replace a file of another kind.
    pub force: bool,
    /// Send the file's bets as it grows.
    pub follow: Option<Follow>,
}

/// How a file is followed that grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follow {
    /// From then on it gets no more bets.
    pub close_at: Option<Timestamp>,
}
