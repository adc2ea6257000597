//! Reads a draw: its documents, and its bets in order.

use super::failure::Failure;
use super::hosts::Hosts;
use super::numbers;
use super::session::{Params, Session, column};

/// What is stored of a draw beside its bets.
pub struct Draw {
    pub id: i32,
    /// As a folder would have it in `secrets.json`.
    pub secrets: String,
    /// As a folder would have it in `acta.json`, once betting is closed.
    pub acta: Option<String>,
}

/// Rows of one agency that were stored together.
pub struct Batch {
    pub agency: u32,
    /// The place of the first in the agency's sequence.
    pub place: u64,
    /// None if no bet of them has the number that was looked for.
    pub rows: Option<Vec<u8>>,
}

/// Which batches are read.
#[derive(Default)]
pub struct Wanted {
    /// Those of these agencies alone.
    pub agencies: Option<Vec<i32>>,
    /// Their rows are read only if a bet may have this number.
    pub number: Option<u32>,
}

/// Batches whose rows are asked for at once: about 5 MB.
const PAGE: i64 = 1000;
/// Batches that are searched at once: about 2 MB of numbers, or 50 MB of rows that were stored without them.
const SEARCHED: i64 = 10_000;

const READ: &str = "SELECT agency, place, CASE WHEN $5::bytea IS NULL \
    OR CASE WHEN numbers IS NULL THEN position($6::bytea in rows) > 0 ELSE position($5::bytea in numbers) > 0 END THEN rows END \
    FROM (SELECT agency, place, rows, numbers FROM batches WHERE draw = $1 AND (agency, place) > ($2, $3) \
          AND ($4::int[] IS NULL OR agency = ANY($4::int[])) ORDER BY agency, place LIMIT $7) page \
    ORDER BY agency, place";

pub fn draw(session: &Session, name: &str, hosts: &Hosts) -> Result<Option<Draw>, Failure> {
    let text = "SELECT id, secrets, acta FROM draws WHERE name = $1";
    let rows = session.rows(text, params![name.to_owned()], hosts.limits().commit)?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(Draw { id: column(row, 0)?, secrets: column(row, 1)?, acta: column(row, 2)? }))
}

/// Passes on the batches of a draw, agency by agency, each in its order. The failure of `take` ends it.
pub fn for_each_batch(
    hosts: &Hosts,
    draw: i32,
    wanted: &Wanted,
    is_stopping: &(dyn Fn() -> bool + Sync),
    mut take: impl FnMut(Batch) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (mut agency, mut place, mut session) = (0_i32, -1_i64, None);
    let key = wanted.number.map(|number| numbers::key(number).to_vec());
    let text = wanted.number.map(|number| format!(",{number}\r\n").into_bytes());
    let page = if wanted.number.is_some() { SEARCHED } else { PAGE };
    loop {
        if is_stopping() {
            return Err(Failure::Away("the central is stopping".to_owned()));
        }
        let rows = hosts.with_patience(&mut session, is_stopping, |session| {
            let params: Params = params![draw, agency, place, wanted.agencies.clone(), key.clone(), text.clone(), page];
            session.rows(READ, params, hosts.limits().patience)
        })?;
        for row in &rows {
            (agency, place) = (column(row, 0)?, column(row, 1)?);
            let numbers = u32::try_from(agency).ok().zip(u64::try_from(place).ok());
            let (agency, place) = numbers.ok_or_else(|| Failure::Misfit("a batch has a place below 0".to_owned()))?;
            take(Batch { agency, place, rows: column(row, 2)? })?;
        }
        if (rows.len() as i64) < page {
            return Ok(());
        }
    }
}
