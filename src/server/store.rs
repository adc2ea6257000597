//! Opens the store that the settings name: a folder, or a draw in a database.

use std::sync::Arc;

use super::manager;
use crate::config::{DatabaseConfig, ServerConfig, Unbalanced};
use crate::database::{Failure, Warning};
use crate::error::{Error, Kind, Result};
use crate::ledger::Store;
use crate::ledger::files::{Files, Notice, Recovered};
use crate::ledger::postgres::{self, Postgres, Terms};
use crate::logging::{Event, EventResult};
use crate::observe::Watch;

/// A store, and the settings as they hold for it.
pub struct Opened {
    pub store: Box<dyn Store>,
    pub recovered: Recovered,
    pub config: ServerConfig,
}

/// Opens the store. The `watch` is told how far that is, and then where the store counts its syncs.
pub fn open(config: &ServerConfig, watch: &Arc<Watch>) -> Result<Opened> {
    if let Some(database) = &config.database {
        return open_draw(config, database);
    }
    let (files, recovered) =
        Files::open(&config.store, config.rules, tell_notices(Arc::clone(watch))).map_err(|error| {
            let kind = if error.is_misconfigured { Kind::BadInput } else { Kind::Storage };
            Error::new(kind, error.to_string())
        })?;
    watch.set_syncs(files.syncs());
    Ok(Opened { store: Box::new(files), recovered, config: config.clone() })
}

/// The rules of balance and signing are the draw's, and were given by its first central.
fn open_draw(config: &ServerConfig, database: &DatabaseConfig) -> Result<Opened> {
    let terms = Terms {
        rules: config.rules,
        accepts_unbalanced: config.said_unbalanced.map(|said| said == Unbalanced::Accept),
        needs_signature: config.require_signed.then_some(true),
    };
    let hosts = database.hosts(Arc::new(log_warning))?;
    let opened = Postgres::open(hosts, &database.draw, &terms).map_err(|failure| {
        let kind = if matches!(failure, Failure::Misfit(_)) { Kind::BadInput } else { Kind::Storage };
        Error::new(kind, format!("{}: {failure}", database.url))
    })?;
    let postgres::Opened { store, accepts_unbalanced, needs_signature, bets, is_sealed, drawn } = opened;
    if needs_signature && config.tls.is_none() {
        return Err(Error::bad_input(format!(
            "the draw {} takes a DONE only with a signature, which is for a central with keys: give --keys DIR",
            database.draw
        )));
    }
    let unbalanced = if accepts_unbalanced { Unbalanced::Accept } else { Unbalanced::Refuse };
    let config = ServerConfig { unbalanced, require_signed: needs_signature, ..config.clone() };
    let recovered = Recovered { bets, is_sealed, drawn, ..Recovered::default() };
    Ok(Opened { store: Box::new(store), recovered, config })
}

fn tell_notices(watch: Arc<Watch>) -> Box<dyn Fn(Notice) + Send + Sync> {
    Box::new(move |notice| {
        if let Notice::Checking { bytes, of } = notice {
            watch.recovering(bytes, of);
        }
        log_notice(notice);
    })
}

fn log_notice(notice: Notice) {
    use log::Level::Warn;
    match notice {
        Notice::Checking { bytes, of } => {
            manager::tell_progress(bytes, of);
            Event::in_progress("recover").with("bytes", bytes).with("of", of)
        }
        Notice::NoSnapshot(reason) => Event::new(Warn, "snapshot", EventResult::Fail).with("error", reason),
        Notice::Network(name) => Event::new(Warn, "open_store", EventResult::Success).with("network_file_system", name),
    }
    .log();
}

fn log_warning(warning: Warning) {
    use log::Level::Warn;
    match warning {
        Warning::Connected { host } => Event::success("connect_store").with("host", host),
        Warning::NoStandby { host } => Event::new(Warn, "connect_store", EventResult::Success)
            .with("host", host)
            .with("warning", "commits wait for no standby, since synchronous_standby_names is empty"),
        Warning::Away { reason } => Event::fail("connect_store").with("error", reason),
    }
    .log();
}
