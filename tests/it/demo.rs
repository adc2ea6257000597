//! `quiniela demo`: it succeeds for a correct lottery, finds errors, and leaves nothing behind.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A folder with the agencies' files, and one where the demo makes its own folder.
struct Session(TempDir);

impl Session {
    fn new() -> Session {
        let session = Session(tempfile::tempdir().unwrap());
        fs::create_dir(session.scratch()).unwrap();
        session
    }

    fn with_data(words: &str) -> Session {
        let session = Session::new();
        let mut command = Command::new(env!("CARGO_BIN_EXE_quiniela"));
        assert!(command.arg("gen-data").args(words.split(' ')).arg(session.data()).output().unwrap().status.success());
        session
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn scratch(&self) -> PathBuf {
        self.0.path().join("scratch")
    }

    /// The environment has settings that must not matter: the demo's children get no environment.
    fn demo(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quiniela"));
        command.args(["demo", "--data"]).arg(self.data()).args(words.split_whitespace());
        command.env("TMPDIR", self.scratch()).env("SERVER_PORT", "1").env("CLI_MODE", "echo");
        command
    }

    fn left_behind(&self) -> Vec<PathBuf> {
        fs::read_dir(self.scratch()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

fn text(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

fn rows(path: &Path) -> usize {
    fs::read_to_string(path).unwrap().lines().count()
}

#[test]
fn a_good_lottery_is_proved_and_cleared_away() {
    let session = Session::with_data("--agencies 3 --bets 900 --winners 7");
    let output = session.demo("--agencies 3").output().unwrap();
    let (shown, complaints) = text(&output);
    assert_eq!((output.status.code(), complaints.as_str()), (Some(0), ""), "{shown}");
    let cells: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(cells.iter().any(|cells| cells.starts_with(&["all", "900", "7"])), "{shown}");
    for agency in 1..=3 {
        let bets = rows(&session.data().join(format!("agency-{agency}.csv"))).to_string();
        let row = [agency.to_string(), bets];
        assert!(cells.iter().any(|cells| cells.len() == 4 && cells[..2] == row), "{shown}");
    }
    assert!(shown.contains("once and in order; each agency was told its own winners"), "{shown}");
    assert_eq!(session.left_behind(), [] as [PathBuf; 0]);
}

#[test]
fn what_was_stored_can_be_kept() {
    let session = Session::with_data("--agencies 2 --bets 300");
    let output = session.demo("--agencies 2 --keep").output().unwrap();
    let (shown, complaints) = text(&output);
    assert_eq!(output.status.code(), Some(0), "{complaints}");
    let left = session.left_behind();
    let [folder] = &left[..] else { panic!("one folder is kept, not {left:?}") };
    assert!(shown.trim_end().ends_with(&format!("what was stored and logged is in {}", folder.display())), "{shown}");
    assert_eq!(rows(&folder.join("central/bets.csv")), 300);
    assert!(fs::read_to_string(folder.join("agency-2.log")).unwrap().contains("action: consulta_ganadores"));
    // The acta and the receipts are there too, and have the seal that was shown.
    let seal = shown.lines().find_map(|line| line.strip_prefix("seal: ")).unwrap();
    assert!(shown.contains("audit: the seal and the winners come out again"), "{shown}");
    for document in ["central/acta.json", "receipt-1.json", "receipt-2.json"] {
        assert!(fs::read_to_string(folder.join(document)).unwrap().contains(seal), "{document}");
    }
}

#[test]
fn over_tls_it_shows_that_plain_requests_are_refused() {
    let session = Session::with_data("--agencies 2 --bets 300 --winners 5");
    let output = session.demo("--agencies 2 --tls").output().unwrap();
    let (shown, complaints) = text(&output);
    assert_eq!((output.status.code(), complaints.as_str()), (Some(0), ""), "{shown}");
    let line = |start: &str| assert!(shown.lines().any(|line| line.starts_with(start)), "{shown}");
    line("keys: made for the central and each agency");
    line("central: answers a request without TLS: ACK|ERR|this central speaks TLS");
    line("   all         300        5");
    assert!(shown.contains("receipt of this seal; all of it is signed."), "{shown}");
    assert_eq!(session.left_behind(), [] as [PathBuf; 0], "the keys are removed too");
}

#[test]
fn a_party_of_a_lottery_over_tls_gets_its_own_keys_alone() {
    let session = Session::with_data("--agencies 2 --bets 300");
    let output = session.demo("--agencies 2 --tls --keep").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output).1);
    let folder = &session.left_behind()[0];
    for party in ["ca/ca.key", "central/key.pem", "agency-1/key.pem", "agency-2/key.pem"] {
        let key = fs::metadata(folder.join("keys").join(party)).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600, "{party}");
    }
    for (log, other) in [("agency-1.log", "agency-2/"), ("agency-2.log", "agency-1/"), ("central.log", "agency-")] {
        let log = fs::read_to_string(folder.join(log)).unwrap();
        assert!(!log.contains(&format!("keys/{other}")) && !log.contains("PRIVATE"), "{log}");
    }
}

#[test]
fn a_refused_bet_ends_it_with_the_agencys_own_words() {
    let session = Session::new();
    fs::create_dir(session.data()).unwrap();
    fs::write(session.data().join("agency-1.csv"), "Ana,Paz,1,2000-01-01,1\nEva,Sosa,2,2000-02-31,2\n").unwrap();
    fs::write(session.data().join("agency-2.csv"), "Leo,Ríos,3,2000-01-01,3\n").unwrap();
    let output = session.demo("--agencies 2").output().unwrap();
    let (_, complaints) = text(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(complaints.starts_with("quiniela: agency-1 ended: exit status: 4\n"), "{complaints}");
    assert!(complaints.contains("agency-1.csv:2: birthdate \"2000-02-31\""), "{complaints}");
    assert_eq!(session.left_behind(), [] as [PathBuf; 0]);
}

/// The running children of a process.
fn children_of(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name());
    let pids = entries.filter_map(|name| name.to_str()?.parse().ok());
    pids.filter(|pid| runs(*pid).is_some_and(|its_parent| its_parent == parent)).collect()
}

/// The parent of a running process.
fn runs(pid: u32) -> Option<u32> {
    // A process that has ended stays in the state Z until it is waited for.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    (fields.next()? != "Z").then(|| fields.next()?.parse().ok())?
}

#[track_caller]
fn wait_until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !is_so() {
        assert!(Instant::now() < deadline, "it has not come to that");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_demo_that_is_killed_takes_its_children_with_it() {
    let session = Session::with_data("--agencies 2 --bets 400000");
    let mut demo = session.demo("--agencies 2").stdout(Stdio::null()).spawn().unwrap();
    wait_until(|| children_of(demo.id()).len() == 3);
    let stored = || fs::metadata(session.left_behind().first()?.join("central/bets.csv")).ok();
    wait_until(|| stored().is_some_and(|file| file.len() > 0));
    let children = children_of(demo.id());
    assert_eq!(children.len(), 3, "the lottery is over: give it more bets");
    demo.kill().unwrap();
    demo.wait().unwrap();
    wait_until(|| !children.iter().any(|child| runs(*child).is_some()));
}

#[test]
fn a_stop_stops_its_children_too() {
    // Enough bets that the demo still runs when the signal comes.
    let session = Session::with_data("--agencies 2 --bets 400000");
    let mut demo = session.demo("--agencies 2").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(demo.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let port = first.split("port ").nth(1).unwrap().split(';').next().unwrap();
    let port: u16 = port.parse().unwrap();
    kill_process(Pid::from_child(&demo), Signal::TERM).unwrap();
    let output = demo.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output).1, "quiniela: told to stop before the lottery was over\n");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "the central still listens");
    assert_eq!(session.left_behind(), [] as [PathBuf; 0]);
}
