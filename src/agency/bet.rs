//! The mode `bet`: sends one bet, which is stored once however often it has to be sent.

use super::conversation::{Conversation, converse, refused, unexpected};
use super::dial::Dialer;
use super::reactor::{Halt, Reactor};
use crate::config::PERSON;
use crate::domain::{AgencyId, Bet, Place, Quoted, Rows, is_forbidden};
use crate::error::{Error, Result};
use crate::logging::Event;
use crate::wire::frame::MAX_FRAME;
use crate::wire::{Ask, Refusal, Reply, Standing};

pub(super) fn run(reactor: &mut Reactor, dialer: &mut Dialer, person: &[String; 5]) -> Result<(), Halt> {
    let fields = person.each_ref().map(String::as_str);
    check(fields)?;
    let [_, _, document, _, number] = fields;
    let mut sent = None;
    let result = converse(reactor, dialer, |conversation| send(conversation, fields, &mut sent));
    match &result {
        Ok(()) => reactor.log(Event::success("apuesta_enviada").with("dni", document).with("numero", number)),
        Err(Halt::Fatal(error)) => {
            let event = Event::fail("apuesta_enviada").with("dni", document).with("numero", number);
            reactor.log(event.with("error", error));
        }
        Err(_) => {}
    }
    result
}

/// Sends the bet, unless an earlier attempt has stored it. `sent` is what was stored before the last attempt.
fn send(conversation: &mut Conversation<'_>, fields: [&str; 5], sent: &mut Option<Standing>) -> Result<(), Halt> {
    let now = conversation.hello()?;
    if let Some(before) = *sent
        && now.stored != before.stored
    {
        return if is_one_more(conversation.reactor.id, fields, &before, &now) {
            Ok(())
        } else {
            let (before, now) = (before.stored, now.stored);
            Err(Halt::Fatal(Error::refused(format!(
                "it is unknown whether the bet was stored: the central had {before} bets of agency {} before it was sent, \
                 and has {now} now; another process sends for this agency",
                conversation.reactor.id
            ))))
        };
    }
    *sent = Some(now);
    let place = Some(Place { first: now.stored, before: now.checksum });
    let refusal = match conversation.ask(Ask::Bet { fields, place })? {
        Reply::Ack(Ok(())) => return Ok(()),
        Reply::Ack(Err(refusal)) => refusal,
        reply => return Err(unexpected(&reply, "BET")),
    };
    match &refusal {
        // An agency is closed by its DONE, for good: another attempt would not help.
        Refusal::Closed => return Err(Halt::Fatal(Error::refused("the bet was refused: closed"))),
        // Another process has stored a bet first. This one was not stored: the next attempt places it after the other.
        Refusal::Gap | Refusal::Stale | Refusal::Conflict => *sent = None,
        _ => {}
    }
    Err(refused(&refusal, "the bet was refused"))
}

/// True if what is stored now is what was stored before, and this bet after it. A central without checksums is trusted.
fn is_one_more(agency: AgencyId, fields: [&str; 5], before: &Standing, now: &Standing) -> bool {
    let (Some(old), Some(new)) = (before.checksum, now.checksum) else { return now.stored > before.stored };
    let mut rows = Rows::new(agency);
    if let Ok(bet) = Bet::new(fields) {
        rows.push(&bet);
    }
    now.stored == before.stored + 1 && new == old.extended(rows.bytes())
}

/// Checks that the wire can carry the values. The central checks the rest.
fn check(fields: [&str; 5]) -> Result<()> {
    for (variable, value) in PERSON.iter().zip(fields) {
        if value.chars().any(is_forbidden) {
            let shown = Quoted(value);
            return Err(Error::bad_input(format!("{variable}: {shown} contains a control character or a \"|\"")));
        }
    }
    // The other fields of the message need the rest.
    let most = MAX_FRAME - 64;
    if fields.iter().map(|field| field.len()).sum::<usize>() > most {
        return Err(Error::bad_input(format!("{} are longer than {most} bytes together", PERSON.join(", "))));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agency::play;
    use crate::agency::testing::{FakeCentral, config, reactor};
    use crate::config::Task;
    use crate::error::Kind;

    const BET: &str = "BET|3|Santiago Lionel|Lorca|30904465|1999-03-17|0007574";

    fn bet(address: &str, document: &str) -> Result<(), Halt> {
        let person = ["Santiago Lionel", "Lorca", document, "1999-03-17", "0007574"].map(str::to_owned);
        play(&mut reactor(), &config(Task::Bet { person }, address))
    }

    #[test]
    fn a_bet_goes_to_the_place_that_the_central_tells() {
        let central = FakeCentral::start(|accept| {
            let mut peer = accept();
            peer.expect("HELLO|3|+").send("HELLO|OK|7|open").expect(&format!("{BET}|7")).send("ACK|OK").expect_end();
        });
        bet(&central.address, "30904465").unwrap();
        central.join();
    }

    #[test]
    fn a_lost_connection_never_makes_it_two() {
        let central = FakeCentral::start(|accept| {
            accept().expect("HELLO|3|+").send("HELLO|OK|7|open").expect(&format!("{BET}|7"));
            accept().expect("HELLO|3|+").send("HELLO|OK|7|open").expect(&format!("{BET}|7")).send("ACK|ERR|busy: x");
            accept().send("ACK|ERR|busy: too many connections");
            // Stored, and the acknowledgement was lost.
            accept().expect("HELLO|3|+").send("HELLO|OK|8|open").expect_end();
        });
        bet(&central.address, "30904465").unwrap();
        central.join();
    }

    #[test]
    fn a_refusal_says_why() {
        let central = FakeCentral::start(|accept| {
            accept()
                .expect("HELLO|3|+")
                .send("HELLO|OK|0|open")
                .expect(&format!("{BET}|0").replace("30904465", "3 4"))
                .send("ACK|ERR|document \"3 4\" is odd");
            accept().expect("HELLO|3|+").send("HELLO|ERR|agency 3 is not one of 1 to 2");
            accept().expect("HELLO|3|+").send("HELLO|OK|0|done").expect(&format!("{BET}|0")).send("ACK|ERR|closed");
        });
        for (document, reason) in [("3 4", "is odd"), ("30904465", "1 to 2"), ("30904465", "closed")] {
            let Err(Halt::Fatal(error)) = bet(&central.address, document) else { panic!("not refused") };
            assert_eq!(error.kind, Kind::Refused);
            assert!(error.to_string().contains(reason), "{error}");
        }
        central.join();
    }

    #[test]
    fn what_the_wire_cannot_carry_is_never_sent() {
        let long = "9".repeat(MAX_FRAME);
        for document in ["1|2", "1\n2", &long] {
            let Err(Halt::Fatal(error)) = bet("unused:1", document) else { panic!("taken") };
            assert_eq!(error.kind, Kind::BadInput);
            assert!(error.to_string().contains("DOCUMENTO"));
        }
    }
}
