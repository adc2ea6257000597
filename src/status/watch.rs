//! Shows a central's state again and again. A thread asks, so that a stop never waits for an answer.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use mio::{Events, Poll, Token, Waker};
use rustix::termios::tcgetwinsize;

use super::fetch::{Answer, Place, fetch};
use super::table;
use crate::error::{Error, Result};
use crate::output::print;
use crate::signals::StopSignal;

const PERIOD: Duration = Duration::from_secs(1);
const STOP: Token = Token(0);
const NEWS: Token = Token(1);

/// Moves to the first line, and clears the screen.
const CLEAR: &str = "\x1b[H\x1b[2J";
const HOME: &str = "\x1b[H";
/// Clears the rest of a line, and the rest of the screen.
const END_LINE: &str = "\x1b[K\n";
const END_SCREEN: &str = "\x1b[J";

/// What is shown now.
struct Shown<'a> {
    place: &'a Place,
    json: bool,
    is_in_place: bool,
    last: Option<Answer>,
    /// Since when nobody answers.
    lost: Option<Instant>,
}

pub fn run(place: &Place, mut stop: StopSignal, json: bool, is_in_place: bool) -> Result<()> {
    let cannot_wait = |error: io::Error| Error::failed(format!("cannot wait for answers: {error}"));
    let mut poll = Poll::new().map_err(cannot_wait)?;
    stop.register(poll.registry(), STOP).map_err(cannot_wait)?;
    let answers = ask(place, Waker::new(poll.registry(), NEWS).map_err(cannot_wait)?).map_err(cannot_wait)?;
    let mut shown = Shown { place, json, is_in_place, last: None, lost: None };
    let mut events = Events::with_capacity(4);
    if is_in_place {
        print(CLEAR)?;
    }
    while !stop.is_raised() {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            polled => polled.map_err(cannot_wait)?,
        }
        stop.acknowledge();
        answers.try_iter().try_for_each(|answer| shown.show(answer))?;
    }
    Ok(())
}

/// Asks once a second, on a thread that ends with the process.
fn ask(place: &Place, waker: Waker) -> io::Result<Receiver<Result<Answer>>> {
    let (place, (answers, receiver)) = (Arc::new(place.clone()), unbounded());
    thread::Builder::new().name("asker".to_owned()).spawn(move || {
        loop {
            let begun = Instant::now();
            let is_heard = answers.send(fetch(&place)).is_ok();
            if !is_heard || waker.wake().is_err() {
                return;
            }
            thread::sleep(PERIOD.saturating_sub(begun.elapsed()));
        }
    })?;
    Ok(receiver)
}

impl Shown<'_> {
    fn show(&mut self, answer: Result<Answer>) -> Result<()> {
        match answer {
            Ok(answer) => {
                let found =
                    self.lost.take().map(|since| format!("found again after {} s\n", since.elapsed().as_secs()));
                let text = match self.json {
                    true => answer.json.clone(),
                    false => table::show(&self.place.to_string(), &answer.report),
                };
                self.last = Some(answer);
                match (self.is_in_place, self.json) {
                    (true, _) => self.redraw(&text),
                    (false, true) => print(text),
                    (false, false) => print(format!("{}{text}\n", found.unwrap_or_default())),
                }
            }
            Err(error) => {
                let is_new = self.lost.is_none();
                let since = *self.lost.get_or_insert_with(Instant::now);
                let told = format!("LOST for {} s: {error}", since.elapsed().as_secs());
                let last = self.last.as_ref().map(|last| table::show(&self.place.to_string(), &last.report));
                match (self.is_in_place, self.json) {
                    (true, _) => self.redraw(&format!("{told}\n\n{}", last.unwrap_or_default())),
                    (false, true) => print(format!("{}\n", serde_json::json!({ "error": error.to_string() }))),
                    (false, false) if is_new => print(format!("{told}\n\n")),
                    (false, false) => Ok(()),
                }
            }
        }
    }

    /// Draws over what is there. What does not fit is left out, since it would scroll.
    fn redraw(&self, text: &str) -> Result<()> {
        let (rows, columns) = match tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_row > 1 && size.ws_col > 0 => (usize::from(size.ws_row), usize::from(size.ws_col)),
            _ => (24, 80),
        };
        let lines: Vec<&str> = text.lines().collect();
        let fits = lines.len() < rows;
        let most = if fits { lines.len() } else { rows.saturating_sub(2) };
        let mut drawn = HOME.to_owned();
        for line in &lines[..most] {
            drawn.extend(line.chars().take(columns));
            drawn.push_str(END_LINE);
        }
        if !fits {
            drawn.push_str(&format!("and {} more lines{END_LINE}", lines.len() - most));
        }
        print(drawn + END_SCREEN)
    }
}
