//! What the central counts for whoever watches it, and what it shows.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::super::lottery::Step;
use super::super::outcome::{Asked, Outcome};
use super::Central;
use crate::domain::{AgencyId, LotteryId, WinningNumber};
use crate::ledger::{Health, State};
use crate::observe::{Account, Counts, Phase};
use crate::wire::Refusal;

/// Counts the outcomes of a group.
pub(super) struct Tally<'a> {
    central: &'a Central,
    counts: &'a Counts,
    now: Instant,
    bets: u64,
}

impl Tally<'_> {
    pub fn note(&mut self, outcome: &Outcome, since: Option<Instant>) {
        let (agency, count, already) = match outcome {
            Outcome::Bet { agency, result: Ok(already), .. } => (agency, 1, already),
            Outcome::Batch { agency, count, result: Ok(already) } => (agency, u64::from(*count), already),
            _ => return self.central.count(outcome),
        };
        self.counts.batch(*agency);
        if *already > 0 {
            self.counts.repeated.fetch_add(*already, Relaxed);
        }
        self.bets += count.saturating_sub(*already);
        if let Some(since) = since {
            self.counts.acknowledgements.add_time(self.now.saturating_duration_since(since));
        }
    }
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        if self.bets > 0 {
            self.counts.groups.add(self.bets);
        }
    }
}

impl Central {
    /// When a request has come, if it has bets and somebody watches.
    pub(super) fn begun(&self, asked: &Asked) -> Option<Instant> {
        let has_bets = matches!(asked, Asked::Bet { .. } | Asked::Batch { .. });
        (self.watch.counts.is_some() && has_bets).then(Instant::now)
    }

    pub(super) fn tally(&self) -> Option<Tally<'_>> {
        self.watch.counts.as_ref().map(|counts| Tally { central: self, counts, now: Instant::now(), bets: 0 })
    }

    /// Counts an outcome that is a refusal.
    pub fn count(&self, outcome: &Outcome) {
        if let Some(refusal) = outcome.refusal() {
            self.count_refusal(outcome.agency(), refusal);
        }
    }

    pub fn count_refusal(&self, agency: Option<AgencyId>, refusal: &Refusal) {
        if let Some(counts) = &self.watch.counts {
            counts.refusal(agency.filter(|agency| self.gate.roster().admits(*agency)), refusal.kind());
        }
    }

    /// Which lottery this is, once that is known to last. Unlike others, this never waits for the disk.
    pub fn lottery_id(&self) -> Option<LotteryId> {
        self.secrets.get().map(|secrets| secrets.lottery)
    }

    pub fn state(&self) -> State {
        self.ledger.store.state()
    }

    /// How many agencies take part.
    pub fn agencies(&self, state: &State) -> u32 {
        self.gate.agencies(state.highest)
    }

    pub fn phase(&self) -> Phase {
        match (self.lottery.is_drawn(), self.lottery.seal()) {
            (true, _) => Phase::Drawn,
            (false, Some(_)) => Phase::Sealed,
            (false, None) => Phase::Open,
        }
    }

    /// The winning number, once it is known.
    pub fn number(&self) -> Option<u32> {
        match self.ledger.store.rules().winning_number {
            WinningNumber::Known(number) => Some(number),
            WinningNumber::Later => self.lottery.drawn().map(|drawn| drawn.number),
        }
    }

    /// Every agency that takes part.
    pub fn accounts(&self) -> Vec<Account> {
        let stored: HashMap<AgencyId, _> = self.ledger.store.accounts().into_iter().collect();
        let winners = self.lottery.winners().filter(|_| self.lottery.is_drawn());
        let lines = self.lottery.seal().map(|seal| &seal.acta.agencies[..]).unwrap_or_default();
        let account = |(place, agency): (usize, u32)| {
            let stored = stored.get(&AgencyId(agency)).copied().unwrap_or_default();
            Account {
                agency: AgencyId(agency),
                bets: stored.stored,
                done: stored.done,
                winners: winners.map(|winners| winners.count(AgencyId(agency))),
                root: lines.get(place).map(|line| line.root),
            }
        };
        (1..=self.agencies(&self.state())).enumerate().map(|(place, agency)| account((place, agency))).collect()
    }

    /// How the database fares, if the ledger is in one.
    pub fn health(&self) -> Option<Health> {
        self.ledger.store.health()
    }

    /// Why bets are refused for the disk or the database, if they are.
    pub fn complaint(&self) -> Option<String> {
        if self.lottery.step() == Step::Failed {
            let broken = self.state().broken.map_or_else(|| "the disk failed".to_owned(), |error| error.0);
            return Some(format!("bets are refused: {broken}"));
        }
        let away = || self.health().and_then(|health| health.away);
        self.disk.complaint().or_else(|| away().map(|reason| format!("the database cannot be used: {reason}")))
    }
}
