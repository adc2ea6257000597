//! The steps of a lottery, and the number that its operator brings. Acceptor, workers, the ledger's thread and a session of the
//! operator meet here.
//!
//! `tests/schedules` tries every order in which they can, so lock and atomic are whatever the module above calls so.

use super::{AtomicU8, Mutex, Ordering};
use crate::ledger::DrawOrder;

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

/// See the module.
pub struct Steps {
    step: AtomicU8,
    /// The draw that the operator wants, until it is held.
    order: Mutex<Option<DrawOrder>>,
}

impl Steps {
    pub fn new() -> Steps {
        Steps { step: AtomicU8::new(Step::Open as u8), order: Mutex::new(None) }
    }

    pub fn now(&self) -> Step {
        STEPS[usize::from(self.step.load(Ordering::SeqCst))]
    }

    /// Takes a step, if the lottery stands at `from`.
    pub fn advance(&self, from: Step, to: Step) -> bool {
        self.step.compare_exchange(from as u8, to as u8, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Takes the step that nothing leads away from.
    pub fn fail(&self) {
        // A swap stands in one order with the steps that others take at that moment.
        self.step.swap(Step::Failed as u8, Ordering::SeqCst);
    }

    /// Notes the draw that the operator wants. True if it is due by that. The error is the number of another that is being held.
    pub fn order(&self, order: DrawOrder) -> Result<bool, u32> {
        let mut current = self.order.lock();
        match &*current {
            Some(DrawOrder { number, .. }) if *number != order.number => return Err(*number),
            Some(_) => {}
            None => *current = Some(order),
        }
        drop(current);
        Ok(self.advance(Step::Sealed, Step::Due))
    }

    pub fn ordered(&self) -> Option<DrawOrder> {
        self.order.lock().clone()
    }

    /// Leaves `Drawing`, since the number is missing. If it has come meanwhile, the draw is due. True if a step was taken.
    pub fn wait_for_number(&self) -> bool {
        let is_waiting = self.advance(Step::Drawing, Step::Sealed);
        // An order that came before that has found no seal to be drawn over.
        let is_due = self.ordered().is_some() && self.advance(Step::Sealed, Step::Due);
        is_waiting || is_due
    }
}
