//! The steps of the draw: workers that look whether it is due, the ledger's thread that settles their marks, and the operator.

use std::sync::Mutex as PlainMutex;
use std::sync::atomic::Ordering;

use loom::sync::Arc;
use loom::sync::atomic::AtomicU8;
use loom::thread;

use crate::explore;
use crate::ledger::DrawOrder;
use crate::lock::Mutex;

#[path = "../../src/server/steps.rs"]
mod steps;

use steps::{Step, Steps};

/// A lottery whose number comes later, and what its threads have done.
struct Lottery {
    steps: Steps,
    notes: PlainMutex<Notes>,
}

#[derive(Default)]
struct Notes {
    is_drawing: bool,
    drawn: Vec<u32>,
    accepted: Vec<u32>,
}

impl Lottery {
    fn new() -> Arc<Lottery> {
        Arc::new(Lottery { steps: Steps::new(), notes: PlainMutex::default() })
    }

    fn note<T>(&self, act: impl FnOnce(&mut Notes) -> T) -> T {
        act(&mut self.notes.lock().unwrap())
    }

    /// What a worker does that finds the draw due: it seals, or holds the draw if there is a number. As
    /// `server/central/draw.rs` does it, with nothing to store. With `fails` a first attempt fails.
    fn work(&self, mut fails: bool) {
        while self.steps.now() == Step::Due && self.steps.advance(Step::Due, Step::Drawing) {
            self.note(|notes| assert!(!std::mem::replace(&mut notes.is_drawing, true), "two workers hold the draw"));
            thread::yield_now();
            let ordered = self.steps.ordered();
            self.note(|notes| {
                notes.is_drawing = false;
                notes.drawn.extend(ordered.as_ref().filter(|_| !fails).map(|order| order.number));
            });
            if std::mem::take(&mut fails) {
                self.steps.advance(Step::Drawing, Step::Due);
                continue;
            }
            if ordered.is_some() {
                self.steps.advance(Step::Drawing, Step::Drawn);
            } else {
                self.steps.wait_for_number();
            }
        }
    }

    fn order(&self, number: u32) {
        if self.steps.order(DrawOrder { number, signed: None }).is_ok() {
            self.note(|notes| notes.accepted.push(number));
        }
    }

    /// The acceptor looks once more. Then an order must have been drawn, once, and no other.
    fn assert_drawn(&self) {
        self.work(false);
        self.note(|notes| {
            assert_eq!(notes.accepted.len(), 1, "one number is taken: {:?}", notes.accepted);
            assert_eq!(notes.drawn, notes.accepted);
        });
        assert_eq!(self.steps.now(), Step::Drawn);
    }
}

#[test]
fn a_number_is_drawn_whenever_it_comes_and_by_one_worker() {
    for fails in [false, true] {
        explore("an order and two workers", 3, move || {
            let lottery = Lottery::new();
            lottery.steps.advance(Step::Open, Step::Due);
            let spawn = |act: fn(&Lottery, bool)| {
                let lottery = Arc::clone(&lottery);
                thread::spawn(move || act(&lottery, fails))
            };
            let threads = [spawn(|lottery, fails| lottery.work(fails)), spawn(|lottery, _| lottery.order(7))];
            lottery.work(false);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            lottery.assert_drawn();
        });
    }
}

#[test]
fn of_two_operators_numbers_the_first_is_drawn() {
    explore("two orders and a worker", 3, || {
        let lottery = Lottery::new();
        lottery.steps.advance(Step::Open, Step::Due);
        let operators = [7, 8].map(|number| {
            let lottery = Arc::clone(&lottery);
            thread::spawn(move || lottery.order(number))
        });
        lottery.work(false);
        operators.into_iter().for_each(|operator| operator.join().unwrap());
        lottery.assert_drawn();
    });
}

#[test]
fn betting_that_opens_again_and_a_disk_that_fails_are_noticed() {
    explore("a failure", 3, || {
        let lottery = Lottery::new();
        lottery.steps.advance(Step::Open, Step::Due);
        let looker = {
            let lottery = Arc::clone(&lottery);
            // An agency was heard of, and is done; then the disk fails.
            thread::spawn(move || {
                lottery.steps.advance(Step::Due, Step::Open);
                lottery.steps.advance(Step::Open, Step::Due);
                lottery.steps.fail();
            })
        };
        let operator = {
            let lottery = Arc::clone(&lottery);
            thread::spawn(move || lottery.order(7))
        };
        lottery.work(false);
        looker.join().unwrap();
        operator.join().unwrap();
        assert_eq!(lottery.steps.now(), Step::Failed, "nothing leads away from it");
    });
}

#[test]
fn a_number_that_comes_while_the_seal_is_being_told_is_drawn() {
    explore("in one thread", 0, || {
        let early = Steps::new();
        let order = |steps: &Steps, number| steps.order(DrawOrder { number, signed: None });
        assert!(early.advance(Step::Open, Step::Due) && early.advance(Step::Due, Step::Drawing));
        assert_eq!((order(&early, 7), early.now()), (Ok(false), Step::Drawing));
        assert!(early.wait_for_number() && early.now() == Step::Due);
        assert_eq!((order(&early, 7), order(&early, 8)), (Ok(false), Err(7)), "another is being held");
        let late = Steps::new();
        assert!(late.advance(Step::Open, Step::Due) && late.advance(Step::Due, Step::Drawing));
        assert!(late.wait_for_number() && late.now() == Step::Sealed);
        assert_eq!((order(&late, 7), late.now()), (Ok(true), Step::Due));
    });
}
