//! Whatever is changed in a ticket, a receipt or an acta is found.

use super::signatures::Authorities;
use super::testing::{Authority, Folder, Lottery, NUMBER, folder, is_refused};
use super::ticket::Against;
use super::{AuditArgs, TicketArgs, audited, ticket, ticketed};
use crate::config::DatabaseArgs;
use crate::domain::acta::{self, Receipt, Ticket};
use crate::domain::{LotteryId, Status};
use crate::error::{Error, Kind};

impl TicketArgs {
    fn none() -> TicketArgs {
        TicketArgs {
            path: None,
            database: DatabaseArgs::default(),
            agency: None,
            bet: None,
            data: None,
            receipt: None,
            check: None,
            seal: None,
            ca: None,
            json: false,
        }
    }
}

fn made(folder: &Folder, agency: u32, bet: u64) -> String {
    let (agency, bet) = (Some(agency), Some(bet));
    ticketed(&TicketArgs { path: Some(folder.path("")), agency, bet, ..TicketArgs::none() }).unwrap()
}

/// The check of the ticket in the folder.
fn checked(folder: &Folder, against: &Against<'_>, authorities: Option<&Authorities>) -> Result<String, Error> {
    ticket::check(&folder.path("ticket"), against, authorities).map(|checked| checked.to_string())
}

#[test]
fn every_bet_has_its_ticket_from_either_side() {
    let authority = Authority::new();
    let lottery = Lottery::new(4, 60).signed(&authority);
    let folder = folder(&lottery, &authority);
    let authorities = Authorities::load(&folder.path("ca.pem")).unwrap();
    let acta_path = folder.path("acta.json");
    let (acta, seal) = (Against::Acta(&acta_path), Against::Seal(lottery.acta.seal));
    for line in &lottery.acta.agencies {
        for bet in 1..=line.bets {
            let from_store = made(&folder, line.agency, bet);
            assert!(from_store.len() < 4096, "{}", from_store.len());
            let args = TicketArgs {
                agency: Some(line.agency),
                bet: Some(bet),
                data: Some(folder.path("")),
                receipt: Some(folder.path(&format!("receipt-{}.json", line.agency))),
                ..TicketArgs::none()
            };
            let own = ticketed(&args).unwrap();
            let store: Ticket = acta::read(from_store.as_bytes()).unwrap();
            assert_eq!(acta::read(own.as_bytes()), Ok(Ticket { number: None, ..store.clone() }));
            let has_won = store.row.ends_with(&format!(",{NUMBER}"));
            for (text, tells_number) in [(from_store, true), (own, false)] {
                folder.put("ticket", text.as_bytes());
                for authorities in [None, Some(&authorities)] {
                    let told = checked(&folder, &acta, authorities).unwrap();
                    assert!(told.contains("is in the lottery"), "{told}");
                    assert_eq!(told.contains("It has won"), has_won, "{told}");
                    assert_eq!(told.contains("give --ca"), authorities.is_none(), "{told}");
                    let told = checked(&folder, &seal, authorities).unwrap();
                    assert_eq!(told.contains("It has won"), has_won && tells_number, "{told}");
                    assert_eq!(told.contains("what the ticket says"), tells_number, "{told}");
                }
            }
            // Nothing of anybody else.
            for row in lottery.rows.iter().filter(|row| **row != format!("{}\r\n", store.row)) {
                let (_, values) = row.trim_end().split_once(',').unwrap();
                assert!(!store.row.contains(values));
            }
        }
        for bet in [0, line.bets + 1] {
            let args = TicketArgs { agency: Some(line.agency), bet: Some(bet), ..TicketArgs::none() };
            let error = ticketed(&TicketArgs { path: Some(folder.path("")), ..args }).unwrap_err();
            assert!(error.kind == Kind::BadInput && error.to_string().contains("count from 1"), "{error}");
        }
    }
}

#[test]
fn no_bit_of_a_document_can_change_and_no_byte_be_cut() {
    let authority = Authority::new();
    let lottery = Lottery::new(3, 40).signed(&authority);
    let folder = folder(&lottery, &authority);
    let seal = Against::Seal(lottery.acta.seal);
    folder.put("ticket", made(&folder, 1, 9).as_bytes());
    let audit = |folder: &Folder| {
        let (data, receipt) = (Some(folder.path("")), Some(folder.path("receipt-1.json")));
        audited(&AuditArgs { agency: Some(1), data, receipt, ..AuditArgs::of(&folder.path("acta.json")) })
    };
    let check = |folder: &Folder| checked(folder, &seal, None);
    type Check<'a> = &'a dyn Fn(&Folder) -> Result<String, Error>;
    for (name, run) in [("ticket", &check as Check<'_>), ("receipt-1.json", &audit), ("acta.json", &audit)] {
        run(&folder).unwrap();
        let whole = folder.read(name);
        // Every bit of the ticket; one of each byte of the others, which begins with a longer way.
        let step = if name == "ticket" { 1 } else { 7 };
        for bit in (0..whole.len() * 8).step_by(step) {
            let mut changed = whole.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            folder.put(name, &changed);
            is_refused(run(&folder), &format!("{name}, bit {bit}"));
        }
        for length in 0..whole.len() {
            folder.put(name, &whole[..length]);
            is_refused(run(&folder), &format!("{name}, cut to {length}"));
        }
        folder.put(name, &whole);
    }
}

/// A ticket that somebody has changed who knows how to make the checksum.
#[test]
fn every_value_of_a_ticket_is_bound_by_the_seal_or_signed() {
    type Change = fn(&mut Ticket);
    let authority = Authority::new();
    let lottery = Lottery::new(5, 90).signed(&authority);
    let folder = folder(&lottery, &authority);
    let whole: Ticket = acta::read(made(&folder, 2, 7).as_bytes()).unwrap();
    let other: Ticket = acta::read(made(&folder, 2, 8).as_bytes()).unwrap();
    let acta_path = folder.path("acta.json");
    let (acta, seal) = (Against::Acta(&acta_path), Against::Seal(lottery.acta.seal));
    let changes: [(&str, Change); 24] = [
        ("format", |ticket| ticket.format = 2),
        ("lottery", |ticket| ticket.lottery = LotteryId(1)),
        ("agency", |ticket| ticket.agency = 1),
        ("agency 0", |ticket| ticket.agency = 0),
        ("both agencies", |ticket| (ticket.agency, ticket.row) = (1, ticket.row.replacen('2', "1", 1))),
        ("bet", |ticket| ticket.bet += 1),
        ("bet 0", |ticket| ticket.bet = 0),
        ("name", |ticket| ticket.row = ticket.row.replace(",P,", ",Q,")),
        ("number of the bet", |ticket| ticket.row.push('1')),
        ("two rows", |ticket| ticket.row = format!("{0}\r\n{0}", ticket.row)),
        ("no row", |ticket| ticket.row.clear()),
        ("salt", |ticket| ticket.salt = "00".repeat(16)),
        ("form of the salt", |ticket| ticket.salt = ticket.salt.to_uppercase() + "A"),
        ("path", |ticket| ticket.path[0].0[0] ^= 1),
        ("shorter path", |ticket| ticket.path.truncate(ticket.path.len() - 1)),
        ("longer path", |ticket| ticket.path.push(ticket.root)),
        ("bets", |ticket| ticket.bets += 1),
        ("root", |ticket| ticket.root.0[3] ^= 1),
        ("status", |ticket| ticket.status = Status::Declared),
        ("agency's path", |ticket| ticket.agency_path.swap(0, 1)),
        ("agencies", |ticket| ticket.agencies += 1),
        ("total", |ticket| ticket.total += 1),
        ("seal", |ticket| ticket.seal.0[0] ^= 1),
        ("time", |ticket| ticket.sealed_at += 1),
    ];
    let put = |ticket: &Ticket| folder.put("ticket", acta::write(ticket).unwrap().as_bytes());
    put(&whole);
    checked(&folder, &acta, None).unwrap();
    checked(&folder, &seal, None).unwrap();
    for (what, change) in changes {
        let mut changed = whole.clone();
        change(&mut changed);
        put(&changed);
        for against in [&acta, &seal] {
            let error = checked(&folder, against, None).err().unwrap_or_else(|| panic!("{what}: it was not found"));
            assert_eq!(error.kind, if what == "format" { Kind::BadInput } else { Kind::Storage }, "{what}: {error}");
        }
    }
    for (what, changed) in [
        ("another's row", Ticket { row: other.row.clone(), ..whole.clone() }),
        ("another's path", Ticket { path: other.path.clone(), ..whole.clone() }),
        ("another's salt", Ticket { salt: other.salt.clone(), ..whole.clone() }),
    ] {
        put(&changed);
        is_refused(checked(&folder, &seal, None), what);
    }
    // The seal says nothing of the number, and the acta does.
    put(&Ticket { number: Some(NUMBER + 1), ..whole.clone() });
    is_refused(checked(&folder, &acta, None), "another number");
    assert!(checked(&folder, &seal, None).unwrap().contains("what the ticket says"));
    // Without its signature, a seal alone is not enough for whoever asks for one.
    put(&Ticket { signed: None, ..whole });
    let authorities = Authorities::load(&folder.path("ca.pem")).unwrap();
    is_refused(checked(&folder, &seal, Some(&authorities)), "unsigned");
    checked(&folder, &acta, Some(&authorities)).unwrap();
}

#[test]
fn a_ticket_of_another_lottery_is_not_in_this_one() {
    let authority = Authority::new();
    let (one, mut other) = (Lottery::new(3, 30).signed(&authority), Lottery::new(3, 31));
    other.acta.lottery = LotteryId(5);
    let folder = folder(&one, &authority);
    folder.put("ticket", made(&folder, 1, 1).as_bytes());
    let theirs = other.write();
    let path = theirs.path("acta.json");
    is_refused(checked(&folder, &Against::Acta(&path), None), "another lottery");
    is_refused(checked(&folder, &Against::Seal(other.acta.seal), None), "another seal");
}

#[test]
fn an_agency_checks_its_own_file_and_its_receipt() {
    let authority = Authority::new();
    for lottery in [Lottery::new(4, 60), Lottery::new(4, 60).not_drawn(), Lottery::new(4, 9000).signed(&authority)] {
        let folder = folder(&lottery, &authority);
        let args = |receipt: bool| AuditArgs {
            agency: Some(2),
            data: Some(folder.path("")),
            receipt: receipt.then(|| folder.path("receipt-2.json")),
            ..AuditArgs::of(&folder.path("acta.json"))
        };
        assert!(audited(&args(true)).unwrap().contains("the bets that the seal binds"));
        assert!(audited(&args(false)).unwrap().contains("not the bets themselves"));
        assert!(audited(&AuditArgs { json: true, ..args(true) }).unwrap().contains("\"root_checked\": true"));
        let whole = folder.read("agency-2.csv");
        let text = String::from_utf8(whole.clone()).unwrap();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let last = lines.len() - 1;
        let changed = [
            ("dropped", lines[..last].concat(), true),
            ("doubled", [&lines[..], &lines[last..]].concat().concat(), true),
            ("swapped", [&lines[..last - 1], &[lines[last], lines[last - 1]]].concat().concat(), false),
            ("changed", text.replacen("2000-01-01", "2000-01-02", 1), false),
        ];
        for (what, text, is_counted) in changed {
            folder.put("agency-2.csv", text.as_bytes());
            let message = is_refused(audited(&args(true)), what);
            assert!(message.starts_with(&folder.path("agency-2.csv").display().to_string()), "{message}");
            assert_eq!(audited(&args(false)).is_err(), is_counted, "{what}");
        }
        folder.put("agency-2.csv", text.replacen("2000-01-01", "2000-02-30", 1).as_bytes());
        let error = audited(&args(true)).unwrap_err();
        assert!(error.kind == Kind::BadInput && error.to_string().contains("agency-2.csv:2: its birthdate"), "{error}");
        folder.put("agency-2.csv", &whole);
    }
}

#[test]
fn every_value_of_a_receipt_is_checked_against_the_acta() {
    type Change = fn(&mut Receipt);
    let authority = Authority::new();
    let lottery = Lottery::new(4, 60);
    let folder = folder(&lottery, &authority);
    let whole = lottery.receipt(2);
    let changes: [(&str, Change); 14] = [
        ("lottery", |receipt| receipt.lottery = LotteryId(1)),
        ("agency", |receipt| receipt.agency = 1),
        ("agency 0", |receipt| receipt.agency = 0),
        ("secret", |receipt| receipt.secret.0[0] ^= 1),
        ("bets", |receipt| receipt.bets += 1),
        ("root", |receipt| receipt.root.0[0] ^= 1),
        ("status", |receipt| receipt.status = Status::Overridden),
        ("agencies", |receipt| receipt.agencies -= 1),
        ("total", |receipt| receipt.total += 1),
        ("seal", |receipt| receipt.seal.0[31] ^= 1),
        ("time", |receipt| receipt.sealed_at += 1),
        ("path", |receipt| receipt.path[0].0[0] ^= 1),
        ("shorter path", |receipt| receipt.path.truncate(receipt.path.len() - 1)),
        ("longer path", |receipt| receipt.path.push(receipt.seal)),
    ];
    for (what, change) in changes {
        let mut changed = whole.clone();
        change(&mut changed);
        folder.put("receipt-2.json", acta::write(&changed).unwrap().as_bytes());
        let (data, receipt) = (Some(folder.path("")), Some(folder.path("receipt-2.json")));
        let args = AuditArgs { agency: Some(2), data, receipt, ..AuditArgs::of(&folder.path("acta.json")) };
        is_refused(audited(&args), what);
    }
    // A whole receipt of another seal: the central has shown two.
    let other = Lottery::new(4, 61);
    folder.put("receipt-2.json", acta::write(&other.receipt(2)).unwrap().as_bytes());
    let (data, receipt) = (Some(folder.path("")), Some(folder.path("receipt-2.json")));
    let args = AuditArgs { agency: Some(2), data, receipt, ..AuditArgs::of(&folder.path("acta.json")) };
    assert!(is_refused(audited(&args), "two seals").contains("the central has shown two"));
}
