//! Where the lottery stands, and who holds its draw. The acceptor reads a small copy of it that never blocks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use mio::Waker;
use parking_lot::Mutex;

use super::steps::Steps;
use crate::domain::AgencyId;
use crate::domain::acta::Acta;
use crate::domain::tree::Levels;
use crate::ledger::{DrawOrder, Winners};
use crate::logging::Event;
use crate::wire::{Drawn, SealShown};

pub use super::steps::Step;

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
    steps: Steps,
    /// Known once it is on disk and the log has told of it.
    seal: OnceLock<Seal>,
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
            steps: Steps::new(),
            seal: OnceLock::new(),
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
        self.steps.now()
    }

    pub fn is_drawn(&self) -> bool {
        self.step() == Step::Drawn
    }

    /// Takes a step, if the lottery stands at `from`, and wakes the acceptor for it.
    pub fn advance(&self, from: Step, to: Step) -> bool {
        let taken = self.steps.advance(from, to);
        if taken {
            self.wake();
        }
        taken
    }

    /// Leaves `Drawing` for an earlier step, without waking the acceptor.
    pub fn step_back(&self, to: Step) {
        self.steps.advance(Step::Drawing, to);
    }

    /// Notes that nobody can tell any more what the disk holds.
    pub fn fail(&self) {
        self.steps.fail();
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
        if self.steps.order(order)? {
            self.wake();
        }
        Ok(())
    }

    /// Leaves `Drawing`, since the number is missing. If it has come meanwhile, the draw is due.
    pub fn wait_for_number(&self) {
        if self.steps.wait_for_number() {
            self.wake();
        }
    }

    pub fn ordered(&self) -> Option<DrawOrder> {
        self.steps.ordered()
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
