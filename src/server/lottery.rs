//! Where the lottery stands, and who holds its draw. The acceptor reads a small copy of it that never blocks.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use mio::Waker;
use parking_lot::Mutex;

use crate::domain::AgencyId;
use crate::domain::acta::Acta;
use crate::domain::tree::Levels;
use crate::ledger::{DrawOrder, Winners};
use crate::logging::Event;
use crate::wire::{Drawn, SealShown};

/// The steps of a lottery, in the order in which they are taken. A step back is possible only before the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// Agencies are at work.
    Open,
    /// Betting can be closed, or the draw can be held, or one that was held has to be announced.
    Due,
    /// A worker seals the lottery, or holds the draw.
    Drawing,
    /// The seal is on disk and announced, and the number of the draw comes later.
    Sealed,
    /// The draw is held, announced and told to whoever asks.
    Drawn,
    /// Nobody can tell what the disk holds.
    Failed,
}

const STEPS: [Step; 6] = [Step::Open, Step::Due, Step::Drawing, Step::Sealed, Step::Drawn, Step::Failed];

/// The acta at the close, and the tree over its lines.
pub struct Seal {
    pub acta: Arc<Acta>,
    levels: Levels,
}

impl Seal {
    fn new(acta: Arc<Acta>) -> Seal {
        let levels = Levels::new(acta.lines().map(|line| line.leaf()).collect());
        Seal { acta, levels }
    }

    /// What an agency is shown of it. None if it is not one of the lottery's.
    pub fn shown(&self, AgencyId(agency): AgencyId) -> Option<SealShown> {
        let place = agency.checked_sub(1)? as usize;
        let line = self.acta.agencies.get(place)?;
        Some(SealShown {
            bets: line.bets,
            root: line.root,
            status: line.status,
            agencies: self.acta.agencies.len() as u32,
            total: self.acta.total,
            seal: self.acta.seal,
            time: self.acta.sealed_at,
            path: self.levels.path(place)?,
            signature: self.acta.signed.as_ref().map(|signed| signed.signature.clone()),
        })
    }
}

/// See the module.
pub struct Lottery {
    step: AtomicU8,
    /// Known once it is on disk and the log has told of it.
    seal: OnceLock<Seal>,
    /// The draw that the operator wants, until it is held.
    order: Mutex<Option<DrawOrder>>,
    /// The draw that was held.
    drawn: OnceLock<Drawn>,
    /// Known once the draw is held.
    winners: OnceLock<Winners>,
    /// Those of a draw that could not be stored yet, with its number.
    found: Mutex<Option<(u32, Winners)>>,
    start: Instant,
    /// Milliseconds after `start` at which an agency was last heard of for the first time.
    newest_agency: AtomicU64,
    /// Wakes the acceptor for a new step.
    waker: OnceLock<Waker>,
}

impl Lottery {
    pub fn new() -> Lottery {
        Lottery {
            step: AtomicU8::new(Step::Open as u8),
            seal: OnceLock::new(),
            order: Mutex::default(),
            drawn: OnceLock::new(),
            winners: OnceLock::new(),
            found: Mutex::default(),
            start: Instant::now(),
            newest_agency: AtomicU64::new(0),
            waker: OnceLock::new(),
        }
    }

    pub fn set_waker(&self, waker: Waker) {
        // The acceptor is made once.
        let _ = self.waker.set(waker);
    }

    pub fn step(&self) -> Step {
        STEPS[usize::from(self.step.load(Ordering::SeqCst))]
    }

    pub fn is_drawn(&self) -> bool {
        self.step() == Step::Drawn
    }

    /// Takes a step, if the lottery stands at `from`, and wakes the acceptor for it.
    pub fn advance(&self, from: Step, to: Step) -> bool {
        let taken = self.step.compare_exchange(from as u8, to as u8, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if taken {
            self.wake();
        }
        taken
    }

    /// Leaves `Drawing` for an earlier step, without waking the acceptor.
    pub fn step_back(&self, to: Step) {
        let _ = self.step.compare_exchange(Step::Drawing as u8, to as u8, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Notes that nobody can tell any more what the disk holds.
    pub fn fail(&self) {
        self.step.store(Step::Failed as u8, Ordering::SeqCst);
        self.wake();
    }

    pub fn note_new_agency(&self) {
        self.newest_agency.store(self.start.elapsed().as_millis() as u64, Ordering::SeqCst);
    }

    /// Time since an agency was heard of for the first time.
    pub fn quiet_for(&self) -> Duration {
        let newest = Duration::from_millis(self.newest_agency.load(Ordering::SeqCst));
        self.start.elapsed().saturating_sub(newest)
    }

    pub fn seal(&self) -> Option<&Seal> {
        self.seal.get()
    }

    pub fn keep_seal(&self, acta: Arc<Acta>) {
        self.seal.get_or_init(|| Seal::new(acta));
        // Agencies wait for it.
        self.wake();
    }

    /// Notes the draw that the operator wants. The error is the number of another that is being held.
    pub fn order(&self, order: DrawOrder) -> Result<(), u32> {
        let mut current = self.order.lock();
        match &*current {
            Some(DrawOrder { number, .. }) if *number != order.number => return Err(*number),
            Some(_) => {}
            None => *current = Some(order),
        }
        drop(current);
        self.advance(Step::Sealed, Step::Due);
        Ok(())
    }

    /// Leaves `Drawing`, since the number is missing. If it has come meanwhile, the draw is due.
    pub fn wait_for_number(&self) {
        self.advance(Step::Drawing, Step::Sealed);
        if self.ordered().is_some() {
            self.advance(Step::Sealed, Step::Due);
        }
    }

    pub fn ordered(&self) -> Option<DrawOrder> {
        self.order.lock().clone()
    }

    /// The draw, once it may be told.
    pub fn drawn(&self) -> Option<&Drawn> {
        self.drawn.get().filter(|_| self.is_drawn())
    }

    /// Keeps the draw. False if it was kept before.
    pub fn keep_drawn(&self, drawn: Drawn) -> bool {
        self.drawn.set(drawn).is_ok()
    }

    pub fn winners(&self) -> Option<&Winners> {
        self.winners.get()
    }

    /// Keeps winners until the draw is stored.
    pub fn keep_found(&self, number: u32, winners: Winners) {
        *self.found.lock() = Some((number, winners));
    }

    /// The winners with this number, if they were kept.
    pub fn take_found(&self, number: u32) -> Option<Winners> {
        self.found.lock().take().filter(|(found, _)| *found == number).map(|(_, winners)| winners)
    }

    /// Keeps the winners. They are the same whoever finds them.
    pub fn keep_winners(&self, winners: Winners) -> &Winners {
        self.winners.get_or_init(|| winners)
    }

    /// Wakes the acceptor, so that it looks at the step and the keys.
    pub fn wake(&self) {
        if let Some(Err(error)) = self.waker.get().map(Waker::wake) {
            Event::fail("wake").with("error", error).log();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_comes_while_the_seal_is_being_told_is_drawn() {
        let lottery = Lottery::new();
        lottery.advance(Step::Open, Step::Due);
        lottery.advance(Step::Due, Step::Drawing);
        let order = |number| lottery.order(DrawOrder { number, signed: None });
        assert_eq!((order(7), lottery.step()), (Ok(()), Step::Drawing));
        lottery.wait_for_number();
        assert_eq!(lottery.step(), Step::Due);
        assert_eq!((order(7), order(8)), (Ok(()), Err(7)), "another is being held");
        lottery.advance(Step::Due, Step::Drawing);
        let late = Lottery::new();
        late.advance(Step::Open, Step::Due);
        late.advance(Step::Due, Step::Drawing);
        late.wait_for_number();
        assert_eq!(late.step(), Step::Sealed);
        late.order(DrawOrder { number: 7, signed: None }).unwrap();
        assert_eq!(late.step(), Step::Due);
    }
}
