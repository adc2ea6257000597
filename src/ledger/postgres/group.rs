//! Stores a group: one transaction in three round trips, and what to do when one of them fails.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::{Duration, Instant};

use super::view::account;
use super::{Shared, failed};
use crate::database::numbers::digest;
use crate::database::{Answer, Ask, Failure, Row, Session, Statement, column, params, pause};
use crate::domain::{AgencyId, Register};
use crate::ledger::files::SignedLine;
use crate::ledger::judge::{Judged, Piece};
use crate::ledger::{Entry, StorageError, Verdict};

/// This central's own row comes first, so that no attempt overtakes an earlier one whose end is not known.
const LOCK_OWN: &str = "SELECT last_group, current_setting('synchronous_standby_names') FROM centrals \
    WHERE draw = $1 AND central = $2 FOR UPDATE";
/// A statement of its own: what is joined into one that locks is as old as that one's start. All lock in the same order.
const LOCK_AGENCIES: &str = "SELECT agency, stored, checksum, done FROM agencies WHERE draw = $1 AND agency = ANY($2) \
    ORDER BY agency FOR UPDATE";
const INSERT: &str = "INSERT INTO batches (draw, agency, place, count, rows, numbers) SELECT $1, a, p, c, r, n \
    FROM unnest($2::int[], $3::bigint[], $4::int[], $5::bytea[], $6::bytea[]) AS new(a, p, c, r, n)";
const UPDATE: &str = "UPDATE agencies SET stored = s, checksum = c, done = d, declaration = coalesce(j, declaration) \
    FROM unnest($2::int[], $3::bigint[], $4::bigint[], $5::text[], $6::text[]) AS new(a, s, c, d, j) \
    WHERE draw = $1 AND agency = a";
const NUMBER: &str = "UPDATE centrals SET last_group = $3 WHERE draw = $1 AND central = $2";
const TOLD: &str = "UPDATE draws SET seal_told = seal_told OR $2, draw_told = draw_told OR $3 WHERE id = $1";

/// The session that stores, and what it has stored.
#[derive(Default)]
pub struct Writer {
    live: Option<Live>,
    /// The number of the last group that is known to be stored.
    stored: i64,
    /// The number of a group that may be stored too, though its entries were told that it could not be.
    doubtful: Option<i64>,
    /// Memory for rows.
    buffer: Vec<u8>,
}

struct Live {
    session: Session,
    lock_own: Statement,
    lock_agencies: Statement,
    insert: Statement,
    update: Statement,
    number: Statement,
    told: Statement,
}

/// A group whose commit has not been answered: it is stored if its number is found.
struct Pending {
    number: i64,
    judged: Judged,
}

impl Writer {
    pub fn commit(&mut self, shared: &Shared, group: &[Entry]) -> Vec<Verdict> {
        if group.iter().all(|entry| matches!(entry, Entry::Void(_))) {
            return group.iter().map(|entry| refused(entry, &StorageError(String::new()))).collect();
        }
        match self.store(shared, group) {
            Ok(judged) => {
                self.buffer = judged.rows;
                judged.verdicts
            }
            // A group that may be stored already must not be stored again in parts.
            Err(Failure::Refused(_)) if group.len() > 1 && self.doubtful.is_none() => self.one_by_one(shared, group),
            Err(failure) => {
                let error = failed(&failure);
                group.iter().map(|entry| refused(entry, &error)).collect()
            }
        }
    }

    /// Stores each entry by itself, so that the one that the database refuses takes no other along. What the same agency has put
    /// in line behind it assumed that it was stored.
    fn one_by_one(&mut self, shared: &Shared, group: &[Entry]) -> Vec<Verdict> {
        let mut refused_of: BTreeMap<AgencyId, StorageError> = BTreeMap::new();
        let mut away: Option<StorageError> = None;
        let mut store = |entry: &Entry| {
            let agency = agency_of(entry);
            if let Some(error) = away.as_ref().or_else(|| refused_of.get(&agency?)) {
                return refused(entry, error);
            }
            match self.store(shared, std::slice::from_ref(entry)) {
                Ok(mut judged) => judged.verdicts.pop().unwrap_or_else(|| refused(entry, &lost())),
                Err(failure) => {
                    let error = failed(&failure);
                    match (failure, agency) {
                        (Failure::Refused(_), Some(agency)) => _ = refused_of.insert(agency, error.clone()),
                        (Failure::Refused(_), None) => {}
                        // Waiting for it once more, for each of the others, would take too long.
                        _ => away = Some(error.clone()),
                    }
                    refused(entry, &error)
                }
            }
        };
        group.iter().map(&mut store).collect()
    }

    /// Stores a group, and tries again as long as patience lasts. However many attempts there are, it is stored once.
    fn store(&mut self, shared: &Shared, group: &[Entry]) -> Result<Judged, Failure> {
        let agencies: BTreeSet<AgencyId> = group.iter().filter_map(agency_of).collect();
        let agencies: Vec<i32> = agencies.into_iter().map(|agency| agency.0.cast_signed()).collect();
        let begun = Instant::now();
        let mut pending = None;
        loop {
            let failure = match self.attempt(shared, group, &agencies, &mut pending) {
                Ok(judged) => {
                    shared.note(&judged);
                    return Ok(judged);
                }
                Err(failure) => failure,
            };
            self.recover(shared, &failure);
            let is_passing = matches!(failure, Failure::Away(_) | Failure::Again(_));
            if !is_passing || begun.elapsed() >= shared.hosts.limits().patience || shared.is_stopping() {
                let Some(Pending { number, .. }) = pending else { return Err(failure) };
                self.doubtful = Some(number);
                return Err(failure.and("; nobody can tell yet whether this was stored"));
            }
            pause();
        }
    }

    /// Makes the session fit for another attempt, or drops it. A server that has failed is tried last.
    fn recover(&mut self, shared: &Shared, failure: &Failure) {
        let limit = shared.hosts.limits().commit;
        let Some(live) = self.live.take() else { return };
        match failure {
            Failure::Away(_) => shared.hosts.pass_over(&live.session),
            _ if live.session.run("ROLLBACK", limit).is_ok() => self.live = Some(live),
            _ => {}
        }
    }

    fn attempt(
        &mut self,
        shared: &Shared,
        group: &[Entry],
        agencies: &[i32],
        pending: &mut Option<Pending>,
    ) -> Result<Judged, Failure> {
        let live = match self.live.take() {
            Some(live) => live,
            None => Live::connect(shared)?,
        };
        let live = &*self.live.insert(live);
        let host = &live.session.host;
        let end = Instant::now() + shared.hosts.limits().commit;
        let left = || end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let asks = vec![
            Ask::Plain("BEGIN"),
            Ask::Rows(live.lock_own.clone(), params![shared.draw, shared.central.clone()]),
            Ask::Rows(live.lock_agencies.clone(), params![shared.draw, agencies.to_vec()]),
        ];
        let mut answers = live.session.ask(asks, left())?.into_iter().skip(1).map(Answer::rows);
        let (own, accounts) = (answers.next().unwrap_or_default(), answers.next().unwrap_or_default());
        let own = own.first().ok_or_else(|| gone_back(host, None, self.stored))?;
        let (found, names): (i64, &str) = (column(own, 0)?, column(own, 1)?);
        shared.hosts.check_standby(host, names)?;
        match pending.take() {
            Some(Pending { number, judged }) if number == found => {
                // It is stored here. This commit waits until it is stored on the standby too.
                let committed = live.session.commit(left());
                if committed.is_ok() {
                    self.stored = number;
                    return Ok(judged);
                }
                *pending = Some(Pending { number, judged });
                committed?;
            }
            Some(earlier) if found < self.stored => {
                *pending = Some(earlier);
                return Err(gone_back(host, Some(found), self.stored));
            }
            // It is not, and never will be, since its transaction held the lock that this one has.
            _ => {}
        }
        if self.doubtful == Some(found) {
            self.stored = found;
        }
        if found < self.stored {
            return Err(gone_back(host, Some(found), self.stored));
        }
        if found > self.stored {
            let known = self.stored;
            return Err(Failure::Refused(format!(
                "{host}: another uses this central's name: group {found}, not {known}"
            )));
        }
        self.doubtful = None;
        let register = register(shared, agencies, accounts)?;
        let judged = Judged::new(group, &register, mem::take(&mut self.buffer));
        if judged.is_empty() {
            // What is told of the accounts has to be replicated.
            live.session.commit(left())?;
            return Ok(judged);
        }
        live.session.ask(live.changes(shared, &judged, found + 1)?, left())?;
        let Pending { number, judged } = pending.insert(Pending { number: found + 1, judged });
        live.session.commit(left())?;
        self.stored = *number;
        let judged = mem::take(judged);
        *pending = None;
        Ok(judged)
    }
}

impl Live {
    fn connect(shared: &Shared) -> Result<Live, Failure> {
        let session = shared.hosts.connect()?;
        let statements = [LOCK_OWN, LOCK_AGENCIES, INSERT, UPDATE, NUMBER, TOLD];
        let prepared = session.prepare(&statements, shared.hosts.limits().commit)?;
        let prepared: Result<[Statement; 6], _> = prepared.try_into();
        let [lock_own, lock_agencies, insert, update, number, told] =
            prepared.map_err(|_| Failure::Away(format!("{}: not all statements were prepared", session.host)))?;
        Ok(Live { session, lock_own, lock_agencies, insert, update, number, told })
    }

    /// What a judged group writes.
    fn changes(&self, shared: &Shared, judged: &Judged, number: i64) -> Result<Vec<Ask>, Failure> {
        let draw = shared.draw;
        let mut asks = vec![Ask::Count(self.number.clone(), params![draw, shared.central.clone(), number])];
        if !judged.pieces.is_empty() {
            let of = |part: fn(&Piece) -> i64| judged.pieces.iter().map(part).collect::<Vec<i64>>();
            let agencies: Vec<i32> = judged.pieces.iter().map(|piece| piece.agency.0.cast_signed()).collect();
            let counts: Vec<i32> = judged.pieces.iter().map(|piece| (piece.count as u32).cast_signed()).collect();
            let mut start = 0;
            let rows = |piece: &Piece| judged.rows[mem::replace(&mut start, piece.end)..piece.end].to_vec();
            let rows: Vec<Vec<u8>> = judged.pieces.iter().map(rows).collect();
            let numbers: Vec<Vec<u8>> = rows.iter().map(|rows| digest(rows)).collect();
            let places = of(|piece| piece.first.cast_signed());
            asks.push(Ask::Count(self.insert.clone(), params![draw, agencies, places, counts, rows, numbers]));
        }
        if !judged.accounts.is_empty() {
            let accounts = || judged.accounts.iter();
            let agencies: Vec<i32> = accounts().map(|(agency, _)| agency.0.cast_signed()).collect();
            let stored: Vec<i64> = accounts().map(|(_, account)| account.stored.cast_signed()).collect();
            let checksums: Vec<i64> = accounts().map(|(_, account)| i64::from(account.checksum.0)).collect();
            let done: Vec<Option<String>> =
                accounts().map(|(_, account)| account.done.map(|status| status.to_string())).collect();
            let signed: Result<Vec<Option<String>>, Failure> =
                accounts().map(|(agency, _)| declaration(judged, *agency)).collect();
            asks.push(Ask::Count(self.update.clone(), params![draw, agencies, stored, checksums, done, signed?]));
        }
        if judged.is_seal_announced || judged.is_announced {
            let told = params![draw, judged.is_seal_announced, judged.is_announced];
            asks.push(Ask::Count(self.told.clone(), told));
        }
        Ok(asks)
    }
}

impl Shared {
    /// Takes note of what a group has changed.
    fn note(&self, judged: &Judged) {
        if judged.done.is_empty() && !judged.is_seal_announced && !judged.is_announced {
            return;
        }
        let mut view = self.view.write();
        view.done.extend(judged.done.iter().map(|(agency, _)| *agency));
        view.owes_seal &= !judged.is_seal_announced;
        view.owes_draw &= !judged.is_announced;
    }
}

/// What the locked rows say, and the roots that are known.
fn register(shared: &Shared, agencies: &[i32], rows: Vec<Row>) -> Result<Register, Failure> {
    if rows.len() != agencies.len() {
        return Err(Failure::Misfit(format!(
            "the draw has rows of {} of the agencies {agencies:?}: was it retired?",
            rows.len()
        )));
    }
    let mut register = Register::default();
    let roots = shared.roots.lock();
    for row in &rows {
        let (agency, account) = account(row)?;
        register.set_account(agency, account);
        if let Some((over, root)) = roots.get(&agency) {
            register.set_root(agency, *over, *root);
        }
    }
    Ok(register)
}

/// What an agency has signed with its DONE, as it is kept.
fn declaration(judged: &Judged, agency: AgencyId) -> Result<Option<String>, Failure> {
    let Some((_, declared, signed)) = judged.signed.iter().find(|(other, ..)| *other == agency) else {
        return Ok(None);
    };
    let line = SignedLine { agency: agency.0, bets: declared.bets, root: declared.root, signed: signed.clone() };
    serde_json::to_string(&line).map(Some).map_err(|error| Failure::Refused(error.to_string()))
}

fn agency_of(entry: &Entry) -> Option<AgencyId> {
    match entry {
        Entry::Bets { agency, .. } | Entry::Done { agency, .. } | Entry::Account { agency } => Some(*agency),
        Entry::SealAnnounced | Entry::Announced | Entry::Void(_) => None,
    }
}

fn refused(entry: &Entry, error: &StorageError) -> Verdict {
    match entry {
        Entry::Void(own) => Verdict::Failed(own.clone()),
        _ => Verdict::Failed(error.clone()),
    }
}

fn lost() -> StorageError {
    StorageError("database: no verdict was made".to_owned())
}

/// A restored backup, or a standby that was promoted without having everything.
fn gone_back(host: &str, found: Option<i64>, known: i64) -> Failure {
    let found = found.map_or("nothing of this central".to_owned(), |found| format!("its group {found}"));
    Failure::Away(format!(
        "{host}: the database has gone back: it has {found}, and group {known} was acknowledged; it is a restored copy or a \
         standby that was not in step"
    ))
}
