//! The central's part in the draw: when it is due, and the worker's steps to hold and announce it.

use std::sync::atomic::Ordering;

use log::Level;

use super::super::lottery::{Seal, Step};
use super::{Central, Order};
use crate::domain::{AgencyId, Draw, Roster, SealStep, WinningNumber};
use crate::ledger::{DrawOrder, Entry, Held, State, StorageError};
use crate::logging::{self, Event, EventResult};
use crate::transport::Signer;
use crate::wire::{Drawn, Refusal, SealShown};

/// Maximum missing agencies that the log names. It counts the others.
const MISSING_SHOWN: usize = 10;

impl Central {
    /// How many agencies are done, and which are not, if the draw waits for any.
    pub fn missing(&self) -> Option<(u32, String)> {
        let store = &self.ledger.store;
        let state = store.state();
        let agencies = self.gate.agencies(state.highest);
        let missing = agencies.saturating_sub(state.done) as usize;
        if state.seal != SealStep::Open || state.draw != Draw::Open || missing == 0 {
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
            if state.draw != Draw::Open {
                // Another central had the number.
                self.lottery.advance(Step::Sealed, Step::Due);
            }
        } else {
            self.lottery.advance(Step::Due, Step::Open);
        }
    }

    fn is_due(&self, state: &State) -> bool {
        let agencies = self.gate.agencies(state.highest);
        state.seal != SealStep::Open || state.draw != Draw::Open || (agencies > 0 && state.done == agencies)
    }

    /// Holds the draw, or takes up one that was held before and not announced.
    pub fn hold_draw(&self) {
        if let Err(error) = self.try_draw() {
            // It is tried twice a second, and told of once until the store takes something again.
            if !self.disk.note_failure(&error) {
                Event::fail("sorteo").with("error", error).log();
            }
            // The acceptor tries again when it looks next.
            self.lottery.step_back(Step::Due);
            self.look_at_store();
        }
    }

    fn try_draw(&self) -> std::result::Result<(), StorageError> {
        let store = &self.ledger.store;
        let state = store.state();
        if !self.seal(&state)? {
            // An agency was heard of meanwhile.
            self.lottery.step_back(Step::Open);
            self.look_at_store();
            return Ok(());
        }
        let ordered = self.lottery.ordered();
        let number = match (state.draw, store.rules().winning_number, &ordered) {
            (Draw::Held { number, .. }, ..) | (_, WinningNumber::Known(number), _) => number,
            (_, WinningNumber::Later, Some(order)) => order.number,
            (_, WinningNumber::Later, None) if state.seal == SealStep::Announced => {
                self.lottery.wait_for_number();
                return Ok(());
            }
            (_, WinningNumber::Later, None) => {
                self.ledger.line.put_own(Entry::SealAnnounced, Order::SealAnnouncement);
                return Ok(());
            }
        };
        let Some(Draw::Held { number, is_announced }) = self.record_draw(number, ordered)? else { return Ok(()) };
        let Some(winners) = self.lottery.winners() else { return Ok(()) };
        let signed = store.acta().and_then(|acta| acta.draw.as_ref()?.signed.clone());
        // The line is written once, even if its mark has to be tried again.
        let is_first = self.lottery.keep_drawn(Drawn { number, signature: signed.map(|signed| signed.signature) });
        let event = |level| {
            let event = Event::new(level, "sorteo", EventResult::Success);
            event.with("numero", number).with("cant_ganadores", winners.total())
        };
        if is_first && is_announced && store.is_shared() {
            // Another central has told of it.
            event(Level::Debug).log();
        }
        if is_first && !is_announced {
            event(Level::Info).log();
            // The mark says that the log has told of the draw.
            logging::flush();
        }
        if is_announced {
            self.lottery.advance(Step::Drawing, Step::Drawn);
        } else {
            self.ledger.line.put_own(Entry::Announced, Order::Announcement);
        }
        Ok(())
    }

    /// Finds the winners, once, even if the draw has to be tried again; and stores the draw, unless it was held before. Winners
    /// of a number that another central was faster than are not kept.
    fn record_draw(&self, number: u32, ordered: Option<DrawOrder>) -> std::result::Result<Option<Draw>, StorageError> {
        let store = &self.ledger.store;
        let found = match self.lottery.take_found(number) {
            Some(found) => found,
            None => store.winners(number)?,
        };
        let held = store.hold_draw(&DrawOrder { number, signed: ordered.and_then(|order| order.signed) }, &found);
        let draw = store.state().draw;
        match (held, draw) {
            (Err(error), _) => {
                self.lottery.keep_found(number, found);
                return Err(error);
            }
            (Ok(_), Draw::Held { number: held, .. }) if held != number => {
                self.lottery.keep_winners(store.winners(held)?);
            }
            (Ok(_), Draw::Held { .. }) => _ = self.lottery.keep_winners(found),
            (Ok(_), Draw::Open) => return Ok(None),
        }
        Ok(Some(draw))
    }

    /// What an agency is shown of the seal. It is signed by the key whose certificate the agency's connection has seen: those
    /// of the acta and of today may be others.
    pub(super) fn show(
        &self,
        seal: &Seal,
        agency: AgencyId,
        signer: Option<&Signer>,
    ) -> std::result::Result<SealShown, Refusal> {
        let shown = seal.shown(agency);
        let shown = shown.ok_or_else(|| Refusal::Other(format!("agency {agency} is not one of the sealed lottery")))?;
        let Some(signer) = signer else { return Ok(shown) };
        let mut signatures = self.seal_signatures.lock();
        let signature = match signatures.iter().find(|(by, _)| by.is(signer)) {
            Some((_, signature)) => signature.clone(),
            None => {
                let signed = signer.sign(&seal.acta.sealed().statement()).map_err(Refusal::Other)?;
                signatures.push((signer.clone(), signed.signature.clone()));
                signed.signature
            }
        };
        Ok(SealShown { signature: Some(signature), ..shown })
    }

    /// Seals the lottery, or takes up a seal that is on disk. False if an agency is not done.
    fn seal(&self, state: &State) -> std::result::Result<bool, StorageError> {
        if self.lottery.seal().is_some() {
            return Ok(true);
        }
        let store = &self.ledger.store;
        let sign = |statement: &str| match &self.keys {
            None => Ok(None),
            Some(keys) => keys.sign(statement).map(Some).map_err(StorageError),
        };
        let is_stopping = || self.is_stopping.load(Ordering::SeqCst);
        let held = store.seal(self.gate.agencies(state.highest), &sign, &is_stopping)?;
        let Some(acta) = store.acta().filter(|_| held != Held::NotDue) else { return Ok(false) };
        if held == Held::ByUs || (state.seal == SealStep::Sealed && state.draw == Draw::Open) {
            Event::success("cierre").with("bets", acta.total).with("sello", acta.seal).log();
            // Agencies may only hear of it once the log has.
            logging::flush();
        }
        self.lottery.keep_seal(acta);
        Ok(true)
    }
}
