//! The ledger: the bets and the lottery's state, on disk. What it acknowledges survives any crash, whole, and once.
//!
//! Requests stand in [`Line`] and wait for nothing. One thread ([`Ledger::write_until_closed`]) takes all that is in line
//! as one group, has it judged and stored by a [`Store`], and publishes a verdict for each entry, in the order of the line.
//! So one sync serves everybody in line.
//!
//! It knows no protocol and no socket.

pub mod files;
mod judge;
mod line;
mod winners;

use std::fmt;

use crate::domain::{AgencyId, Checksum, Draw, Place, Rows, Rules};
use line::Leaving;
pub use line::{Claim, Line};
pub use winners::{Page, Winners};

/// What stands in line.
pub enum Entry {
    /// Bets to be stored behind the agency's others. Those that are stored already, by the place that the agency says, are
    /// not stored again.
    Bets { agency: AgencyId, place: Option<Place>, rows: Rows },
    /// The agency has no more bets.
    Done { agency: AgencyId },
    /// Asks where the agency stands, behind everything that is in line before it.
    Account { agency: AgencyId },
    /// The log has told of the draw.
    Announced,
    /// Something that the same connection put in line before has failed, and so this fails too.
    Void(StorageError),
}

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The bets are on disk, so many of them since before.
    Stored { already: u64 },
    /// The mark is on disk.
    Marked,
    /// What is on disk. An agency is closed when it is done or the draw was held.
    Account { stored: u64, checksum: Checksum, is_closed: bool },
    /// The agency is closed.
    Closed,
    /// The bets start behind the agency's next bet.
    Gap,
    /// The bets end before those that are stored, whose checksum the agency cannot know.
    Stale,
    /// The bets do not follow those that are stored.
    Conflict,
    /// Nothing of it came to the disk.
    Failed(StorageError),
}

/// A write that did not come to the disk, in a sentence that names the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageError(pub String);

/// What came of holding the draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    ByUs,
    Before,
    /// An agency is not done.
    NotDue,
}

/// Where the lottery stands on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// How many agencies are done.
    pub done: u32,
    /// The highest id that has bets or is done, 0 if there is none.
    pub highest: u32,
    pub draw: Draw,
    /// Why nothing is taken any more, if nobody can tell what the disk holds.
    pub broken: Option<StorageError>,
}

/// A place where the lottery is kept. Its promise: what it says is stored survives any crash, and a group's entry is there
/// whole or not at all.
pub trait Store: Send + Sync {
    /// Judges the entries in order, against what is stored and what the earlier ones add, and stores what they ask for.
    /// Returns a verdict for each. A group that changes nothing writes nothing.
    fn commit(&self, group: &[Entry]) -> Vec<Verdict>;
    /// Holds the draw, with the number of the rules, if agencies 1 to `agencies` are all done and it was not held before.
    fn hold_draw(&self, agencies: u32) -> Result<Held, StorageError>;
    fn state(&self) -> State;
    /// The first agencies of 1 to `agencies` that are not done, so many at most.
    fn missing(&self, agencies: u32, most: usize) -> Vec<AgencyId>;
    /// What defines the lottery.
    fn rules(&self) -> Rules;
    /// Finds the winners of the draw that was held. It takes a while: it reads every bet.
    fn winners(&self) -> Result<Winners, StorageError>;
    /// Says that nothing more will be written.
    fn close(&self) -> Result<(), StorageError>;
}

/// Who learns of verdicts and of room in the line. Neither call may wait for anything.
pub trait Audience<O, W> {
    /// The verdicts of a group, in the order of the line.
    fn settle(&self, verdicts: Vec<(O, Verdict)>);
    /// There is room in the line for those who waited for it.
    fn admit_to_line(&self, waiting: Vec<W>);
}

/// The line and the store behind it. `O` is what an entry is put in line for, `W` who waits for room.
pub struct Ledger<O, W> {
    pub line: Line<O, W>,
    pub store: Box<dyn Store>,
}

impl<O, W> Ledger<O, W> {
    pub fn new(store: Box<dyn Store>) -> Ledger<O, W> {
        Ledger { line: Line::new(), store }
    }

    /// Writes what stands in line, group by group, until the line is closed and empty; then closes the store.
    pub fn write_until_closed(&self, audience: &impl Audience<O, W>) -> Result<(), StorageError> {
        while let Some(Leaving { group, waiting }) = self.line.next_group() {
            audience.admit_to_line(waiting);
            self.write(group, audience);
        }
        self.store.close()
    }

    /// Writes one group if anything is in line.
    #[cfg(test)]
    pub fn write_group_if_any(&self, audience: &impl Audience<O, W>) {
        if !self.line.is_empty() {
            let Leaving { group, waiting } = self.line.next_group().unwrap();
            audience.admit_to_line(waiting);
            self.write(group, audience);
        }
    }

    fn write(&self, group: Vec<(Entry, O)>, audience: &impl Audience<O, W>) {
        let (entries, orders): (Vec<Entry>, Vec<O>) = group.into_iter().unzip();
        let verdicts = self.store.commit(&entries);
        let failure = entries.iter().zip(&verdicts).find_map(|(entry, verdict)| match (entry, verdict) {
            (Entry::Void(_), _) => None,
            (_, Verdict::Failed(error)) => Some(error.clone()),
            _ => None,
        });
        drop(entries);
        // Whoever put entries in line behind a group that failed believed that it would be stored. They fail too, and so
        // does what the same connections put in line before they hear of it.
        let behind = failure.map(|error| (self.line.fail(error.clone()), error));
        audience.settle(orders.into_iter().zip(verdicts).collect());
        let Some((Leaving { group: behind, waiting }, error)) = behind else { return };
        audience.admit_to_line(waiting);
        let fail = |(entry, order)| {
            let verdict = match entry {
                // It is asked what the disk holds, and that is told.
                Entry::Account { .. } => self.store.commit(&[entry]).pop(),
                Entry::Bets { .. } | Entry::Done { .. } | Entry::Announced | Entry::Void(_) => None,
            };
            (order, verdict.unwrap_or_else(|| Verdict::Failed(error.clone())))
        };
        audience.settle(behind.into_iter().map(fail).collect());
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}
