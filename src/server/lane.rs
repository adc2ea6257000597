//! A lane that one goes through at a time: handshakes, which cost so much that a flood of them would take every worker. The
//! others wait in the order in which they came, and nobody has to wait for them.

use std::collections::VecDeque;

use parking_lot::Mutex;

/// See the module. It is taken on behalf of one item from [`Lane::enter`] to [`Lane::leave`], whoever works on it.
pub struct Lane<T>(Mutex<State<T>>);

struct State<T> {
    is_taken: bool,
    waiting: VecDeque<T>,
}

impl<T> Lane<T> {
    pub fn new() -> Lane<T> {
        Lane(Mutex::new(State { is_taken: false, waiting: VecDeque::new() }))
    }

    /// Returns the item if the lane is free: it is taken from now on. Otherwise the item waits.
    pub fn enter(&self, item: T) -> Option<T> {
        let mut state = self.0.lock();
        if state.is_taken {
            state.waiting.push_back(item);
            return None;
        }
        state.is_taken = true;
        Some(item)
    }

    /// Gives the lane to the item that has waited longest, and returns it, or frees the lane.
    pub fn leave(&self) -> Option<T> {
        let mut state = self.0.lock();
        let next = state.waiting.pop_front();
        state.is_taken = next.is_some();
        if next.is_none() {
            // A flood that is over leaves nothing behind.
            state.waiting = VecDeque::new();
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn one_has_the_lane_at_a_time_and_the_others_have_it_in_order() {
        let lane = Lane::new();
        assert_eq!(lane.enter(1), Some(1));
        assert_eq!((lane.enter(2), lane.enter(3)), (None, None));
        assert_eq!(lane.leave(), Some(2));
        assert_eq!(lane.enter(4), None);
        assert_eq!((lane.leave(), lane.leave(), lane.leave()), (Some(3), Some(4), None));
        assert_eq!(lane.enter(5), Some(5));
    }

    #[test]
    fn nobody_is_forgotten_and_no_two_are_in_it() {
        let (lane, inside, done) = (Lane::new(), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (lane, inside, done) = (&lane, &inside, &done);
                scope.spawn(move || {
                    for item in 0..1000 {
                        let mut next = lane.enter((thread, item));
                        while next.is_some() {
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                            done.fetch_add(1, Ordering::SeqCst);
                            inside.fetch_sub(1, Ordering::SeqCst);
                            next = lane.leave();
                        }
                    }
                });
            }
        });
        assert_eq!(done.into_inner(), 4000);
        assert_eq!(lane.enter((0, 0)), Some((0, 0)), "and it is free in the end");
    }
}
