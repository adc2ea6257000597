//! The checksums of an agency's bets: the central must have stored the same bets as the file, not only as many. No bet
//! is reported as a success unless it is stored.

use std::fs;

use crate::common::{Agency, Central, Exit, Folder, Process, tells, value};

const ANA: &str = "Ana|Paz|1|2000-01-01|7574";

/// CRC-32 as in zlib, in a slow and simple form.
pub fn crc32(bytes: &[u8]) -> String {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    format!("{:08x}", !crc)
}

fn bet(central: &Central, folder: &Folder, document: &str) -> Exit {
    let mut command = Agency::new(1, central.port, folder).with("--mode bet").command();
    let person = [("NOMBRE", "Ana"), ("APELLIDO", "Paz"), ("NACIMIENTO", "2000-01-01"), ("NUMERO", "1")];
    command.envs(person).env("DOCUMENTO", document);
    Process::start(command).finish()
}

/// How many bets were acknowledged to an agency.
fn acknowledged(exit: &Exit) -> usize {
    let sent = exit.lines.iter().filter(|line| tells(line, "apuesta_enviada", "success"));
    sent.map(|line| value(line, "cantidad").unwrap().parse::<usize>().unwrap()).sum()
}

#[test]
fn hello_tells_the_checksum_of_what_is_stored_to_whoever_asks_for_more() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(2).start();
    let mut client = central.client();
    let identity = client.hello(1, "HELLO|OK|0|open|00000000");
    client.ask(&format!("BET|1|{ANA}"), "ACK|OK").ask("BET|2|Eva|Sosa, \"La\"|2|2000-01-01|0012", "ACK|OK");
    client.ask(&format!("BET|1|{ANA}"), "ACK|OK");
    let (ana, eva) = ("1,Ana,Paz,1,2000-01-01,7574\r\n", "2,Eva,\"Sosa, \"\"La\"\"\",2,2000-01-01,12\r\n");
    let one = crc32(format!("{ana}{ana}").as_bytes());
    assert_eq!(client.hello(1, &format!("HELLO|OK|2|open|{one}")), identity);
    client.ask("HELLO|1", "HELLO|OK|2|open");
    let (lottery, secret) = client.hello(2, &format!("HELLO|OK|1|open|{}", crc32(eva.as_bytes())));
    assert!(lottery == identity.0 && secret != identity.1);
    client.ask("HELLO|1|-", "HELLO|ERR|\"-\" stands where + is expected");
    // The checksum survives a crash, in the snapshot and after it.
    central.kill();
    let central = Central::on(&folder).agencies(2).start();
    assert_eq!(central.client().hello(1, &format!("HELLO|OK|2|open|{one}")), identity);
    central.stop();
    let central = Central::on(&folder).agencies(2).start();
    central.client().ask("DONE|1", "ACK_DONE|OK").hello(1, &format!("HELLO|OK|2|done|{one}"));
    central.stop();
}

#[test]
fn bets_that_do_not_follow_what_is_stored_are_refused() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    let mut client = central.client();
    let row = |document: u32| format!("1,Ana,Paz,{document},2000-01-01,1\r\n");
    let line = |document: u32| format!("Ana|Paz|{document}|2000-01-01|1");
    let chain =
        |documents: &[u32]| crc32(documents.iter().map(|document| row(*document)).collect::<String>().as_bytes());
    let batch = |first: usize, before: &[u32], documents: &[u32]| {
        let lines: Vec<String> = documents.iter().map(|document| line(*document)).collect();
        format!("BATCH|1|{}|{first}|{}\n{}", documents.len(), chain(before), lines.join("\n"))
    };
    client.ask(&batch(0, &[], &[0, 1, 2]), "ACK_BATCH|OK|3");
    client.ask(&batch(0, &[], &[0, 1, 2]), "ACK_BATCH|OK|3").ask(&batch(1, &[0], &[1, 2, 3]), "ACK_BATCH|OK|3");
    client.ask(&batch(5, &[0, 1, 2, 3, 4], &[5]), "ACK_BATCH|ERR|1|gap");
    client.ask(&batch(0, &[], &[0, 1]), "ACK_BATCH|ERR|2|stale");
    client.ask(&batch(4, &[0, 1, 2, 9], &[4]), "ACK_BATCH|ERR|1|conflict");
    client.ask(&batch(2, &[0, 1], &[9, 3, 4]), "ACK_BATCH|ERR|3|conflict");
    client.ask(&format!("BET|1|{}|4|{}", line(4), chain(&[0, 1, 2])), "ACK|ERR|conflict");
    client.ask(&format!("BET|1|{}|4|{}", line(4), chain(&[0, 1, 2, 3])), "ACK|OK");
    // Without a checksum only the places are compared.
    client.ask(&format!("BATCH|1|2|0\n{}\n{}", line(9), line(9)), "ACK_BATCH|OK|2");
    client.ask("DONE|1", "ACK_DONE|OK");
    client.ask(&batch(4, &[0, 1, 2, 3], &[4]), "ACK_BATCH|OK|1");
    client.ask(&batch(5, &[0, 1, 2, 3, 4], &[5]), "ACK_BATCH|ERR|1|closed");
    client.ask(&batch(5, &[0, 1, 2, 3, 9], &[5]), "ACK_BATCH|ERR|1|conflict");
    let documents: Vec<String> = folder.stored_of(1).into_iter().map(|row| row[2].clone()).collect();
    assert_eq!(documents, ["0", "1", "2", "3", "4"]);
    central.stop();
}

#[test]
fn a_bet_of_its_own_is_not_taken_for_the_first_of_a_file() {
    let folder = Folder::with_data("--agencies 1 --bets 50");
    let central = Central::on(&folder).agencies(1).start();
    bet(&central, &folder, "5").ok();
    let exit = Agency::new(1, central.port, &folder).run();
    let words = ["agency-1.csv holds 50 bets", "the 1 that the central has stored of agency 1", "empty --store"];
    exit.failed(2, &words);
    assert_eq!(acknowledged(&exit), 0);
    assert_eq!(folder.stored_of(1).len(), 1);
    central.stop();
}

#[test]
fn next_weeks_file_is_not_taken_for_this_weeks() {
    let folder = Folder::with_data("--agencies 1 --bets 300 --seed 1 --winners 9");
    let central = Central::on(&folder).agencies(1).start();
    Agency::new(1, central.port, &folder).winners().run().ok();
    fs::remove_file(folder.path().join("winners-1")).unwrap();
    // As many bets, more, fewer, and the same except for one byte.
    for words in ["--bets 300 --seed 2", "--bets 400 --seed 2", "--bets 200 --seed 2"] {
        folder.gen_data(&format!("--agencies 1 {words}"));
        let exit = Agency::new(1, central.port, &folder).winners().run();
        exit.failed(2, &["agency-1.csv holds", "the 300 that the central has stored", "empty --store"]);
        assert_eq!(exit.count(|line| tells(line, "consulta_ganadores", "success")), 0, "{exit}");
    }
    folder.gen_data("--agencies 1 --bets 300 --seed 1 --winners 9");
    let mut bytes = fs::read(folder.file(1)).unwrap();
    let place = bytes.iter().rposition(u8::is_ascii_digit).unwrap();
    bytes[place] = if bytes[place] == b'1' { b'2' } else { b'1' };
    fs::write(folder.file(1), bytes).unwrap();
    Agency::new(1, central.port, &folder).run().failed(2, &["agency-1.csv holds 300 bets"]);
    assert_eq!(folder.stored_of(1).len(), 300);
    central.stop();
}

#[test]
fn bets_added_after_done_are_told_of() {
    let folder = Folder::with_data("--agencies 1 --bets 150 --seed 4");
    let text = fs::read_to_string(folder.file(1)).unwrap();
    let first: String = text.split_inclusive('\n').take(100).collect();
    folder.write(1, &first);
    let central = Central::on(&folder).agencies(1).start();
    Agency::new(1, central.port, &folder).run().ok();
    folder.write(1, &text);
    let exit = Agency::new(1, central.port, &folder).run();
    exit.failed(4, &["closed with 100 bets stored", "agency-1.csv holds more"]);
    folder.write(1, &first);
    Agency::new(1, central.port, &folder).run().ok();
    central.stop();
}

#[test]
fn two_processes_for_one_agency_never_mix_their_files() {
    let (one, two) = (
        Folder::with_data("--agencies 1 --bets 4000 --seed 5"),
        Folder::with_data("--agencies 1 --bets 4000 --seed 6"),
    );
    let central = Central::on(&one).agencies(1).start();
    let start = |folder: &Folder| Agency::new(1, central.port, folder).with("--batch-max 7 --in-flight 5").start();
    let exits = [start(&one), start(&two)].map(Process::finish);
    let stored = one.stored_of(1);
    // One of the two files is stored whole, and the agency of the other got an error.
    let winner = usize::from(stored[0] != one.rows(1)[0]);
    let rows = [one.rows(1), two.rows(1)];
    assert_eq!(stored, rows[winner]);
    let loser = &exits[1 - winner];
    assert!([Some(2), Some(4)].contains(&loser.status.code()), "{loser}");
    assert_eq!(acknowledged(loser), 0, "{loser}");
    central.stop();
}

#[test]
fn two_processes_with_the_same_file_store_it_once() {
    let folder = Folder::with_data("--agencies 1 --bets 4000 --seed 7");
    let central = Central::on(&folder).agencies(1).start();
    let start = || Agency::new(1, central.port, &folder).with("--batch-max 7 --in-flight 5").start();
    [start(), start()].into_iter().for_each(|agency| agency.finish().ok());
    folder.assert_stored_equals_files(1);
    central.stop();
}

#[test]
fn each_run_of_the_mode_bet_adds_a_bet() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(1).start();
    for _ in 0..3 {
        bet(&central, &folder, "7").ok();
    }
    assert_eq!(folder.stored_of(1).len(), 3);
    central.stop();
}

#[test]
fn a_row_that_will_be_refused_is_the_last_that_is_sent() {
    let folder = Folder::with_data("--agencies 1 --bets 3000 --seed 8");
    let mut lines: Vec<String> = fs::read_to_string(folder.file(1)).unwrap().lines().map(str::to_owned).collect();
    lines[1000] = lines[1000].replace('-', "/");
    folder.write(1, &lines.join("\n"));
    let central = Central::on(&folder).agencies(1).start();
    let exit = Agency::new(1, central.port, &folder).with("--batch-max 10").run();
    exit.failed(4, &["agency-1.csv:1001:", "is not a calendar date"]);
    let exit = central.stop();
    // One line for the refused batch, and none for the batches after it.
    assert_eq!(exit.count(|line| tells(line, "apuesta_recibida", "fail")), 1, "{exit}");
    assert_eq!(folder.stored_of(1).len(), 1000);
}
