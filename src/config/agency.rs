//! An agency's configuration: flags, environment, and a YAML file.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueHint;
use log::LevelFilter;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

use super::close::{CloseAt, close_at};
use super::setting::{Entry, Flags, Setting, Settings};
use super::source::{Environment, Keys, Provenance, Sources};
use super::{AgencyConfig, Follow, LotteryTask, Mode, Task, tls, values};
use crate::domain::{AgencyId, LotteryId, MAX_AGENCIES, visible};
use crate::error::{Error, Result};
use crate::logging::Form;
use crate::transport::Paths;
use crate::wire::MAX_BATCH;

/// The variables that hold a person's bet, in the order of its fields. The names are those of the exercises.
pub const PERSON: [&str; 5] = ["NOMBRE", "APELLIDO", "DOCUMENTO", "NACIMIENTO", "NUMERO"];

const CONFIG: Setting<PathBuf> = Setting::new("config", "FILE", values::path)
    .about("The configuration file, in YAML; only the default may be missing")
    .hint(ValueHint::FilePath)
    .default("config.yaml");
const ID: Setting<AgencyId> = Setting::new("id", "N", |text| values::whole(text, 1..=MAX_AGENCIES).map(AgencyId))
    .about("The agency's number, from 1")
    .environment("CLI_ID");
const SERVER: Setting<String> = Setting::new("server", "ADDRESS", values::addresses)
    .about("The central, as host:port; several that share a ledger with commas between them")
    .hint(ValueHint::Hostname)
    .environment("CLI_SERVER_ADDRESS")
    .key("server.address")
    .default("server:12345");
const KEYS: Setting<PathBuf> = tls::KEYS.environment("CLI_TLS_KEYS").key("tls.keys");
const TLS_CA: Setting<PathBuf> = tls::CA.environment("CLI_TLS_CA").key("tls.ca");
const TLS_CERT: Setting<PathBuf> = tls::CERT.environment("CLI_TLS_CERT").key("tls.cert");
const TLS_KEY: Setting<PathBuf> = tls::KEY.environment("CLI_TLS_KEY").key("tls.key");
const TLS_CRL: Setting<PathBuf> = tls::CRL.environment("CLI_TLS_CRL").key("tls.crl");
const LOTTERY: Setting<LotteryId> = Setting::new("lottery", "ID", values::lottery)
    .about("The id of the only lottery to take part in, which the central has to tell")
    .environment("CLI_LOTTERY")
    .key("lottery");
const MODE: Setting<Mode> = Setting::new("mode", "MODE", values::mode)
    .about(
        "lottery sends every bet of the file and gets the winners; bet sends one bet, from NOMBRE, APELLIDO, DOCUMENTO, \
         NACIMIENTO and NUMERO; echo sends lines to the echo server",
    )
    .choices(&values::MODES)
    .environment("CLI_MODE")
    .default("lottery");
const DATA: Setting<PathBuf> = Setting::new("data", "DIR", values::path)
    .about("Folder of the lottery's file, agency-<id>.csv")
    .hint(ValueHint::DirPath)
    .environment("CLI_DATA")
    .default(".data");
const FOLLOW: Setting<bool> = Setting::new("follow", "WHAT", values::switch)
    .about("Send the file's bets as it grows, until SIGUSR1, a line #cierre in it, or --close-at; yes or no, yes if it stands alone")
    .choices(&values::SWITCH)
    .alone("yes")
    .environment("CLI_FOLLOW")
    .key("data.follow")
    .default("no");
const CLOSE_AT: Setting<CloseAt> = Setting::new("close-at", "TIME", close_at)
    .about("With --follow, the local time from which on the file gets no more bets: 20:30 today, or 2026-12-31T20:30")
    .environment("CLI_CLOSE_AT")
    .key("data.closeAt");
const LOOP_AMOUNT: Setting<u32> = Setting::new("loop-amount", "LINES", |text| values::whole(text, 0..=u32::MAX))
    .about("Lines that the mode echo sends")
    .environment("CLI_LOOP_AMOUNT")
    .key("loop.amount")
    .default("5");
const LOOP_PERIOD: Setting<Duration> = Setting::new("loop-period", "DURATION", values::pause)
    .about("Wait between two messages, such as 100ms, 5s or 1m30s; the lottery waits only if this is set")
    .environment("CLI_LOOP_PERIOD")
    .key("loop.period")
    .default("5s");
const LEVEL: Setting<LevelFilter> = super::LEVEL.environment("CLI_LOG_LEVEL").key("log.level");
const LOG_FORMAT: Setting<Form> = super::LOG_FORMAT.environment("CLI_LOG_FORMAT").key("log.format");
const BATCH_MAX: Setting<u32> = Setting::new("batch-max", "BETS", |text| values::whole(text, 1..=1_000_000))
    .about("Maximum bets in a batch; since a batch must fit 8192 bytes, it never holds more than 430")
    .environment("CLI_BATCH_MAXAMOUNT")
    .key("batch.maxAmount")
    .default("100");
const BATCH_PERIOD: Setting<Duration> = Setting::new("batch-period", "DURATION", values::pause)
    .about("Wait between two messages of the lottery, instead of --loop-period; with 0s several batches are in flight")
    .environment("CLI_BATCH_PERIOD")
    .key("batch.period");
const IN_FLIGHT: Setting<usize> = Setting::new("in-flight", "BATCHES", |text| values::whole(text, 1..=4_096))
    .about("Maximum batches sent and not yet acknowledged, if the lottery does not wait between messages")
    .default("256");
const RETRY_FOR: Setting<Duration> = Setting::new("retry-for", "DURATION", values::pause)
    .about("Time to keep retrying without progress, such as 60s or 500ms")
    .default("60s");
const WINNERS: Setting<PathBuf> = Setting::new("winners", "FILE", values::path)
    .about("File to write the winners' documents to, one a line")
    .hint(ValueHint::FilePath);
const RECEIPT: Setting<PathBuf> = Setting::new("receipt", "FILE", values::path)
    .about("File to keep the receipt of the seal in, which nobody but you should read")
    .hint(ValueHint::FilePath)
    .environment("CLI_RECEIPT");

/// Runs an agency: sends its bets to the central, waits for the draw, asks for its winners.
///
/// A flag overrides its environment variable, which overrides the configuration file, which overrides the default.
///
/// Example: quiniela agency --id 3 --server localhost:12345 --data .data
#[derive(clap::Args, Debug)]
pub struct AgencyArgs {
    #[command(flatten)]
    flags: Flags<Self>,

    /// Print every setting and where its value came from, and exit
    #[arg(long, display_order = 0)]
    pub print_config: bool,

    /// With --print-config, print one JSON object
    #[arg(long, requires = "print_config", display_order = 0)]
    pub json: bool,

    /// Let --winners and --receipt replace a file of another kind
    #[arg(long)]
    pub force: bool,

    /// Stop when standard input ends, as the demo's processes do
    #[arg(long, hide = true)]
    pub stop_on_eof: bool,
}

impl Settings for AgencyArgs {
    const ALL: &'static [&'static dyn Entry] = &[
        &CONFIG,
        &ID,
        &SERVER,
        &KEYS,
        &TLS_CA,
        &TLS_CERT,
        &TLS_KEY,
        &TLS_CRL,
        &LOTTERY,
        &MODE,
        &DATA,
        &FOLLOW,
        &CLOSE_AT,
        &LOOP_AMOUNT,
        &LOOP_PERIOD,
        &LEVEL,
        &LOG_FORMAT,
        &BATCH_MAX,
        &BATCH_PERIOD,
        &IN_FLIGHT,
        &RETRY_FOR,
        &WINNERS,
        &RECEIPT,
    ];
}

/// Resolves the configuration, and records where each value came from.
pub fn resolve(args: &AgencyArgs, environment: &Environment<'_>) -> Result<(AgencyConfig, Provenance)> {
    let mut sources = Sources::new(&args.flags, environment, &CONFIG, parse_yaml)?;
    let AgencyId(id) = sources.pick(&ID)?.value;
    let server_address = sources.pick(&SERVER)?.value;
    let tls_settings = [&KEYS, &TLS_CA, &TLS_CERT, &TLS_KEY, &TLS_CRL];
    let tls = tls::pick(&mut sources, tls_settings, Paths::of_client)?;
    let lottery = sources.find(&LOTTERY)?.map(|said| said.value);
    let mode = sources.pick(&MODE)?.value;
    let data = sources.pick(&DATA)?.value;
    let follows = sources.pick(&FOLLOW)?.value;
    let close_at = sources.find(&CLOSE_AT)?.map(|said| said.value.moment()).transpose()?;
    let follow = follows.then_some(Follow { close_at });
    if close_at.is_some() && !follows {
        return Err(Error::bad_input("--close-at is for a file that grows: give --follow too"));
    }
    let loop_amount = sources.pick(&LOOP_AMOUNT)?;
    // The default is for the echo loop. It must not slow down the lottery.
    let said_period = sources.find(&LOOP_PERIOD)?;
    let loop_period = match &said_period {
        Some(said) => said.clone(),
        None => sources.default(&LOOP_PERIOD)?,
    };
    let batch_period = match sources.find(&BATCH_PERIOD)? {
        Some(said) => said.value,
        None => {
            let (text, origin) = match &said_period {
                Some(said) => (said.text.as_str(), "--loop-period, which is set"),
                None => ("0s", "default"),
            };
            sources.note("--batch-period", text, origin);
            said_period.map_or(Duration::ZERO, |said| said.value)
        }
    };
    let level = sources.pick(&LEVEL)?;
    let log_format = sources.pick(&LOG_FORMAT)?.value;
    let batch_max = sources.pick(&BATCH_MAX)?.value.min(MAX_BATCH);
    let in_flight = sources.pick(&IN_FLIGHT)?.value;
    let retry_for = sources.pick(&RETRY_FOR)?.value;
    let winners = sources.find(&WINNERS)?.map(|said| said.value);
    let receipt = sources.find(&RECEIPT)?.map(|said| said.value);
    let file = data.join(format!("agency-{id}.csv"));
    let task = match mode {
        Mode::Lottery => {
            let force = args.force;
            Task::Lottery(LotteryTask { file, batch_period, batch_max, in_flight, winners, receipt, force, follow })
        }
        Mode::Bet => Task::Bet { person: person(&mut sources)? },
        Mode::Echo => Task::Echo { amount: loop_amount.value, period: loop_period.value },
    };
    let config = AgencyConfig {
        id: AgencyId(id),
        server_address,
        tls,
        lottery,
        task,
        loop_amount,
        loop_period,
        level,
        log_format,
        retry_for,
    };
    Ok((config, sources.into_provenance()))
}

fn person(sources: &mut Sources<'_>) -> Result<[String; 5]> {
    let mut fields = PERSON.map(|_| String::new());
    for (field, name) in fields.iter_mut().zip(PERSON) {
        *field = sources.variable(name, "the mode bet reads its bet from the environment")?;
    }
    Ok(fields)
}

/// Reads the file. The settings define its sections and keys.
pub(super) fn parse_yaml(text: &str) -> Result<Keys, String> {
    let mut found = Keys::new();
    let section = Section { prefix: "", found: &mut found };
    // What the file has may be shown, and is foreign.
    let read = section.deserialize(serde_yaml::Deserializer::from_str(text));
    read.map_err(|error| visible(&error.to_string()).into_owned())?;
    Ok(found)
}

fn keys() -> impl Iterator<Item = &'static str> {
    AgencyArgs::ALL.iter().filter_map(|setting| setting.key())
}

/// Reads the keys that begin with `prefix`, such as `loop.`, or the whole file if it is empty. Every value is kept as
/// text, so that it can be shown as written.
struct Section<'a> {
    prefix: &'a str,
    found: &'a mut Keys,
}

impl Section<'_> {
    fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = keys().filter_map(|key| key.strip_prefix(self.prefix)?.split('.').next()).collect();
        names.dedup();
        names
    }
}

impl<'de> DeserializeSeed<'de> for Section<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, file: D) -> Result<(), D::Error> {
        file.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Section<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "lines such as `{}: …`", self.names().join(": …` or `"))
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, file: D) -> Result<(), D::Error> {
        file.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut file: A) -> Result<(), A::Error> {
        let mut names = self.names();
        while let Some(name) = file.next_key_seed(Name(&self.names(), &mut names))? {
            let path = format!("{}{name}", self.prefix);
            if let Some(key) = keys().find(|key| *key == path) {
                let text: Option<String> = file.next_value()?;
                self.found.extend(text.map(|text| (key, text)));
            } else {
                file.next_value_seed(Section { prefix: &format!("{path}."), found: self.found })?;
            }
        }
        Ok(())
    }
}

/// Reads the next key of a section, given all of its names, and those that have not occurred in the file yet.
struct Name<'a>(&'a [&'static str], &'a mut Vec<&'static str>);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = &'static str;

    fn deserialize<D: Deserializer<'de>>(self, file: D) -> Result<&'static str, D::Error> {
        file.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = &'static str;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, found: &str) -> Result<&'static str, E> {
        let Name(names, left) = self;
        if let Some(place) = left.iter().position(|name| *name == found) {
            return Ok(left.swap_remove(place));
        }
        let known = names.contains(&found);
        let allowed = || format!("unknown key `{found}`, expected `{}`", names.join("` or `"));
        Err(E::custom(if known { format!("duplicate key `{found}`") } else { allowed() }))
    }
}
