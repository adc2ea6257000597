//! The roots over the stored bets, and the winners among them. Both are made without locks, since what is done does not change.

use std::collections::BTreeMap;
use std::io;

use memchr::memchr_iter;

use super::Shared;
use super::view::Phase;
use crate::database::reading::{Batch, Wanted, for_each_batch};
use crate::database::{Failure, Session, column, params};
use crate::domain::tree::Tree;
use crate::domain::{AgencyId, Secret};
use crate::ledger::entry::IsStopping;
use crate::ledger::find::WinnerFinder;
use crate::ledger::trees::trees;
use crate::ledger::winners::Winners;

/// Winners that are written or read at once.
const PAGE: usize = 10_000;

const STORED: &str = "SELECT agency, stored FROM agencies WHERE draw = $1 AND agency = ANY($2)";
const INSERT: &str = "INSERT INTO winners (draw, number, agency, place, document) SELECT $1, $2, a, p, d \
    FROM unnest($3::int[], $4::bigint[], $5::text[]) AS new(a, p, d) ON CONFLICT DO NOTHING";
const READ: &str = "SELECT agency, place, document FROM winners WHERE draw = $1 AND number = $2 \
    AND (agency, place) > ($3, $4) ORDER BY agency, place LIMIT $5";

/// A winner, by its agency, its place and its document.
type Winner = (i32, i64, String);

impl Shared {
    /// Computes the roots that are not known yet.
    pub fn weigh(&self, agencies: &[AgencyId], is_stopping: IsStopping<'_>) -> Result<(), Failure> {
        let ids: Vec<i32> = agencies.iter().map(|agency| agency.0.cast_signed()).collect();
        let mut session = None;
        let rows = self.hosts.with_patience(&mut session, is_stopping, |session| {
            session.rows(STORED, params![self.draw, ids.clone()], self.hosts.limits().commit)
        })?;
        let mut unknown: BTreeMap<AgencyId, Secret> = BTreeMap::new();
        {
            let mut roots = self.roots.lock();
            for row in &rows {
                let (agency, stored): (i32, i64) = (column(row, 0)?, column(row, 1)?);
                let (agency, stored) = (AgencyId(agency.unsigned_abs()), stored.unsigned_abs());
                if stored == 0 {
                    roots.insert(agency, (0, Tree::default().root()));
                } else if roots.get(&agency).is_none_or(|(over, _)| *over != stored) {
                    unknown.insert(agency, self.secrets.secret.of_agency(agency));
                }
            }
        }
        if unknown.is_empty() {
            return Ok(());
        }
        let wanted: Vec<i32> = unknown.keys().map(|agency| agency.0.cast_signed()).collect();
        let wanted = Wanted { agencies: Some(wanted), number: None };
        let mut why = None;
        let made = trees(
            |take| {
                let read = for_each_batch(&self.hosts, self.draw, &wanted, is_stopping, |batch| {
                    take(&batch.rows.unwrap_or_default()).map_err(|error| Failure::Refused(error.to_string()))
                });
                read.map_err(|failure| {
                    let text = failure.to_string();
                    why = Some(failure);
                    io::Error::other(text)
                })
            },
            &unknown,
            is_stopping,
        );
        let made = made.map_err(|error| why.unwrap_or_else(|| Failure::Refused(error.to_string())))?;
        let mut roots = self.roots.lock();
        for (agency, tree) in made {
            roots.insert(agency, (tree.leaves(), tree.root()));
        }
        Ok(())
    }

    /// The winners with this number, copied to where pages are made of them. Before the draw they are found and stored.
    pub fn winners(&self, number: u32) -> Result<Winners, Failure> {
        let is_drawn = {
            let view = self.view.read();
            view.phase == Phase::Drawn && view.number == Some(number)
        };
        let mut why = None;
        let collected = Winners::collect(
            || tempfile::spooled_tempfile(Winners::IN_MEMORY),
            |found| {
                let mut add = |page: &[Winner]| {
                    let add = |(agency, _, document): &Winner| {
                        found.add(AgencyId(agency.unsigned_abs()), document.as_bytes())
                    };
                    page.iter().try_for_each(add).map_err(|error| Failure::Refused(error.to_string()))
                };
                let done =
                    if is_drawn { self.read_winners(number, &mut add) } else { self.find_winners(number, &mut add) };
                done.map_err(|failure| {
                    let text = failure.to_string();
                    why = Some(failure);
                    io::Error::other(text)
                })
            },
        );
        collected.map_err(|error| why.unwrap_or_else(|| Failure::Refused(format!("cannot keep the winners: {error}"))))
    }

    fn read_winners(&self, number: u32, add: &mut dyn FnMut(&[Winner]) -> Result<(), Failure>) -> Result<(), Failure> {
        let (mut after, mut session) = ((0_i32, -1_i64), None);
        loop {
            let rows = self.hosts.with_patience(&mut session, &|| self.is_stopping(), |session| {
                let params = params![self.draw, i64::from(number), after.0, after.1, PAGE as i64];
                session.rows(READ, params, self.hosts.limits().patience)
            })?;
            let read = |row| Ok((column(row, 0)?, column(row, 1)?, column(row, 2)?));
            let page = rows.iter().map(read).collect::<Result<Vec<Winner>, Failure>>()?;
            add(&page)?;
            match page.last() {
                Some((agency, place, _)) if page.len() == PAGE => after = (*agency, *place),
                _ => return Ok(()),
            }
        }
    }

    fn find_winners(&self, number: u32, add: &mut dyn FnMut(&[Winner]) -> Result<(), Failure>) -> Result<(), Failure> {
        let finder = WinnerFinder::new(number);
        let is_stopping = || self.is_stopping();
        let (mut page, mut session) = (Vec::new(), None);
        let mut put = |page: &mut Vec<Winner>, session: &mut Option<Session>| {
            add(page)?;
            self.store_winners(number, page, session)?;
            page.clear();
            Ok::<_, Failure>(())
        };
        let wanted = Wanted { agencies: None, number: Some(number) };
        for_each_batch(&self.hosts, self.draw, &wanted, &is_stopping, |batch| {
            let Batch { agency, place, rows: Some(rows) } = batch else { return Ok(()) };
            let mut start = 0;
            for (nth, end) in memchr_iter(b'\n', &rows).enumerate() {
                if let Some((_, document)) = finder.winners(&rows[start..=end]).next() {
                    let document = String::from_utf8_lossy(document).into_owned();
                    page.push((agency.cast_signed(), place.cast_signed() + nth as i64, document));
                }
                start = end + 1;
            }
            if page.len() >= PAGE { put(&mut page, &mut session) } else { Ok(()) }
        })?;
        put(&mut page, &mut session)
    }

    /// Stores winners. They follow from the bets and the number, so whoever finds them again stores the same.
    fn store_winners(&self, number: u32, page: &[Winner], session: &mut Option<Session>) -> Result<(), Failure> {
        if page.is_empty() {
            return Ok(());
        }
        let agencies: Vec<i32> = page.iter().map(|winner| winner.0).collect();
        let places: Vec<i64> = page.iter().map(|winner| winner.1).collect();
        let documents: Vec<String> = page.iter().map(|winner| winner.2.clone()).collect();
        self.hosts.with_patience(session, &|| self.is_stopping(), |session| {
            let params = params![self.draw, i64::from(number), agencies.clone(), places.clone(), documents.clone()];
            session.rows(INSERT, params, self.hosts.limits().commit).map(drop)
        })
    }
}
