//! The store for several centrals: a PostgreSQL that they share, with a synchronous standby. The files are the first
//! implementation of the same promises.
//!
//! Nothing that was read is told before it is replicated: whatever a verdict says was read under the lock of its row, in a
//! transaction that has committed. A commit that waits for its standby hides and locks what it has written, but once its wait
//! is ended that is visible, unlocked, and on one machine alone.

mod close;
mod group;
mod open;
mod view;
mod watch;
mod winners;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use super::entry::{Health, News};
use super::winners::Winners;
use super::{DrawOrder, Entry, Held, IsStopping, Sign, State, StorageError, Store, Verdict};
use crate::database::{Failure, Hosts};
use crate::domain::acta::{Acta, StoreSecrets};
use crate::domain::{Account, AgencyId, Hash, Rules};
use group::Writer;
use view::View;
use watch::Watch;

pub use open::{Opened, Terms};

/// See the module.
pub struct Postgres {
    shared: Arc<Shared>,
    writer: Mutex<Writer>,
    watch: Watch,
}

/// What its threads share.
struct Shared {
    hosts: Hosts,
    /// The draw's key.
    draw: i32,
    /// The name of this process among all that store into the draw.
    central: String,
    rules: Rules,
    secrets: StoreSecrets,
    view: RwLock<View>,
    /// Roots that were computed, each with the number of bets that it is over.
    roots: Mutex<BTreeMap<AgencyId, (u64, Hash)>>,
    health: Mutex<Health>,
    is_stopping: AtomicBool,
}

impl Shared {
    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }
}

fn failed(failure: &Failure) -> StorageError {
    StorageError(format!("database: {failure}"))
}

impl Store for Postgres {
    fn commit(&self, group: &[Entry]) -> Vec<Verdict> {
        self.writer.lock().commit(&self.shared, group)
    }

    fn secrets(&self) -> Option<StoreSecrets> {
        Some(self.shared.secrets.clone())
    }

    fn weigh(&self, agencies: &[AgencyId], is_stopping: IsStopping<'_>) -> Result<(), StorageError> {
        self.shared.weigh(agencies, is_stopping).map_err(|failure| failed(&failure))
    }

    fn seal(&self, agencies: u32, sign: Sign<'_>, is_stopping: IsStopping<'_>) -> Result<Held, StorageError> {
        self.shared.close_betting(agencies, sign, is_stopping)
    }

    fn acta(&self) -> Option<Arc<Acta>> {
        self.shared.view.read().acta.clone()
    }

    fn hold_draw(&self, order: &DrawOrder, winners: &Winners) -> Result<Held, StorageError> {
        self.shared.record_draw(order, winners)
    }

    fn maintain(&self) -> Result<(), StorageError> {
        Ok(())
    }

    fn state(&self) -> State {
        self.shared.view.read().state()
    }

    fn accounts(&self) -> Vec<(AgencyId, Account)> {
        self.shared.view.read().accounts.clone()
    }

    fn missing(&self, agencies: u32, most: usize) -> Vec<AgencyId> {
        let view = self.shared.view.read();
        (1..=agencies).map(AgencyId).filter(|agency| !view.done.contains(agency)).take(most).collect()
    }

    fn rules(&self) -> Rules {
        self.shared.rules
    }

    fn winners(&self, number: u32) -> Result<Winners, StorageError> {
        self.shared.winners(number).map_err(|failure| failed(&failure))
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn watch(&self, news: News) {
        self.watch.begin(&self.shared, news);
    }

    fn begin_stop(&self, limit: Duration) {
        self.shared.is_stopping.store(true, Ordering::SeqCst);
        self.shared.hosts.hurry(limit);
    }

    fn health(&self) -> Option<Health> {
        Some(self.shared.health.lock().clone())
    }

    fn close(&self) -> Result<(), StorageError> {
        // There is nothing to close: what was acknowledged is stored, and the database ends a session that is gone.
        self.watch.end();
        Ok(())
    }
}
