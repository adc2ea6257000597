//! The end of a lottery at a central that has a seal: the agency checks what it is shown and told, and believes no other.

use std::time::{SystemTime, UNIX_EPOCH};

use log::Level;

use super::super::conversation::{Conversation, refused, unexpected};
use super::super::reactor::Halt;
use super::super::seal::Own;
use super::LotteryRun;
use crate::domain::seal::{Declared, Sealed};
use crate::domain::{LotteryId, Secret};
use crate::error::Error;
use crate::logging::{Event, EventResult};
use crate::wire::{Ask, Drawn, Reply, Standing};

impl LotteryRun<'_> {
    /// An error if a receipt is wanted that the central cannot give: before anything is sent, and not at the end.
    pub(super) fn check_for_receipt(&self, standing: &Standing) -> Result<(), Halt> {
        if self.receipt.is_none() || standing.identity.is_some() {
            return Ok(());
        }
        let reason = "the central has no seal, so there will be no receipt: leave --receipt out, or check --server";
        Err(Halt::Fatal(Error::refused(reason)))
    }

    /// Waits for the seal without a time limit, as long as the connection lives, and takes it if it fits what was sent, which
    /// is returned.
    pub(super) fn take_seal(
        &mut self,
        conversation: &mut Conversation<'_>,
        (lottery, secret): (LotteryId, Secret),
    ) -> Result<Declared, Halt> {
        let Some(sent) = self.batches.declare()? else {
            return Err(Halt::Fatal(Error::failed("the root of the bets is not known")));
        };
        let shown = match conversation.ask(Ask::WaitSeal)? {
            Reply::Seal(Ok(shown)) => shown,
            Reply::Seal(Err(refusal)) => return Err(refused(&refusal, "the central refuses to show the seal")),
            reply => return Err(unexpected(&reply, "WAIT_SEAL")),
        };
        conversation.dialer.patience.progress();
        let own = Own { agency: conversation.reactor.id, lottery, secret, sent, status: self.taken };
        let central = conversation.dialer.signer().map(|_| conversation.link.certificates());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let receipt = own.check(&shown, central.as_deref(), now).map_err(|reason| {
            Error::refused(format!(
                "the seal {} that the central shows cannot be believed: {reason}; ask the central's operator",
                shown.seal
            ))
        })?;
        self.accept(conversation, &receipt.sealed())?;
        if let Some(file) = &mut self.receipt {
            file.keep(&receipt)?;
        }
        if self.sealed.replace(receipt.sealed()).is_none() {
            let event = Event::success("sello").with("client_id", conversation.reactor.id);
            conversation.reactor.log(event.with("sello", receipt.seal).with("bets", receipt.bets));
        }
        Ok(sent)
    }

    /// An error if another seal was shown before.
    fn accept(&self, conversation: &Conversation<'_>, sealed: &Sealed) -> Result<(), Halt> {
        match &self.sealed {
            Some(before) if before != sealed => Err(Halt::Fatal(Error::refused(format!(
                "the central shows agency {} the seal {} now, and showed it {} before: there must be one alone",
                conversation.reactor.id, sealed.seal, before.seal
            )))),
            _ => Ok(()),
        }
    }

    /// Asks which number was drawn.
    pub(super) fn ask_number(&mut self, conversation: &mut Conversation<'_>) -> Result<(), Halt> {
        let Drawn { number, signature } = match conversation.ask(Ask::GetDraw)? {
            Reply::Drawn(Ok(drawn)) => drawn,
            Reply::Drawn(Err(refusal)) => return Err(refused(&refusal, "the central refuses to tell the number")),
            reply => return Err(unexpected(&reply, "GET_DRAW")),
        };
        let reactor = &conversation.reactor;
        let event =
            Event::new(Level::Debug, "consulta_ganadores", EventResult::InProgress).with("client_id", reactor.id);
        reactor.log(event.with("number", number).with("signature", signature.as_deref().unwrap_or("-")));
        match self.number.replace(number) {
            Some(before) if before != number => Err(Halt::Fatal(Error::refused(format!(
                "the central tells the number {number} now, and told {before} before: there must be one draw alone"
            )))),
            _ => Ok(()),
        }
    }

    /// An error if the bets of the file that have won are not those of the central's list.
    pub(super) fn check_winners(
        &mut self,
        conversation: &mut Conversation<'_>,
        bets: u64,
        number: u32,
    ) -> Result<(), Halt> {
        let own = self.batches.winners(bets, number, conversation.reactor)?;
        if self.winners.are(&own) {
            return Ok(());
        }
        let (file, here, there) = (self.batches.dataset().name(), own.leaves(), self.winners.received());
        let but = if here == there { "as many, but not the same" } else { "which is another list" };
        Err(Halt::Fatal(Error::refused(format!(
            "{file} has {here} winners with the number {number}, and the central's list has {there}, {but}: it is not kept; \
             ask the central's operator"
        ))))
    }
}
