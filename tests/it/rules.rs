//! What defines a lottery stands in its store: who takes part and which number wins.

use crate::common::{Central, Folder, tells, value};

const ANA: &str = "Ana|Paz|1|2000-01-01|1314";

/// The values of the line in which a central says what it goes by.
fn config(central: &Central) -> [String; 2] {
    let line = central.process.wait_for(|line| tells(line, "config", "success"));
    ["client_amount", "winning_number"].map(|key| value(&line, key).unwrap().to_owned())
}

#[test]
fn a_start_that_says_nothing_goes_by_what_is_recorded() {
    let folder = Folder::new();
    let central = Central::on(&folder).with("--client-amount 2 --winning-number 1314").start();
    central.client().ask(&format!("BET|1|{ANA}"), "ACK|OK");
    central.kill();
    let central = Central::on(&folder).start();
    assert_eq!(config(&central), ["2", "1314"]);
    central.client().ask("DONE|1", "ACK_DONE|OK").ask("DONE|2", "ACK_DONE|OK").ask("WAIT_DRAW|1", "DRAW|OK");
    let exit = central.stop();
    let sorteo = &exit.lines[exit.place_of(|line| tells(line, "sorteo", "success"))];
    assert_eq!((value(sorteo, "numero"), value(sorteo, "cant_ganadores")), (Some("1314"), Some("1")));
    // A drawn lottery says so when it is opened again.
    let central = Central::on(&folder).with("--client-amount 2").start();
    let line = central.process.wait_for(|line| tells(line, "recover", "success"));
    assert!(line.contains(" WARNING ") && value(&line, "drawn") == Some("1314"), "{line}");
    assert_eq!(central.stop().count(|line| value(line, "action") == Some("sorteo")), 0);
}

#[test]
fn a_start_that_says_otherwise_is_refused_and_changes_nothing() {
    let folder = Folder::new();
    let central = Central::on(&folder).with("--client-amount 2 --winning-number 1314").start();
    central.client().ask("DONE|1", "ACK_DONE|OK");
    central.stop();
    for words in ["--client-amount 3", "--client-amount auto", "--winning-number 7574", "--client-amount 1"] {
        let words_of_the_error = ["bets.csv", "CLIENT_AMOUNT 2", "--winning-number 1314", "another --store"];
        Central::on(&folder).with(words).refused().failed(2, &words_of_the_error);
    }
    let central = Central::on(&folder).with("--winning-number 1314").start();
    assert_eq!(config(&central), ["2", "1314"]);
    central.client().ask("HELLO|1", "HELLO|OK|0|done");
    central.stop();
}

#[test]
fn until_the_first_bet_any_start_may_say_anew() {
    let folder = Folder::new();
    for (words, expected) in [
        ("--client-amount 2", ["2", "7574"]),
        ("--client-amount 0 --winning-number 9", ["0", "9"]),
        ("--client-amount auto", ["auto", "7574"]),
        ("", ["5", "7574"]),
    ] {
        let central = Central::on(&folder).with(words).start();
        assert_eq!(config(&central), expected);
        central.client().send("HELLO|1").reply();
        central.stop();
    }
    let central = Central::on(&folder).with("--client-amount auto --quiet-time 1h").start();
    central.client().ask(&format!("BET|7|{ANA}"), "ACK|OK");
    central.stop();
    let central = Central::on(&folder).start();
    assert_eq!(config(&central), ["auto", "7574"]);
    central.stop();
}
