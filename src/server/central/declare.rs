//! DONE, and what an agency declares with it. Its balance is judged by the ledger, which needs the root of what is stored:
//! a worker computes that, and then the DONE is put in line again.

use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::super::admit::Admitted;
use super::super::outcome::Asked;
use super::{Answer, Asker, Central, Client, Order};
use crate::config::{ServerConfig, Unbalanced};
use crate::domain::AgencyId;
use crate::ledger::{Declaration, Entry, Verdict};
use crate::transport::Who;
use crate::wire::{self, Refusal};

/// The declarations that wait for a root, and how they are judged.
pub struct Declarations {
    is_forced: bool,
    needs_signature: bool,
    waiting: Mutex<Vec<(Asked, Arc<dyn Client>)>>,
    /// A worker computes roots.
    is_weighing: AtomicBool,
    /// Agencies whose last declaration was refused.
    unbalanced: Mutex<BTreeSet<AgencyId>>,
}

impl Declarations {
    pub fn new(config: &ServerConfig) -> Declarations {
        Declarations {
            is_forced: config.unbalanced == Unbalanced::Accept,
            needs_signature: config.require_signed,
            waiting: Mutex::default(),
            is_weighing: AtomicBool::new(false),
            unbalanced: Mutex::default(),
        }
    }

    pub fn unbalanced(&self) -> Vec<AgencyId> {
        self.unbalanced.lock().iter().copied().collect()
    }
}

impl Central {
    pub(super) fn take_done(
        &self,
        asker: &mut Asker<'_>,
        admitted: Result<Admitted, Refusal>,
        agency: AgencyId,
        said: Option<wire::Declaration<'_>>,
    ) -> Answer {
        let checked = admitted.and_then(|admitted| Ok((admitted, self.check_declaration(asker, agency, said)?)));
        let (admitted, declaration) = match checked {
            Ok(checked) => checked,
            Err(refusal) => return Answer::Now(Asked::Done { agency, declaration: None }.refuse(refusal)),
        };
        let is_declared = declaration.is_some();
        let asked = Asked::Done { agency, declaration: declaration.clone() };
        match self.put(asker, Ok(admitted), asked, |agency| Entry::Done { agency: agency.id(), declaration }) {
            // Its verdict may come late, and those of later requests must not overtake it.
            Answer::Settled if is_declared => Answer::SettledAlone,
            answer => answer,
        }
    }

    /// Checks the signature, if there is one or has to be one.
    fn check_declaration(
        &self,
        asker: &Asker<'_>,
        agency: AgencyId,
        said: Option<wire::Declaration<'_>>,
    ) -> Result<Option<Declaration>, Refusal> {
        let signature = said.and_then(|said| said.signature);
        if self.declarations.needs_signature && signature.is_none() {
            return Err(Refusal::other("this central takes a DONE only with the agency's signature"));
        }
        let Some(wire::Declaration { declared, .. }) = said else { return Ok(None) };
        let sign = |signature: &str| {
            if asker.peer.who == Who::Plain {
                return Err(Refusal::other("a signature needs a certificate, and this connection is without TLS"));
            }
            let lottery = self.secrets().map(|secrets| secrets.lottery);
            let lottery = lottery.ok_or_else(|| Refusal::Busy("the store's files cannot be written yet".to_owned()))?;
            asker.signed("DONE", &declared.statement(lottery, agency), signature).map(Box::new)
        };
        let signed = signature.map(sign).transpose()?;
        Ok(Some(Declaration { declared, signed, is_forced: self.declarations.is_forced }))
    }

    /// Takes note of a verdict. A declaration that could not be judged is kept, to be put in line again.
    pub(super) fn note_declaration(
        &self,
        asked: Asked,
        from: Arc<dyn Client>,
        verdict: &Verdict,
    ) -> Option<(Asked, Arc<dyn Client>)> {
        if let Asked::Done { agency, .. } = &asked {
            match verdict {
                Verdict::Unweighed => {
                    self.declarations.waiting.lock().push((asked, from));
                    self.lottery.wake();
                    return None;
                }
                Verdict::Unbalanced { .. } => _ = self.declarations.unbalanced.lock().insert(*agency),
                Verdict::Marked => _ = self.declarations.unbalanced.lock().remove(agency),
                _ => {}
            }
        }
        Some((asked, from))
    }

    /// Whether roots have to be computed, and nobody is at it. Whoever is told so has to have [`Central::weigh`] called.
    pub fn claims_weighing(&self) -> bool {
        let Declarations { waiting, is_weighing, .. } = &self.declarations;
        !waiting.lock().is_empty() && !is_weighing.swap(true, Ordering::SeqCst)
    }

    /// Computes the roots of all agencies that wait for theirs, by one pass, and has their DONE judged again.
    pub fn weigh(&self) {
        let waiting = mem::take(&mut *self.declarations.waiting.lock());
        let agencies: Vec<AgencyId> = waiting.iter().filter_map(|(asked, _)| asked.done().map(|(id, _)| id)).collect();
        let is_stopping = || self.is_stopping.load(Ordering::SeqCst);
        let weighed = self.ledger.store.weigh(&agencies, &is_stopping);
        for (asked, from) in waiting {
            let entry = asked.done().map(|(agency, declaration)| Entry::Done { agency, declaration });
            match (&weighed, entry) {
                (Ok(()), Some(entry)) => self.ledger.line.put_own(entry, Order::Request { asked, from, since: None }),
                (Ok(()), None) => {}
                (Err(error), _) => {
                    let outcome = asked.refuse(Refusal::Busy(error.to_string()));
                    outcome.log();
                    self.count(&outcome);
                    from.settle(outcome);
                    from.wake();
                }
            }
        }
        self.declarations.is_weighing.store(false, Ordering::SeqCst);
        self.lottery.wake();
    }
}
