//! What logs and errors tell a user: which agency is missing or refused, what is wrong with a file, and what to do.

use std::fs;

use crate::common::{Agency, Central, Exit, Folder, Process, quiniela, tells, value};

fn run(folder: &Folder, words: &str) -> Exit {
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    Process::start(quiniela(folder.path(), &words)).finish()
}

/// The last line of the log has the error, too.
#[track_caller]
fn assert_log_ends_with_the_error(exit: &Exit) {
    let last = exit.lines.last().unwrap();
    assert!(tells(last, "shutdown", "fail") && value(last, "error").is_some(), "{exit}");
}

#[test]
fn the_central_tells_who_is_missing_and_who_is_refused() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(13).start();
    let line = central.process.wait_for(|line| tells(line, "recover", "success"));
    let told = (value(&line, "done"), value(&line, "missing"));
    assert_eq!(told, (Some("0"), Some("1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 3 more")));
    central.client().ask("DONE|2", "ACK_DONE|OK");
    let line = central.process.wait_for(|line| tells(line, "wait_for_agencies", "in_progress"));
    let told = (value(&line, "done"), value(&line, "missing"));
    assert_eq!(told, (Some("1"), Some("1, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more")));
    for request in ["HELLO|99", "GET_WINNERS|99", "WAIT_DRAW|99"] {
        assert!(central.ask(request).contains("|ERR|agency 99 is unknown"));
    }
    let reason = Some("agency 99 is unknown: the agencies are 1 to 13");
    let is_refusal = |line: &str| line.contains(" ERROR ") && value(line, "error") == reason;
    central.process.wait_for_nth(3, is_refusal);
    central.stop();
    let central = Central::on(&folder).agencies(4).refused();
    central.failed(2, &["CLIENT_AMOUNT"]);
    assert_log_ends_with_the_error(&central);
}

#[test]
fn with_auto_the_ids_below_the_highest_are_missing() {
    let folder = Folder::new();
    let central = Central::on(&folder).with("--client-amount auto").start();
    central.client().ask("DONE|3", "ACK_DONE|OK");
    let line = central.process.wait_for(|line| tells(line, "wait_for_agencies", "in_progress"));
    assert_eq!(value(&line, "missing"), Some("1, 2"));
    central.stop();
}

#[test]
fn a_connection_refused_for_load_is_a_warning() {
    let folder = Folder::new();
    let central = Central::on(&folder).with("--max-connections 1").start();
    let mut inside = central.client();
    inside.ask("HELLO|1", "HELLO|OK|0|open");
    let mut outside = central.client();
    outside.expect("ACK|ERR|busy: 1 connections are open; try again later").expect_end();
    let line = central.process.wait_for(|line| tells(line, "accept_connections", "fail"));
    assert!(line.contains(" WARNING ") && line.contains("1 connections are open"), "{line}");
    assert_eq!(value(&line, "port"), Some(outside.port().to_string().as_str()));
    central.stop();
}

#[test]
fn a_central_that_cannot_listen_makes_no_store() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    let port = central.port;
    let exit = run(&folder, &format!("server --bind 127.0.0.1 --port {port} --store other"));
    exit.failed(1, &["cannot listen", "choose another --port"]);
    assert_log_ends_with_the_error(&exit);
    assert!(!folder.path().join("other").exists());
    let second = Central::on(&folder).refused();
    second.failed(5, &["another central has it open: stop that one, or choose another --store"]);
    central.stop();
}

#[test]
fn winners_replace_no_bets_and_no_other_file_unless_told_to() {
    let folder = Folder::with_data("--agencies 2 --bets 60 --winners 9");
    let bets = [1, 2].map(|id| fs::read_to_string(folder.file(id)).unwrap());
    fs::write(folder.path().join("thesis"), "Chapter 1\n").unwrap();
    let central = Central::on(&folder).agencies(1).start();
    let ask = |words: &str| Agency::new(1, central.port, &folder).with(words).run();
    for own in ["--winners data/agency-1.csv", "--winners data/../data/agency-1.csv --force"] {
        ask(own).failed(2, &["is the file of the agency's bets"]);
    }
    for other in ["data/agency-2.csv", "thesis"] {
        ask(&format!("--winners {other}")).failed(2, &[other, "is no list of documents; --force replaces it"]);
    }
    assert_eq!([1, 2].map(|id| fs::read_to_string(folder.file(id)).unwrap()), bets);
    for _ in 0..2 {
        ask("--winners thesis --force").ok();
        ask("--winners thesis").ok();
    }
    assert_eq!(fs::read_to_string(folder.path().join("thesis")).unwrap(), folder.winners_due(1, "7574"));
    central.stop();
}

#[test]
fn a_file_of_another_form_or_without_bets_is_told_of() {
    let folder = Folder::new();
    folder.write(1, "Ana;Paz;1;2000-01-01;5\n");
    folder.write(2, "");
    let central = Central::on(&folder).agencies(2).start();
    let exit = Agency::new(1, central.port, &folder).run();
    exit.failed(2, &["data/agency-1.csv:1: fields are separated by ;, and must be by ,"]);
    assert_log_ends_with_the_error(&exit);
    folder.write(1, "Ana,Paz,1,2000-01-01,5\nEva,Sosa,2,2000-01-01,6\n");
    let (one, two) = (Agency::new(1, central.port, &folder).start(), Agency::new(2, central.port, &folder).run());
    let line = &two.lines[two.place_of(|line| tells(line, "upload", "success"))];
    assert!(line.contains(" WARNING ") && line.contains("agency-2.csv | holds: no bets"), "{line}");
    let one = one.finish();
    let line = &one.lines[one.place_of(|line| tells(line, "upload", "in_progress"))];
    assert_eq!(value(line, "stored"), Some("0"));
    let line = &one.lines[one.place_of(|line| tells(line, "upload", "success"))];
    assert_eq!((value(line, "stored"), value(line, "sent")), (Some("2"), Some("2")));
    // It is told again to whoever starts an agency that is done.
    let again = Agency::new(1, central.port, &folder).run();
    let line = &again.lines[again.place_of(|line| tells(line, "upload", "success"))];
    assert_eq!((value(line, "stored"), value(line, "sent")), (Some("2"), Some("0")));
    central.stop();
}

#[test]
fn the_name_of_the_containers_says_what_to_give_outside_them() {
    let folder = Folder::with_data("--agencies 1 --bets 5");
    let exit = run(&folder, "agency --id 1 --data data --retry-for 0s");
    exit.failed(3, &["outside Docker give --server localhost:12345"]);
}

#[test]
fn a_demo_without_data_makes_its_own() {
    let folder = Folder::new();
    let exit = run(&folder, "demo --agencies 7");
    exit.ok();
    assert_eq!(exit.count(|line| line.starts_with("   all        8400 ")), 1, "{exit}");
}
