//! A histogram that many threads count in at once, without a lock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Bounds of times, in nanoseconds: 100 µs to 30 s.
pub const TIMES: &[u64] = &[
    100_000,
    200_000,
    300_000,
    500_000,
    700_000,
    1_000_000,
    1_500_000,
    2_000_000,
    3_000_000,
    5_000_000,
    7_000_000,
    10_000_000,
    15_000_000,
    20_000_000,
    30_000_000,
    50_000_000,
    70_000_000,
    100_000_000,
    150_000_000,
    200_000_000,
    300_000_000,
    500_000_000,
    700_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
];

/// See the module.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// One for each bound, and one for what is above the last.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
    /// The largest since it was last taken.
    max: AtomicU64,
}

/// What a histogram has counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The largest value that counts for each place. What is above the last has a place of its own.
    pub bounds: &'static [u64],
    pub counts: Vec<u64>,
    pub sum: u64,
}

impl Histogram {
    pub fn new(bounds: &'static [u64]) -> Histogram {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram { bounds, counts, sum: AtomicU64::new(0), max: AtomicU64::new(0) }
    }

    pub fn add(&self, value: u64) {
        let place = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Relaxed);
        }
        self.sum.fetch_add(value, Relaxed);
        self.max.fetch_max(value, Relaxed);
    }

    pub fn add_time(&self, time: Duration) {
        self.add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    pub fn counted(&self) -> Counted {
        let counts = self.counts.iter().map(|count| count.load(Relaxed)).collect();
        Counted { bounds: self.bounds, counts, sum: self.sum.load(Relaxed) }
    }

    /// The largest value since the last call, 0 if there was none.
    pub fn take_max(&self) -> u64 {
        self.max.swap(0, Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_for_the_first_bound_that_is_not_below_it() {
        let histogram = Histogram::new(&[10, 20]);
        [0, 10, 11, 20, 21, 900].into_iter().for_each(|value| histogram.add(value));
        let counted = histogram.counted();
        assert_eq!((counted.counts, counted.sum), (vec![2, 2, 2], 962));
        assert_eq!((histogram.take_max(), histogram.take_max()), (900, 0));
    }

    #[test]
    fn bounds_of_times_rise() {
        assert!(TIMES.is_sorted());
        let histogram = Histogram::new(TIMES);
        histogram.add_time(Duration::from_secs(31));
        assert_eq!(histogram.counted().counts.last(), Some(&1));
    }
}
