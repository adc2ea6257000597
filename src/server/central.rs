//! The lottery at work: each request in, its reply out. It knows no socket and writes none; what has to reach the disk
//! first is answered in two steps, so that one sync serves many requests.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use log::Level;
use mio::Waker;
use parking_lot::Mutex;

use super::batch::{Batch, stranger};
use crate::config::ServerConfig;
use crate::domain::{AgencyId, Bet, Phase, Roster};
use crate::error::{Error, Result};
use crate::ledger::{AppendError, Ledger, Receipt, Rows, RowsText, StorageError};
use crate::logging::{self, Event, Outcome};
use crate::wire::frame::MAX_FRAME;
use crate::wire::{BatchHeader, Malformed, Reply, Request, Verb};

/// Documents in one frame: what is left of it behind `WINNERS|OK|<total>|`, with a line feed.
const MAX_PAGE_BYTES: usize = MAX_FRAME - "WINNERS|OK|18446744073709551615|\n".len();
const MAX_UNPAGED_BYTES: usize = MAX_FRAME - "WINNERS|OK|\n".len();

/// See the module.
pub struct Central {
    ledger: Ledger,
    roster: Roster,
    winning_number: u32,
    quiet_time: Duration,
    /// When an agency was last heard of for the first time.
    last_new_agency: Mutex<Instant>,
    /// Set once the draw is held, its winners are known and the log says so.
    announced: AtomicBool,
    /// A worker is holding the draw.
    drawing: AtomicBool,
    /// Wakes the acceptor, for a draw to be held or told of, or for a disk that failed.
    waker: OnceLock<Waker>,
}

/// A request half done.
pub enum Step {
    Answered(Reply),
    /// To be answered once it is on disk.
    Commit(Receipt, Pending),
    /// To be answered once the draw is held.
    WaitDraw,
}

/// What a commit's success or failure is told as.
pub enum Pending {
    Bet { agency: AgencyId, document: String, number: u32 },
    Batch { agency: AgencyId, count: u32 },
    Done { agency: AgencyId },
}

/// A bet's values against the rules, the reason ready to be sent.
pub fn judge(fields: [&str; 5]) -> std::result::Result<Bet<'_>, String> {
    Bet::new(fields).map_err(|error| error.to_string())
}

impl Central {
    pub fn new(config: &ServerConfig, ledger: Ledger) -> Central {
        Central {
            ledger,
            roster: config.roster,
            winning_number: config.winning_number,
            quiet_time: config.quiet_time,
            last_new_agency: Mutex::new(Instant::now()),
            announced: AtomicBool::new(false),
            drawing: AtomicBool::new(false),
            waker: OnceLock::new(),
        }
    }

    pub fn set_waker(&self, waker: Waker) {
        // The acceptor is made once.
        let _ = self.waker.set(waker);
    }

    /// A batch, for whose bets the frame or the frames behind it are to be given.
    pub fn open_batch(&self, header: BatchHeader) -> Batch {
        self.heard_of(header.agency);
        Batch::new(header, self.roster)
    }

    /// Takes any request but a batch, which comes through [`Central::open_batch`] and [`Central::take_batch`].
    pub fn take(&self, request: Request<'_>) -> Step {
        let (Request::Bet { agency, .. }
        | Request::Done { agency }
        | Request::GetWinners { agency, .. }
        | Request::Hello { agency }
        | Request::WaitDraw { agency }) = request
        else {
            return Step::Answered(Reply::Ack(Err("a batch stands where none is expected".to_owned())));
        };
        let refusal = (!self.roster.admits(agency)).then(|| stranger(agency, self.roster));
        self.heard_of(agency);
        match request {
            Request::Bet { fields, first, .. } => self.take_bet(agency, fields, first, refusal),
            Request::Done { .. } => match refusal {
                Some(reason) => Step::Answered(Reply::AckDone(Err(reason))),
                None => self.take_done(agency),
            },
            Request::GetWinners { from, .. } => {
                Step::Answered(Reply::Winners(refusal.map_or_else(|| self.winners(agency, from), Err)))
            }
            Request::Hello { .. } => {
                Step::Answered(Reply::Hello(refusal.map_or_else(|| Ok(self.account(agency)), Err)))
            }
            _ => match refusal {
                Some(reason) => Step::Answered(Reply::Draw(Err(reason))),
                None => Step::WaitDraw,
            },
        }
    }

    /// Takes a batch whose bets have all come, or that has gone wrong.
    pub fn take_batch(&self, batch: Batch) -> Step {
        let header = batch.header;
        let pending = Pending::Batch { agency: header.agency, count: header.count };
        let rows = batch.finish().and_then(finish_rows);
        let receipt = rows.and_then(|rows| self.append(header.agency, header.first, &rows));
        match receipt {
            Ok(receipt) => Step::Commit(receipt, pending),
            Err(reason) => Step::Answered(self.answer(&pending, 0, Err(reason))),
        }
    }

    /// The reply to a frame that is no request.
    pub fn refuse(&self, malformed: Malformed) -> Reply {
        let Malformed { verb, reason } = malformed;
        let event = match verb {
            Verb::Bet => Event::fail("apuesta_almacenada"),
            Verb::Batch { count } => Event::fail("apuesta_recibida").with("cantidad", count),
            _ => Event::fail("receive_message"),
        };
        event.with("error", &reason).log();
        verb.refusal(reason)
    }

    /// The reply to a request, once it can be given. Waiting for the draw is the caller's part.
    pub fn finish(&self, step: Step) -> Reply {
        match step {
            Step::Answered(reply) => reply,
            Step::WaitDraw => Reply::Draw(Ok(())),
            Step::Commit(receipt, pending) => {
                let result = self.ledger.wait(&receipt).map_err(|StorageError(reason)| {
                    self.wake();
                    reason
                });
                self.answer(&pending, receipt.already, result)
            }
        }
    }

    /// Whether [`Central::finish`] would return at once.
    pub fn is_ready(&self, step: &Step) -> bool {
        match step {
            Step::Commit(receipt, _) => self.ledger.is_settled(receipt),
            Step::Answered(_) | Step::WaitDraw => true,
        }
    }

    /// Brings to the disk what requests put in line, until [`Central::close`].
    pub fn write_until_closed(&self) {
        self.ledger.write_until_closed();
    }

    pub fn is_drawn(&self) -> bool {
        self.announced.load(Ordering::SeqCst)
    }

    /// Whether there is a draw to hold, or one whose winners have to be found again, and nobody is at it. Whoever is told
    /// so has to call [`Central::hold_draw`].
    pub fn claims_draw(&self) -> bool {
        !self.is_drawn() && self.draw_is_due() && !self.drawing.swap(true, Ordering::SeqCst)
    }

    /// Takes back [`Central::claims_draw`].
    pub fn unclaim_draw(&self) {
        self.drawing.store(false, Ordering::SeqCst);
    }

    fn draw_is_due(&self) -> bool {
        let quiet = || self.last_new_agency.lock().elapsed() >= self.quiet_time;
        self.ledger.is_drawn() || (self.ledger.draw_is_due() && (self.roster != Roster::Auto || quiet()))
    }

    /// Holds the draw, or finds the winners of one that was held before a restart.
    pub fn hold_draw(&self) {
        let held = self.ledger.hold_draw(self.winning_number).and_then(|held| {
            self.ledger.find_winners()?;
            Ok(held)
        });
        match held {
            Err(StorageError(reason)) => Event::fail("sorteo").with("error", reason).log(),
            Ok(held) => {
                if let Some(number) = held {
                    let winners = self.ledger.total_winners().unwrap_or_default();
                    Event::success("sorteo").with("numero", number).with("ganadores", winners).log();
                }
                self.announced.store(self.ledger.is_drawn(), Ordering::SeqCst);
            }
        }
        self.unclaim_draw();
        self.wake();
    }

    /// An error once nobody can tell any more what is on disk.
    pub fn check_disk(&self) -> Result<()> {
        self.ledger.failure().map_or(Ok(()), |StorageError(reason)| Err(Error::storage(reason)))
    }

    /// Closes the files in order.
    pub fn close(&self) -> Result<()> {
        self.ledger.close().map_err(|StorageError(reason)| Error::storage(reason))
    }

    fn take_bet(&self, agency: AgencyId, fields: [&str; 5], first: Option<u64>, refusal: Option<String>) -> Step {
        let taken = refusal.map_or_else(|| judge(fields), Err).and_then(|bet| {
            let mut rows = Rows::new();
            rows.push(agency, &bet).map_err(|error| error.to_string())?;
            let receipt = self.append(agency, first, &finish_rows(rows)?)?;
            let document = bet.document.to_owned();
            Ok(Step::Commit(receipt, Pending::Bet { agency, document, number: bet.number }))
        });
        taken.unwrap_or_else(|reason| {
            let [_, _, document, _, number] = fields;
            let event = Event::fail("apuesta_almacenada").with("dni", document).with("numero", number);
            event.with("agency", agency).with("error", &reason).log();
            Step::Answered(Reply::Ack(Err(reason)))
        })
    }

    fn take_done(&self, agency: AgencyId) -> Step {
        let pending = Pending::Done { agency };
        match self.ledger.close_agency(agency) {
            Ok(receipt) => Step::Commit(receipt, pending),
            Err(StorageError(reason)) => Step::Answered(self.answer(&pending, 0, Err(reason))),
        }
    }

    fn append(&self, agency: AgencyId, first: Option<u64>, rows: &RowsText) -> std::result::Result<Receipt, String> {
        self.ledger.append(agency, first, rows).map_err(|error| match error {
            AppendError::Closed => "closed".to_owned(),
            AppendError::Gap { .. } => "gap".to_owned(),
            AppendError::Storage(StorageError(reason)) => {
                self.wake();
                reason
            }
        })
    }

    /// Tells the log how a commit went, and makes its reply.
    fn answer(&self, pending: &Pending, already: u64, result: std::result::Result<(), String>) -> Reply {
        let event = |stored, outcome_of_all: &std::result::Result<(), String>| match outcome_of_all {
            Err(_) => Event::fail(stored),
            Ok(()) if already > 0 && already == pending.bets() => Event::success("apuesta_repetida"),
            Ok(()) => Event::success(stored),
        };
        let error = |event: Event| match &result {
            Ok(()) => event,
            Err(reason) => event.with("error", reason),
        };
        match pending {
            Pending::Bet { agency, document, number } => {
                let event = event("apuesta_almacenada", &result).with("dni", document).with("numero", number);
                error(event.with("agency", agency)).log();
                Reply::Ack(result)
            }
            Pending::Batch { agency, count } => {
                let event = event("apuesta_recibida", &result).with("cantidad", count).with("agency", agency);
                let some = already > 0 && already < pending.bets();
                error(if some { event.with("repetidas", already) } else { event }).log();
                Reply::AckBatch { count: *count, result }
            }
            Pending::Done { agency } => {
                error(event("agencia_finalizada", &result).with("agency", agency)).log();
                if self.ledger.draw_is_due() {
                    self.wake();
                }
                Reply::AckDone(result)
            }
        }
    }

    fn winners(&self, agency: AgencyId, from: Option<u64>) -> std::result::Result<(Option<u64>, String), String> {
        let event = |outcome| Event::new(Level::Debug, "ganadores_enviados", outcome).with("agency", agency);
        if !self.is_drawn() {
            event(Outcome::InProgress).log();
            return Err("not_ready".to_owned());
        }
        let max_bytes = if from.is_some() { MAX_PAGE_BYTES } else { MAX_UNPAGED_BYTES };
        let page = self.ledger.winners(agency, from.unwrap_or(0), max_bytes);
        let page = page.map_err(|error| format!("storage: cannot read the winners: {error}"))?.unwrap_or_default();
        if from.is_none() && !page.is_last {
            return Err(format!("too_many|{}", page.total));
        }
        event(Outcome::Success).with("cant_ganadores", page.total).log();
        Ok((from.map(|_| page.total), page.documents))
    }

    fn account(&self, agency: AgencyId) -> (u64, Phase) {
        let (account, phase) = self.ledger.account(agency);
        let phase = if phase == Phase::Drawn && !self.is_drawn() { Phase::Done } else { phase };
        let event = Event::new(Level::Debug, "hello", Outcome::Success);
        event.with("agency", agency).with("stored", account.stored).log();
        (account.stored, phase)
    }

    /// An inferred roster grows with every agency that is heard of, and a new one puts the draw off.
    fn heard_of(&self, agency: AgencyId) {
        if self.roster == Roster::Auto && self.roster.admits(agency) && self.ledger.see(agency) {
            *self.last_new_agency.lock() = Instant::now();
        }
    }

    fn wake(&self) {
        // The draw, on another thread, must not be logged before the DONE that it follows.
        logging::send_gathered();
        if let Some(Err(error)) = self.waker.get().map(Waker::wake) {
            Event::fail("wake").with("error", error).log();
        }
    }
}

impl Pending {
    fn bets(&self) -> u64 {
        match self {
            Pending::Bet { .. } => 1,
            Pending::Batch { count, .. } => u64::from(*count),
            Pending::Done { .. } => 0,
        }
    }
}

fn finish_rows(rows: Rows) -> std::result::Result<RowsText, String> {
    rows.finish().map_err(|error| error.to_string())
}
