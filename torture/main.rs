//! Torture: the real program killed, stopped, damaged, attacked and failed by its disk at random moments, for as long as one
//! likes. `make torture` runs the long form; `make test` a short one. See docs/DURABILITY.md.
//!
//! `SEED` repeats the choices of a run, `KILLS` is how many kills are wanted, `SECONDS` how long they may take.
#![allow(clippy::unwrap_used, clippy::expect_used)]

// The tests' harness has more than is needed here.
#[allow(dead_code)]
#[path = "../tests/it/common/mod.rs"]
mod common;

#[allow(dead_code)]
#[path = "../tests/postgres/cluster.rs"]
mod cluster;

mod bad_peers;
mod damage;
mod faults;
mod kills;
mod ledger;
mod lottery;
mod orders;
mod peers;
mod sample;
mod shared;
mod stops;
mod verdict;
mod witness;
