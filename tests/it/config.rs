//! Which source of a setting counts, and what is refused.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use clap::Parser as _;
use log::LevelFilter;
use quiniela::cli::{self, Cli};
use quiniela::config::{AgencyConfig, LotteryTask, ServerConfig, Task, resolve_agency, resolve_health, resolve_server};
use quiniela::domain::{AgencyId, Roster};
use quiniela::error::{Kind, Result};
use quiniela::logging::Form;
use tempfile::TempDir;

use crate::common::{Central, Folder};

/// A command as a user types it: in a folder with a configuration file, with an environment, with flags.
struct Session {
    folder: TempDir,
    environment: HashMap<&'static str, OsString>,
    flags: Vec<String>,
}

impl Session {
    fn new() -> Session {
        Session { folder: tempfile::tempdir().unwrap(), environment: HashMap::new(), flags: Vec::new() }.file("")
    }

    fn file(self, text: impl AsRef<[u8]>) -> Session {
        fs::write(self.config(), text).unwrap();
        self
    }

    fn env(mut self, name: &'static str, value: &str) -> Session {
        self.environment.insert(name, value.into());
        self
    }

    fn flags(mut self, flags: &str) -> Session {
        self.flags.extend(flags.split_whitespace().map(str::to_owned));
        self
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("the.config")
    }

    fn parse(&self, command: &str) -> cli::Command {
        let config = self.config().display().to_string();
        let words = ["quiniela", command, "--config", &config].map(str::to_owned);
        Cli::try_parse_from(words.into_iter().chain(self.flags.iter().cloned())).unwrap().command
    }

    fn server(&self) -> Result<ServerConfig> {
        let cli::Command::Server(args) = self.parse("server") else { panic!("the command is server") };
        resolve_server(&args, &|name| self.environment.get(name).cloned()).map(|(config, _)| config)
    }

    fn agency(&self) -> Result<AgencyConfig> {
        let cli::Command::Agency(args) = self.parse("agency") else { panic!("the command is agency") };
        resolve_agency(&args, &|name| self.environment.get(name).cloned()).map(|(config, _)| config)
    }

    fn lottery(&self) -> LotteryTask {
        match self.agency().unwrap().task {
            Task::Lottery(task) => task,
            other => panic!("{other:?} is no lottery"),
        }
    }

    fn health(&self) -> Result<SocketAddr> {
        let cli::Command::Health(args) = self.parse("health") else { panic!("the command is health") };
        resolve_health(&args, &|name| self.environment.get(name).cloned())
    }

    /// The error, without the folder's path, which differs in every run.
    #[track_caller]
    fn refused<T>(&self, result: Result<T>) -> String {
        let error = result.err().expect("this must be refused");
        assert_eq!(error.kind, Kind::BadInput);
        error.to_string().replace(&format!("{}/", self.folder.path().display()), "")
    }

    #[track_caller]
    fn server_refused(&self) -> String {
        self.refused(self.server())
    }

    #[track_caller]
    fn agency_refused(&self) -> String {
        self.refused(self.agency())
    }
}

fn ini(lines: &str) -> String {
    format!("[DEFAULT]\n{lines}\n")
}

/// What the central's file may hold.
const FORM: &str = "a line is [DEFAULT], KEY = value, or a comment behind # or ;, and no value ends with \\";

#[test]
fn with_nothing_said_the_defaults_count() {
    let config = Session::new().server().unwrap();
    assert_eq!((config.port.value, config.backlog.value), (12345, 128));
    assert_eq!(config.bind, IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    assert_eq!((config.level.value, config.level.text.as_str()), (LevelFilter::Info, "INFO"));
    assert_eq!(config.log_format, Form::Text);
    assert_eq!(config.rules.roster, None);
    assert_eq!(config.store, Path::new("."));
    assert_eq!(config.rules.winning_number, None);
    assert_eq!((config.workers, config.queue, config.max_connections), (64, 4096, 20_000));
    assert_eq!((config.max_per_address, config.peer_memory), (None, 64 << 20));
    let seconds = [config.frame_deadline, config.stop_timeout, config.quiet_time].map(|time| time.as_secs());
    assert_eq!(seconds, [10, 5, 5]);

    let said = Session::new().flags("--id 3");
    let (config, lottery) = (said.agency().unwrap(), said.lottery());
    assert_eq!((config.id, config.server_address.as_str()), (AgencyId(3), "server:12345"));
    assert_eq!(lottery.file, Path::new(".data/agency-3.csv"));
    assert_eq!((config.loop_amount.value, config.loop_period.text.as_str()), (5, "5s"));
    assert_eq!((lottery.batch_max, lottery.in_flight), (100, 256));
    assert_eq!((config.retry_for, config.log_format), (Duration::from_secs(60), Form::Text));
    assert_eq!(lottery.follow, None);
    assert_eq!(lottery.winners, None);
}

#[test]
fn a_flag_goes_before_the_environment_before_the_file() {
    let said = Session::new().file(ini("SERVER_PORT = 1001"));
    assert_eq!(said.server().unwrap().port.value, 1001);
    let said = said.env("SERVER_PORT", "1002");
    assert_eq!(said.server().unwrap().port.value, 1002);
    assert_eq!(said.health().unwrap().port(), 1002, "the health check must ask where the central listens");
    let said = said.flags("--port 1003");
    assert_eq!(said.server().unwrap().port.value, 1003);
    assert_eq!(said.health().unwrap().port(), 1003);

    let said = Session::new().file(ini("SERVER_BIND = ::1"));
    assert_eq!(said.server().unwrap().bind, said.health().unwrap().ip());
    assert_eq!(said.env("SERVER_BIND", "127.0.0.3").health().unwrap(), "127.0.0.3:12345".parse().unwrap());

    let said = Session::new().env("CLI_ID", "1").file("loop:\n  period: 1s");
    assert_eq!(said.agency().unwrap().loop_period.value, Duration::from_secs(1));
    let said = said.env("CLI_LOOP_PERIOD", "2s");
    assert_eq!(said.agency().unwrap().loop_period.value, Duration::from_secs(2));
    let said = said.flags("--loop-period 3s");
    assert_eq!(said.agency().unwrap().loop_period.value, Duration::from_secs(3));
}

#[test]
fn every_name_of_a_setting_works() {
    let lines = "SERVER_PORT=1\nSERVER_IP=server\nSERVER_LISTEN_BACKLOG=2\nLOGGING_LEVEL=debug\nLOGGING_FORMAT=json\n\
                 CLIENT_AMOUNT=auto\nSTORE_DIR=/var/lib/quiniela";
    let from_file = Session::new().file(ini(lines));
    let from_environment =
        lines.lines().filter_map(|line| line.split_once('=')).fold(Session::new(), |said, (k, v)| said.env(k, v));
    for said in [from_file, from_environment] {
        let config = said.server().unwrap();
        assert_eq!((config.port.value, config.backlog.value), (1, 2));
        assert_eq!((config.level.value, config.level.text.as_str()), (LevelFilter::Debug, "debug"));
        assert_eq!(config.log_format, Form::Json);
        assert_eq!((config.rules.roster, config.store), (Some(Roster::Auto), PathBuf::from("/var/lib/quiniela")));
    }

    let from_file = Session::new().flags("--id 7").file(
        "server:\n  address: central:9\nloop:\n  amount: 8\n  period: 1m30s\nlog:\n  level: warn\n  format: JSON\n\
         batch:\n  maxAmount: 10\n  period: 150ms\n\
         data:\n  follow: true\n  closeAt: 2026-12-31T20:30\n",
    );
    let from_environment = Session::new()
        .env("CLI_ID", "7")
        .env("CLI_SERVER_ADDRESS", "central:9")
        .env("CLI_LOOP_AMOUNT", "8")
        .env("CLI_LOOP_PERIOD", "1m30s")
        .env("CLI_LOG_LEVEL", "warn")
        .env("CLI_LOG_FORMAT", "json")
        .env("CLI_BATCH_MAXAMOUNT", "10")
        .env("CLI_BATCH_PERIOD", "150ms")
        .env("CLI_FOLLOW", "yes")
        .env("CLI_CLOSE_AT", "2026-12-31T20:30");
    for said in [from_file, from_environment] {
        let (config, lottery) = (said.agency().unwrap(), said.lottery());
        assert_eq!((config.id, config.server_address.as_str()), (AgencyId(7), "central:9"));
        assert_eq!((config.loop_amount.value, config.loop_period.text.as_str()), (8, "1m30s"));
        assert_eq!(config.loop_period.value, Duration::from_secs(90));
        assert_eq!((config.level.text.as_str(), lottery.batch_max), ("warn", 10));
        assert_eq!(config.log_format, Form::Json);
        assert_eq!(lottery.batch_period, Duration::from_millis(150));
        assert!(lottery.follow.unwrap().close_at.is_some());
    }
    let said = Session::new().env("CLI_ID", "2").env("CLI_DATA", "/data");
    assert_eq!(said.lottery().file, Path::new("/data/agency-2.csv"));
    let echo = said.env("CLI_MODE", "echo").env("CLI_LOOP_AMOUNT", "9").env("CLI_LOOP_PERIOD", "2s").agency().unwrap();
    assert!(matches!(echo.task, Task::Echo { amount: 9, period } if period == Duration::from_secs(2)));
}

#[test]
fn values_are_kept_as_written() {
    let config = Session::new().flags("--id 1").file("loop:\n  amount: 007\n  period: '60s'\n").agency().unwrap();
    assert_eq!((config.loop_amount.value, config.loop_amount.text.as_str()), (7, "007"));
    assert_eq!((config.loop_period.value, config.loop_period.text.as_str()), (Duration::from_secs(60), "60s"));
    let config = Session::new().file(ini("server_listen_backlog :  05  ")).server().unwrap();
    assert_eq!((config.backlog.value, config.backlog.text.as_str()), (5, "05"), "keys match in any case");
}

#[test]
fn a_switch_can_stand_alone_or_have_a_value() {
    let follows = |said: Session| said.flags("--id 1").lottery().follow.is_some();
    assert!(follows(Session::new().flags("--follow")));
    assert!(follows(Session::new().env("CLI_FOLLOW", "no").flags("--follow --batch-max 5")));
    assert!(!follows(Session::new().env("CLI_FOLLOW", "1").flags("--follow=no")));
    assert!(!follows(Session::new().file("data:\n  follow: false\n")));
    let refused = Session::new().flags("--id 1").env("CLI_FOLLOW", "perhaps").agency_refused();
    assert_eq!(refused, "environment variable CLI_FOLLOW: found \"perhaps\", where yes or no is allowed");
    let alone = Session::new().flags("--id 1 --close-at 2026-12-31T20:30").agency_refused();
    assert!(alone.contains("give --follow too"), "{alone}");
    let refused = Session::new().flags("--id 1").file("data:\n  follow: yes\n  closeAt: 25:00\n").agency_refused();
    assert!(
        refused.starts_with("the.config: data.closeAt: found \"25:00\", where a local time such as 20:30"),
        "{refused}"
    );
}

#[test]
fn the_lottery_is_paced_only_where_someone_says_so() {
    let period = |said: Session| said.flags("--id 1").lottery().batch_period;
    assert_eq!(period(Session::new()), Duration::ZERO);
    assert_eq!(period(Session::new().file("loop:\n  period: 150ms\n")), Duration::from_millis(150));
    assert_eq!(period(Session::new().env("CLI_LOOP_PERIOD", "150ms")), Duration::from_millis(150));
    assert_eq!(period(Session::new().file("loop:\n  period: 5s\nbatch:\n  period: 0s\n")), Duration::ZERO);
    let shipped = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/client/config.yaml")).unwrap();
    assert_eq!(period(Session::new().file(&shipped)), Duration::ZERO);
    let echo = Session::new().flags("--id 1 --mode echo").file(&shipped).agency().unwrap();
    assert_eq!(echo.loop_period.value, Duration::from_secs(5));
}

#[test]
fn a_batch_never_exceeds_what_a_frame_can_hold() {
    let said = Session::new().flags("--id 1").file("batch:\n  maxAmount: 1000\n");
    assert_eq!(said.lottery().batch_max, quiniela::wire::MAX_BATCH);
}

#[test]
fn files_that_say_nothing_are_fine() {
    for text in
        ["", "# nothing\n", "[DEFAULT]\n", "; nothing\n\n[DEFAULT]\n# SERVER_PORT = 1\n", "\u{feff}[DEFAULT]\r\n"]
    {
        assert_eq!(Session::new().file(text).server().unwrap().port.value, 12345, "{text:?}");
    }
    for text in ["", "# nothing\n", "loop:\n", "loop: {}\n", "---\n"] {
        assert_eq!(Session::new().file(text).flags("--id 1").agency().unwrap().loop_amount.value, 5, "{text:?}");
    }
}

#[test]
fn the_shipped_server_file_is_good() {
    let shipped = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/server/config.ini")).unwrap();
    let config = Session::new().file(shipped).server().unwrap();
    assert_eq!((config.port.text.as_str(), config.backlog.text.as_str()), ("12345", "5"));
}

#[test]
fn empty_variables_count_as_not_set() {
    let said = Session::new().env("SERVER_PORT", "").env("CLIENT_AMOUNT", "").file(ini("SERVER_PORT = 7"));
    assert_eq!(said.server().unwrap().port.value, 7);
}

#[test]
fn a_wrong_variable_matters_only_where_it_counts() {
    let said = Session::new().env("LOGGING_LEVEL", "verbose");
    assert_eq!(
        said.server_refused(),
        "environment variable LOGGING_LEVEL: found \"verbose\", \
         where one of CRITICAL, ERROR, WARNING, NOTICE, INFO, DEBUG, TRACE is allowed"
    );
    assert_eq!(said.flags("--log-level info").server().unwrap().level.value, LevelFilter::Info);
    let refused = Session::new().flags("--id 1").file("log:\n  format: xml\n").agency_refused();
    assert_eq!(refused, "the.config: log.format: found \"xml\", where text or json is allowed");
}

#[test]
fn a_wrong_file_is_refused_with_the_place_and_what_is_allowed() {
    let refused = |text: &str| Session::new().file(text).server_refused();
    assert_eq!(
        refused(&ini("SERVER_PORT = 123456")),
        "the.config: SERVER_PORT: found \"123456\", where a whole number from 0 to 65535 is allowed"
    );
    assert_eq!(
        refused(&ini("CLIENT_AMOUNT = many")),
        "the.config: CLIENT_AMOUNT: found \"many\", where a whole number from 0 to 65535 or auto is allowed"
    );
    let unknown = refused(&ini("SERVER_PROT = 1"));
    assert!(unknown.starts_with("the.config: unknown key \"SERVER_PROT\": allowed are SERVER_PORT, "), "{unknown}");
    assert_eq!(refused("[DEFAULT]\nSERVER_PORT = 1\nnonsense\n"), format!("the.config: line 3: {FORM}"));
    assert!(refused("[default]\nSERVER_PORT = 1").contains("section \"default\": allowed is [DEFAULT] alone"));
    for broken in ["[DEFAULT\nSERVER_PORT = 1", "[DEFAULT] x\nSERVER_PORT = 1", "= 1\n[DEFAULT]"] {
        assert_eq!(refused(broken), format!("the.config: line 1: {FORM}"));
    }
    // It would be joined with the line below.
    assert_eq!(refused("[DEFAULT]\nSTORE_DIR = a\\ \nSERVER_PORT = 1"), format!("the.config: line 2: {FORM}"));
    assert!(refused("SERVER_PORT = 1").contains("before the line [DEFAULT]"));
    assert!(refused(&ini("SERVER_PORT = 1\nserver_port = 2")).contains("key SERVER_PORT is there twice"));
    assert!(refused(&ini("SERVER_PORT = 1 ; one")).contains("found \"1 ; one\""), "a comment has its own line");
    assert!(refused(&ini("SERVER_PORT =")).contains("found \"\""));
    assert!(
        Session::new().file(ini("SERVER_PORT = x")).flags("--port 1").server_refused().contains("found \"x\""),
        "a file is judged as a whole"
    );
    assert!(Session::new().file(b"\xff\xfe").server_refused().starts_with("the.config: cannot read it"));

    let refused = |text: &str| Session::new().flags("--id 1").file(text).agency_refused();
    assert_eq!(
        refused("loop:\n  period: 5\n"),
        "the.config: loop.period: found \"5\", where a duration from 0s to 24h such as 100ms, 5s or 1m30s is allowed"
    );
    let unknown = refused("loop:\n  period: 5s\n  amout: 5\n");
    assert!(unknown.contains("unknown key `amout`, expected `amount` or `period`"), "{unknown}");
    assert!(unknown.starts_with("the.config: ") && unknown.contains("line 3"), "{unknown}");
    assert!(refused("loops:\n  amount: 5\n").contains("unknown key `loops`"));
    assert!(refused("loop: [1\n").contains("line "));
    let no_section = refused("loop: 5\n");
    assert!(no_section.contains("expected lines such as `amount: …` or `period: …` at line 1"), "{no_section}");
    assert!(refused("loop:\nlog:\nloop:\n").contains("duplicate key `loop` at line 3"));
    assert!(refused("loop:\n  amount: [5]\n").contains("line 2"));
    assert!(refused("loop:\n  amount: 1\n  amount: 2\n").contains("duplicate"));
    assert!(refused("batch:\n  maxAmount: 0\n").contains("batch.maxAmount: found \"0\", where a whole number from 1"));
    assert!(refused("server:\n  address: server\n").contains("host:port"));
}

#[test]
fn an_agency_must_know_who_it_is() {
    let missing = Session::new().agency_refused();
    assert!(missing.contains("--id") && missing.contains("CLI_ID"), "{missing}");
    assert!(Session::new().env("CLI_ID", "0").agency_refused().contains("from 1 to 65535"));
}

#[test]
fn a_bet_comes_from_the_environment_and_names_what_is_missing() {
    let said = Session::new()
        .flags("--id 1 --mode bet")
        .env("NOMBRE", "Santiago Lionel")
        .env("APELLIDO", "Lorca")
        .env("DOCUMENTO", "30904465")
        .env("NACIMIENTO", "1999-03-17");
    assert!(said.agency_refused().starts_with("environment variable NUMERO is not set"));
    let task = said.env("NUMERO", "7574").agency().unwrap().task;
    let Task::Bet { person } = task else { panic!("{task:?} is no bet") };
    assert_eq!(person, ["Santiago Lionel", "Lorca", "30904465", "1999-03-17", "7574"]);
}

#[test]
fn a_variable_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStringExt as _;
    let mut said = Session::new();
    said.environment.insert("STORE_DIR", OsString::from_vec(vec![b'/', 0xff]));
    assert!(said.server_refused().starts_with("environment variable STORE_DIR: "));
}

fn quiniela(folder: &Path, words: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quiniela"))
        .args(words.split_whitespace())
        .current_dir(folder)
        .env_clear()
        .env("CLI_ID", "4")
        .output()
        .unwrap()
}

#[test]
fn print_config_shows_every_value_and_where_it_came_from() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.ini"), ini("SERVER_LISTEN_BACKLOG = 05")).unwrap();
    let shown = quiniela(folder.path(), "server --print-config --workers 3");
    let shown = (shown.status.code(), String::from_utf8(shown.stdout).unwrap());
    assert_eq!(shown.0, Some(0));
    let row = |name: &str| {
        let line = shown.1.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} in {shown:?}"));
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(row("file:"), "file: config.ini (read)");
    assert_eq!(row("--backlog"), "--backlog 05 config.ini: SERVER_LISTEN_BACKLOG");
    assert_eq!(row("--workers"), "--workers 3 flag");
    assert_eq!(row("--port"), "--port 12345 default");

    let shown = quiniela(folder.path(), "agency --print-config");
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.starts_with("file: config.yaml (not there, so it says nothing)\n"), "{shown}");
    assert!(shown.lines().any(|line| line.starts_with("--id ") && line.ends_with("environment variable CLI_ID")));
}

#[test]
fn a_wrong_configuration_is_exit_code_2_and_says_nothing_on_stdout() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.ini"), ini("SERVER_PORT = x")).unwrap();
    let refused = quiniela(folder.path(), "server");
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(2), 0));
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(message.starts_with("quiniela: config.ini: SERVER_PORT: found \"x\""), "{message}");
}

#[test]
fn only_the_default_file_may_be_missing() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["server --print-config", "agency --print-config", "health"] {
        for file in ["elsewhere", "config.ini", "config.yaml"] {
            let refused = quiniela(folder.path(), &format!("{command} --config {file}"));
            assert_eq!((refused.status.code(), refused.stdout.len()), (Some(2), 0), "{command}");
            let message = String::from_utf8(refused.stderr).unwrap();
            assert!(message.starts_with(&format!("quiniela: {file}: cannot read it: ")), "{message}");
        }
    }
}

#[test]
fn settings_of_a_database_are_checked_before_it_is_asked() {
    let folder = Folder::new();
    let refused = |url: &str, words: &str, part: &str| {
        let exit = Central::on(&folder).in_database(url).with(words).refused();
        exit.failed(2, &[part]);
        assert!(!exit.stderr.contains("geheim"), "{exit}");
    };
    let good = "postgres://central:geheim@127.0.0.1:1/lottery";
    refused(good, "--client-amount auto", "say how many agencies take part");
    refused(good, "--db-password-file none", "none: cannot read it");
    refused("postgres://central:geheim@/lottery", "", "--store postgres://central:***@/lottery: it names a user");
    refused(&format!("{good}?connect_timeout=5"), "", "connect_timeout < commit_timeout < patience < 30 s");
    refused(&format!("{good}?sslmode=verify-full"), "", "sslrootcert=FILE");
    let named = |session: Session| {
        let error = session.server_refused();
        assert!(!error.contains("geheim"), "{error}");
        error.split(": it names a user").next().unwrap().to_owned()
    };
    let bad = "postgres://central:geheim@/lottery";
    let file = named(Session::new().file(ini(&format!("STORE_DIR = {bad}"))));
    assert_eq!(file, "the.config: STORE_DIR: postgres://central:***@/lottery");
    let variable = named(Session::new().env("STORE_DIR", bad));
    assert_eq!(variable, "environment variable STORE_DIR: postgres://central:***@/lottery");
    for words in ["--draw noche", "--db-password-file none", "--require-standby"] {
        Central::on(&folder).with(words).refused().failed(2, &["are for a database"]);
    }
}
