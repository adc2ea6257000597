//! The lottery: every bet of the file, DONE, the draw, the winners. However often the connection is lost on the way, the
//! central's answer to HELLO says where to go on.

use std::time::Instant;

use super::batches::{Batches, Sent};
use super::dataset::Dataset;
use super::desk::{Desk, Halt};
use super::dial::{Dialer, REPLY_DEADLINE};
use super::link::{Link, check_deadline};
use super::progress::Progress;
use super::replies::{hello, not_now, unexpected};
use super::winners::Winners;
use crate::config::AgencyConfig;
use crate::domain::Phase;
use crate::error::Error;
use crate::logging::{self, Event};
use crate::wire::{Reply, Request};

/// Enough to keep the socket busy while the next batches are read, and little enough to keep memory flat.
const MOST_UNSENT: usize = 128 * 1024;

pub fn run(desk: &mut Desk, dialer: &mut Dialer, config: &AgencyConfig) -> Result<(), Halt> {
    let dataset = Dataset::open(&config.file)?;
    let mut lottery = Lottery {
        config,
        batches: Batches::new(dataset, config.id, config.batch_max),
        winners: Winners::new(config.winners.as_deref())?,
        progress: Progress::default(),
        spoken: false,
        waiting: false,
    };
    dialer.converse(desk, |desk, dialer, link| lottery.converse(desk, dialer, link))
}

struct Lottery<'a> {
    config: &'a AgencyConfig,
    batches: Batches,
    winners: Winners,
    progress: Progress,
    /// Whether a message was sent that the next one has to keep its distance from.
    spoken: bool,
    /// Whether the log says that the draw is being waited for.
    waiting: bool,
}

impl Lottery<'_> {
    /// All that is left to do, over one connection.
    fn converse(&mut self, desk: &mut Desk, dialer: &mut Dialer, link: &mut Link) -> Result<(), Halt> {
        let (stored, phase) = hello(desk, dialer, link)?;
        if phase == Phase::Open {
            self.batches.resume(stored, desk)?;
            self.progress.start(desk, stored, self.batches.dataset().size());
            if self.is_paced() {
                self.upload_paced(desk, dialer, link)?;
            } else {
                self.upload(desk, dialer, link)?;
            }
            self.pace(desk, dialer)?;
            self.finish_upload(desk, dialer, link)?;
        } else if self.batches.rows() > stored {
            return Err(Halt::Fatal(Error::refused(format!(
                "agency {} was closed with {stored} bets stored, and {} holds more: another process has sent DONE for it",
                self.config.id,
                self.batches.dataset().name()
            ))));
        }
        self.progress.finish(desk);
        if phase != Phase::Drawn {
            self.wait_for_draw(desk, dialer, link)?;
        }
        self.take_winners(desk, dialer, link)
    }

    /// One batch at a time, with its pause.
    fn upload_paced(&mut self, desk: &mut Desk, dialer: &mut Dialer, link: &mut Link) -> Result<(), Halt> {
        loop {
            // Read before the pause, so that there is none when nothing follows but DONE, which has its own.
            match self.batches.next()? {
                Some(batch) => link.push(&batch),
                None => return Ok(()),
            }
            self.pace(desk, dialer)?;
            let deadline = dialer.patience.deadline(REPLY_DEADLINE);
            let reply = link.reply(desk, Some(deadline), false)?;
            self.settle(desk, dialer, reply)?;
        }
    }

    /// Many batches at a time: the next ones are on their way before the first is acknowledged.
    fn upload(&mut self, desk: &mut Desk, dialer: &mut Dialer, link: &mut Link) -> Result<(), Halt> {
        let window = self.config.in_flight.max(1);
        let mut more = true;
        let mut heard = Instant::now();
        let mut deadline = dialer.patience.deadline(REPLY_DEADLINE);
        loop {
            desk.check()?;
            while more && self.batches.unacknowledged() < window && link.unsent() < MOST_UNSENT {
                match self.batches.next()? {
                    Some(batch) => link.push(&batch),
                    None => more = false,
                }
                self.spoken = true;
            }
            link.flush();
            if !more && self.batches.unacknowledged() == 0 {
                return Ok(());
            }
            let mut settled = false;
            let gathered = logging::gather();
            while let Some(reply) = link.try_reply(false)? {
                self.settle(desk, dialer, reply)?;
                settled = true;
            }
            drop(gathered);
            if settled {
                heard = Instant::now();
                deadline = dialer.patience.deadline(REPLY_DEADLINE);
            }
            let can_send = more && self.batches.unacknowledged() < window && link.unsent() < MOST_UNSENT;
            if !settled && !can_send {
                check_deadline(Some(deadline), heard)?;
                desk.wait(Some(deadline))?;
            }
        }
    }

    /// Takes the acknowledgement of the oldest batch, or its refusal.
    fn settle(&mut self, desk: &mut Desk, dialer: &mut Dialer, reply: Reply) -> Result<(), Halt> {
        let Some(sent) = self.batches.settle() else { return Err(unexpected(&reply, "nothing")) };
        match reply {
            Reply::AckBatch { count, result: Ok(()) } if count == sent.count => {
                dialer.patience.progress();
                let event = Event::success("apuesta_enviada").with("cantidad", count).with("client_id", desk.id);
                desk.say(event);
                self.progress.show(desk, sent.mark.row + u64::from(count), sent.mark.byte());
                Ok(())
            }
            Reply::AckBatch { result: Err(reason), .. } => Err(self.refused(desk, &sent, &reason)),
            reply => Err(unexpected(&reply, "a batch")),
        }
    }

    fn refused(&mut self, desk: &Desk, sent: &Sent, reason: &str) -> Halt {
        if let Some(halt) = not_now(reason) {
            return halt;
        }
        let error = self.batches.refusal(sent, reason);
        let event = Event::fail("apuesta_enviada").with("cantidad", sent.count).with("client_id", desk.id);
        desk.say(event.with("error", &error));
        Halt::Fatal(error)
    }

    fn finish_upload(&mut self, desk: &mut Desk, dialer: &mut Dialer, link: &mut Link) -> Result<(), Halt> {
        link.push(&Request::Done { agency: self.config.id });
        match link.reply(desk, Some(dialer.patience.deadline(REPLY_DEADLINE)), false)? {
            Reply::AckDone(Ok(())) => {
                dialer.patience.progress();
                Ok(())
            }
            Reply::AckDone(Err(reason)) => Err(not_now(&reason).unwrap_or_else(|| {
                Halt::Fatal(Error::refused(format!("the central refuses agency {}'s DONE: {reason}", self.config.id)))
            })),
            reply => Err(unexpected(&reply, "DONE")),
        }
    }

    /// Waits for as long as it takes, while the connection lives.
    fn wait_for_draw(&mut self, desk: &mut Desk, dialer: &mut Dialer, link: &mut Link) -> Result<(), Halt> {
        if !self.waiting {
            self.waiting = true;
            desk.say(Event::in_progress("consulta_ganadores").with("client_id", desk.id));
        }
        link.push(&Request::WaitDraw { agency: self.config.id });
        let begun = Instant::now();
        let reply = link.reply(desk, None, false);
        dialer.patience.excuse(begun.elapsed());
        match reply? {
            Reply::Draw(Ok(())) => {
                dialer.patience.progress();
                Ok(())
            }
            Reply::Draw(Err(reason)) => Err(not_now(&reason).unwrap_or_else(|| {
                Halt::Fatal(Error::refused(format!("the central lets nobody wait for the draw: {reason}")))
            })),
            reply => Err(unexpected(&reply, "WAIT_DRAW")),
        }
    }

    fn take_winners(&mut self, desk: &mut Desk, dialer: &mut Dialer, link: &mut Link) -> Result<(), Halt> {
        if self.is_paced() {
            self.spoken = true;
            self.pace(desk, dialer)?;
        }
        loop {
            let from = self.winners.received();
            link.push(&Request::GetWinners { agency: self.config.id, from: Some(from) });
            match link.reply(desk, Some(dialer.patience.deadline(REPLY_DEADLINE)), true)? {
                Reply::Winners(Ok((Some(total), page))) => {
                    let count = self.winners.take(&page)?;
                    let received = self.winners.received();
                    if received == total {
                        break;
                    }
                    if count == 0 || received > total {
                        let reason = format!("the central tells of {total} winners, and {received} came");
                        return Err(Halt::Fatal(Error::failed(reason)));
                    }
                    dialer.patience.progress();
                }
                Reply::Winners(Err(reason)) => {
                    return Err(not_now(&reason).unwrap_or_else(|| {
                        Halt::Fatal(Error::refused(format!("the central does not tell the winners: {reason}")))
                    }));
                }
                reply => return Err(unexpected(&reply, "GET_WINNERS")),
            }
        }
        self.winners.finish()?;
        let event = Event::success("consulta_ganadores").with("cant_ganadores", self.winners.received());
        desk.say(event.with("client_id", desk.id));
        Ok(())
    }

    fn is_paced(&self) -> bool {
        !self.config.batch_period.is_zero()
    }

    /// Keeps the distance to the message before.
    fn pace(&mut self, desk: &mut Desk, dialer: &mut Dialer) -> Result<(), Halt> {
        if self.spoken && self.is_paced() {
            desk.pause(self.config.batch_period)?;
            dialer.patience.excuse(self.config.batch_period);
        }
        self.spoken = true;
        Ok(())
    }
}

#[cfg(test)]
#[path = "lottery_tests.rs"]
mod tests;
