//! An agency at a central that has a seal: a true one, and one for each way in which it could deceive.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::play;
use super::reactor::Halt;
use super::seal_testing::{AGENCY, Fake, LOTTERY, SECRET, Spoil};
use super::testing::{FakeCentral, bets, config, lottery, reactor, seed};
use crate::config::{AgencyConfig, LotteryTask, Task};
use crate::domain::acta::{self, Receipt};
use crate::domain::seal::Declared;
use crate::domain::tree::Tree;
use crate::domain::{Hash, LotteryId, Status};
use crate::error::{Error, Kind};
use crate::transport::testing::{Authority, Spec, certificate};
use crate::transport::{Acceptance, Paths, verify_signature};

fn run(central: Fake, task: LotteryTask) -> (Result<(), Error>, Fake) {
    let central = central.start();
    let result = run_at(&config(Task::Lottery(task), &central.address));
    (result, central.join())
}

fn run_at(config: &AgencyConfig) -> Result<(), Error> {
    play(&mut reactor(), config).map_err(|halt| match halt {
        Halt::Fatal(error) => error,
        other => panic!("{other:?}"),
    })
}

fn with_receipt(file: PathBuf) -> LotteryTask {
    LotteryTask { receipt: Some(file.with_file_name("receipt.json")), ..lottery(file) }
}

fn read_receipt(file: &Path) -> Receipt {
    acta::read(&std::fs::read(file.with_file_name("receipt.json")).unwrap()).unwrap()
}

#[test]
fn the_seal_is_checked_and_kept_before_the_draw_and_the_winners_are_counted_again() {
    let (_folder, path, _) = bets(7);
    let (result, central) = run(Fake::new(), with_receipt(path.clone()));
    result.unwrap();
    let asked = "HELLO BATCH BATCH BATCH DONE WAIT_SEAL WAIT_DRAW GET_DRAW GET_WINNERS";
    assert_eq!(central.asked.join(" "), asked);
    assert_eq!(central.declared, [(central.true_root(), None)]);
    let (receipt, shown) = (read_receipt(&path), central.seal());
    assert_eq!((receipt.lottery, receipt.secret, receipt.agency), (LOTTERY, SECRET, 3));
    assert_eq!((receipt.sealed(), receipt.seal_line()), (shown.sealed(LOTTERY), shown.line(AGENCY)));
    assert_eq!((&receipt.path, receipt.signed), (&shown.path, None));

    // A restart after the draw does the same again, and replaces the receipt.
    let (result, central) = run(Fake { asked: Vec::new(), ..central }, with_receipt(path.clone()));
    result.unwrap();
    assert_eq!(central.asked.join(" "), "HELLO WAIT_SEAL GET_DRAW GET_WINNERS");
    assert_eq!(read_receipt(&path).sealed(), shown.sealed(LOTTERY));
}

#[test]
fn a_file_without_bets_has_a_root_too() {
    let (_folder, path, _) = bets(0);
    let (result, central) = run(Fake::new(), lottery(path));
    result.unwrap();
    assert_eq!(central.declared, [(Declared { bets: 0, root: Tree::default().root() }, None)]);
}

#[test]
fn the_root_is_right_however_often_the_connection_is_cut() {
    let first = seed();
    std::thread::scope(|scope| {
        for seed in first..first + 16 {
            scope.spawn(move || {
                let (_folder, path, lines) = bets(97);
                let mut random = fastrand::Rng::with_seed(seed);
                let mut fake = Fake::new();
                let row = |line: &String| format!("{}\r\n", line.strip_prefix("BET|").unwrap().replace('|', ","));
                // As if another process had sent the first ones, and sometimes the secret is told late.
                fake.rows.extend(lines.iter().take(random.usize(..98)).map(row));
                let mut is_late = random.bool();
                let central = FakeCentral::start(move |accept| {
                    while fake.asked.last().is_none_or(|last| last != "GET_WINNERS") {
                        let mut peer = accept();
                        fake.identity = if is_late { None } else { Some((LOTTERY, SECRET)) };
                        while let Some(text) = peer.frame() {
                            if random.u8(..) < 20 || (is_late && text.starts_with("DONE")) {
                                break;
                            }
                            let reply = fake.answer(&text);
                            if random.u8(..) < 20 && fake.asked.last().unwrap() != "GET_WINNERS" {
                                break;
                            }
                            peer.send(&reply);
                        }
                        is_late = false;
                    }
                    fake
                });
                let (batch_max, in_flight) = (1 + seed as u32 % 7, 1 + seed as usize % 5);
                let task = LotteryTask { batch_max, in_flight, ..lottery(path) };
                run_at(&config(Task::Lottery(task), &central.address)).unwrap();
                let fake = central.join();
                assert_eq!(fake.rows, lines.iter().map(row).collect::<Vec<_>>(), "seed {seed}");
                assert!(!fake.declared.is_empty());
                assert!(fake.declared.iter().all(|sent| *sent == (fake.true_root(), None)), "seed {seed}");
            });
        }
    });
}

#[test]
fn an_older_central_is_asked_for_nothing_new() {
    let (_folder, path, _) = bets(2);
    let (result, central) = run(Fake { identity: None, ..Fake::new() }, lottery(path.clone()));
    result.unwrap();
    assert_eq!(central.asked.join(" "), "HELLO BATCH DONE WAIT_DRAW GET_WINNERS");
    assert_eq!(central.declared, []);
    // But what it cannot give is not forgotten in silence.
    let (result, central) = run(Fake { identity: None, ..Fake::new() }, with_receipt(path.clone()));
    assert_eq!((result.unwrap_err().kind, central.asked.join(" ")), (Kind::Refused, "HELLO".to_owned()));
    assert!(!path.with_file_name("receipt.json").exists());
}

#[test]
fn other_bets_than_were_sent_end_it_with_a_code_of_their_own() {
    let (_folder, path, _) = bets(2);
    let (result, central) = run(Fake { refuses_balance: true, ..Fake::new() }, lottery(path));
    let error = result.unwrap_err();
    assert_eq!((error.kind, error.kind.exit_code()), (Kind::Unbalanced, 6));
    let shown = error.to_string();
    assert!(
        shown.starts_with("agency-3.csv holds 2 bets, and the central has stored 2 of agency 3, as many"),
        "{shown}"
    );
    assert_eq!(central.asked.join(" "), "HELLO BATCH DONE");
}

#[test]
fn a_seal_that_does_not_fit_is_refused_and_not_kept() {
    let cases: [(Spoil, &str); 12] = [
        (|shown| shown.bets += 1, "it counts 8 bets of agency 3, which has sent 7"),
        (|shown| (shown.bets, shown.status) = (6, Status::Overridden), "as the central's operator has decided"),
        (|shown| shown.root = Hash([0; 32]), "are not those that were sent, although they are as many"),
        (|shown| shown.status = Status::Undeclared, "calls the bets of agency 3 undeclared, and they are declared"),
        (|shown| shown.seal = Hash([0; 32]), "the line of agency 3 does not lead to it"),
        (|shown| shown.path[1] = Hash([0; 32]), "the line of agency 3 does not lead to it"),
        (|shown| shown.path.clear(), "the line of agency 3 does not lead to it"),
        (|shown| shown.path.push(Hash([0; 32])), "the line of agency 3 does not lead to it"),
        (|shown| shown.agencies = 2, "the line of agency 3 does not lead to it"),
        (|shown| shown.total = 6, "it counts 6 bets of 5 agencies, and 7 of agency 3 alone"),
        (|shown| shown.time = 0, "its time is 0 s since 1970"),
        (|shown| shown.time = now() + 2 * 24 * 60 * 60, "its time is"),
    ];
    for (spoil, reason) in cases {
        let (folder, path, _) = bets(7);
        let (result, central) = run(Fake { spoil, ..Fake::new() }, with_receipt(path));
        let error = result.unwrap_err();
        assert!(error.kind == Kind::Refused && error.to_string().contains(reason), "{error}");
        assert_eq!(central.asked.last().unwrap(), "WAIT_SEAL", "nothing more is asked");
        assert_eq!(folder.path().read_dir().unwrap().count(), 1, "nothing is kept");
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn two_seals_are_found_out_in_one_run_and_by_the_receipt_of_another() {
    let (_folder, path, _) = bets(7);
    let central = FakeCentral::start(|accept| {
        let mut fake = Fake::new();
        let mut peer = accept();
        while fake.asked.last().is_none_or(|last| last != "WAIT_SEAL") {
            let text = peer.frame().unwrap();
            let reply = fake.answer(&text);
            peer.send(&reply);
        }
        peer.cut();
        fake.spoil = |shown| shown.time += 1;
        fake.serve(&mut accept());
    });
    let error = run_at(&config(Task::Lottery(with_receipt(path.clone())), &central.address)).unwrap_err();
    central.join();
    assert!(error.kind == Kind::Refused && error.to_string().contains("and showed it"), "{error}");

    let before = read_receipt(&path);
    let (result, _) = run(Fake { spoil: |shown| shown.time += 2, ..Fake::new() }, with_receipt(path.clone()));
    let error = result.unwrap_err();
    assert!(error.kind == Kind::Refused && error.to_string().contains("keep that file"), "{error}");
    assert_eq!(read_receipt(&path), before, "it is the proof");
}

#[test]
fn what_is_no_receipt_is_replaced_by_force_alone_and_the_data_never() {
    let (folder, path, _) = bets(1);
    let task = with_receipt(path.clone());
    let receipt = task.receipt.clone().unwrap();
    std::fs::write(&receipt, "mine").unwrap();
    // Nothing is sent, and nobody is even connected to.
    let fail = |task: LotteryTask| run_at(&config(Task::Lottery(task), "127.0.0.1:1")).unwrap_err().to_string();
    assert!(fail(task.clone()).contains("is no receipt; --force replaces it"));
    std::fs::hard_link(&path, folder.path().join("data")).unwrap();
    for receipt in [path.clone(), folder.path().join("data")] {
        let force = LotteryTask { receipt: Some(receipt), force: true, ..task.clone() };
        assert!(fail(force).contains("is the file of the agency's bets"));
    }
    assert!(fail(LotteryTask { winners: Some(receipt), ..task.clone() }).contains("is --winners' file too"));
    run(Fake::new(), LotteryTask { force: true, ..task }).0.unwrap();
    assert_eq!(read_receipt(&path).bets, 1);
}

#[test]
fn another_lottery_is_sent_nothing() {
    let (_folder, path, _) = bets(7);
    for (identity, holds) in [
        (Some((LotteryId(1), SECRET)), "holds lottery 00000000000000000000000000000001"),
        (None, "tells of no lottery"),
    ] {
        let central = Fake { identity, ..Fake::new() }.start();
        let mut config = config(Task::Lottery(lottery(path.clone())), &central.address);
        config.lottery = Some(LOTTERY);
        let error = run_at(&config).unwrap_err();
        assert!(error.kind == Kind::Refused && error.to_string().contains(holds), "{error}");
        assert_eq!(central.join().asked, ["HELLO"]);
    }
    let central = Fake::new().start();
    let mut pinned = config(Task::Lottery(lottery(path.clone())), &central.address);
    pinned.lottery = Some(LOTTERY);
    run_at(&pinned).unwrap();
    central.join();

    // It changes while the agency runs.
    let central = FakeCentral::start(|accept| {
        let mut fake = Fake::new();
        let mut peer = accept();
        let hello = fake.answer(&peer.frame().unwrap());
        peer.send(&hello);
        peer.cut();
        fake.identity = Some((LotteryId(1), SECRET));
        fake.serve(&mut accept());
        fake.asked
    });
    let error = run_at(&config(Task::Lottery(lottery(path)), &central.address)).unwrap_err();
    assert!(error.kind == Kind::Refused && error.to_string().contains("its store was replaced"), "{error}");
    assert_eq!(central.join(), ["HELLO", "HELLO"]);
}

#[test]
fn a_wrong_list_of_winners_is_found_out_and_not_kept() {
    let (folder, path, _) = bets(7);
    for (list, reason) in [
        ("", "has 1 winners with the number 4, and the central's list has 0, which is another list"),
        ("1003", "the central's list has 1, as many, but not the same"),
        ("1004,1004", "the central's list has 2"),
    ] {
        let winners = folder.path().join("winners.txt");
        let task = LotteryTask { winners: Some(winners.clone()), ..lottery(path.clone()) };
        let (result, _) = run(Fake { list: Some(list), ..Fake::new() }, task);
        let error = result.unwrap_err();
        assert!(error.kind == Kind::Refused && error.to_string().contains(reason), "{error}");
        assert!(!winners.exists());
    }
}

#[test]
fn winners_are_counted_among_rows_of_every_form_in_their_order() {
    let (folder, path, _) = bets(0);
    let rows =
        "\"O, Ana\",Paz,7,2000-01-01,0004\nAna,Paz,5,2000-01-01,4\nAna,Paz,6,2000-01-01,40\nAna,Paz,5,2000-01-01,4\n";
    std::fs::write(&path, rows).unwrap();
    // The central would store the first one with quotes. The fake one does not know them, so it has them already.
    let stored = ["3,\"O, Ana\",Paz,7,2000-01-01,4\r\n", "3,Ana,Paz,5,2000-01-01,4\r\n"];
    for (list, is_good) in [("7,5,5", true), ("5,7,5", false), ("7,5", false)] {
        let winners = folder.path().join("winners.txt");
        let fake = Fake { rows: stored.map(str::to_owned).to_vec(), list: Some(list), ..Fake::new() };
        let (result, _) = run(fake, LotteryTask { winners: Some(winners.clone()), ..lottery(path.clone()) });
        assert_eq!(result.is_ok(), is_good, "{list}");
        assert_eq!(std::fs::read_to_string(winners).unwrap(), "7\n5\n5\n");
    }
}

#[test]
fn with_keys_the_agency_signs_and_the_central_has_to() {
    let authority = Authority::new();
    let (folder, other) = (authority.central(), authority.central());
    let load = |folder: &Path| Acceptance::load(Paths::of_central(folder)).unwrap().0;
    let (keys, other) = (load(folder.path()), load(other.path()));
    let agency = authority.client(&Spec::agency(3));
    // The central signs with these keys, whatever certificate its connection has shown.
    let play = |spoil: Spoil, signs: &Arc<Acceptance>, path: PathBuf| {
        let mut fake = Fake { spoil, keys: Some(Arc::clone(signs)), ..Fake::new() };
        let central = FakeCentral::with(Some(Arc::clone(&keys)), move |accept| {
            fake.serve(&mut accept());
            fake
        });
        let mut config = config(Task::Lottery(with_receipt(path)), &central.address);
        config.tls = Some(Paths::of_client(agency.path()));
        (run_at(&config), central.join())
    };

    let (_folder, path, _) = bets(7);
    let (result, central) = play(|_| (), &keys, path.clone());
    result.unwrap();
    let [(sent, Some(signature))] = &central.declared[..] else { panic!("{:?}", central.declared) };
    assert_eq!(*sent, central.true_root());
    let der = certificate(agency.path());
    assert_eq!(verify_signature(&sent.statement(LOTTERY, AGENCY), signature, &der), Ok(()));
    let (receipt, der) = (read_receipt(&path), certificate(folder.path()));
    let signed = receipt.signed.clone().unwrap();
    assert_eq!((receipt.status, signed.certificates.len()), (Status::Signed, 1));
    assert_eq!(verify_signature(&receipt.sealed().statement(), &signed.signature, &der), Ok(()));

    let cases: [(Spoil, &Arc<Acceptance>, &str); 5] = [
        (|shown| shown.signature = None, &keys, "has not signed it, although it has keys"),
        (|shown| shown.time += 1, &keys, "the central's signature is not good"),
        (|shown| shown.total += 1, &keys, "the central's signature is not good"),
        (|shown| shown.signature = Some("RSA:AA==".to_owned()), &keys, "its scheme is not known here"),
        (|_| (), &other, "the central's signature is not good"),
    ];
    for (spoil, signs, reason) in cases {
        let (_folder, path, _) = bets(7);
        let (result, _) = play(spoil, signs, path.clone());
        let error = result.unwrap_err();
        assert!(error.kind == Kind::Refused && error.to_string().contains(reason), "{error}");
        assert!(!path.with_file_name("receipt.json").exists());
    }
}
