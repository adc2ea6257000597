//! `quiniela recover`: what a power loss has taken from `bets.csv` is there again without a central.

use std::fs;

use crate::common::{ANA, Central, Exit, Folder, Process, quiniela};

fn recover(folder: &Folder) -> Exit {
    Process::start(quiniela(folder.path(), &["recover", "store"].map(str::to_owned))).finish()
}

#[test]
fn rows_that_a_power_loss_has_taken_are_restored() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(2).start();
    central.client().ask(&format!("BATCH|1|2\n{ANA}\n{ANA}"), "ACK_BATCH|OK|2").ask(&format!("BET|2|{ANA}"), "ACK|OK");
    recover(&folder).failed(5, &["bets.csv", "another central has it open"]);
    central.kill();
    let bets = fs::read(folder.bets()).unwrap();
    fs::write(folder.bets(), &bets[..30]).unwrap();

    let exit = recover(&folder);
    exit.ok();
    let lost = format!("restored  {} bytes", bets.len() - 30);
    assert!(exit.lines.contains(&lost), "{exit}");
    assert_eq!(fs::read(folder.bets()).unwrap(), bets);
    let again = recover(&folder);
    again.ok();
    assert!(again.lines[0].ends_with("was closed in order"), "{again}");
    let central = Central::on(&folder).agencies(2).start();
    central.client().ask("HELLO|1", "HELLO|OK|2|open").ask("HELLO|2", "HELLO|OK|1|open");
    central.stop();
}

#[test]
fn what_is_no_sound_store_is_left_alone() {
    let folder = Folder::new();
    recover(&folder).failed(2, &["store", "holds no journal"]);
    assert_eq!(fs::read_dir(folder.store()).unwrap().count(), 0);
    let central = Central::on(&folder).start();
    central.client().ask(&format!("BET|1|{ANA}"), "ACK|OK");
    central.stop();
    let mut bets = fs::read(folder.bets()).unwrap();
    bets[3] ^= 4;
    fs::write(folder.bets(), &bets).unwrap();
    recover(&folder).failed(5, &["store/bets.csv: byte 0: damaged"]);
    assert_eq!(fs::read(folder.bets()).unwrap(), bets);
}
