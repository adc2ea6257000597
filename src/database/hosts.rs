//! The servers of a database. One of them takes writes; which one can change at any moment.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio_postgres::config::SslMode as DriverMode;
use tokio_postgres::{Config, Row};

use super::failure::Failure;
use super::runtime::Runtime;
use super::schema;
use super::session::{Session, column};
use super::tls;
use super::url::{Host, Limits, SslMode, Url};

/// The oldest release that this program is tested with.
const OLDEST: i32 = 150_000;

/// Something that an operator should know, although no request has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    Connected {
        host: String,
    },
    /// Commits wait for no other machine.
    NoStandby {
        host: String,
    },
    Away {
        reason: String,
    },
}

pub type Tell = Arc<dyn Fn(Warning) + Send + Sync>;

/// See the module.
pub struct Hosts {
    runtime: Arc<Runtime>,
    url: Url,
    needs_standby: bool,
    /// The place of the server that is tried first.
    first: AtomicUsize,
    tell: Tell,
    told: Mutex<Told>,
}

/// What was told last, so that it is told once: the server, the one without a standby, and why there is none.
#[derive(Default)]
struct Told {
    connected: Option<String>,
    alone: Option<String>,
    away: Option<String>,
}

/// What a new connection is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Ledger,
    /// To make or change the schema, whatever it is.
    Schema,
}

impl Hosts {
    pub fn new(url: Url, needs_standby: bool, tell: Tell) -> io::Result<Hosts> {
        let runtime = Arc::new(Runtime::start()?);
        Ok(Hosts { runtime, url, needs_standby, first: AtomicUsize::new(0), tell, told: Mutex::default() })
    }

    pub fn url(&self) -> &Url {
        &self.url
    }

    pub fn limits(&self) -> Limits {
        self.url.limits
    }

    /// Connects to the first server that takes writes, host by host, each within its own deadline. A schema that this program
    /// does not know is refused.
    pub fn connect(&self) -> Result<Session, Failure> {
        self.connect_for(Use::Ledger)
            .inspect_err(|failure| self.tell_once(Warning::Away { reason: failure.to_string() }))
    }

    pub fn connect_for_schema(&self) -> Result<Session, Failure> {
        self.connect_for(Use::Schema)
    }

    /// Tries this session's server last from now on: it has hung, or has lost what it had.
    pub fn pass_over(&self, session: &Session) {
        let next = (session.place + 1) % self.url.hosts.len();
        let _ = self.first.compare_exchange(session.place, next, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Does something over a session, and over another one if that is lost, as long as patience lasts. Whatever is tried may have
    /// been done before although its session was lost.
    pub fn with_patience<T>(
        &self,
        session: &mut Option<Session>,
        is_stopping: &(dyn Fn() -> bool + Sync),
        mut attempt: impl FnMut(&Session) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let begun = Instant::now();
        loop {
            let failure = match self.once(session, &mut attempt) {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            // It may be in the middle of a transaction.
            if let (Some(lost), Failure::Away(_)) = (session.take(), &failure) {
                self.pass_over(&lost);
            }
            let is_passing = matches!(failure, Failure::Away(_) | Failure::Again(_));
            if !is_passing || begun.elapsed() >= self.url.limits.patience || is_stopping() {
                return Err(failure);
            }
            pause();
        }
    }

    fn once<T>(
        &self,
        session: &mut Option<Session>,
        attempt: &mut impl FnMut(&Session) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let live = match session.take() {
            Some(live) => live,
            None => self.connect()?,
        };
        attempt(session.insert(live))
    }

    /// Lets nothing take longer than this from now on, however long it may take otherwise.
    pub fn hurry(&self, limit: Duration) {
        self.runtime.hurry(limit);
    }

    /// Tells of a server without a standby. The failure says so too if one is needed.
    pub fn check_standby(&self, host: &str, names: &str) -> Result<(), Failure> {
        if !names.trim().is_empty() {
            self.told.lock().alone = None;
            return Ok(());
        }
        if self.needs_standby {
            return Err(Failure::Away(format!(
                "{host}: synchronous_standby_names is empty, and --require-standby takes only a server whose commits wait \
                 for a standby"
            )));
        }
        self.tell_once(Warning::NoStandby { host: host.to_owned() });
        Ok(())
    }

    fn tell_once(&self, news: Warning) {
        let mut told = self.told.lock();
        let before = match &news {
            Warning::Connected { host } if told.away.take().is_some() => {
                told.connected = Some(host.clone());
                None
            }
            Warning::Connected { host } => told.connected.replace(host.clone()),
            Warning::NoStandby { host } => told.alone.replace(host.clone()),
            Warning::Away { reason } => told.away.replace(reason.clone()),
        };
        drop(told);
        let (Warning::Connected { host: text } | Warning::NoStandby { host: text } | Warning::Away { reason: text }) =
            &news;
        if before.as_ref() != Some(text) {
            (self.tell)(news);
        }
    }

    fn connect_for(&self, purpose: Use) -> Result<Session, Failure> {
        let hosts = &self.url.hosts;
        let first = self.first.load(Ordering::SeqCst);
        let (mut reasons, mut is_misfit) = (Vec::new(), false);
        for place in (0..hosts.len()).map(|place| (first + place) % hosts.len()) {
            match self.connect_to(place, purpose) {
                Ok(session) => {
                    self.first.store(place, Ordering::SeqCst);
                    return Ok(session);
                }
                Err(failure) => {
                    // Whoever takes writes and does not fit is the one that was meant.
                    is_misfit |= matches!(failure, Failure::Misfit(_));
                    reasons.push(failure.to_string());
                }
            }
        }
        let reasons = reasons.join("; ");
        Err(if is_misfit { Failure::Misfit(reasons) } else { Failure::Away(reasons) })
    }

    fn connect_to(&self, place: usize, purpose: Use) -> Result<Session, Failure> {
        let host = &self.url.hosts[place];
        let limit = self.url.limits.connect;
        let mode = if host.is_socket() { SslMode::Disable } else { self.url.ssl_of(host) };
        let tls = tls::connector(mode, self.url.root_cert.as_deref()).map_err(Failure::Misfit)?;
        let (config, settings, name) = (self.config(host, mode), settings(self.url.limits), host.to_string());
        let (runtime, needs_schema) = (Arc::clone(&self.runtime), purpose == Use::Ledger);
        let connected = self.runtime.wait(limit, async move {
            let failure = |error: tokio_postgres::Error| Failure::of(&name, &error);
            let (client, connection) = config.connect(tls).await.map_err(failure)?;
            // From here on the connection is driven, and closed if the deadline comes.
            let session = Session::new(&runtime, client, connection, name.clone(), place);
            let client = session.client();
            client.batch_execute(&settings).await.map_err(failure)?;
            let found = client.query_one(LOOK, &[]).await.map_err(failure)?;
            let version = if needs_schema {
                Some(version(client.query_opt("SELECT version FROM quiniela_schema", &[]).await).map_err(failure)?)
            } else {
                None
            };
            Ok((session, found, version))
        });
        let late = || Failure::Away(format!("{host}: no connection within {}", humantime::format_duration(limit)));
        let (session, found, version) = connected.ok_or_else(late)??;
        let names = look(&session.host, &found)?;
        if let Some(version) = version {
            schema::check(&session.host, version)?;
            self.tell_once(Warning::Connected { host: session.host.clone() });
            self.check_standby(&session.host, &names)?;
        }
        Ok(session)
    }

    fn config(&self, host: &Host, mode: SslMode) -> Config {
        let mut config = Config::new();
        config.user(&self.url.user).dbname(&self.url.database).application_name("quiniela");
        config.host(&host.name).port(host.port);
        if let Some(password) = self.url.password() {
            config.password(password);
        }
        config.ssl_mode(match mode {
            SslMode::Disable => DriverMode::Disable,
            SslMode::Prefer => DriverMode::Prefer,
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => DriverMode::Require,
        });
        config.connect_timeout(self.url.limits.connect).tcp_user_timeout(self.url.limits.commit);
        config
            .keepalives(true)
            .keepalives_idle(KEEPALIVE)
            .keepalives_interval(Duration::from_secs(1))
            .keepalives_retries(3);
        config
    }
}

/// Time of silence before either end probes the other.
const KEEPALIVE: Duration = Duration::from_secs(3);

/// Waits a moment before another attempt, a random one: others try too.
pub fn pause() {
    std::thread::sleep(Duration::from_millis(fastrand::u64(10..100)));
}

const LOOK: &str = "SELECT current_setting('transaction_read_only'), pg_is_in_recovery(), \
    current_setting('synchronous_standby_names'), current_setting('server_version_num')::int";

/// A session that hangs with locks is ended by the server within seconds. No timeout may end a statement: COMMIT is one, and
/// would then be reported as done without its standby.
fn settings(limits: Limits) -> String {
    let commit = limits.commit.as_millis();
    let (lock, idle) = (commit * 4 / 5, KEEPALIVE.as_secs());
    format!(
        "SET synchronous_commit = on; SET client_min_messages = warning; SET statement_timeout = 0; \
         SET lock_timeout = {lock}; SET idle_in_transaction_session_timeout = {commit}; \
         SET default_transaction_isolation = 'read committed'; SET client_connection_check_interval = '1s'; \
         SET tcp_keepalives_idle = {idle}; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 3; \
         SET tcp_user_timeout = {commit}"
    )
}

/// The names of the standbys that commits wait for, of a server that takes writes.
fn look(host: &str, found: &Row) -> Result<String, Failure> {
    let (read_only, is_standby): (String, bool) = (column(found, 0)?, column(found, 1)?);
    let release: i32 = column(found, 3)?;
    if release < OLDEST {
        return Err(Failure::Misfit(format!("{host}: PostgreSQL {release} is too old; 15 and later are supported")));
    }
    if is_standby || read_only != "off" {
        let what = if is_standby { "is a standby" } else { "only reads" };
        return Err(Failure::Away(format!("{host}: {what}")));
    }
    column(found, 2)
}

/// The version of the schema. None if there is none.
fn version(found: Result<Option<Row>, tokio_postgres::Error>) -> Result<Option<i32>, tokio_postgres::Error> {
    match found {
        Ok(row) => Ok(row.and_then(|row| row.try_get(0).ok())),
        Err(error) if error.code().is_some_and(|code| code.code() == "42P01") => Ok(None),
        Err(error) => Err(error),
    }
}
