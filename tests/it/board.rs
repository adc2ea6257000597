//! The board in a real browser, at a real central with real agencies.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::common::browser::{Browser, is_there, skipped};
use crate::common::http::get;
use crate::common::{Agency, Central, Folder, Process, quiniela};

/// The cells of each agency's row, and of the sums below them.
#[track_caller]
fn table(browser: &Browser) -> Vec<Vec<String>> {
    let rows = "[...document.querySelectorAll('tbody tr, tfoot tr')].map((row) => [...row.children].map((cell) => cell.textContent))";
    serde_json::from_value(browser.value(rows, &Value::Null)).unwrap()
}

/// What is announced to a screen reader.
#[track_caller]
fn wait_for_news(browser: &Browser, news: &str) {
    browser.wait_for(&format!("document.getElementById('news').textContent === '{news}'"));
}

#[track_caller]
fn assert_asked_only(browser: &Browser, http: u16) {
    let own = format!("http://127.0.0.1:{http}/");
    let (mut polls, asked) = (0, browser.requests());
    for url in &asked {
        let path =
            url.strip_prefix(&own).unwrap_or(if url.starts_with("data:image/svg+xml,") { "" } else { "elsewhere" });
        assert!(["", "status.json"].contains(&path), "{url}");
        polls += usize::from(path == "status.json");
    }
    assert!(polls > 0, "{asked:?}");
}

fn with_commas(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

#[track_caller]
fn draw(folder: &Folder, port: u16, seal: &str) {
    let words = format!("draw 7574 --seal {seal} --server 127.0.0.1:{port} --store store");
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    let output = quiniela(folder.path(), &words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn it_follows_a_lottery_to_its_draw() {
    let Some(browser) = Browser::start(&[]) else { return };
    let folder = Folder::with_data("--agencies 3 --bets 5000 --winners 30");
    let (central, http) = Central::on(&folder).agencies(3).with("--winning-number later").start_with_http();
    browser.open(&format!("http://127.0.0.1:{http}/#en"));
    wait_for_news(&browser, "Betting is open");
    assert_eq!(browser.text("h1"), "Betting is open");
    assert_eq!((browser.text("#bets"), browser.text("#done")), ("0".to_owned(), "0 of 3".to_owned()));
    assert_eq!(browser.text("#number-more"), "The number is drawn after the seal.");

    // Once there is a second to begin with, every later one is shown.
    browser.wait_for("document.getElementById('curve').getAttribute('d').startsWith('M')");
    let agency = |id: u32| Agency::new(id, central.port, &folder).winners();
    let first = agency(1).start();
    browser.wait_for("document.getElementById('done').textContent === '1 of 3'");
    let bets = |id: u32| with_commas(folder.rows(id).len());
    let rows = table(&browser);
    assert_eq!((&rows[0][..2], &rows[0][3]), (&["1".to_owned(), bets(1)][..], &"yes, declared".to_owned()));
    assert_eq!((&rows[1][1], &rows[1][3]), (&"0".to_owned(), &"not yet".to_owned()));
    assert!(rows[0][2].replace(',', "").parse::<u64>().is_ok(), "its rate: {rows:?}");
    browser.wait_for("!document.getElementById('chart-text').textContent.startsWith('At most 0 a second')");
    browser.wait_for("/^[0-9.,]+\\sm?s$/.test(document.getElementById('latency').textContent)");

    let others: Vec<Process> = [2, 3].map(|id| agency(id).start()).into();
    wait_for_news(&browser, "Betting is closed and sealed");
    let report = quiniela(folder.path(), &["audit", "store", "--json"].map(str::to_owned)).output().unwrap();
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    let seal = report["seal"].as_str().unwrap();
    assert_eq!(browser.text("#seal"), seal);
    assert_eq!(browser.text("#bets"), "5,000");
    assert_eq!(browser.value("document.getElementById('balls').hidden", &Value::Null), json!(true));

    draw(&folder, central.port, seal);
    wait_for_news(&browser, "The draw is held");
    first.finish().ok();
    others.into_iter().for_each(|agency| agency.finish().ok());
    assert_eq!(browser.text("#balls"), "7574");
    let due: Vec<usize> = (1..=3).map(|id| folder.winners_due(id, "7574").lines().count()).collect();
    let rows = table(&browser);
    for (row, winners) in rows.iter().zip(due.iter().chain([&30])) {
        assert_eq!(row[4], winners.to_string(), "{rows:?}");
    }
    assert_eq!(rows[3][..2], ["all".to_owned(), "5,000".to_owned()]);

    // Nobody's name and nobody's document.
    let page = browser.value("document.documentElement.outerHTML", &Value::Null);
    let told = page.as_str().unwrap().to_owned() + &get(http, "/status.json").body;
    for row in (1..=3).flat_map(|id| folder.rows(id)) {
        assert!(!told.contains(&row[2]), "the document {}", row[2]);
        assert!(
            !told.contains(&format!("{} {}", row[0], row[1])) && !told.contains(&format!("\"{}\"", row[1])),
            "{row:?}"
        );
    }
    assert_asked_only(&browser, http);
    assert_eq!(browser.console(), [] as [String; 0]);
    central.stop();
}

#[test]
fn it_says_that_it_has_lost_the_central_and_follows_it_again() {
    let Some(browser) = Browser::start(&[]) else { return };
    let folder = Folder::with_data("--agencies 2 --bets 600 --winners 6");
    let (central, http) = Central::on(&folder).agencies(2).start_with_http();
    browser.open(&format!("http://127.0.0.1:{http}/#es"));
    wait_for_news(&browser, "Se reciben apuestas");
    let first = Agency::new(1, central.port, &folder).with("--retry-for 120s").start();
    browser.wait_for("document.getElementById('done').textContent === '1 de 2'");
    assert_eq!(browser.console(), [] as [String; 0]);

    central.kill();
    browser.wait_for("document.getElementById('news').textContent.startsWith('La central no contesta desde las ')");
    let warning = "document.getElementById('lost').hidden === false && document.body.classList.contains('lost')";
    assert_eq!(browser.value(warning, &Value::Null), json!(true));
    // What was known is still there.
    assert_eq!(browser.text("#done"), "1 de 2");

    let (central, _) = Central::on(&folder).agencies(2).start_with_http_at(http);
    wait_for_news(&browser, "La central contesta de nuevo.");
    assert_eq!(browser.value("document.getElementById('lost').hidden", &Value::Null), json!(true));
    Agency::new(2, central.port, &folder).run().ok();
    wait_for_news(&browser, "Se hizo el sorteo");
    assert_eq!(browser.text("#bets"), "600");
    // While nobody listens a browser cannot but say so. Nothing else is said.
    for line in browser.console() {
        assert!(line.contains("/status.json") && line.contains("net::ERR_"), "{line}");
    }
    assert_asked_only(&browser, http);
    drop(first);
    central.stop();
}

#[test]
fn it_fits_a_telephone_in_two_languages_and_two_colours() {
    let Some(browser) = Browser::start(&[]) else { return };
    let folder = Folder::with_data("--agencies 2 --bets 3000 --winners 6");
    let (central, http) = Central::on(&folder).agencies(2).start_with_http();
    let agencies: Vec<Process> = [1, 2].map(|id| Agency::new(id, central.port, &folder).start()).into();
    agencies.into_iter().for_each(|agency| agency.finish().ok());
    browser.narrow(360);
    let mut colours = Vec::new();
    for (language, title, scheme) in [("es-AR", "Se hizo el sorteo", "light"), ("de-DE", "The draw is held", "dark")] {
        browser.speak(language);
        browser.prefer(scheme);
        browser.open(&format!("http://127.0.0.1:{http}/"));
        browser.wait_for(&format!("document.querySelector('h1').textContent === '{title}'"));
        assert_eq!(
            browser.value("document.documentElement.lang", &Value::Null),
            json!(&language[..2].replace("de", "en"))
        );
        let (width, wide) = ("document.documentElement.scrollWidth", "[...document.querySelectorAll('main *')]
            .filter((one) => one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.outerHTML.slice(0, 80))");
        assert_eq!(browser.value(&format!("{width} <= 360"), &Value::Null), json!(true));
        assert_eq!(browser.value(wide, &Value::Null), json!([]));
        colours.push(browser.value("getComputedStyle(document.body).backgroundColor", &Value::Null));
    }
    assert_ne!(colours[0], colours[1]);
    // The switch is a link, and the address remembers it.
    browser.value("document.querySelector('#languages a[lang=es]').click()", &Value::Null);
    browser.wait_for("document.querySelector('h1').textContent === 'Se hizo el sorteo'");
    assert_eq!(browser.value("location.hash", &Value::Null), json!("#es"));
    let ticket = "document.getElementById('ticket').pathname + document.getElementById('ticket').hash";
    assert_eq!(browser.value(ticket, &Value::Null), json!("/ticket#es"));
    // What a screen reader goes by.
    for is_so in [
        "[...document.querySelectorAll('thead th')].every((cell) => cell.scope === 'col' && cell.textContent !== '')",
        "[...document.querySelectorAll('tbody th, tfoot th')].every((cell) => cell.scope === 'row')",
        "document.querySelectorAll('tbody tr').length === 2 && document.querySelectorAll('tbody th').length === 2",
        "document.getElementById('news').getAttribute('aria-live') === 'polite'",
        "['header', 'nav', 'main', 'footer'].every((mark) => document.querySelectorAll(mark).length === 1)",
        "[...document.querySelectorAll('section, table, svg')].every((one) =>
            document.getElementById(one.getAttribute('aria-labelledby')).textContent.length > 3)",
        "document.querySelector('svg').getAttribute('role') === 'img'",
        "document.querySelector('#steps [aria-current=step]').textContent === 'Sorteada'",
        "document.getElementById('balls').getAttribute('aria-label') === 'Número ganador: 7574'",
    ] {
        assert_eq!(browser.value(is_so, &Value::Null), json!(true), "{is_so}");
    }
    assert_eq!(browser.console(), [] as [String; 0]);
    central.stop();
}

/// The part of a page between two marks that are there once.
#[track_caller]
fn between<'a>(page: &'a str, start: &str, end: &str) -> &'a str {
    let pieces: Vec<&str> = page.split(start).collect();
    assert_eq!(pieces.len(), 2, "{start}");
    pieces[1].split(end).next().unwrap()
}

#[test]
fn each_page_may_run_what_is_in_it_and_ask_its_central_and_nothing_else() {
    let folder = Folder::new();
    let (central, http) = Central::on(&folder).start_with_http();
    for path in ["/", "/ticket"] {
        let answer = get(http, path);
        assert_eq!(answer.status, 200, "{answer:?}");
        let hash = |tag: &str| {
            let text = between(&answer.body, &format!("<{tag}>"), &format!("</{tag}>"));
            format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
        };
        let own = format!(
            "default-src 'none'; style-src {}; script-src {}; img-src data:; connect-src 'self'; base-uri 'none'; \
             form-action 'none'",
            hash("style"),
            hash("script")
        );
        let said = between(&answer.body, "<meta http-equiv=\"Content-Security-Policy\" content=\"", "\"");
        assert_eq!(said, own);
        assert_eq!(answer.field("content-security-policy"), Some(&*format!("{own}; frame-ancestors 'none'")));
        // The name of SVG is no address that anybody asks.
        for address in answer.body.split("//").skip(1).filter(|rest| !rest.starts_with(' ')) {
            assert!(address.starts_with("www.w3.org/2000/svg'"), "{address:.60}");
        }
    }
    central.stop();
}

/// The script that makes the picture in README, with the program that these tests run.
#[test]
fn the_picture_is_made_by_a_script() {
    if !is_there("python3") {
        return skipped("there is no python3 here");
    }
    let Some(browser) = Browser::start(&[]) else { return };
    drop(browser);
    let folder = Folder::new();
    let picture = folder.path().join("board.png");
    let mut script = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/board-picture"));
    script.arg(&picture).env("QUINIELA", env!("CARGO_BIN_EXE_quiniela")).env("RUN_FOR", "8");
    let output = script.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let bytes = std::fs::read(&picture).unwrap();
    assert!(bytes.starts_with(b"\x89PNG\r\n") && bytes.len() < 150_000, "{} bytes", bytes.len());
    let shipped = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/board.png")).unwrap();
    assert!(shipped.starts_with(b"\x89PNG\r\n") && shipped.len() < 150_000, "{} bytes", shipped.len());
    // The width, in the header of a PNG.
    assert_eq!(bytes[16..20], shipped[16..20]);
}
