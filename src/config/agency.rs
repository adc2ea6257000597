//! An agency's configuration: flags, environment, and a YAML file.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::source::{ConfigFile, Environment, Provenance, Sources};
use super::{AgencyConfig, LotteryTask, Mode, Task};
use crate::cli::AgencyArgs;
use crate::domain::AgencyId;
use crate::error::Result;
use crate::wire::MAX_BATCH;

/// The variables that hold a person's bet, in the order of its fields, under the exercises' names.
pub const PERSON: [&str; 5] = ["NOMBRE", "APELLIDO", "DOCUMENTO", "NACIMIENTO", "NUMERO"];

/// Everything that can be set.
pub mod settings {
    use std::path::PathBuf;
    use std::time::Duration;

    use log::LevelFilter;

    use crate::config::Mode;
    use crate::config::source::Setting;
    use crate::config::values;
    use crate::domain::AgencyId;

    pub const ID: Setting<AgencyId> = Setting {
        flag: "id",
        environment: Some("CLI_ID"),
        key: None,
        default: None,
        about: "The agency's number, from 1",
        parse: values::agency,
    };
    pub const SERVER: Setting<String> = Setting {
        environment: Some("CLI_SERVER_ADDRESS"),
        key: Some("server.address"),
        ..Setting::flag("server", "server:12345", "The central, as host:port", values::address)
    };
    pub const MODE: Setting<Mode> = Setting {
        environment: Some("CLI_MODE"),
        ..Setting::flag(
            "mode",
            "lottery",
            "lottery: every bet of the file, the draw, the winners; bet: one bet, from NOMBRE, APELLIDO, DOCUMENTO, \
             NACIMIENTO and NUMERO; echo: lines to the echo server",
            values::mode,
        )
    };
    pub const DATA: Setting<PathBuf> = Setting {
        environment: Some("CLI_DATA"),
        ..Setting::flag("data", ".data", "Folder of the lottery's file, agency-<id>.csv", values::path)
    };
    pub const LOOP_AMOUNT: Setting<u32> = Setting {
        environment: Some("CLI_LOOP_AMOUNT"),
        key: Some("loop.amount"),
        ..Setting::flag("loop-amount", "5", "Lines that the mode echo sends", values::number)
    };
    pub const LOOP_PERIOD: Setting<Duration> = Setting {
        environment: Some("CLI_LOOP_PERIOD"),
        key: Some("loop.period"),
        ..Setting::flag(
            "loop-period",
            "5s",
            "Wait between two messages, as 100ms, 5s or 1m30s; the lottery waits only where this is said",
            values::pause,
        )
    };
    pub const LEVEL: Setting<LevelFilter> = Setting {
        environment: Some("CLI_LOG_LEVEL"),
        key: Some("log.level"),
        ..Setting::flag(
            "log-level",
            "INFO",
            "Least grave level that is logged, by Python's or Go's name",
            values::level,
        )
    };
    pub const BATCH_MAX: Setting<u32> = Setting {
        environment: Some("CLI_BATCH_MAXAMOUNT"),
        key: Some("batch.maxAmount"),
        ..Setting::flag(
            "batch-max",
            "100",
            "Most bets in a batch; fewer where 8192 bytes hold no more, and those never hold more than 430",
            values::batch_max,
        )
    };
    pub const BATCH_PERIOD: Setting<Duration> = Setting {
        environment: Some("CLI_BATCH_PERIOD"),
        key: Some("batch.period"),
        default: None,
        ..Setting::flag(
            "batch-period",
            "",
            "Wait between two messages of the lottery, instead of the loop's; with 0s batches are in flight together",
            values::pause,
        )
    };
    pub const IN_FLIGHT: Setting<usize> = Setting::flag(
        "in-flight",
        "256",
        "Batches sent and not yet acknowledged, where none waits for another",
        values::in_flight,
    );
    pub const RETRY_FOR: Setting<Duration> =
        Setting::flag("retry-for", "60s", "Time to go on trying without any progress, as 60s or 500ms", values::pause);
    pub const WINNERS: Setting<PathBuf> = Setting {
        default: None,
        ..Setting::flag("winners", "", "File to write the winners' documents to, one a line", values::path)
    };
}

/// The file's form. Every value is taken as the text that it is, so that it can be shown as written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct File {
    server: Option<ServerSection>,
    #[serde(rename = "loop")]
    echo_loop: Option<LoopSection>,
    log: Option<LogSection>,
    batch: Option<BatchSection>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct ServerSection {
    address: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct LoopSection {
    amount: Option<String>,
    period: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct LogSection {
    level: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct BatchSection {
    #[serde(rename = "maxAmount")]
    max_amount: Option<String>,
    period: Option<String>,
}

/// The resolved configuration and where each of its values came from.
pub fn resolve(args: &AgencyArgs, environment: &Environment<'_>) -> Result<(AgencyConfig, Provenance)> {
    let mut sources = Sources::new(environment, ConfigFile::read(&args.config, parse_yaml)?);
    let AgencyId(id) = sources.pick(&settings::ID, &args.id)?.value;
    let server_address = sources.pick(&settings::SERVER, &args.server)?.value;
    let mode = sources.pick(&settings::MODE, &args.mode)?.value;
    let data = sources.pick(&settings::DATA, &args.data)?.value;
    let loop_amount = sources.pick(&settings::LOOP_AMOUNT, &args.loop_amount)?;
    // Asked before it is picked: the default paces the echo loop and must not pace the lottery.
    let said_period = sources.find(&settings::LOOP_PERIOD, &args.loop_period)?;
    let loop_period = match &said_period {
        Some(said) => said.clone(),
        None => sources.pick(&settings::LOOP_PERIOD, &None)?,
    };
    let batch_period = match sources.find(&settings::BATCH_PERIOD, &args.batch_period)? {
        Some(said) => said.value,
        None => {
            let (text, origin) = match &said_period {
                Some(said) => (said.text.as_str(), "the loop's period, since that is said"),
                None => ("0s", "default"),
            };
            sources.note("--batch-period", text, origin);
            said_period.map_or(Duration::ZERO, |said| said.value)
        }
    };
    let level = sources.pick(&settings::LEVEL, &args.log_level)?;
    let batch_max = sources.pick(&settings::BATCH_MAX, &args.batch_max)?.value.min(MAX_BATCH);
    let in_flight = sources.pick(&settings::IN_FLIGHT, &args.in_flight)?.value;
    let retry_for = sources.pick(&settings::RETRY_FOR, &args.retry_for)?.value;
    let winners = sources.find(&settings::WINNERS, &args.winners)?.map(|said| said.value);
    let file = data.join(format!("agency-{id}.csv"));
    let task = match mode {
        Mode::Lottery => Task::Lottery(LotteryTask { file, batch_period, batch_max, in_flight, winners }),
        Mode::Bet => Task::Bet { person: person(&mut sources)? },
        Mode::Echo => Task::Echo { amount: loop_amount.value, period: loop_period.value },
    };
    let config = AgencyConfig { id: AgencyId(id), server_address, task, loop_amount, loop_period, level, retry_for };
    Ok((config, sources.into_provenance()))
}

fn person(sources: &mut Sources<'_>) -> Result<[String; 5]> {
    let mut fields = PERSON.map(|_| String::new());
    for (field, name) in fields.iter_mut().zip(PERSON) {
        *field = sources.variable(name, "the mode bet takes its bet from the environment")?;
    }
    Ok(fields)
}

fn parse_yaml(text: &str) -> Result<BTreeMap<&'static str, String>, String> {
    // An empty document, or one of comments alone, is none to the parser: it says nothing, which is fine.
    let file: Option<File> = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    let File { server, echo_loop, log, batch } = file.unwrap_or_default();
    let (echo_loop, batch) = (echo_loop.unwrap_or_default(), batch.unwrap_or_default());
    let said = [
        (settings::SERVER.key, server.unwrap_or_default().address),
        (settings::LOOP_AMOUNT.key, echo_loop.amount),
        (settings::LOOP_PERIOD.key, echo_loop.period),
        (settings::LEVEL.key, log.unwrap_or_default().level),
        (settings::BATCH_MAX.key, batch.max_amount),
        (settings::BATCH_PERIOD.key, batch.period),
    ];
    Ok(said.into_iter().filter_map(|(key, value)| Some((key?, value?))).collect())
}
