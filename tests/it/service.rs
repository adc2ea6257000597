//! The central as a service: what it tells its manager, and the unit files in `dist`. The test is the manager here.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::keys::Place;
use crate::common::{Central, Folder, LIMIT, Process, Signal, tells};

/// The end of the socket that a service manager has.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new(folder: &Folder) -> Manager {
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        Manager { socket, path }
    }

    fn start(&self, mut command: Command, watchdog: Option<Duration>) -> Process {
        command.env("NOTIFY_SOCKET", &self.path);
        if let Some(interval) = watchdog {
            command.env("WATCHDOG_USEC", interval.as_micros().to_string());
        }
        Process::start(command)
    }

    /// The next message, as its lines.
    #[track_caller]
    fn hear(&self) -> Vec<String> {
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).unwrap();
        std::str::from_utf8(&bytes[..length]).unwrap().lines().map(str::to_owned).collect()
    }

    /// What was sent and not heard yet.
    fn left(&self) -> Vec<String> {
        self.socket.set_nonblocking(true).unwrap();
        let mut bytes = [0; 4096];
        let mut left = Vec::new();
        while let Ok(length) = self.socket.recv(&mut bytes) {
            left.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
        }
        left
    }
}

#[test]
fn the_manager_hears_of_readiness_life_and_stop() {
    const WATCHDOG: Duration = Duration::from_secs(3);
    let folder = Folder::new();
    let manager = Manager::new(&folder);
    let process = manager.start(Central::on(&folder).command(), Some(WATCHDOG));
    assert_eq!(manager.hear()[0], "READY=1");
    let mut last = Instant::now();
    // No wait for a line of the log: readiness alone must be enough.
    let port = process.wait_for(|line| tells(line, "config", "success"));
    let port = crate::common::value(&port, "port").unwrap().parse().unwrap();
    let central = Central { process, port };
    assert_eq!(central.ask("HELLO|1"), "HELLO|OK|0|open");
    for _ in 0..3 {
        assert_eq!(manager.hear(), ["WATCHDOG=1"]);
        let interval = last.elapsed();
        last = Instant::now();
        // Twice in each interval is what the manager's documentation advises. It is not a flood either.
        assert!(interval < WATCHDOG && interval > WATCHDOG / 6, "{interval:?}");
    }
    central.process.signal(Signal::TERM);
    assert_eq!(manager.hear()[0], "STOPPING=1");
    central.stopped();
}

#[test]
fn a_central_that_does_not_turn_feeds_no_watchdog() {
    let folder = Folder::new();
    let manager = Manager::new(&folder);
    let process = manager.start(Central::on(&folder).command(), Some(Duration::from_secs(3)));
    assert_eq!(manager.hear()[0], "READY=1");
    process.hold();
    manager.left();
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(manager.left(), [] as [String; 0]);
}

/// It listens before it looks at its files, so a port that answers is no readiness.
#[test]
fn a_central_that_cannot_start_is_never_ready() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(1).start();
    central.client().ask("BET|1|Ana|Paz|1|2000-01-01|7574", "ACK|OK");
    central.stop();
    fs::write(folder.store().join("bets.csv"), "").unwrap();
    let manager = Manager::new(&folder);
    manager.start(Central::on(&folder).agencies(1).command(), None).finish().failed(5, &["bets.csv"]);
    assert_eq!(manager.left(), [] as [String; 0]);
}

#[test]
fn a_reload_is_told_from_its_begin_to_its_end() {
    let (place, folder) = (Place::with_agencies(1), Folder::new());
    let manager = Manager::new(&folder);
    let process = manager.start(Central::on(&folder).agencies(1).tls(&place).command(), None);
    assert_eq!(manager.hear()[0], "READY=1");
    process.signal(Signal::HUP);
    let begin = manager.hear();
    assert_eq!(begin[0], "RELOADING=1");
    assert!(begin[1].starts_with("MONOTONIC_USEC="), "{begin:?}");
    assert_eq!(manager.hear(), ["READY=1"]);
    process.wait_for(|line| tells(line, "load_keys", "success"));
}

#[test]
fn a_manager_that_is_gone_harms_nothing() {
    let folder = Folder::new();
    let manager = Manager::new(&folder);
    fs::remove_file(&manager.path).unwrap();
    let process = manager.start(Central::on(&folder).command(), Some(Duration::from_millis(600)));
    process.wait_for(|line| tells(line, "notify", "fail"));
    process.signal(Signal::TERM);
    process.finish().ok();
}

const UNITS: [&str; 2] = ["quiniela.service", "quiniela@.service"];

fn dist(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("dist").join(name)).unwrap()
}

/// The values of a key, in order.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

#[test]
fn the_units_start_a_central_with_their_own_words_and_credentials() {
    let (place, folder) = (Place::with_agencies(1), Folder::new());
    let keys = place.path("keys/central").display().to_string();
    for unit in UNITS {
        let unit = dist(unit);
        let line = values(&unit, "ExecStart")[0].replace("${STATE_DIRECTORY}", &folder.store().display().to_string());
        let words: Vec<&str> = line.split(' ').collect();
        let [program, flags @ .., "$QUINIELA_OPTIONS"] = &words[..] else { panic!("{line}") };
        assert_eq!(*program, "/usr/bin/quiniela");
        let mut command = Command::new(env!("CARGO_BIN_EXE_quiniela"));
        command.args(flags).args(["--port", "0"]).env_clear().current_dir(folder.path());
        for setting in values(&dist("keys.conf"), "Environment") {
            let (name, value) = setting.split_once('=').unwrap();
            command.env(name, value.replace("%d", &keys).replace("/etc/quiniela/keys", &keys));
        }
        let manager = Manager::new(&folder);
        let process = manager.start(command, None);
        assert_eq!(manager.hear()[0], "READY=1");
        process.signal(Signal::HUP);
        assert_eq!(manager.hear()[0], "RELOADING=1");
        process.wait_for(|line| tells(line, "load_keys", "success"));
        process.signal(Signal::TERM);
        process.finish().ok();
        fs::remove_file(&manager.path).unwrap();
    }
}

#[test]
fn instances_share_no_folder_and_no_port() {
    let [one, many] = UNITS.map(dist);
    let own = ["StateDirectory=quiniela/%i", "WorkingDirectory=%S/quiniela/%i", "EnvironmentFile=/etc/quiniela/%i.env"];
    assert!(own.iter().all(|line| many.lines().any(|other| other == *line)), "{many}");
    let hardening = |unit: &str| unit.split("# It needs").nth(1).unwrap().to_owned();
    assert_eq!(hardening(&one), hardening(&many), "both are as hard");
}

/// What systemd itself says of the units, where it is installed.
#[test]
fn systemd_finds_the_units_right_and_hard() {
    const MOST_EXPOSURE: &str = "--threshold=15";
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no systemd-analyze here");
        return;
    }
    let folder = Folder::new();
    for unit in UNITS {
        let path = folder.path().join(unit);
        // The program is installed elsewhere, or not at all.
        fs::write(&path, dist(unit).replace("/usr/bin/quiniela", env!("CARGO_BIN_EXE_quiniela"))).unwrap();
        let drop_in = folder.path().join(format!("{unit}.d"));
        fs::create_dir(&drop_in).unwrap();
        fs::write(drop_in.join("keys.conf"), dist("keys.conf")).unwrap();
        for words in [&["verify", "--man=no"][..], &["security", "--offline=true", "--no-pager", MOST_EXPOSURE]] {
            let output = Command::new("systemd-analyze").args(words).arg(&path).output().unwrap();
            let (told, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success(), "{unit}: {words:?}: {told}{wrong}");
            // A directive that it does not know is a remark and no failure.
            assert!(words[0] != "verify" || wrong.is_empty(), "{unit}: {wrong}");
        }
    }
}
