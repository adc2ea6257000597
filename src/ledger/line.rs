//! The bounded queue in which entries wait until they are stored.
//!
//! A connection claims room in it before it takes a request, and takes no more of them than its claim has room for. So whatever
//! was taken finds room. Connections that get no room wait, in the order in which they asked. As soon as there is room, the
//! line grants their claims, and its caller wakes them.

use std::collections::VecDeque;
use std::mem;

use super::entry::{Entry, StorageError};
use super::{Condvar, Mutex};

/// The most bytes of entries in one group. It bounds the uncommitted rows that a crash can leave in `bets.csv`.
pub const MAX_GROUP: usize = 2 * 1024 * 1024;

/// With this many bytes in line a group is written even if no connection waits for it yet. Smaller groups would cost more
/// processor time for syncs than they save in waiting.
const EARLY_GROUP: usize = 128 * 1024;

/// The most bytes of entries that a connection's own thread writes, if the writer has nothing to do: what rides in the journal. While
/// it writes more, it would not read what comes next.
const MAX_OWN: usize = 64 * 1024;

/// The most bytes that may be in line or claimed.
const MAX_LINE: usize = 4 * MAX_GROUP;

/// The bytes that one claim covers. The last entry that is put in line by it may be larger than what is left.
pub const CLAIM: usize = 64 * 1024;

/// The bytes that an entry counts for besides its rows: the memory of the entry and of what follows from it, the verdict and the
/// outcome.
const ENTRY: usize = 256;

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
    /// The store wants to be maintained.
    is_maintenance_due: bool,
    pen: Pen,
    is_closed: bool,
}

/// Who may take a group. Only one group is written at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pen {
    /// Whoever comes first: the writer waits for something to write.
    Free,
    /// Nobody else: a group is being written, or there is no writer yet.
    Taken,
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
    /// So many bytes of it are left.
    Has(usize),
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

    /// Whether a request may be taken by it.
    pub fn has_room(&self) -> bool {
        matches!(self.state, Hold::Has(1..))
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
            is_maintenance_due: false,
            pen: Pen::Taken,
            is_closed: false,
        };
        Line { inner: Mutex::new(inner), work: Condvar::new() }
    }

    /// Claims room, unless some of the claim is left. False if there is none: then `who` is woken once the claim is granted.
    /// `expects_nothing` says that the connection knows the verdicts of all its entries.
    pub fn claim(&self, claim: &mut Claim, expects_nothing: bool, who: impl FnOnce() -> W) -> bool {
        let mut inner = self.inner.lock();
        if expects_nothing {
            claim.era = inner.era;
        }
        match claim.state {
            Hold::Has(1..) => {}
            Hold::Waits(ticket) if ticket >= inner.granted => return false,
            Hold::Waits(_) => claim.state = Hold::Has(CLAIM),
            Hold::None | Hold::Has(0) if inner.waiting.is_empty() && inner.has_room() => {
                inner.claimed += CLAIM;
                claim.state = Hold::Has(CLAIM);
            }
            Hold::None | Hold::Has(0) => {
                let ticket = inner.next_ticket;
                inner.next_ticket += 1;
                inner.waiting.push_back((ticket, who()));
                claim.state = Hold::Waits(ticket);
                return false;
            }
        }
        true
    }

    /// Releases what is left of a claim, or stops waiting for one. Returns those whose claims are granted by that.
    #[must_use = "connections whose claims were granted have to be woken"]
    pub fn give_back(&self, claim: &mut Claim) -> Vec<W> {
        let mut inner = self.inner.lock();
        match mem::take(&mut claim.state) {
            Hold::None => return Vec::new(),
            Hold::Waits(ticket) if ticket >= inner.granted => inner.waiting.retain(|(other, _)| *other != ticket),
            Hold::Waits(_) => inner.claimed -= CLAIM,
            Hold::Has(left) => inner.claimed -= left,
        }
        inner.grant()
    }

    /// Puts an entry in line, in the room that was claimed. If a group has failed that the connection has not heard of, the
    /// entry fails too.
    pub fn put(&self, claim: &mut Claim, entry: Entry, order: O) {
        let mut inner = self.inner.lock();
        if let Hold::Has(left) = &mut claim.state {
            let taken = weight(&entry).min(*left);
            *left -= taken;
            inner.claimed -= taken;
        }
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
        self.inner.lock().hurry(&self.work);
    }

    /// The same, but the caller gets them and writes them itself, if they are few and nobody else writes. That spares two changes of
    /// threads. It then calls [`Line::put_down`].
    pub(super) fn take_or_hurry(&self) -> Option<Leaving<O, W>> {
        let mut inner = self.inner.lock();
        if inner.pen == Pen::Free && inner.bytes <= MAX_OWN && !inner.entries.is_empty() {
            return Some(inner.take_group());
        }
        inner.hurry(&self.work);
        None
    }

    /// The group of [`Line::take_or_hurry`] is written.
    pub(super) fn put_down(&self, is_maintenance_due: bool) {
        let mut inner = self.inner.lock();
        inner.pen = Pen::Free;
        inner.is_maintenance_due |= is_maintenance_due;
        if inner.is_due() || inner.is_closed {
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

    /// Waits for entries that are worth a write or that a connection waits for, or for maintenance to be due: then there may be no
    /// entries. `None` once the line is closed and empty. The writer alone calls it, once the group before is written.
    pub(super) fn next_group(&self) -> Option<Leaving<O, W>> {
        let mut inner = self.inner.lock();
        inner.pen = Pen::Free;
        loop {
            if inner.pen == Pen::Free {
                if inner.is_due() {
                    inner.is_maintenance_due = false;
                    return Some(inner.take_group());
                }
                if inner.is_closed {
                    inner.pen = Pen::Taken;
                    return None;
                }
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
    fn is_due(&self) -> bool {
        let is_urgent = self.is_urgent || self.is_closed || self.bytes >= EARLY_GROUP;
        self.is_maintenance_due || is_urgent && !self.entries.is_empty()
    }

    fn hurry(&mut self, work: &Condvar) {
        // With an empty line there is nothing to hurry: a group that has left it is being written.
        if !self.entries.is_empty() {
            self.is_urgent = true;
            work.notify_one();
        }
    }

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
        self.pen = Pen::Taken;
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
#[path = "line_tests.rs"]
mod tests;
