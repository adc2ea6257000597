//! The bettor's page in a real browser, served and saved. Beside it stands `quiniela ticket --check`: both say the same of
//! every ticket, right, altered or foreign.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quiniela::domain::acta::{self, Signed, Ticket};
use quiniela::domain::{Hash, LotteryId, Status};
use rcgen::string::Ia5String;
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SanType, SigningKey as _,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::common::browser::{Browser, base64};
use crate::common::http::get;
use crate::common::keys::Place;
use crate::common::{Agency, Central, Folder, Process, quiniela};

/// A lottery that is drawn, everybody with keys, and the central that still runs.
struct Held {
    folder: Folder,
    central: Central,
    http: u16,
    seal: String,
}

impl Held {
    #[track_caller]
    fn new() -> Held {
        let (place, folder) = (Place::with_agencies(2), Folder::with_data("--agencies 2 --bets 90 --winners 9"));
        let central = Central::on(&folder).agencies(2).tls(&place);
        let (central, http) = central.start_with_http();
        let agency = |id: u32| Agency::new(id, central.port, &folder).with(&format!("--receipt receipt-{id}.json"));
        let agencies: Vec<Process> = (1..=2).map(|id| agency(id).tls(&place).start()).collect();
        agencies.into_iter().for_each(|agency| agency.finish().ok());
        let report: Value = serde_json::from_str(&told(folder.path(), "audit store --json")).unwrap();
        let seal = report["seal"].as_str().unwrap().to_owned();
        Held { folder, central, http, seal }
    }

    /// The ticket of a bet, from the store.
    #[track_caller]
    fn ticket(&self, agency: u32, bet: u64) -> String {
        told(self.folder.path(), &format!("ticket --agency {agency} --bet {bet} store"))
    }

    /// The same from the agency's own file. It tells of no draw.
    #[track_caller]
    fn own_ticket(&self, agency: u32, bet: u64) -> String {
        let words = format!("ticket --agency {agency} --bet {bet} --data data --receipt receipt-{agency}.json");
        told(self.folder.path(), &words)
    }

    /// The first bet of an agency that has won, or that has not.
    #[track_caller]
    fn bet(&self, agency: u32, has_won: bool) -> u64 {
        let rows = self.folder.stored_of(agency);
        1 + rows.iter().position(|row| (row[4] == "7574") == has_won).unwrap() as u64
    }

    fn page(&self) -> String {
        format!("http://127.0.0.1:{}/ticket#en", self.http)
    }

    /// The page as somebody has saved it.
    #[track_caller]
    fn saved(&self) -> String {
        let path = self.folder.path().join("saved.html");
        fs::write(&path, get(self.http, "/ticket").body).unwrap();
        format!("file://{}#en", path.display())
    }

    /// What `quiniela ticket --check` says against the seal, in the words of [`page_says`].
    fn program_says(&self, tickets: &[Vec<u8>]) -> Vec<String> {
        let folder = self.folder.path();
        let says = |(at, ticket): (usize, &Vec<u8>)| {
            let name = format!("checked-{at}");
            fs::write(folder.join(&name), ticket).unwrap();
            let (code, said) = run(folder, &format!("ticket --check {name} --seal {}", self.seal));
            let is_in = said.contains("This bet is in the lottery.");
            assert_eq!(is_in, code == Some(0), "{said}");
            let won =
                [("It has won: ", "won"), ("It has not won: ", "lost"), ("The ticket tells of no draw yet.", "open")];
            let won = won.iter().find(|(words, _)| said.contains(words)).map(|(_, won)| *won);
            won.filter(|_| is_in).map_or("out".to_owned(), |won| format!("in {won}"))
        };
        let numbered: Vec<(usize, &Vec<u8>)> = tickets.iter().enumerate().collect();
        std::thread::scope(|scope| {
            let parts: Vec<_> = numbered
                .chunks(tickets.len().div_ceil(4).max(1))
                .map(|part| scope.spawn(move || part.iter().copied().map(says).collect::<Vec<_>>()))
                .collect();
            parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
        })
    }
}

fn run(folder: &Path, words: &str) -> (Option<i32>, String) {
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    let output = quiniela(folder, &words).output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[track_caller]
fn told(folder: &Path, words: &str) -> String {
    let (code, said) = run(folder, words);
    assert_eq!(code, Some(0), "{words}: {said}");
    said
}

/// What the page shows of each of these files: `in` with whether the bet has won, or `out`.
#[track_caller]
fn page_says(browser: &Browser, tickets: &[Vec<u8>]) -> Vec<String> {
    const EACH: &str = "await (async () => {
        const shown = [];
        for (const ticket of given) {
            await takeFile(new File([Uint8Array.from(atob(ticket), (byte) => byte.charCodeAt(0))], 'ticket.json'));
            const { verdict, won } = document.getElementById('result').dataset;
            shown.push(`${verdict} ${won}`.trim());
        }
        return shown;
    })()";
    let given: Vec<String> = tickets.iter().map(|ticket| base64(ticket)).collect();
    let shown = browser.value(EACH, &json!(given));
    shown.as_array().unwrap_or_else(|| panic!("{shown}")).iter().map(|one| one.as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn assert_agreed(held: &Held, browser: &Browser, tickets: &[(String, Vec<u8>)]) -> Vec<String> {
    let texts: Vec<Vec<u8>> = tickets.iter().map(|(_, text)| text.clone()).collect();
    let (program, page) = (held.program_says(&texts), page_says(browser, &texts));
    assert_eq!((program.len(), page.len()), (tickets.len(), tickets.len()));
    let pairs = tickets.iter().zip(program.iter().zip(&page));
    let different: Vec<String> = pairs
        .filter(|(_, (program, page))| program != page)
        .map(|((what, _), (program, page))| format!("{what}: the program says {program}, the page {page}"))
        .collect();
    assert!(different.is_empty(), "{} of {}:\n{}", different.len(), tickets.len(), different.join("\n"));
    page
}

/// A ticket's text with the checksum of what it now says.
fn checksummed(text: &str) -> Vec<u8> {
    let Some((start, _)) = text.rsplit_once(",\n  \"sha256\": ") else { return text.as_bytes().to_vec() };
    let sum = Sha256::digest(format!("{start}\n}}\n"));
    let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{start},\n  \"sha256\": \"{sum}\"\n}}\n").into_bytes()
}

/// The text with each of these characters in some places in turn.
fn changed_characters(text: &str, step: usize) -> Vec<(String, Vec<u8>)> {
    const OTHERS: [&str; 12] = ["0", "1", "a", "F", " ", ",", "\"", "\\", "ñ", "\u{7f}", "\u{2028}", ""];
    let body = &text[..text.rfind(",\n  \"sha256\"").unwrap()];
    let places = body.char_indices().step_by(step).enumerate();
    places
        .map(|(count, (at, old))| {
            let other = OTHERS[count % OTHERS.len()];
            let changed = format!("{}{other}{}", &text[..at], &text[at + old.len_utf8()..]);
            (format!("{old:?} at {at} becomes {other:?}, with its checksum"), checksummed(&changed))
        })
        .collect()
}

#[test]
fn a_right_ticket_is_told_of_however_it_is_given() {
    let Some(browser) = Browser::start(&[]) else { return };
    let held = Held::new();
    browser.open(&held.page());
    browser.wait_for(&format!("document.getElementById('seal').value === '{}'", held.seal));
    assert!(browser.text("#seal-hint").starts_with("This central shows this seal."));
    let (won, lost) = (held.ticket(1, held.bet(1, true)), held.ticket(2, held.bet(2, false)));
    // Chosen.
    let path = held.folder.path().join("mine.json");
    fs::write(&path, &won).unwrap();
    browser.type_into("#file", path.to_str().unwrap());
    browser.wait_for("document.getElementById('result').dataset.won === 'won'");
    assert_eq!(browser.text("#verdict"), "This bet is in the lottery.");
    assert_eq!(browser.text("#reason"), "It has won: the number is 7574.");
    let read: Ticket = acta::read(won.as_bytes()).unwrap();
    let values: Vec<&str> = read.row.split(',').collect();
    for fact in [&format!("{} {}", values[1], values[2]), values[3], values[4], &held.seal, "of agency 1"] {
        assert!(browser.text("#facts").contains(fact), "{fact}");
    }
    // Pasted, and what mail has done to it besides.
    let pasted = "document.getElementById('text').value = given,
        document.getElementById('text').dispatchEvent(new Event('input'))";
    browser.value(&format!("({pasted})"), &json!(format!("\n{}", lost.trim_end().replace('\n', "\r\n"))));
    browser.wait_for("document.getElementById('result').dataset.won === 'lost'");
    assert_eq!(browser.text("#reason"), "It has not won: the number is 7574.");
    // Dropped. This one tells of no draw, and the central does.
    let dropped = "(() => {
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([given], 'ticket.json'));
        document.getElementById('drop').dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));
    })()";
    browser.value(dropped, &json!(held.own_ticket(1, held.bet(1, true))));
    browser.wait_for("document.getElementById('result').dataset.won === 'open'");
    assert_eq!(browser.text("#reason"), "The ticket tells of no draw yet.");
    let notes = browser.text("#notes");
    assert!(notes.contains("This central says that the number is 7574: with it, the bet has won."), "{notes}");
    // In the other language, without asking again.
    browser.value("location.hash = '#es'", &Value::Null);
    browser.wait_for("document.documentElement.lang === 'es'");
    assert_eq!(browser.text("#verdict"), "Esta apuesta está en la lotería.");
    assert_eq!(browser.text("#reason"), "El comprobante todavía no habla de ningún sorteo.");
    // Another number than the central's is not believed, as `--check TICKET ACTA` does not.
    let other = Ticket { number: Some(1), ..read };
    let shown = page_says(&browser, &[acta::write(&other).unwrap().into_bytes()]);
    assert_eq!(shown, ["in disputed"]);
    fs::write(held.folder.path().join("other"), acta::write(&other).unwrap()).unwrap();
    assert_eq!(run(held.folder.path(), "ticket --check other store/acta.json").0, Some(5));
    assert_eq!(browser.console(), [] as [String; 0]);
    let own = format!("http://127.0.0.1:{}/", held.http);
    let asked = browser.requests();
    assert!(asked.iter().all(|url| url.starts_with(&own) || url.starts_with("data:image/svg+xml,")), "{asked:?}");
    held.central.stop();
}

#[test]
fn a_saved_page_and_the_program_say_the_same_of_every_ticket() {
    let Some(browser) = Browser::start(&[]) else { return };
    let held = Held::new();
    browser.open(&held.saved());
    let (one, two) = (held.ticket(1, held.bet(1, true)), held.ticket(2, held.bet(2, false)));
    // Without a seal nothing is said but that one is needed, or that the file is no ticket.
    let both = [one.clone().into_bytes(), b"{}\n".to_vec()];
    assert_eq!(page_says(&browser, &both), ["asks", "out"]);
    // As people type it: in groups, and in capitals.
    let (start, end) = held.seal.split_at(29);
    browser.type_into("#seal", &format!("{} {end}", start.to_uppercase()));

    let mut right = Vec::new();
    for agency in 1..=2 {
        for bet in (1..=held.folder.stored_of(agency).len() as u64).step_by(7) {
            right.push((format!("{agency}, {bet}"), held.ticket(agency, bet).into_bytes()));
            right.push((format!("{agency}, {bet}, its own"), held.own_ticket(agency, bet).into_bytes()));
        }
    }
    right.push(("won".to_owned(), one.clone().into_bytes()));
    let shown = assert_agreed(&held, &browser, &right);
    for word in ["in won", "in lost", "in open"] {
        assert!(shown.iter().any(|one| one == word), "{word}");
    }
    assert!(!shown.contains(&"out".to_owned()));

    let mut damaged: Vec<(String, Vec<u8>)> = Vec::new();
    for at in (0..one.len()).step_by(17) {
        let mut changed = one.clone().into_bytes();
        changed[at] ^= 1 << (at % 8);
        damaged.push((format!("bit {} of byte {at}", at % 8), changed));
        damaged.push((format!("cut to {at}"), one.as_bytes()[..at].to_vec()));
    }
    damaged.push(("a byte order mark".to_owned(), format!("\u{feff}{one}").into_bytes()));
    damaged.push(("a space at the end".to_owned(), format!("{one} ").into_bytes()));
    damaged.push(("line ends of Windows".to_owned(), one.replace('\n', "\r\n").into_bytes()));
    assert!(assert_agreed(&held, &browser, &damaged).iter().all(|shown| shown == "out"));

    let mut altered = changed_characters(&one, 9);
    altered.extend(changed_characters(&two, 11));
    altered.extend(changed_characters(&unsigned(&two), 5));
    let shown = assert_agreed(&held, &browser, &altered);
    // A certificate's name and the lottery's id are bound by the authority and by the signature, not by the seal.
    assert!(shown.iter().any(|one| one.starts_with("in ")) && shown.iter().filter(|one| *one == "out").count() > 300);
    assert_eq!(browser.console(), [] as [String; 0]);
    let asked = browser.requests();
    assert!(asked.iter().all(|url| url.starts_with("file://") || url.starts_with("data:image/svg+xml,")), "{asked:?}");
    held.central.stop();
}

/// Tickets by somebody who knows how they are made, and foreign ones.
#[test]
fn tickets_that_are_made_to_deceive_deceive_neither_page_nor_program() {
    type Change = fn(&mut Ticket);
    let Some(browser) = Browser::start(&[]) else { return };
    let (held, foreign) = (Held::new(), Held::new());
    browser.open(&held.saved());
    browser.type_into("#seal", &held.seal);
    let whole: Ticket = acta::read(held.ticket(2, 7).as_bytes()).unwrap();
    let other: Ticket = acta::read(held.ticket(2, 8).as_bytes()).unwrap();
    let changes: [(&str, Change); 27] = [
        ("format", |ticket| ticket.format = 2),
        ("lottery", |ticket| ticket.lottery = LotteryId(1)),
        ("agency", |ticket| ticket.agency = 1),
        ("agency 0", |ticket| ticket.agency = 0),
        ("both agencies", |ticket| (ticket.agency, ticket.row) = (1, ticket.row.replacen('2', "1", 1))),
        ("bet", |ticket| ticket.bet += 1),
        ("bet 0", |ticket| ticket.bet = 0),
        ("bet 2^64 - 1", |ticket| ticket.bet = u64::MAX),
        ("number of the bet", |ticket| ticket.row.push('1')),
        ("two rows", |ticket| ticket.row = format!("{0}\r\n{0}", ticket.row)),
        ("no row", |ticket| ticket.row.clear()),
        ("another row", |ticket| ticket.row = "2,\"A, \"\"B\"\"\",C|D,1,2000-02-30,7".to_owned()),
        ("salt", |ticket| ticket.salt = "00".repeat(16)),
        ("form of the salt", |ticket| ticket.salt = ticket.salt.to_uppercase() + "A"),
        ("path", |ticket| ticket.path[0].0[0] ^= 1),
        ("no path", |ticket| ticket.path.clear()),
        ("shorter path", |ticket| ticket.path.truncate(ticket.path.len() - 1)),
        ("longer path", |ticket| ticket.path.push(ticket.root)),
        ("bets", |ticket| ticket.bets += 1),
        ("root", |ticket| ticket.root.0[3] ^= 1),
        ("status", |ticket| ticket.status = Status::Declared),
        ("no agency's path", |ticket| ticket.agency_path.clear()),
        ("agencies", |ticket| ticket.agencies += 1),
        ("total", |ticket| ticket.total = 1),
        ("seal", |ticket| ticket.seal.0[0] ^= 1),
        ("time", |ticket| ticket.sealed_at = u64::MAX),
        ("number", |ticket| ticket.number = Some(1)),
    ];
    let mut tickets = Vec::new();
    let mut add = |what: &str, ticket: &Ticket| {
        for (signed, mark) in [(ticket.signed.clone(), "signed"), (None, "unsigned")] {
            let text = acta::write(&Ticket { signed, ..ticket.clone() }).unwrap();
            tickets.push((format!("{what}, {mark}"), text.into_bytes()));
        }
    };
    for (what, change) in changes {
        let mut changed = whole.clone();
        change(&mut changed);
        add(what, &changed);
    }
    add("another's row", &Ticket { row: other.row.clone(), ..whole.clone() });
    add("another's path", &Ticket { path: other.path.clone(), ..whole.clone() });
    add("another's salt", &Ticket { salt: other.salt.clone(), ..whole.clone() });
    for agency in 1..=2 {
        let ticket: Ticket = acta::read(foreign.ticket(agency, 1).as_bytes()).unwrap();
        add("foreign", &ticket);
        add("foreign, and says our seal", &Ticket { seal: whole.seal, ..ticket });
    }
    for (what, signed) in signatures(&whole) {
        add(&what, &Ticket { signed: Some(signed), ..whole.clone() });
    }
    let shown = assert_agreed(&held, &browser, &tickets);
    let found = |what: &str| &shown[tickets.iter().position(|(name, _)| name == what).unwrap()];
    assert_eq!(found("number, signed"), "in lost");
    for (what, expected) in
        [("lottery", "out"), ("foreign", "out"), ("by ED25519, of central", "in"), ("by ED25519, of agency:1", "out")]
    {
        assert!(
            found(&format!("{what}, signed")).starts_with(expected),
            "{what}: {}",
            found(&format!("{what}, signed"))
        );
    }
    // Each refusal says why.
    let reason = page_says(&browser, &[foreign.ticket(1, 1).into_bytes()]);
    assert_eq!(reason, ["out"]);
    assert_eq!(browser.text("#reason"), format!("It leads to another seal: {}.", foreign.seal));
    held.central.stop();
    foreign.central.stop();
}

/// The seal signed again, by keys of other kinds and by certificates of other parties.
fn signatures(ticket: &Ticket) -> Vec<(String, Signed)> {
    let schemes = [
        ("ECDSA_NISTP256_SHA256", &PKCS_ECDSA_P256_SHA256),
        ("ECDSA_NISTP384_SHA384", &PKCS_ECDSA_P384_SHA384),
        ("ED25519", &PKCS_ED25519),
    ];
    let mut made = Vec::new();
    for (scheme, algorithm) in schemes {
        for party in ["central", "operator", "agency:1"] {
            let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
            let name = Ia5String::try_from(format!("urn:quiniela:{party}")).unwrap();
            params.subject_alt_names.push(SanType::URI(name));
            let key = KeyPair::generate_for(algorithm).unwrap();
            let certificate = params.self_signed(&key).unwrap();
            let sign = |statement: &str| STANDARD.encode(key.sign(statement.as_bytes()).unwrap());
            let signed = |signature: &str| Signed::new(signature, &[certificate.der().to_vec()]);
            let good = sign(&ticket.sealed().statement());
            made.push((format!("by {scheme}, of {party}"), signed(&format!("{scheme}:{good}"))));
            made.push((
                format!("by {scheme}, of {party}, of another seal"),
                signed(&format!("{scheme}:{}", sign("x"))),
            ));
            for other in ["ED25519", "ECDSA_NISTP256_SHA256", "RSA_PSS_SHA256", "ECDSA_NISTP256_SHA384", "X"] {
                made.push((
                    format!("by {scheme}, of {party}, said to be by {other}"),
                    signed(&format!("{other}:{good}")),
                ));
            }
        }
    }
    made
}

/// The ticket's text without its signature.
fn unsigned(text: &str) -> String {
    let ticket: Ticket = acta::read(text.as_bytes()).unwrap();
    acta::write(&Ticket { signed: None, ..ticket }).unwrap()
}

/// A page that came over plain http from another machine may not compute hashes.
#[test]
fn where_browsers_forbid_hashes_the_page_says_what_to_do() {
    let Some(browser) = Browser::start(&["--host-resolver-rules=MAP central.example 127.0.0.1"]) else { return };
    let folder = Folder::new();
    let (central, http) = Central::on(&folder).start_with_http();
    browser.open(&format!("http://central.example:{http}/ticket#en"));
    browser.wait_for("!document.getElementById('insecure').hidden");
    assert!(browser.text("#insecure").contains("save it and open the saved file"));
    for field in ["file", "text", "seal"] {
        assert_eq!(browser.value("document.getElementById(given).disabled", &json!(field)), json!(true), "{field}");
    }
    let link =
        browser.value("[document.getElementById('save').download, document.getElementById('save').hidden]", &json!(0));
    assert_eq!(link, json!(["quiniela-ticket.html", false]));
    assert_eq!(browser.console(), [] as [String; 0]);
    central.stop();
}

#[test]
fn the_page_fits_a_telephone_and_speaks_two_languages() {
    let Some(browser) = Browser::start(&[]) else { return };
    let folder = Folder::new();
    let (central, http) = Central::on(&folder).start_with_http();
    browser.narrow(360);
    for (language, title) in [("es-AR", "¿Mi apuesta está en la lotería?"), ("de-DE", "Is my bet in the lottery?")] {
        browser.speak(language);
        browser.open(&format!("http://127.0.0.1:{http}/ticket"));
        assert_eq!(browser.text("h1"), title);
        browser.wait_for("document.documentElement.scrollWidth <= 360");
    }
    let seal = Hash([0xab; 32]).to_string();
    browser.value("(isTyped = true, document.getElementById('seal').value = given, takeText('{'))", &json!(seal));
    browser.wait_for("document.getElementById('result').dataset.verdict === 'out'");
    assert_eq!(browser.text("#reason"), "It is no ticket, or it was changed: see line 2.");
    browser.wait_for("document.documentElement.scrollWidth <= 360");
    let live = "document.getElementById('result').getAttribute('aria-live')";
    assert_eq!(browser.value(live, &Value::Null), json!("polite"));
    let named =
        "[...document.querySelectorAll('input, textarea')].every((field) => field.labels[0].textContent !== '')";
    assert_eq!(browser.value(named, &Value::Null), json!(true));
    central.stop();
}
