//! The central as those see it who watch it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::central::Central;
use super::connection::Queue;
use super::open::Open;
use super::turn::Standing;
use crate::ledger::Health;
use crate::observe::{Account, Counts, Expiry, Look, STATES, View};
use crate::transport::Expiring;

/// See the module.
pub struct Sight {
    pub central: Arc<Central>,
    pub open: Arc<Open>,
    pub queue: Queue,
    /// Of each worker, whether it has a job.
    pub busy: Vec<Arc<AtomicBool>>,
}

impl View for Sight {
    fn look(&self) -> Look {
        let Sight { central, open, queue, busy } = self;
        let state = central.state();
        Look {
            phase: central.phase(),
            lottery: central.lottery_id(),
            number: central.number(),
            seal: central.lottery.seal().map(|seal| (seal.acta.seal, seal.acta.sealed_at)),
            bets: state.bets,
            agencies: central.agencies(&state),
            done: state.done,
            connections: open.count(),
            queue: queue.len(),
            workers: busy.len(),
            busy_workers: busy.iter().filter(|is_busy| is_busy.load(Relaxed)).count(),
            peer_bytes: open.held(),
        }
    }

    fn accounts(&self) -> Vec<Account> {
        self.central.accounts()
    }

    fn complaint(&self) -> Option<String> {
        self.central.complaint()
    }

    fn database(&self) -> Option<Health> {
        self.central.health()
    }

    fn expiries(&self) -> Vec<Expiry> {
        let found = self.central.keys.as_ref().map(|keys| keys.expiries()).unwrap_or_default();
        let mut places = [0; 3];
        let expiries = found.into_iter().map(|expiry| {
            let (kind, at) = match expiry.what {
                Expiring::Own => ("own", 0),
                Expiring::Authority => ("authority", 1),
                Expiring::RevocationList => ("revocation_list", 2),
            };
            places[at] += 1;
            Expiry { kind, place: places[at], at: expiry.at }
        });
        expiries.collect()
    }
}

/// Notes what so many connections are at.
pub fn note(counts: &Counts, standings: impl Iterator<Item = Standing>) {
    let mut states = [0; STATES.len()];
    standings.for_each(|standing| states[place(standing)] += 1);
    counts.states.iter().zip(states).for_each(|(state, count)| state.store(count, Relaxed));
}

/// Where the state stands in [`STATES`].
fn place(standing: Standing) -> usize {
    match standing {
        Standing::Idle => 0,
        Standing::Stalled => 1,
        Standing::Pending => 2,
        Standing::AwaitingDraw => 3,
        Standing::Queued => 4,
        Standing::Served => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_is_counted_under_its_own_name() {
        let counts = Counts::new();
        let standings = [Standing::Idle, Standing::AwaitingDraw, Standing::AwaitingDraw, Standing::Stalled];
        note(&counts, standings.into_iter().chain([Standing::Pending, Standing::Served, Standing::Queued]));
        let named: Vec<_> =
            STATES.iter().zip(&counts.states).map(|(name, count)| (*name, count.load(Relaxed))).collect();
        let expected =
            [("idle", 1), ("stalled", 1), ("pending", 1), ("awaiting_draw", 2), ("queued", 1), ("served", 1)];
        assert_eq!((named, counts.awaiting_draw()), (expected.to_vec(), 2));
    }
}
