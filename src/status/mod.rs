//! `quiniela status`: a running central's state in a terminal, once or again each second.

mod fetch;
mod table;
mod watch;

use std::io::IsTerminal as _;

use crate::error::Result;
use crate::output::print;
use crate::signals::StopSignal;
use fetch::{Place, fetch};

/// Shows how a running central fares: its phase, its seal, each agency's bets, and how fast they are acknowledged.
///
/// The central has to be started with --http. What --json prints is what the central serves as /status.json, and
/// docs/OBSERVE.md describes it. A central that is not ready yet is shown with the reason, and that is no failure.
///
/// Example: quiniela status --watch
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Where the central serves HTTP
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7574", value_parser = Place::parse)]
    pub server: Place,

    /// Show it again each second, in place on a terminal, until Ctrl-C
    #[arg(long)]
    pub watch: bool,

    /// Print the object alone, as JSON in one line
    #[arg(long)]
    pub json: bool,
}

/// `listen` gives the signals that end a watch.
pub fn run(args: &Args, listen: impl FnOnce() -> Result<StopSignal>) -> Result<()> {
    if args.watch {
        let is_in_place = std::io::stdout().is_terminal() && !args.json;
        return watch::run(&args.server, listen()?, args.json, is_in_place);
    }
    let answer = fetch(&args.server)?;
    print(if args.json { answer.json } else { table::show(&args.server.to_string(), &answer.report) })
}
