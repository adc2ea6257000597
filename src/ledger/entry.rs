//! The entries of the ledger's line, the verdicts on them, and the trait of the store that keeps them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::winners::Winners;
use crate::database::Follower;
use crate::domain::acta::{Acta, Signed, StoreSecrets};
use crate::domain::seal::Declared;
use crate::domain::{Account, AgencyId, Checksum, Draw, Place, Rows, Rules, SealStep};

/// What the ledger is asked to do.
pub enum Entry {
    /// Append bets to the agency's others. With a `place`, those that are already stored are not stored again.
    Bets { agency: AgencyId, place: Option<Place>, rows: Rows },
    /// Mark the agency as done: it has no more bets.
    Done { agency: AgencyId, declaration: Option<Declaration> },
    /// Tell the agency's account, which includes all earlier entries in line.
    Account { agency: AgencyId },
    /// Record that the log has announced the seal.
    SealAnnounced,
    /// Record that the log has announced the draw.
    Announced,
    /// Fail, because an earlier entry of the same connection has failed.
    Void(StorageError),
}

/// What an agency says it has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    pub declared: Declared,
    /// The agency's signature, which was found to be good.
    pub signed: Option<Box<Signed>>,
    /// Take it even if something else is stored.
    pub is_forced: bool,
}

/// The result of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The bets are on disk, and `already` of them were there before.
    Stored { already: u64 },
    /// The mark is on disk.
    Marked,
    /// The agency's account on disk. An agency is closed once it is done or the draw was held.
    Account { stored: u64, checksum: Checksum, is_closed: bool },
    /// Refused: the agency is closed.
    Closed,
    /// Refused: bets that stand before these in the agency's sequence are not stored.
    Gap,
    /// Refused: more bets are stored than the agency's checksum and these bets cover, so they cannot be compared.
    Stale,
    /// Refused: the agency's checksum does not match the stored bets.
    Conflict,
    /// Not judged: the root of the agency's bets has to be computed first, by [`Store::weigh`].
    Unweighed,
    /// Refused: the agency has declared something else than is stored, which is so many bets.
    Unbalanced { stored: u64 },
    /// Nothing of the entry is stored.
    Failed(StorageError),
}

/// Why something could not be stored or read, in a sentence that names the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageError(pub String);

/// Who has held the draw, if anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    ByUs,
    Before,
    /// An agency is not done, or the seal is missing.
    NotDue,
}

/// The draw that is to be held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrawOrder {
    pub number: u32,
    /// The operator's signature, if the number came later and the central has keys.
    pub signed: Option<Signed>,
}

/// Signs a statement with the central's key, if it has one.
pub type Sign<'a> = &'a dyn Fn(&str) -> Result<Option<Signed>, StorageError>;

/// Tells whether the central is stopping, so that long work ends.
pub type IsStopping<'a> = &'a (dyn Fn() -> bool + Sync);

/// The state of the lottery on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// How many agencies are done.
    pub done: u32,
    /// The highest id of an agency that has bets or is done, 0 if there is none.
    pub highest: u32,
    /// Bets in all.
    pub bets: u64,
    pub seal: SealStep,
    pub draw: Draw,
    /// Why the store refuses everything, once it cannot know any more what the disk holds.
    pub broken: Option<StorageError>,
}

/// How a store elsewhere fares, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The server that takes writes. None while none is found.
    pub host: Option<String>,
    /// The standbys that commits wait for, as `synchronous_standby_names` has them; empty if for none.
    pub standby: String,
    /// Who follows that server.
    pub followers: Vec<Follower>,
    /// Why nothing can be stored now.
    pub away: Option<String>,
}

/// Tells that the state has changed, though nobody here has changed it.
pub type News = Box<dyn Fn() + Send + Sync>;

/// Durable storage of a lottery. What it reports as stored survives any crash, and each entry of a group is stored whole
/// or not at all.
pub trait Store: Send + Sync {
    /// Judges the entries in order, against what is stored and what earlier entries of the group add, and stores what they
    /// ask for. Returns a verdict for each. A group that changes nothing writes nothing.
    fn commit(&self, group: &[Entry]) -> Vec<Verdict>;
    /// Which lottery this is, and its secret. None until both are on disk.
    fn secrets(&self) -> Option<StoreSecrets>;
    /// Computes the roots of these agencies' bets, so that what they declare can be judged.
    fn weigh(&self, agencies: &[AgencyId], is_stopping: IsStopping<'_>) -> Result<(), StorageError>;
    /// Closes betting and seals what is stored, unless this was done before or one of the agencies 1 to `agencies` is not
    /// done.
    fn seal(&self, agencies: u32, sign: Sign<'_>, is_stopping: IsStopping<'_>) -> Result<Held, StorageError>;
    /// What is known of the lottery since it was sealed.
    fn acta(&self) -> Option<Arc<Acta>>;
    /// Holds the draw, whose winners these are, unless it was held before or the lottery is not sealed.
    fn hold_draw(&self, order: &DrawOrder, winners: &Winners) -> Result<Held, StorageError>;
    /// Does housekeeping that no verdict should wait for. The thread that commits calls it once it has published a group's
    /// verdicts. After an error the store refuses everything.
    fn maintain(&self) -> Result<(), StorageError>;
    /// Whether [`Store::maintain`] has something to do. Whoever commits on another thread asks.
    fn is_maintenance_due(&self) -> bool {
        false
    }
    fn state(&self) -> State;
    /// Every agency that has bets or is done, in order of its id.
    fn accounts(&self) -> Vec<(AgencyId, Account)>;
    /// The agencies of 1 to `agencies` that are not done, in order and `most` at most.
    fn missing(&self, agencies: u32, most: usize) -> Vec<AgencyId>;
    fn rules(&self) -> Rules;
    /// Finds the winners with this number. This reads every bet, and so takes a while.
    fn winners(&self, number: u32) -> Result<Winners, StorageError>;
    /// Whether others than this process store into it too. Then [`Store::state`] is a copy that is a moment old: it says when to
    /// look, and each verdict and each step of the close is judged against the store itself.
    fn is_shared(&self) -> bool {
        false
    }
    /// Calls `news` whenever others have changed the state.
    fn watch(&self, _news: News) {}
    /// Lets nothing take longer than this from now on.
    fn begin_stop(&self, _limit: Duration) {}
    /// How it fares, if it is elsewhere.
    fn health(&self) -> Option<Health> {
        None
    }
    /// Marks the lottery as closed in order. Nothing can be stored afterwards.
    fn close(&self) -> Result<(), StorageError>;
}

/// In one line.
impl fmt::Display for Health {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(host) = &self.host else { return out.write_str("no server that takes writes is found") };
        let standby = if self.standby.is_empty() { "no standby" } else { &self.standby };
        write!(out, "{host}, commits wait for {standby}")?;
        for Follower { name, state, sync_state, behind } in &self.followers {
            match (state, sync_state, behind) {
                (Some(state), Some(sync), Some(behind)) => {
                    write!(out, "; {name}: {state} {sync}, {behind} bytes behind")?
                }
                _ => write!(out, "; {name}: hidden from this role, which needs pg_monitor")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_storage_reads_as_its_sentence() {
        assert_eq!(StorageError("bets.csv: cannot write: full".to_owned()).to_string(), "bets.csv: cannot write: full");
    }

    #[test]
    fn a_database_is_told_of_in_one_line() {
        assert_eq!(Health::default().to_string(), "no server that takes writes is found");
        let hidden = Follower { name: "b".to_owned(), state: None, sync_state: None, behind: None };
        let [state, sync_state] = ["streaming", "sync"].map(|text| Some(text.to_owned()));
        let seen = Follower { name: "a".to_owned(), state, sync_state, behind: Some(7) };
        let (host, standby) = (Some("db1:5432".to_owned()), "a".to_owned());
        assert_eq!(
            Health { host, standby, followers: vec![seen, hidden], away: None }.to_string(),
            "db1:5432, commits wait for a; a: streaming sync, 7 bytes behind; b: hidden from this role, which needs pg_monitor"
        );
    }
}
