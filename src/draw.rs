//! `quiniela draw`: the operator holds the draw of a sealed lottery whose number comes later.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::config::{self, ClientKeys, DatabaseArgs};
use crate::database::masked;
use crate::dialog::{self, Dialog};
use crate::domain::acta::{self, StoreSecrets};
use crate::domain::seal::draw_statement;
use crate::domain::{Hash, LotteryId, OPERATOR_TOKEN};
use crate::error::{Error, Kind, Result};
use crate::export;
use crate::output::{object, print};
use crate::transport::Connector;
use crate::wire::frame::{self, HEADER};
use crate::wire::{Command, Drawn, Reply, Stand};

/// How often the central is asked whether it has the seal.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Holds the draw of a lottery that was begun with --winning-number later.
///
/// Betting has to be closed: every agency of the roster is done, and what is stored is sealed. The seal has to be named, so
/// that whoever draws has looked at it: `quiniela audit STORE` prints it, and so does the central's log line `cierre`. With
/// keys it takes the operator's; without, it runs on the central's machine, as a user who can read its store.
///
/// The exit code is 0 once the draw is held with this number, and 4 if the central refuses it.
///
/// Example: quiniela draw 7574 --seal 5f1b… --server localhost:12345 --keys keys/operator
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The winning number
    number: u32,

    /// The seal over which the draw is held, 64 hexadecimal digits
    #[arg(long, value_name = "HEX")]
    seal: Hash,

    /// The central, as host:port
    #[arg(long, value_name = "ADDRESS", default_value = "localhost:12345", value_hint = clap::ValueHint::Hostname)]
    server: String,

    /// The central's store, a folder or postgres://USER@HOST,HOST/NAME, for a central without keys on this machine
    #[arg(long, value_name = "DIR|URL", value_hint = clap::ValueHint::DirPath, conflicts_with = "keys")]
    store: Option<PathBuf>,

    #[command(flatten)]
    database: DatabaseArgs,

    /// Time limit for the whole command, such as 60s or 500ms
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = crate::config::parse_limit)]
    timeout: Duration,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    keys: ClientKeys,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    number: u32,
    seal: Hash,
}

pub fn run(args: &Args) -> Result<()> {
    let Args { number, seal, server, store, database, timeout, json, keys } = args;
    let deadline = Instant::now() + *timeout;
    let host = server.rsplit_once(':').map_or(&**server, |(host, _)| host);
    let connector = match keys.paths()? {
        Some(paths) => Some(Connector::load(&paths, None, host)?.0),
        None => None,
    };
    let unreachable = |error: io::Error| Error::unreachable(format!("{server}: {error}"));
    let talk = || Dialog::new(dialog::connect(server, deadline)?, connector.as_ref(), deadline);
    let mut dialog = talk().map_err(unreachable)?;
    let proof = match (&connector, store) {
        (Some(connector), _) => {
            let statement = draw_statement(check(&closed(&mut dialog, server, deadline)?, seal)?, *seal, *number);
            connector.signer().sign(&statement).map_err(Error::failed)?.signature
        }
        (None, Some(store)) => {
            check(&closed(&mut dialog, server, deadline)?, seal)?;
            token(store, database)?
        }
        (None, None) => {
            return Err(Error::bad_input("give --keys DIR with the operator's keys, or the central's --store"));
        }
    };
    let command = Command::HoldDraw { number: *number, seal: *seal, proof: &proof };
    match ask(&mut dialog, &command, server)? {
        Reply::Drawn(Ok(Drawn { number: drawn, .. })) if drawn != *number => {
            Err(Error::refused(format!("the draw was held with {drawn} meanwhile, and not with {number}")))
        }
        Reply::Drawn(Ok(Drawn { number, .. })) if *json => print(object(&Report { number, seal: *seal })?),
        Reply::Drawn(Ok(Drawn { number, .. })) => print(format!("drawn: {number}, over the seal {seal}\n")),
        Reply::Drawn(Err(refusal)) | Reply::Ack(Err(refusal)) => {
            Err(Error::refused(format!("the central does not hold the draw: {refusal}")))
        }
        reply => Err(unexpected(&reply)),
    }
}

/// Where the lottery stands. If every agency is done and there is no seal, it is being made or announced: that is waited for.
fn closed(dialog: &mut Dialog, server: &str, deadline: Instant) -> Result<Stand> {
    loop {
        let stand = stand(dialog, server)?;
        let is_closing = stand.seal.is_none() && stand.agencies > 0 && stand.done == stand.agencies;
        if !is_closing || Instant::now() + LOOK_AGAIN >= deadline {
            return Ok(stand);
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// What shows that whoever draws can read the store.
fn token(store: &Path, database: &DatabaseArgs) -> Result<String> {
    let Some(url) = config::database(store) else {
        let path = store.join(OPERATOR_TOKEN);
        let text = fs::read_to_string(&path);
        let text = text.map_err(|error| Error::at_path(Kind::BadInput, &path, "read this file", &error))?;
        return Ok(text.trim_end().to_owned());
    };
    let draw = export::find(&database.password.hosts(url)?, &database.draw, &masked(url))?;
    let secrets: StoreSecrets = acta::read(draw.secrets.as_bytes())
        .map_err(|what| Error::storage(format!("{}: the secrets of the draw: {what}", masked(url))))?;
    Ok(secrets.secret.operator_token())
}

fn stand(dialog: &mut Dialog, server: &str) -> Result<Stand> {
    match ask(dialog, &Command::Status, server)? {
        Reply::Status(Ok(stand)) => Ok(stand),
        Reply::Status(Err(refusal)) | Reply::Ack(Err(refusal)) => {
            Err(Error::refused(format!("the central does not tell where the lottery stands: {refusal}")))
        }
        reply => Err(unexpected(&reply)),
    }
}

/// Whether this is the seal that was named. If betting is open, the central knows better why.
fn check(stand: &Stand, named: &Hash) -> Result<LotteryId> {
    match stand.seal {
        Some(seal) if seal != *named => Err(Error::refused(format!(
            "this lottery's seal is {seal}, and not the one that was named; look at what was sealed: quiniela audit"
        ))),
        _ => stand.lottery.ok_or_else(|| Error::refused("the central's store could not be written yet")),
    }
}

/// Sends a request, and waits for its reply.
fn ask(dialog: &mut Dialog, command: &Command<'_>, server: &str) -> Result<Reply> {
    let (mut request, mut answer) = (Vec::new(), Vec::new());
    frame::push(&mut request, command);
    let exchanged = dialog.exchange(&request, |piece| {
        answer.extend_from_slice(piece);
        let length = answer.first_chunk::<HEADER>().map(|length| u32::from_be_bytes(*length) as usize);
        Ok(length.is_some_and(|length| answer.len() >= HEADER + length))
    });
    exchanged.map_err(|error| Error::unreachable(format!("{server}: {error}")))?;
    let text = String::from_utf8_lossy(&answer[HEADER..]);
    Reply::parse(&text, Some(command.verb())).map_err(|error| Error::failed(format!("{server}: {error}")))
}

fn unexpected(reply: &Reply) -> Error {
    Error::failed(format!("the central answered with: {reply}"))
}
