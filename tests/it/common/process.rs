//! A child process whose output is collected. It is killed when the value is dropped.

use std::fmt;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::process::{Pid, WaitOptions, kill_process, waitpid};

use super::LIMIT;

pub use rustix::process::Signal;

pub struct Process {
    child: Child,
    log: Arc<Log>,
    readers: Vec<JoinHandle<()>>,
    complaints: Arc<Mutex<String>>,
}

/// How a process ended, and all of its output.
pub struct Exit {
    pub status: ExitStatus,
    pub lines: Vec<String>,
    pub stderr: String,
}

#[derive(Default)]
struct Log {
    said: Mutex<Said>,
    news: Condvar,
}

#[derive(Default)]
struct Said {
    lines: Vec<String>,
    has_ended: bool,
}

impl Process {
    #[track_caller]
    pub fn start(mut command: Command) -> Process {
        let pipes = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().unwrap();
        let (log, complaints) = (Arc::<Log>::default(), Arc::<Mutex<String>>::default());
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let listening = Arc::clone(&log);
        let lines = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                listening.said.lock().unwrap().lines.push(line.unwrap());
                listening.news.notify_all();
            }
            listening.said.lock().unwrap().has_ended = true;
            listening.news.notify_all();
        });
        let text = Arc::clone(&complaints);
        let errors = std::thread::spawn(move || {
            let mut all = String::new();
            BufReader::new(stderr).read_to_string(&mut all).unwrap();
            *text.lock().unwrap() = all;
        });
        Process { child, log, readers: vec![lines, errors], complaints }
    }

    /// Waits for a line of which this is true, and returns the first one since the start.
    #[track_caller]
    pub fn wait_for(&self, is_it: impl Fn(&str) -> bool) -> String {
        self.wait_for_nth(1, is_it)
    }

    #[track_caller]
    pub fn wait_for_nth(&self, nth: usize, is_it: impl Fn(&str) -> bool) -> String {
        let found = std::cell::Cell::new(0);
        let counted = |line: &str| {
            let is_it = is_it(line);
            found.set(found.get() + usize::from(is_it));
            is_it
        };
        let line = self.nth_before(Instant::now() + LIMIT, nth, counted);
        line.unwrap_or_else(|| {
            panic!("the line was not said ({} of {nth}); its log:\n{}", found.get(), self.lines().join("\n"))
        })
    }

    /// The same, or nothing if it is not said before that time or the process's end.
    pub fn nth_before(&self, deadline: Instant, nth: usize, is_it: impl Fn(&str) -> bool) -> Option<String> {
        assert!(nth > 0);
        let mut said = self.log.said.lock().unwrap();
        let (mut looked_at, mut found) = (0, 0);
        loop {
            while let Some(line) = said.lines.get(looked_at) {
                looked_at += 1;
                found += usize::from(is_it(line));
                if found == nth {
                    return Some(line.clone());
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if said.has_ended || left.is_zero() {
                return None;
            }
            said = self.log.news.wait_timeout(said, left).unwrap().0;
        }
    }

    pub fn lines(&self) -> Vec<String> {
        self.log.said.lock().unwrap().lines.clone()
    }

    #[track_caller]
    pub fn count(&self, is_it: impl Fn(&str) -> bool) -> usize {
        self.lines().iter().filter(|line| is_it(line)).count()
    }

    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends SIGSTOP, and returns once none of its threads runs.
    #[track_caller]
    pub fn hold(&self) {
        self.signal(Signal::STOP);
        let (_, status) = waitpid(Some(self.pid()), WaitOptions::UNTRACED).unwrap().unwrap();
        assert!(status.stopped(), "{status:?}");
    }

    pub fn has_ended(&self) -> bool {
        self.log.said.lock().unwrap().has_ended
    }

    /// Waits for it to end by itself.
    #[track_caller]
    pub fn finish(mut self) -> Exit {
        let deadline = Instant::now() + LIMIT;
        let mut said = self.log.said.lock().unwrap();
        while !said.has_ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let log = said.lines.join("\n");
                drop(said);
                panic!("it does not end; its log:\n{log}");
            }
            said = self.log.news.wait_timeout(said, left).unwrap().0;
        }
        drop(said);
        let status = self.child.wait().unwrap();
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
        Exit { status, lines: self.lines(), stderr: self.complaints.lock().unwrap().clone() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may already have ended and been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Exit {
    #[track_caller]
    pub fn ok(&self) {
        assert!(self.status.success(), "{self}");
    }

    /// Checks its exit code, and texts that its error must contain.
    #[track_caller]
    pub fn failed(&self, code: i32, words: &[&str]) {
        assert_eq!(self.status.code(), Some(code), "{self}");
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in: {self}");
        }
    }

    pub fn count(&self, is_it: impl Fn(&str) -> bool) -> usize {
        self.lines.iter().filter(|line| is_it(line)).count()
    }

    /// The index of the only log line of which this is true.
    #[track_caller]
    pub fn place_of(&self, is_it: impl Fn(&str) -> bool) -> usize {
        let places: Vec<usize> = (0..self.lines.len()).filter(|place| is_it(&self.lines[*place])).collect();
        let [place] = places[..] else { panic!("{places:?} are not one line of: {self}") };
        place
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.status.signal() {
            Some(signal) => format!("signal {signal}"),
            None => format!("code {:?}", self.status.code()),
        };
        // The end of a long log says most.
        let lines = &self.lines[self.lines.len().saturating_sub(60)..];
        write!(out, "ended with {how}\nstderr: {}\nlog:\n{}", self.stderr, lines.join("\n"))
    }
}
