//! What the ledger's entries name of the room `database`, of which nothing happens here.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follower {
    pub name: String,
    pub state: Option<String>,
    pub sync_state: Option<String>,
    pub behind: Option<u64>,
}
