//! How large the parts of the files may be, and how small a group has to be to ride in the journal.

use super::blocks::{BLOCK, MAX_BLOCKS};

/// A log has at least this many zeroed bytes at first, and is extended by at least as many.
pub const GROWTH: u64 = 64 * 1024;

/// A new snapshot is due at this size of the log, or after this many bytes of rows. This bounds what a start after a crash
/// has to replay.
const MAX_LOG_BYTES: u64 = 4 * 1024 * 1024;
const MAX_ROWS_BEHIND: u64 = 64 * 1024 * 1024;

/// The most bytes of rows that ride in the journal. With more, writing them twice costs more than a sync.
const MAX_RIDING: u64 = 64 * 1024;

/// Bets leave this much of the log's space for records without rows: a lottery can still be closed.
const RESERVE: u64 = 4 * 1024;

/// The log's space is extended once less than this is left, which is more than the next small commit takes.
const AHEAD: u64 = 96 * 1024;

/// The most bytes by which it is extended at once, before a commit needs them.
const STEP: u64 = 1024 * 1024;

pub const LIMITS: Limits = Limits {
    block: BLOCK,
    blocks: MAX_BLOCKS,
    growth: GROWTH,
    step: STEP,
    ahead: AHEAD,
    reserve: RESERVE,
    riding: MAX_RIDING,
    log_bytes: MAX_LOG_BYTES,
    rows_behind: MAX_ROWS_BEHIND,
};

/// Sizes that tests make small, so that they reach every limit.
#[derive(Clone, Copy)]
pub struct Limits {
    pub block: u64,
    pub blocks: usize,
    pub growth: u64,
    pub step: u64,
    pub ahead: u64,
    pub reserve: u64,
    pub riding: u64,
    pub log_bytes: u64,
    pub rows_behind: u64,
}

impl Limits {
    /// The lengths of log and `bets.csv` from which the next snapshot is due, given the lengths now.
    pub fn due(&self, log: u64, rows: u64) -> (u64, u64) {
        (log + self.log_bytes, rows + self.rows_behind)
    }
}
