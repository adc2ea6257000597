//! Black-box tests of a ledger that several centrals share, on real PostgreSQL servers: a primary and its synchronous standby.
//! Where there is no PostgreSQL 15 each test says so and passes; `make test-postgres` insists on one.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cluster;
#[allow(dead_code, unused_imports)]
#[path = "../it/common/mod.rs"]
mod common;
mod failover;
mod hostile;
mod settings;
mod shared;
mod table;
mod watched;
