//! Loom runs the real code of `src/server/turn.rs`, compiled here with loom's lock, in every order in which the poll,
//! the workers, the ledger's writer, a stop and a close can act on a connection. The queue is a model.
#![allow(clippy::unwrap_used, dead_code)]

use std::sync::Mutex as PlainMutex;
use std::sync::atomic::{AtomicUsize as PlainCounter, Ordering};

use loom::sync::{Arc, Mutex as LoomMutex};
use loom::thread;

/// The lock that `src/server/turn.rs` imports as `super::Mutex`.
#[derive(Default)]
pub struct Mutex<T>(LoomMutex<T>);

impl<T> Mutex<T> {
    pub fn new(value: T) -> Mutex<T> {
        Mutex(LoomMutex::new(value))
    }

    pub fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().unwrap()
    }
}

#[path = "../src/server/turn.rs"]
mod turn;

use turn::{News, Note, Tell, Turn};

/// A connection with its queue, and what a session would see. Threads can interleave only at the turn's lock and at the
/// queue; the rest is bookkeeping.
struct Model {
    turn: Turn,
    /// How often the connection is in the queue.
    queue: LoomMutex<usize>,
    notes: PlainMutex<Notes>,
}

#[derive(Default)]
struct Notes {
    is_served: bool,
    /// How many news have come, and how many of them a worker has seen.
    news: usize,
    seen: usize,
    is_closed: bool,
}

impl Model {
    fn new() -> Arc<Model> {
        Arc::new(Model { turn: Turn::parked(), queue: LoomMutex::new(0), notes: PlainMutex::default() })
    }

    fn note<T>(&self, act: impl FnOnce(&mut Notes) -> T) -> T {
        act(&mut self.notes.lock().unwrap())
    }

    fn push(&self) {
        *self.queue.lock().unwrap() += 1;
    }

    fn pop(&self) -> bool {
        let mut queue = self.queue.lock().unwrap();
        assert!(*queue <= 1, "it is in the queue twice");
        let has_job = *queue > 0;
        *queue = 0;
        has_job
    }

    /// The acceptor, the writer or a stop brings news.
    fn tell(&self, news: News) {
        self.note(|notes| notes.news += 1);
        if let Tell::Queue { .. } = self.turn.tell(news) {
            self.push();
        }
    }

    /// A worker takes the connection from the queue, if it is there. With `again` it puts it back once, with `close` it
    /// closes it.
    fn work(&self, again: bool, close: bool) {
        if !self.pop() {
            return;
        }
        while self.turn.begin() {
            self.note(|notes| {
                assert!(!notes.is_served, "two workers serve one connection");
                notes.is_served = true;
                notes.seen = notes.news;
            });
            // Anything may happen during a pass.
            thread::yield_now();
            self.note(|notes| (notes.is_served, notes.is_closed) = (false, close));
            if close {
                return self.turn.close();
            }
            if again {
                self.turn.requeue();
                return self.push();
            }
            if self.turn.park(Note::default()) {
                return;
            }
        }
    }

    /// Serves what is still in the queue. After that no news may be unseen.
    fn assert_nothing_is_lost(&self) {
        while *self.queue.lock().unwrap() > 0 {
            self.work(false, false);
        }
        self.note(|notes| assert!(notes.is_closed || notes.seen == notes.news, "{} of {}", notes.seen, notes.news));
        assert_eq!(self.turn.standing().is_none(), self.note(|notes| notes.is_closed));
    }
}

/// Runs a model, and prints how many schedules there were.
fn explore(name: &str, run: impl Fn() + Sync + Send + 'static) {
    let schedules = std::sync::Arc::new(PlainCounter::new(0));
    let counted = std::sync::Arc::clone(&schedules);
    let mut builder = loom::model::Builder::new();
    // At most three preemptions: bugs of this kind need fewer, and without a bound the test takes minutes.
    builder.preemption_bound = Some(3);
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        run();
    });
    println!("{name}: {} schedules", schedules.load(Ordering::Relaxed));
}

/// Two threads that bring news, and two workers.
fn meet(name: &str, news: [News; 2], again: bool, close: bool) {
    explore(name, move || {
        let model = Model::new();
        model.tell(News::Readable);
        let bearers = news.map(|news| {
            let model = Arc::clone(&model);
            thread::spawn(move || model.tell(news))
        });
        let worker = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.work(again, close))
        };
        model.work(false, false);
        bearers.into_iter().for_each(|bearer| bearer.join().unwrap());
        worker.join().unwrap();
        model.assert_nothing_is_lost();
    });
}

#[test]
fn bytes_and_verdicts_come_while_it_is_served_and_parked() {
    meet("poll and writer", [News::Readable, News::Ledger], false, false);
}

#[test]
fn verdicts_come_while_it_is_put_back_into_the_queue() {
    meet("requeue", [News::Ledger, News::Readable], true, false);
}

#[test]
fn news_come_while_it_is_closed() {
    meet("close", [News::Readable, News::Ledger], false, true);
}

#[test]
fn a_stop_comes_while_verdicts_come() {
    meet("stop", [News::Ledger, News::Stop], true, true);
}

#[test]
fn a_parked_connection_hears_only_what_it_waits_for() {
    loom::model(|| {
        let now = std::time::Instant::now();
        let turn = Turn::parked();
        for idle in [News::Writable, News::Draw, News::Time(now)] {
            assert_eq!(turn.tell(idle), Tell::Nothing);
        }
        assert_eq!(turn.tell(News::Readable), Tell::Queue { owes: false });
        assert!(turn.begin());
        let waits = Note { deadline: Some(now), has_unsent: true, waits_for_draw: true, owes: true };
        assert!(turn.park(waits));
        for (news, note) in [
            (News::Writable, waits),
            (News::Draw, waits),
            (News::Time(now), waits),
            (News::Ledger, Note::default()),
            (News::Stop, Note::default()),
        ] {
            assert_eq!(turn.tell(news), Tell::Queue { owes: note.owes || waits.owes });
            assert!(turn.begin() && turn.park(waits));
        }
    });
}
