//! `quiniela audit` and `quiniela ticket` on stores that the domain's own tree has sealed, and `docs/AUDIT.md` with its
//! example and its Python program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quiniela::domain::acta::{self, Acta, ActaDraw, ActaLine, FORMAT, Receipt, Signed, StoreSecrets};
use quiniela::domain::seal::{Declared, SealLine, Sealed, draw_statement};
use quiniela::domain::tree::{Levels, Tree};
use quiniela::domain::{AgencyId, Bet, Hash, LotteryId, Rows, Secret, Status};
use rcgen::{KeyPair, SigningKey as _};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::common::keys::Place;
use crate::common::{Agency, Central, Folder, Process, quiniela, tells};

const PAGE: &str = include_str!("../../docs/AUDIT.md");
const PROGRAM: &str = include_str!("../../docs/audit.py");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn example() -> PathBuf {
    root().join("docs/audit-example")
}

fn run(folder: &Path, words: &str) -> (Option<i32>, String) {
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    let Output { status, stdout, stderr } = quiniela(folder, &words).output().unwrap();
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

#[track_caller]
fn ok(folder: &Path, words: &str) -> String {
    let (code, said) = run(folder, words);
    assert_eq!(code, Some(0), "{words}: {said}");
    said
}

#[track_caller]
fn fails(folder: &Path, words: &str, code: i32, reason: &str) {
    let (found, said) = run(folder, words);
    assert!(found == Some(code) && said.contains(reason), "{words}: {found:?}: {said}");
    assert_eq!(said.lines().count(), 1, "nothing but the reason: {said}");
}

/// A closed store of three agencies, as the domain seals it.
struct Store {
    place: Place,
    acta: Acta,
    secret: Secret,
    rows: Vec<Vec<u8>>,
}

impl Store {
    /// In the folder `store` of a place, which may have keys.
    fn new(place: Place, bets: usize) -> Store {
        let lottery = LotteryId(77);
        let secret = Secret([7; 32]);
        let agency = |bet: usize| AgencyId(1 + (bet % 7 % 3) as u32);
        let rows: Vec<Vec<u8>> = (0..bets)
            .map(|bet| {
                let (number, document) = ((bet % 10).to_string(), bet.to_string());
                let mut rows = Rows::new(agency(bet));
                let name = ["Ana", "José", "Paz, \"E\""][bet % 3];
                rows.push(&Bet::new([name, "Núñez", &document, "2000-01-01", &number]).unwrap());
                rows.take_bytes()
            })
            .collect();
        let line = |id: u32| {
            let leaves = secret.of_agency(AgencyId(id)).leaves();
            let (mut tree, mut winners) = (Tree::default(), 0);
            for (bet, row) in rows.iter().enumerate().filter(|(bet, _)| agency(*bet).0 == id) {
                tree.push(leaves.leaf(tree.leaves(), row));
                winners += u64::from(bet % 10 == 7);
            }
            let (bets, root) = (tree.leaves(), tree.root());
            ActaLine { agency: id, bets, root, status: Status::Declared, signed: None, winners: Some(winners) }
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut acta = Acta {
            format: FORMAT,
            lottery,
            agencies: (1..=3).map(line).collect(),
            total: 0,
            seal: Hash([0; 32]),
            sealed_at: now,
            signed: None,
            draw: Some(ActaDraw { number: 7, later: false, drawn_at: now, signed: None }),
        };
        seal(&mut acta);
        let store = Store { place, acta, secret, rows };
        fs::create_dir(store.path("store")).unwrap();
        let secrets = StoreSecrets { format: FORMAT, lottery, secret };
        fs::write(store.path("store/secrets.json"), acta::write(&secrets).unwrap()).unwrap();
        store.write_rows(&store.rows);
        store.write_acta(&store.acta);
        store
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path(name)
    }

    fn folder(&self) -> PathBuf {
        self.path("")
    }

    fn write_rows(&self, rows: &[Vec<u8>]) {
        fs::write(self.path("store/bets.csv"), rows.concat()).unwrap();
    }

    fn write_acta(&self, acta: &Acta) {
        fs::write(self.path("store/acta.json"), acta::write(acta).unwrap()).unwrap();
    }

    /// Writes an agency's file and its receipt.
    fn write_agency(&self, agency: u32) {
        let start = format!("{agency},");
        let own = self.rows.iter().filter_map(|row| row.strip_prefix(start.as_bytes()));
        fs::write(self.path(&format!("agency-{agency}.csv")), own.collect::<Vec<_>>().concat()).unwrap();
        let levels = Levels::new(self.acta.lines().map(|line| line.leaf()).collect());
        let line = &self.acta.agencies[agency as usize - 1];
        let receipt = Receipt {
            format: FORMAT,
            lottery: self.acta.lottery,
            agency,
            secret: self.secret.of_agency(AgencyId(agency)),
            bets: line.bets,
            root: line.root,
            status: line.status,
            agencies: 3,
            total: self.acta.total,
            seal: self.acta.seal,
            sealed_at: self.acta.sealed_at,
            path: levels.path(agency as usize - 1).unwrap(),
            signed: self.acta.signed.clone(),
        };
        fs::write(self.path(&format!("receipt-{agency}.json")), acta::write(&receipt).unwrap()).unwrap();
    }

    /// By the key in a folder of keys that `quiniela keys` has made.
    fn signed(&self, party: &str, statement: &str) -> Option<Signed> {
        let key = KeyPair::from_pem(&self.place.read(&format!("keys/{party}/key.pem"))).unwrap();
        let signature = STANDARD.encode(key.sign(statement.as_bytes()).unwrap());
        let certificate = CertificateDer::from_pem_file(self.path(&format!("keys/{party}/cert.pem"))).unwrap();
        let certificates = vec![STANDARD.encode(&certificate)];
        Some(Signed { signature: format!("ECDSA_NISTP256_SHA256:{signature}"), certificates })
    }
}

fn seal(acta: &mut Acta) {
    let lines: Vec<SealLine> = acta.lines().collect();
    let sealed = Sealed::of(acta.lottery, &lines, acta.sealed_at);
    (acta.total, acta.seal) = (sealed.total, sealed.seal);
}

#[test]
fn what_the_domain_has_sealed_passes_the_audit_and_changes_do_not() {
    let store = Store::new(Place::new(), 300);
    let folder = store.folder();
    let told = ok(&folder, "audit store");
    assert!(
        told.contains(&format!("seal    {}", store.acta.seal)) && told.contains("number  7, known before"),
        "{told}"
    );
    let json: serde_json::Value = serde_json::from_str(&ok(&folder, "audit store --json")).unwrap();
    assert_eq!(json["seal"], store.acta.seal.to_string());
    assert_eq!(json["agencies"][1]["winners"], store.acta.agencies[1].winners.unwrap());
    assert!(!told.contains(&store.secret.to_string()) && !json.to_string().contains(&store.secret.to_string()));

    let changed = |change: &dyn Fn(&mut Vec<Vec<u8>>), reason: &str| {
        let mut rows = store.rows.clone();
        change(&mut rows);
        store.write_rows(&rows);
        fails(&folder, "audit store", 5, reason);
    };
    changed(&|rows| drop(rows.remove(7)), "bets.csv: agency 1 has ");
    changed(&|rows| rows.insert(7, rows[7].clone()), "bets.csv: agency 1 has ");
    changed(&|rows| rows.swap(7, 14), "bets.csv: agency 1 has the root ");
    changed(&|rows| rows[8][0] = b'3', "other agencies that differ: 3");
    changed(&|rows| rows[8][0] = b'4', "bets.csv:9: its first value is no agency from 1 to 3");
    changed(&|rows| rows[299].truncate(5), "bets.csv:300: ");
    changed(&|rows| rows.push(rows[0].clone()), "bets.csv: agency 1 has ");
    store.write_rows(&store.rows);
    fs::remove_file(store.path("store/acta.json")).unwrap();
    fails(&folder, "audit store", 2, "betting is not closed");
    fails(&folder, "audit nowhere", 2, "nowhere: cannot read it");
}

#[test]
fn an_agency_and_a_bettor_can_check_theirs() {
    let store = Store::new(Place::new(), 300);
    let folder = store.folder();
    store.write_agency(3);
    let acta = "store/acta.json";
    let told = ok(&folder, &format!("audit --agency 3 --data . --receipt receipt-3.json {acta}"));
    assert!(told.contains("the bets that the seal binds"), "{told}");
    ok(&folder, &format!("audit --agency 3 --data . {acta}"));
    fails(&folder, &format!("audit --agency 4 --data . {acta}"), 2, "has no agency 4: its agencies are 1 to 3");
    fails(&folder, &format!("audit --agency 2 --data . {acta}"), 2, "agency-2.csv");

    let ticket = ok(&folder, "ticket --agency 3 --bet 17 store");
    assert!(ticket.len() < 4096);
    fs::write(store.path("ticket"), &ticket).unwrap();
    fs::write(store.path("own"), ok(&folder, "ticket --agency 3 --bet 17 --data . --receipt receipt-3.json")).unwrap();
    for name in ["ticket", "own"] {
        let told = ok(&folder, &format!("ticket --check {name} {acta}"));
        assert!(told.contains("This bet is in the lottery. It has "), "{told}");
        ok(&folder, &format!("ticket --check {name} --seal {}", store.acta.seal));
        fails(&folder, &format!("ticket --check {name} --seal {}", "0".repeat(64)), 5, "and not to 0000");
    }
    fs::write(store.path("cut"), &ticket[..ticket.len() - 1]).unwrap();
    fails(&folder, &format!("ticket --check cut {acta}"), 5, "cut: as a ticket");
    fails(&folder, &format!("ticket --check receipt-3.json {acta}"), 5, "as a ticket it is no such document");
    fails(&folder, "ticket --check ticket", 2, "give the acta, or --seal HEX");
    fails(&folder, "ticket --agency 3 --bet 999 store", 2, "--bet 999: agency 3 has ");
    fails(&folder, "ticket store", 2, "give --agency ID and --bet N");
}

#[test]
fn with_the_keys_of_a_lottery_everything_must_be_signed_by_its_party() {
    let mut store = Store::new(Place::with_agencies(3), 60);
    store.acta.agencies.iter_mut().for_each(|line| line.status = Status::Signed);
    seal(&mut store.acta);
    let mut acta = store.acta.clone();
    for line in &mut acta.agencies {
        let agency = line.agency;
        let declared = Declared { bets: line.bets, root: line.root };
        let statement = declared.statement(store.acta.lottery, AgencyId(agency));
        line.signed = store.signed(&format!("agency-{agency}"), &statement);
    }
    acta.signed = store.signed("central", &store.acta.sealed().statement());
    let draw = acta.draw.as_mut().unwrap();
    draw.later = true;
    let statement = draw_statement(store.acta.lottery, store.acta.seal, 7);
    draw.signed = store.signed("operator", &statement);
    store.write_acta(&acta);
    let folder = store.folder();
    let audit = "audit --ca keys/ca/ca.pem store";
    assert!(ok(&folder, audit).contains("signed  by every agency, the central"));
    fs::write(store.path("ticket"), ok(&folder, "ticket --agency 1 --bet 1 store")).unwrap();
    ok(&folder, "ticket --ca keys/ca/ca.pem --check ticket store/acta.json");
    ok(&folder, &format!("ticket --ca keys/ca/ca.pem --check ticket --seal {}", acta.seal));
    fails(&folder, "audit --ca keys/central/key.pem store", 2, "holds no certificate");

    let mut other = acta.clone();
    other.draw.as_mut().unwrap().signed = store.signed("central", &statement);
    store.write_acta(&other);
    fails(&folder, audit, 5, "the number's signature: it is by a certificate of central, and must be of operator");
    other.draw.as_mut().unwrap().signed = None;
    store.write_acta(&other);
    fails(&folder, audit, 5, "not signed: the number");
    assert!(ok(&folder, &format!("{audit} --allow-unsigned")).contains("all but the number"));
    let strangers = Place::with_agencies(1);
    fs::copy(strangers.path("keys/ca/ca.pem"), store.path("other.pem")).unwrap();
    store.write_acta(&acta);
    fails(&folder, "audit --ca other.pem store", 5, "agency 1's signature: its certificate was not valid then");
}

#[test]
fn a_running_central_and_its_agencies_pass_the_audit() {
    let folder = Folder::with_data("--agencies 3 --bets 2000 --winners 30");
    let central = Central::on(&folder).agencies(3).start();
    let receipt = |id: u32| format!("--receipt receipt-{id}.json");
    let agency = |id: u32| Agency::new(id, central.port, &folder).winners().with(&receipt(id)).start();
    (1..=3).map(agency).collect::<Vec<_>>().into_iter().for_each(|agency| agency.finish().ok());
    let path = folder.path();
    let report: serde_json::Value = serde_json::from_str(&ok(path, "audit store --json")).unwrap();
    assert_eq!((&report["total"], &report["draw"]["number"]), (&2000.into(), &7574.into()));
    for (id, line) in (1..).zip(report["agencies"].as_array().unwrap()) {
        let told = folder.winners_told(id).lines().count();
        assert_eq!((&line["winners"], &line["status"]), (&told.into(), &"declared".into()));
        let receipt = receipt(id);
        let own = ok(path, &format!("audit --agency {id} --data data {receipt} store/acta.json"));
        assert!(own.contains("the bets that the seal binds"), "{own}");
        let bet = format!("ticket --agency {id} --bet {}", line["bets"]);
        fs::write(path.join("ticket"), ok(path, &format!("{bet} store"))).unwrap();
        fs::write(path.join("own"), ok(path, &format!("{bet} --data data {receipt}"))).unwrap();
        ok(path, "ticket --check ticket store/acta.json");
        ok(path, "ticket --check own store/acta.json");
    }
    central.stop();
    if let Some((is_ok, said)) = python(&folder.store()) {
        assert!(is_ok && said.ends_with("bets 2000\nwinners 30\n"), "{said}");
    }
}

#[test]
fn what_the_parties_of_a_lottery_have_signed_passes_the_audit() {
    let (place, folder) = (Place::with_agencies(2), Folder::with_equal_files(2, 300));
    let central = Central::on(&folder).agencies(2).with("--winning-number later").tls(&place).start();
    let agency = |id: u32| Agency::new(id, central.port, &folder).with(&format!("--receipt receipt-{id}.json"));
    let agencies: Vec<Process> = (1..=2).map(|id| agency(id).tls(&place).start()).collect();
    central.process.wait_for(|line| tells(line, "cierre", "success"));
    let path = folder.path();
    let audit = format!("audit --ca {} store", place.path("keys/ca/ca.pem").display());
    let sealed: serde_json::Value = serde_json::from_str(&ok(path, &format!("{audit} --json"))).unwrap();
    assert!(sealed["draw"].is_null() && sealed["unsigned"] == serde_json::json!([]), "{sealed}");
    let seal = sealed["seal"].as_str().unwrap();
    let port = central.port;
    ok(path, &format!("draw 7574 --seal {seal} --server 127.0.0.1:{port} {}", place.keys("operator")));
    agencies.into_iter().for_each(|agency| agency.finish().ok());
    let told = ok(path, &audit);
    assert!(told.contains("number  7574, came after the seal") && told.contains("by every agency"), "{told}");
    let ca = place.path("keys/ca/ca.pem").display().to_string();
    ok(path, &format!("audit --ca {ca} --agency 2 --data data --receipt receipt-2.json store/acta.json"));
    let ticket = ok(path, "ticket --agency 2 --bet 300 store");
    assert!(ticket.len() < 4096 && ticket.contains("signature"), "{ticket}");
    fs::write(path.join("ticket"), ticket).unwrap();
    ok(path, &format!("ticket --ca {ca} --check ticket store/acta.json"));
    ok(path, &format!("ticket --ca {ca} --check ticket --seal {seal}"));
    central.stop();
}

/// Runs the page's program, or says that it cannot.
fn python(store: &Path) -> Option<(bool, String)> {
    let Ok(output) = Command::new("python3").arg(root().join("docs/audit.py")).arg(store).output() else {
        eprintln!("left out: this machine has no python3");
        return None;
    };
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8(said).unwrap()))
}

#[test]
fn python_alone_finds_the_same() {
    assert!(PROGRAM.lines().count() < 80);
    let Some((is_ok, said)) = python(&example()) else { return };
    assert!(is_ok && said.contains("winners 2"), "{said}");
    let store = Store::new(Place::new(), 300);
    let (is_ok, said) = python(&store.path("store")).unwrap();
    let winners: u64 = store.acta.agencies.iter().filter_map(|line| line.winners).sum();
    assert!(is_ok, "{said}");
    assert_eq!(said, format!("seal {}\nbets 300\nwinners {winners}\n", store.acta.seal));
    let mut rows = store.rows.clone();
    rows.swap(7, 14);
    store.write_rows(&rows);
    let (is_ok, said) = python(&store.path("store")).unwrap();
    assert!(!is_ok && said.starts_with("the root of agency 1: "), "{said}");
}

#[test]
fn the_worked_example_is_true() {
    let read = |name: &str| fs::read(example().join(name)).unwrap();
    let secrets: StoreSecrets = acta::read(&read("secrets.json")).unwrap();
    let acta: Acta = acta::read(&read("acta.json")).unwrap();
    let bets = String::from_utf8(read("bets.csv")).unwrap();
    let mut shown = vec![bets.replace("\r\n", "\n")];
    for line in &acta.agencies {
        let secret = secrets.secret.of_agency(AgencyId(line.agency));
        shown.push(format!("agency {}    {secret}\n", line.agency));
        let mut tree = Tree::default();
        let own = bets.split_inclusive('\n').filter(|row| row.starts_with(&line.agency.to_string()));
        for (place, row) in (0..).zip(own) {
            let salt: String = secret.leaves().salt(place).iter().map(|byte| format!("{byte:02x}")).collect();
            let leaf = secret.leaves().leaf(place, row.as_bytes());
            tree.push(leaf);
            shown.push(format!("{}, {place}    {salt}    {leaf}\n", line.agency));
            if place == 1 {
                shown.push(format!("node of 1, 0 and 1, 1    {}\n", tree.root()));
            }
        }
        assert_eq!(tree.root(), line.root);
        shown.push(format!("root of agency {}         {}\n", line.agency, line.root));
        shown.push(line.seal_line().to_string());
        shown.push(format!("line of agency {}    {}\n", line.agency, line.seal_line().leaf()));
    }
    shown.push(format!("seal                {}\n", acta.seal));
    for text in shown {
        assert!(PAGE.contains(&text), "the page does not show {text}");
    }
    let folder = example();
    assert!(ok(&folder, "audit .").contains("number  7574, known before the seal"));
    ok(&folder, "audit --agency 1 --data . --receipt receipt-1.json acta.json");
    assert_eq!(ok(&folder, "ticket --agency 1 --bet 3 .").as_bytes(), read("ticket.json"));
    assert!(ok(&folder, "ticket --check ticket.json acta.json").contains("It has won: the number is 7574."));
}
