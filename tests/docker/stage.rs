//! A copy of the project in a folder of its own, and its containers.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::log::Follower;

const FILE: &str = "docker-compose-dev.yaml";

/// Container names, network and image are the same for all, so one test has them at a time: a file's lock, because
/// another run of the tests, from another clone, has the same engine.
const TURN: &str = "quiniela-docker-tests.lock";

/// What a course's suite has: a copy of the project, whose files it can change. Its containers are removed with it.
pub struct Stage {
    folder: TempDir,
    _turn: File,
}

impl Stage {
    pub fn new() -> Stage {
        let turn = File::create(std::env::temp_dir().join(TURN)).unwrap();
        turn.lock().unwrap();
        let engine = Command::new("docker").arg("info").output();
        assert!(
            engine.is_ok_and(|output| output.status.success()),
            "no Docker engine answers: `docker info` tells why"
        );
        // The containers that are removed with this stage must not be someone else's lottery.
        for filter in ["label=com.docker.compose.project=tp0", "name=^/server$"] {
            let theirs = docker(&["ps", "-a", "--filter", filter, "--format", "{{.Names}}"]);
            assert!(theirs.is_empty(), "these containers are in the way, remove them first:\n{theirs}");
        }
        let stage = Stage { folder: tempfile::tempdir().unwrap(), _turn: turn };
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut list = Command::new("git");
        list.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root);
        for name in String::from_utf8(succeed(list).stdout).unwrap().split_terminator('\0') {
            let (from, to) = (root.join(name), stage.path(name));
            if from.is_file() {
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::copy(from, to).unwrap();
            }
        }
        stage
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// Containers run as an unprivileged user, so their files must be readable by all.
    pub fn write(&self, relative: &str, text: &str) {
        let file = self.path(relative);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    }

    /// The configuration of the agencies as a course's suite writes it: no key but the exercises' own.
    pub fn agencies(&self, amount: u32, period: &str, max_amount: u32) {
        self.write(
            "client/config.yaml",
            &format!(
                "server:\n  address: \"server:12345\"\nloop:\n  amount: {amount}\n  period: \"{period}\"\n\
                 log:\n  level: \"INFO\"\nbatch:\n  maxAmount: {max_amount}\n"
            ),
        );
    }

    /// A file of this many bets. The first `winners` of them are on the winning number.
    pub fn bets(&self, agency: u32, count: u32, winners: u32) {
        let mut rows = String::new();
        for row in 0..count {
            let number = if row < winners { 7574 } else { row % 7000 };
            writeln!(rows, "Josefina Ñ.,Núñez,{},1984-02-29,{number}", document(agency, row)).unwrap();
        }
        self.write(&format!(".data/agency-{agency}.csv"), &rows);
    }

    /// The file that the exercise's script writes for this many agencies.
    pub fn generate(&self, exercise: u8, clients: u32, flags: &[&str]) {
        self.write(".exercise", &format!("{exercise}\n"));
        let mut command = self.command("./generar-compose.sh", &[FILE, &clients.to_string()]);
        command.args(flags).env("QUINIELA", env!("CARGO_BIN_EXE_quiniela"));
        succeed(command);
    }

    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder.path());
        command
    }

    pub fn compose(&self, arguments: &[&str]) -> Output {
        succeed(self.compose_command(arguments))
    }

    fn compose_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command("docker", &["compose", "-f", FILE]);
        command.args(arguments);
        command
    }

    /// Starts everything, and follows the log from its first line.
    pub fn up(&self) -> Follower {
        self.compose(&["up", "-d"]);
        self.follow()
    }

    pub fn follow(&self) -> Follower {
        Follower::start(self.compose_command(&["logs", "-f", "--no-color"]))
    }

    /// Stops everything, with five seconds for each container, as a grader does. Returns how long that took.
    pub fn stop(&self) -> Duration {
        let start = Instant::now();
        self.compose(&["stop", "-t", "5"]);
        start.elapsed()
    }

    /// Waits for every one of these containers to end by itself.
    pub fn exit_codes(&self, clients: u32) -> Vec<i32> {
        let names: Vec<String> = (1..=clients).map(|id| format!("client{id}")).collect();
        let mut command = self.command("docker", &["wait"]);
        command.args(names);
        let output = succeed(command);
        String::from_utf8(output.stdout).unwrap().lines().map(|line| line.parse().unwrap()).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Also after a failed test: its containers would make the next one fail.
        let _ = self.compose_command(&["down", "-v", "-t", "1", "--remove-orphans"]).output();
    }
}

/// The document of the bet in this row of an agency's file.
pub fn document(agency: u32, row: u32) -> u32 {
    10_000_000 + agency * 100_000 + row
}

pub fn succeed(mut command: Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    output
}

/// What `docker inspect` shows of a container or an image.
pub fn inspect(name: &str, format: &str) -> String {
    docker(&["inspect", "--format", format, name])
}

pub fn docker(arguments: &[&str]) -> String {
    let mut command = Command::new("docker");
    command.args(arguments);
    String::from_utf8(succeed(command).stdout).unwrap().trim_end().to_owned()
}

pub fn exit_code(container: &str) -> i32 {
    let state = inspect(container, "{{.State.Status}} {{.State.ExitCode}}");
    let code = state.strip_prefix("exited ").unwrap_or_else(|| panic!("{container} is {state}"));
    code.parse().unwrap()
}

/// The central's answer at a published port, with its head.
pub fn answer(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}
