//! `quiniela export`: a draw of a database, as a folder would have it.

use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueHint;
use serde::Serialize;

use crate::config::{DatabaseArgs, database};
use crate::database::reading::{self, Wanted};
use crate::database::{Failure, Hosts, masked};
use crate::error::{Error, Kind, Result};
use crate::output::{WholeFile, counted, object, print};

/// Writes a draw of a database into a folder: bets.csv, and acta.json and secrets.json as a folder's central has them.
///
/// The bets stand agency by agency, each agency's in the order in which it sent them. The folder can be audited. Whoever has
/// secrets.json can test guesses of any bet against the acta, so its owner alone can read it.
///
/// Example: quiniela export --store postgres://quiniela@db1,db2/quiniela --draw noche /tmp/noche
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The database: postgres://USER@HOST,HOST/NAME
    #[arg(long, value_name = "URL")]
    store: String,

    #[command(flatten)]
    database: DatabaseArgs,

    /// Folder to write to, made if it is missing; one that holds a bets.csv is left alone
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    dir: PathBuf,

    /// Replace the files of a folder
    #[arg(long)]
    force: bool,

    /// Print one JSON object about what was written
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    folder: String,
    bets: u64,
}

pub fn run(args: &Args) -> Result<()> {
    let Args { store, database: draw, dir, force, json } = args;
    if database(store.as_ref()).is_none() {
        let shown = masked(store);
        return Err(Error::bad_input(format!("--store {shown}: give a database, postgres://USER@HOST/NAME")));
    }
    let bets = dir.join("bets.csv");
    if !force && bets.symlink_metadata().is_ok() {
        return Err(Error::bad_path(&bets, "is there already; give another folder, or --force"));
    }
    fs::create_dir_all(dir).map_err(|error| Error::at_path(Kind::Failed, dir, "make this folder", &error))?;
    let written = write(store, draw, dir)?;
    if *json {
        return print(object(&Report { folder: dir.display().to_string(), bets: written })?);
    }
    print(format!("{}: {}\n", dir.display(), counted(written, "bet")))
}

/// Writes a draw into a folder. Returns the number of its bets.
pub fn write(store: &str, args: &DatabaseArgs, dir: &Path) -> Result<u64> {
    let (hosts, shown) = (args.password.hosts(store)?, masked(store));
    let failed = |failure: Failure| failed(&shown, &failure);
    let draw = find(&hosts, &args.draw, &shown)?;
    let private = |name: &str, text: &[u8]| -> Result<()> {
        let mut file = WholeFile::create_private(&dir.join(name))?;
        file.write(text)?;
        file.finish()
    };
    let (mut bets, mut unwritten) = (0, Ok(()));
    let mut file = WholeFile::create_private(&dir.join("bets.csv"))?;
    let read = reading::for_each_batch(&hosts, draw.id, &Wanted::default(), &|| false, |batch| {
        let rows = batch.rows.unwrap_or_default();
        bets += memchr::memchr_iter(b'\n', &rows).count() as u64;
        unwritten = file.write(&rows);
        match &unwritten {
            Ok(()) => Ok(()),
            Err(error) => Err(Failure::Refused(error.to_string())),
        }
    });
    unwritten?;
    read.map_err(failed)?;
    file.finish()?;
    private("secrets.json", draw.secrets.as_bytes())?;
    match draw.acta {
        Some(acta) => private("acta.json", acta.as_bytes())?,
        // That of an earlier export would be of another state.
        None => _ = fs::remove_file(dir.join("acta.json")),
    }
    Ok(bets)
}

/// A draw's documents.
pub fn find(hosts: &Hosts, name: &str, shown: &str) -> Result<reading::Draw> {
    let draw = hosts.connect().and_then(|session| reading::draw(&session, name, hosts));
    let draw = draw.map_err(|failure| failed(shown, &failure))?;
    draw.ok_or_else(|| Error::bad_input(format!("{shown}: there is no draw {name}; give another --draw")))
}

fn failed(shown: &str, failure: &Failure) -> Error {
    let kind = match failure {
        Failure::Away(_) | Failure::Again(_) => Kind::Unreachable,
        Failure::Full(_) | Failure::Refused(_) => Kind::Storage,
        Failure::Misfit(_) => Kind::BadInput,
    };
    Error::new(kind, format!("{shown}: {failure}"))
}
