//! The log: one event one line, `2024-08-21 22:11:15 INFO     action: <what> | result: <how> | key: value | …`, to
//! stdout, in UTC, with Python's level names. Values are escaped, so no value can forge a field or a line.

use std::fmt::{self, Write as _};
use std::io;

use log::{Level, LevelFilter};
use simplelog::{ConfigBuilder, WriteLogger, format_description};

use crate::domain::visible;

/// How what an event tells of has gone. There is no fourth value.
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
    level: Level,
    line: String,
}

/// Sends every event of at least this level to stdout. Only the first call installs the log; a later one changes the
/// level alone.
pub fn start(level: LevelFilter) {
    let config = ConfigBuilder::new()
        .set_time_format_custom(format_description!("[year]-[month]-[day] [hour]:[minute]:[second]"))
        .set_time_level(LevelFilter::Error)
        // The level's name is part of our own line: simplelog can only write it in brackets.
        .set_max_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Off)
        .set_thread_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        // Lines of other crates would not have the form that readers of this log rely on.
        .add_filter_allow_str("quiniela")
        .build();
    // Refused only when a log is installed already.
    let _ = WriteLogger::init(LevelFilter::Trace, config, io::stdout());
    log::set_max_level(level);
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
        let mut event = Event { level, line: String::new() };
        if event.is_logged() {
            event.line.reserve(128);
            event.line.push_str("action: ");
            event.line.push_str(action);
            event.line.push_str(" | result: ");
            event.line.push_str(outcome.word());
        }
        event
    }

    pub fn with(mut self, key: &str, value: impl fmt::Display) -> Event {
        if self.is_logged() {
            // Writing to a string cannot fail.
            let _ = write!(self.line, " | {key}: ");
            let _ = write!(Escaping(&mut self.line), "{value}");
        }
        self
    }

    pub fn log(self) {
        log::log!(self.level, "{:<8} {}", level_name(self.level), self.line);
    }

    /// The same event one step quieter: told at DEBUG instead of INFO.
    pub fn quiet_if(quiet: bool, action: &str, outcome: Outcome) -> Event {
        Event::new(if quiet { Level::Debug } else { Level::Info }, action, outcome)
    }

    fn is_logged(&self) -> bool {
        self.level <= log::max_level()
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

/// Escapes what is written through it. Values come in pieces, and no piece ends inside a character.
struct Escaping<'a>(&'a mut String);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        self.0.push_str(&visible(piece));
        Ok(())
    }
}

/// Python's names, since the exercises' central was written in it.
fn level_name(level: Level) -> &'static str {
    match level {
        Level::Error => "ERROR",
        Level::Warn => "WARNING",
        Level::Info => "INFO",
        Level::Debug | Level::Trace => "DEBUG",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_forge_fields_or_lines() {
        log::set_max_level(LevelFilter::Debug);
        let event =
            Event::fail("receive_message").with("msg", "x | result: success\n2024-01-01 action: sorteo").with("n", 3);
        assert_eq!(
            event.line,
            "action: receive_message | result: fail | msg: x \\u{7c} result: success\\n2024-01-01 action: sorteo | n: 3"
        );
    }

    #[test]
    fn levels_are_padded_as_python_pads_them() {
        assert_eq!(format!("{:<8} action", level_name(Level::Info)), "INFO     action");
    }
}
