//! The mode `lottery`: sends every bet of the file and DONE, waits for the draw, takes the winners. After a lost
//! connection, the central's reply to HELLO tells where to continue. A central that has a seal shows it before the draw.

mod close;

use log::Level;

use super::batches::Batches;
use super::conversation::{Conversation, converse, general, refused, unexpected};
use super::dataset::Dataset;
use super::dial::Dialer;
use super::follow::Following;
use super::progress::Progress;
use super::reactor::{Halt, Reactor};
use super::receipt::ReceiptFile;
use super::winners::WinnersOutput;
use crate::config::LotteryTask;
use crate::domain::seal::{Declared, Sealed};
use crate::domain::{Phase, Status};
use crate::error::{Error, Kind};
use crate::logging::{self, Event, EventResult};
use crate::output::counted;
use crate::wire::{Ask, Declaration, Documents, Refusal, Reply, Standing};

/// Maximum bytes queued to be sent: enough to keep the socket busy while the next batches are read.
const MOST_UNSENT: usize = 128 * 1024;

pub(super) fn run(reactor: &mut Reactor, dialer: &mut Dialer, task: &LotteryTask) -> Result<(), Halt> {
    let mut following = Following::new(reactor, task)?;
    let dataset = match &mut following {
        None => Dataset::open(&task.file)?,
        Some(following) => {
            // What they refuse is told now, and not when the file is there.
            WinnersOutput::new(task)?;
            ReceiptFile::new(task)?;
            following.open(reactor, task)?
        }
    };
    let mut lottery = LotteryRun {
        task,
        batches: Batches::new(dataset, reactor.id, task.batch_max),
        following,
        winners: WinnersOutput::new(task)?,
        receipt: ReceiptFile::new(task)?,
        taken: None,
        sealed: None,
        number: None,
        progress: Progress::default(),
        has_matched: false,
        spoken: false,
        waiting: false,
        sent: 0,
    };
    converse(reactor, dialer, |conversation| lottery.play(conversation))
}

struct LotteryRun<'a> {
    task: &'a LotteryTask,
    batches: Batches,
    /// While more bets may come into the file.
    following: Option<Following>,
    winners: WinnersOutput,
    /// The file of the receipt, if one is wanted.
    receipt: Option<ReceiptFile>,
    /// How the central has taken DONE.
    taken: Option<Status>,
    /// The seal that the central has shown, and the number that it has told.
    sealed: Option<Sealed>,
    number: Option<u32>,
    progress: Progress,
    /// True once what the central had stored was found to be the beginning of the file.
    has_matched: bool,
    /// True once a message was sent. The next one must wait for `batch_period`.
    spoken: bool,
    /// True once the wait for the draw is in the log.
    waiting: bool,
    /// Bets acknowledged since the start of this process.
    sent: u64,
}

impl LotteryRun<'_> {
    /// Does all that is left to do, over one connection.
    fn play(&mut self, conversation: &mut Conversation<'_>) -> Result<(), Halt> {
        let standing = loop {
            let standing = conversation.hello()?;
            self.check_for_receipt(&standing)?;
            if !self.batches.resume(&standing, conversation.reactor)? {
                return Err(self.another_file(conversation, &standing));
            }
            let is_first = !std::mem::replace(&mut self.has_matched, true);
            if standing.phase != Phase::Open {
                self.check_end(conversation, &standing)?;
                if is_first {
                    self.log_upload(conversation.reactor);
                }
                break standing;
            }
            let event = Event::in_progress("upload").with("client_id", conversation.reactor.id);
            conversation.reactor.log(event.with("stored", standing.stored));
            let size = self.batches.dataset_mut().size();
            self.progress.start(conversation.reactor, standing.stored, size, self.following.is_some());
            if self.upload(conversation)? {
                self.log_upload(conversation.reactor);
                self.pace(conversation)?;
                self.finish_upload(conversation, &standing)?;
                break standing;
            }
        };
        conversation.reactor.bar.finish_and_clear();
        if standing.phase != Phase::Drawn {
            self.log_waiting(conversation.reactor);
        }
        let sent = match standing.identity {
            Some(identity) => Some(self.take_seal(conversation, identity)?),
            None => None,
        };
        if standing.phase != Phase::Drawn {
            self.wait_for_draw(conversation)?;
        }
        self.take_winners(conversation, sent)
    }

    /// Logs the end of the upload: as a warning if the file has no bets, since it may be the wrong file.
    fn log_upload(&self, reactor: &Reactor) {
        let stored = self.batches.dataset().rows();
        let level = if stored == 0 { Level::Warn } else { Level::Info };
        let event = Event::new(level, "upload", EventResult::Success).with("client_id", reactor.id);
        let event = event.with("stored", stored).with("sent", self.sent);
        let path = self.batches.dataset().path.display();
        reactor.log(if stored == 0 { event.with("file", path).with("holds", "no bets") } else { event });
    }

    /// The error if the stored bets are not the beginning of the file.
    fn another_file(&mut self, conversation: &mut Conversation<'_>, standing: &Standing) -> Halt {
        let here = match self.batches.count_rows(conversation.reactor) {
            Ok(rows) => rows,
            Err(halt) => return halt,
        };
        let (file, id, there) = (self.batches.dataset().name(), conversation.reactor.id, standing.stored);
        let what = format!(
            "{file} holds {here} bets, and the {there} that the central has stored of agency {id} are not its first {there}"
        );
        // They matched before, so another process has added bets since then.
        Halt::Fatal(if self.has_matched {
            Error::refused(format!("{what}: another process sends for agency {id}"))
        } else {
            Error::bad_input(format!(
                "{what}: give the file that was sent before, or start the central with an empty --store"
            ))
        })
    }

    /// After DONE the file must not have more rows than are stored.
    fn check_end(&mut self, conversation: &Conversation<'_>, standing: &Standing) -> Result<(), Halt> {
        if self.batches.is_at_end()? {
            return Ok(());
        }
        Err(Halt::Fatal(Error::refused(format!(
            "agency {} was closed with {} bets stored, and {} holds more: they were added after its DONE, or another process \
             has sent it",
            conversation.reactor.id,
            standing.stored,
            self.batches.dataset().name()
        ))))
    }

    /// Sends the batches, several before the first is acknowledged, or one at a time if there is a pause between
    /// messages. False if the central has stored something else meanwhile. Every reply was taken then, and HELLO tells
    /// where to continue.
    fn upload(&mut self, conversation: &mut Conversation<'_>) -> Result<bool, Halt> {
        let window = if self.is_paced() { 1 } else { self.task.in_flight.max(1) };
        let (mut more, mut is_in_step) = (true, true);
        loop {
            conversation.reactor.check()?;
            while more && !self.rests() && self.has_room(conversation, window) {
                // The pause follows the read: after the last batch there is none, since DONE has its own.
                match self.batches.next()? {
                    Some(batch) => {
                        conversation.push_batch(&batch);
                        self.pace(conversation)?;
                    }
                    None => more = self.awaits_more(conversation)?,
                }
            }
            conversation.link.flush();
            if !more && self.batches.unacknowledged() == 0 {
                return Ok(is_in_step);
            }
            let mut heard = false;
            let gathered = logging::gather();
            while let Some(reply) = conversation.try_reply()? {
                if !is_in_step {
                    self.batches.pop_oldest();
                } else if !self.acknowledge(conversation, reply)? {
                    (more, is_in_step) = (false, false);
                }
                heard = true;
            }
            drop(gathered);
            let may_send = more && self.has_room(conversation, window);
            if !heard && (!may_send || self.rests()) {
                let next_look = self.following.as_ref().filter(|_| may_send).map(Following::next_look);
                conversation.wait_until(next_look)?;
            }
        }
    }

    /// True while a file that is followed cannot have anything new.
    fn rests(&self) -> bool {
        self.following.as_ref().is_some_and(Following::rests)
    }

    /// To be called when every row that is there was read. True if more may come.
    fn awaits_more(&mut self, conversation: &mut Conversation<'_>) -> Result<bool, Halt> {
        let Some(following) = &mut self.following else { return Ok(false) };
        let dataset = self.batches.dataset_mut();
        if !following.is_over(conversation.reactor, dataset)? {
            let all_acknowledged = self.batches.unacknowledged() == 0;
            self.progress.follow(conversation.reactor, self.batches.dataset_mut(), all_acknowledged);
            return Ok(true);
        }
        // What was sent is declared, so it has to be what is there.
        dataset.compare()?;
        let event = Event::success("follow").with("client_id", conversation.reactor.id);
        conversation.reactor.log(event.with("ended_by", following.ended_by()));
        self.following = None;
        Ok(false)
    }

    /// True if another batch may be sent.
    fn has_room(&self, conversation: &Conversation<'_>, window: usize) -> bool {
        self.batches.unacknowledged() < window && conversation.link.unsent() < MOST_UNSENT
    }

    /// Handles the reply to the oldest batch. False if the central has stored something else.
    fn acknowledge(&mut self, conversation: &mut Conversation<'_>, reply: Reply) -> Result<bool, Halt> {
        let Some(sent) = self.batches.pop_oldest() else { return Err(unexpected(&reply, "nothing")) };
        let reactor = &conversation.reactor;
        match reply {
            Reply::AckBatch { result: Err(Refusal::Stale | Refusal::Conflict), .. } => Ok(false),
            Reply::AckBatch { count, result: Ok(()) } if count == sent.count && sent.is_hopeless => {
                let reason = "the central has stored a bet that breaks the rules of this version";
                Err(Halt::Fatal(self.batches.refusal(&sent, &Refusal::other(reason))))
            }
            Reply::AckBatch { count, result: Ok(()) } if count == sent.count => {
                conversation.dialer.patience.progress();
                self.sent += u64::from(count);
                let event = Event::success("apuesta_enviada").with("cantidad", count).with("client_id", reactor.id);
                reactor.log(event);
                self.progress.show(reactor, sent.mark.row + u64::from(count), sent.mark.position.byte);
                if self.following.is_some() {
                    self.progress.follow(reactor, self.batches.dataset_mut(), false);
                }
                Ok(true)
            }
            Reply::AckBatch { result: Err(refusal), .. } => Err(general(&refusal).unwrap_or_else(|| {
                let error = self.batches.refusal(&sent, &refusal);
                let event = Event::fail("apuesta_enviada").with("cantidad", sent.count).with("client_id", reactor.id);
                reactor.log(event.with("error", &error));
                Halt::Fatal(error)
            })),
            reply => Err(unexpected(&reply, "a batch")),
        }
    }

    /// Sends DONE, with all that the agency can say about its bets.
    fn finish_upload(&mut self, conversation: &mut Conversation<'_>, standing: &Standing) -> Result<(), Halt> {
        let sent = self.batches.declare()?.zip(standing.identity);
        let (id, signer) = (conversation.reactor.id, conversation.dialer.signer());
        let signed = match (&sent, signer) {
            (Some((sent, (lottery, _))), Some(signer)) => {
                let failed = |reason| Error::failed(format!("cannot sign what agency {id} has sent: {reason}"));
                Some(signer.sign(&sent.statement(*lottery, id)).map_err(failed)?.signature)
            }
            _ => None,
        };
        let declaration = sent.map(|(declared, _)| Declaration { declared, signature: signed.as_deref() });
        match conversation.ask(Ask::Done { declaration })? {
            Reply::AckDone(Ok(())) => {
                self.taken = declaration.map(|sent| sent.signature.map_or(Status::Declared, |_| Status::Signed));
                conversation.dialer.patience.progress();
            }
            Reply::AckDone(Err(Refusal::Unbalanced { stored })) => {
                return Err(Halt::Fatal(self.unbalanced(conversation, stored)));
            }
            Reply::AckDone(Err(refusal)) => {
                let what = format!("the central refuses agency {}'s DONE", conversation.reactor.id);
                return Err(refused(&refusal, &what));
            }
            reply => return Err(unexpected(&reply, "DONE")),
        }
        Ok(())
    }

    /// The error if the central has stored other bets than were sent.
    fn unbalanced(&self, conversation: &Conversation<'_>, stored: u64) -> Error {
        let (sent, id, file) = (self.batches.dataset().rows(), conversation.reactor.id, self.batches.dataset().name());
        let but = if sent == stored { "as many, but not the same" } else { "which is another number" };
        Error::new(
            Kind::Unbalanced,
            format!(
                "{file} holds {}, and the central has stored {stored} of agency {id}, {but}: compare the file with the central's                  bets.csv, and send what was stored, or have the central started with --unbalanced accept",
                counted(sent, "bet")
            ),
        )
    }

    /// Logs once that the agency waits for the others.
    fn log_waiting(&mut self, reactor: &Reactor) {
        if !self.waiting {
            self.waiting = true;
            reactor.log(Event::in_progress("consulta_ganadores").with("client_id", reactor.id));
        }
    }

    /// Waits for the draw without a time limit, as long as the connection lives.
    fn wait_for_draw(&mut self, conversation: &mut Conversation<'_>) -> Result<(), Halt> {
        match conversation.ask(Ask::WaitDraw)? {
            Reply::Draw(Ok(())) => conversation.dialer.patience.progress(),
            Reply::Draw(Err(refusal)) => {
                return Err(refused(&refusal, "the central refuses to tell when the draw is held"));
            }
            reply => return Err(unexpected(&reply, "WAIT_DRAW")),
        }
        Ok(())
    }

    /// Takes the list, and compares it with the file if it is known what was `sent`.
    fn take_winners(&mut self, conversation: &mut Conversation<'_>, sent: Option<Declared>) -> Result<(), Halt> {
        self.spoken = true;
        self.pace(conversation)?;
        if sent.is_some() {
            self.ask_number(conversation)?;
        }
        loop {
            let from = self.winners.received();
            match conversation.ask(Ask::GetWinners { from: Some(from) })? {
                Reply::Winners(Ok(Documents { total: Some(total), list })) => {
                    let count = self.winners.take(&list)?;
                    let received = self.winners.received();
                    if received == total {
                        break;
                    }
                    if count == 0 || received > total {
                        let reason = format!("the central announced {total} winners, and sent {received}");
                        return Err(Halt::Fatal(Error::failed(reason)));
                    }
                    conversation.dialer.patience.progress();
                }
                Reply::Winners(Err(refusal)) => {
                    return Err(refused(&refusal, "the central refuses to tell the winners"));
                }
                reply => return Err(unexpected(&reply, "GET_WINNERS")),
            }
        }
        if let (Some(sent), Some(number)) = (sent, self.number) {
            self.check_winners(conversation, sent.bets, number)?;
        }
        self.winners.finish()?;
        let event = Event::success("consulta_ganadores").with("cant_ganadores", self.winners.received());
        conversation.reactor.log(event.with("client_id", conversation.reactor.id));
        Ok(())
    }

    fn is_paced(&self) -> bool {
        !self.task.batch_period.is_zero()
    }

    /// Waits for `batch_period`, unless this is the first message.
    fn pace(&mut self, conversation: &mut Conversation<'_>) -> Result<(), Halt> {
        if self.spoken && self.is_paced() {
            conversation.reactor.pause(self.task.batch_period)?;
            conversation.dialer.patience.excuse(self.task.batch_period);
        }
        self.spoken = true;
        Ok(())
    }
}

#[cfg(test)]
#[path = "lottery_tests.rs"]
mod tests;
