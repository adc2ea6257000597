//! The bounded queue in which entries wait until they are stored.
//!
//! A connection claims room in it before it reads a request, so a request that was read always finds room. Connections that
//! get no room wait, in the order in which they asked. As soon as there is room, the line grants their claims, and its
//! caller wakes them.

use std::collections::VecDeque;
use std::mem;

use super::entry::{Entry, StorageError};
use super::{Condvar, Mutex};

/// The most bytes of entries in one group. It bounds the uncommitted rows that a crash can leave in `bets.csv`.
pub const MAX_GROUP: usize = 2 * 1024 * 1024;

/// With this many bytes in line a group is written even if no connection waits for it yet. Smaller groups would cost more
/// processor time for syncs than they save in waiting.
const EARLY_GROUP: usize = 128 * 1024;

/// The most bytes that may be in line or claimed.
const MAX_LINE: usize = 4 * MAX_GROUP;

/// The bytes that one claim covers: the most that is read from a connection at once.
pub const CLAIM: usize = 64 * 1024;

/// The bytes that an entry counts for besides its rows: the memory of the entry itself.
const ENTRY: usize = 128;

/// See the module.
pub struct Line<O, W> {
    inner: Mutex<Inner<O, W>>,
    work: Condvar,
}

struct Inner<O, W> {
    entries: VecDeque<(Entry, O)>,
    bytes: usize,
    claimed: usize,
    /// Who waits for room, each with a ticket. Tickets count up, and those below `granted` have their claim.
    waiting: VecDeque<(u64, W)>,
    next_ticket: u64,
    granted: u64,
    /// The number of groups that have failed, and the error of the last one.
    era: u64,
    failure: Option<StorageError>,
    /// A connection waits for what is in line.
    is_urgent: bool,
    is_closed: bool,
}

/// A connection's claim of room.
#[derive(Debug, Default)]
pub struct Claim {
    state: Hold,
    /// The era at the time when the connection last knew the verdicts of all its entries.
    era: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Hold {
    #[default]
    None,
    Waits(u64),
    Has,
}

/// Entries that leave the line together, and those whose claims are granted by that.
pub struct Leaving<O, W> {
    pub group: Vec<(Entry, O)>,
    pub waiting: Vec<W>,
}

impl Claim {
    /// Whether the claim was made and not granted yet.
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, Hold::Waits(_))
    }
}

impl<O, W> Line<O, W> {
    pub(super) fn new() -> Line<O, W> {
        let inner = Inner {
            entries: VecDeque::new(),
            bytes: 0,
            claimed: 0,
            waiting: VecDeque::new(),
            next_ticket: 0,
            granted: 0,
            era: 0,
            failure: None,
            is_urgent: false,
            is_closed: false,
        };
        Line { inner: Mutex::new(inner), work: Condvar::new() }
    }

    /// Claims room for one read. False if there is none: then `who` is woken once the claim is granted.
    /// `expects_nothing` says that the connection knows the verdicts of all its entries.
    pub fn claim(&self, claim: &mut Claim, expects_nothing: bool, who: impl FnOnce() -> W) -> bool {
        let mut inner = self.inner.lock();
        if expects_nothing {
            claim.era = inner.era;
        }
        match claim.state {
            Hold::Has => {}
            Hold::Waits(ticket) if ticket >= inner.granted => return false,
            Hold::Waits(_) => claim.state = Hold::Has,
            Hold::None if inner.waiting.is_empty() && inner.has_room() => {
                inner.claimed += CLAIM;
                claim.state = Hold::Has;
            }
            Hold::None => {
                let ticket = inner.next_ticket;
                inner.next_ticket += 1;
                inner.waiting.push_back((ticket, who()));
                claim.state = Hold::Waits(ticket);
                return false;
            }
        }
        true
    }

    /// Releases a claim, or stops waiting for one. Returns those whose claims are granted by that.
    #[must_use = "connections whose claims were granted have to be woken"]
    pub fn give_back(&self, claim: &mut Claim) -> Vec<W> {
        let mut inner = self.inner.lock();
        match mem::take(&mut claim.state) {
            Hold::None => return Vec::new(),
            Hold::Waits(ticket) if ticket >= inner.granted => inner.waiting.retain(|(other, _)| *other != ticket),
            Hold::Waits(_) | Hold::Has => inner.claimed -= CLAIM,
        }
        inner.grant()
    }

    /// Puts an entry in line. If a group has failed that the connection has not heard of, the entry fails too.
    pub fn put(&self, claim: &Claim, entry: Entry, order: O) {
        let mut inner = self.inner.lock();
        let entry = match &inner.failure {
            Some(error) if claim.era != inner.era => Entry::Void(error.clone()),
            _ => entry,
        };
        inner.push(entry, order);
        if inner.bytes >= EARLY_GROUP {
            self.work.notify_one();
        }
    }

    /// Puts an entry of the central itself in line, and has it written without delay.
    pub fn put_own(&self, entry: Entry, order: O) {
        self.inner.lock().push(entry, order);
        self.hurry();
    }

    /// Has the entries in line written without delay, because a connection waits for them.
    pub fn hurry(&self) {
        let mut inner = self.inner.lock();
        // With an empty line there is nothing to hurry: a group that has left it is being written.
        if !inner.entries.is_empty() {
            inner.is_urgent = true;
            self.work.notify_one();
        }
    }

    /// Makes [`Line::next_group`] return `None` once the line is empty.
    pub fn close(&self) {
        self.inner.lock().is_closed = true;
        self.work.notify_one();
    }

    #[cfg(any(test, fuzzing))]
    pub fn is_empty(&self) -> bool {
        self.inner.lock().entries.is_empty()
    }

    /// Waits for entries that are worth a write or that a connection waits for. `None` once the line is closed and empty.
    pub(super) fn next_group(&self) -> Option<Leaving<O, W>> {
        let mut inner = self.inner.lock();
        loop {
            let is_due = inner.is_urgent || inner.is_closed || inner.bytes >= EARLY_GROUP;
            if is_due && !inner.entries.is_empty() {
                return Some(inner.take_group());
            }
            if inner.is_closed {
                return None;
            }
            self.work.wait(&mut inner);
        }
    }

    /// Notes that a group has failed, and takes out all entries behind it.
    pub(super) fn fail(&self, error: StorageError) -> Leaving<O, W> {
        let mut inner = self.inner.lock();
        inner.era += 1;
        inner.failure = Some(error);
        (inner.bytes, inner.is_urgent) = (0, false);
        Leaving { group: mem::take(&mut inner.entries).into(), waiting: inner.grant() }
    }
}

impl<O, W> Inner<O, W> {
    fn has_room(&self) -> bool {
        self.bytes + self.claimed + CLAIM <= MAX_LINE
    }

    /// Grants claims to those who have waited longest.
    fn grant(&mut self) -> Vec<W> {
        let mut granted = Vec::new();
        while self.has_room() {
            let Some((ticket, who)) = self.waiting.pop_front() else { break };
            self.claimed += CLAIM;
            self.granted = ticket + 1;
            granted.push(who);
        }
        granted
    }

    fn push(&mut self, entry: Entry, order: O) {
        self.bytes += weight(&entry);
        self.entries.push_back((entry, order));
    }

    fn take_group(&mut self) -> Leaving<O, W> {
        let (mut bytes, mut count) = (0, 0);
        for (entry, _) in &self.entries {
            bytes += weight(entry);
            if bytes > MAX_GROUP && count > 0 {
                bytes -= weight(entry);
                break;
            }
            count += 1;
        }
        let group = self.entries.drain(..count).collect();
        self.bytes -= bytes;
        self.is_urgent &= !self.entries.is_empty();
        Leaving { group, waiting: self.grant() }
    }
}

fn weight(entry: &Entry) -> usize {
    let rows = match entry {
        Entry::Bets { rows, .. } => rows.bytes().len(),
        Entry::Done { declaration, .. } => {
            let signed = declaration.as_ref().and_then(|declaration| declaration.signed.as_ref());
            signed
                .map_or(0, |signed| signed.signature.len() + signed.certificates.iter().map(String::len).sum::<usize>())
        }
        Entry::Account { .. } | Entry::SealAnnounced | Entry::Announced | Entry::Void(_) => 0,
    };
    rows + ENTRY
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AgencyId, Bet, Rows};

    const ONE: AgencyId = AgencyId(1);

    fn bets(count: usize) -> Entry {
        let (name, mut rows) = ("x".repeat(100), Rows::new(ONE));
        (0..count).for_each(|_| rows.push(&Bet::new([&name, &name, "1", "2000-01-01", "7"]).unwrap()));
        Entry::Bets { agency: ONE, place: None, rows }
    }

    fn orders(leaving: &Leaving<u32, ()>) -> Vec<u32> {
        leaving.group.iter().map(|(_, order)| *order).collect()
    }

    #[test]
    fn a_group_is_as_large_as_it_may_be_and_no_larger() {
        let (line, claim) = (Line::<u32, ()>::new(), Claim::default());
        (0..40).for_each(|order| line.put(&claim, bets(280), order));
        line.close();
        let groups = [line.next_group().unwrap(), line.next_group().unwrap()];
        let weighs = |group: &Leaving<u32, ()>| group.group.iter().map(|(entry, _)| weight(entry)).sum::<usize>();
        assert!(weighs(&groups[0]) <= MAX_GROUP && weighs(&groups[0]) + weight(&bets(280)) > MAX_GROUP);
        assert!(orders(&groups[0]).into_iter().chain(orders(&groups[1])).eq(0..40));
        assert!(line.is_empty());
    }

    #[test]
    fn what_stands_behind_a_failed_group_fails_too_and_so_does_what_comes_before_that_is_heard() {
        let line = Line::<u32, ()>::new();
        let [mut sender, mut other] = [Claim::default(), Claim::default()];
        assert!(line.claim(&mut sender, true, || ()));
        line.put(&sender, bets(1), 1);
        line.hurry();
        assert_eq!(orders(&line.next_group().unwrap()), [1]);
        line.put(&sender, bets(1), 2);
        line.put(&sender, Entry::Done { agency: ONE, declaration: None }, 3);
        let error = StorageError("full".to_owned());
        let behind = line.fail(error.clone());
        assert_eq!(orders(&behind), [2, 3], "who put them there believed that the first would be stored");
        assert!(line.is_empty());

        line.put(&sender, Entry::Done { agency: ONE, declaration: None }, 4);
        assert!(line.claim(&mut other, true, || ()));
        line.put(&other, bets(1), 5);
        assert!(line.claim(&mut sender, true, || ()));
        line.put(&sender, bets(1), 6);
        line.hurry();
        let next = line.next_group().unwrap();
        assert_eq!(orders(&next), [4, 5, 6]);
        let is_void: Vec<bool> = next.group.iter().map(|(entry, _)| matches!(entry, Entry::Void(_))).collect();
        assert_eq!(
            is_void,
            [true, false, false],
            "who has heard of the failure, or waits for nothing, is not part of it"
        );
    }

    #[test]
    fn what_somebody_waits_for_leaves_also_behind_a_failure() {
        let (line, claim) = (Line::<u32, ()>::new(), Claim::default());
        line.put(&claim, bets(1), 1);
        line.hurry();
        assert_eq!(orders(&line.fail(StorageError("full".to_owned()))), [1]);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| orders(&line.next_group().unwrap()));
            line.put(&claim, bets(1), 2);
            line.hurry();
            assert_eq!(writer.join().unwrap(), [2]);
        });
    }

    #[test]
    fn room_goes_to_those_who_wait_in_their_order() {
        let line = Line::<u32, u32>::new();
        let mut claims: Vec<Claim> = (0..MAX_LINE / CLAIM).map(|_| Claim::default()).collect();
        assert!(claims.iter_mut().all(|claim| line.claim(claim, true, || 0)));
        let mut late = [Claim::default(), Claim::default(), Claim::default()];
        for (who, claim) in (1..).zip(&mut late) {
            assert!(!line.claim(claim, true, || who) && claim.is_waiting());
        }
        assert!(line.give_back(&mut late[1]).is_empty(), "it does not wait any more");
        assert_eq!(line.give_back(&mut claims[0]), [1]);
        assert!(!line.claim(&mut claims[0], true, || 4), "who comes later does not pass those who wait");
        assert!(line.claim(&mut late[0], true, || 0));
        assert_eq!(line.give_back(&mut claims[1]), [3]);
        assert_eq!(line.give_back(&mut late[2]), [4], "a claim that was never taken up is given back");
    }

    #[test]
    fn a_large_enough_group_leaves_though_nobody_waits_for_it() {
        let (line, claim) = (Line::<u32, ()>::new(), Claim::default());
        let mut count = 0;
        while line.inner.lock().bytes < 128 * 1024 {
            line.put(&claim, bets(10), count);
            count += 1;
        }
        assert!(orders(&line.next_group().unwrap()).into_iter().eq(0..count));
    }

    #[test]
    fn what_somebody_waits_for_leaves_also_behind_a_full_group_and_nothing_is_urgent_after_that() {
        let (line, claim) = (Line::<u32, ()>::new(), Claim::default());
        line.put(&claim, bets(9600), 1);
        line.put(&claim, bets(1), 2);
        line.put_own(Entry::Announced, 3);
        assert!(line.inner.lock().is_urgent);
        assert_eq!(orders(&line.next_group().unwrap()), [1]);
        assert!(line.inner.lock().is_urgent);
        assert_eq!(orders(&line.next_group().unwrap()), [2, 3]);
        line.hurry();
        let inner = line.inner.lock();
        assert!(!inner.is_urgent && inner.bytes == 0);
    }

    #[test]
    fn what_stands_in_line_takes_room_until_it_leaves() {
        let (line, claim) = (Line::<u32, u32>::new(), Claim::default());
        let (mut late, mut later) = (Claim::default(), Claim::default());
        let entry = bets(9000);
        let weighs = weight(&entry);
        let most = (8 * 1024 * 1024 - CLAIM) / weighs + 1;
        line.put(&claim, entry, 0);
        (1..most as u32).for_each(|order| line.put(&claim, bets(9000), order));
        assert!(!line.claim(&mut late, true, || 1) && !line.claim(&mut later, true, || 2));
        assert!(!line.claim(&mut late, true, || 3), "who asks again has waited no longer");
        line.hurry();
        assert_eq!(line.next_group().unwrap().waiting, [1, 2]);
        assert!(late.is_waiting() && line.claim(&mut late, true, || 4) && !late.is_waiting());
        let failed = line.fail(StorageError("full".to_owned()));
        assert_eq!((failed.group.len(), line.inner.lock().bytes), (most - 1, 0));
    }

    #[test]
    fn a_group_may_be_exactly_as_large_as_the_largest_and_what_stays_keeps_its_weight() {
        let (line, claim) = (Line::<u32, ()>::new(), Claim::default());
        let most = (MAX_GROUP / ENTRY) as u32;
        (0..=most).for_each(|order| line.put(&claim, Entry::Announced, order));
        assert_eq!(orders(&line.next_group().unwrap()).len(), most as usize);
        assert_eq!(line.inner.lock().bytes, ENTRY);
    }
}
