//! The central's part in the draw: when it is due, and the worker's steps to hold and announce it.

use super::super::lottery::Step;
use super::{Central, Order};
use crate::domain::{Draw, Roster};
use crate::ledger::{Entry, Held, State, StorageError};
use crate::logging::{self, Event};

/// Maximum missing agencies that the log names. It counts the others.
const MISSING_SHOWN: usize = 10;

impl Central {
    /// How many agencies are done, and which are not, if the draw waits for any.
    pub fn missing(&self) -> Option<(u32, String)> {
        let store = &self.ledger.store;
        let state = store.state();
        let agencies = self.gate.agencies(state.highest);
        let missing = agencies.saturating_sub(state.done) as usize;
        if state.draw != Draw::Open || missing == 0 {
            return None;
        }
        let first = store.missing(agencies, MISSING_SHOWN).iter().map(|id| id.0.to_string()).collect::<Vec<_>>();
        let more = if missing > first.len() { format!(" and {} more", missing - first.len()) } else { String::new() };
        Some((state.done, format!("{}{more}", first.join(", "))))
    }

    pub fn log_missing(&self) {
        if let Some((done, missing)) = self.missing() {
            Event::in_progress("wait_for_agencies").with("done", done).with("missing", missing).log();
        }
    }

    /// Whether there is a draw to hold or to announce, and nobody is at it. Whoever is told so has to have
    /// [`Central::hold_draw`] called.
    pub fn claims_draw(&self) -> bool {
        let is_quiet = || self.gate.roster() != Roster::Auto || self.lottery.quiet_for() >= self.quiet_time;
        self.lottery.step() == Step::Due && is_quiet() && self.lottery.advance(Step::Due, Step::Drawing)
    }

    /// Looks whether the draw is due, after a change that may have made it so.
    pub fn look_at_store(&self) {
        let state = self.ledger.store.state();
        if state.broken.is_some() {
            return self.lottery.fail();
        }
        if self.is_due(&state) {
            self.lottery.advance(Step::Open, Step::Due);
        } else {
            self.lottery.advance(Step::Due, Step::Open);
        }
    }

    fn is_due(&self, state: &State) -> bool {
        let agencies = self.gate.agencies(state.highest);
        state.draw != Draw::Open || (agencies > 0 && state.done == agencies)
    }

    /// Holds the draw, or takes up one that was held before and not announced.
    pub fn hold_draw(&self) {
        if let Err(StorageError(reason)) = self.try_draw() {
            Event::fail("sorteo").with("error", reason).log();
            // The acceptor tries again when it looks next.
            self.lottery.step_back(Step::Due);
            self.look_at_store();
        }
    }

    fn try_draw(&self) -> std::result::Result<(), StorageError> {
        let store = &self.ledger.store;
        let agencies = self.gate.agencies(store.state().highest);
        match store.hold_draw(agencies)? {
            Held::ByUs | Held::Before => {}
            Held::NotDue => {
                // An agency was heard of meanwhile.
                self.lottery.step_back(Step::Open);
                self.look_at_store();
                return Ok(());
            }
        }
        let Draw::Held { number, is_announced } = store.state().draw else { return Ok(()) };
        // They are found once, and the line is written once, even if its mark has to be tried again.
        if self.lottery.winners().is_none() {
            let winners = self.lottery.keep_winners(store.winners()?);
            if !is_announced {
                Event::success("sorteo").with("numero", number).with("cant_ganadores", winners.total()).log();
                // The mark says that the log has told of the draw.
                logging::flush();
            }
        }
        if is_announced {
            self.lottery.advance(Step::Drawing, Step::Drawn);
        } else {
            self.ledger.line.put_own(Entry::Announced, Order::Announcement);
        }
        Ok(())
    }
}
