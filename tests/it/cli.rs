//! The command line: what is printed where, and the exit code.

use std::fs;
use std::process::{Command, Output};

use crate::common::process::Signal;
use crate::common::{Folder, Process, tells, value};

fn quiniela(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quiniela")).args(words).env_clear().output().unwrap()
}

#[track_caller]
fn stdout_of(words: &[&str]) -> String {
    let output = quiniela(words);
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn refusal_of(words: &[&str]) -> String {
    let output = quiniela(words);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{words:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn help_and_version_are_no_errors() {
    let version = stdout_of(&["--version"]);
    let start = format!("quiniela {} (", env!("CARGO_PKG_VERSION"));
    let told = version.strip_prefix(&start).and_then(|rest| rest.strip_suffix(")\n"));
    let (commit, target) = told.and_then(|told| told.split_once(", ")).unwrap_or_else(|| panic!("{version}"));
    let is_hash = commit.len() == 12 && commit.chars().all(|digit| digit.is_ascii_hexdigit());
    assert!(is_hash || commit == "unknown", "{version}");
    assert!(target.split('-').count() >= 3, "{version}");
    let help = stdout_of(&["--help"]);
    assert!(help.starts_with("A national lottery in one binary"), "{help}");
    let bare = stdout_of(&[]);
    assert!(
        bare.starts_with("A national lottery in one binary") && bare.contains("\nUsage: quiniela <COMMAND>"),
        "{bare}"
    );
    assert!(stdout_of(&["help", "server"]).starts_with("Runs the central"));
    assert!(stdout_of(&["agency", "--help"]).contains("Example: quiniela agency --id 3"));
}

#[test]
fn help_tells_every_name_and_default_of_a_setting() {
    let help = stdout_of(&["server", "--help"]).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("[env: SERVER_LISTEN_BACKLOG] [file: SERVER_LISTEN_BACKLOG] [default: 128]"), "{help}");
    let help = stdout_of(&["agency", "--help"]).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("[env: CLI_BATCH_MAXAMOUNT] [file: batch.maxAmount] [default: 100]"), "{help}");
}

#[test]
fn a_wrong_command_line_is_exit_code_2_with_the_reason_on_stderr() {
    assert!(refusal_of(&["raffle"]).starts_with("quiniela: unrecognized subcommand 'raffle'"));
    assert!(refusal_of(&["server", "--prot", "1"]).contains("--port"), "a near miss is suggested");
    let refusal = refusal_of(&["server", "--port", "65536"]);
    assert!(refusal.contains("'65536' for '--port <PORT>': allowed is a whole number from 0 to 65535"), "{refusal}");
    assert!(refusal_of(&["server", "--stop-timeout", "0s"]).contains("from 1ms to 24h"));
    assert!(refusal_of(&["gen-compose", "-1"]).contains("-1"));
    let refusal = refusal_of(&["gen-compose", "1", "--exercise", "9"]);
    assert!(refusal.contains("'9'") && refusal.contains("1, 2, 3, 4, 5, 6, 7, 8"), "{refusal}");
}

#[test]
fn a_wrong_number_is_told_what_is_allowed() {
    for (words, allowed) in [
        ("gen-compose x", "0 to 4294967295"),
        ("gen-data DIR --agencies 0", "1 to 65535"),
        ("gen-data DIR --agencies 65536", "1 to 65535"),
        ("gen-data DIR --bets x", "0 to 18446744073709551615"),
        ("gen-data DIR --seed 1.5", "0 to 18446744073709551615"),
        ("gen-data DIR --winners=-1", "0 to 18446744073709551615"),
        ("gen-data DIR --winning-number 4294967296", "0 to 4294967295"),
        ("demo --agencies 501", "1 to 500"),
        ("demo --agencies 0", "1 to 500"),
    ] {
        let refusal = refusal_of(&words.split(' ').collect::<Vec<_>>());
        assert!(refusal.contains(&format!(": allowed is a whole number from {allowed}\n")), "{words}: {refusal}");
    }
    let refusal = refusal_of(&["server", "--client-amount", "x"]);
    assert!(refusal.contains(": allowed is a whole number from 0 to 65535 or auto\n"), "{refusal}");
    let refusal = refusal_of(&["agency", "--retry-for", "5"]);
    assert!(refusal.contains(": allowed is a duration from 0s to 24h such as 100ms, 5s or 1m30s\n"), "{refusal}");
}

/// The commands that a help lists.
fn commands_in(help: &str) -> Vec<String> {
    let (_, commands) = help.split_once("Commands:\n").unwrap_or_default();
    // A summary that is too long for its line goes on below, further in.
    let rows = commands.lines().take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    let commands = rows.filter_map(|line| line.split_whitespace().next());
    commands.filter(|command| *command != "help").map(str::to_owned).collect()
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let manual = stdout_of(&["man"]);
    let pages: Vec<&str> = manual.lines().filter_map(|line| line.strip_prefix(".TH ")?.split(' ').next()).collect();
    let mut expected = vec!["quiniela".to_owned()];
    for command in commands_in(&stdout_of(&["--help"])) {
        let below = commands_in(&stdout_of(&[&command, "--help"]));
        expected.push(format!("quiniela-{command}"));
        expected.extend(below.iter().map(|below| format!("quiniela-{command}-{below}")));
    }
    assert!(expected.len() > 12 && expected.contains(&"quiniela-keys-init".to_owned()), "{expected:?}");
    assert_eq!(pages, expected);

    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("share/man1");
    assert_eq!(stdout_of(&["man", "--dir", dir.to_str().unwrap()]), "");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), expected.len());
    let read = |name: &String| fs::read_to_string(dir.join(format!("{name}.1"))).unwrap();
    assert_eq!(expected.iter().map(read).collect::<String>(), manual, "the files hold the same pages");
}

#[test]
fn a_demo_without_data_says_how_to_make_some() {
    let refusal = refusal_of(&["demo", "--agencies", "3", "--data", "nowhere"]);
    assert!(refusal.starts_with("quiniela: nowhere/agency-1.csv: there is no such file"), "{refusal}");
    assert!(refusal.contains("quiniela gen-data --agencies 3 nowhere"), "{refusal}");
}

#[test]
fn a_health_check_finds_the_central_wherever_it_listens() {
    let folder = Folder::new();
    let healthy = |words: &str, bind: &str| {
        let words: Vec<String> = format!("health {words}").split_whitespace().map(str::to_owned).collect();
        let mut command = crate::common::quiniela(folder.path(), &words);
        command.env("SERVER_BIND", bind).output().unwrap().status.code() == Some(0)
    };
    let start = |bind: &str| {
        let words = format!("server --client-amount 0 --port 0 --bind {bind} --store {}", folder.store().display());
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        let process = Process::start(crate::common::quiniela(folder.path(), &words));
        let line = process.wait_for(|line| tells(line, "config", "success"));
        (process, format!("--port {}", value(&line, "port").unwrap()))
    };

    let (central, port) = start("127.0.0.3");
    assert!(healthy(&format!("{port} --bind 127.0.0.3"), ""));
    assert!(healthy(&port, "127.0.0.3"), "it reads the central's settings");
    assert!(!healthy(&port, "") && !healthy(&port, "127.0.0.4") && !healthy(&port, "::1"));
    central.signal(Signal::TERM);
    central.finish().ok();

    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("left out: this machine has no ::1");
        return;
    }
    for bind in ["::1", "::"] {
        let (central, port) = start(bind);
        assert!(healthy(&port, "") && healthy(&port, bind) && healthy(&port, "0.0.0.0"), "{bind}");
        central.signal(Signal::TERM);
        central.finish().ok();
    }
}
