//! Locks that are loom's within a model, and plain ones outside: the sources that are compiled here bring their unit tests along.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};

use loom::sync as tried;

thread_local! {
    // Loom runs all threads of a model on one.
    static IS_MODEL: Cell<bool> = const { Cell::new(false) };
}

/// Runs a model.
pub fn model(run: impl Fn()) {
    IS_MODEL.set(true);
    run();
    IS_MODEL.set(false);
}

pub enum Mutex<T> {
    Tried(tried::Mutex<T>),
    Plain(parking_lot::Mutex<T>),
}

pub enum Guard<'a, T> {
    /// None only while it waits.
    Tried(Option<tried::MutexGuard<'a, T>>),
    Plain(parking_lot::MutexGuard<'a, T>),
}

pub enum Condvar {
    Tried(tried::Condvar),
    Plain(parking_lot::Condvar),
}

impl<T> Mutex<T> {
    pub fn new(value: T) -> Mutex<T> {
        if IS_MODEL.get() {
            Mutex::Tried(tried::Mutex::new(value))
        } else {
            Mutex::Plain(parking_lot::Mutex::new(value))
        }
    }

    pub fn lock(&self) -> Guard<'_, T> {
        match self {
            Mutex::Tried(mutex) => Guard::Tried(Some(mutex.lock().unwrap())),
            Mutex::Plain(mutex) => Guard::Plain(mutex.lock()),
        }
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Guard::Tried(guard) => guard.as_ref().unwrap(),
            Guard::Plain(guard) => guard,
        }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match self {
            Guard::Tried(guard) => guard.as_mut().unwrap(),
            Guard::Plain(guard) => guard,
        }
    }
}

impl Condvar {
    pub fn new() -> Condvar {
        if IS_MODEL.get() { Condvar::Tried(tried::Condvar::new()) } else { Condvar::Plain(parking_lot::Condvar::new()) }
    }

    pub fn wait<T>(&self, guard: &mut Guard<'_, T>) {
        match (self, guard) {
            (Condvar::Tried(condvar), Guard::Tried(guard)) => {
                let waiting = guard.take().unwrap();
                *guard = Some(condvar.wait(waiting).unwrap());
            }
            (Condvar::Plain(condvar), Guard::Plain(guard)) => condvar.wait(guard),
            _ => unreachable!("a lock of a model meets one of none"),
        }
    }

    pub fn notify_one(&self) {
        match self {
            Condvar::Tried(condvar) => condvar.notify_one(),
            Condvar::Plain(condvar) => _ = condvar.notify_one(),
        }
    }
}
