//! The ledger: the bets and the lottery's state, on disk. Whatever it acknowledges survives any crash, whole and exactly
//! once. The ledger knows no protocol and no socket.
//!
//! Entries queue in `Line`, and the threads that put them there need not wait. One thread
//! ([`Ledger::write_until_closed`]) takes the entries in line as one group, has a [`Store`] judge and store them, and
//! publishes a verdict for each entry, in the order of the line. So one sync serves a whole group. While that thread has nothing
//! to do, whoever puts a little in line does this itself ([`Ledger::write_or_hurry`]): waking another thread takes longer.

mod commit;
mod entry;
pub mod files;
mod find;
mod histogram;
mod judge;
mod line;
pub mod postgres;
mod spare;
mod trees;
mod winners;

use std::time::{SystemTime, UNIX_EPOCH};

// `tests/schedules` compiles the files that take these from here with locks of its own.
use parking_lot::{Condvar, Mutex};

pub use commit::{Audience, Ledger};
pub use entry::{Declaration, DrawOrder, Entry, Health, Held, IsStopping, Sign, State, StorageError, Store, Verdict};
pub use histogram::{Counted, Histogram, TIMES};
pub use line::Claim;
pub use winners::Winners;

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
