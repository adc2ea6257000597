//! The close of a lottery: the roots of what is stored, the seal over them, and the draw. Each step is on disk before anybody
//! hears of it: the new acta first, then the journal's record of it, and then its name.

use std::collections::BTreeMap;
use std::io;

use super::papers::ACTA;
use super::rows::for_each_chunk;
use super::writer::Writer;
use super::{BETS, Change, Files};
use crate::domain::acta::{Acta, ActaDraw, ActaLine, Signed};
use crate::domain::seal::Declared;
use crate::domain::tree::Tree;
use crate::domain::{AgencyId, Draw, SealStep, Secret, Status, WinningNumber};
use crate::ledger::now;
use crate::ledger::trees::trees;
use crate::ledger::{DrawOrder, Held, IsStopping, Sign, StorageError, Winners};

impl Files {
    /// Seals what is stored, if every agency is done.
    pub(super) fn close_betting(
        &self,
        agencies: u32,
        sign: Sign<'_>,
        is_stopping: IsStopping<'_>,
    ) -> Result<Held, StorageError> {
        self.weigh_all((1..=agencies).map(AgencyId), is_stopping)?;
        let mut writer = self.writer.lock();
        if writer.papers.acta.is_some() {
            writer.papers.name_acta(&*self.folder).map_err(|error| cannot_name(&error))?;
            return Ok(Held::Before);
        }
        let Some(acta) = self.closing_acta(&writer, agencies)? else { return Ok(Held::NotDue) };
        let acta = Acta { signed: sign(&acta.sealed().statement())?, ..acta };
        let extent = writer.papers.write_acta(&*self.folder, &acta).map_err(|error| cannot_write(&error))?;
        let change = Change { seal: Some(extent), ..Change::default() };
        writer.commit(&*self.folder, &self.register.read(), &change)?;
        self.register.write().advance_seal(SealStep::Sealed);
        writer.papers.take_acta(acta, extent);
        writer.papers.name_acta(&*self.folder).map_err(|error| cannot_name(&error))?;
        Ok(Held::ByUs)
    }

    /// Puts the draw into the acta, and records it.
    pub(super) fn record_draw(&self, order: &DrawOrder, winners: &Winners) -> Result<Held, StorageError> {
        let mut writer = self.writer.lock();
        let Some(sealed) = writer.papers.acta.clone() else { return Ok(Held::NotDue) };
        // The new acta would take the place of one that has no name yet.
        writer.papers.name_acta(&*self.folder).map_err(|error| cannot_name(&error))?;
        if sealed.draw.is_some() {
            return Ok(Held::Before);
        }
        // A draw of a format without seals was held before its seal.
        let (number, is_new) = match self.register.read().draw() {
            Draw::Held { number, .. } => (number, false),
            Draw::Open => (order.number, true),
        };
        let later = self.rules.winning_number == WinningNumber::Later;
        let draw = ActaDraw { number, later, drawn_at: now(), signed: order.signed.clone() };
        let acta = sealed.drawn(draw, |agency| winners.count(agency));
        let extent = writer.papers.write_acta(&*self.folder, &acta).map_err(|error| cannot_write(&error))?;
        let change = Change { draw: Some((number, extent)), ..Change::default() };
        writer.commit(&*self.folder, &self.register.read(), &change)?;
        self.register.write().hold_draw(number);
        writer.papers.take_acta(acta, extent);
        writer.papers.name_acta(&*self.folder).map_err(|error| cannot_name(&error))?;
        Ok(if is_new { Held::ByUs } else { Held::Before })
    }

    /// Computes the roots that are not known yet. No lock is held meanwhile.
    pub(super) fn weigh_all(
        &self,
        agencies: impl Iterator<Item = AgencyId>,
        is_stopping: IsStopping<'_>,
    ) -> Result<(), StorageError> {
        let (bets, length, store_secret) = {
            let writer = self.writer.lock();
            let (bets, length) = writer.committed_bets();
            (bets, length, writer.papers.secrets.secret)
        };
        let mut unknown: BTreeMap<AgencyId, Secret> = BTreeMap::new();
        {
            let mut register = self.register.write();
            for agency in agencies {
                match register.account(agency).stored {
                    0 => register.set_root(agency, 0, Tree::default().root()),
                    stored if register.root(agency, stored).is_some() => {}
                    _ => _ = unknown.insert(agency, store_secret.of_agency(agency)),
                }
            }
        }
        if unknown.is_empty() {
            return Ok(());
        }
        let trees = trees(|take| for_each_chunk(&*bets, 0, length, take), &unknown, is_stopping)
            .map_err(|error| StorageError(format!("{BETS}: cannot compute the hash trees: {error}")))?;
        let mut register = self.register.write();
        for (agency, tree) in trees {
            register.set_root(agency, tree.leaves(), tree.root());
        }
        Ok(())
    }

    /// The acta of the lottery as it is stored now. None if an agency is not done, or has stored more since its root was
    /// computed.
    fn closing_acta(&self, writer: &Writer, agencies: u32) -> Result<Option<Acta>, StorageError> {
        let register = self.register.read();
        let is_due = register.draw() != Draw::Open || (agencies > 0 && register.done() == agencies);
        if !is_due {
            return Ok(None);
        }
        let mut signatures: BTreeMap<AgencyId, (Declared, Signed)> = writer
            .papers
            .signatures(&*self.folder)
            .map_err(StorageError)?
            .into_iter()
            .map(|(agency, declared, signed)| (agency, (declared, signed)))
            .collect();
        let mut lines = Vec::new();
        for agency in (1..=agencies).map(AgencyId) {
            let account = register.account(agency);
            let Some(root) = register.root(agency, account.stored) else { return Ok(None) };
            let status = account.done.unwrap_or(Status::Undeclared);
            let declared = Declared { bets: account.stored, root };
            let signed =
                signatures.remove(&agency).filter(|(signed, _)| status == Status::Signed && *signed == declared);
            let signed = signed.map(|(_, signed)| signed);
            lines.push(ActaLine { agency: agency.0, bets: account.stored, root, status, signed, winners: None });
        }
        Ok(Some(Acta::closing(writer.papers.secrets.lottery, lines, now())))
    }
}

fn cannot_write(error: &io::Error) -> StorageError {
    StorageError(format!("{ACTA}: cannot write: {error}"))
}

fn cannot_name(error: &io::Error) -> StorageError {
    StorageError(format!("{ACTA}: cannot be put in place: {error}"))
}
