//! What there is to be shown at one moment, gathered once for an answer.

use std::fs;
use std::sync::Arc;
use std::time::SystemTime;

use super::process::Process;
use super::watch::{Account, Expiry, Look, Watch};
use crate::ledger::Health;
use crate::ledger::files::{BETS, JOURNAL};

/// See the module.
pub struct Scene {
    pub watch: Arc<Watch>,
    pub started: SystemTime,
    pub obstacle: Option<String>,
    /// None before the central takes requests.
    pub look: Option<Look>,
    pub accounts: Vec<Account>,
    pub expiries: Vec<Expiry>,
    /// None if the ledger is in files.
    pub database: Option<Health>,
    pub process: Process,
    pub free_bytes: Option<u64>,
    /// Bytes of the store's two files.
    pub bets_file: Option<u64>,
    pub journal: Option<u64>,
}

impl Scene {
    pub fn of(watch: &Arc<Watch>, started: SystemTime) -> Scene {
        let view = watch.view();
        let length = |file: &str| fs::metadata(watch.store().join(file)).ok().map(|about| about.len());
        Scene {
            watch: Arc::clone(watch),
            started,
            obstacle: watch.obstacle(),
            look: view.as_ref().map(|view| view.look()),
            accounts: view.as_ref().map(|view| view.accounts()).unwrap_or_default(),
            expiries: view.as_ref().map(|view| view.expiries()).unwrap_or_default(),
            database: view.as_ref().and_then(|view| view.database()),
            process: Process::now(),
            free_bytes: watch.free_bytes(),
            bets_file: length(BETS),
            journal: length(JOURNAL),
        }
    }
}
