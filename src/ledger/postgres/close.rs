//! The close of a lottery that several centrals hold. Everything is computed without locks; then a short transaction locks the
//! draw, looks whether another was faster, and writes.

use std::sync::Arc;

use super::view::{Phase, View};
use super::{Shared, failed};
use crate::database::{Failure, Session, column, params};
use crate::domain::acta::{self, Acta, ActaDraw, ActaLine};
use crate::domain::seal::Declared;
use crate::domain::{AgencyId, Status, WinningNumber};
use crate::ledger::entry::IsStopping;
use crate::ledger::files::SignedLine;
use crate::ledger::{DrawOrder, Held, Sign, StorageError, Winners, now};

const LOCK: &str = "SELECT phase, sealed_by, drawn_by, acta, number FROM draws WHERE id = $1 FOR UPDATE";
const AGENCIES: &str = "SELECT agency, stored, done, declaration FROM agencies WHERE draw = $1 ORDER BY agency";
const SEAL: &str = "UPDATE draws SET phase = 'sealed', seal = $2, acta = $3, sealed_by = $4 WHERE id = $1";
const DRAW: &str = "UPDATE draws SET phase = 'drawn', number = $2, acta = $3, drawn_by = $4 WHERE id = $1";

/// The draw's row, which this transaction has locked.
struct Locked {
    phase: Phase,
    sealed_by: Option<String>,
    drawn_by: Option<String>,
    acta: Option<Acta>,
    number: Option<u32>,
}

impl Shared {
    /// Seals what is stored, if every agency is done and nobody has sealed it before.
    pub fn close_betting(
        &self,
        agencies: u32,
        sign: Sign<'_>,
        is_stopping: IsStopping<'_>,
    ) -> Result<Held, StorageError> {
        let is_open = self.view.read().phase == Phase::Open;
        if is_open {
            let all: Vec<AgencyId> = (1..=agencies).map(AgencyId).collect();
            self.weigh(&all, is_stopping).map_err(|failure| failed(&failure))?;
        }
        let mut session = None;
        let held = self.hosts.with_patience(&mut session, is_stopping, |session| self.try_seal(session, sign));
        held.map_err(|failure| failed(&failure))
    }

    fn try_seal(&self, session: &Session, sign: Sign<'_>) -> Result<Held, Failure> {
        let limit = self.hosts.limits().commit;
        let locked = self.lock(session)?;
        if locked.phase != Phase::Open {
            session.commit(limit)?;
            // An attempt of ours may have been stored although its end was not heard.
            let is_ours = locked.phase == Phase::Sealed && locked.sealed_by.as_ref() == Some(&self.central);
            self.refresh(session)?;
            return Ok(if is_ours && self.view.read().owes_seal { Held::ByUs } else { Held::Before });
        }
        let Some(acta) = self.closing_acta(session)? else {
            session.commit(limit)?;
            return Ok(Held::NotDue);
        };
        let signed = sign(&acta.sealed().statement()).map_err(|StorageError(reason)| Failure::Refused(reason))?;
        let acta = Acta { signed, ..acta };
        let text = acta::write(&acta).map_err(Failure::Refused)?;
        let params = params![self.draw, acta.seal.to_string(), text, self.central.clone()];
        session.rows(SEAL, params, limit)?;
        session.commit(limit)?;
        let view = self.view.read().clone();
        self.take_view(View { phase: Phase::Sealed, acta: Some(Arc::new(acta)), owes_seal: true, ..view });
        Ok(Held::ByUs)
    }

    /// The acta of what is stored. None if an agency is not done, or its root is over fewer bets.
    fn closing_acta(&self, session: &Session) -> Result<Option<Acta>, Failure> {
        let rows = session.rows(AGENCIES, params![self.draw], self.hosts.limits().commit)?;
        let roots = self.roots.lock();
        let mut lines = Vec::with_capacity(rows.len());
        for row in &rows {
            let (agency, stored): (i32, i64) = (column(row, 0)?, column(row, 1)?);
            let (agency, bets) = (AgencyId(agency.unsigned_abs()), stored.unsigned_abs());
            let Some(done) = column::<Option<&str>>(row, 2)? else { return Ok(None) };
            let bad = |what: &str| Failure::Misfit(format!("agency {agency} has {what} that no central writes"));
            let status: Status = done.parse().map_err(|()| bad("a mark"))?;
            let Some((_, root)) = roots.get(&agency).copied().filter(|(over, _)| *over == bets) else {
                return Ok(None);
            };
            let signed = match column::<Option<&str>>(row, 3)? {
                Some(text) if status == Status::Signed => {
                    let line: SignedLine = serde_json::from_str(text).map_err(|_| bad("a declaration"))?;
                    let declared = Declared { bets: line.bets, root: line.root };
                    Some(line.signed).filter(|_| declared == Declared { bets, root })
                }
                _ => None,
            };
            lines.push(ActaLine { agency: agency.0, bets, root, status, signed, winners: None });
        }
        // There is no lottery without agencies.
        Ok((!lines.is_empty()).then(|| Acta::closing(self.secrets.lottery, lines, now())))
    }

    /// Puts the draw into the acta, unless another has held it.
    pub fn record_draw(&self, order: &DrawOrder, winners: &Winners) -> Result<Held, StorageError> {
        let mut session = None;
        let is_stopping = || self.is_stopping();
        let held =
            self.hosts.with_patience(&mut session, &is_stopping, |session| self.try_draw(session, order, winners));
        held.map_err(|failure| failed(&failure))
    }

    fn try_draw(&self, session: &Session, order: &DrawOrder, winners: &Winners) -> Result<Held, Failure> {
        let limit = self.hosts.limits().commit;
        let locked = self.lock(session)?;
        let sealed = match (locked.phase, locked.acta) {
            (Phase::Sealed, Some(sealed)) => sealed,
            (Phase::Drawn, _) => {
                session.commit(limit)?;
                let is_ours = locked.drawn_by.as_ref() == Some(&self.central) && locked.number == Some(order.number);
                self.refresh(session)?;
                return Ok(if is_ours && self.view.read().owes_draw { Held::ByUs } else { Held::Before });
            }
            _ => {
                session.commit(limit)?;
                return Ok(Held::NotDue);
            }
        };
        let number = order.number;
        let later = self.rules.winning_number == WinningNumber::Later;
        let draw = ActaDraw { number, later, drawn_at: now(), signed: order.signed.clone() };
        let acta = sealed.drawn(draw, |agency| winners.count(agency));
        let text = acta::write(&acta).map_err(Failure::Refused)?;
        session.rows(DRAW, params![self.draw, i64::from(number), text, self.central.clone()], limit)?;
        session.commit(limit)?;
        let view = self.view.read().clone();
        let acta = Some(Arc::new(acta));
        self.take_view(View { phase: Phase::Drawn, number: Some(number), acta, owes_draw: true, ..view });
        Ok(Held::ByUs)
    }

    fn lock(&self, session: &Session) -> Result<Locked, Failure> {
        let limit = self.hosts.limits().commit;
        session.run("BEGIN", limit)?;
        let rows = session.rows(LOCK, params![self.draw], limit)?;
        let row = rows.first().ok_or_else(|| Failure::Misfit("the draw is gone: it was retired".to_owned()))?;
        let acta = column::<Option<&str>>(row, 3)?.map(super::view::parse_acta).transpose()?;
        let number = column::<Option<i64>>(row, 4)?.and_then(|number| u32::try_from(number).ok());
        let phase = Phase::parse(column(row, 0)?)?;
        Ok(Locked { phase, sealed_by: column(row, 1)?, drawn_by: column(row, 2)?, acta, number })
    }
}
