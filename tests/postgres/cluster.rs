//! PostgreSQL servers of a test's own: a primary, its standby, and the roles of a lottery.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use crate::common::{LIMIT, quiniela};

/// The user and the group that servers run as if the tests run as root, whom PostgreSQL refuses.
const NOBODY: u32 = 65_534;

/// The folder of the server's programs. None, and a line about it, if there are none and nobody insists.
pub fn programs() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect();
    if let Ok(releases) = fs::read_dir("/usr/lib/postgresql") {
        folders.extend(releases.map(|release| release.unwrap().path().join("bin")));
    }
    let has_all = |folder: &PathBuf| {
        ["initdb", "postgres", "pg_basebackup", "psql"].iter().all(|name| folder.join(name).is_file())
    };
    let found = folders.into_iter().find(has_all);
    if found.is_none() {
        assert!(
            std::env::var_os("QUINIELA_NEEDS_POSTGRES").is_none(),
            "there is no PostgreSQL here (initdb, postgres, psql)"
        );
        eprintln!("NOT RUN: there is no PostgreSQL here (initdb, postgres, pg_basebackup, psql)");
    }
    found
}

/// A server. All of its processes are killed when it is dropped.
pub struct Server {
    programs: PathBuf,
    pub data: PathBuf,
    pub port: u16,
    process: Option<Child>,
}

/// A primary and a standby, which takes every commit if it is synchronous.
pub struct Pair {
    pub primary: Server,
    pub standby: Server,
    _folder: TempDir,
}

/// How the standby follows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    InStep,
    Behind,
}

/// The program, as a user that PostgreSQL takes.
fn command(programs: &Path, name: &str) -> Command {
    let program = programs.join(name);
    let mut command = if geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command
            .args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"), "--clear-groups".to_owned()])
            .arg(program);
        command
    } else {
        Command::new(program)
    };
    command.env("LC_ALL", "C").env("PGTZ", "UTC").stdin(Stdio::null()).current_dir("/");
    command
}

#[track_caller]
fn run(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A free port below those that systems give to clients: nobody else takes it while a server starts again.
fn free_port() -> u16 {
    static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let port = fastrand::u16(20_000..32_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && TAKEN.lock().unwrap().insert(port) {
            return port;
        }
    }
}

/// A folder that servers can write to.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    if geteuid().is_root() {
        chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    folder
}

/// A data folder as `initdb` makes it, made once.
fn template(programs: &Path) -> &'static Path {
    static TEMPLATE: OnceLock<TempDir> = OnceLock::new();
    let made = TEMPLATE.get_or_init(|| {
        let folder = folder();
        let mut initdb = command(programs, "initdb");
        initdb
            .args(["-U", "owner", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(folder.path().join("data"));
        run(initdb);
        folder
    });
    made.path()
}

impl Server {
    /// A primary with these settings.
    fn make(programs: &Path, folder: &Path, settings: &str) -> Server {
        let data = folder.join("primary");
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(template(programs).join("data")).arg(&data);
        run(copy);
        let server = Server { programs: programs.to_owned(), data, port: free_port(), process: None };
        // A killed process loses nothing that it has written: only a machine does, and none stops here.
        server.set(&format!(
            "port = {}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nfsync = off\nshared_buffers = 32MB\n\
             max_connections = 60\nmax_wal_senders = 5\nwal_keep_size = 64MB\nhot_standby = on\nwal_receiver_status_interval = 1s\n\
             autovacuum = off\n{settings}\n",
            server.port
        ));
        server
    }

    /// Adds settings, which the next start or [`Server::reload`] reads.
    pub fn set(&self, settings: &str) {
        let path = self.data.join("postgresql.conf");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{text}\n{settings}\n")).unwrap();
    }

    pub fn reload(&self) {
        kill_process(self.postmaster(), Signal::HUP).unwrap();
    }

    #[track_caller]
    pub fn start(&mut self) {
        self.launch();
        let deadline = Instant::now() + LIMIT;
        while self.try_sql("postgres", "SELECT 1").is_none() {
            let log = || fs::read_to_string(self.data.join("log")).unwrap();
            assert!(Instant::now() < deadline, "{}", log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn launch(&mut self) {
        let log = fs::File::options().append(true).create(true).open(self.data.join("log")).unwrap();
        let mut postgres = command(&self.programs, "postgres");
        postgres.arg("-D").arg(&self.data).stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(postgres.spawn().unwrap());
    }

    fn postmaster(&self) -> Pid {
        Pid::from_child(self.process.as_ref().unwrap())
    }

    /// The process that listens, and all that it has started.
    fn processes(&self) -> Vec<Pid> {
        let postmaster = self.postmaster();
        let mut found = vec![postmaster];
        for entry in fs::read_dir("/proc").unwrap() {
            let name = entry.unwrap().file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            let Ok(stat) = fs::read_to_string(format!("/proc/{id}/stat")) else { continue };
            let parent =
                stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<i32>().ok());
            if parent == Some(postmaster.as_raw_nonzero().get()) {
                found.extend(Pid::from_raw(id));
            }
        }
        found
    }

    pub fn signal_all(&self, signal: Signal) {
        for process in self.processes() {
            // It may have ended meanwhile.
            let _ = kill_process(process, signal);
        }
    }

    /// Kills everything at once: first nothing of it runs any more, so that nobody can clean up.
    pub fn kill(&mut self) {
        self.signal_all(Signal::STOP);
        self.signal_all(Signal::KILL);
        self.process.take().unwrap().wait().unwrap();
        let _ = fs::remove_file(self.data.join("postmaster.pid"));
    }

    /// Stops it in order, without waiting for its clients.
    pub fn stop(&mut self) {
        kill_process(self.postmaster(), Signal::INT).unwrap();
        self.process.take().unwrap().wait().unwrap();
    }

    pub fn try_sql(&self, database: &str, text: &str) -> Option<String> {
        self.try_sql_as("owner", database, text).ok()
    }

    pub fn try_sql_as(&self, user: &str, database: &str, text: &str) -> Result<String, String> {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args([
            "-XAtq",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-p",
            &self.port.to_string(),
            "-U",
            user,
            "-d",
            database,
            "-c",
            text,
        ]);
        let output = psql.env("PGCONNECT_TIMEOUT", "5").stdin(Stdio::null()).output().unwrap();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
    }

    /// What a statement of the owner gives, in the lottery's database.
    #[track_caller]
    pub fn sql(&self, text: &str) -> String {
        self.try_sql_as("owner", "lottery", text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// Waits until a statement gives this.
    #[track_caller]
    pub fn wait_for(&self, text: &str, wanted: &str) {
        let deadline = Instant::now() + LIMIT;
        loop {
            let found = self.try_sql("lottery", text);
            if found.as_deref() == Some(wanted) {
                return;
            }
            assert!(Instant::now() < deadline, "{text}: {found:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn promote(&self) {
        self.sql("SELECT pg_promote(wait => true)");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
    }
}

impl Pair {
    /// A running pair with the lottery's tables. None where there is no PostgreSQL.
    #[track_caller]
    pub fn start(follows: Follows) -> Option<Pair> {
        let programs = programs()?;
        let folder = folder();
        let mut primary = Server::make(&programs, folder.path(), "");
        primary.start();
        for text in ["CREATE DATABASE lottery", "CREATE ROLE central LOGIN", "CREATE ROLE replica LOGIN REPLICATION"] {
            primary.try_sql("postgres", text).unwrap();
        }
        let mut standby = Server {
            programs: programs.clone(),
            data: folder.path().join("standby"),
            port: free_port(),
            process: None,
        };
        let mut copy = command(&programs, "pg_basebackup");
        let source = format!("host=127.0.0.1 port={} user=replica application_name=standby", primary.port);
        copy.args(["-R", "-c", "fast", "--no-sync", "-d", &source, "-D"]).arg(&standby.data);
        run(copy);
        standby.set(&format!("port = {}", standby.port));
        standby.start();
        if follows == Follows::InStep {
            primary.set("synchronous_standby_names = 'standby'");
            primary.reload();
            primary.wait_for("SELECT sync_state FROM pg_stat_replication", "sync");
        } else {
            primary.wait_for("SELECT sync_state FROM pg_stat_replication", "async");
        }
        let pair = Pair { primary, standby, _folder: folder };
        pair.migrate();
        Some(pair)
    }

    /// Makes the tables as their owner, and gives the role of the centrals its rights.
    #[track_caller]
    fn migrate(&self) {
        let words = format!("migrate --store {} --grant central", self.url_of("owner"));
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        let output = quiniela(Path::new("/"), &words).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The address for centrals, which knows both servers.
    pub fn url(&self) -> String {
        self.url_of("central")
    }

    pub fn url_of(&self, user: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{},127.0.0.1:{}/lottery", self.primary.port, self.standby.port)
    }

    /// Lets the standby take nothing any more, until it is let go: commits wait for it.
    pub fn stall(&self) {
        self.standby.signal_all(Signal::STOP);
    }

    pub fn let_go(&self) {
        self.standby.signal_all(Signal::CONT);
    }
}
