//! Turns each request into its outcome, or into an entry in the ledger's line. It knows no socket and writes no reply.

mod declare;
mod draw;
mod operator;
mod settle;
mod watched;

pub use operator::Token;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::admit::{Admitted, Gate};
use super::batch::Batch;
use super::disk_health::DiskHealth;
use super::keys::Keys;
use super::lottery::{Lottery, Step};
use super::outcome::{Asked, Outcome};
use crate::config::{Plain, ServerConfig};
use crate::domain::acta::{Signed, StoreSecrets};
use crate::domain::{AgencyId, Bet, Place, Rows};
use crate::error::{Error, Result};
use crate::ledger::{Audience as _, Claim, Entry, Ledger, StorageError, Store};
use crate::logging::Event;
use crate::observe::Watch;
use crate::transport::{Peer, Signer, Stream, verify_signature};
use crate::wire::frame::MAX_FRAME;
use crate::wire::keyed::KeyedBets;
use crate::wire::{Ask, BatchHeader, Documents, Refusal, Reply, Request};
use declare::Declarations;

/// Documents in one frame: what is left of it behind `WINNERS|OK|<total>|`, with a line feed.
const MAX_PAGE_BYTES: usize = MAX_FRAME - "WINNERS|OK|18446744073709551615|\n".len();
const MAX_UNPAGED_BYTES: usize = MAX_FRAME - "WINNERS|OK|\n".len();

/// See the module.
pub struct Central {
    ledger: Ledger<Order, Arc<dyn Client>>,
    gate: Gate,
    pub keys: Option<Keys>,
    pub lottery: Lottery,
    quiet_time: Duration,
    pub disk: DiskHealth,
    /// The store's, once it has any that last.
    secrets: OnceLock<StoreSecrets>,
    declarations: Declarations,
    token: Option<Token>,
    /// Those under the seal that agencies are shown, by each key that their connections have seen.
    seal_signatures: Mutex<Vec<(Signer, String)>>,
    /// How many batches and single bets were put in line: whoever takes processor time sees whether it takes it from them.
    batches: AtomicU64,
    is_stopping: AtomicBool,
    /// How long a stop may wait for a store that is elsewhere.
    stop_limit: Duration,
    pub watch: Arc<Watch>,
}

/// What an entry was put in line for.
pub enum Order {
    Request {
        asked: Asked,
        from: Arc<dyn Client>,
        /// When its bets had come, if it has any and somebody watches.
        since: Option<Instant>,
    },
    /// The mark that the log has told of the seal.
    SealAnnouncement,
    /// The mark that the log has told of the draw.
    Announcement,
}

/// A connection as the central sees it. Neither call may wait for anything.
pub trait Client: Send + Sync {
    /// Takes what became of the oldest request that it put in line.
    fn settle(&self, outcome: Outcome);
    /// Queues the connection: it has outcomes to take, or its claim of room was granted.
    fn wake(self: Arc<Self>);
}

/// How a request is answered.
pub enum Answer {
    Now(Outcome),
    /// Once the ledger has settled what was put in line.
    Settled,
    /// Likewise, and no request is taken before.
    SettledAlone,
    /// Once the lottery has come so far.
    Awaits(Awaited),
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// The seal, for WAIT_SEAL.
    Seal(AgencyId),
    /// The draw, for WAIT_DRAW.
    Draw,
    /// The draw, for HOLD_DRAW.
    Drawn,
}

/// Who asks: the peer, its connection, and the connection's claim of room in the line.
pub struct Asker<'a> {
    pub peer: &'a Peer,
    pub stream: &'a dyn Stream,
    pub client: &'a Arc<dyn Client>,
    pub claim: &'a mut Claim,
}

impl Asker<'_> {
    /// A signature under this statement, which has to be that of the peer's certificate. The refusal says of what it is.
    fn signed(&self, what: &str, statement: &str, signature: &str) -> std::result::Result<Signed, Refusal> {
        let certificates = self.stream.certificates();
        let own = certificates.first().map_or(&[][..], Vec::as_slice);
        verify_signature(statement, signature, own)
            .map_err(|reason| Refusal::Identity(format!("the signature of the {what} is bad: {reason}")))?;
        Ok(Signed::new(signature, &certificates))
    }
}

impl Central {
    pub fn new(
        config: &ServerConfig,
        keys: Option<Keys>,
        token: Option<Token>,
        store: Box<dyn Store>,
        watch: Arc<Watch>,
    ) -> Central {
        let roster = store.rules().roster;
        let secrets = store.secrets().map_or_else(OnceLock::new, OnceLock::from);
        Central {
            ledger: Ledger::new(store),
            gate: Gate::new(roster, config.plain),
            keys,
            lottery: Lottery::new(),
            quiet_time: config.quiet_time,
            disk: DiskHealth::default(),
            secrets,
            declarations: Declarations::new(config),
            token,
            seal_signatures: Mutex::default(),
            batches: AtomicU64::new(0),
            is_stopping: AtomicBool::new(false),
            stop_limit: config.stop_timeout / 2,
            watch,
        }
    }

    /// Ends what takes long.
    pub fn begin_stop(&self) {
        self.watch.stopping();
        self.is_stopping.store(true, Ordering::SeqCst);
        self.ledger.store.begin_stop(self.stop_limit);
    }

    /// Looks at the store whenever another central has changed it.
    pub fn watch_store(self: &Arc<Central>) {
        let central = Arc::downgrade(self);
        let look = move || central.upgrade().into_iter().for_each(|central| central.look_at_store());
        self.ledger.store.watch(Box::new(look));
    }

    /// Which lottery this is. None until the store can promise that it stays so.
    fn secrets(&self) -> Option<&StoreSecrets> {
        self.secrets.get().or_else(|| {
            let secrets = self.ledger.store.secrets()?;
            Some(self.secrets.get_or_init(|| secrets))
        })
    }

    /// How many batches and single bets were put in the ledger's line since the start.
    pub fn batches(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }

    /// The answer to what a connection waits for, if the lottery has come so far. The `signer` is the connection's.
    pub fn awaited(&self, awaited: Awaited, signer: Option<&Signer>) -> Option<Reply> {
        match awaited {
            Awaited::Draw => self.lottery.is_drawn().then_some(Reply::Draw(Ok(()))),
            Awaited::Seal(agency) => self.lottery.seal().map(|seal| Reply::Seal(self.show(seal, agency, signer))),
            Awaited::Drawn => self.lottery.drawn().map(|drawn| Reply::Drawn(Ok(drawn.clone()))),
        }
    }

    /// Claims room in the ledger's line, which has to be had before a request is read. `expects_nothing` says that all
    /// that the connection put in line is settled.
    pub fn claim(&self, asker: &mut Asker<'_>, expects_nothing: bool) -> bool {
        self.ledger.line.claim(asker.claim, expects_nothing, || Arc::clone(asker.client))
    }

    pub fn give_back(&self, claim: &mut Claim) {
        self.admit_to_line(self.ledger.line.give_back(claim));
    }

    /// Lets the writer write everything that is in line.
    pub fn hurry(&self) {
        self.ledger.line.hurry();
    }

    /// Has everything that is in line written, on this thread if that is the fastest.
    pub fn write_or_hurry(&self) {
        self.ledger.write_or_hurry(self);
    }

    /// A batch, whose bets stand in its frame or in the frames behind it.
    pub fn open_batch(&self, peer: &Peer, agency: AgencyId, header: BatchHeader) -> Batch {
        // Its rows may be long in coming.
        Batch::new(agency, self.admit(peer, agency), header, Rows::new(agency))
    }

    pub fn take(&self, asker: &mut Asker<'_>, request: Request<'_>) -> Answer {
        let Request { agency, ask } = request;
        let admitted = self.admit(asker.peer, agency);
        match ask {
            Ask::Bet { fields, place } => {
                let [_, _, document, _, number] = fields;
                let asked = |number: String| Asked::Bet { agency, document: document.to_owned(), number };
                let judged = admitted.and_then(|admitted| {
                    let bet = Bet::new(fields).map_err(|error| Refusal::Other(error.to_string()))?;
                    let mut rows = Rows::new(agency);
                    rows.push(&bet);
                    Ok((admitted, rows, bet.number))
                });
                match judged {
                    Ok((admitted, rows, number)) => {
                        self.put_bets(asker, admitted, place, rows, asked(number.to_string()))
                    }
                    Err(refusal) => Answer::Now(asked(number.to_owned()).refuse(refusal)),
                }
            }
            Ask::Batch { header, lines } => {
                let mut batch = Batch::new(agency, admitted, header, self.ledger.spare.rows(agency));
                batch.take(lines);
                self.take_batch(asker, batch)
            }
            Ask::Done { declaration } => self.take_done(asker, admitted, agency, declaration),
            Ask::WaitSeal => match admitted {
                Ok(agency) => Answer::Awaits(Awaited::Seal(agency.id())),
                Err(refusal) => Answer::Now(Outcome::WaitSeal { agency, refusal }),
            },
            Ask::GetDraw => {
                let result = admitted.and_then(|_| self.lottery.drawn().cloned().ok_or(Refusal::NotReady));
                Answer::Now(Outcome::Drawn { result })
            }
            Ask::Hello { more } => self
                .put(asker, admitted, Asked::Hello { agency, more }, |agency| Entry::Account { agency: agency.id() }),
            Ask::GetWinners { from } => {
                let result = admitted.and_then(|agency| self.winners(agency, from));
                Answer::Now(Outcome::Winners { agency, result })
            }
            Ask::WaitDraw => match admitted {
                Ok(_) => Answer::Awaits(Awaited::Draw),
                Err(refusal) => Answer::Now(Outcome::WaitDraw { result: Err(refusal) }),
            },
        }
    }

    /// Takes bets that came in the dialect of keys and values.
    pub fn take_keyed(&self, asker: &mut Asker<'_>, keyed: &KeyedBets<'_>) -> Answer {
        let KeyedBets { agency, bets, is_batch } = keyed;
        if let ([fields], false) = (&bets[..], is_batch) {
            return self.take(asker, Request { agency: *agency, ask: Ask::Bet { fields: *fields, place: None } });
        }
        let header = BatchHeader { count: bets.len() as u32, place: None };
        let mut batch = self.open_batch(asker.peer, *agency, header);
        bets.iter().for_each(|fields| batch.take_bet(|batch| batch.add(*fields)));
        self.take_batch(asker, batch)
    }

    /// Takes a batch whose bets have all come, or that has gone wrong.
    pub fn take_batch(&self, asker: &mut Asker<'_>, batch: Batch) -> Answer {
        let asked = Asked::Batch { agency: batch.agency, count: batch.header.count };
        let place = batch.header.place;
        match batch.finish() {
            Ok((agency, rows)) => self.put_bets(asker, agency, place, rows, asked),
            Err(refusal) => Answer::Now(asked.refuse(refusal)),
        }
    }

    /// Brings to the disk what requests put in line, until [`Central::close`].
    pub fn write_until_closed(&self) -> std::result::Result<(), StorageError> {
        self.ledger.write_until_closed(self)
    }

    /// Ends [`Central::write_until_closed`] once everything in line is written.
    pub fn close(&self) {
        self.ledger.line.close();
    }

    /// An error once nobody can tell any more what is on disk.
    pub fn check_disk(&self) -> Result<()> {
        if self.lottery.step() != Step::Failed {
            return Ok(());
        }
        let StorageError(reason) =
            self.ledger.store.state().broken.unwrap_or_else(|| StorageError("the disk failed".into()));
        Err(Error::storage(reason))
    }

    /// What this peer gets, if it speaks without TLS.
    pub fn plain(&self, peer: &Peer) -> Plain {
        self.gate.plain(peer)
    }

    /// Reads the keys again. The acceptor then tells every connection.
    pub fn reload_keys(&self) {
        self.keys.as_ref().inspect(|keys| keys.reload());
        // Few connections have seen older keys than the newest: their signatures are made again.
        self.seal_signatures.lock().clear();
        self.lottery.wake();
    }

    fn put_bets(
        &self,
        asker: &mut Asker<'_>,
        agency: Admitted,
        place: Option<Place>,
        rows: Rows,
        asked: Asked,
    ) -> Answer {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.put(asker, Ok(agency), asked, |agency| Entry::Bets { agency: agency.id(), place, rows })
    }

    fn put(
        &self,
        asker: &mut Asker<'_>,
        agency: std::result::Result<Admitted, Refusal>,
        asked: Asked,
        entry: impl FnOnce(Admitted) -> Entry,
    ) -> Answer {
        let agency = match agency {
            Ok(agency) => agency,
            Err(refusal) => return Answer::Now(asked.refuse(refusal)),
        };
        let since = self.begun(&asked);
        let order = Order::Request { asked, from: Arc::clone(asker.client), since };
        self.ledger.line.put(asker.claim, entry(agency), order);
        Answer::Settled
    }

    fn winners(&self, agency: Admitted, from: Option<u64>) -> std::result::Result<(Documents, u64), Refusal> {
        let winners = self.lottery.winners().filter(|_| self.lottery.is_drawn()).ok_or(Refusal::NotReady)?;
        let max_bytes = if from.is_some() { MAX_PAGE_BYTES } else { MAX_UNPAGED_BYTES };
        let page = winners.page(agency.id(), from.unwrap_or(0), max_bytes);
        let page = page.map_err(|error| Refusal::Storage(format!("cannot read the winners: {error}")))?;
        if from.is_none() && !page.is_last {
            return Err(Refusal::TooMany { total: page.total });
        }
        Ok((Documents { total: from.map(|_| page.total), list: page.documents }, page.total))
    }

    /// An inferred roster grows with every agency that is heard of, and a new one puts the draw off.
    fn admit(&self, peer: &Peer, agency: AgencyId) -> std::result::Result<Admitted, Refusal> {
        let admitted = self.gate.admit(peer, agency).inspect_err(|refusal| log_identity(peer, agency, refusal))?;
        if self.gate.note(admitted) {
            self.lottery.note_new_agency();
            self.look_at_store();
        }
        Ok(admitted)
    }
}

#[cfg(any(test, fuzzing))]
impl Central {
    /// What the ledger's writer does when it finds something in line.
    pub fn write_what_is_in_line(&self) {
        self.ledger.line.hurry();
        self.ledger.write_group_if_any(self);
    }
}

#[cfg(test)]
impl Central {
    pub fn note_done(&self, agency: AgencyId) {
        assert_eq!(
            self.ledger.store.commit(&[Entry::Done { agency, declaration: None }]),
            [crate::ledger::Verdict::Marked]
        );
    }

    pub fn stored_bets(&self) -> u64 {
        let verdict = self.ledger.store.commit(&[Entry::Account { agency: AgencyId(1) }]).pop();
        let Some(crate::ledger::Verdict::Account { stored, .. }) = verdict else { panic!("{verdict:?}") };
        stored
    }
}

/// The one line about a request that was made in another's name.
fn log_identity(peer: &Peer, agency: AgencyId, refusal: &Refusal) {
    if let Refusal::Identity(reason) = refusal {
        let event = Event::fail("identidad").with("ip", peer.address.ip()).with("port", peer.address.port());
        event.with("client_id", agency).with("error", reason).log();
    }
}
