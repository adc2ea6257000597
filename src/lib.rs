//! quiniela: a national lottery in one binary.
mod agency;
mod audit;
mod backup;
pub mod cli;
pub mod compose;
pub mod config;
mod database;
mod demo;
mod dialog;
pub mod domain;
mod draw;
mod echo_check;
pub mod error;
mod export;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod gen_data;
mod keys;
mod ledger;
pub mod logging;
mod migrate;
mod observe;
mod output;
mod progress;
mod recover;
mod resolve;
mod server;
mod signals;
mod status;
mod transport;
pub mod wire;

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use log::LevelFilter;

use cli::{Cli, Command};
use error::{Error, Kind, Result};

/// The name of the thread in which a panic is not the end of the process.
pub use observe::THREAD as HTTP_THREAD;
use output::{WholeFile, object, print};
use signals::StopSignal;

/// Parses a command line, sets up what its command needs, and runs it.
///
/// The map of the sources: [`cli`] declares the commands; [`config`] resolves the settings of server and agency from
/// flags, environment and files; then one room does the work:
///
/// - `server`: the central. Bytes become frames and requests ([`wire`]), requests become entries in the line of the
///   `ledger`, and its verdicts become replies.
/// - `agency`: the other end of the same connection.
/// - `demo`: runs both, each in its own process, and checks the result.
/// - `draw`: the operator's part in a draw whose number comes later.
/// - `backup`: copies the files of a central that may be running. `recover` repairs those of one that was lost.
/// - `observe`: what a running central shows of itself over HTTP. `status` shows it in a terminal.
/// - `audit`: checks a closed lottery again, with code of its own.
/// - `migrate` and `export`: the tables of a database that several centrals share, and a draw of it as a folder. The room
///   `database` has the connections.
/// - `keys`: the authority whose certificates say who a party is.
/// - `echo_check`, [`compose`], `gen_data` and the small commands below.
///
/// They share [`domain`] (the lottery's rules, without I/O), `transport`, `dialog`, [`logging`], `output`, `progress`, `resolve`, [`error`]
/// and `signals`. Only what tests and documents use is public. The rules that keep the rooms apart: the domain does no
/// I/O, server and agency never import each other, only `config` reads the environment for settings, and only `main`
/// ends the process.
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
                return print_config(&provenance, args.json);
            }
            let ended = server::run(&config, set_up(config.level.value, config.log_format, args.stop_on_eof)?);
            logging::flush();
            ended
        }
        Command::Agency(args) => {
            let (config, provenance) = config::resolve_agency(&args, &environment)?;
            if args.print_config {
                return print_config(&provenance, args.json);
            }
            let ended = agency::run(&config, set_up(config.level.value, config.log_format, args.stop_on_eof)?);
            logging::flush();
            ended
        }
        Command::EchoCheck(args) => echo_check::run(&args),
        Command::Health(args) => {
            echo_check::health(config::resolve_health(&args, &environment)?, args.json, &args.keys)
        }
        Command::GenCompose(args) => compose::run(&args),
        Command::GenData(args) => print(gen_data::run(&args)?.told(&args)?),
        Command::Keys(args) => keys::run(&args),
        Command::Draw(args) => draw::run(&args),
        Command::Status(args) => status::run(&args, listen),
        Command::Demo(args) => demo::run(&args, &listen()?),
        Command::Backup(args) => backup::run(&args, &listen()?),
        Command::Recover(args) => recover::run(&args),
        Command::Audit(args) => audit::audit(&args),
        Command::Ticket(args) => audit::ticket(&args),
        Command::Migrate(args) => migrate::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "quiniela", &mut script);
            print(script)
        }
        Command::Man { dir: Some(dir) } => write_manual(&dir),
        Command::Man { dir: None } => print(manual()?.into_iter().flat_map(|(_, page)| page).collect::<Vec<_>>()),
    }
}

fn print_config(provenance: &config::Provenance, json: bool) -> Result<()> {
    print(if json { object(provenance)? } else { provenance.to_string() })
}

/// Starts what a long-running command needs. Signal handlers come first, so that a stop can interrupt the rest.
fn set_up(level: LevelFilter, form: logging::Form, stop_on_eof: bool) -> Result<StopSignal> {
    let stop = listen()?;
    let parent = if stop_on_eof { signals::stop_on_eof() } else { Ok(()) };
    let started = parent.and_then(|()| logging::start(level, form));
    started.map_err(|error| Error::failed(format!("cannot start a thread: {error}")))?;
    Ok(stop)
}

fn listen() -> Result<StopSignal> {
    StopSignal::listen().map_err(|error| Error::failed(format!("cannot listen to signals: {error}")))
}

/// Handles what clap returns instead of a parsed command line: help or version to print, or an error.
fn refuse_or_help(usage: &clap::Error) -> Result<()> {
    if usage.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return print(usage.render().to_string());
    }
    if !usage.use_stderr() {
        // The reader of the help may have closed the pipe, as `head` does.
        let _ = usage.print();
        return Ok(());
    }
    let message = usage.render().to_string();
    Err(Error::bad_input(message.strip_prefix("error: ").unwrap_or(&message).trim_end()))
}

/// The manual pages, each with its name.
fn manual() -> Result<Vec<(String, Vec<u8>)>> {
    let mut cli = Cli::command().disable_help_subcommand(true);
    cli.build();
    let mut pages = Vec::new();
    add_pages(&cli, "quiniela", &mut pages)?;
    Ok(pages)
}

/// The page of a command, and those of the commands below it.
fn add_pages(command: &clap::Command, name: &str, pages: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    let mut page = Vec::new();
    let shown = command.clone().display_name(name).version(env!("CARGO_PKG_VERSION"));
    clap_mangen::Man::new(shown).render(&mut page).map_err(|error| Error::failed(error.to_string()))?;
    pages.push((name.to_owned(), page));
    let mut below = command.get_subcommands();
    below.try_for_each(|command| add_pages(command, &format!("{name}-{}", command.get_name()), pages))
}

fn write_manual(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).map_err(|error| Error::at_path(Kind::Failed, dir, "make this folder", &error))?;
    for (name, page) in manual()? {
        let mut file = WholeFile::create(&dir.join(format!("{name}.1")))?;
        file.write(&page)?;
        file.finish()?;
    }
    Ok(())
}
