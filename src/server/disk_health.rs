//! How the disk fares, by what became of the last writes.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::ledger::{StorageError, Verdict};

/// How long the health check fails after a bet was refused for the disk. Agencies try again within 2 s.
const DISK_MEMORY: Duration = Duration::from_secs(10);

/// When and why the disk last refused something, if it has taken nothing since.
#[derive(Default)]
pub struct DiskHealth(Mutex<Option<(Instant, StorageError)>>);

impl DiskHealth {
    /// Takes note of a verdict. True if the disk only goes on to fail, of which the log was told.
    pub fn note(&self, verdict: &Verdict) -> bool {
        match verdict {
            Verdict::Failed(error) => self.note_failure(error),
            Verdict::Stored { .. } | Verdict::Marked => {
                *self.0.lock() = None;
                false
            }
            Verdict::Account { .. }
            | Verdict::Closed
            | Verdict::Gap
            | Verdict::Stale
            | Verdict::Conflict
            | Verdict::Unweighed
            | Verdict::Unbalanced { .. } => false,
        }
    }

    /// The same for a failure of something else than an entry.
    pub fn note_failure(&self, error: &StorageError) -> bool {
        self.0.lock().replace((Instant::now(), error.clone())).and_then(recent).is_some()
    }

    /// Why bets are refused for the disk, if they are.
    pub fn complaint(&self) -> Option<String> {
        self.0.lock().clone().and_then(recent).map(|error| format!("bets are refused: {error}"))
    }
}

fn recent((last, error): (Instant, StorageError)) -> Option<StorageError> {
    (last.elapsed() < DISK_MEMORY).then_some(error)
}
