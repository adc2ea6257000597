//! Child processes that run this program: starts them, reads their logs, stops them. None outlives this process.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Error, Kind, Result};
use crate::signals::StopSignal;

/// Maximum log lines read from children and not yet handled. A child that logs more waits.
const UNREAD_LINES: usize = 4_096;
/// How often a wait checks for a stop signal or a child's end.
const LOOK_PERIOD: Duration = Duration::from_millis(20);
/// Time for a child to stop before it is killed.
const GRACE: Duration = Duration::from_secs(6);

pub struct Children<'a> {
    program: PathBuf,
    folder: PathBuf,
    stop: &'a StopSignal,
    all: Vec<Running>,
    speak: Sender<Message>,
    heard: Receiver<Message>,
}

/// A line of a child's log, or its end.
pub struct Message {
    /// The child's index, in the order of their start.
    pub child: usize,
    pub line: Option<String>,
}

struct Running {
    name: String,
    process: Child,
    begun: Instant,
    /// The file with its standard error, which explains a failure.
    complaints: PathBuf,
}

impl<'a> Children<'a> {
    /// Logs are written to this folder.
    pub fn new(folder: &Path, stop: &'a StopSignal) -> Result<Children<'a>> {
        let unknown = |error| Error::failed(format!("cannot find this program's own file: {error}"));
        let program = std::env::current_exe().map_err(unknown)?;
        let (speak, heard) = crossbeam_channel::bounded(UNREAD_LINES);
        Ok(Children { program, folder: folder.to_owned(), stop, all: Vec::new(), speak, heard })
    }

    /// Starts a child. It gets no environment and no configuration file, so that only its arguments matter.
    pub fn start<'b>(&mut self, name: &str, words: impl Iterator<Item = &'b OsStr>) -> Result<()> {
        let create = |ending: &str| {
            let path = self.folder.join(format!("{name}.{ending}"));
            File::create(&path)
                .map_err(|error| Error::at_path(Kind::Failed, &path, "create it", &error))
                .map(|file| (path, file))
        };
        let (complaints, stderr) = create("err")?;
        let (_, log) = create("log")?;
        let mut process = Command::new(&self.program)
            .args(words)
            .args(["--stop-on-eof", "--config", "/dev/null"])
            .env_clear()
            // Nothing is written to this pipe. It closes when this process ends, even by SIGKILL: the child then stops.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .map_err(|error| Error::failed(format!("{name}: cannot start it: {error}")))?;
        let stdout = process.stdout.take();
        let (child, speak) = (self.all.len(), self.speak.clone());
        self.all.push(Running { name: name.to_owned(), process, begun: Instant::now(), complaints });
        if let Some(stdout) = stdout {
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || listen(child, stdout, log, &speak))
                .map_err(|error| Error::failed(format!("{name}: cannot start a thread: {error}")))?;
        }
        Ok(())
    }

    /// The next message of any child, or none within the limit. An error once this process is told to stop.
    pub fn hear(&self, limit: Duration) -> Result<Option<Message>> {
        let deadline = Instant::now() + limit;
        loop {
            if self.stop.is_raised() {
                return Err(Error::failed("told to stop before the lottery was over"));
            }
            match self.heard.recv_timeout(LOOK_PERIOD) {
                Ok(message) => return Ok(Some(message)),
                Err(_) if Instant::now() >= deadline => return Ok(None),
                Err(_) => {}
            }
        }
    }

    /// Waits for a child whose log has ended, and returns how long it ran. An error unless it succeeded.
    pub fn finish(&mut self, child: usize) -> Result<Duration> {
        match self.wait(child, GRACE)? {
            Some(status) if status.success() => Ok(self.all[child].begun.elapsed()),
            _ => Err(self.unexpected_end(child)),
        }
    }

    /// Sends SIGTERM to the only child left. An error unless it ends with success within the limit.
    pub fn stop(&mut self, child: usize, limit: Duration) -> Result<()> {
        let Running { name, process, .. } = &self.all[child];
        kill_process(Pid::from_child(process), Signal::TERM)
            .map_err(|error| Error::failed(format!("{name}: cannot signal it: {error}")))?;
        let deadline = Instant::now() + limit;
        while let Some(message) = self.hear(deadline.saturating_duration_since(Instant::now()))? {
            if message.child == child && message.line.is_none() {
                return self.finish(child).map(drop);
            }
        }
        let name = &self.all[child].name;
        Err(Error::failed(format!("{name}: has not stopped {} s after SIGTERM", limit.as_secs())))
    }

    /// The error for a child that failed or ended too early, with its standard error.
    pub fn unexpected_end(&mut self, child: usize) -> Error {
        let status = self.wait(child, GRACE).ok().flatten();
        let Running { name, complaints, .. } = &self.all[child];
        let how = status.map_or("has closed its log and still runs".to_owned(), |status| format!("ended: {status}"));
        let said = fs::read_to_string(complaints).unwrap_or_default();
        Error::failed(format!("{name} {how}\n{}", said.trim_end()).trim_end())
    }

    /// Waits for a child's end. No log is read meanwhile.
    fn wait(&mut self, child: usize, limit: Duration) -> Result<Option<ExitStatus>> {
        let deadline = Instant::now() + limit;
        let Running { name, process, .. } = &mut self.all[child];
        loop {
            let failed = |error| Error::failed(format!("{name}: cannot wait for it: {error}"));
            if let Some(status) = process.try_wait().map_err(failed)? {
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            thread::sleep(LOOK_PERIOD / 10);
        }
    }
}

impl Drop for Children<'_> {
    fn drop(&mut self) {
        // Closes the channel: a stopping child may log more than it holds, and nothing reads it any more.
        self.heard = crossbeam_channel::never();
        for Running { process, .. } in &mut self.all {
            if matches!(process.try_wait(), Ok(None)) {
                let _ = kill_process(Pid::from_child(process), Signal::TERM);
            }
        }
        let deadline = Instant::now() + GRACE;
        for child in 0..self.all.len() {
            let left = deadline.saturating_duration_since(Instant::now());
            if !matches!(self.wait(child, left), Ok(Some(_))) {
                let _ = self.all[child].process.kill();
                let _ = self.wait(child, GRACE);
            }
        }
    }
}

/// Sends a child's log lines to the channel and to its log file. If the channel is closed, it still reads, so that the
/// child is not blocked.
fn listen(child: usize, stdout: impl Read, mut log: File, speak: &Sender<Message>) {
    let mut stdout = BufReader::new(stdout);
    let mut line = Vec::new();
    while matches!(stdout.read_until(b'\n', &mut line), Ok(1..)) {
        // An error is ignored: the log file is only for later inspection.
        let _ = log.write_all(&line);
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        let _ = speak.send(Message { child, line: Some(text) });
        line.clear();
    }
    let _ = speak.send(Message { child, line: None });
}

/// The value of a key in a log line. No value contains the separator.
pub fn log_value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let details = &line[line.find("action: ")?..];
    details.split(" | ").find_map(|detail| detail.strip_prefix(key)?.strip_prefix(": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_key() {
        let line = "2024-08-21 22:11:15 INFO     action: config | result: success | port: 4000 | listen_backlog: 5";
        assert_eq!(log_value(line, "action"), Some("config"));
        assert_eq!(log_value(line, "port"), Some("4000"));
        assert_eq!(log_value(line, "listen_backlog"), Some("5"));
        assert_eq!(log_value(line, "listen"), None);
        assert_eq!(log_value("no log line | port: 1", "port"), None);
    }
}
