//! What a run of torture is asked for: how much, and from which seed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::common::seed;

/// How much is to be done, and what was done of it. Several threads may take rounds of it.
pub struct Orders {
    name: &'static str,
    seed: u64,
    begun: Instant,
    deadline: Instant,
    /// Rounds that were begun.
    rounds: AtomicU64,
    has_failed: AtomicBool,
    pub is_long: bool,
}

/// One round of a run, whose choices follow from its seed. If it fails, it says so.
pub struct Round<'a> {
    orders: &'a Orders,
    pub seed: u64,
}

/// A whole number from the environment.
fn ordered(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}: a whole number is expected")))
}

/// How many kills are wanted, if anybody has said so.
pub fn kills() -> Option<u64> {
    ordered("KILLS")
}

impl Orders {
    /// For `short`, or in the long form for this part of `SECONDS`, which are 600 if only `KILLS` is given.
    pub fn new(name: &'static str, short: Duration, part: u32) -> Orders {
        let is_long = kills().is_some() || ordered("SECONDS").is_some();
        let long = Duration::from_secs(ordered("SECONDS").unwrap_or(600)) / part;
        let begun = Instant::now();
        let deadline = begun + if is_long { long } else { short };
        let (rounds, has_failed) = (AtomicU64::new(0), AtomicBool::new(false));
        Orders { name, seed: seed(), begun, deadline, rounds, has_failed, is_long }
    }

    /// The next round, while there is time and none has failed. At least one is done.
    pub fn next(&self) -> Option<Round<'_>> {
        let round = self.rounds.fetch_add(1, Ordering::SeqCst);
        let is_over = Instant::now() > self.deadline || self.has_failed.load(Ordering::SeqCst);
        (round == 0 || !is_over).then(|| Round { orders: self, seed: self.seed.wrapping_add(round) })
    }

    /// What every table says at its end.
    pub fn closing(&self) -> String {
        format!("{:.0} s, SEED={}", self.begun.elapsed().as_secs_f64(), self.seed)
    }
}

impl Drop for Round<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.orders.has_failed.store(true, Ordering::SeqCst);
            println!("{} has failed: SEED={} makes the choices of this round again", self.orders.name, self.seed);
        }
    }
}
