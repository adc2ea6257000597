//! The last minutes, second by second: the rate of bets, and how fast they are acknowledged. Somebody calls it once a second.

use std::collections::VecDeque;

use super::report::{Acknowledgement, Rate};
use crate::ledger::{Counted, Histogram};

/// Seconds of bets.
const RATE_SECONDS: usize = 300;
/// Seconds of acknowledgements.
const ACKNOWLEDGEMENT_SECONDS: usize = 60;

/// See the module.
#[derive(Default)]
pub struct Recent {
    /// Bets in all at the last call. None before a store was read: what is found there did not come in a second.
    bets: Option<u64>,
    rate: VecDeque<u64>,
    counted: Option<Counted>,
    seconds: VecDeque<Second>,
}

/// The acknowledgements of a second.
struct Second {
    counts: Vec<u64>,
    max: u64,
}

impl Recent {
    /// Takes note of the bets that are stored.
    pub fn note_bets(&mut self, bets: u64) {
        if let Some(before) = self.bets.replace(bets) {
            keep(&mut self.rate, bets.saturating_sub(before), RATE_SECONDS);
        }
    }

    /// Takes note of what the histogram has counted since the last call.
    pub fn note_acknowledgements(&mut self, histogram: &Histogram) {
        let (counted, max) = (histogram.counted(), histogram.take_max());
        let counts = match &self.counted {
            Some(before) => counted.counts.iter().zip(&before.counts).map(|(now, then)| now - then).collect(),
            None => counted.counts.clone(),
        };
        keep(&mut self.seconds, Second { counts, max }, ACKNOWLEDGEMENT_SECONDS);
        self.counted = Some(counted);
    }

    pub fn rate(&self) -> Rate {
        Rate { seconds: self.rate.len(), bets: self.rate.iter().copied().collect() }
    }

    /// None if there was none in the last minute.
    pub fn acknowledgement(&self) -> Option<Acknowledgement> {
        let bounds = self.counted.as_ref()?.bounds;
        let counts: Vec<u64> = (0..=bounds.len())
            .map(|place| self.seconds.iter().filter_map(|second| second.counts.get(place)).sum())
            .collect();
        let count = counts.iter().sum();
        let max = self.seconds.iter().map(|second| second.max).max()?;
        let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
        let part = |part| seconds(quantile(bounds, &counts, part, max));
        (count > 0).then(|| Acknowledgement { count, p50: part(0.5), p99: part(0.99), max: seconds(max) })
    }
}

fn keep<T>(kept: &mut VecDeque<T>, last: T, most: usize) {
    if kept.len() == most {
        kept.pop_front();
    }
    kept.push_back(last);
}

/// The value below which this part of the counted values lies, as if those of each place were spread evenly over it.
fn quantile(bounds: &[u64], counts: &[u64], part: f64, max: u64) -> u64 {
    let wanted = part * counts.iter().sum::<u64>() as f64;
    let mut below = 0.0;
    for (place, count) in counts.iter().map(|count| *count as f64).enumerate() {
        if below + count >= wanted && count > 0.0 {
            let low = if place == 0 { 0 } else { bounds[place - 1] };
            let high = bounds.get(place).copied().unwrap_or(max).min(max).max(low);
            return low + ((high - low) as f64 * (wanted - below) / count) as u64;
        }
        below += count;
    }
    max
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::TIMES;

    #[test]
    fn what_a_store_held_at_the_start_is_no_rate() {
        let mut recent = Recent::default();
        assert_eq!(recent.rate(), Rate::default());
        [1000, 1000, 1250, 1251].into_iter().for_each(|bets| recent.note_bets(bets));
        assert_eq!(recent.rate(), Rate { seconds: 3, bets: vec![0, 250, 1] });
        (0..400).for_each(|second| recent.note_bets(2000 + second));
        let rate = recent.rate();
        assert_eq!((rate.seconds, rate.bets.len(), rate.bets[0]), (300, 300, 1));
    }

    #[test]
    fn acknowledgements_of_the_last_minute_count_and_no_older_ones() {
        let (mut recent, histogram) = (Recent::default(), Histogram::new(TIMES));
        recent.note_acknowledgements(&histogram);
        assert_eq!(recent.acknowledgement(), None);
        (0..99).for_each(|_| histogram.add(400_000));
        histogram.add(4_000_000);
        recent.note_acknowledgements(&histogram);
        let Acknowledgement { count, p50, p99, max } = recent.acknowledgement().unwrap();
        assert_eq!((count, max), (100, 0.004));
        assert!((0.0003..=0.0005).contains(&p50) && (p50..=0.0005).contains(&p99), "{p50} {p99}");
        (0..58).for_each(|_| recent.note_acknowledgements(&histogram));
        assert_eq!(recent.acknowledgement().unwrap().count, 100);
        (0..2).for_each(|_| recent.note_acknowledgements(&histogram));
        assert_eq!(recent.acknowledgement(), None);
    }

    #[test]
    fn a_quantile_is_never_above_the_largest_value() {
        assert_eq!(quantile(&[10, 20], &[0, 1, 0], 0.99, 12), 11);
        assert_eq!(quantile(&[10, 20], &[0, 0, 4], 0.5, 40), 30);
        assert_eq!(quantile(&[10, 20], &[0, 0, 0], 0.5, 0), 0);
    }
}
