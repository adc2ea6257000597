//! The echo loop of the first exercises: a connection, a line, the same line back, a pause, and again.

use super::conversation::converse;
use super::dial::Dialer;
use super::reactor::{Halt, Reactor};
use crate::config::AgencyConfig;
use crate::domain::Quoted;
use crate::error::Error;
use crate::logging::Event;
use crate::wire::frame::Incoming;
use crate::wire::{Refusal, Reply};

pub(super) fn run(reactor: &mut Reactor, dialer: &mut Dialer, config: &AgencyConfig) -> Result<(), Halt> {
    for number in 1..=config.loop_amount.value {
        let message = format!("[CLIENT {}] Message N°{number}", config.id);
        match exchange(reactor, dialer, &message) {
            Ok(()) => dialer.patience.progress(),
            Err(Halt::Fatal(error)) => {
                reactor.log(Event::fail("receive_message").with("client_id", reactor.id).with("error", &error));
                return Err(Halt::Fatal(error));
            }
            Err(halt) => return Err(halt),
        }
        reactor.log(Event::success("receive_message").with("client_id", reactor.id).with("msg", &message));
        if number < config.loop_amount.value {
            reactor.pause(config.loop_period.value)?;
            dialer.patience.excuse(config.loop_period.value);
        }
    }
    reactor.log(Event::success("loop_finished").with("client_id", reactor.id));
    Ok(())
}

/// What came back.
enum Echo {
    Same,
    Busy(String),
    Other(String),
}

fn exchange(reactor: &mut Reactor, dialer: &mut Dialer, message: &str) -> Result<(), Halt> {
    let wrong = |reason| Err(Halt::Fatal(Error::failed(reason)));
    converse(reactor, dialer, |conversation| {
        match conversation.ask_line(message, |incoming| judge(incoming, message)) {
            Ok(Echo::Same) => Ok(()),
            Ok(Echo::Busy(reason)) => Err(Halt::Lost(reason)),
            Ok(Echo::Other(answer)) => wrong(format!("sent {}, got {} back", Quoted(message), Quoted(&answer))),
            // A server that was reached and does not echo is no echo server: the exercise ends there.
            Err(Halt::Lost(cause)) => wrong(format!("sent {}, got nothing back: {cause}", Quoted(message))),
            Err(halt) => Err(halt),
        }
    })
}

fn judge(incoming: Incoming<'_>, message: &str) -> Echo {
    match incoming {
        Incoming::Line(line) if line.strip_suffix(b"\n") == Some(message.as_bytes()) => Echo::Same,
        Incoming::Line(line) => Echo::Other(String::from_utf8_lossy(line).into_owned()),
        // A central with too much to do refuses a connection before it knows what it is for.
        Incoming::Frame(text) => match Reply::parse(text, None) {
            Ok(reply @ Reply::Ack(Err(Refusal::Busy(_)))) => Echo::Busy(format!("the central answered: {reply}")),
            _ => Echo::Other(text.to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agency::play;
    use crate::agency::testing::{FakeCentral, config, reactor};
    use crate::config::Mode;
    use crate::error::Kind;
    use std::time::{Duration, Instant};

    #[test]
    fn every_message_has_a_connection_and_comes_back() {
        let central = FakeCentral::start(|accept| {
            let mut lines = Vec::new();
            accept().send("ACK|ERR|busy: too many connections");
            for _ in 0..3 {
                let mut peer = accept();
                lines.push(peer.line());
                peer.send_raw(lines[lines.len() - 1].as_bytes()).expect_end();
            }
            lines
        });
        let mut config = config(Mode::Echo, &central.address, "unused".into());
        config.loop_period.value = Duration::from_millis(20);
        let begun = Instant::now();
        play(&mut reactor(), &config).unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(40), "two pauses lie between three messages");
        let expected = [1, 2, 3].map(|number| format!("[CLIENT 3] Message N°{number}\n"));
        assert_eq!(central.join(), expected);
    }

    #[test]
    fn another_answer_or_none_is_a_failure() {
        for answer in ["[CLIENT 3] Message N°2\n", "", "\0\0\0\x04HOLA"] {
            let central = FakeCentral::start(move |accept| {
                let mut peer = accept();
                peer.line();
                peer.send_raw(answer.as_bytes());
            });
            let result = play(&mut reactor(), &config(Mode::Echo, &central.address, "unused".into()));
            assert!(matches!(result, Err(Halt::Fatal(error)) if error.kind == Kind::Failed));
            central.join();
        }
    }
}
