//! A headless Chromium, driven over WebDriver through chromedriver. Debian's packages are `chromium` and `chromium-driver`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{LIMIT, Process};

/// What a browser on its own does without asking anybody.
const QUIET: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];
/// Nothing tells when a page has changed. This is how often it is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// The driver takes one port for both families of addresses, and somebody may have it in one of them.
const TRIES: usize = 20;
/// WebDriver's name for the id of an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Several at once would take all processors from the other tests.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

pub struct Browser {
    driver: Process,
    port: u16,
    session: String,
    folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Browser {
    /// With these words beside the usual ones. `None`, and a line that says so, where there is no Chromium.
    #[track_caller]
    pub fn start(words: &[&str]) -> Option<Browser> {
        if !["chromium", "chromedriver"].into_iter().all(is_there) {
            skipped("there is no chromium with chromedriver here");
            return None;
        }
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        let (driver, port) = (0..TRIES).find_map(|_| driver(folder.path())).expect("a driver that listens");
        let mut browser = Browser { driver, port, session: String::new(), folder, _turn: turn };
        let profile = format!("--user-data-dir={}", browser.folder.path().join("profile").display());
        let arguments: Vec<&str> = QUIET.iter().chain(words).copied().chain([profile.as_str()]).collect();
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"},
            "timeouts": {"script": LIMIT.as_millis() as u64},
        }}});
        let session = browser.ask("POST", "/session", &wanted);
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        // A new tab has a page of its own. What that one asks for is nobody's concern.
        browser.open("about:blank");
        drop((browser.requests(), browser.console()));
        Some(browser)
    }

    #[track_caller]
    pub fn open(&self, address: &str) {
        self.command("POST", "url", &json!({"url": address}));
    }

    /// The value of an expression, awaited if it is a promise. `given` is what is handed to it.
    #[track_caller]
    pub fn value(&self, expression: &str, given: &Value) -> Value {
        let script = format!(
            "const [given, end] = arguments; (async () => ({expression}))().then(end, (error) => end(`${{error}}`))"
        );
        self.command("POST", "execute/async", &json!({"script": script, "args": [given]}))
    }

    #[track_caller]
    pub fn text(&self, selector: &str) -> String {
        let text = self.value("document.querySelector(given).textContent", &json!(selector));
        text.as_str().unwrap().to_owned()
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub fn wait_for(&self, expression: &str) {
        let deadline = Instant::now() + LIMIT;
        while self.value(expression, &Value::Null) != json!(true) {
            let shown = self.value("document.body.innerText", &Value::Null);
            assert!(Instant::now() < deadline, "{expression} does not become true; the page: {shown}");
            std::thread::sleep(LOOK);
        }
    }

    /// Types into an element; into a field for files, the path of one.
    #[track_caller]
    pub fn type_into(&self, selector: &str, text: &str) {
        let found = self.command("POST", "element", &json!({"using": "css selector", "value": selector}));
        let id = found[ELEMENT].as_str().unwrap();
        self.command("POST", &format!("element/{id}/value"), &json!({"text": text}));
    }

    /// Makes the window that of a telephone, so many pixels wide.
    #[track_caller]
    pub fn narrow(&self, width: u32) {
        let screen = json!({"width": width, "height": 740, "deviceScaleFactor": 2, "mobile": true});
        self.devtools("Emulation.setDeviceMetricsOverride", &screen);
    }

    #[track_caller]
    pub fn prefer(&self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", &features);
    }

    /// As if the browser of a person with this language.
    #[track_caller]
    pub fn speak(&self, language: &str) {
        let agent = self.value("navigator.userAgent", &Value::Null);
        self.devtools("Network.setUserAgentOverride", &json!({"userAgent": agent, "acceptLanguage": language}));
    }

    #[track_caller]
    pub fn devtools(&self, method: &str, values: &Value) -> Value {
        self.command("POST", "goog/cdp/execute", &json!({"cmd": method, "params": values}))
    }

    /// The addresses that were asked for since the last time.
    #[track_caller]
    pub fn requests(&self) -> Vec<String> {
        let entries = self.command("POST", "se/log", &json!({"type": "performance"}));
        let messages = entries.as_array().unwrap().iter().map(|entry| entry["message"].as_str().unwrap());
        let events = messages.map(|message| serde_json::from_str::<Value>(message).unwrap()["message"].take());
        let sent = events.filter(|event| event["method"] == "Network.requestWillBeSent");
        sent.map(|event| event["params"]["request"]["url"].as_str().unwrap().to_owned()).collect()
    }

    /// What the console has shown since the last time.
    #[track_caller]
    pub fn console(&self) -> Vec<String> {
        let entries = self.command("POST", "se/log", &json!({"type": "browser"}));
        entries.as_array().unwrap().iter().map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    #[track_caller]
    fn command(&self, method: &str, command: &str, values: &Value) -> Value {
        self.ask(method, &format!("/session/{}/{command}", self.session), values)
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, values: &Value) -> Value {
        let (is_ok, mut said) = self.try_ask(method, path, values).unwrap();
        assert!(is_ok, "{method} {path}: {said}; its log: {}", self.driver.lines().join("\n"));
        said["value"].take()
    }

    fn try_ask(&self, method: &str, path: &str, values: &Value) -> std::io::Result<(bool, Value)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(LIMIT))?;
        let body = values.to_string();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        // The driver leaves the connection open, whatever it is asked.
        let (mut reader, mut head, mut length) = (BufReader::new(stream), String::new(), 0);
        while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head)? > 0 {
            let last = head.lines().next_back().unwrap_or_default().to_lowercase();
            length = last.strip_prefix("content-length:").map_or(length, |number| number.trim().parse().unwrap());
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok((head.contains(" 200 "), serde_json::from_slice(&body)?))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // This ends Chromium. The driver is killed with its process.
        let ended = self.try_ask("DELETE", &format!("/session/{}", self.session), &json!({}));
        assert!(std::thread::panicking() || ended.is_ok_and(|(is_ended, _)| is_ended), "Chromium goes on");
    }
}

/// A driver that listens, and its port. `None` if it could not.
fn driver(folder: &Path) -> Option<(Process, u16)> {
    let mut command = Command::new("chromedriver");
    // What Chromium leaves behind goes with the folder.
    command.arg("--port=0").env("TMPDIR", folder).env("HOME", folder);
    let driver = Process::start(command);
    let deadline = Instant::now() + LIMIT;
    loop {
        let has_ended = driver.has_ended();
        let line = driver.lines().into_iter().find(|line| line.contains("started successfully on port "));
        if let Some(line) = line {
            let port = line.trim_end_matches('.').rsplit(' ').next().unwrap().parse().unwrap();
            return Some((driver, port));
        }
        if has_ended {
            return None;
        }
        assert!(Instant::now() < deadline, "the driver neither listens nor ends");
        std::thread::sleep(LOOK);
    }
}

pub fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Says that a test is skipped, and why. Unlike `eprintln!`, this is shown of a test that passes too.
pub fn skipped(reason: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {reason}");
}

/// Bytes as they can be handed to a page.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
