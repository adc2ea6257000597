//! The mode `echo`, the loop of the first exercises: connect, send a line, get it back, close, pause, repeat.

use std::time::Duration;

use super::conversation::{converse, general};
use super::dial::Dialer;
use super::reactor::{Halt, Reactor};
use crate::domain::Quoted;
use crate::error::Error;
use crate::logging::Event;
use crate::wire::Reply;
use crate::wire::frame::Incoming;

pub(super) fn run(reactor: &mut Reactor, dialer: &mut Dialer, amount: u32, period: Duration) -> Result<(), Halt> {
    for number in 1..=amount {
        let message = format!("[CLIENT {}] Message N°{number}", reactor.id);
        let result = exchange(reactor, dialer, &message);
        if let Err(Halt::Fatal(error)) = &result {
            reactor.log(Event::fail("receive_message").with("client_id", reactor.id).with("error", error));
        }
        result?;
        dialer.patience.progress();
        reactor.log(Event::success("receive_message").with("client_id", reactor.id).with("msg", &message));
        if number < amount {
            reactor.pause(period)?;
            dialer.patience.excuse(period);
        }
    }
    reactor.log(Event::success("loop_finished").with("client_id", reactor.id));
    Ok(())
}

/// What the server sent back.
enum Echo {
    Same,
    Refused(Halt),
    Other(String),
}

fn exchange(reactor: &mut Reactor, dialer: &mut Dialer, message: &str) -> Result<(), Halt> {
    let wrong = |reason| Err(Halt::Fatal(Error::failed(reason)));
    converse(reactor, dialer, |conversation| {
        match conversation.ask_line(message, |incoming| judge(incoming, message)) {
            Ok(Echo::Same) => Ok(()),
            Ok(Echo::Refused(halt)) => Err(halt),
            Ok(Echo::Other(answer)) => wrong(format!("sent {}, got {} back", Quoted(message), Quoted(&answer))),
            // No retry: a server that accepts the connection and does not echo is not an echo server.
            Err(Halt::Lost(cause)) => wrong(format!("sent {}, got nothing back: {cause}", Quoted(message))),
            Err(halt) => Err(halt),
        }
    })
}

fn judge(incoming: Incoming<'_>, message: &str) -> Echo {
    match incoming {
        Incoming::Line(line) if line.strip_suffix(b"\n") == Some(message.as_bytes()) => Echo::Same,
        Incoming::Line(line) => Echo::Other(String::from_utf8_lossy(line).into_owned()),
        // A central under load, or one that speaks TLS alone, refuses a connection before it has read a line or a frame.
        Incoming::Frame(text) => match Reply::parse(text, None) {
            Ok(Reply::Ack(Err(refusal))) => {
                general(&refusal).map_or_else(|| Echo::Other(text.to_owned()), Echo::Refused)
            }
            _ => Echo::Other(text.to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agency::play;
    use crate::agency::testing::{FakeCentral, config, reactor};
    use crate::config::Task;
    use crate::error::Kind;
    use std::time::Instant;

    const PERIOD: Duration = Duration::from_millis(20);

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
        let begun = Instant::now();
        play(&mut reactor(), &config(Task::Echo { amount: 3, period: PERIOD }, &central.address)).unwrap();
        assert!(begun.elapsed() >= 2 * PERIOD, "two pauses lie between three messages");
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
            let result = play(&mut reactor(), &config(Task::Echo { amount: 3, period: PERIOD }, &central.address));
            assert!(matches!(result, Err(Halt::Fatal(error)) if error.kind == Kind::Failed));
            central.join();
        }
    }
}
