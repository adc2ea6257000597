//! What is known of a standby.

use serde::{Deserialize, Serialize};

/// A server that follows the one that takes writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follower {
    pub name: String,
    /// `pg_stat_replication.state` and `sync_state`: `streaming` and `sync` if all is well. None if the role may not see them.
    pub state: Option<String>,
    pub sync_state: Option<String>,
    /// Bytes of the log that it has not applied yet.
    pub behind: Option<u64>,
}
