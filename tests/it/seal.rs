//! The close of a lottery: what agencies declare, the seal, and a draw whose number comes later. Every step is on disk before
//! anybody hears of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use fastrand::Rng;
use quiniela::domain::acta::{self, Acta};
use quiniela::domain::seal::Sealed;
use quiniela::domain::tree::Tree;
use quiniela::domain::{AgencyId, Hash, Secret, Status};

use crate::common::keys::Place;
use crate::common::{ANA, Agency, Central, Folder, Process, quiniela, seed, tells, value};

const EVA: &str = "Eva|Sosa|2|2000-02-29|12";

fn acta(folder: &Folder) -> Acta {
    acta::read(&fs::read(folder.store().join("acta.json")).unwrap()).unwrap()
}

/// The root of an agency's bets, of which its own HELLO tells all that is needed.
fn root(central: &Central, agency: u32, rows: &[&str]) -> Hash {
    let reply = central.ask(&format!("HELLO|{agency}|+"));
    let leaves = reply.rsplit('|').next().unwrap().parse::<Secret>().unwrap().leaves();
    let mut tree = Tree::default();
    rows.iter().for_each(|row| tree.push(leaves.leaf(tree.leaves(), format!("{agency},{row}\r\n").as_bytes())));
    tree.root()
}

fn draw(folder: &Folder, words: &str) -> Output {
    let words: Vec<String> = format!("draw {words}").split_whitespace().map(str::to_owned).collect();
    quiniela(folder.path(), &words).output().unwrap()
}

/// The draw must be refused, with all of these words.
#[track_caller]
fn refused(folder: &Folder, words: &str, code: i32, reasons: &[&str]) {
    let output = draw(folder, words);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{complaint}");
    assert!(reasons.iter().all(|reason| complaint.contains(reason)), "{complaint}");
}

#[track_caller]
fn drawn(folder: &Folder, words: &str) {
    let output = draw(folder, words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("drawn: "));
}

#[test]
fn a_lottery_is_sealed_before_its_number_is_told() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(2).start();
    let mut client = central.client();
    client.ask(&format!("BET|1|{ANA}"), "ACK|OK").ask(&format!("BET|2|{EVA}"), "ACK|OK");
    let mut waiting = central.client();
    waiting.send("WAIT_SEAL|1");
    let one = root(&central, 1, &["Ana,Paz,1,2000-01-01,7574"]);
    client.ask("GET_DRAW|1", "DRAWN|ERR|not_ready");
    client.ask(&format!("DONE|1|1|{one}"), "ACK_DONE|OK").ask("DONE|2", "ACK_DONE|OK");
    client.ask("WAIT_DRAW|2", "DRAW|OK").ask("GET_DRAW|2", "DRAWN|OK|7574|-");
    let shown = waiting.reply();
    let found = acta(&folder);
    let (seal, time) = (found.seal, found.sealed_at);
    let lines: Vec<_> = found.lines().collect();
    let path = lines[1].leaf();
    assert_eq!(shown, format!("SEAL|OK|1|{one}|declared|2|2|{seal}|{time}|{path}|-"));
    assert_eq!(Sealed::of(found.lottery, &lines, time), found.sealed());
    let told = found.agencies.iter().map(|line| (line.bets, line.status, line.winners)).collect::<Vec<_>>();
    assert_eq!(told, [(1, Status::Declared, Some(1)), (1, Status::Undeclared, Some(0))]);
    assert_eq!((lines[0].agency, lines[0].root), (AgencyId(1), one));
    assert_eq!(found.draw.as_ref().map(|draw| (draw.number, draw.later)), Some((7574, false)));
    let mode = |name: &str| folder.store().join(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!([mode("acta.json"), mode("secrets.json")], [0o600; 2]);
    let exit = central.stop();
    let place = |action: &str| exit.place_of(|line| tells(line, action, "success"));
    assert!(place("cierre") < place("sorteo"));
    let line = &exit.lines[place("cierre")];
    assert_eq!((value(line, "bets"), value(line, "sello")), (Some("2"), Some(seal.to_string().as_str())));
    // A restart goes on where it was: the same documents, and no line again.
    let before = fs::read(folder.store().join("acta.json")).unwrap();
    let central = Central::on(&folder).start();
    central.client().ask("WAIT_SEAL|1", &shown).ask("WAIT_DRAW|1", "DRAW|OK").ask("GET_DRAW|1", "DRAWN|OK|7574|-");
    assert_eq!(fs::read(folder.store().join("acta.json")).unwrap(), before);
    let exit = central.stop();
    assert_eq!(exit.count(|line| matches!(value(line, "action"), Some("cierre" | "sorteo"))), 0, "{exit}");
}

#[test]
fn what_an_agency_declares_is_balanced_against_what_is_stored() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(2).start();
    let mut client = central.client();
    let rows = ["Ana,Paz,1,2000-01-01,7574", "Eva,Sosa,2,2000-02-29,12"];
    client.ask(&format!("BATCH|1|2\n{ANA}\n{EVA}"), "ACK_BATCH|OK|2");
    let (all, first) = (root(&central, 1, &rows), root(&central, 1, &rows[..1]));
    let swapped = root(&central, 1, &[rows[1], rows[0]]);
    for (bets, root) in [(1, first), (3, all), (2, first), (2, swapped), (0, root(&central, 1, &[]))] {
        client.ask(&format!("DONE|1|{bets}|{root}"), "ACK_DONE|ERR|unbalanced|2");
    }
    // The agency is still open, and the other goes on waiting.
    client.ask("DONE|2", "ACK_DONE|OK").ask("HELLO|1", "HELLO|OK|2|open").ask("GET_WINNERS|2", "WINNERS|ERR|not_ready");
    // What comes behind a declaration is answered behind it.
    client.send(&format!("BET|1|{ANA}")).send(&format!("DONE|1|2|{all}")).send("HELLO|1").send("GET_WINNERS|1");
    client.expect("ACK|OK").expect("ACK_DONE|ERR|unbalanced|3").expect("HELLO|OK|3|open");
    client.expect("WINNERS|ERR|not_ready");
    let now = root(&central, 1, &[rows[0], rows[1], rows[0]]);
    client.send(&format!("DONE|1|3|{now}")).send("HELLO|1").expect("ACK_DONE|OK");
    assert!(client.reply().starts_with("HELLO|OK|3|d"));
    client.ask(&format!("DONE|1|3|{now}"), "ACK_DONE|OK").ask(&format!("DONE|1|3|{all}"), "ACK_DONE|ERR|unbalanced|3");
    client.ask("WAIT_DRAW|1", "DRAW|OK");
    let exit = central.stop();
    assert_eq!(exit.count(|line| tells(line, "agencia_finalizada", "fail")), 7, "{exit}");
    assert_eq!(acta(&folder).agencies[0].status, Status::Declared);
}

#[test]
fn an_unbalanced_declaration_is_taken_where_the_operator_says_so() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(1).with("--unbalanced accept").start();
    let empty = Tree::default().root();
    central.client().ask(&format!("BET|1|{ANA}"), "ACK|OK").ask(&format!("DONE|1|0|{empty}"), "ACK_DONE|OK");
    central.client().ask("WAIT_DRAW|1", "DRAW|OK");
    central.stop();
    let line = &acta(&folder).agencies[0];
    assert_eq!((line.status, line.bets, line.root == empty), (Status::Overridden, 1, false));
}

#[test]
fn a_number_that_comes_later_is_drawn_by_whoever_can_read_the_store_and_names_the_seal() {
    let folder = Folder::new();
    let start = || Central::on(&folder).agencies(2).with("--winning-number later").start();
    let central = start();
    let address = |central: &Central| format!("--server 127.0.0.1:{} --store store", central.port);
    let none = "0".repeat(64);
    central.client().ask(&format!("BET|1|{ANA}"), "ACK|OK").ask("DONE|1", "ACK_DONE|OK");
    central.client().ask(&format!("DONE|2|5|{none}"), "ACK_DONE|ERR|unbalanced|0");
    let open = ["betting is not closed yet: agencies that are not done: 2", "unbalanced: 2"];
    refused(&folder, &format!("7574 --seal {none} {}", address(&central)), 4, &open);
    central.client().ask("DONE|2", "ACK_DONE|OK");
    let mut waiting = central.client();
    waiting.send("WAIT_DRAW|1");
    central.process.wait_for(|line| tells(line, "cierre", "success"));
    let seal = acta(&folder).seal;
    assert_eq!(central.ask("GET_WINNERS|1"), "WINNERS|ERR|not_ready");
    assert_eq!(central.ask("GET_DRAW|1"), "DRAWN|ERR|not_ready");
    assert_eq!(central.ask("HELLO|1"), "HELLO|OK|1|done", "a client that knows no seal sees what it always saw");
    assert_eq!(central.ask(&format!("BET|1|{ANA}")), "ACK|ERR|closed");
    // Nothing of it is forgotten by a restart, and the log does not tell of the seal again.
    drop(waiting);
    central.stop();
    let central = start();
    assert_eq!(central.ask("GET_WINNERS|1"), "WINNERS|ERR|not_ready");
    let shown = central.ask("WAIT_SEAL|2");
    assert!(shown.contains(&seal.to_string()), "{shown}");
    let mut waiting = central.client();
    waiting.send("WAIT_DRAW|1");

    refused(&folder, &format!("7574 --seal {none} {}", address(&central)), 4, &["this lottery's seal is"]);
    let port = central.port;
    refused(&folder, &format!("7574 --seal {seal} --server 127.0.0.1:{port}"), 2, &["--keys DIR", "--store"]);
    refused(&folder, &format!("7574 --seal {seal} --server 127.0.0.1:{port} --store data"), 2, &["operator.token"]);
    fs::write(folder.data().join("operator.token"), &none).unwrap();
    refused(&folder, &format!("7574 --seal {seal} --server 127.0.0.1:{port} --store data"), 4, &["operator.token"]);
    assert_eq!(folder.store().join("operator.token").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    refused(&folder, &format!("4294967296 --seal {seal} {}", address(&central)), 2, &["4294967296"]);
    drawn(&folder, &format!("7574 --seal {seal} {}", address(&central)));
    waiting.expect("DRAW|OK");
    central.client().ask("GET_WINNERS|1", "WINNERS|OK|1").ask("GET_DRAW|2", "DRAWN|OK|7574|-");
    // Once is all: the same is the answer to whoever asks again, and another number is refused.
    drawn(&folder, &format!("7574 --seal {seal} {}", address(&central)));
    refused(&folder, &format!("7 --seal {seal} {}", address(&central)), 4, &["the draw was held before, with 7574"]);
    let exit = central.stop();
    assert_eq!(exit.count(|line| value(line, "action") == Some("cierre")), 0, "{exit}");
    assert_eq!(exit.count(|line| tells(line, "sorteo", "success")), 1, "{exit}");
    let found = acta(&folder);
    assert_eq!(found.draw.map(|draw| (draw.number, draw.later)), Some((7574, true)));
    Central::on(&folder).with("--winning-number 7574").refused().failed(2, &["--winning-number later"]);
}

#[test]
fn a_number_that_was_known_beforehand_is_not_drawn_by_hand() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(1).start();
    central.client().ask("DONE|1", "ACK_DONE|OK").ask("WAIT_DRAW|1", "DRAW|OK");
    let seal = acta(&folder).seal;
    let words = format!("--seal {seal} --server 127.0.0.1:{} --store store", central.port);
    fs::write(folder.store().join("operator.token"), "x").unwrap();
    refused(&folder, &format!("7 {words}"), 4, &["operator.token"]);
    central.stop();
}

#[test]
fn with_keys_everybody_signs_and_only_the_operator_draws() {
    let (place, folder) = (Place::with_agencies(2), Folder::with_equal_files(2, 300));
    let start = || Central::on(&folder).agencies(2).with("--winning-number later --require-signed").tls(&place).start();
    let central = start();
    let mut agency = crate::common::Client::connect_tls(central.port, &place.party("agency-1"));
    let unsigned = "ACK_DONE|ERR|this central takes a DONE only with the agency's signature";
    agency.ask("DONE|1", unsigned).ask(&format!("DONE|1|0|{}", Tree::default().root()), unsigned);
    let forged = format!("DONE|1|0|{}|ECDSA_NISTP256_SHA256:AAAA", Tree::default().root());
    assert!(agency.send(&forged).reply().starts_with("ACK_DONE|ERR|identity: the signature of the DONE is bad"));
    agency.ask("STATUS", "STATUS|ERR|identity: this certificate speaks for agency 1");
    let order = format!("HOLD_DRAW|7574|{}|-", "0".repeat(64));
    agency.ask(&order, "DRAWN|ERR|identity: this certificate speaks for agency 1");
    let agencies: Vec<Process> =
        (1..=2).map(|id| Agency::new(id, central.port, &folder).winners().tls(&place).start()).collect();
    central.process.wait_for(|line| tells(line, "cierre", "success"));
    let seal = acta(&folder).seal;
    let words = format!("--seal {seal} --server 127.0.0.1:{}", central.port);
    let keys = |party: &str| place.keys(party);
    refused(&folder, &format!("7574 {words} --store store"), 4, &["TLS"]);
    refused(&folder, &format!("7574 {words} {}", keys("agency-1")), 4, &["speaks for agency 1"]);
    drawn(&folder, &format!("7574 {words} {}", keys("operator")));
    for (id, agency) in (1..).zip(agencies) {
        agency.finish().ok();
        assert_eq!(folder.winners_told(id), folder.winners_due(id, "7574"));
    }
    central.stop();
    let found = acta(&folder);
    assert!(found.signed.is_some() && found.draw.as_ref().unwrap().signed.is_some());
    assert!(found.agencies.iter().all(|line| line.status == Status::Signed && line.signed.is_some()), "{found:?}");
}

#[test]
fn kills_at_any_moment_leave_one_seal_one_number_and_no_bet_behind_them() {
    let mut rng = Rng::with_seed(seed());
    for _ in 0..8 {
        let folder = Folder::with_equal_files(2, 400);
        let start = || Central::on(&folder).agencies(2).with("--winning-number later").start();
        let mut central = start();
        let mut agencies: Vec<Process> =
            (1..=2).map(|id| Agency::new(id, central.port, &folder).with("--batch-max 20").start()).collect();
        let mut sealed: Option<Hash> = None;
        let mut held: Option<String> = None;
        for kill in 0..6 {
            // Somewhere in the upload, at the declaration, at the close, or at the draw.
            let actions = ["apuesta_recibida", "agencia_finalizada", "cierre", "sorteo"];
            let (action, nth) = (actions[rng.usize(..4)], rng.usize(1..20));
            let mut order = None;
            if let Some(seal) = sealed.filter(|_| kill > 1) {
                let number = ["7574", "1"][rng.usize(..2)];
                let words = format!("draw {number} --seal {seal} --server 127.0.0.1:{} --store store", central.port);
                let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
                order = Some((
                    number,
                    quiniela(folder.path(), &words).stderr(std::process::Stdio::null()).spawn().unwrap(),
                ));
            }
            let is_over = |line: &str| {
                value(line, "action") == Some("recover") && value(line, "drawn").is_some()
                    || tells(line, "sorteo", "success")
            };
            let seen = std::sync::atomic::AtomicUsize::new(0);
            central.process.wait_for(|line| {
                let is_it = value(line, "action") == Some(action);
                let count = if is_it { seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1 } else { 0 };
                count >= nth || tells(line, "cierre", "success") || is_over(line) || line.contains("sealed: true")
            });
            let exit = central.kill();
            for line in exit.lines.iter().filter(|line| tells(line, "cierre", "success")) {
                let seal = value(line, "sello").unwrap().parse().unwrap();
                assert!(sealed.is_none_or(|before| before == seal), "two seals");
                sealed = Some(seal);
            }
            for line in exit.lines.iter().filter(|line| tells(line, "sorteo", "success")) {
                let number = value(line, "numero").unwrap().to_owned();
                assert!(held.as_ref().is_none_or(|before| *before == number), "two draws");
                held = Some(number);
            }
            if let Some((number, mut order)) = order
                && order.wait().unwrap().success()
            {
                assert!(held.as_deref().is_none_or(|held| held == number), "another number was told");
                held = Some(number.to_owned());
            }
            central = start();
            agencies = (1..).zip(agencies).map(|(id, agency)| restarted(id, agency, &central, &folder)).collect();
        }
        // The rest goes undisturbed.
        if sealed.is_none() {
            central.process.wait_for(|line| tells(line, "cierre", "success") || line.contains("sealed: true"));
        }
        let seal = acta(&folder).seal;
        assert!(sealed.is_none_or(|before| before == seal));
        // A central that has just started tells of the seal before it takes a number.
        assert!(central.ask("WAIT_SEAL|1").contains(&seal.to_string()));
        if held.is_none() {
            let words = format!("7574 --seal {seal} --server 127.0.0.1:{} --store store", central.port);
            let output = draw(&folder, &words);
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() || complaint.contains("held before, with 1"), "{complaint}");
        }
        agencies.into_iter().for_each(|agency| agency.finish().ok());
        central.stop();
        let found = acta(&folder);
        let number = found.draw.as_ref().unwrap().number.to_string();
        assert!(held.is_none_or(|held| held == number));
        folder.assert_stored_equals_files(2);
        assert_eq!(found.seal, seal);
    }
}

/// The central has another port now, so the agency starts anew.
fn restarted(id: u32, agency: Process, central: &Central, folder: &Folder) -> Process {
    agency.signal(crate::common::Signal::KILL);
    agency.finish();
    Agency::new(id, central.port, folder).with("--batch-max 20").start()
}
