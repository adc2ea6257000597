//! What the central counts for whoever watches it, without a lock where bets pass.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::domain::{AgencyId, MAX_AGENCIES};
use crate::ledger::{Histogram, TIMES};

/// Counters of agencies that are made at once, when the first of them is needed.
const CHUNK: usize = 256;
/// Pairs of an agency and a reason that are counted apart. Peers can make up agencies, so there has to be an end.
const MAX_REFUSED: usize = 4096;

/// The agency of a refusal that concerns none of the lottery's.
pub const UNKNOWN: &str = "unknown";
/// The agency of refusals beyond [`MAX_REFUSED`].
const OTHERS: &str = "others";

/// Bounds of the bets of a group.
const GROUP: &[u64] = &[1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000];

/// The states of a connection, as the metrics name them.
pub const STATES: [&str; 6] = ["idle", "stalled", "pending", "awaiting_draw", "queued", "served"];

/// Why a connection is turned away for load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Turned {
    /// Too many are open, in all or from one address.
    Connections,
    /// Too many wait for a worker.
    Queue,
    /// Too much memory is held for peers.
    Memory,
}

/// See the module.
pub struct Counts {
    /// From the moment when a batch has come whole to the one when its reply is handed to its connection.
    pub acknowledgements: Histogram,
    /// Bets of a group.
    pub groups: Histogram,
    /// Bets that came again, were acknowledged again and not stored again.
    pub repeated: AtomicU64,
    /// Connections that were accepted.
    pub accepted: AtomicU64,
    /// Connections by state, as the acceptor has last seen them.
    pub states: [AtomicUsize; STATES.len()],
    batches: PerAgency,
    refused: Mutex<BTreeMap<(Option<u32>, &'static str), u64>>,
    turned: [AtomicU64; Turned::ALL.len()],
}

/// A counter for each agency, made in chunks.
struct PerAgency(Vec<OnceLock<Box<[AtomicU64]>>>);

impl Turned {
    pub const ALL: [(Turned, &'static str); 3] =
        [(Turned::Connections, "connections"), (Turned::Queue, "queue"), (Turned::Memory, "memory")];
}

impl Counts {
    pub fn new() -> Counts {
        Counts {
            acknowledgements: Histogram::new(TIMES),
            groups: Histogram::new(GROUP),
            repeated: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            states: Default::default(),
            batches: PerAgency((0..=MAX_AGENCIES as usize / CHUNK).map(|_| OnceLock::new()).collect()),
            refused: Mutex::default(),
            turned: Default::default(),
        }
    }

    pub fn batch(&self, agency: AgencyId) {
        self.batches.add(agency);
    }

    /// Counts a refusal. The agency is none if it is not one of the lottery's.
    pub fn refusal(&self, agency: Option<AgencyId>, reason: &'static str) {
        let mut refused = self.refused.lock();
        let key = (agency.map(|agency| agency.0), reason);
        let is_known = refused.len() < MAX_REFUSED || refused.contains_key(&key);
        // No agency has this number.
        *refused.entry(if is_known { key } else { (Some(0), reason) }).or_default() += 1;
    }

    pub fn turn_away(&self, why: Turned) {
        self.turned[why as usize].fetch_add(1, Relaxed);
    }

    /// The batches of each agency that has sent any.
    pub fn batches(&self) -> Vec<(AgencyId, u64)> {
        let chunks = self.batches.0.iter().enumerate().filter_map(|(place, chunk)| Some((place, chunk.get()?)));
        let each = chunks.flat_map(|(place, chunk)| {
            let first = place * CHUNK;
            chunk.iter().enumerate().map(move |(at, count)| (AgencyId((first + at) as u32), count.load(Relaxed)))
        });
        each.filter(|(_, count)| *count > 0).collect()
    }

    /// Connections that wait for the seal or the draw, as the acceptor has last seen them.
    pub fn awaiting_draw(&self) -> usize {
        STATES
            .iter()
            .zip(&self.states)
            .filter(|(state, _)| **state == "awaiting_draw")
            .map(|(_, count)| count.load(Relaxed))
            .sum()
    }

    /// Refusals, by agency and reason.
    pub fn refused(&self) -> Vec<(String, &'static str, u64)> {
        let name = |agency: Option<u32>| match agency {
            None => UNKNOWN.to_owned(),
            Some(0) => OTHERS.to_owned(),
            Some(agency) => agency.to_string(),
        };
        self.refused.lock().iter().map(|((agency, reason), count)| (name(*agency), *reason, *count)).collect()
    }

    pub fn turned(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Turned::ALL.iter().map(|(why, name)| (*name, self.turned[*why as usize].load(Relaxed)))
    }
}

impl PerAgency {
    fn add(&self, AgencyId(agency): AgencyId) {
        let agency = agency as usize;
        let Some(chunk) = self.0.get(agency / CHUNK) else { return };
        let chunk = chunk.get_or_init(|| (0..CHUNK).map(|_| AtomicU64::new(0)).collect());
        chunk[agency % CHUNK].fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_agency_has_a_counter_up_to_the_last_that_there_can_be() {
        let counts = Counts::new();
        for agency in [1, 255, 256, 65_535, 65_536, u32::MAX, 256] {
            counts.batch(AgencyId(agency));
        }
        let expected = [(1, 1), (255, 1), (256, 2), (65_535, 1)].map(|(agency, count)| (AgencyId(agency), count));
        assert_eq!(counts.batches(), expected);
    }

    #[test]
    fn refusals_are_counted_apart_up_to_a_limit_and_none_is_lost() {
        let counts = Counts::new();
        counts.refusal(None, "other");
        for agency in 1..=5000 {
            counts.refusal(Some(AgencyId(agency)), "gap");
        }
        counts.refusal(Some(AgencyId(7)), "gap");
        let refused = counts.refused();
        assert_eq!(refused.len(), 4097);
        assert!(refused.contains(&("7".to_owned(), "gap", 2)) && refused.contains(&("unknown".to_owned(), "other", 1)));
        assert!(refused.contains(&("others".to_owned(), "gap", 5000 - 4095)));
    }

    #[test]
    fn reasons_stand_in_the_order_of_their_places() {
        assert!(Turned::ALL.iter().enumerate().all(|(place, (why, _))| *why as usize == place));
    }
}
