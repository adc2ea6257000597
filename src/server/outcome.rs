//! The outcome of a request: one value. One function logs it, and one makes the reply.

use std::collections::VecDeque;

use log::Level;
use parking_lot::Mutex;

use crate::domain::acta::StoreSecrets;
use crate::domain::{AgencyId, Phase};
use crate::ledger::{Declaration, Verdict};
use crate::logging::{Event, EventResult};
use crate::wire::{Documents, Drawn, Malformed, Refusal, Reply, Stand, Standing, Verb};

/// A request that stands in line.
#[derive(Debug)]
pub enum Asked {
    Bet { agency: AgencyId, document: String, number: String },
    Batch { agency: AgencyId, count: u32 },
    Done { agency: AgencyId, declaration: Option<Declaration> },
    Hello { agency: AgencyId, more: bool },
}

#[derive(Debug)]
pub enum Outcome {
    /// A bet or a batch is stored, or so many of its bets were stored before.
    Bet {
        agency: AgencyId,
        document: String,
        number: String,
        result: Result<u64, Refusal>,
    },
    Batch {
        agency: AgencyId,
        count: u32,
        result: Result<u64, Refusal>,
    },
    Done {
        agency: AgencyId,
        result: Result<(), Refusal>,
    },
    Hello {
        agency: AgencyId,
        result: Result<Standing, Refusal>,
    },
    /// The list that was told, and how many winners the agency has in all.
    Winners {
        agency: AgencyId,
        result: Result<(Documents, u64), Refusal>,
    },
    WaitDraw {
        result: Result<(), Refusal>,
    },
    WaitSeal {
        agency: AgencyId,
        refusal: Refusal,
    },
    /// What GET_DRAW or HOLD_DRAW was answered.
    Drawn {
        result: Result<Drawn, Refusal>,
    },
    Status {
        result: Result<Stand, Refusal>,
    },
    /// The frame was no request.
    Malformed(Malformed),
}

/// What became of the requests that a connection put in line, in their order, until its session takes them.
#[derive(Default)]
pub struct Outcomes(Mutex<VecDeque<Outcome>>);

impl Outcomes {
    pub fn push(&self, outcome: Outcome) {
        self.0.lock().push_back(outcome);
    }

    pub fn pop(&self) -> Option<Outcome> {
        let mut outcomes = self.0.lock();
        let oldest = outcomes.pop_front();
        if outcomes.is_empty() {
            // Thousands of connections are idle: none keeps a buffer.
            *outcomes = VecDeque::new();
        }
        oldest
    }
}

impl Asked {
    /// The outcome that a verdict means. `is_drawn` says that the draw was held and announced; `secrets` are the store's, once
    /// it has any that last.
    pub fn settle(self, verdict: Verdict, is_drawn: bool, secrets: Option<&StoreSecrets>) -> Outcome {
        match self {
            Asked::Bet { agency, document, number } => {
                Outcome::Bet { agency, document, number, result: stored(verdict) }
            }
            Asked::Batch { agency, count } => Outcome::Batch { agency, count, result: stored(verdict) },
            Asked::Done { agency, .. } => Outcome::Done { agency, result: stored(verdict).map(|_| ()) },
            Asked::Hello { agency, more } => {
                let secrets = secrets.filter(|_| more);
                let identity = secrets.map(|secrets| (secrets.lottery, secrets.secret.of_agency(agency)));
                let standing = standing(verdict, is_drawn, more);
                Outcome::Hello { agency, result: standing.map(|standing| Standing { identity, ..standing }) }
            }
        }
    }

    /// The agency and what it declares, if it has asked to be done.
    pub fn done(&self) -> Option<(AgencyId, Option<Declaration>)> {
        match self {
            Asked::Done { agency, declaration } => Some((*agency, declaration.clone())),
            Asked::Bet { .. } | Asked::Batch { .. } | Asked::Hello { .. } => None,
        }
    }

    pub fn refuse(self, refusal: Refusal) -> Outcome {
        match self {
            Asked::Bet { agency, document, number } => Outcome::Bet { agency, document, number, result: Err(refusal) },
            Asked::Batch { agency, count } => Outcome::Batch { agency, count, result: Err(refusal) },
            Asked::Done { agency, .. } => Outcome::Done { agency, result: Err(refusal) },
            Asked::Hello { agency, .. } => Outcome::Hello { agency, result: Err(refusal) },
        }
    }
}

fn stored(verdict: Verdict) -> Result<u64, Refusal> {
    match verdict {
        Verdict::Stored { already } => Ok(already),
        Verdict::Marked | Verdict::Account { .. } => Ok(0),
        Verdict::Closed => Err(Refusal::Closed),
        Verdict::Gap => Err(Refusal::Gap),
        Verdict::Stale => Err(Refusal::Stale),
        Verdict::Conflict => Err(Refusal::Conflict),
        Verdict::Unbalanced { stored } => Err(Refusal::Unbalanced { stored }),
        // The central computes what is missing, and asks for a verdict again.
        Verdict::Unweighed => Err(Refusal::NotReady),
        Verdict::Failed(error) => Err(Refusal::Storage(error.0)),
    }
}

fn standing(verdict: Verdict, is_drawn: bool, more: bool) -> Result<Standing, Refusal> {
    let Verdict::Account { stored: bets, checksum, is_closed } = verdict else {
        return stored(verdict).map(|stored| Standing { stored, phase: Phase::Open, checksum: None, identity: None });
    };
    let phase = match (is_drawn, is_closed) {
        (true, _) => Phase::Drawn,
        (false, true) => Phase::Done,
        (false, false) => Phase::Open,
    };
    Ok(Standing { stored: bets, phase, checksum: more.then_some(checksum), identity: None })
}

impl Outcome {
    pub fn is_storage_failure(&self) -> bool {
        matches!(self.refusal(), Some(Refusal::Storage(_)))
    }

    /// Whose request it was, as far as that is known.
    pub fn agency(&self) -> Option<AgencyId> {
        match self {
            Outcome::Bet { agency, .. }
            | Outcome::Batch { agency, .. }
            | Outcome::Done { agency, .. }
            | Outcome::Hello { agency, .. }
            | Outcome::Winners { agency, .. }
            | Outcome::WaitSeal { agency, .. } => Some(*agency),
            Outcome::WaitDraw { .. } | Outcome::Drawn { .. } | Outcome::Status { .. } | Outcome::Malformed(_) => None,
        }
    }

    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Outcome::Bet { result, .. } | Outcome::Batch { result, .. } => result.as_ref().err(),
            Outcome::Done { result, .. } | Outcome::WaitDraw { result } => result.as_ref().err(),
            Outcome::Hello { result, .. } => result.as_ref().err(),
            Outcome::Winners { result, .. } => result.as_ref().err(),
            Outcome::WaitSeal { refusal, .. } => Some(refusal),
            Outcome::Drawn { result } => result.as_ref().err(),
            Outcome::Status { result } => result.as_ref().err(),
            Outcome::Malformed(malformed) => Some(&malformed.refusal),
        }
    }

    /// Tells the log. Nothing else writes these actions.
    pub fn log(&self) {
        if matches!(self.refusal(), Some(Refusal::Identity(_))) {
            // `Central::admit` has logged it.
            return;
        }
        let quiet = |action, outcome| Event::new(Level::Debug, action, outcome);
        let event = match self {
            Outcome::Bet { agency, document, number, result } => {
                let is_repeated = *result == Ok(1);
                let event =
                    if is_repeated { event("apuesta_repetida", result) } else { event("apuesta_almacenada", result) };
                event.with("dni", document).with("numero", number).with("client_id", agency)
            }
            Outcome::Batch { agency, count, result } => {
                let (already, all) = (result.as_ref().copied().unwrap_or(0), u64::from(*count));
                let event =
                    if already == all { event("apuesta_repetida", result) } else { event("apuesta_recibida", result) };
                let event = event.with("cantidad", count).with("client_id", agency);
                if (1..all).contains(&already) { event.with("repetidas", already) } else { event }
            }
            Outcome::Done { agency, result } => event("agencia_finalizada", result).with("client_id", agency),
            Outcome::Hello { agency, result: Ok(standing) } => {
                let event = Event::new(Level::Debug, "hello", EventResult::Success);
                event.with("client_id", agency).with("stored", standing.stored)
            }
            Outcome::Winners { agency, result: Ok((_, total)) } => {
                let event = Event::new(Level::Debug, "ganadores_enviados", EventResult::Success);
                event.with("client_id", agency).with("cant_ganadores", total)
            }
            Outcome::Winners { agency, result: Err(Refusal::NotReady) } => {
                // Nothing is wrong: it is early.
                return quiet("ganadores_enviados", EventResult::InProgress).with("client_id", agency).log();
            }
            Outcome::Winners { agency, result: Err(Refusal::TooMany { .. }) } => {
                // It will ask for pages.
                quiet("receive_message", EventResult::Fail).with("client_id", agency)
            }
            Outcome::Hello { agency, .. } | Outcome::Winners { agency, .. } => {
                Event::fail("receive_message").with("client_id", agency)
            }
            Outcome::WaitDraw { result: Ok(()) } => return,
            Outcome::Drawn { result: Ok(_) } | Outcome::Status { result: Ok(_) } => return,
            Outcome::Drawn { result: Err(Refusal::NotReady) } => return,
            Outcome::WaitSeal { agency, .. } => Event::fail("receive_message").with("client_id", agency),
            Outcome::WaitDraw { .. } | Outcome::Drawn { .. } | Outcome::Status { .. } => Event::fail("receive_message"),
            Outcome::Malformed(Malformed { verb, .. }) => match verb {
                Some(Verb::Bet) => Event::fail("apuesta_almacenada"),
                Some(Verb::Batch { count }) => Event::fail("apuesta_recibida").with("cantidad", count),
                Some(
                    Verb::Done
                    | Verb::GetWinners { .. }
                    | Verb::Hello
                    | Verb::WaitDraw
                    | Verb::WaitSeal
                    | Verb::GetDraw
                    | Verb::HoldDraw
                    | Verb::Status,
                )
                | None => Event::fail("receive_message"),
            },
        };
        match self.refusal() {
            Some(refusal) => event.with("error", refusal).log(),
            None => event.log(),
        }
    }

    pub fn reply(self) -> Reply {
        match self {
            Outcome::Bet { result, .. } => Reply::Ack(result.map(|_| ())),
            Outcome::Batch { count, result, .. } => Reply::AckBatch { count, result: result.map(|_| ()) },
            Outcome::Done { result, .. } => Reply::AckDone(result),
            Outcome::Hello { result, .. } => Reply::Hello(result),
            Outcome::Winners { result, .. } => Reply::Winners(result.map(|(documents, _)| documents)),
            Outcome::WaitDraw { result } => Reply::Draw(result),
            Outcome::WaitSeal { refusal, .. } => Reply::Seal(Err(refusal)),
            Outcome::Drawn { result } => Reply::Drawn(result),
            Outcome::Status { result } => Reply::Status(result),
            Outcome::Malformed(Malformed { verb, refusal }) => Reply::refusal(verb, refusal),
        }
    }
}

fn event<T>(action: &str, result: &Result<T, Refusal>) -> Event {
    if result.is_ok() { Event::success(action) } else { Event::fail(action) }
}
