//! `quiniela audit` and `quiniela ticket`: checks of a closed lottery, by code of their own. They share with the central the
//! types of the domain and the form of its documents, and nothing that computes: not the CSV, not the tree, not the salts.

mod agency;
mod documents;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod own;
mod pass;
mod report;
mod rows;
mod salt;
mod signatures;
mod store;
mod ticket;
mod tree;

#[cfg(test)]
mod document_tests;
#[cfg(test)]
mod signature_tests;
#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod testing;

use std::path::{Path, PathBuf};

use clap::ValueHint;
use tempfile::TempDir;

use crate::config::{self, DatabaseArgs};
use crate::domain::acta::Acta;
use crate::domain::{Hash, MAX_AGENCIES};
use crate::error::{Error, Kind, Result};
use crate::export;
use crate::output::{object, print};
use documents::differs;
use signatures::Authorities;
use store::Store;
use ticket::Against;

/// Checks a closed lottery: computes counts, roots, seal and winners again, and compares them with its acta.
///
/// With --agency, an agency checks its own file against the acta instead, and its receipt too. The exit code is 0 if all
/// of it fits, and 5 if not: then the first difference is named.
///
/// Example: quiniela audit --ca ca.pem STORE
#[derive(clap::Args, Clone, Debug)]
pub struct AuditArgs {
    /// The central's store, which may be in use: a folder, or postgres://USER@HOST,HOST/NAME; with --agency, the acta
    #[arg(value_name = "STORE|ACTA", value_hint = ValueHint::AnyPath)]
    pub path: PathBuf,

    #[command(flatten)]
    pub database: DatabaseArgs,

    /// Check the file of this agency against the acta
    #[arg(long, value_name = "ID", requires = "data", value_parser = agency_id())]
    pub agency: Option<u32>,

    /// Folder of the agency's file, agency-<id>.csv
    #[arg(long, value_name = "DIR", requires = "agency", value_hint = ValueHint::DirPath)]
    pub data: Option<PathBuf>,

    /// What the agency was shown at the close; without it only the number of its bets and its winners can be checked
    #[arg(long, value_name = "FILE", requires = "agency", value_hint = ValueHint::FilePath)]
    pub receipt: Option<PathBuf>,

    /// File of the authority: everything must be signed by those who had to, with certificates that were valid then
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ca: Option<PathBuf>,

    /// With --ca, list what is not signed instead of failing; a bad signature still fails
    #[arg(long, requires = "ca")]
    pub allow_unsigned: bool,

    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Prints the ticket of a bet, or checks one: whether that bet is in the lottery, and whether it has won.
///
/// A ticket is made from the store, or from the agency's own file and receipt. To check one needs nothing but the acta or
/// the seal. The exit code is 0 if the bet is in the lottery, and 5 if not.
///
/// Example: quiniela ticket --agency 3 --bet 17 STORE
#[derive(clap::Args, Clone, Debug)]
pub struct TicketArgs {
    /// The central's store, a folder or postgres://USER@HOST,HOST/NAME, to make a ticket; the acta, to check one
    #[arg(value_name = "STORE|ACTA", value_hint = ValueHint::AnyPath)]
    pub path: Option<PathBuf>,

    #[command(flatten)]
    pub database: DatabaseArgs,

    /// The agency of the bet
    #[arg(long, value_name = "ID", requires = "bet", value_parser = agency_id())]
    pub agency: Option<u32>,

    /// Which of the agency's bets, from 1 on
    #[arg(long, value_name = "N", requires = "agency", value_parser = clap::value_parser!(u64).range(1..))]
    pub bet: Option<u64>,

    /// Folder of the agency's file, agency-<id>.csv, to make a ticket without the store
    #[arg(long, value_name = "DIR", requires_all = ["agency", "receipt"], conflicts_with = "path", value_hint = ValueHint::DirPath)]
    pub data: Option<PathBuf>,

    /// What the agency was shown at the close
    #[arg(long, value_name = "FILE", requires = "data", value_hint = ValueHint::FilePath)]
    pub receipt: Option<PathBuf>,

    /// Ticket to check
    #[arg(long, value_name = "TICKET", conflicts_with_all = ["agency", "data"], value_hint = ValueHint::FilePath)]
    pub check: Option<PathBuf>,

    /// Seal to check the ticket against, if there is no acta
    #[arg(long, value_name = "HEX", requires = "check", conflicts_with = "path")]
    pub seal: Option<Hash>,

    /// File of the authority: seal and number must be signed, with certificates that were valid then
    #[arg(long, value_name = "FILE", requires = "check", value_hint = ValueHint::FilePath)]
    pub ca: Option<PathBuf>,

    /// Print one JSON object about the ticket that is checked; a ticket that is made is one anyway
    #[arg(long, requires = "check")]
    pub json: bool,
}

fn agency_id() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::from(MAX_AGENCIES))
}

pub fn audit(args: &AuditArgs) -> Result<()> {
    print(audited(args)?)
}

/// Checks a store, and the file and the receipt of each of its agencies. Returns the seal.
pub fn check_all(store: &Path, data: &Path, receipts: &[PathBuf], ca: Option<&Path>) -> Result<Hash> {
    let args = AuditArgs {
        path: store.to_owned(),
        database: DatabaseArgs::default(),
        agency: None,
        data: None,
        receipt: None,
        ca: ca.map(Path::to_owned),
        allow_unsigned: false,
        json: false,
    };
    audited(&args)?;
    let acta = store.join("acta.json");
    for (agency, receipt) in (1..).zip(receipts) {
        let (data, receipt) = (Some(data.to_owned()), Some(receipt.clone()));
        audited(&AuditArgs { path: acta.clone(), agency: Some(agency), data, receipt, ..args.clone() })?;
    }
    Ok(Store::open(store)?.acta.seal)
}

pub fn ticket(args: &TicketArgs) -> Result<()> {
    print(ticketed(args)?)
}

/// The folder of a store: its own, or one that a draw of a database is written to, which ends with the second value.
fn folder_of(store: &Path, database: &DatabaseArgs) -> Result<(PathBuf, Option<TempDir>)> {
    let Some(url) = config::database(store) else { return Ok((store.to_owned(), None)) };
    let folder = tempfile::tempdir()
        .map_err(|error| Error::at_path(Kind::Failed, &std::env::temp_dir(), "make a folder here", &error))?;
    export::write(url, database, folder.path())?;
    Ok((folder.path().to_owned(), Some(folder)))
}

fn audited(args: &AuditArgs) -> Result<String> {
    if config::database(&args.path).is_some() {
        let (folder, _copy) = folder_of(&args.path, &args.database)?;
        let path = if args.agency.is_some() { folder.join("acta.json") } else { folder };
        return audited(&AuditArgs { path, ..args.clone() });
    }
    let authorities = args.ca.as_deref().map(Authorities::load).transpose()?;
    let authorities = authorities.as_ref();
    if let (Some(agency), Some(data)) = (args.agency, &args.data) {
        return agency::audit(args, agency, data, authorities);
    }
    let store = Store::open(&args.path)?;
    let unsigned = check_signatures(&store.acta, &store.acta_path, authorities, args.allow_unsigned)?;
    store.check(None)?;
    if args.json {
        report::json(&store.acta, unsigned, authorities.is_some())
    } else {
        Ok(report::table(&store.acta, &unsigned, authorities.is_some()))
    }
}

fn ticketed(args: &TicketArgs) -> Result<String> {
    let TicketArgs { path, database, agency, bet, data, receipt, check, seal, ca, json } = args;
    if let Some(store) = path.as_ref().filter(|path| config::database(path).is_some()) {
        let (folder, _copy) = folder_of(store, database)?;
        let path = Some(if check.is_some() { folder.join("acta.json") } else { folder });
        return ticketed(&TicketArgs { path, ..args.clone() });
    }
    if let Some(ticket) = check {
        let against = match (path, seal) {
            (Some(path), _) => Against::Acta(path),
            (None, Some(seal)) => Against::Seal(*seal),
            (None, None) => return Err(Error::bad_input("--check: give the acta, or --seal HEX")),
        };
        let authorities = ca.as_deref().map(Authorities::load).transpose()?;
        let checked = ticket::check(ticket, &against, authorities.as_ref())?;
        return if *json { object(&checked) } else { Ok(checked.to_string()) };
    }
    let (Some(agency), Some(bet)) = (*agency, *bet) else {
        return Err(Error::bad_input(
            "ticket: give --agency ID and --bet N to make one, or --check TICKET to check one",
        ));
    };
    match (path, data, receipt) {
        (Some(store), _, _) => ticket::from_store(store, agency, bet),
        (None, Some(data), Some(receipt)) => ticket::from_own(data, receipt, agency, bet),
        _ => Err(Error::bad_input("ticket: give the central's store, or the agency's --data DIR and --receipt FILE")),
    }
}

/// Checks the signatures of an acta, and tells what is not signed if that is no failure.
fn check_signatures(
    acta: &Acta,
    path: &Path,
    authorities: Option<&Authorities>,
    allow_unsigned: bool,
) -> Result<Vec<String>> {
    let unsigned = signatures::check(acta, authorities).map_err(|reason| differs(path, reason))?;
    if authorities.is_some() && !allow_unsigned && !unsigned.is_empty() {
        let list = unsigned.join(", ");
        return Err(differs(path, format!("not signed: {list}; --allow-unsigned takes that, and lists it")));
    }
    Ok(unsigned)
}
