//! `/status.json`: the central's state as one object. docs/OBSERVE.md describes each field.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::macros::format_description;

use super::watch::{Account, Look, Phase};
use crate::domain::{Hash, LotteryId, Status};
use crate::ledger::Health;

/// The format's number. Fields may be added to a format.
const FORMAT: u32 = 1;

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub format: u32,
    pub version: String,
    pub commit: Option<String>,
    /// Times are RFC 3339, in UTC.
    pub time: String,
    pub started: String,
    pub ready: bool,
    pub reason: Option<String>,
    pub phase: Phase,
    pub lottery: Option<LotteryId>,
    pub number: Option<u32>,
    pub seal: Option<Hash>,
    pub sealed_at: Option<String>,
    pub bets: u64,
    pub agencies: Vec<AgencyReport>,
    pub rate: Rate,
    pub acknowledgement: Option<Acknowledgement>,
    pub connections: Connections,
    pub queue: usize,
    pub log_dropped: usize,
    /// The database that holds the ledger. A central with files has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<Health>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgencyReport {
    pub agency: u32,
    pub bets: u64,
    pub done: bool,
    pub status: Option<Status>,
    pub winners: Option<u64>,
    pub root: Option<Hash>,
}

/// Bets stored in each of the last whole seconds, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    pub seconds: usize,
    pub bets: Vec<u64>,
}

/// The time from a batch's arrival to its acknowledgement, in seconds, over the last minute.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Acknowledgement {
    pub count: u64,
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    pub open: usize,
    /// Of these, those that wait for the seal or the draw.
    pub waiting: usize,
}

impl Report {
    /// Of a central that shows nothing of itself yet, or no more.
    pub fn new(now: OffsetDateTime, started: OffsetDateTime, obstacle: Option<String>) -> Report {
        Report {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: commit().map(str::to_owned),
            time: shown(now),
            started: shown(started),
            ready: obstacle.is_none(),
            reason: obstacle,
            phase: Phase::Open,
            lottery: None,
            number: None,
            seal: None,
            sealed_at: None,
            bets: 0,
            agencies: Vec::new(),
            rate: Rate::default(),
            acknowledgement: None,
            connections: Connections::default(),
            queue: 0,
            log_dropped: crate::logging::dropped(),
            database: None,
        }
    }

    pub fn with(self, look: &Look, accounts: &[Account]) -> Report {
        let at = |(_, seconds): (Hash, u64)| {
            let seconds = i64::try_from(seconds).ok()?;
            OffsetDateTime::from_unix_timestamp(seconds).ok().map(shown)
        };
        let connections = Connections { open: look.connections, ..self.connections };
        let agencies = accounts.iter().map(|account| AgencyReport {
            agency: account.agency.0,
            bets: account.bets,
            done: account.done.is_some(),
            status: account.done,
            winners: account.winners,
            root: account.root,
        });
        Report {
            phase: look.phase,
            lottery: look.lottery,
            number: look.number,
            seal: look.seal.map(|(seal, _)| seal),
            sealed_at: look.seal.and_then(at),
            bets: look.bets,
            agencies: agencies.collect(),
            connections,
            queue: look.queue,
            ..self
        }
    }
}

/// The commit that this program is made from, if that is known.
pub fn commit() -> Option<&'static str> {
    Some(env!("QUINIELA_COMMIT")).filter(|commit| *commit != "unknown")
}

fn shown(time: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    time.format(format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_rfc_3339() {
        let time = OffsetDateTime::from_unix_timestamp_nanos(1_796_029_200_123_456_789).unwrap();
        assert_eq!(shown(time), "2026-11-30T09:00:00.123Z");
    }
}
