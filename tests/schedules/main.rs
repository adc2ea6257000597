//! Loom runs the real code of the line, of group commit and of the draw's steps, compiled here with loom's locks, in every
//! order in which threads can meet there, up to a number of preemptions. `tests/turns.rs` does it for connections.
#![allow(clippy::unwrap_used, dead_code, unused_imports)]

mod commit;
mod database;
mod draw;
mod ledger;
mod lock;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

// The sources that are compiled here name these rooms.
pub use quiniela::domain;

/// Runs a model with at most so many preemptions, and prints how many schedules there were.
fn explore(name: &str, preemptions: usize, run: impl Fn() + Sync + Send + 'static) {
    let schedules = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&schedules);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        lock::model(&run);
    });
    println!("{name}: {} schedules", schedules.load(Ordering::Relaxed));
}
