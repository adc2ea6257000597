//! `quiniela gen-data`, and the data in `.data/`, which was made with it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use quiniela::domain::Bet;

/// How `.data/` was made; `make data` runs the same.
const SHIPPED: &str = "--agencies 5 --bets 6000 --seed 27 --winners 14";

fn gen_data(words: &str, dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quiniela"))
        .arg("gen-data")
        .args(words.split_whitespace())
        .arg(dir)
        .output()
        .unwrap()
}

#[track_caller]
fn made(words: &str, dir: &Path) -> Vec<String> {
    let output = gen_data(words, dir);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    read(dir)
}

fn read(dir: &Path) -> Vec<String> {
    let files = fs::read_dir(dir).unwrap().count();
    (1..=files).map(|agency| fs::read_to_string(dir.join(format!("agency-{agency}.csv"))).unwrap()).collect()
}

fn winners(file: &str) -> usize {
    file.lines().filter(|row| row.ends_with(",7574")).count()
}

#[test]
fn the_shipped_data_is_what_its_command_makes() {
    let shipped = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".data"));
    let folder = tempfile::tempdir().unwrap();
    let made = made(SHIPPED, folder.path());
    assert!(made == shipped, ".data is not what gen-data {SHIPPED} makes now: run make data");
    assert!(shipped.iter().all(|file| (100..=3_000).contains(&file.lines().count())));
    let winners: Vec<usize> = shipped.iter().map(|file| winners(file)).collect();
    assert!(winners.contains(&0) && winners.iter().filter(|winners| **winners > 1).count() > 1, "{winners:?}");
}

#[test]
fn every_row_is_a_bet() {
    let folder = tempfile::tempdir().unwrap();
    let files = made("--agencies 3 --bets 20000 --seed 5", folder.path());
    assert_eq!(files.iter().map(|file| file.lines().count()).sum::<usize>(), 20_000);
    for row in files.iter().flat_map(|file| file.lines()) {
        let fields: Vec<&str> = row.split(',').collect();
        let bet = Bet::new(fields.try_into().unwrap()).unwrap_or_else(|error| panic!("{row}: {error}"));
        assert!(bet.document.len() == 8 && bet.number < 10_000, "{row}");
    }
    assert!(files.concat().contains('ñ') && files.concat().contains('é'));
}

#[test]
fn numbers_are_spread_evenly() {
    let folder = tempfile::tempdir().unwrap();
    let files = made("--agencies 2 --bets 50000 --seed 3", folder.path());
    let mut thousands = [0_u32; 10];
    for row in files.iter().flat_map(|file| file.lines()) {
        thousands[row.rsplit(',').next().unwrap().parse::<usize>().unwrap() / 1_000] += 1;
    }
    assert!(thousands.iter().all(|count| (4_700..5_300).contains(count)), "{thousands:?}");
}

#[test]
fn the_seed_decides_everything() {
    let folder = tempfile::tempdir().unwrap();
    let [one, same, other] = ["one", "same", "other"].map(|name| folder.path().join(name));
    let words = "--agencies 4 --bets 1000 --seed";
    let one = made(&format!("{words} 1"), &one);
    assert_eq!(one, made(&format!("{words} 1"), &same));
    assert_ne!(one, made(&format!("{words} 2"), &other));
}

#[test]
fn exactly_as_many_win_as_asked_for() {
    for wanted in [0, 1, 77, 500] {
        let folder = tempfile::tempdir().unwrap();
        let files = made(&format!("--agencies 3 --bets 500 --winners {wanted}"), folder.path());
        assert_eq!(files.iter().map(|file| winners(file)).sum::<usize>(), wanted);
    }
}

#[test]
fn files_are_replaced_only_by_force() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("agency-2.csv"), "mine").unwrap();
    let refused = gen_data("--agencies 2 --bets 10", folder.path());
    assert_eq!(refused.status.code(), Some(2));
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(message.contains("agency-2.csv: is there already; --force replaces it"), "{message}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is written beside it");
    assert_eq!(made("--agencies 2 --bets 10 --force", folder.path()).concat().lines().count(), 10);
}

#[test]
fn force_leaves_no_file_of_an_agency_behind_the_last() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("agency-7.csv"), "of before").unwrap();
    assert_eq!(gen_data("--agencies 2 --bets 10", folder.path()).status.code(), Some(2));
    let output = gen_data("--agencies 1 --bets 10 --force", folder.path());
    assert!(String::from_utf8(output.stdout).unwrap().contains(": 1 file, 10 bets, "));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_cannot_be_made_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = gen_data("--bets 10 --winners 11", folder.path());
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("--winners 11: there are only 10 bets"));
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = gen_data("--bets 10", &file);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains(&file.display().to_string()));
}
