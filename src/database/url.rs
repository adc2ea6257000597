//! The address of a database, as its users write it: `postgres://user@host1,host2/name?…`.

use std::path::PathBuf;
use std::time::Duration;

/// How an agency waits for a reply, in seconds: whoever keeps it waiting for longer has lost it.
const REPLY_SECONDS: u64 = 30;
const PORT: u16 = 5432;

/// Where a database is, and how it is spoken to.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    pub hosts: Vec<Host>,
    pub user: String,
    password: Option<String>,
    pub database: String,
    pub ssl: Option<SslMode>,
    pub root_cert: Option<PathBuf>,
    pub limits: Limits,
    shown: String,
}

/// A server. A name that begins with a slash is the folder of a socket on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    pub name: String,
    pub port: u16,
}

/// What libpq calls `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// How long things may take: to connect, log in and look at one server; to store a group; to keep trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub connect: Duration,
    pub commit: Duration,
    pub patience: Duration,
}

const DEFAULT: Limits =
    Limits { connect: Duration::from_secs(2), commit: Duration::from_secs(5), patience: Duration::from_secs(20) };

const KEYS: &str =
    "sslmode, sslrootcert, host, port, target_session_attrs, connect_timeout, commit_timeout and patience";

/// Whether a store's name is that of a database, and not of a folder.
pub fn is_url(text: &str) -> bool {
    text.starts_with("postgres://") || text.starts_with("postgresql://")
}

/// A text that may be shown: if it is the address of a database, its password is not.
pub fn masked(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://").filter(|_| is_url(text)) else { return text.to_owned() };
    // A password may hold any character, though it should not: what stands before the last @ is taken for its own.
    let rest = match rest.rsplit_once('@') {
        Some((user, place)) => {
            let user = user.split_once(':').map_or(user.to_owned(), |(user, _)| format!("{user}:***"));
            format!("{user}@{place}")
        }
        None => rest.to_owned(),
    };
    let Some((before, query)) = rest.split_once('?') else { return format!("{scheme}://{rest}") };
    let hide = |pair: &str| if pair.starts_with("password=") { "password=***".to_owned() } else { pair.to_owned() };
    format!("{scheme}://{before}?{}", query.split('&').map(hide).collect::<Vec<_>>().join("&"))
}

impl Url {
    /// The error says what is wrong, and shows no password.
    pub fn parse(text: &str) -> Result<Url, String> {
        let (_, rest) = text.split_once("://").filter(|_| is_url(text)).ok_or("it is postgres://user@host/name")?;
        if text.chars().any(char::is_control) {
            return Err("a control character is written as % and two hexadecimal digits".to_owned());
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, servers) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = match user.split_once(':') {
            Some((user, password)) => (decoded(user)?, Some(decoded(password)?)),
            None => (decoded(user)?, None),
        };
        let database = decoded(database)?;
        let mut url = Url {
            hosts: Vec::new(),
            database: if database.is_empty() { user.clone() } else { database },
            user,
            password,
            ssl: None,
            root_cert: None,
            limits: DEFAULT,
            shown: masked(text),
        };
        let (mut names, mut ports) = (None, None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or_else(|| format!("behind the ? stand {KEYS}, each with ="))?;
            let value = decoded(value)?;
            match key {
                "sslmode" => url.ssl = Some(ssl_mode(&value)?),
                "sslrootcert" => url.root_cert = Some(PathBuf::from(value)),
                "host" => names = Some(value),
                "port" => ports = Some(port(&value)?),
                "target_session_attrs" if matches!(&*value, "read-write" | "primary") => {}
                "connect_timeout" => url.limits.connect = seconds(key, &value)?,
                "commit_timeout" => url.limits.commit = seconds(key, &value)?,
                "patience" => url.limits.patience = seconds(key, &value)?,
                "password" => return Err("a password stands before the host, or in --db-password-file".to_owned()),
                _ => return Err(format!("behind the ? can stand {KEYS}")),
            }
        }
        let servers = names.as_deref().unwrap_or(servers);
        for server in servers.split(',').filter(|server| !server.is_empty()) {
            url.hosts.push(host(server, ports.unwrap_or(PORT))?);
        }
        url.check()?;
        Ok(url)
    }

    fn check(&self) -> Result<(), String> {
        if self.hosts.is_empty() || self.user.is_empty() || self.database.is_empty() {
            return Err("it names a user, one host or several with commas between them, and a database: \
                        postgres://user@host1,host2/name"
                .to_owned());
        }
        let needs_root = matches!(self.ssl, Some(SslMode::VerifyCa | SslMode::VerifyFull));
        if needs_root && self.root_cert.is_none() {
            return Err("sslmode=verify-ca and verify-full need sslrootcert=FILE".to_owned());
        }
        let Limits { connect, commit, patience } = self.limits;
        if connect >= commit || commit >= patience || patience.as_secs() >= REPLY_SECONDS {
            return Err(format!(
                "connect_timeout < commit_timeout < patience < {REPLY_SECONDS} s, for which an agency waits: found {}, {} and {} s",
                connect.as_secs(),
                commit.as_secs(),
                patience.as_secs()
            ));
        }
        Ok(())
    }

    /// The same with a password from elsewhere.
    pub fn with_password(self, password: String) -> Result<Url, String> {
        match self.password {
            Some(_) => Err("its password stands there and in --db-password-file: give one of them".to_owned()),
            None => Ok(Url { password: Some(password), ..self }),
        }
    }

    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// How this server is to be spoken to. Nothing may go over a network in the clear unless that was said.
    pub fn ssl_of(&self, host: &Host) -> SslMode {
        match (self.ssl, &self.root_cert) {
            // As libpq has it.
            (Some(SslMode::Require), Some(_)) => SslMode::VerifyCa,
            (Some(mode), _) => mode,
            (None, Some(_)) => SslMode::VerifyFull,
            (None, None) if host.is_local() => SslMode::Prefer,
            (None, None) => SslMode::Require,
        }
    }
}

/// Without the password.
impl std::fmt::Display for Url {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.shown)
    }
}

impl std::fmt::Debug for Url {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.shown)
    }
}

impl Host {
    pub fn is_socket(&self) -> bool {
        self.name.starts_with('/')
    }

    fn is_local(&self) -> bool {
        let is_loopback = self.name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        self.is_socket() || self.name == "localhost" || is_loopback
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Host { name, port } = self;
        if name.contains(':') { write!(out, "[{name}]:{port}") } else { write!(out, "{name}:{port}") }
    }
}

fn host(text: &str, default: u16) -> Result<Host, String> {
    let (name, port_text) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, rest)) => (name, rest.strip_prefix(':')),
        None => match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        },
    };
    let port = port_text.map(port).transpose()?.unwrap_or(default);
    let name = decoded(name)?;
    // It stands in log lines and in replies.
    if name.chars().any(char::is_control) {
        return Err("a host's name has no control character".to_owned());
    }
    Ok(Host { name, port })
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|port| *port > 0).ok_or_else(|| "a port is a number from 1 to 65535".to_owned())
}

fn seconds(key: &str, text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (1..=REPLY_SECONDS).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| format!("{key} is 1 to {REPLY_SECONDS} whole seconds"))
}

fn ssl_mode(text: &str) -> Result<SslMode, String> {
    Ok(match text {
        "disable" => SslMode::Disable,
        "prefer" => SslMode::Prefer,
        "require" => SslMode::Require,
        "verify-ca" => SslMode::VerifyCa,
        "verify-full" => SslMode::VerifyFull,
        _ => return Err("sslmode is disable, prefer, require, verify-ca or verify-full".to_owned()),
    })
}

fn decoded(text: &str) -> Result<String, String> {
    let bad = || "a % stands before two hexadecimal digits, and the whole is UTF-8".to_owned();
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, others @ ..] = rest {
        rest = others;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, others) = rest.split_first_chunk::<2>().ok_or_else(bad)?;
        let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
        let digits = str::from_utf8(digits).ok().filter(|_| is_hex).ok_or_else(bad)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| bad())?);
        rest = others;
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_all_its_parts() {
        let url = Url::parse("postgres://ana%40x:p%3Aw@one:5433,two,[::1]:9/noche?sslmode=require").unwrap();
        let hosts: Vec<String> = url.hosts.iter().map(Host::to_string).collect();
        assert_eq!(hosts, ["one:5433", "two:5432", "[::1]:9"]);
        assert_eq!((&*url.user, url.password(), &*url.database), ("ana@x", Some("p:w"), "noche"));
        assert_eq!(url.ssl_of(&url.hosts[2]), SslMode::Require);
        assert_eq!(format!("{url} {url:?}").matches("p%3Aw").count(), 0);
        let url = Url::parse("postgresql://q@/d?host=/run/pg,other&port=6000").unwrap();
        assert!(url.hosts[0].is_socket() && url.hosts[0].port == 6000 && url.hosts.len() == 2);
        assert_eq!([0, 1].map(|host| url.ssl_of(&url.hosts[host])), [SslMode::Prefer, SslMode::Require]);
        assert_eq!(Url::parse("postgres://q@%2Frun%2Fpg/d").unwrap().hosts[0].name, "/run/pg");
        assert_eq!(url.limits, DEFAULT);
    }

    #[test]
    fn what_is_no_address_is_refused_and_no_password_shown() {
        for bad in [
            "postgres://",
            "postgres://u:geheim@/d",
            "postgres://h/d",
            "postgres://u:geheim@h:0/d",
            "postgres://u:geheim@h:99999/d",
            "postgres://u:geheim@h/d?sslmode=verify-full",
            "postgres://u:geheim@h/d?sslmode=allow",
            "postgres://u:geheim@h/d?geheim=1",
            "postgres://u:gehei%6@h/d",
            "postgres://u@h/d?password=geheim",
            "postgres://u:geheim@h/d?connect_timeout=5",
            "postgres://u:geheim@h/d?patience=30",
            "postgres://u:geheim@h/d?commit_timeout=0",
            "postgres://u:geheim@h%0Ax/d",
            "postgres://u\n:geheim@h/d",
        ] {
            let error = Url::parse(bad).err().unwrap_or_else(|| panic!("{bad}"));
            assert!(!error.contains("geheim") && !masked(bad).contains("geheim@"), "{error}");
        }
        let twice = Url::parse("postgres://u:p@h/d").unwrap().with_password("q".to_owned());
        assert!(twice.unwrap_err().contains("one of them"));
    }

    #[test]
    fn passwords_are_masked_and_nothing_else_is() {
        for (text, shown) in [
            ("postgres://u:p@h/d", "postgres://u:***@h/d"),
            ("postgres://u:p@q/r?s@h/d?sslmode=require", "postgres://u:***@h/d?sslmode=require"),
            ("postgresql://u@h/d?password=x&port=1", "postgresql://u@h/d?password=***&port=1"),
            ("postgres://h/d", "postgres://h/d"),
            ("/var/lib/u:p@h", "/var/lib/u:p@h"),
        ] {
            assert_eq!(masked(text), shown);
        }
    }
}
