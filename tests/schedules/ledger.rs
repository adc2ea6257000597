//! The sources of the ledger that threads meet in.

#[path = "../../src/ledger/commit.rs"]
mod commit;
#[path = "../../src/ledger/entry.rs"]
mod entry;
#[path = "../../src/ledger/line.rs"]
mod line;
#[path = "../../src/ledger/spare.rs"]
mod spare;

mod winners {
    /// Nothing here draws.
    pub struct Winners;
}

use crate::lock::{Condvar, Mutex};

pub use commit::{Audience, Ledger};
pub use entry::{DrawOrder, Entry, Health, Held, IsStopping, Sign, State, StorageError, Store, Verdict};
pub use line::{CLAIM, Claim, Line};
pub use winners::Winners;
