//! The command line: the one source of the help, the completions and the manual pages.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueHint};
use log::LevelFilter;

use crate::config::settings::{agency, server};
use crate::config::{AsWritten, Mode};
use crate::domain::{AgencyId, Roster};

/// A national lottery in one binary.
///
/// A central takes bets from agencies over TCP, keeps them on disk, holds the draw once every agency is done, and tells
/// each agency its own winners. All of it on this machine, in one command:
///
/// Example: quiniela demo
#[derive(Parser, Debug)]
#[command(name = "quiniela", version, arg_required_else_help = false)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    Server(ServerArgs),
    Agency(AgencyArgs),
    EchoCheck(EchoCheckArgs),
    Health(HealthArgs),
    GenCompose(GenComposeArgs),
    GenData(GenDataArgs),
    Demo(DemoArgs),
    Completions(CompletionsArgs),
    /// Prints the manual, a page for each command, one behind the other.
    ///
    /// Example: quiniela man > quiniela.1
    Man,
}

/// Runs the central: takes bets, keeps them on disk, holds the draw, answers with the winners.
///
/// It listens until it is told to stop (SIGTERM or SIGINT). A flag goes before its environment variable, that before
/// the configuration file, that before the default.
///
/// Example: quiniela server --port 12345 --client-amount 5 --store /var/lib/quiniela
#[derive(Args, Debug)]
pub struct ServerArgs {
    /// The configuration file, an ini file with the section DEFAULT; it may be missing
    #[arg(long, value_name = "FILE", default_value = "config.ini", value_hint = ValueHint::FilePath)]
    pub config: PathBuf,

    /// Print every setting and where its value came from, and exit
    #[arg(long)]
    pub print_config: bool,

    /// Stop when standard input ends: how the demo's processes notice its end
    #[arg(long, hide = true)]
    pub stop_on_eof: bool,

    #[arg(
        long = server::PORT.flag, value_name = "PORT", help = server::PORT.help(), value_parser = server::PORT.parser()
    )]
    pub port: Option<AsWritten<u16>>,

    #[arg(
        long = server::BIND.flag,
        value_name = "ADDRESS",
        help = server::BIND.help(),
        value_parser = server::BIND.parser(),
    )]
    pub bind: Option<AsWritten<IpAddr>>,

    #[arg(
        long = server::BACKLOG.flag,
        value_name = "CONNECTIONS",
        help = server::BACKLOG.help(),
        value_parser = server::BACKLOG.parser(),
    )]
    pub backlog: Option<AsWritten<u32>>,

    #[arg(
        long = server::LEVEL.flag,
        value_name = "LEVEL",
        help = server::LEVEL.help(),
        value_parser = server::LEVEL.parser(),
    )]
    pub log_level: Option<AsWritten<LevelFilter>>,

    #[arg(
        long = server::CLIENT_AMOUNT.flag,
        value_name = "AGENCIES",
        help = server::CLIENT_AMOUNT.help(),
        value_parser = server::CLIENT_AMOUNT.parser(),
    )]
    pub client_amount: Option<AsWritten<Roster>>,

    #[arg(
        long = server::STORE.flag,
        value_name = "DIR",
        help = server::STORE.help(),
        value_parser = server::STORE.parser(),
        value_hint = ValueHint::DirPath,
    )]
    pub store: Option<AsWritten<PathBuf>>,

    #[arg(
        long = server::WINNING_NUMBER.flag,
        value_name = "NUMBER",
        help = server::WINNING_NUMBER.help(),
        value_parser = server::WINNING_NUMBER.parser(),
    )]
    pub winning_number: Option<AsWritten<u32>>,

    #[arg(
        long = server::WORKERS.flag,
        value_name = "THREADS",
        help = server::WORKERS.help(),
        value_parser = server::WORKERS.parser(),
    )]
    pub workers: Option<AsWritten<usize>>,

    #[arg(
        long = server::QUEUE.flag,
        value_name = "CONNECTIONS",
        help = server::QUEUE.help(),
        value_parser = server::QUEUE.parser(),
    )]
    pub queue: Option<AsWritten<usize>>,

    #[arg(
        long = server::MAX_CONNECTIONS.flag,
        value_name = "CONNECTIONS",
        help = server::MAX_CONNECTIONS.help(),
        value_parser = server::MAX_CONNECTIONS.parser(),
    )]
    pub max_connections: Option<AsWritten<usize>>,

    #[arg(
        long = server::FRAME_DEADLINE.flag,
        value_name = "DURATION",
        help = server::FRAME_DEADLINE.help(),
        value_parser = server::FRAME_DEADLINE.parser(),
    )]
    pub frame_deadline: Option<AsWritten<Duration>>,

    #[arg(
        long = server::STOP_TIMEOUT.flag,
        value_name = "DURATION",
        help = server::STOP_TIMEOUT.help(),
        value_parser = server::STOP_TIMEOUT.parser(),
    )]
    pub stop_timeout: Option<AsWritten<Duration>>,

    #[arg(
        long = server::QUIET_TIME.flag,
        value_name = "DURATION",
        help = server::QUIET_TIME.help(),
        value_parser = server::QUIET_TIME.parser(),
    )]
    pub quiet_time: Option<AsWritten<Duration>>,
}

/// Runs an agency: sends its bets to the central, waits for the draw, asks for its winners.
///
/// A flag goes before its environment variable, that before the configuration file, that before the default.
///
/// Example: quiniela agency --id 3 --server localhost:12345 --data .data
#[derive(Args, Debug)]
pub struct AgencyArgs {
    /// The configuration file, in YAML; it may be missing
    #[arg(long, value_name = "FILE", default_value = "config.yaml", value_hint = ValueHint::FilePath)]
    pub config: PathBuf,

    /// Print every setting and where its value came from, and exit
    #[arg(long)]
    pub print_config: bool,

    /// Stop when standard input ends: how the demo's processes notice its end
    #[arg(long, hide = true)]
    pub stop_on_eof: bool,

    #[arg(long = agency::ID.flag, value_name = "N", help = agency::ID.help(), value_parser = agency::ID.parser())]
    pub id: Option<AsWritten<AgencyId>>,

    #[arg(
        long = agency::SERVER.flag,
        value_name = "ADDRESS",
        help = agency::SERVER.help(),
        value_parser = agency::SERVER.parser(),
        value_hint = ValueHint::Hostname,
    )]
    pub server: Option<AsWritten<String>>,

    #[arg(
        long = agency::MODE.flag, value_name = "MODE", help = agency::MODE.help(), value_parser = agency::MODE.parser()
    )]
    pub mode: Option<AsWritten<Mode>>,

    #[arg(
        long = agency::DATA.flag,
        value_name = "DIR",
        help = agency::DATA.help(),
        value_parser = agency::DATA.parser(),
        value_hint = ValueHint::DirPath,
    )]
    pub data: Option<AsWritten<PathBuf>>,

    #[arg(
        long = agency::LOOP_AMOUNT.flag,
        value_name = "LINES",
        help = agency::LOOP_AMOUNT.help(),
        value_parser = agency::LOOP_AMOUNT.parser(),
    )]
    pub loop_amount: Option<AsWritten<u32>>,

    #[arg(
        long = agency::LOOP_PERIOD.flag,
        value_name = "DURATION",
        help = agency::LOOP_PERIOD.help(),
        value_parser = agency::LOOP_PERIOD.parser(),
    )]
    pub loop_period: Option<AsWritten<Duration>>,

    #[arg(
        long = agency::LEVEL.flag,
        value_name = "LEVEL",
        help = agency::LEVEL.help(),
        value_parser = agency::LEVEL.parser(),
    )]
    pub log_level: Option<AsWritten<LevelFilter>>,

    #[arg(
        long = agency::BATCH_MAX.flag,
        value_name = "BETS",
        help = agency::BATCH_MAX.help(),
        value_parser = agency::BATCH_MAX.parser(),
    )]
    pub batch_max: Option<AsWritten<u32>>,

    #[arg(
        long = agency::BATCH_PERIOD.flag,
        value_name = "DURATION",
        help = agency::BATCH_PERIOD.help(),
        value_parser = agency::BATCH_PERIOD.parser(),
    )]
    pub batch_period: Option<AsWritten<Duration>>,

    #[arg(
        long = agency::IN_FLIGHT.flag,
        value_name = "BATCHES",
        help = agency::IN_FLIGHT.help(),
        value_parser = agency::IN_FLIGHT.parser(),
    )]
    pub in_flight: Option<AsWritten<usize>>,

    #[arg(
        long = agency::RETRY_FOR.flag,
        value_name = "DURATION",
        help = agency::RETRY_FOR.help(),
        value_parser = agency::RETRY_FOR.parser(),
    )]
    pub retry_for: Option<AsWritten<Duration>>,

    #[arg(
        long = agency::WINNERS.flag,
        value_name = "FILE",
        help = agency::WINNERS.help(),
        value_parser = agency::WINNERS.parser(),
        value_hint = ValueHint::FilePath,
    )]
    pub winners: Option<AsWritten<PathBuf>>,
}

/// Asks an echo server for its echo, and tells whether it came back unchanged.
///
/// Prints `action: test_echo_server | result: success`, or `fail`, and exits with 0, or 1.
///
/// Example: quiniela echo-check server:12345 "hola, ¿qué tal?"
#[derive(Args, Debug)]
pub struct EchoCheckArgs {
    /// The echo server, as host:port
    #[arg(value_hint = ValueHint::Hostname)]
    pub address: String,

    /// The line to send
    #[arg(default_value = "quiniela echo check")]
    pub message: String,

    /// Time that all of it may take, as 3s or 500ms
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = crate::config::parse_limit)]
    pub timeout: Duration,
}

/// Asks the central on this machine for an echo, and exits with 0 if it came: a container's health check.
///
/// The port is found just as the central finds it: flag, environment, configuration file, default.
///
/// Example: quiniela health --port 12345
#[derive(Args, Debug)]
pub struct HealthArgs {
    /// The central's configuration file; it may be missing
    #[arg(long, value_name = "FILE", default_value = "config.ini", value_hint = ValueHint::FilePath)]
    pub config: PathBuf,

    #[arg(
        long = server::PORT.flag, value_name = "PORT", help = server::PORT.help(), value_parser = server::PORT.parser()
    )]
    pub port: Option<AsWritten<u16>>,
}

/// Writes a Docker Compose file with the central and N agencies.
///
/// Example: quiniela gen-compose 5 -o docker-compose-dev.yaml
#[derive(Args, Debug)]
pub struct GenComposeArgs {
    /// Agencies to write; with 0 the central runs alone
    #[arg(value_name = "N")]
    pub clients: u32,

    /// File to write, all of it or nothing; without it, standard output
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,

    /// Exercise that the agencies play: 1 to 4 the echo loop, 5 one bet each, 6 to 8 the lottery
    #[arg(long, value_name = "1..8", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub exercise: u8,

    /// Keep the bets on a named volume, which outlives the central's container
    #[arg(long)]
    pub persist: bool,

    /// Network of the containers
    #[arg(long, value_name = "ADDRESS/BITS", default_value = "172.25.125.0/24")]
    pub subnet: String,
}

/// Writes files of plausible Argentine bets, the same for the same seed, one file an agency.
///
/// Example: quiniela gen-data --agencies 5 --bets 78697 --seed 1 .data
#[derive(Args, Debug)]
pub struct GenDataArgs {
    /// Folder of the files, agency-1.csv and so on; it is made where it is missing
    #[arg(value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,

    /// Files to write; they share the bets unevenly
    #[arg(
        long,
        value_name = "N",
        default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(crate::domain::MAX_AGENCIES)),
    )]
    pub agencies: u32,

    /// Bets to write, in all files together
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub bets: u64,

    /// What chance starts from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// Exactly so many bets are on the winning number; without it chance decides
    #[arg(long, value_name = "N")]
    pub winners: Option<u64>,

    /// Number that --winners counts
    #[arg(long, value_name = "NUMBER", default_value_t = crate::domain::WINNING_NUMBER)]
    pub winning_number: u32,

    /// Replace files that are there already
    #[arg(long)]
    pub force: bool,
}

/// Holds a whole lottery on this machine: a central and its agencies, each its own process, and checks what they did.
///
/// It exits with 0 only if every bet of every file is on disk, once and in order, and everything stopped as it should.
///
/// Example: quiniela demo --agencies 5 --data .data
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Agencies to run, at most 500
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub agencies: u32,

    /// Folder of the agencies' files, agency-1.csv and so on
    #[arg(long, value_name = "DIR", default_value = ".data", value_hint = ValueHint::DirPath)]
    pub data: PathBuf,

    /// Keep the folder with what the central stored, and say where it is
    #[arg(long)]
    pub keep: bool,
}

/// Prints a shell's completions.
///
/// Example: quiniela completions bash > /etc/bash_completion.d/quiniela
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    pub shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does_and_shows_an_example() {
        let mut cli = Cli::command();
        cli.build();
        for command in cli.get_subcommands_mut().filter(|command| command.get_name() != "help") {
            let help = command.render_long_help().to_string();
            let (before, _) = help.split_once("Usage:").expect("help has a usage");
            assert!(before.contains(&format!("Example: quiniela {}", command.get_name())), "{help}");
        }
    }
}
