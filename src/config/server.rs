//! The central's configuration: flags, environment, and the `[DEFAULT]` section of an ini file.

use std::collections::BTreeMap;

use ini::{Ini, ParseOption};

use super::ServerConfig;
use super::source::{ConfigFile, Environment, Provenance, Sources};
use crate::cli::{HealthArgs, ServerArgs};
use crate::domain::Quoted;
use crate::error::Result;

const SECTION: &str = "DEFAULT";
const KEYS: [&str; 6] =
    ["SERVER_PORT", "SERVER_IP", "SERVER_LISTEN_BACKLOG", "LOGGING_LEVEL", "CLIENT_AMOUNT", "STORE_DIR"];

/// Everything that can be set.
pub mod settings {
    use std::net::IpAddr;
    use std::path::PathBuf;
    use std::time::Duration;

    use log::LevelFilter;

    use crate::config::source::Setting;
    use crate::config::values;
    use crate::domain::Roster;

    /// One that the file and the environment know by the same name.
    const fn shared<T: Clone + Send + Sync + 'static>(key: &'static str, setting: Setting<T>) -> Setting<T> {
        Setting { environment: Some(key), key: Some(key), ..setting }
    }

    pub const PORT: Setting<u16> = shared(
        "SERVER_PORT",
        Setting::flag(
            "port",
            "12345",
            "TCP port to listen on; 0 takes a free one, and the log says which",
            values::port,
        ),
    );
    pub const BIND: Setting<IpAddr> =
        Setting::flag("bind", "0.0.0.0", "Address of this machine to listen on; 0.0.0.0 is all of them", values::bind);
    /// The course's file says 5, which a burst of connections overflows, and an overflow costs a client a second and
    /// more until it tries again. 128 is what Rust's own listener asks for.
    pub const BACKLOG: Setting<u32> = shared(
        "SERVER_LISTEN_BACKLOG",
        Setting::flag(
            "backlog",
            "128",
            "Connections that may wait to be accepted; the kernel may allow fewer",
            values::backlog,
        ),
    );
    pub const LEVEL: Setting<LevelFilter> = shared(
        "LOGGING_LEVEL",
        Setting::flag("log-level", "INFO", "Least grave level that is logged, by Python's or Go's name", values::level),
    );
    pub const CLIENT_AMOUNT: Setting<Roster> = shared(
        "CLIENT_AMOUNT",
        Setting::flag(
            "client-amount",
            "5",
            "Agencies 1 to N take part; auto finds N out; with 0 there is no lottery, only the echo server",
            values::roster,
        ),
    );
    pub const STORE: Setting<PathBuf> =
        shared("STORE_DIR", Setting::flag("store", ".", "Folder of bets.csv and its journal", values::path));
    pub const WINNING_NUMBER: Setting<u32> =
        Setting::flag("winning-number", "7574", "Number that wins the draw", values::number);
    pub const WORKERS: Setting<usize> = Setting::flag("workers", "64", "Threads that answer requests", values::workers);
    pub const QUEUE: Setting<usize> = Setting::flag(
        "queue",
        "4096",
        "Connections with something to read that may wait for a worker; more are refused",
        values::connections,
    );
    pub const MAX_CONNECTIONS: Setting<usize> =
        Setting::flag("max-connections", "20000", "Connections open at once; more are refused", values::connections);
    pub const FRAME_DEADLINE: Setting<Duration> = Setting::flag(
        "frame-deadline",
        "10s",
        "Time from a frame's first byte to its last, and for a peer to take its replies, as 10s or 500ms",
        values::limit,
    );
    pub const STOP_TIMEOUT: Setting<Duration> =
        Setting::flag("stop-timeout", "5s", "Time that a stop may take, as 5s or 500ms", values::limit);
    pub const QUIET_TIME: Setting<Duration> = Setting::flag(
        "quiet-time",
        "5s",
        "With --client-amount auto: time without a new agency before the draw, as 5s or 500ms",
        values::pause,
    );
}

/// The resolved configuration and where each of its values came from.
pub fn resolve(args: &ServerArgs, environment: &Environment<'_>) -> Result<(ServerConfig, Provenance)> {
    let mut sources = Sources::new(environment, ConfigFile::read(&args.config, parse_ini)?);
    sources.mention("SERVER_IP", "accepted and not used: --bind says where to listen")?;
    let config = ServerConfig {
        port: sources.pick(&settings::PORT, &args.port)?,
        bind: sources.pick(&settings::BIND, &args.bind)?.value,
        backlog: sources.pick(&settings::BACKLOG, &args.backlog)?,
        level: sources.pick(&settings::LEVEL, &args.log_level)?,
        roster: sources.pick(&settings::CLIENT_AMOUNT, &args.client_amount)?.value,
        store: sources.pick(&settings::STORE, &args.store)?.value,
        winning_number: sources.pick(&settings::WINNING_NUMBER, &args.winning_number)?.value,
        workers: sources.pick(&settings::WORKERS, &args.workers)?.value,
        queue: sources.pick(&settings::QUEUE, &args.queue)?.value,
        max_connections: sources.pick(&settings::MAX_CONNECTIONS, &args.max_connections)?.value,
        frame_deadline: sources.pick(&settings::FRAME_DEADLINE, &args.frame_deadline)?.value,
        stop_timeout: sources.pick(&settings::STOP_TIMEOUT, &args.stop_timeout)?.value,
        quiet_time: sources.pick(&settings::QUIET_TIME, &args.quiet_time)?.value,
    };
    Ok((config, sources.into_provenance()))
}

/// The port that a central on this machine listens on, found just as the central finds it.
pub fn resolve_port(args: &HealthArgs, environment: &Environment<'_>) -> Result<u16> {
    let mut sources = Sources::new(environment, ConfigFile::read(&args.config, parse_ini)?);
    Ok(sources.pick(&settings::PORT, &args.port)?.value)
}

/// Reads the file as Python's configparser does where the course's files can tell the difference: keys match in any
/// case, the section's name does not; a comment has a line of its own, so that `5 ; five` is no number; quotes and
/// backslashes are part of a value. Unlike there, `%` means nothing: no value that is allowed holds one but a path.
fn parse_ini(text: &str) -> Result<BTreeMap<&'static str, String>, String> {
    let form = "a line is [DEFAULT], KEY = value, or a comment behind # or ;";
    // The parser reads a key over several lines, to the next sign that ends one.
    let is_line = |line: &str| line.is_empty() || line.starts_with(['#', ';', '[']) || line.contains(['=', ':']);
    if let Some(stray) = text.lines().position(|line| !is_line(line.trim())) {
        return Err(format!("line {}: {form}", stray + 1));
    }
    let options = ParseOption { enabled_quote: false, enabled_escape: false, ..ParseOption::default() };
    let ini =
        Ini::load_from_str_opt(text, options).map_err(|error| format!("line {}: {}; {form}", error.line, error.msg))?;
    let mut values = BTreeMap::new();
    for (section, properties) in ini.iter() {
        match section {
            Some(SECTION) => {}
            Some(other) => return Err(format!("section {}: allowed is [{SECTION}] alone", Quoted(other))),
            None if properties.is_empty() => {}
            None => return Err(format!("a key stands before the line [{SECTION}], where none may")),
        }
        for (found, value) in properties.iter() {
            let Some(key) = KEYS.into_iter().find(|key| key.eq_ignore_ascii_case(found)) else {
                return Err(format!("unknown key {}: allowed are {}", Quoted(found), KEYS.join(", ")));
            };
            if values.insert(key, value.trim().to_owned()).is_some() {
                return Err(format!("key {key} is there twice, and may be once"));
            }
        }
    }
    Ok(values)
}
