//! What the central and whoever watches it have in common: what is counted, how far the central's life has come, and a view of
//! the central once there is one.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::counts::{Counts, Turned};
use crate::domain::{AgencyId, Hash, LotteryId, Status};
use crate::ledger::{Health, Histogram};

/// See the module.
pub struct Watch {
    /// None if nobody watches: then nothing is counted.
    pub counts: Option<Counts>,
    stage: Mutex<Stage>,
    view: OnceLock<Weak<dyn View>>,
    syncs: OnceLock<Arc<Histogram>>,
    store: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Starting,
    /// So many bytes of so many are checked.
    Recovering(u64, u64),
    Serving,
    Stopping,
}

/// The central as others see it. No call may wait for the disk, or for a peer.
pub trait View: Send + Sync {
    fn look(&self) -> Look;
    /// Every agency that takes part, in order of its id.
    fn accounts(&self) -> Vec<Account>;
    /// Why bets are refused for the disk, if they are.
    fn complaint(&self) -> Option<String>;
    /// How the database fares, if the ledger is in one.
    fn database(&self) -> Option<Health>;
    /// When what the keys' files hold expires.
    fn expiries(&self) -> Vec<Expiry>;
}

/// How far the lottery has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    Open,
    Sealed,
    Drawn,
}

/// The central at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    pub phase: Phase,
    pub lottery: Option<LotteryId>,
    /// The winning number, once it is known.
    pub number: Option<u32>,
    /// The seal and its time, in seconds since 1970.
    pub seal: Option<(Hash, u64)>,
    /// Bets that are stored.
    pub bets: u64,
    /// How many agencies take part, and how many of them are done.
    pub agencies: u32,
    pub done: u32,
    /// Connections that are open.
    pub connections: usize,
    /// Connections that wait for a worker.
    pub queue: usize,
    pub workers: usize,
    pub busy_workers: usize,
    /// Bytes held for all peers.
    pub peer_bytes: usize,
}

/// An agency at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub agency: AgencyId,
    pub bets: u64,
    /// How it has said that it is done, if it has.
    pub done: Option<Status>,
    /// Bets that have won, once the draw is held.
    pub winners: Option<u64>,
    /// The root of its bets, once the lottery is sealed.
    pub root: Option<Hash>,
}

/// When something expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// `own`, `authority` or `revocation_list`.
    pub kind: &'static str,
    /// Its place among those of its kind, from 1 on.
    pub place: usize,
    /// Seconds since 1970.
    pub at: i64,
}

impl Watch {
    /// Of the central whose store is in this folder.
    pub fn new(store: &Path, counts: Option<Counts>) -> Watch {
        let (stage, store) = (Mutex::new(Stage::Starting), store.to_owned());
        Watch { counts, stage, view: OnceLock::new(), syncs: OnceLock::new(), store }
    }

    pub fn recovering(&self, bytes: u64, of: u64) {
        *self.stage.lock() = Stage::Recovering(bytes, of);
    }

    /// The central takes requests. The view ends with the central.
    pub fn serving(&self, view: Weak<dyn View>) {
        // A central is made once.
        let _ = self.view.set(view);
        *self.stage.lock() = Stage::Serving;
    }

    pub fn stopping(&self) {
        *self.stage.lock() = Stage::Stopping;
    }

    /// Counts a connection that was accepted.
    pub fn accept(&self) {
        if let Some(counts) = &self.counts {
            counts.accepted.fetch_add(1, Relaxed);
        }
    }

    /// Counts a connection that is closed for load.
    pub fn turn_away(&self, why: Turned) {
        if let Some(counts) = &self.counts {
            counts.turn_away(why);
        }
    }

    pub fn set_syncs(&self, syncs: Arc<Histogram>) {
        let _ = self.syncs.set(syncs);
    }

    pub fn syncs(&self) -> Option<&Histogram> {
        self.syncs.get().map(|syncs| &**syncs)
    }

    pub fn store(&self) -> &Path {
        &self.store
    }

    pub fn view(&self) -> Option<Arc<dyn View>> {
        self.view.get()?.upgrade()
    }

    /// Why requests cannot be taken now, if they cannot.
    pub fn obstacle(&self) -> Option<String> {
        let stage = *self.stage.lock();
        match stage {
            Stage::Starting => return Some("the central starts".to_owned()),
            Stage::Recovering(bytes, of) => {
                return Some(format!("the central recovers: {bytes} of {of} bytes of bets.csv are checked"));
            }
            Stage::Stopping => return Some("the central stops".to_owned()),
            Stage::Serving => {}
        }
        let Some(view) = self.view() else { return Some("the central stops".to_owned()) };
        view.complaint().or_else(|| match self.free_bytes() {
            Some(0) => Some(format!("{}: the disk is full", self.store.display())),
            _ => None,
        })
    }

    /// Bytes that the store's file system has left for this process.
    pub fn free_bytes(&self) -> Option<u64> {
        let about = rustix::fs::statvfs(&self.store).ok()?;
        Some(about.f_bavail.saturating_mul(about.f_frsize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A central with what it complains of.
    struct Complaining(Option<&'static str>);

    impl View for Complaining {
        fn look(&self) -> Look {
            unreachable!("nobody looks")
        }

        fn accounts(&self) -> Vec<Account> {
            unreachable!("nobody looks")
        }

        fn complaint(&self) -> Option<String> {
            self.0.map(str::to_owned)
        }

        fn database(&self) -> Option<Health> {
            unreachable!("nobody looks")
        }

        fn expiries(&self) -> Vec<Expiry> {
            unreachable!("nobody looks")
        }
    }

    #[test]
    fn each_stage_but_one_is_an_obstacle_that_says_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let watch = Watch::new(folder.path(), None);
        assert_eq!(watch.obstacle().unwrap(), "the central starts");
        watch.recovering(5, 9);
        assert_eq!(watch.obstacle().unwrap(), "the central recovers: 5 of 9 bytes of bets.csv are checked");
        let view: Arc<dyn View> = Arc::new(Complaining(None));
        watch.serving(Arc::downgrade(&view));
        assert_eq!(watch.obstacle(), None);
        watch.stopping();
        assert_eq!(watch.obstacle().unwrap(), "the central stops");
    }

    #[test]
    fn a_disk_that_fails_or_is_full_is_an_obstacle_and_so_is_a_central_that_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let view: Arc<dyn View> = Arc::new(Complaining(Some("bets are refused: the disk failed")));
        let watch = Watch::new(folder.path(), None);
        watch.serving(Arc::downgrade(&view));
        assert_eq!(watch.obstacle().unwrap(), "bets are refused: the disk failed");
        drop(view);
        assert_eq!(watch.obstacle().unwrap(), "the central stops");
        // This file system has no room at all.
        if rustix::fs::statvfs("/proc").is_ok_and(|about| about.f_bavail == 0) {
            let view: Arc<dyn View> = Arc::new(Complaining(None));
            let watch = Watch::new(Path::new("/proc"), None);
            watch.serving(Arc::downgrade(&view));
            assert_eq!(watch.obstacle().unwrap(), "/proc: the disk is full");
        }
    }
}
