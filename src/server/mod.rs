//! The central: an acceptor that knows which connections have something to say, a pool of workers that answer them, and
//! the lottery behind both. It never imports the agency.
//!
//! The way in is the way out: `acceptor` (readiness) → `pool` (a worker) → `session` (bytes to requests) → `central` (request
//! to entry or outcome) → the ledger's line → `central` again (verdict to outcome) → `session` (outcome to reply).

mod acceptor;
mod admit;
mod batch;
mod central;
mod connection;
mod disk_health;
mod ending;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod incoming;
mod kept;
mod keys;
mod lane;
mod lottery;
mod manager;
mod open;
mod outcome;
mod owed;
mod pool;
mod refuse;
mod session;
mod sight;
mod steps;
mod store;
#[cfg(any(test, fuzzing))]
#[cfg_attr(fuzzing, allow(dead_code))]
mod testing;
mod turn;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::ServerConfig;
use crate::domain::{OPERATOR_TOKEN as TOKEN, Rules, WinningNumber};
use crate::error::{Error, Kind, Result};
use crate::ledger::Store;
use crate::ledger::files::Recovered;
use crate::logging::{self, Event, EventResult};
use crate::observe::{self, Counts, Watch};
use crate::signals::StopSignal;
use acceptor::Acceptor;
use central::{Central, Token};
use keys::Keys;

/// What the kernel keeps of the replies to a peer that does not read them, in bytes. Left to itself, it would keep MiBs for each.
const SEND_BUFFER: usize = 32 * 1024;

/// Runs a central until it is told to stop.
pub fn run(config: &ServerConfig, stop: StopSignal) -> Result<()> {
    serve(config, stop).inspect_err(|error| Event::fail("shutdown").with("error", error).log())
}

fn serve(config: &ServerConfig, stop: StopSignal) -> Result<()> {
    raise_file_limit(config.max_connections);
    let keys = config.tls.as_ref().map(Keys::load).transpose()?;
    // A central that cannot listen leaves no files behind.
    let listener = listen(config)?;
    let watch = Arc::new(Watch::new(&config.store, config.http.map(|_| Counts::new())));
    // Before the store is opened: whoever asks is told that it recovers. It ends when this function does.
    let _http = serve_http(config, &watch)?;
    let store::Opened { store, recovered, config } = store::open(config, &watch)?;
    let config = &config;
    let address = listener.local_addr().map_err(|error| Error::failed(format!("cannot tell the port: {error}")))?;
    log_config(config, store.rules(), address);
    let token = make_token(config, &*store)?;
    let central = Arc::new(Central::new(config, keys, token, store, watch));
    log_recovery(&recovered, central.missing());
    central.watch_store();
    let (writer, (ending, ended)) = (Arc::clone(&central), crossbeam_channel::bounded(1));
    std::thread::Builder::new()
        .name("ledger".to_owned())
        // Nobody listens any more when a stop takes too long.
        .spawn(move || _ = ending.send(writer.write_until_closed()))
        .map_err(|error| Error::failed(format!("cannot start a thread: {error}")))?;
    let acceptor = Acceptor::new(config, mio::net::TcpListener::from_std(listener), stop, central, ended)
        .map_err(|error| Error::failed(format!("cannot start the central: {error}")))?;
    acceptor.run(config)
}

fn serve_http(config: &ServerConfig, watch: &Arc<Watch>) -> Result<Option<observe::Server>> {
    let Some(address) = config.http else { return Ok(None) };
    let (listener, address) = observe::bind(address)?;
    let server = observe::Server::start(listener, Arc::clone(watch))
        .map_err(|error| Error::failed(format!("{address}: cannot serve HTTP: {error}")))?;
    // Like the port, whatever the level is.
    logging::log_at_any_level(config.level.value, || Event::success("http").with("address", address));
    Ok(Some(server))
}

/// Without keys, a draw whose number comes later is held by whoever can read this file, or the database.
fn make_token(config: &ServerConfig, store: &dyn Store) -> Result<Option<Token>> {
    if config.tls.is_some() || store.rules().winning_number != WinningNumber::Later {
        return Ok(None);
    }
    if config.database.is_some() {
        return Ok(store.secrets().map(|secrets| Token::of(&secrets)));
    }
    let path = config.store.join(TOKEN);
    let made = Token::make(&path).map_err(|error| Error::at_path(Kind::Storage, &path, "write this file", &error))?;
    Ok(Some(made))
}

fn listen(config: &ServerConfig) -> Result<std::net::TcpListener> {
    let address = SocketAddr::new(config.bind, config.port.value);
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        // Accepted sockets inherit it.
        socket.set_send_buffer_size(SEND_BUFFER)?;
        if address.is_ipv6() {
            // All interfaces means those of IPv4 too.
            socket.set_only_v6(false)?;
        }
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(config.backlog.value).unwrap_or(i32::MAX))?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    open().map_err(|error: std::io::Error| {
        Error::failed(format!(
            "{address}: cannot listen: {error}; choose another --port or --bind, or 0 for a free port"
        ))
    })
}

/// Written whatever the level is: it is how a caller learns the port that was taken.
fn log_config(config: &ServerConfig, rules: Rules, address: SocketAddr) {
    let port = if config.port.value == 0 { address.port().to_string() } else { config.port.text.clone() };
    logging::log_at_any_level(config.level.value, || {
        let event = Event::success("config")
            .with("port", port)
            .with("listen_backlog", &config.backlog.text)
            .with("logging_level", &config.level.text)
            .with("client_amount", rules.roster)
            .with("winning_number", rules.winning_number)
            .with("store", config.store.display())
            .with("workers", config.workers);
        match &config.database {
            Some(database) => event.with("draw", &database.draw),
            None => event,
        }
    });
}

fn log_recovery(recovered: &Recovered, missing: Option<(u32, String)>) {
    // A drawn lottery takes no more bets, which may not be what was meant.
    let is_odd = recovered.kept_in.is_some() || recovered.restored_bytes > 0 || recovered.drawn.is_some();
    let level = if is_odd { log::Level::Warn } else { log::Level::Info };
    let mut event = Event::new(level, "recover", EventResult::Success).with("bets", recovered.bets);
    if let Some((done, missing)) = missing {
        event = event.with("done", done).with("missing", missing);
    }
    if recovered.after_crash {
        event = event.with("after", "crash").with("dropped_bytes", recovered.dropped_bytes);
    }
    if recovered.restored_bytes > 0 {
        event = event.with("restored_bytes", recovered.restored_bytes);
    }
    // A clean stop leaves none, but a disk may change what nobody has written.
    if recovered.after_crash || recovered.dropped_records > 0 {
        event = event.with("dropped_records", recovered.dropped_records);
    }
    if let Some(file) = &recovered.kept_in {
        event = event.with("dropped_rows", recovered.dropped_rows).with("kept_in", file);
    }
    if recovered.is_sealed {
        event = event.with("sealed", true);
    }
    if let Some(number) = recovered.drawn {
        event = event.with("drawn", number);
    }
    event.log();
}

/// Every connection is an open file, and systems start programs with a low limit that they may raise themselves.
fn raise_file_limit(connections: usize) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    const OTHER_FILES: u64 = 160;
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = connections as u64 + OTHER_FILES;
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(limit.maximum.map_or(wanted, |maximum| maximum.min(wanted)));
        // Without it the central still serves as many connections as it may.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}
