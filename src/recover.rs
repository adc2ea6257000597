//! `quiniela recover`: a store made whole after a power loss, without a central.

use std::path::PathBuf;

use clap::ValueHint;
use serde::Serialize;

use crate::error::{Error, Kind, Result};
use crate::ledger::files::{JOURNAL, Recovered, recover};
use crate::output::{counted, object, print};

/// Repairs a store after a crash or a power loss as the start of a central does, and closes it.
///
/// Rows that a power loss has taken from bets.csv are restored from the journal, and what was never acknowledged is cut off and kept
/// beside it. Other programs find all bets in bets.csv from then on. A central that starts does the same. The exit code is
/// 5 if the store is damaged, or a central has it open.
///
/// Example: quiniela recover /var/lib/quiniela
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The central's store
    #[arg(value_name = "STORE", value_hint = ValueHint::DirPath)]
    store: PathBuf,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    store: String,
    bets: u64,
    after_crash: bool,
    restored_bytes: u64,
    dropped_bytes: u64,
    dropped_rows: usize,
    dropped_records: usize,
    kept_in: Option<String>,
}

pub fn run(args: &Args) -> Result<()> {
    let store = &args.store;
    let journal = store.join(JOURNAL);
    match journal.try_exists() {
        Ok(true) => {}
        Ok(false) => return Err(Error::bad_path(store, format!("holds no {JOURNAL}: give the central's store"))),
        Err(error) => return Err(Error::at_path(Kind::BadInput, &journal, "look for it", &error)),
    }
    let recovered = recover(store).map_err(|error| Error::storage(error.to_string()))?;
    let Recovered { bets, after_crash, restored_bytes, dropped_bytes, dropped_rows, dropped_records, kept_in, .. } =
        recovered;
    let store = store.display().to_string();
    let report =
        Report { store, bets, after_crash, restored_bytes, dropped_bytes, dropped_rows, dropped_records, kept_in };
    print(if args.json { object(&report)? } else { told(&report) })
}

fn told(report: &Report) -> String {
    let how = if report.after_crash { "was not closed in order, and is whole now" } else { "was closed in order" };
    let kept = report.kept_in.as_ref().map_or(String::new(), |name| format!("kept in   {name}\n"));
    format!(
        "{}: {how}\nbets      {}\nrestored  {}\ndropped   {}\n{kept}",
        report.store,
        report.bets,
        counted(report.restored_bytes, "byte"),
        counted(report.dropped_bytes, "byte"),
    )
}
