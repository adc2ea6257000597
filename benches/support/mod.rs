//! Shared by the benches: real processes, several rounds of each contender in turn, and medians.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

pub mod floor;
pub mod peers;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub const QUINIELA: &str = env!("CARGO_BIN_EXE_quiniela");

/// A number from the environment, to change the size of a bench without a new build.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a whole number"))
}

/// `agency-<id>.csv` files of plausible bets.
pub fn make_bets(dir: &Path, agencies: u64, bets: u64) {
    let status = Command::new(QUINIELA)
        .args(["gen-data", "--seed", "1", "--agencies", &agencies.to_string(), "--bets", &bets.to_string(), "--force"])
        .arg(dir)
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success());
}

/// An authority and the keys of so many agencies, in a new folder.
pub fn make_keys(dir: &Path, agencies: u64) {
    let mut command = Command::new(QUINIELA);
    let status =
        command.args(["keys", "init", "--agencies", &agencies.to_string()]).arg(dir).stdout(Stdio::null()).status();
    assert!(status.unwrap().success());
}

/// A central on a free port.
pub struct Central {
    child: Child,
    pub port: u16,
    /// Where it serves HTTP, if it does.
    pub http: Option<u16>,
}

impl Central {
    pub fn start(program: &str, store: &Path, agencies: u64) -> Central {
        Central::start_with(program, store, agencies, None)
    }

    /// With the folder that `quiniela keys init` has made, if there is one.
    pub fn start_with(program: &str, store: &Path, agencies: u64, keys: Option<&Path>) -> Central {
        let mut command = Central::command(program, store, agencies);
        if let Some(keys) = keys {
            command.arg("--keys").arg(keys.join("central"));
        }
        Central::spawn(command)
    }

    /// For [`Central::spawn`], with whatever arguments are added.
    pub fn command(program: &str, store: &Path, agencies: u64) -> Command {
        let mut command = Command::new(program);
        command
            .args(["server", "--port", "0", "--bind", "127.0.0.1", "--backlog", "4096", "--client-amount"])
            .args([&agencies.to_string(), "--store"])
            .arg(store);
        command
    }

    pub fn spawn(mut command: Command) -> Central {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut http = None;
        let config = loop {
            let line = lines.next().expect("a line about the configuration").unwrap();
            if let Some((_, address)) = line.split_once("action: http | result: success | address: ") {
                http = Some(address.rsplit_once(':').unwrap().1.parse().unwrap());
            }
            if line.contains("action: config") {
                break line;
            }
        };
        let port = config.split("port: ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        // The log must be read, or the central would wait for its reader.
        std::thread::spawn(move || lines.count());
        Central { child, port, http }
    }

    /// The process id, for `/proc`.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its peak memory in KiB.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// The processor time that it has used, in clock ticks: hundredths of a second.
    pub fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM and waits for a clean end.
    pub fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

pub fn agency(program: &str, id: u64, port: u16, data: &Path, in_flight: u64, keys: Option<&Path>) -> Child {
    agency_command(program, id, port, data, in_flight, keys).stdout(Stdio::null()).spawn().unwrap()
}

/// Runs an agency to its end. Returns the time from `start` to its last acknowledgement.
pub fn run_agency(id: u64, port: u16, data: &Path, in_flight: u64, start: Instant) -> Duration {
    let mut command = agency_command(QUINIELA, id, port, data, in_flight, None);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut last = Duration::ZERO;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        if line.unwrap().contains("action: apuesta_enviada | result: success") {
            last = start.elapsed();
        }
    }
    assert!(child.wait().unwrap().success());
    last
}

/// An upload from the agency's start until all is acknowledged. Whether DONE is sent then, it may not live to see. The lottery has
/// another agency, so there is no draw.
pub fn upload(program: &str, id: u64, port: u16, data: &Path, in_flight: u64, keys: Option<&Path>) -> Duration {
    let (wait, taken) = upload_in_parts(program, id, port, data, in_flight, keys);
    wait + taken
}

/// The same in two parts: until the central has let it in, and from then on.
pub fn upload_in_parts(
    program: &str,
    id: u64,
    port: u16,
    data: &Path,
    in_flight: u64,
    keys: Option<&Path>,
) -> (Duration, Duration) {
    let start = Instant::now();
    let mut child = agency_command(program, id, port, data, in_flight, keys).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut comes_to = |what: &str| {
        let is_it = |line: String| line.contains(&format!("action: upload | result: {what}"));
        assert!(lines.any(|line| is_it(line.unwrap())), "no upload");
        start.elapsed()
    };
    let wait = comes_to("in_progress");
    let taken = comes_to("success") - wait;
    child.kill().unwrap();
    child.wait().unwrap();
    (wait, taken)
}

fn agency_command(program: &str, id: u64, port: u16, data: &Path, in_flight: u64, keys: Option<&Path>) -> Command {
    let mut command = Command::new(program);
    command
        .args(["agency", "--id", &id.to_string(), "--server", &format!("127.0.0.1:{port}")])
        .args(["--in-flight", &in_flight.to_string(), "--loop-period", "0s", "--data"])
        .arg(data);
    if let Some(keys) = keys {
        command.arg("--keys").arg(keys.join(format!("agency-{id}")));
    }
    command
}

/// Sends a request, and returns the text of its reply.
pub fn ask(stream: &mut TcpStream, request: &str) -> String {
    send(stream, request);
    receive(stream)
}

pub fn send(stream: &mut TcpStream, request: &str) {
    // In one write: two small ones wait for the acknowledgement of the first.
    let mut frame = (request.len() as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(request.as_bytes());
    stream.write_all(&frame).unwrap();
}

/// The text of a frame.
pub fn receive(stream: &mut TcpStream) -> String {
    let mut header = [0; 4];
    stream.read_exact(&mut header).unwrap();
    let mut reply = vec![0; u32::from_be_bytes(header) as usize];
    stream.read_exact(&mut reply).unwrap();
    String::from_utf8(reply).unwrap()
}

/// Puts a text into docs/PERFORMANCE.md, in the place of what stands between the marks of this name.
pub fn put_table(name: &str, table: &str) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/PERFORMANCE.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let (before, rest) = text.split_once(&begin).expect("the mark of the table's beginning");
    let (_, after) = rest.split_once(&end).expect("the mark of the table's end");
    std::fs::write(page, format!("{before}{begin}{table}{end}{after}")).unwrap();
}

pub fn time(act: impl FnOnce()) -> Duration {
    let start = Instant::now();
    act();
    start.elapsed()
}

pub fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted[sorted.len() / 2]
}

/// The time from the agencies' start to the end of the last one, including the draw and the winners, and the central's
/// peak memory in KiB.
pub fn lottery(program: &str, data: &Path, store: &Path, agencies: u64, in_flight: u64) -> (Duration, u64) {
    lottery_with(program, data, store, agencies, in_flight, None)
}

/// The same with the keys in this folder, if there is one.
pub fn lottery_with(
    program: &str,
    data: &Path,
    store: &Path,
    agencies: u64,
    in_flight: u64,
    keys: Option<&Path>,
) -> (Duration, u64) {
    let _ = std::fs::remove_dir_all(store);
    let central = Central::start_with(program, store, agencies, keys);
    let taken = time(|| {
        let start = |id| agency(program, id, central.port, data, in_flight, keys);
        let children: Vec<_> = (1..=agencies).map(start).collect();
        children.into_iter().for_each(|mut child| assert!(child.wait().unwrap().success()));
    });
    let memory = central.peak_memory();
    central.stop();
    (taken, memory)
}

/// A folder in the build's own folder: on a disk, not in memory.
pub fn work_folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}
