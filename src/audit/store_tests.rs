//! Whatever is changed in a store, the audit finds it.

use fastrand::Rng;

use super::store::Store;
use super::testing::{Folder, Lottery};
use super::{AuditArgs, audited as audit};
use crate::domain::acta::{self, Acta, ActaDraw, StoreSecrets};
use crate::domain::{Hash, LotteryId, Secret, Status};
use crate::error::{Error, Kind};

fn audited(folder: &Folder) -> Result<String, Error> {
    let args = AuditArgs { json: true, ..AuditArgs::of(&folder.path("")) };
    audit(&args)
}

/// The message, without the folder. It must be damage.
#[track_caller]
fn refused(folder: &Folder, what: &str) -> String {
    let error = audited(folder).err().unwrap_or_else(|| panic!("{what}: it was not found"));
    assert_eq!(error.kind, Kind::Storage, "{what}: {error}");
    error.to_string().replace(&folder.path("").display().to_string(), "")
}

#[test]
fn a_store_as_it_was_sealed_passes() {
    for (agencies, bets) in [(1, 0), (1, 1), (3, 0), (2, 5), (5, 300), (40, 300)] {
        for lottery in [Lottery::new(agencies, bets), Lottery::new(agencies, bets).not_drawn()] {
            let told = audited(&lottery.write()).unwrap();
            assert!(told.contains(&format!("\"seal\": \"{}\"", lottery.acta.seal)), "{told}");
        }
    }
}

#[test]
fn every_byte_counts() {
    let lottery = Lottery::new(4, 300);
    let folder = lottery.write();
    let mut rng = Rng::with_seed(10);
    let store = Store::open(&folder.path("")).unwrap();
    for name in ["bets.csv", "acta.json", "secrets.json"] {
        let whole = folder.read(name);
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= if at % 2 == 0 { 1 << rng.u8(0..8) } else { rng.u8(1..) };
            folder.put(name, &changed);
            // Nothing else needs reading again if it is the bets that change.
            let audited = if name == "bets.csv" { store.check(None).map(drop) } else { audited(&folder).map(drop) };
            let error = audited.err().unwrap_or_else(|| panic!("{name}: byte {at} became {:#x}", changed[at]));
            let place = folder.path(name).display().to_string();
            assert!(error.kind == Kind::Storage && error.to_string().starts_with(&place), "{error}");
        }
        for length in (0..whole.len()).step_by(29) {
            folder.put(name, &whole[..length]);
            refused(&folder, &format!("{name} cut to {length}"));
        }
        folder.put(name, &[&whole[..], b"\n"].concat());
        refused(&folder, &format!("{name} with another line"));
        folder.put(name, &whole);
    }
    audited(&folder).unwrap();
}

/// The agencies' bets, each in its order, which is what the seal binds.
fn by_agency(rows: &[String]) -> Vec<&String> {
    let mut sorted: Vec<&String> = rows.iter().collect();
    sorted.sort_by_key(|row| row.split(',').next());
    sorted
}

#[test]
fn every_row_counts() {
    let lottery = Lottery::new(4, 300);
    let folder = lottery.write();
    let mut rng = Rng::with_seed(11);
    for at in 0..lottery.rows.len() {
        let other = rng.usize(0..lottery.rows.len() - 1);
        let mut dropped = lottery.rows.clone();
        let row = dropped.remove(at);
        let mut doubled = lottery.rows.clone();
        doubled.insert(at, row.clone());
        let mut added = lottery.rows.clone();
        added.insert(at, format!("{},Eva,Sosa,9,2000-01-01,7\r\n", 1 + at % 4));
        let mut moved = dropped.clone();
        moved.insert(other, row.clone());
        let mut swapped = lottery.rows.clone();
        swapped.swap(at, other);
        let mut given_away = lottery.rows.clone();
        given_away[at] = format!("{}{}", if row.starts_with('1') { '2' } else { '1' }, &row[1..]);
        for (what, rows) in [
            ("dropped", dropped),
            ("doubled", doubled),
            ("added", added),
            ("moved", moved),
            ("swapped", swapped),
            ("given to another agency", given_away),
        ] {
            if by_agency(&rows) == by_agency(&lottery.rows) {
                continue;
            }
            folder.put("bets.csv", rows.concat().as_bytes());
            let message = refused(&folder, &format!("row {at} {what}"));
            assert!(message.starts_with("bets.csv: agency "), "{message}");
            let names_counts = !message.contains(" has the root ");
            assert_eq!(names_counts, !["moved", "swapped"].contains(&what), "{what}: {message}");
        }
    }
}

#[test]
fn a_row_that_no_central_writes_is_named_by_its_line() {
    let lottery = Lottery::new(4, 300);
    let folder = lottery.write();
    for line in [1, 2, 150, 300] {
        let mut rows = lottery.rows.clone();
        rows[line - 1] = rows[line - 1].replace("2000-01-01", "2000-02-30");
        folder.put("bets.csv", rows.concat().as_bytes());
        let message = refused(&folder, "a date that is none");
        assert!(message.starts_with(&format!("bets.csv:{line}: its birthdate ")), "{message}");
    }
}

/// An acta that somebody has changed, and who knows how to make the checksum.
#[test]
fn every_value_of_an_acta_is_checked_against_the_bets() {
    type Change = fn(&mut Acta);
    let lottery = Lottery::new(4, 300);
    let folder = lottery.write();
    let changes: [(&str, Change); 17] = [
        ("one fewer", |acta| acta.agencies[0].bets -= 1),
        ("one moved", |acta| {
            (acta.agencies[0].bets, acta.agencies[1].bets) = (acta.agencies[0].bets - 1, acta.agencies[1].bets + 1)
        }),
        ("root", |acta| acta.agencies[1].root.0[31] ^= 1),
        ("roots", |acta| {
            (acta.agencies[0].root, acta.agencies[1].root) = (acta.agencies[1].root, acta.agencies[0].root)
        }),
        ("status", |acta| acta.agencies[1].status = Status::Overridden),
        ("signed", |acta| acta.agencies[1].status = Status::Signed),
        ("winners", |acta| acta.agencies[1].winners = Some(0)),
        ("no winners", |acta| acta.agencies[1].winners = None),
        ("order", |acta| acta.agencies.swap(0, 1)),
        ("dropped", |acta| drop(acta.agencies.pop())),
        ("none", |acta| acta.agencies.clear()),
        ("total", |acta| acta.total += 1),
        ("seal", |acta| acta.seal.0[0] ^= 1),
        ("lottery", |acta| acta.lottery = LotteryId(1)),
        ("number", |acta| acta.draw.as_mut().unwrap().number = 3_000_000),
        ("no draw", |acta| acta.draw = None),
        ("format", |acta| acta.format = 1),
    ];
    for (what, change) in changes {
        // With the seal as it was, and with one that fits.
        for fits in [false, true] {
            let mut acta = lottery.acta.clone();
            change(&mut acta);
            if fits && what != "seal" {
                acta.seal = super::documents::seal_of(&acta, None).unwrap().0;
            }
            folder.put("acta.json", acta::write(&acta).unwrap().as_bytes());
            // A status that no signature has to prove is bound by the seal alone, which everybody has been shown.
            // An agency without bets leaves no trace in them.
            if what == "format" || (fits && ["status", "dropped"].contains(&what)) {
                audited(&folder).unwrap();
            } else {
                refused(&folder, what);
            }
        }
    }
    let mut later = Acta { format: 2, ..lottery.acta.clone() };
    folder.put("acta.json", acta::write(&later).unwrap().as_bytes());
    assert_eq!(audited(&folder).unwrap_err().kind, Kind::BadInput, "a form of later days");
    later = lottery.clone().not_drawn().acta;
    later.draw = Some(ActaDraw { number: 7, later: false, drawn_at: 1, signed: None });
    folder.put("acta.json", acta::write(&later).unwrap().as_bytes());
    assert!(refused(&folder, "a draw without winners").contains("no winners, though there was a draw"));
}

#[test]
fn secrets_are_those_of_the_lottery() {
    let lottery = Lottery::new(3, 20);
    let folder = lottery.write();
    for secrets in [
        StoreSecrets { lottery: LotteryId(2), ..lottery.secrets.clone() },
        StoreSecrets { secret: Secret([1; 32]), ..lottery.secrets.clone() },
    ] {
        folder.put("secrets.json", acta::write(&secrets).unwrap().as_bytes());
        refused(&folder, "other secrets");
    }
}

#[test]
fn several_agencies_that_differ_are_all_told_of() {
    let lottery = Lottery::new(4, 60);
    let folder = lottery.write();
    folder.put("bets.csv", b"");
    let message = refused(&folder, "no bets");
    let (first, bets) = (&lottery.acta.agencies[0], lottery.acta.agencies[0].bets);
    assert_eq!(first.agency, 1);
    assert_eq!(
        message,
        format!("bets.csv: agency 1 has 0 bets here, and {bets} in the acta; other agencies that differ: 2, 3")
    );
}

#[test]
fn a_store_that_is_not_closed_is_no_damage() {
    let folder = Lottery::new(3, 20).write();
    std::fs::remove_file(folder.path("acta.json")).unwrap();
    let error = audited(&folder).unwrap_err();
    assert!(error.kind == Kind::BadInput && error.to_string().contains("betting is not closed"), "{error}");
    std::fs::remove_file(folder.path("bets.csv")).unwrap();
    let error = audited(&folder).unwrap_err();
    assert!(error.kind == Kind::BadInput && error.to_string().contains("neither acta.json nor bets.csv"), "{error}");
    let error = audit(&AuditArgs::of(&folder.path("secrets.json"))).unwrap_err();
    assert!(error.kind == Kind::BadInput && error.to_string().contains("is no folder"), "{error}");
    for name in ["bets.csv", "secrets.json"] {
        let folder = Lottery::new(3, 20).write();
        std::fs::remove_file(folder.path(name)).unwrap();
        assert!(refused(&folder, name).starts_with(name));
    }
}

#[test]
fn a_file_of_several_pieces_gives_the_same_as_a_small_one() {
    // More than one piece for each of the threads.
    let lottery = Lottery::new(6, 60_000);
    let folder = lottery.write();
    audited(&folder).unwrap();
    let mut rows = lottery.rows.clone();
    rows[59_000] = rows[59_000].replace("2000-01-01", "2000-13-01");
    rows[40_000] = "\r\n".to_owned();
    folder.put("bets.csv", rows.concat().as_bytes());
    assert!(refused(&folder, "two bad rows").starts_with("bets.csv:40001: "));
    let long = "x".repeat(2_000_000);
    rows[30_000] = format!("1,{long},P,1,2000-01-01,7\r\n");
    folder.put("bets.csv", rows.concat().as_bytes());
    assert!(refused(&folder, "an endless row").starts_with("bets.csv:30001: "));
    assert_ne!(lottery.acta.seal, Hash([0; 32]));
}

#[test]
fn the_table_shows_what_people_compare() {
    let lottery = Lottery::new(3, 20);
    let folder = lottery.write();
    let table = audit(&AuditArgs::of(&folder.path(""))).unwrap();
    for shown in [
        format!("lottery {}", lottery.acta.lottery),
        format!("seal    {}", lottery.acta.seal),
        "closed  2023-11-14 22:13:20 UTC".to_owned(),
        "number  7, known before the seal, drawn 2023-11-14 22:30:00 UTC".to_owned(),
        "give --ca FILE".to_owned(),
        format!("{}…", &lottery.acta.agencies[0].root.to_string()[..16]),
    ] {
        assert!(table.contains(&shown), "{shown} is not in\n{table}");
    }
}
