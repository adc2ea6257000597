//! What a lottery is kept on, as far as its torture needs to know. A database that two centrals share has a supervisor of its own
//! (`shared.rs`).

use std::fs;

use quiniela::domain::acta::{self, Acta};

use crate::common::process::Process;
use crate::common::{Central, Folder};

/// What a lottery is kept on.
pub trait Ledger {
    /// Starts a central on it, and waits for nothing.
    fn start(&self, words: &str) -> Process;

    /// How many whole bets of an agency are there. No central has to run.
    fn count(&self, agency: u32) -> usize;

    /// Checks that all bets of the files of agencies 1 to N are there, once and in order, and no others.
    fn assert_equals_files(&self, agencies: u32);

    /// The acta, once there is one.
    fn acta(&self) -> Option<Acta>;

    /// The number that was drawn.
    fn acta_number(&self) -> String {
        self.acta().and_then(|acta| acta.draw).expect("a draw that was told of").number.to_string()
    }
}

/// The store of a folder.
impl Ledger for Folder {
    fn start(&self, words: &str) -> Process {
        Process::start(Central::on(self).with(words).command())
    }

    fn count(&self, agency: u32) -> usize {
        let bets = fs::read(self.bets()).unwrap_or_default();
        let start = format!("{agency},");
        let is_its = |row: &&[u8]| row.starts_with(start.as_bytes()) && row.ends_with(b"\r\n");
        bets.split_inclusive(|byte| *byte == b'\n').filter(is_its).count()
    }

    fn assert_equals_files(&self, agencies: u32) {
        self.assert_stored_equals_files(agencies);
    }

    fn acta(&self) -> Option<Acta> {
        let text = fs::read(self.store().join("acta.json")).ok()?;
        Some(acta::read(&text).unwrap_or_else(|error| panic!("acta.json: {error}")))
    }
}
