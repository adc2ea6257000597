//! The central's configuration: flags, environment, and the `[DEFAULT]` section of an ini file.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueHint;
use ini::{Ini, ParseOption};
use log::LevelFilter;

use super::setting::{Entry, Flags, Setting, Settings, Value};
use super::source::{Environment, Keys, Provenance, Sources};
use super::{DatabaseConfig, Plain, ServerConfig, Unbalanced, database, tls, values};
use crate::domain::{Quoted, Roster, SaidRules, WinningNumber};
use crate::error::{Error, Result};
use crate::logging::Form;
use crate::transport::Paths;

const SECTION: &str = "DEFAULT";
/// A key of the course's files that is accepted and has no effect.
const SERVER_IP: &str = "SERVER_IP";

const CONFIG: Setting<PathBuf> = Setting::new("config", "FILE", values::path)
    .about("The configuration file, an ini file with the section DEFAULT; only the default may be missing")
    .hint(ValueHint::FilePath)
    .default("config.ini");
const PORT: Setting<u16> =
    shared("SERVER_PORT", Setting::new("port", "PORT", |text| values::whole(text, 0..=u16::MAX)))
        .about("TCP port to listen on; 0 takes a free one, and the log says which")
        .default("12345");
const BIND: Setting<IpAddr> = shared("SERVER_BIND", Setting::new("bind", "ADDRESS", values::bind))
    .about("Address of this machine to listen on; 0.0.0.0 is all of them")
    .default("0.0.0.0");
/// The course's file sets 5. A burst of connections overflows that, and each client that is dropped waits a second or
/// more before it tries again. 128 is the backlog of Rust's standard listener.
const BACKLOG: Setting<u32> =
    shared("SERVER_LISTEN_BACKLOG", Setting::new("backlog", "CONNECTIONS", |text| values::whole(text, 0..=65_535)))
        .about("Connections that may wait to be accepted; the kernel may allow fewer")
        .default("128");
const LEVEL: Setting<LevelFilter> = shared("LOGGING_LEVEL", super::LEVEL);
const LOG_FORMAT: Setting<Form> = shared("LOGGING_FORMAT", super::LOG_FORMAT);
const CLIENT_AMOUNT: Setting<Roster> =
    shared("CLIENT_AMOUNT", Setting::new("client-amount", "AGENCIES", values::roster))
        .about("Agencies 1 to N take part; auto detects N; with 0 there is no lottery, only the echo server")
        .default("5");
const STORE: Setting<PathBuf> = shared("STORE_DIR", Setting::new("store", "DIR|URL", values::path))
    .about("Folder of bets.csv and its journal; or postgres://USER@HOST,HOST/NAME, which several centrals share")
    .hint(ValueHint::DirPath)
    .default(".");
const DB_PASSWORD: Setting<PathBuf> =
    shared("DB_PASSWORD_FILE", Setting::new("db-password-file", "FILE", values::path))
        .about("File of the password for the database, so that it stands in no list of processes")
        .hint(ValueHint::FilePath);
const DRAW: Setting<String> = shared("DRAW", Setting::new("draw", "NAME", database::draw))
    .about("Which of the draws of the database")
    .default(database::DRAW);
const WINNING_NUMBER: Setting<WinningNumber> = Setting::new("winning-number", "NUMBER", values::winning_number)
    .about("Number that wins the draw; later lets `quiniela draw` hold the draw, after betting is closed and sealed")
    .default("7574");
const HTTP: Setting<SocketAddr> = shared("HTTP", Setting::new("http", "ADDRESS", values::socket))
    .about("Address and port of this machine for metrics, readiness and pages over HTTP, such as 127.0.0.1:7574; off if not given");
const UNBALANCED: Setting<Unbalanced> = Setting::new("unbalanced", "WHAT", values::unbalanced)
    .about("What becomes of a DONE that declares other bets than are stored: refuse, or accept and say so in the acta")
    .choices(&values::UNBALANCED)
    .default("refuse");
const WORKERS: Setting<usize> = Setting::new("workers", "THREADS", |text| values::whole(text, 1..=1_024))
    .about("Threads that answer requests")
    .default("64");
const QUEUE: Setting<usize> = Setting::new("queue", "CONNECTIONS", connections)
    .about("Connections with something to read that may wait for a worker; more are refused")
    .default("4096");
const MAX_CONNECTIONS: Setting<usize> = Setting::new("max-connections", "CONNECTIONS", connections)
    .about("Connections open at once; more are refused")
    .default("20000");
const MAX_PER_ADDRESS: Setting<Option<usize>> =
    Setting::new("max-connections-per-address", "CONNECTIONS", |text| values::or_auto(text, connections))
        .about("Connections open at once from one address; more are refused; auto is a quarter of all, and at least 64")
        .default("auto");
const PEER_MEMORY: Setting<usize> = Setting::new("peer-memory", "MIB", |text| {
    values::whole(text, 1..=65_536).map(|mebibytes: usize| mebibytes << 20)
})
.about(
    "Memory in MiB for what all peers have begun or not read; beyond it, those that hold most for longest are refused",
)
.default("64");
const KEYS: Setting<PathBuf> = shared("TLS_KEYS", tls::KEYS);
const TLS_CA: Setting<PathBuf> = shared("TLS_CA", tls::CA);
const TLS_CERT: Setting<PathBuf> = shared("TLS_CERT", tls::CERT);
const TLS_KEY: Setting<PathBuf> = shared("TLS_KEY", tls::KEY);
const TLS_CRL: Setting<PathBuf> = shared("TLS_CRL", tls::CRL);
const PLAIN: Setting<Plain> = shared("TLS_PLAIN", Setting::new("plain", "WHAT", values::plain))
    .about("With keys, what connections without TLS get: echo sends lines back, none closes them")
    .choices(&values::PLAIN)
    .default("echo");
const FRAME_DEADLINE: Setting<Duration> = Setting::new("frame-deadline", "DURATION", values::limit)
    .about("Time from a frame's first byte to its last, and for a peer to take its replies, such as 10s or 500ms")
    .default("10s");
const STOP_TIMEOUT: Setting<Duration> = Setting::new("stop-timeout", "DURATION", values::limit)
    .about("Time that a stop may take, such as 5s or 500ms")
    .default("5s");
const QUIET_TIME: Setting<Duration> = Setting::new("quiet-time", "DURATION", values::pause)
    .about("With --client-amount auto: time without a new agency before the draw, such as 5s or 500ms")
    .default("5s");

/// Runs the central: takes bets, keeps them on disk, holds the draw, answers with the winners.
///
/// It runs until SIGTERM or SIGINT. A flag overrides its environment variable, which overrides the configuration file,
/// which overrides the default.
///
/// Example: quiniela server --port 12345 --client-amount 5 --store /var/lib/quiniela
#[derive(clap::Args, Debug)]
pub struct ServerArgs {
    #[command(flatten)]
    flags: Flags<Self>,

    /// Print every setting and where its value came from, and exit
    #[arg(long, display_order = 0)]
    pub print_config: bool,

    /// With --print-config, print one JSON object
    #[arg(long, requires = "print_config", display_order = 0)]
    pub json: bool,

    /// Take an agency's DONE only with its signature over what it has sent; this needs --keys
    #[arg(long)]
    pub require_signed: bool,

    /// Take only a database whose commits wait for a standby, instead of warning of another
    #[arg(long)]
    pub require_standby: bool,

    /// Stop when standard input ends, as the demo's processes do
    #[arg(long, hide = true)]
    pub stop_on_eof: bool,
}

/// Checks that the central on this machine echoes a line, and exits with 0 if it does: a container's health check.
///
/// Port and address are resolved as the central resolves them: flag, environment, configuration file, default.
///
/// With --keys it asks over TLS, and the central's certificate must be for the address that it asks.
///
/// Example: quiniela health --port 12345
#[derive(clap::Args, Debug)]
pub struct HealthArgs {
    #[command(flatten)]
    flags: Flags<Self>,

    /// Print one JSON object, where otherwise nothing is printed
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub keys: tls::ClientKeys,
}

impl Settings for ServerArgs {
    const ALL: &'static [&'static dyn Entry] = &[
        &CONFIG,
        &PORT,
        &BIND,
        &BACKLOG,
        &LEVEL,
        &LOG_FORMAT,
        &CLIENT_AMOUNT,
        &STORE,
        &DB_PASSWORD,
        &DRAW,
        &KEYS,
        &TLS_CA,
        &TLS_CERT,
        &TLS_KEY,
        &TLS_CRL,
        &PLAIN,
        &WINNING_NUMBER,
        &WORKERS,
        &QUEUE,
        &MAX_CONNECTIONS,
        &MAX_PER_ADDRESS,
        &PEER_MEMORY,
        &FRAME_DEADLINE,
        &STOP_TIMEOUT,
        &QUIET_TIME,
        &UNBALANCED,
        &HTTP,
    ];
}

impl Settings for HealthArgs {
    const ALL: &'static [&'static dyn Entry] = &[
        &CONFIG.about("The central's configuration file; only the default may be missing"),
        &PORT.about("TCP port that the central listens on"),
        &BIND.about("Address that the central listens on; 0.0.0.0 and :: are asked at 127.0.0.1, then at ::1"),
    ];
}

/// Resolves the configuration, and records where each value came from.
pub fn resolve(args: &ServerArgs, environment: &Environment<'_>) -> Result<(ServerConfig, Provenance)> {
    let mut sources = Sources::new(&args.flags, environment, &CONFIG, parse_ini)?;
    sources.mention(SERVER_IP, "accepted and ignored: --bind sets the address")?;
    let tls_settings = [&KEYS, &TLS_CA, &TLS_CERT, &TLS_KEY, &TLS_CRL];
    let (tls, plain) = match tls::pick(&mut sources, tls_settings, Paths::of_central)? {
        Some(paths) => (Some(paths), sources.pick(&PLAIN)?.value),
        None if sources.find(&PLAIN)?.is_none() => (None, Plain::All),
        None => return Err(Error::bad_input("--plain is for a central with keys: give --keys DIR too")),
    };
    let (store, database) = pick_store(&mut sources, args.require_standby)?;
    let said_unbalanced = said(&mut sources, &UNBALANCED)?;
    let config = ServerConfig {
        store,
        database,
        said_unbalanced,
        unbalanced: said_unbalanced.unwrap_or(Unbalanced::Refuse),
        tls,
        plain,
        port: sources.pick(&PORT)?,
        bind: sources.pick(&BIND)?.value,
        backlog: sources.pick(&BACKLOG)?,
        level: sources.pick(&LEVEL)?,
        log_format: sources.pick(&LOG_FORMAT)?.value,
        rules: SaidRules {
            roster: said(&mut sources, &CLIENT_AMOUNT)?,
            winning_number: said(&mut sources, &WINNING_NUMBER)?,
        },
        workers: sources.pick(&WORKERS)?.value,
        queue: sources.pick(&QUEUE)?.value,
        max_connections: sources.pick(&MAX_CONNECTIONS)?.value,
        max_per_address: sources.pick(&MAX_PER_ADDRESS)?.value,
        peer_memory: sources.pick(&PEER_MEMORY)?.value,
        frame_deadline: sources.pick(&FRAME_DEADLINE)?.value,
        stop_timeout: sources.pick(&STOP_TIMEOUT)?.value,
        quiet_time: sources.pick(&QUIET_TIME)?.value,
        require_signed: args.require_signed,
        http: sources.find(&HTTP)?.map(|http| http.value),
    };
    if config.database.is_some() && config.rules.roster == Some(Roster::Auto) {
        return Err(Error::bad_input(
            "--client-amount auto is for a central alone: with a database say how many agencies take part",
        ));
    }
    if config.require_signed && config.tls.is_none() {
        return Err(Error::bad_input("--require-signed is for a central with keys: give --keys DIR too"));
    }
    Ok((config, sources.into_provenance()))
}

/// The folder, or the address of a database and how it is used.
fn pick_store(sources: &mut Sources<'_>, require_standby: bool) -> Result<(PathBuf, Option<DatabaseConfig>)> {
    let store = sources.pick(&STORE)?.value;
    let Some(text) = database::database(&store) else {
        // A file or an environment may name them for other centrals.
        let is_said = sources.is_flag(&DB_PASSWORD) || sources.is_flag(&DRAW) || require_standby;
        if is_said {
            return Err(Error::bad_input(
                "--draw, --db-password-file and --require-standby are for a database: give --store postgres://… too",
            ));
        }
        return Ok((store, None));
    };
    let password_file = sources.find(&DB_PASSWORD)?.map(|said| said.value);
    let draw = sources.pick(&DRAW)?.value;
    let url = database::url(text, password_file.as_deref(), &sources.origin(&STORE))?;
    Ok((PathBuf::from(url.to_string()), Some(DatabaseConfig { url, draw, require_standby })))
}

/// A value for [`SaidRules`]: none if only the default gives it, since the store's own rules then decide.
fn said<T: Value>(sources: &mut Sources<'_>, setting: &Setting<T>) -> Result<Option<T>> {
    match sources.find(setting)? {
        Some(found) => Ok(Some(found.value)),
        None => sources.default(setting).map(|_| None),
    }
}

/// The address where a central with the same flags, environment and file listens.
pub fn resolve_health(args: &HealthArgs, environment: &Environment<'_>) -> Result<SocketAddr> {
    let mut sources = Sources::new(&args.flags, environment, &CONFIG, parse_ini)?;
    Ok(SocketAddr::new(sources.pick(&BIND)?.value, sources.pick(&PORT)?.value))
}

/// Reads the file as Python's configparser reads the course's files. Case matters in the section's name and not in
/// keys. A comment needs a line of its own: in `5 ; five` it is part of the value. So are quotes and backslashes.
/// Unlike in configparser, `%` has no meaning.
pub(super) fn parse_ini(text: &str) -> Result<Keys, String> {
    let keys: Vec<_> = ServerArgs::ALL.iter().filter_map(|setting| setting.key()).chain([SERVER_IP]).collect();
    let form = "a line is [DEFAULT], KEY = value, or a comment behind # or ;, and no value ends with \\";
    // rust-ini would join a line of any other form, or one that ends with \, with the lines below it.
    let is_line = |line: &str| match line.chars().next() {
        None | Some('#' | ';') => true,
        Some('[') => line.ends_with(']'),
        Some(_) => line.contains(['=', ':']) && !line.ends_with('\\'),
    };
    if let Some(stray) = text.lines().position(|line| !is_line(line.trim())) {
        return Err(format!("line {}: {form}", stray + 1));
    }
    let options = ParseOption { enabled_quote: false, enabled_escape: false, ..ParseOption::default() };
    let ini = Ini::load_from_str_opt(text, options).map_err(|error| format!("line {}: {form}", error.line))?;
    let mut values = Keys::new();
    for (section, properties) in ini.iter() {
        match section {
            Some(SECTION) => {}
            Some(other) => return Err(format!("section {}: allowed is [{SECTION}] alone", Quoted(other))),
            None if properties.is_empty() => {}
            None => return Err(format!("a key comes before the line [{SECTION}]; move it below")),
        }
        for (found, value) in properties.iter() {
            let Some(key) = keys.iter().find(|key| key.eq_ignore_ascii_case(found)) else {
                return Err(format!("unknown key {}: allowed are {}", Quoted(found), keys.join(", ")));
            };
            if values.insert(key, value.trim().to_owned()).is_some() {
                return Err(format!("key {key} is there twice; give it once"));
            }
        }
    }
    Ok(values)
}

/// A setting that has the same name in the file and in the environment.
const fn shared<T: Value>(key: &'static str, setting: Setting<T>) -> Setting<T> {
    setting.environment(key).key(key)
}

fn connections(text: &str) -> Result<usize, String> {
    values::whole(text, 1..=1_000_000)
}
