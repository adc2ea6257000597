//! A copy of where the lottery stands, a moment old. It says when to look, and is told nowhere as it is but in the number of
//! bets and of agencies that are done.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use crate::database::{Ask, Failure, Row, Session, column, params};
use crate::domain::acta::{self, Acta};
use crate::domain::{Account, AgencyId, Checksum, Draw, SealStep, Status};
use crate::ledger::State;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    #[default]
    Open,
    Sealed,
    Drawn,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    pub done: BTreeSet<AgencyId>,
    pub bets: u64,
    /// The agencies that have bets or are done, in order.
    pub accounts: Vec<(AgencyId, Account)>,
    pub phase: Phase,
    pub number: Option<u32>,
    pub acta: Option<Arc<Acta>>,
    /// This process has to tell the log of the seal, or of the draw: it has made them, and has not told.
    pub owes_seal: bool,
    pub owes_draw: bool,
}

/// What this process tells of although another has made it: nobody had told of it at its start, so that one may have died.
#[derive(Clone, Copy)]
pub struct Adopted {
    pub seal: bool,
    pub draw: bool,
}

const READ: &str = "SELECT phase, number, sealed_by, drawn_by, seal_told, draw_told, CASE WHEN phase <> $2 THEN acta END \
    FROM draws WHERE id = $1 FOR UPDATE";
const ACCOUNTS: &str = "SELECT agency, stored, checksum, done FROM agencies \
    WHERE draw = $1 AND (stored > 0 OR done IS NOT NULL) ORDER BY agency";

impl Phase {
    pub fn parse(text: &str) -> Result<Phase, Failure> {
        match text {
            "open" => Ok(Phase::Open),
            "sealed" => Ok(Phase::Sealed),
            "drawn" => Ok(Phase::Drawn),
            _ => Err(Failure::Misfit(format!("the draw has the phase {text}, which this program does not know"))),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Phase::Open => "open",
            Phase::Sealed => "sealed",
            Phase::Drawn => "drawn",
        }
    }
}

impl View {
    pub fn state(&self) -> State {
        // What another central has made, that central announces.
        let seal = match (self.phase, self.owes_seal) {
            (Phase::Open, _) => SealStep::Open,
            (_, true) => SealStep::Sealed,
            (_, false) => SealStep::Announced,
        };
        let draw = match self.number {
            Some(number) => Draw::Held { number, is_announced: !self.owes_draw },
            None => Draw::Open,
        };
        let highest = self.done.last().map_or(0, |agency| agency.0);
        State { done: self.done.len() as u32, highest, bets: self.bets, seal, draw, broken: None }
    }

    /// Reads it anew, in a transaction that has committed.
    pub fn read(
        session: &Session,
        draw: i32,
        central: &str,
        before: &View,
        adopts: Adopted,
        limit: Duration,
    ) -> Result<View, Failure> {
        session.run("BEGIN", limit)?;
        let rows = session.rows(READ, params![draw, before.phase.name().to_owned()], limit)?;
        let row = rows.first().ok_or_else(|| Failure::Misfit("the draw is gone: it was retired".to_owned()))?;
        let phase = Phase::parse(column(row, 0)?)?;
        let number = column::<Option<i64>>(row, 1)?.and_then(|number| u32::try_from(number).ok());
        let [sealed_by, drawn_by] = [column::<Option<String>>(row, 2)?, column::<Option<String>>(row, 3)?];
        let [seal_told, draw_told] = [column::<bool>(row, 4)?, column::<bool>(row, 5)?];
        let acta = match column::<Option<&str>>(row, 6)? {
            Some(text) => Some(Arc::new(parse_acta(text)?)),
            None => before.acta.clone(),
        };
        let is_ours = |by: Option<String>| by.is_some_and(|by| by == central);
        let accounts = session.rows(ACCOUNTS, params![draw], limit)?;
        let accounts: Vec<_> = accounts.iter().map(account).collect::<Result<_, Failure>>()?;
        let done = accounts.iter().filter(|(_, account)| account.done.is_some());
        let view = View {
            done: done.map(|(agency, _)| *agency).collect(),
            bets: accounts.iter().map(|(_, account)| account.stored).sum(),
            accounts,
            phase,
            number,
            acta,
            owes_seal: phase != Phase::Open && !seal_told && (adopts.seal || is_ours(sealed_by)),
            owes_draw: phase == Phase::Drawn && !draw_told && (adopts.draw || is_ours(drawn_by)),
        };
        session.commit(limit)?;
        Ok(view)
    }
}

/// An agency's account, of a row of its number, its bets, their checksum and its mark.
pub fn account(row: &Row) -> Result<(AgencyId, Account), Failure> {
    let agency = AgencyId(column::<i32>(row, 0)?.unsigned_abs());
    let (stored, checksum): (i64, i64) = (column(row, 1)?, column(row, 2)?);
    let bad = |what: &str| Failure::Misfit(format!("agency {agency} has {what} that no central writes"));
    let stored = u64::try_from(stored).map_err(|_| bad("a number of bets"))?;
    let checksum = Checksum(u32::try_from(checksum).map_err(|_| bad("a checksum"))?);
    let done = column::<Option<&str>>(row, 3)?.map(str::parse::<Status>).transpose();
    Ok((agency, Account { stored, checksum, done: done.map_err(|()| bad("a mark"))? }))
}

pub fn parse_acta(text: &str) -> Result<Acta, Failure> {
    acta::read(text.as_bytes()).map_err(|what| Failure::Refused(format!("the acta that is stored: {what}")))
}

impl Shared {
    /// Takes over what was read. True if it is news, and not only about the number of bets. A step that was taken is never taken
    /// back, whatever a server says that has lost it.
    pub fn take_view(&self, new: View) -> bool {
        let mut view = self.view.write();
        if (new.phase as u8) < (view.phase as u8) {
            return false;
        }
        let is_news = View { bets: new.bets, accounts: new.accounts.clone(), ..view.clone() } != new;
        let done: BTreeSet<AgencyId> = view.done.union(&new.done).copied().collect();
        *view = View { done, ..new };
        is_news
    }

    /// Reads the view over this session and takes it over.
    pub fn refresh(&self, session: &Session) -> Result<bool, Failure> {
        let before = self.view.read().clone();
        // What was adopted at the start stays ours until it is told.
        let adopts = Adopted { seal: before.owes_seal, draw: before.owes_draw };
        let limit = self.hosts.limits().commit;
        let new = View::read(session, self.draw, &self.central, &before, adopts, limit)?;
        Ok(self.take_view(new))
    }
}

/// What the watch asks to find out whether there is news, without a lock: it tells nobody of it.
pub fn peek(
    session: &Session,
    statement: &crate::database::Statement,
    draw: i32,
    limit: Duration,
) -> Result<String, Failure> {
    let answers = session.ask(vec![Ask::Rows(statement.clone(), params![draw])], limit)?;
    let rows = answers.into_iter().next().map(crate::database::Answer::rows).unwrap_or_default();
    let row = rows.first().ok_or_else(|| Failure::Misfit("the draw is gone: it was retired".to_owned()))?;
    column(row, 0)
}
