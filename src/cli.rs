//! The list of commands. Help, completions and manual pages are made from it. Each command declares its arguments in
//! its own room.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueHint};
use clap_complete::Shell;

use crate::audit;
use crate::backup;
use crate::compose;
use crate::config::{AgencyArgs, HealthArgs, ServerArgs};
use crate::demo;
use crate::draw;
use crate::echo_check;
use crate::export;
use crate::gen_data;
use crate::keys;
use crate::migrate;
use crate::recover;
use crate::status;

/// What `--version` tells: which sources, and built for what.
const VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (", env!("QUINIELA_COMMIT"), ", ", env!("QUINIELA_TARGET"), ")");

/// A national lottery in one binary.
///
/// A central takes bets from agencies over TCP, keeps them on disk, holds the draw once every agency is done, and tells
/// each agency its own winners. To run a whole lottery on this machine:
///
/// Example: quiniela demo
#[derive(Parser, Debug)]
#[command(name = "quiniela", version = VERSION, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    Server(ServerArgs),
    Agency(AgencyArgs),
    EchoCheck(echo_check::Args),
    Health(HealthArgs),
    GenCompose(compose::Args),
    GenData(gen_data::Args),
    Keys(keys::Args),
    Draw(draw::Args),
    Status(status::Args),
    Demo(demo::Args),
    Backup(backup::Args),
    Recover(recover::Args),
    Audit(audit::AuditArgs),
    Ticket(audit::TicketArgs),
    Migrate(migrate::Args),
    Export(export::Args),
    /// Prints the completion script of a shell.
    ///
    /// Example: quiniela completions bash > /etc/bash_completion.d/quiniela
    Completions {
        shell: Shell,
    },
    /// Prints the manual pages of all commands, one after another, or writes them to a folder.
    ///
    /// Example: quiniela man --dir /usr/local/share/man/man1
    Man {
        /// Folder for the pages quiniela.1, quiniela-server.1 and so on; created if it is missing
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        dir: Option<PathBuf>,
    },
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
