//! What stands in the ledger's line, what becomes of it, and what keeps it.

use std::fmt;

use super::winners::Winners;
use crate::domain::{AgencyId, Checksum, Draw, Place, Rows, Rules};

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
    /// Does what no answer should wait for. It is called once a group's verdicts are published, by the thread that commits.
    /// An error says that nothing is taken any more.
    fn maintain(&self) -> Result<(), StorageError>;
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

impl fmt::Display for StorageError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}
