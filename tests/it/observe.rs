//! What a central shows over HTTP, and that nobody who looks can harm it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::http::{ask, connect, get, port, sample};
use crate::common::keys::Place;
use crate::common::{ANA, Agency, Central, CentralStart, Folder, LIMIT, tells};

fn on(folder: &Folder) -> CentralStart {
    Central::on(folder).with("--http 127.0.0.1:0")
}

/// Asks until it is so.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: never so");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn metrics(port: u16) -> String {
    get(port, "/metrics").body
}

/// Whether promtool is here. If it is not, the test that needs it says so.
fn has_promtool(test: &str) -> bool {
    let found = Command::new("promtool").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        skipped(test, "there is no promtool; it is in Debian's package prometheus");
    }
    found
}

/// Straight to standard error, which the test runner does not capture then.
fn skipped(test: &str, why: &str) {
    let _ = std::io::stderr().write_all(format!("SKIPPED {test}: {why}\n").as_bytes());
}

#[test]
fn without_the_flag_there_is_no_http() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(1).start();
    assert_eq!(central.ask(&format!("BET|1|{ANA}")), "ACK|OK");
    let exit = central.stop();
    assert_eq!(exit.count(|line| tells(line, "http", "success")), 0, "{exit}");
}

#[test]
fn a_taken_port_is_an_error_that_names_it_and_leaves_no_files() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let exit = Central::on(&folder).with(&format!("--http {address}")).refused();
    exit.failed(1, &[&address.to_string(), "--http"]);
    assert_eq!(fs::read_dir(folder.store()).unwrap().count(), 0);
}

#[test]
fn metrics_and_state_agree_with_a_lottery() {
    let folder = Folder::with_data("--agencies 2 --bets 3000 --winners 9");
    let central = on(&folder).agencies(2).start();
    let http = port(&central);
    let before = get(http, "/status.json").json();
    assert_eq!(
        (before["phase"].as_str(), before["bets"].as_u64(), before["seal"].is_null()),
        (Some("open"), Some(0), true)
    );
    assert_eq!(before["number"], 7574);
    // What the first second brings is no rate: the store may have held it.
    wait_until("a second has passed", || get(http, "/status.json").json()["rate"]["seconds"].as_u64() > Some(0));
    let first = Agency::new(1, central.port, &folder).start();
    wait_until("agency 1 waits for the draw", || {
        let text = metrics(http);
        let state = get(http, "/status.json").json();
        sample(&text, "quiniela_connections{state=\"awaiting_draw\"}") == Some(1.0)
            && state["connections"]["waiting"] == 1
            && state["acknowledgement"]["count"].as_u64() > Some(0)
    });
    // All of it has come within the seconds that the rate covers.
    let state = get(http, "/status.json").json();
    let rate: u64 = state["rate"]["bets"].as_array().unwrap().iter().map(|bets| bets.as_u64().unwrap()).sum();
    assert_eq!((rate, state["bets"].as_u64()), (folder.rows(1).len() as u64, Some(rate)), "{state}");
    assert_eq!(state["rate"]["seconds"], state["rate"]["bets"].as_array().unwrap().len());
    let times = &state["acknowledgement"];
    let time = |name: &str| times[name].as_f64().unwrap();
    assert!(time("p50") > 0.0 && time("p50") <= time("p99") && time("p99") <= time("max"), "{times}");
    assert_eq!((&state["agencies"][0]["done"], &state["agencies"][1]["done"]), (&true.into(), &false.into()));
    Agency::new(2, central.port, &folder).run().ok();
    first.finish().ok();

    assert_eq!(central.ask(&format!("BET|1|{ANA}")), "ACK|ERR|closed");
    assert_eq!(central.ask(&format!("BET|1|{ANA}")), "ACK|ERR|closed");
    assert!(central.ask("BET|2|Ana|Paz|1|2000-01-32|7574").starts_with("ACK|ERR|"));
    assert!(central.ask(&format!("BET|3|{ANA}")).contains("agency 3 is unknown"));
    assert!(central.ask("NONSENSE|1").contains("unknown request"));
    let text = metrics(http);
    let of = |name: &str| sample(&text, name).unwrap_or_else(|| panic!("{name} is not in {text}"));
    for agency in [1, 2] {
        let rows = folder.rows(agency).len();
        assert_eq!(of(&format!("quiniela_bets_total{{agency=\"{agency}\"}}")), rows as f64);
        assert_eq!(of(&format!("quiniela_batches_total{{agency=\"{agency}\"}}")), rows.div_ceil(100) as f64);
    }
    assert_eq!(of("quiniela_refusals_total{agency=\"1\",reason=\"closed\"}"), 2.0);
    assert_eq!(of("quiniela_refusals_total{agency=\"2\",reason=\"other\"}"), 1.0);
    assert_eq!(of("quiniela_refusals_total{agency=\"unknown\",reason=\"other\"}"), 1.0);
    assert_eq!(of("quiniela_refusals_total{agency=\"unknown\",reason=\"unknown\"}"), 1.0);
    let batches = [1, 2].map(|agency| folder.rows(agency).len().div_ceil(100)).iter().sum::<usize>() as f64;
    assert_eq!(of("quiniela_acknowledgement_seconds_count"), batches);
    assert_eq!(of("quiniela_group_bets_sum"), 3000.0);
    assert!(of("quiniela_sync_seconds_count") >= of("quiniela_group_bets_count"));
    assert_eq!(
        (of("quiniela_agencies"), of("quiniela_agencies_done"), of("quiniela_phase{phase=\"drawn\"}")),
        (2.0, 2.0, 1.0)
    );
    assert_eq!(of("quiniela_bets_file_bytes"), fs::metadata(folder.bets()).unwrap().len() as f64);
    assert!(of("process_resident_memory_bytes") > 1e6 && of("process_open_fds") > 4.0);

    let state = get(http, "/status.json").json();
    assert_schema(&state);
    assert_eq!(
        (state["ready"].as_bool(), state["phase"].as_str(), state["bets"].as_u64()),
        (Some(true), Some("drawn"), Some(3000))
    );
    let acta: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.store().join("acta.json")).unwrap()).unwrap();
    assert_eq!((&state["seal"], &state["lottery"]), (&acta["seal"], &acta["lottery"]));
    for agency in [1, 2] {
        let (shown, line) = (&state["agencies"][agency as usize - 1], &acta["agencies"][agency as usize - 1]);
        let due = folder.winners_due(agency, "7574").lines().count();
        assert_eq!(shown["winners"], due);
        assert_eq!((&shown["bets"], &shown["root"], &shown["status"]), (&line["bets"], &line["root"], &line["status"]));
    }
    let whole = state.to_string();
    let told = folder.rows(1).iter().find(|row| whole.contains(&row[1]) && row[1].len() > 4).cloned();
    assert_eq!(told, None, "a name is shown");
    central.stop();
}

/// Each field is there, with its type.
#[track_caller]
fn assert_schema(state: &serde_json::Value) {
    let fields: BTreeSet<&str> = state.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = "format version commit time started ready reason phase lottery number seal sealed_at bets agencies rate \
                    acknowledgement connections queue log_dropped";
    assert_eq!(fields, expected.split_whitespace().collect());
    assert_eq!((state["format"].as_u64(), state["version"].as_str()), (Some(1), Some(env!("CARGO_PKG_VERSION"))));
    for time in ["time", "started", "sealed_at"] {
        let text = state[time].as_str().unwrap_or_default();
        assert!(
            state[time].is_null() || (text.len() == 24 && text.ends_with('Z') && text.as_bytes()[10] == b'T'),
            "{time}: {text}"
        );
    }
    for agency in state["agencies"].as_array().unwrap() {
        let fields: BTreeSet<&str> = agency.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, BTreeSet::from(["agency", "bets", "done", "status", "winners", "root"]));
    }
}

#[test]
fn what_a_store_held_before_a_start_is_counted_and_is_no_rate() {
    let folder = Folder::new();
    let central = on(&folder).agencies(2).start();
    assert_eq!(central.ask(&format!("BET|2|{ANA}")), "ACK|OK");
    central.stop();
    let central = on(&folder).agencies(2).start();
    let http = port(&central);
    wait_until("two seconds are seen", || get(http, "/status.json").json()["rate"]["seconds"].as_u64() >= Some(1));
    let state = get(http, "/status.json").json();
    assert_eq!(state["rate"]["bets"][0], 0);
    assert_eq!((state["bets"].as_u64(), state["acknowledgement"].is_null()), (Some(1), true));
    let text = metrics(http);
    assert_eq!(sample(&text, "quiniela_bets_total{agency=\"2\"}"), Some(1.0));
    assert_eq!(sample(&text, "quiniela_batches_total{agency=\"2\"}"), None);
    central.stop();
}

#[test]
fn questions_alone_are_answered_and_each_answer_says_what_it_is() {
    let folder = Folder::new();
    let central = on(&folder).agencies(1).start();
    let http = port(&central);
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/ticket", "text/html; charset=utf-8"),
        ("/metrics", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("/healthz", "text/plain; charset=utf-8"),
        ("/readyz", "text/plain; charset=utf-8"),
        ("/status.json", "application/json"),
    ] {
        let got = get(http, path);
        assert_eq!((got.status, got.field("content-type")), (200, Some(kind)), "{path}");
        assert_eq!(got.field("content-security-policy").is_some(), kind.starts_with("text/html"), "{path}");
        assert_eq!(
            (got.field("cache-control"), got.field("x-content-type-options")),
            (Some("no-store"), Some("nosniff"))
        );
        assert_eq!(got.field("access-control-allow-origin"), None, "no other page may read it");
        let head = ask(http, "HEAD", path, "");
        assert_eq!((head.status, head.body.as_str(), head.field("content-type")), (200, "", Some(kind)), "{path}");
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"] {
            let refused = ask(http, method, path, "content-length: 0\r\n");
            assert_eq!((refused.status, refused.field("allow")), (405, Some("GET, HEAD")), "{method} {path}");
        }
    }
    assert_eq!(get(http, "/nothing").status, 404);
    let plain = ask(http, "GET", "/metrics", "accept: text/plain;version=0.0.4\r\n");
    assert_eq!(plain.field("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(get(http, "/metrics").body.ends_with("# EOF\n") && !plain.body.contains("# EOF"));
    // A head that is too large, and one that is none.
    assert_eq!(ask(http, "GET", "/", &format!("x: {}\r\n", "y".repeat(40_000))).status, 431);
    let mut stream = connect(http);
    stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n").unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 400"), "{:?}", String::from_utf8_lossy(&rest));
    assert_eq!(get(http, "/healthz").body, "ok\n");
    central.stop();
}

/// True once the server has closed the connection.
fn is_closed(stream: &mut TcpStream) -> bool {
    let mut bytes = [0; 4096];
    stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => {
                return !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
            }
        }
    }
}

#[test]
fn those_who_hold_every_connection_are_cut_off_and_harm_no_agency() {
    let folder = Folder::with_data("--agencies 1 --bets 2000");
    let central = on(&folder).agencies(1).start();
    let http = port(&central);
    let begin = Instant::now();
    let mut slow: Vec<TcpStream> = (0..64).map(|_| connect(http)).collect();
    // Some say nothing, some begin a request, some ask and read nothing.
    for (place, stream) in slow.iter_mut().enumerate() {
        let said: &[u8] = [&b""[..], b"GET / HT", b"GET /metrics HTTP/1.1\r\nx: "][place % 3];
        stream.write_all(said).unwrap();
    }
    // The 65th is closed at once, however often it tries.
    for _ in 0..5 {
        let mut late = connect(http);
        let mut told = String::new();
        let _ = late.read_to_string(&mut told);
        assert!(told.is_empty() || told.starts_with("HTTP/1.1 503"), "{told}");
    }
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    Agency::new(1, central.port, &folder).run().ok();
    folder.assert_stored_equals_files(1);
    wait_until("there is room again", || {
        let mut stream = connect(http);
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: c\r\n\r\n");
        let mut told = String::new();
        let _ = stream.read_to_string(&mut told);
        told.starts_with("HTTP/1.1 200")
    });
    slow.iter_mut().for_each(|stream| assert!(is_closed(stream)));
    central.stop();
}

#[test]
fn keys_tell_when_they_expire() {
    let (place, folder) = (Place::with_agencies(1), Folder::new());
    let central = on(&folder).agencies(1).tls(&place).start();
    let text = metrics(port(&central));
    for kind in ["own", "authority", "revocation_list"] {
        let name = format!("quiniela_certificate_expiry_timestamp_seconds{{kind=\"{kind}\",place=\"1\"}}");
        let at = sample(&text, &name).unwrap_or_else(|| panic!("{name} is not in {text}"));
        assert!(at > 1.7e9, "{at}");
    }
    central.stop();
}

/// The names of a text's metrics, each with its kind.
fn named(text: &str) -> BTreeSet<(String, String)> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

/// Of a central with everything that there can be.
fn all_metrics() -> String {
    let (place, folder) = (Place::with_agencies(1), Folder::new());
    let central = on(&folder).agencies(1).tls(&place).start();
    let text = ask(port(&central), "GET", "/metrics", "accept: text/plain\r\n").body;
    central.stop();
    text
}

#[test]
fn promtool_has_nothing_against_the_metrics() {
    if !has_promtool("promtool_has_nothing_against_the_metrics") {
        return;
    }
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(all_metrics().as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && told.is_empty(), "{told}");
}

fn dist(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("dist").join(file)).unwrap()
}

#[test]
fn the_alerts_do_what_their_tests_say() {
    // Every rule has a test.
    let (rules, tests) = (dist("quiniela.rules.yml"), dist("quiniela.rules.test.yml"));
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 10);
    for alert in alerts {
        assert!(tests.contains(&format!("alertname: {alert}\n        exp_alerts:")), "{alert} is never tested to fire");
    }
    if !has_promtool("the_alerts_do_what_their_tests_say") {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist");
    let output =
        Command::new("promtool").args(["test", "rules", "quiniela.rules.test.yml"]).current_dir(folder).output();
    let output = output.unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn alerts_and_dashboard_name_only_metrics_that_there_are() {
    let there = named(&all_metrics());
    let mut there: BTreeSet<String> = there.into_iter().map(|(name, _)| name).collect();
    for histogram in ["quiniela_acknowledgement_seconds", "quiniela_sync_seconds", "quiniela_group_bets"] {
        assert!(there.contains(histogram));
        there.extend(["bucket", "sum", "count"].map(|part| format!("{histogram}_{part}")));
    }
    for file in ["quiniela.rules.yml", "grafana-dashboard.json"] {
        let text = dist(file);
        let words = text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
        let named: BTreeSet<&str> =
            words.filter(|word| word.starts_with("quiniela_") || word.starts_with("process_")).collect();
        assert!(named.len() >= 10, "{file}");
        let missing: Vec<_> = named.into_iter().filter(|name| !there.contains(*name)).collect();
        assert_eq!(missing, [""; 0], "{file}");
    }
    let dashboard: serde_json::Value = serde_json::from_str(&dist("grafana-dashboard.json")).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 10);
}

#[test]
fn both_readmes_list_every_metric_and_no_other() {
    let there = named(&all_metrics());
    for file in ["README.md", "README.es.md"] {
        let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let rows = page.lines().filter(|line| line.starts_with("| `quiniela_") || line.starts_with("| `process_"));
        let told: BTreeSet<(String, String)> = rows
            .map(|row| {
                let cells: Vec<&str> = row.split('|').map(str::trim).collect();
                (cells[1].trim_matches('`').to_owned(), cells[2].to_owned())
            })
            .collect();
        assert_eq!(told, there, "{file}");
    }
}
