//! The merged log of all containers, as a grader reads it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Limit of every wait. Only a failure takes this long, even on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A line with `action:`, split at its `|`.
#[derive(Clone, Debug)]
pub struct Line {
    pub source: String,
    pub action: String,
    pub result: String,
    details: Vec<(String, String)>,
}

/// A running `docker compose logs -f`, and every line that it has printed so far.
pub struct Follower {
    process: Child,
    incoming: Receiver<String>,
    raw: Vec<String>,
    pub lines: Vec<Line>,
}

impl Line {
    /// None for a line without an action. Panics if a line with one does not have the right form.
    pub fn parse(raw: &str) -> Option<Line> {
        if !raw.contains("action:") {
            return None;
        }
        let value = |part: &str, key: &str| {
            let (_, value) = part.split_once(key).unwrap_or_else(|| panic!("no {key} in {part:?} of {raw:?}"));
            value.trim().to_owned()
        };
        let mut parts = raw.split('|').map(str::trim);
        let source = parts.next().unwrap().to_owned();
        let mut next = || parts.next().unwrap_or_else(|| panic!("too few parts: {raw:?}"));
        let action = value(next(), "action:");
        let result = next();
        assert!(result.starts_with("result:"), "{raw:?}");
        let result = value(result, "result:");
        assert!(["success", "fail", "in_progress"].contains(&result.as_str()), "result {result:?} in {raw:?}");
        let details = parts
            .map(|part| {
                let (key, value) = part.split_once(':').unwrap_or_else(|| panic!("{part:?} is no detail: {raw:?}"));
                (key.trim().to_owned(), value.trim().to_owned())
            })
            .collect();
        Some(Line { source, action, result, details })
    }

    pub fn get(&self, key: &str) -> &str {
        let found = self.details.iter().find(|(name, _)| name == key);
        found.map_or_else(|| panic!("no {key} in {self:?}"), |(_, value)| value)
    }

    pub fn has(&self, key: &str) -> bool {
        self.details.iter().any(|(name, _)| name == key)
    }

    pub fn is(&self, action: &str, result: &str) -> bool {
        self.action == action && self.result == result
    }

    pub fn number(&self, key: &str) -> u64 {
        self.get(key).parse().unwrap_or_else(|_| panic!("{key} is no number in {self:?}"))
    }
}

impl Follower {
    pub fn start(mut command: Command) -> Follower {
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let (sender, incoming) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Follower { process, incoming, raw: Vec::new(), lines: Vec::new() }
    }

    /// Reads until the lines so far satisfy a condition.
    pub fn wait(&mut self, what: &str, enough: impl Fn(&[Line]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !enough(&self.lines) {
            match self.incoming.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(raw) => self.take(raw),
                Err(RecvTimeoutError::Timeout) => self.give_up(&format!("{what} did not come in time")),
                Err(RecvTimeoutError::Disconnected) => self.give_up(&format!("the log has ended without {what}")),
            }
        }
    }

    /// Waits for this many lines with this action and this result.
    pub fn wait_for(&mut self, count: usize, action: &str, result: &str) {
        self.wait(&format!("{count} times {action} {result}"), |lines| {
            lines.iter().filter(|line| line.is(action, result)).count() >= count
        });
    }

    /// Reads until each of these containers has logged its shutdown, which is its last line. The end of the log cannot
    /// be used: Compose keeps following a container that had already ended.
    pub fn finish(&mut self, containers: &[&str]) {
        self.wait(&format!("the end of {containers:?}"), |lines| {
            let down = |container| lines.iter().any(|line| line.source == container && line.is("shutdown", "success"));
            containers.iter().all(|container| down(*container))
        });
    }

    pub fn all(&self, action: &str, result: &str) -> Vec<&Line> {
        self.lines.iter().filter(|line| line.is(action, result)).collect()
    }

    pub fn of<'a>(&'a self, source: &'a str) -> impl Iterator<Item = &'a Line> {
        self.lines.iter().filter(move |line| line.source == source)
    }

    /// Each of these agencies was told once of its winners, of whom it has as many as its number says.
    #[track_caller]
    pub fn check_winners(&self, clients: u32) {
        for agency in 1..=clients {
            let source = format!("client{agency}");
            let answers = self.of(&source).filter(|line| line.is("consulta_ganadores", "success"));
            let counts: Vec<u64> = answers.map(|line| line.number("cant_ganadores")).collect();
            assert_eq!(counts, [u64::from(agency)], "{source}:\n{}", self.show());
        }
    }

    pub fn show(&self) -> String {
        self.raw.join("\n")
    }

    fn take(&mut self, raw: String) {
        // Some versions of Compose clear the terminal's line before each line, into a pipe as well.
        let raw = raw.trim_start_matches("\u{1b}[2K").to_owned();
        self.lines.extend(Line::parse(&raw));
        self.raw.push(raw);
    }

    fn give_up(&self, why: &str) -> ! {
        panic!("{why}; the log so far:\n{}", self.show())
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn lines_are_taken_apart_as_a_grader_does() {
    let line = Line::parse("client12  | 2024-08-21 22:11:15 INFO     action: x | result: success | msg: a: b | n: 3");
    let line = line.unwrap();
    assert_eq!((line.source.as_str(), line.action.as_str()), ("client12", "x"));
    assert_eq!((line.get("msg"), line.number("n")), ("a: b", 3));
    assert!(Line::parse("server  | listening").is_none());
    let bad = "server  | INFO action: x | result: maybe";
    assert!(std::panic::catch_unwind(|| Line::parse(bad)).is_err());
}
