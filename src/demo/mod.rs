//! `quiniela demo`: runs a whole lottery on this machine, each part in its own process, and checks the result.

mod audit;
mod children;
mod show;

use std::ffi::OsStr;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::config::whole_number;
use crate::domain::{Quoted, WINNING_NUMBER};
use crate::error::{Error, Kind, Result};
use crate::gen_data;
use crate::keys;
use crate::output::{object, print};
use crate::signals::StopSignal;
use crate::wire::{Refusal, Reply, frame};
use children::{Children, Message, log_value};
use show::{Report, Show};

/// Time for the central to listen. It has nothing to recover, and takes any free port.
const START_LIMIT: Duration = Duration::from_secs(20);
/// Time without a log line of any process. In a working lottery some process logs more often.
const SILENCE_LIMIT: Duration = Duration::from_secs(180);
/// Time for the central to answer a request without TLS.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// Time for the central to stop. It promises 5 s.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// The data folder in a checkout of the project.
const DATA: &str = ".data";
/// Average bets of an agency if the demo makes its own data.
const BETS_EACH: u64 = 1_200;
const WINNERS_EACH: u64 = 3;

/// The central is child 0 and agency 1 is child 1.
const CENTRAL: usize = 0;

/// Runs a whole lottery on this machine, the central and each agency as a process, and checks the result.
///
/// The exit code is 0 only if every bet of every file is on disk, once and in order, every process succeeded, and an audit of
/// the sealed lottery finds all of it again.
///
/// Example: quiniela demo --agencies 7
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Agencies to run, at most 500
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = whole_number(1..=500_u32))]
    agencies: u32,

    /// Folder of the files agency-1.csv, agency-2.csv and so on; default .data, or generated files if that has too few
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    data: Option<PathBuf>,

    /// Make keys for the central and each agency, and run the lottery over TLS, in which every party proves who it is
    #[arg(long)]
    tls: bool,

    /// Keep the folder with the central's files, the logs and the keys, and print its path
    #[arg(long)]
    keep: bool,

    /// Print one JSON object at the end, and nothing before it
    #[arg(long)]
    json: bool,
}

/// Succeeds only if every bet of every file is on disk, each agency was told its own winners, and every process ended
/// with success. No child outlives this call.
pub fn run(options: &Args, stop: &StopSignal) -> Result<()> {
    let files = |data: &Path| -> Vec<PathBuf> {
        (1..=options.agencies).map(|agency| data.join(format!("agency-{agency}.csv"))).collect()
    };
    let given = options.data.as_deref();
    let missing = files(given.unwrap_or(Path::new(DATA))).into_iter().find(|path| !path.is_file());
    if let (Some(given), Some(missing)) = (given, &missing) {
        let missing = missing.display();
        return Err(Error::bad_input(format!(
            "{missing}: there is no such file; without --data the demo makes its own, and `quiniela gen-data --agencies {} {}` \
             writes some to an empty folder",
            options.agencies,
            given.display()
        )));
    }
    let unmade = |error| Error::failed(format!("cannot make a temporary folder: {error}"));
    let folder = tempfile::Builder::new().prefix("quiniela-demo-").tempdir().map_err(unmade)?;
    let held = match missing {
        None => Ok(given.unwrap_or(Path::new(DATA)).to_owned()),
        Some(_) => make_data(options.agencies, folder.path()),
    }
    .and_then(|data| hold(options, &data, &files(&data), folder.path(), stop));
    let kept = close(folder, options.keep);
    let path = kept.as_ref().ok().and_then(Option::as_ref).map(|path| path.display().to_string());
    let told = path.as_ref().map(|path| format!("what was stored and logged is in {path}"));
    if options.json {
        return match (held, told) {
            (Ok(mut report), _) => {
                report.kept_in = path;
                kept.and_then(|_| print(object(&report)?))
            }
            (Err(error), Some(told)) => Err(Error::new(error.kind, format!("{error}; {told}"))),
            (Err(error), None) => Err(error),
        };
    }
    let printed = told.map_or(Ok(()), |told| print(told + "\n"));
    held.and(kept).and(printed)
}

fn make_data(agencies: u32, folder: &Path) -> Result<PathBuf> {
    let dir = folder.join("data");
    let (bets, winning_number) = (u64::from(agencies) * BETS_EACH, WINNING_NUMBER);
    gen_data::run(&gen_data::Args {
        dir: dir.clone(),
        agencies,
        bets,
        seed: 1,
        winners: Some(u64::from(agencies) * WINNERS_EACH),
        winning_number,
        force: false,
        json: false,
    })?;
    Ok(dir)
}

fn hold(options: &Args, data: &Path, files: &[PathBuf], folder: &Path, stop: &StopSignal) -> Result<Report> {
    let store = folder.join("central");
    std::fs::create_dir(&store).map_err(|error| Error::at_path(Kind::Failed, &store, "make this folder", &error))?;
    let keys = options.tls.then(|| folder.join("keys"));
    if let Some(keys) = &keys {
        keys::init(keys, options.agencies, &[])?;
    }
    let keys_of = |party: &str| keys.as_ref().map(|keys| keys.join(party));
    let mut children = Children::new(folder, stop)?;
    let port = start_central(&mut children, options.agencies, &store, keys_of("central").as_deref())?;
    let mut show = Show::new(files, options.json);
    show.say(&format!("central: listens on port {port}; agencies that begin: {}", options.agencies))?;
    if options.tls {
        let refusal = refusal_without_tls(port)?;
        show.say("keys: made for the central and each agency, which prove with them who they are, over TLS 1.3")?;
        show.say(&format!("central: answers a request without TLS: {refusal}"))?;
    }
    let begun = Instant::now();
    for agency in 1..=options.agencies {
        let (id, address) = (agency.to_string(), format!("127.0.0.1:{port}"));
        let (data, winners) = (data.as_os_str(), winners_file(folder, agency as usize));
        let words = ["agency".as_ref(), "--id".as_ref(), id.as_ref(), "--server".as_ref(), address.as_ref()];
        let receipt = receipt_file(folder, agency as usize);
        let results = ["--winners".as_ref(), winners.as_os_str(), "--receipt".as_ref(), receipt.as_os_str()];
        let paths = ["--data".as_ref(), data].into_iter().chain(results);
        let (name, keys) = (format!("agency-{agency}"), keys_of(&format!("agency-{agency}")));
        children.start(&name, words.into_iter().chain(paths).chain(keys_flag(keys.as_deref())))?;
    }
    let times = watch(&mut children, &mut show, files.len())?;
    let total = begun.elapsed();
    children.stop(CENTRAL, STOP_LIMIT)?;

    let summaries = audit::compare(&store.join("bets.csv"), files, WINNING_NUMBER)?;
    for (agency, summary) in (1..).zip(&summaries) {
        audit::check_told(agency, summary, &winners_file(folder, agency))?;
    }
    show.leave_bars()?;
    show.say(&format!("\n{}", show::table(&summaries, &times, total)))?;
    show.say("bets.csv holds every bet of every file, once and in order; each agency was told its own winners;")?;
    show.say("the central and its agencies ended with exit code 0.")?;
    let receipts: Vec<PathBuf> = (1..=files.len()).map(|agency| receipt_file(folder, agency)).collect();
    let ca = keys.as_ref().map(|keys| keys.join("ca").join("ca.pem"));
    let seal = crate::audit::check_all(&store, data, &receipts, ca.as_deref())?;
    let signed = if options.tls { "; all of it is signed" } else { "" };
    show.say(&format!("seal: {seal}"))?;
    show.say(&format!(
        "audit: the seal and the winners come out again, and every agency holds a receipt of this seal{signed}."
    ))?;
    Ok(show::report(&summaries, &times, total, options.tls, seal))
}

/// Starts the central, and returns the port that it listens on.
fn start_central(children: &mut Children<'_>, agencies: u32, store: &Path, keys: Option<&Path>) -> Result<u16> {
    let (agencies, winning_number) = (agencies.to_string(), WINNING_NUMBER.to_string());
    let words = ["server", "--port", "0", "--bind", "127.0.0.1", "--client-amount", &agencies];
    let more = ["--winning-number", &winning_number, "--store"];
    let words = words.into_iter().chain(more).map(AsRef::as_ref);
    children.start("central", words.chain([store.as_os_str()]).chain(keys_flag(keys)))?;
    let deadline = Instant::now() + START_LIMIT;
    loop {
        let heard = children.hear(deadline.saturating_duration_since(Instant::now()))?;
        let silent = || Error::failed(format!("the central does not listen yet after {} s", START_LIMIT.as_secs()));
        let Some(line) = heard.ok_or_else(silent)?.line else {
            return Err(children.unexpected_end(CENTRAL));
        };
        if log_value(&line, "action") == Some("config") {
            let port = log_value(&line, "port").and_then(|port| port.parse().ok());
            return port.ok_or_else(|| Error::failed(format!("the central's log does not tell its port: {line}")));
        }
    }
}

fn keys_flag(keys: Option<&Path>) -> impl Iterator<Item = &OsStr> {
    keys.into_iter().flat_map(|keys| ["--keys".as_ref(), keys.as_os_str()])
}

/// What the central answers to a request without TLS. An error unless it is the refusal that such a request must get: the
/// agencies have keys, so they never send one, and this shows that nobody else can.
fn refusal_without_tls(port: u16) -> Result<String> {
    let ask = || -> io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        let (mut request, mut length, mut answer) = (Vec::new(), [0; frame::HEADER], Vec::new());
        frame::push(&mut request, &"HELLO|1");
        stream.write_all(&request)?;
        stream.read_exact(&mut length)?;
        stream.take(u32::from_be_bytes(length).into()).read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).trim_end().to_owned())
    };
    let answer = ask().map_err(|error| Error::failed(format!("the central: no answer without TLS: {error}")))?;
    if answer == Reply::Ack(Err(Refusal::NeedsTls)).to_string() {
        return Ok(answer);
    }
    Err(Error::failed(format!("the central takes a request without TLS, and answers {}", Quoted(&answer))))
}

/// Reads all logs until the last agency ends, and returns how long each agency took.
fn watch(children: &mut Children<'_>, show: &mut Show, agencies: usize) -> Result<Vec<Duration>> {
    let mut times = vec![None; agencies];
    while times.contains(&None) {
        let silent = || Error::failed(format!("no process has logged anything for {} s", SILENCE_LIMIT.as_secs()));
        let Message { child, line } = children.hear(SILENCE_LIMIT)?.ok_or_else(silent)?;
        match line {
            Some(line) if child == CENTRAL => show.central(&line)?,
            Some(line) => show.agency(child, &line)?,
            None if child == CENTRAL => return Err(children.unexpected_end(CENTRAL)),
            None => {
                let time = children.finish(child)?;
                show.finished(child);
                times[child - 1] = Some(time);
            }
        }
    }
    Ok(times.into_iter().flatten().collect())
}

fn winners_file(folder: &Path, agency: usize) -> PathBuf {
    folder.join(format!("winners-{agency}.txt"))
}

/// What the agency was shown of the seal.
fn receipt_file(folder: &Path, agency: usize) -> PathBuf {
    folder.join(format!("receipt-{agency}.json"))
}

/// Removes the folder, or tells where it is kept.
fn close(folder: TempDir, keep: bool) -> Result<Option<PathBuf>> {
    if keep {
        return Ok(Some(folder.keep()));
    }
    let path = folder.path().to_owned();
    let closed = folder.close().map_err(|error| Error::at_path(Kind::Failed, &path, "remove this folder", &error));
    closed.map(|()| None)
}
