//! quiniela: a national lottery in one binary.
pub mod agency;
pub mod cli;
pub mod compose;
pub mod config;
pub mod demo;
pub mod domain;
pub mod echo_check;
pub mod error;
pub mod gen_data;
pub mod ledger;
pub mod logging;
pub mod output;
pub mod resolve;
pub mod server;
pub mod signals;
pub mod wire;

use std::ffi::OsString;

use clap::{CommandFactory as _, Parser as _};
use log::LevelFilter;

use cli::{Cli, Command};
use error::{Error, Result};
use output::print;
use signals::StopSignal;

/// Does what a command line asks for: parses it, sets up what the command needs, and hands over.
///
/// This is also the map of the house. A command line comes in by [`cli`]; [`config`] resolves what the server and the
/// agency need to know, from flags, environment and files; then one room takes over:
///
/// - [`server`]: the central. Bytes become frames and requests ([`wire`]), requests become replies, and what they
///   change goes to the ledger on disk.
/// - [`agency`]: the other end of the same wire.
/// - [`demo`]: both of them together, as processes of their own, and the proof that they did right.
/// - [`echo_check`], [`compose`], [`gen_data`] and the small commands below.
///
/// All of them share [`domain`] (the lottery's rules, which know no socket and no file), [`logging`], [`output`],
/// [`error`] and [`signals`]. What is not there is the architecture: the domain does no I/O, server and agency never import each
/// other, no room reads an environment variable for its settings, and nothing but `main` ends the process.
pub fn run<I>(args: I) -> Result<()>
where
    I: IntoIterator<Item = OsString>,
{
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(usage) => return refuse_or_help(&usage),
    };
    let environment = |name: &str| std::env::var_os(name);
    match cli.command {
        Command::Server(args) => {
            let (config, provenance) = config::resolve_server(&args, &environment)?;
            if args.print_config {
                return print(provenance.to_string());
            }
            let (stop, _log) = set_up(config.level.value, args.stop_on_eof)?;
            server::run(&config, stop)
        }
        Command::Agency(args) => {
            let (config, provenance) = config::resolve_agency(&args, &environment)?;
            if args.print_config {
                return print(provenance.to_string());
            }
            let (stop, _log) = set_up(config.level.value, args.stop_on_eof)?;
            agency::run(&config, stop)
        }
        Command::EchoCheck(args) => echo_check::run(&args.address, &args.message, args.timeout),
        Command::Health(args) => echo_check::health(config::resolve_port(&args, &environment)?),
        Command::GenCompose(args) => compose::run(&compose::Options {
            clients: args.clients,
            output: args.output,
            exercise: args.exercise,
            persist: args.persist,
            subnet: args.subnet,
        }),
        Command::GenData(args) => {
            let made = gen_data::run(&gen_data::Options {
                dir: args.dir.clone(),
                agencies: args.agencies,
                bets: args.bets,
                seed: args.seed,
                winners: args.winners,
                winning_number: args.winning_number,
                force: args.force,
            })?;
            let (files, number, dir) = (args.agencies, args.winning_number, args.dir.display());
            print(format!("{dir}: {files} files, {} bets, {} of them on {number}\n", made.bets, made.winners))
        }
        Command::Demo(args) => {
            let options = demo::Options { agencies: args.agencies, data: args.data, keep: args.keep };
            demo::run(&options, &listen()?)
        }
        Command::Completions(args) => {
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut Cli::command(), "quiniela", &mut script);
            print(script)
        }
        Command::Man => print(manual()?),
    }
}

/// Installs the signal handlers before anything else, so that a stop can interrupt everything.
fn set_up(level: LevelFilter, stop_on_eof: bool) -> Result<(StopSignal, logging::Log)> {
    let stop = listen()?;
    let unstarted = |error| Error::failed(format!("cannot start a thread: {error}"));
    if stop_on_eof {
        signals::stop_on_eof().map_err(unstarted)?;
    }
    Ok((stop, logging::start(level).map_err(unstarted)?))
}

fn listen() -> Result<StopSignal> {
    StopSignal::listen().map_err(|error| Error::failed(format!("cannot listen to signals: {error}")))
}

/// What clap says instead of a parsed command line: the help or the version that was asked for, or what is wrong.
fn refuse_or_help(usage: &clap::Error) -> Result<()> {
    if !usage.use_stderr() {
        // The reader of the help may have closed the pipe, as `head` does.
        let _ = usage.print();
        return Ok(());
    }
    let message = usage.render().to_string();
    Err(Error::bad_input(message.strip_prefix("error: ").unwrap_or(&message).trim_end()))
}

fn manual() -> Result<Vec<u8>> {
    let mut cli = Cli::command().disable_help_subcommand(true);
    cli.build();
    let commands = cli.get_subcommands().map(|command| {
        let name = format!("quiniela-{}", command.get_name());
        command.clone().display_name(name).version(env!("CARGO_PKG_VERSION"))
    });
    let mut pages = Vec::new();
    for command in std::iter::once(cli.clone()).chain(commands) {
        clap_mangen::Man::new(command).render(&mut pages).map_err(|error| Error::failed(error.to_string()))?;
    }
    Ok(pages)
}
