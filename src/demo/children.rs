//! Processes of this very program: started, listened to, stopped. None is left behind, whatever ends this one.

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

/// Lines heard and not yet looked at; a child that says more waits.
const UNREAD_LINES: usize = 4_096;
/// How soon a stop signal or a child's end is noticed.
const LOOK_PERIOD: Duration = Duration::from_millis(20);
/// What a child may take to stop before it is killed.
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
    /// The child's place in the order in which they were started.
    pub child: usize,
    pub line: Option<String>,
}

struct Running {
    name: String,
    process: Child,
    begun: Instant,
    /// What it writes to standard error, where a failure says why.
    complaints: PathBuf,
}

impl<'a> Children<'a> {
    /// Their logs go to this folder.
    pub fn new(folder: &Path, stop: &'a StopSignal) -> Result<Children<'a>> {
        let unknown = |error| Error::failed(format!("cannot find this program's own file: {error}"));
        let program = std::env::current_exe().map_err(unknown)?;
        let (speak, heard) = crossbeam_channel::bounded(UNREAD_LINES);
        Ok(Children { program, folder: folder.to_owned(), stop, all: Vec::new(), speak, heard })
    }

    /// Starts one. It gets no environment and no configuration file, so that what the caller says is all that counts.
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
            .args(["--stop-on-eof", "--config"])
            .arg(self.folder.join("no-configuration"))
            .env_clear()
            // Nothing is written to it. It ends with this process, even if that is killed.
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

    /// What anyone says next; none when all are silent for so long. An error once this process is told to stop.
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

    /// After its log has ended: waits for its end, which must be a success, and tells how long it ran.
    pub fn finish(&mut self, child: usize) -> Result<Duration> {
        match self.wait(child, GRACE)? {
            Some(status) if status.success() => Ok(self.all[child].begun.elapsed()),
            _ => Err(self.unexpected_end(child)),
        }
    }

    /// Tells the last one that runs to stop, which must succeed within a limit.
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

    /// The error that a child has ended when or as it should not have, in its own words.
    pub fn unexpected_end(&mut self, child: usize) -> Error {
        let status = self.wait(child, GRACE).ok().flatten();
        let Running { name, complaints, .. } = &self.all[child];
        let how = status.map_or("has closed its log and still runs".to_owned(), |status| format!("ended: {status}"));
        let said = fs::read_to_string(complaints).unwrap_or_default();
        Error::failed(format!("{name} {how}\n{}", said.trim_end()).trim_end())
    }

    /// Does not listen meanwhile: for a child that has nothing more to say, or to nobody.
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
        // Whoever is told to stop may still have much to log, and nobody would read it.
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

/// Passes a child's lines on, and keeps them in its log file. Goes on when nobody listens, so that the child can.
fn listen(child: usize, stdout: impl Read, mut log: File, speak: &Sender<Message>) {
    let mut stdout = BufReader::new(stdout);
    let mut line = Vec::new();
    while matches!(stdout.read_until(b'\n', &mut line), Ok(1..)) {
        // The log is for people to look at later: the lottery does not depend on it.
        let _ = log.write_all(&line);
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        let _ = speak.send(Message { child, line: Some(text) });
        line.clear();
    }
    let _ = speak.send(Message { child, line: None });
}

/// The value of a key in a log line. No value holds the sign that separates them.
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
