//! `quiniela migrate`: makes the tables of a database that several centrals share.

use serde::Serialize;

use crate::config::{PasswordArgs, database};
use crate::database::schema::{self, VERSION};
use crate::database::{Failure, masked};
use crate::error::{Error, Kind, Result};
use crate::output::{object, print};

/// Makes the tables of a database that several centrals share, or brings them to the version that this program knows.
///
/// It needs a role that may make tables. Centrals should have another one, which may not: --grant gives that one the rights
/// that it needs. It does nothing where nothing is to be done, and two may run at once.
///
/// Example: quiniela migrate --store postgres://owner@db1,db2/quiniela --grant quiniela
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The database: postgres://USER@HOST,HOST/NAME
    #[arg(long, value_name = "URL")]
    store: String,

    #[command(flatten)]
    password: PasswordArgs,

    /// Role of the centrals, which gets the rights that a central needs
    #[arg(long, value_name = "ROLE")]
    grant: Option<String>,

    /// Remove this draw and all of its bets; it has to be drawn
    #[arg(long, value_name = "NAME")]
    retire: Option<String>,

    /// Print one JSON object about what was done
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    store: &'a str,
    version_before: i32,
    version: i32,
    granted: Option<&'a str>,
    retired: Option<&'a str>,
}

pub fn run(args: &Args) -> Result<()> {
    let store = masked(&args.store);
    if database(args.store.as_ref()).is_none() {
        return Err(Error::bad_input(format!("--store {store}: give a database, postgres://USER@HOST/NAME")));
    }
    let hosts = args.password.hosts(&args.store)?;
    let failed = |failure: Failure| {
        let kind = match failure {
            Failure::Away(_) | Failure::Again(_) => Kind::Unreachable,
            Failure::Full(_) => Kind::Storage,
            Failure::Refused(_) | Failure::Misfit(_) => Kind::BadInput,
        };
        Error::new(kind, format!("{store}: {failure}"))
    };
    let session = hosts.connect_for_schema().map_err(failed)?;
    let before = schema::migrate(&session).map_err(failed)?;
    let mut told = match before {
        VERSION => format!("{store}: the schema has version {VERSION}\n"),
        0 => format!("{store}: the schema was made, version {VERSION}\n"),
        before => format!("{store}: the schema had version {before}, and has {VERSION} now\n"),
    };
    if let Some(role) = &args.grant {
        schema::grant(&session, role).map_err(failed)?;
        told.push_str(&format!("{store}: the role {role} has the rights of a central\n"));
    }
    if let Some(draw) = &args.retire {
        if !schema::retire(&session, draw).map_err(failed)? {
            return Err(Error::bad_input(format!("{store}: there is no draw {draw}")));
        }
        told.push_str(&format!("{store}: the draw {draw} was removed\n"));
    }
    if args.json {
        let (granted, retired) = (args.grant.as_deref(), args.retire.as_deref());
        let report = Report { store: &store, version_before: before, version: VERSION, granted, retired };
        return print(object(&report)?);
    }
    print(told)
}
