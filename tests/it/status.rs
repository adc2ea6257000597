//! `quiniela status`: a central's state in a terminal.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use crate::common::http::port;
use crate::common::{ANA, Central, Folder, Nobody, Process, Signal, quiniela};

fn words(port: u16, more: &str) -> Vec<String> {
    format!("status --server http://127.0.0.1:{port} {more}").split_whitespace().map(str::to_owned).collect()
}

fn status(folder: &Folder, port: u16, more: &str) -> Output {
    quiniela(folder.path(), &words(port, more)).output().unwrap()
}

fn with_bet(folder: &Folder) -> (Central, u16) {
    let central = Central::on(folder).agencies(2).with("--http 127.0.0.1:0").start();
    central.client().ask(&format!("BET|2|{ANA}"), "ACK|OK");
    let http = port(&central);
    (central, http)
}

#[test]
fn a_table_for_people_and_one_object_for_programs() {
    let folder = Folder::new();
    let (central, http) = with_bet(&folder);
    let output = status(&folder, http, "");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    for line in ["ready        yes", "phase        open; agencies done: 0 of 2", "number       7574"] {
        assert!(table.contains(line), "{line}: {table}");
    }
    let rows: Vec<Vec<&str>> = table.lines().rev().take(2).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows, [["2", "1", "-", "-"], ["1", "0", "-", "-"]]);
    assert!(!table.contains('\x1b'), "no control characters in a pipe");

    let output = status(&folder, http, "--json");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.ends_with('\n') && text.lines().count() == 1);
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    let served = crate::common::http::get(http, "/status.json").json();
    assert_eq!(
        (&told["agencies"], &told["lottery"], &told["started"]),
        (&served["agencies"], &served["lottery"], &served["started"])
    );
    assert_eq!(told.as_object().unwrap().len(), served.as_object().unwrap().len());
    central.stop();
}

#[test]
fn who_does_not_answer_or_answers_something_else_is_told_of() {
    let folder = Folder::new();
    let nobody = Nobody::at_home();
    let output = status(&folder, nobody.port(), "");
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(3), 0), "{complaint}");
    assert!(
        complaint.contains(&format!("http://127.0.0.1:{}", nobody.port())) && complaint.contains("--http"),
        "{complaint}"
    );
    for (answer, reason) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n{\"a\":1}", "no central's state"),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "404"),
    ] {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = other.local_addr().unwrap().port();
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = other.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let output = status(&folder, port, "");
        serving.join().unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), complaint.contains(reason)), (Some(1), true), "{complaint}");
    }
    let output =
        quiniela(folder.path(), &["status", "--server", "https://central"].map(str::to_owned)).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_watch_in_a_pipe_tells_again_and_again_also_of_a_central_that_goes_and_comes() {
    let folder = Folder::new();
    let (central, http) = with_bet(&folder);
    let watch = Process::start(quiniela(folder.path(), &words(http, "--watch")));
    watch.wait_for_nth(2, |line| line.starts_with("phase        open"));
    central.stop();
    watch.wait_for(|line| line.starts_with("LOST for "));
    let central = Central::on(&folder).agencies(2).with(&format!("--http 127.0.0.1:{http}")).start();
    watch.wait_for(|line| line.starts_with("found again after "));
    watch.signal(Signal::INT);
    let exit = watch.finish();
    exit.ok();
    assert_eq!(exit.count(|line| line.starts_with("LOST for ")), 1, "{exit}");
    let json = Process::start(quiniela(folder.path(), &words(http, "--watch --json")));
    json.wait_for_nth(2, |line| serde_json::from_str::<serde_json::Value>(line).unwrap()["bets"] == 1);
    central.stop();
    json.wait_for(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["error"].is_string());
    json.signal(Signal::TERM);
    json.finish().ok();
}

/// `script` gives the program a terminal.
#[test]
fn a_watch_on_a_terminal_draws_in_place() {
    let folder = Folder::new();
    let (central, http) = with_bet(&folder);
    let program = env!("CARGO_BIN_EXE_quiniela");
    let line = format!("stty rows 12 cols 60; exec {program} {}", words(http, "--watch").join(" "));
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let Ok(mut child) = script.spawn() else {
        let told =
            b"SKIPPED a_watch_on_a_terminal_draws_in_place: there is no script; it is in Debian's package bsdutils\n";
        let _ = std::io::stderr().write_all(told);
        return;
    };
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut told = Vec::new();
    let mut piece = [0; 4096];
    // The first clears the screen, and the next ones draw over what is there.
    while memchr::memmem::find_iter(&told, b"\x1b[J").count() < 3 {
        let read = stdout.read(&mut piece).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&told));
        told.extend_from_slice(&piece[..read]);
    }
    // Ctrl-C, as a terminal sends it.
    stdin.write_all(&[3]).unwrap();
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let text = String::from_utf8_lossy(&told).into_owned();
    assert_eq!(text.matches("\x1b[2J").count(), 1, "{text:?}");
    let drawn = text.split("\x1b[H").nth(2).unwrap();
    let lines: Vec<&str> = drawn.split("\x1b[J").next().unwrap().lines().collect();
    assert!(lines.len() < 12 && lines.last().unwrap().contains("more lines"), "{lines:?}");
    assert!(lines.iter().all(|line| line.replace("\x1b[K", "").chars().count() <= 60), "{lines:?}");
    central.stop();
}
