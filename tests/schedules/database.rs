//! What the ledger's entries name of the room `database`, of which nothing happens here.

#[path = "../../src/database/follower.rs"]
mod follower;

pub use follower::Follower;
