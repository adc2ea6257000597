//! The log: one event one line, `2024-08-21 22:11:15 INFO     action: <what> | result: <how> | key: value | …`, to
//! stdout, in UTC, with Python's level names. Values are escaped, so no value can forge a field or a line.

mod writer;

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::io;
use std::marker::PhantomData;
use std::sync::OnceLock;
use std::time::Instant;

use log::{Level, LevelFilter};
use simplelog::{ConfigBuilder, WriteLogger};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::domain::visible;
use writer::{PIECE_BYTES, Queue};

static QUEUE: OnceLock<Queue> = OnceLock::new();

thread_local! {
    /// The current second, and its text.
    static STAMP: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
    /// The gathered lines, if this thread gathers.
    static GATHERED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The result of an action. There is no fourth value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Success,
    Fail,
    InProgress,
}

/// An event on its way to the log. Nothing is formatted when its level is not logged.
///
/// ```
/// use quiniela::logging::Event;
///
/// Event::success("apuesta_recibida").with("cantidad", 100).with("agency", 3).log();
/// ```
#[must_use = "an event is written by its method log"]
pub struct Event {
    /// Empty if its level is not logged.
    line: String,
}

/// Keeps the log open while a command runs. Dropping it writes everything that was logged, unless standard output has
/// stalled.
#[must_use = "the log may lose its end without it"]
pub struct Log(());

/// While it lives, this thread's lines are gathered. See [`gather`].
#[must_use = "lines are gathered until it is dropped"]
pub struct Gathering(PhantomData<*const ()>);

/// The writer behind simplelog. It queues each record once simplelog has written all of it.
struct Record(Vec<u8>);

/// Starts to log every event of at least this level to standard output. Called once in a process.
pub fn start(level: LevelFilter) -> io::Result<Log> {
    let queue = Queue::start(io::stdout(), |dropped| Event::fail("log").with("dropped", dropped).line + "\n")?;
    let config = ConfigBuilder::new()
        // Our lines contain the time and the level already: simplelog can write the level only in brackets, and would
        // format the time for each record.
        .set_time_level(LevelFilter::Off)
        .set_max_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Off)
        .set_thread_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        // Lines of other crates do not have the form that readers of this log expect.
        .add_filter_allow_str("quiniela")
        .build();
    // Both fail only if a log is installed already.
    let _ = QUEUE.set(queue);
    let _ = WriteLogger::init(LevelFilter::Trace, config, Record(Vec::new()));
    log::set_max_level(level);
    Ok(Log(()))
}

/// Gathers the lines of this thread, and queues them as one piece when the result is dropped.
pub fn gather() -> Gathering {
    GATHERED.set(Some(String::new()));
    Gathering(PhantomData)
}

/// Queues the lines that this thread has gathered so far. Called before anything that depends on them becomes visible.
pub fn send_gathered() {
    let lines = GATHERED.with_borrow_mut(|gathered| gathered.as_mut().map(std::mem::take));
    queue(&lines.unwrap_or_default());
}

/// Waits until everything that was logged is written, unless standard output has stalled.
pub fn flush() {
    send_gathered();
    if let Some(queue) = QUEUE.get() {
        queue.flush();
    }
}

/// From this time on no thread waits for the log, so that a stop ends in time.
pub fn set_deadline(deadline: Instant) {
    if let Some(queue) = QUEUE.get() {
        queue.set_deadline(deadline);
    }
}

fn queue(lines: &str) {
    if !lines.is_empty() {
        // The record's level has no effect. Each line's own level was checked before.
        log::error!("{}", lines.strip_suffix('\n').unwrap_or(lines));
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        flush();
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        send_gathered();
        GATHERED.set(None);
    }
}

impl io::Write for Record {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(text);
        // Only simplelog's own line feed after a record ends like this.
        if let (Some(queue), true) = (QUEUE.get(), text.ends_with(b"\n")) {
            queue.push(std::mem::take(&mut self.0));
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Event {
    /// At INFO.
    pub fn success(action: &str) -> Event {
        Event::new(Level::Info, action, Outcome::Success)
    }

    /// At ERROR.
    pub fn fail(action: &str) -> Event {
        Event::new(Level::Error, action, Outcome::Fail)
    }

    /// At INFO.
    pub fn in_progress(action: &str) -> Event {
        Event::new(Level::Info, action, Outcome::InProgress)
    }

    pub fn new(level: Level, action: &str, outcome: Outcome) -> Event {
        let mut line = String::new();
        if level <= log::max_level() {
            line.reserve(160);
            push_time(&mut line);
            // Python's names, since the exercises' central was written in it.
            let level = match level {
                Level::Error => "ERROR",
                Level::Warn => "WARNING",
                Level::Info => "INFO",
                Level::Debug | Level::Trace => "DEBUG",
            };
            // Writing to a string cannot fail.
            let _ = write!(line, " {level:<8} action: {action} | result: {}", outcome.word());
        }
        Event { line }
    }

    pub fn with(mut self, key: &str, value: impl fmt::Display) -> Event {
        if !self.line.is_empty() {
            let _ = write!(self.line, " | {key}: ");
            let _ = write!(Escaping(&mut self.line), "{value}");
        }
        self
    }

    pub fn log(self) {
        let due = GATHERED.with_borrow_mut(|gathered| match gathered {
            Some(lines) if !self.line.is_empty() => {
                lines.push_str(&self.line);
                lines.push('\n');
                if lines.len() < PIECE_BYTES { String::new() } else { std::mem::take(lines) }
            }
            _ => self.line,
        });
        queue(&due);
    }

    /// At DEBUG if `quiet`, otherwise at INFO.
    pub fn quiet_if(quiet: bool, action: &str, outcome: Outcome) -> Event {
        Event::new(if quiet { Level::Debug } else { Level::Info }, action, outcome)
    }
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::Fail => "fail",
            Outcome::InProgress => "in_progress",
        }
    }
}

/// Escapes what is written through it. Values may come in pieces, but no piece ends inside a character.
struct Escaping<'a>(&'a mut String);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        self.0.push_str(&visible(piece));
        Ok(())
    }
}

/// Appends the current time, which is formatted once a second.
fn push_time(line: &mut String) {
    let now = OffsetDateTime::now_utc();
    STAMP.with_borrow_mut(|(second, text)| {
        if *second != now.unix_timestamp() {
            *second = now.unix_timestamp();
            let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
            // This format cannot fail.
            *text = now.format(format).unwrap_or_default();
        }
        line.push_str(text);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_forge_fields_or_lines() {
        log::set_max_level(LevelFilter::Debug);
        let event =
            Event::fail("receive_message").with("msg", "x | result: success\n2024-01-01 action: sorteo").with("n", 3);
        let (time, line) = event.line.split_at("2024-08-21 22:11:15".len());
        let now = OffsetDateTime::now_utc().to_string();
        assert!(time.starts_with("20") && time <= &now[..19], "{time}, and now it is {now}");
        assert_eq!(
            line,
            " ERROR    action: receive_message | result: fail | \
             msg: x \\u{7c} result: success\\n2024-01-01 action: sorteo | n: 3"
        );
    }

    #[test]
    fn levels_are_named_as_python_names_them() {
        log::set_max_level(LevelFilter::Debug);
        let level = |level| Event::new(level, "config", Outcome::Success).line[20..].to_owned();
        assert_eq!(level(Level::Info), "INFO     action: config | result: success");
        assert_eq!(level(Level::Warn), "WARNING  action: config | result: success");
        assert_eq!(level(Level::Debug), "DEBUG    action: config | result: success");
    }
}
