//! The log and its readers: a slow reader loses nothing, and one that stops or closes the pipe delays nothing.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{Agency, Central, Folder, LIMIT, Signal, tells, value};
use rustix::process::{Pid, kill_process};

/// More than the pipe and the queue hold, with a bet a batch and so a line a bet.
pub const BETS: usize = 20_000;

/// A process whose log is read when a test says so. It is killed when the test lets go of it.
pub struct Unheard(Child);

impl Unheard {
    /// Reads the first line of its log, and no more.
    pub fn start(mut command: Command) -> (Unheard, String, BufReader<ChildStdout>) {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut log, mut first) = (BufReader::new(child.stdout.take().unwrap()), String::new());
        log.read_line(&mut first).unwrap();
        (Unheard(child), first.trim_end().to_owned(), log)
    }

    fn central(folder: &Folder) -> (Unheard, u16, BufReader<ChildStdout>) {
        let (central, first, log) =
            Unheard::start(Central::on(folder).agencies(1).with("--stop-timeout 60s").command());
        (central, value(&first, "port").unwrap().parse().unwrap(), log)
    }

    pub fn signal_stop(&self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
    }

    #[track_caller]
    pub fn ends_well(mut self) {
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            thread::sleep(Duration::from_millis(1));
        };
        assert!(status.success(), "{status}");
    }
}

impl Drop for Unheard {
    fn drop(&mut self) {
        // It may already have ended and been waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn folder() -> Folder {
    Folder::with_data(&format!("--agencies 1 --bets {BETS} --seed 8 --winners 9"))
}

pub fn agency(port: u16, folder: &Folder) -> Agency {
    Agency::new(1, port, folder).with("--batch-max 1 --in-flight 16").winners()
}

#[track_caller]
fn assert_held(folder: &Folder) {
    folder.assert_stored_equals_files(1);
    assert_eq!(folder.winners_told(1), folder.winners_due(1, "7574"));
}

/// How many bets the log says were stored.
fn told(lines: &[String]) -> usize {
    let stored = lines.iter().filter(|line| tells(line, "apuesta_recibida", "success"));
    stored.map(|line| value(line, "cantidad").unwrap().parse::<usize>().unwrap()).sum()
}

#[test]
fn a_lottery_goes_on_and_a_central_stops_though_nobody_reads_their_logs() {
    let folder = folder();
    let (central, port, _unread) = Unheard::central(&folder);
    let (agency, _, _unread) = Unheard::start(agency(port, &folder).command());
    agency.ends_well();
    central.signal_stop();
    central.ends_well();
    assert_held(&folder);
}

#[test]
fn a_reader_that_comes_back_learns_how_many_lines_it_missed() {
    let folder = folder();
    let (central, port, log) = Unheard::central(&folder);
    agency(port, &folder).run().ok();
    let (mut lines, mut missed) = (Vec::new(), 0);
    for line in log.lines().map(Result::unwrap) {
        if tells(&line, "log", "fail") {
            missed += value(&line, "dropped").unwrap().parse::<usize>().unwrap();
            // The log is read again, so later lines are not lost.
            central.signal_stop();
        } else {
            lines.push(line);
        }
    }
    central.ends_well();
    assert!(missed > 0);
    // A line each, behind the first: recover, accept_connections twice, agencia_finalizada, cierre, sorteo,
    // close_connection, and five of the stop.
    assert_eq!(lines.len() + missed, BETS + 12, "{missed} are told as missed");
    assert!(told(&lines) < BETS && told(&lines) + missed >= BETS);
    assert!(tells(lines.last().unwrap(), "shutdown", "success"), "{:?}", lines.last());
    assert_held(&folder);
}

#[test]
fn a_slow_reader_loses_no_line() {
    let folder = folder();
    let (central, port, mut log) = Unheard::central(&folder);
    // Slower than the bets are stored.
    let reading = thread::spawn(move || {
        let (mut text, mut piece) = (Vec::new(), [0; 512]);
        while let Ok(read @ 1..) = log.read(&mut piece) {
            text.extend_from_slice(&piece[..read]);
            thread::sleep(Duration::from_millis(1));
        }
        String::from_utf8(text).unwrap()
    });
    agency(port, &folder).run().ok();
    central.signal_stop();
    central.ends_well();
    let lines: Vec<String> = reading.join().unwrap().lines().map(str::to_owned).collect();
    assert_eq!(told(&lines), BETS);
    assert!(tells(lines.last().unwrap(), "shutdown", "success"), "{:?}", lines.last());
}

#[test]
fn a_reader_that_goes_stops_nobody() {
    let folder = folder();
    let (central, port, log) = Unheard::central(&folder);
    drop(log);
    let (agency, _, log) = Unheard::start(agency(port, &folder).command());
    drop(log);
    agency.ends_well();
    central.signal_stop();
    central.ends_well();
    assert_held(&folder);
}

#[test]
fn a_central_stops_though_its_log_takes_nothing_from_the_start() {
    let folder = Folder::new();
    let (log, _unread) = UnixStream::pair().unwrap();
    log.set_nonblocking(true).unwrap();
    while (&log).write(&[b'x'; 1024]).is_ok() {}
    while (&log).write(b"x").is_ok() {}
    log.set_nonblocking(false).unwrap();
    let central = Central::on(&folder).command().stdout(Stdio::from(OwnedFd::from(log))).spawn();
    let central = Unheard(central.unwrap());
    let deadline = Instant::now() + LIMIT;
    // The central handles signals before it opens its files.
    while !folder.bets().exists() {
        assert!(Instant::now() < deadline, "it does not start");
        thread::sleep(Duration::from_millis(1));
    }
    central.signal_stop();
    central.ends_well();
}
