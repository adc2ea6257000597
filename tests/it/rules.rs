//! A store keeps the rules of its lottery: which agencies take part, and which number wins.

use crate::common::{Central, Folder, tells, value};

const ANA: &str = "Ana|Paz|1|2000-01-01|1314";

/// The rules that a central logs at its start.
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
    // A drawn lottery is reported as such when it is opened again.
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

/// A folder with a store of an earlier format: agency 1 has three bets and is done, agency 2 has one. The first format knew
/// neither checksums nor rules. The central that wrote the third was killed.
fn old_store(name: &str) -> Folder {
    let folder = Folder::new();
    let stores = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/stores").join(name);
    for entry in std::fs::read_dir(stores).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.store().join(entry.file_name())).unwrap();
    }
    folder
}

#[test]
fn a_store_of_the_format_before_is_brought_up_to_date() {
    let folder = old_store("format-1-open");
    // It has no rules, so this start's settings apply.
    let central = Central::on(&folder).with("--client-amount 2 --winning-number 1314").start();
    // The values of Python's zlib.crc32 for the rows.
    let identity = central.client().hello(1, "HELLO|OK|3|done|e455e450");
    central.client().hello(2, "HELLO|OK|1|open|fd19f91a");
    central.kill();
    Central::on(&folder).agencies(3).refused().failed(2, &["CLIENT_AMOUNT 2", "--winning-number 1314"]);
    let central = Central::on(&folder).start();
    assert_eq!(config(&central), ["2", "1314"]);
    assert_eq!(central.client().hello(1, "HELLO|OK|3|done|e455e450"), identity, "it is one lottery from then on");
    central.client().ask("DONE|2", "ACK_DONE|OK").ask("WAIT_DRAW|1", "DRAW|OK");
    central.client().ask("GET_WINNERS|1", "WINNERS|OK|1");
    central.stop();
}

#[test]
fn a_draw_of_the_format_before_stays_as_it_was() {
    let folder = old_store("format-1-drawn");
    // The number was drawn and logged, whatever this start sets.
    let central = Central::on(&folder).agencies(2).start();
    assert_eq!(config(&central), ["2", "1314"]);
    central.client().ask("WAIT_DRAW|1", "DRAW|OK").ask("GET_WINNERS|2", "WINNERS|OK|4");
    assert_eq!(central.stop().count(|line| value(line, "action") == Some("sorteo")), 0);
}

#[test]
fn a_store_whose_log_is_packed_is_brought_up_to_date() {
    let folder = old_store("format-3-open");
    let central = Central::on(&folder).start();
    assert_eq!(config(&central), ["2", "7574"]);
    let format = |folder: &Folder| std::fs::read(folder.journal()).unwrap()[..14].to_vec();
    assert!(String::from_utf8(format(&folder)).unwrap().ends_with(":8:4"), "of eight records, and the present format");
    let identity = central.client().hello(1, "HELLO|OK|3|done|6046b1b8");
    central.client().hello(2, "HELLO|OK|1|open|ab3dda24");
    central.client().ask("BET|2|Ana|Paz|5|2000-01-01|1", "ACK|OK");
    central.kill();
    let central = Central::on(&folder).start();
    assert_eq!(central.client().hello(1, "HELLO|OK|3|done|6046b1b8"), identity);
    central.client().ask("DONE|2", "ACK_DONE|OK").ask("WAIT_DRAW|1", "DRAW|OK");
    central.client().ask("GET_WINNERS|1", "WINNERS|OK|1,3").ask("GET_WINNERS|2", "WINNERS|OK|4");
    central.stop();
}

#[test]
fn a_store_of_a_format_to_come_is_refused_by_its_number() {
    let folder = old_store("format-1-open");
    let mut journal = std::fs::read(folder.journal()).unwrap();
    // The first record says the format; its checksum covers its place, zero, and its text.
    let text = String::from_utf8(journal[..55].to_vec()).unwrap();
    let newer = format!("{:.<55}", text.trim_end_matches('.').replace(":1", ":9"));
    let crc = crate::chain::crc32(&[&[0; 8], newer.as_bytes()].concat());
    journal[..64].copy_from_slice(format!("{newer}{crc}\n").as_bytes());
    std::fs::write(folder.journal(), journal).unwrap();
    Central::on(&folder).refused().failed(5, &["journal", "its format is 9", "reads 1 to 4"]);
}
