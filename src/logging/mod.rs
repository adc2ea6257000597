//! The log: one line for each event, `2024-08-21 22:11:15 INFO     action: <what> | result: <how> | key: value | …`, on
//! standard output, in UTC, with Python's level names; or a JSON object for each event, with the same names. Values are
//! escaped, so no value can forge a field or a line.

mod json;
mod writer;

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::mem;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use log::{Level, LevelFilter};
use simplelog::{ConfigBuilder, WriteLogger, format_description};

use crate::domain::visible;
use writer::LineQueue;

/// A thread that has gathered this much queues its lines as one piece.
const PIECE_BYTES: usize = 16 * 1024;

static QUEUE: OnceLock<Arc<LineQueue>> = OnceLock::new();

/// Whether lines are JSON. It is set once, before the first line.
static IS_JSON: AtomicBool = AtomicBool::new(false);

thread_local! {
    static GATHERED: RefCell<Gathered> = const { RefCell::new(Gathered { lines: Vec::new(), goes_on: false }) };
}

/// The lines of this thread that are not queued yet.
struct Gathered {
    lines: Vec<u8>,
    /// Set while a [`Gathering`] lives: each line then waits for the next ones.
    goes_on: bool,
}

/// The output of the `log` crate's logger: adds each line to those that its thread has gathered.
struct Gatherer;

/// The result of an action. There is no fourth value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventResult {
    Success,
    Fail,
    InProgress,
}

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The exercises' form.
    Text,
    /// One JSON object a line.
    Json,
}

/// A log line under construction. Nothing is formatted if its level is not logged.
///
/// ```
/// use quiniela::logging::Event;
///
/// Event::success("apuesta_recibida").with("cantidad", 100).with("client_id", 3).log();
/// ```
#[must_use = "an event is written by its method log"]
pub struct Event {
    form: Form,
    level: Level,
    /// Empty if its level is not logged.
    line: String,
}

/// This thread's lines are gathered while it lives. See [`gather`].
#[must_use = "lines are gathered until it is dropped"]
pub struct Gathering(PhantomData<*const ()>);

/// Starts the log on standard output, from this level up. Called once in a process.
pub fn start(level: LevelFilter, form: Form) -> io::Result<()> {
    IS_JSON.store(form == Form::Json, Ordering::Relaxed);
    // Not `io::stdout`, whose lock and buffer `print` uses.
    let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    // The queue's own thread makes this line. It must never queue one: it would wait for itself.
    let queue = LineQueue::start(output, |dropped| {
        GATHERED.with_borrow_mut(|gathered| gathered.goes_on = true);
        Event::fail("log").with("dropped", dropped).log();
        GATHERED.with_borrow_mut(|gathered| mem::take(&mut gathered.lines))
    })?;
    // This fails only if the log has started already.
    let _ = QUEUE.set(queue);
    gather_lines(form);
    log::set_max_level(level);
    Ok(())
}

/// From now on each event goes to the lines that its thread has gathered.
fn gather_lines(form: Form) {
    // simplelog puts a space behind it.
    let time = match form {
        Form::Text => format_description!("[year]-[month]-[day] [hour]:[minute]:[second]"),
        // As RFC 3339 has it.
        Form::Json => {
            format_description!("{\"time\":\"[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z\",")
        }
    };
    let config = ConfigBuilder::new()
        .set_time_format_custom(time)
        .set_time_level(LevelFilter::Error)
        // The line has the level's name already: simplelog can only write it in brackets.
        .set_max_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Off)
        .set_thread_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        // Lines of other crates do not have the form that readers of this log rely on.
        .add_filter_allow_str("quiniela")
        .build();
    // This fails only if it was done before.
    let _ = WriteLogger::init(LevelFilter::Trace, config, Gatherer);
}

/// What this thread logs during `work`, which must not send it by itself.
#[cfg(test)]
pub fn lines_of(work: impl FnOnce()) -> String {
    gather_lines(Form::Text);
    log::set_max_level(LevelFilter::Debug);
    let _gathering = gather();
    work();
    GATHERED.with_borrow_mut(|gathered| String::from_utf8(mem::take(&mut gathered.lines)).unwrap())
}

/// Logs an event that others rely on, even if `level` would hide it. Later events obey `level`.
pub fn log_at_any_level(level: LevelFilter, event: impl FnOnce() -> Event) {
    log::set_max_level(level.max(LevelFilter::Info));
    event().log();
    log::set_max_level(level);
}

/// Gathers the lines of this thread, and queues them as one piece when the returned value is dropped.
pub fn gather() -> Gathering {
    GATHERED.with_borrow_mut(|gathered| gathered.goes_on = true);
    Gathering(PhantomData)
}

/// Queues the lines that this thread has gathered so far. Called before the effects that they report become visible.
pub fn send_gathered() {
    let lines = GATHERED.with_borrow_mut(|gathered| mem::take(&mut gathered.lines));
    if let Some(queue) = QUEUE.get().filter(|_| !lines.is_empty()) {
        queue.push(&lines);
    }
}

/// How many lines were dropped since the start, because standard output took nothing.
pub fn dropped() -> usize {
    QUEUE.get().map_or(0, |queue| queue.dropped_in_all())
}

/// Waits until everything that was logged is written, unless standard output has taken nothing for a second.
pub fn flush() {
    send_gathered();
    if let Some(queue) = QUEUE.get() {
        queue.flush();
    }
}

impl io::Write for Gatherer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        GATHERED.with_borrow_mut(|gathered| gathered.lines.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        send_gathered();
        GATHERED.with_borrow_mut(|gathered| gathered.goes_on = false);
    }
}

impl Event {
    /// At INFO.
    pub fn success(action: &str) -> Event {
        Event::new(Level::Info, action, EventResult::Success)
    }

    /// At ERROR.
    pub fn fail(action: &str) -> Event {
        Event::new(Level::Error, action, EventResult::Fail)
    }

    /// At INFO.
    pub fn in_progress(action: &str) -> Event {
        Event::new(Level::Info, action, EventResult::InProgress)
    }

    pub fn new(level: Level, action: &str, result: EventResult) -> Event {
        let form = if IS_JSON.load(Ordering::Relaxed) { Form::Json } else { Form::Text };
        Event::in_form(form, level, action, result)
    }

    fn in_form(form: Form, level: Level, action: &str, result: EventResult) -> Event {
        let mut line = String::new();
        if level <= log::max_level() {
            line.reserve(160);
            // Python's names, since the exercises' central was written in it.
            let name = match level {
                Level::Error => "ERROR",
                Level::Warn => "WARNING",
                Level::Info => "INFO",
                Level::Debug | Level::Trace => "DEBUG",
            };
            let result = match result {
                EventResult::Success => "success",
                EventResult::Fail => "fail",
                EventResult::InProgress => "in_progress",
            };
            match form {
                // Writing to a string cannot fail.
                Form::Text => _ = write!(line, "{name:<8} action: {action} | result: {result}"),
                Form::Json => json::begin(&mut line, name, action, result),
            }
        }
        Event { form, level, line }
    }

    pub fn with(mut self, key: &str, value: impl fmt::Display) -> Event {
        match self.form {
            _ if self.line.is_empty() => {}
            Form::Text => {
                let _ = write!(self.line, " | {key}: ");
                let _ = write!(Escaping(&mut self.line), "{value}");
            }
            Form::Json => json::add(&mut self.line, key, value),
        }
        self
    }

    pub fn log(mut self) {
        if self.line.is_empty() {
            return;
        }
        if self.form == Form::Json {
            self.line.push('}');
        }
        log::log!(self.level, "{}", self.line);
        if GATHERED.with_borrow(|gathered| !gathered.goes_on || gathered.lines.len() >= PIECE_BYTES) {
            send_gathered();
        }
    }

    /// At DEBUG if `quiet`, otherwise at INFO.
    pub fn quiet_if(quiet: bool, action: &str, result: EventResult) -> Event {
        Event::new(if quiet { Level::Debug } else { Level::Info }, action, result)
    }
}

/// Escapes what is written through it. A value may come in several pieces, each of whole characters.
struct Escaping<'a>(&'a mut String);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        self.0.push_str(&visible(piece));
        Ok(())
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
            "ERROR    action: receive_message | result: fail | \
             msg: x \\u{7c} result: success\\n2024-01-01 action: sorteo | n: 3"
        );
    }

    #[test]
    fn levels_are_named_as_python_names_them() {
        log::set_max_level(LevelFilter::Debug);
        let level = |level| Event::new(level, "config", EventResult::Success).line;
        assert_eq!(level(Level::Info), "INFO     action: config | result: success");
        assert_eq!(level(Level::Warn), "WARNING  action: config | result: success");
        assert_eq!(level(Level::Debug), "DEBUG    action: config | result: success");
    }
}
