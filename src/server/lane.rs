//! A lane that one goes through at a time: handshakes, which cost so much that a flood of them would take every worker. The
//! others wait, and nobody has to wait for them. Addresses take turns, so that a flood from one of them holds up no other.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use parking_lot::Mutex;

/// See the module. It is taken on behalf of one item from [`Lane::enter`] to [`Lane::leave`], whoever works on it.
pub struct Lane<A, T>(Mutex<State<A, T>>);

struct State<A, T> {
    is_taken: bool,
    /// The items of each address that has any, in the order in which they came.
    lines: HashMap<A, VecDeque<T>>,
    /// These addresses, the one first whose turn is next.
    turns: VecDeque<A>,
}

impl<A: Copy + Eq + Hash, T> Lane<A, T> {
    pub fn new() -> Lane<A, T> {
        Lane(Mutex::new(State { is_taken: false, lines: HashMap::new(), turns: VecDeque::new() }))
    }

    /// Returns the item if the lane is free: it is taken from now on. Otherwise the item waits behind those of its address.
    pub fn enter(&self, address: A, item: T) -> Option<T> {
        let mut state = self.0.lock();
        if state.is_taken {
            let line = state.lines.entry(address).or_default();
            line.push_back(item);
            if line.len() == 1 {
                state.turns.push_back(address);
            }
            return None;
        }
        state.is_taken = true;
        Some(item)
    }

    /// Gives the lane to the address that has waited longest for its turn, and returns its first item, or frees the lane.
    pub fn leave(&self) -> Option<T> {
        let mut state = self.0.lock();
        let next = state.next();
        state.is_taken = next.is_some();
        if next.is_none() {
            // A flood that is over leaves nothing behind.
            (state.lines, state.turns) = (HashMap::new(), VecDeque::new());
        }
        next
    }
}

impl<A: Copy + Eq + Hash, T> State<A, T> {
    fn next(&mut self) -> Option<T> {
        let address = self.turns.pop_front()?;
        let line = self.lines.get_mut(&address)?;
        let next = line.pop_front();
        if line.is_empty() {
            self.lines.remove(&address);
        } else {
            self.turns.push_back(address);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn one_has_the_lane_at_a_time_and_the_others_of_its_address_have_it_in_order() {
        let lane = Lane::new();
        assert_eq!(lane.enter('a', 1), Some(1));
        assert_eq!((lane.enter('a', 2), lane.enter('a', 3)), (None, None));
        assert_eq!(lane.leave(), Some(2));
        assert_eq!(lane.enter('a', 4), None);
        assert_eq!((lane.leave(), lane.leave(), lane.leave()), (Some(3), Some(4), None));
        assert_eq!(lane.enter('a', 5), Some(5));
    }

    #[test]
    fn addresses_take_turns() {
        let lane = Lane::new();
        assert_eq!(lane.enter('a', "a1"), Some("a1"));
        for flood in ["a2", "a3", "a4", "a5"] {
            assert_eq!(lane.enter('a', flood), None);
        }
        assert_eq!((lane.enter('b', "b1"), lane.enter('b', "b2"), lane.enter('c', "c1")), (None, None, None));
        let leave = || lane.leave().unwrap();
        assert_eq!([leave(), leave(), leave(), leave(), leave()], ["a2", "b1", "c1", "a3", "b2"]);
        // Whoever comes back waits for one item of each other address at most.
        assert_eq!((lane.enter('c', "c2"), lane.enter('d', "d1")), (None, None));
        let rest: Vec<&str> = std::iter::from_fn(|| lane.leave()).collect();
        assert_eq!(rest, ["a4", "c2", "d1", "a5"]);
        assert_eq!(lane.enter('b', "b3"), Some("b3"));
    }

    #[test]
    fn nothing_is_kept_of_an_address_that_waits_no_more() {
        let lane = Lane::new();
        lane.enter(0, 0);
        for address in 1..100 {
            lane.enter(address, address);
            lane.enter(0, 0);
        }
        for left in (0..198).rev() {
            assert!(lane.leave().is_some());
            let state = lane.0.lock();
            assert_eq!(state.lines.values().map(VecDeque::len).sum::<usize>(), left);
            assert_eq!(state.lines.len(), state.turns.len());
            assert!(state.lines.values().all(|line| !line.is_empty()));
        }
        assert_eq!(lane.leave(), None);
        assert_eq!(lane.0.lock().lines.capacity(), 0);
    }

    #[test]
    fn nobody_is_forgotten_and_no_two_are_in_it() {
        let (lane, inside, done) = (Lane::new(), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (lane, inside, done) = (&lane, &inside, &done);
                scope.spawn(move || {
                    for item in 0..1000 {
                        let mut next = lane.enter(thread % 3, (thread, item));
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
        assert_eq!(lane.enter(0, (0, 0)), Some((0, 0)), "and it is free in the end");
    }
}
