//! A store, checked against its acta: what its bets make by themselves, beside what the acta says.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::documents::{check_acta, differs, load};
use super::pass::{self, Found, Plan, Tally, Wanted};
use super::salt::{Salts, secret_of};
use crate::domain::Secret;
use crate::domain::acta::{Acta, ActaLine, StoreSecrets};
use crate::error::{Error, Kind, Result};
use crate::output::counted;
use crate::progress::Progress;

/// The most agencies that a message names behind the first.
const NAMED: usize = 10;

/// A store whose acta fits itself and its secrets. Its bets are not read yet.
pub struct Store {
    pub acta: Acta,
    pub acta_path: PathBuf,
    bets: PathBuf,
    secrets: StoreSecrets,
}

impl Store {
    pub fn open(folder: &Path) -> Result<Store> {
        let metadata = folder.metadata().map_err(|error| Error::at_path(Kind::BadInput, folder, "read it", &error))?;
        if !metadata.is_dir() {
            return Err(Error::bad_path(folder, "is no folder; give the central's store, the folder of bets.csv"));
        }
        let (acta_path, bets) = (folder.join("acta.json"), folder.join("bets.csv"));
        if is_missing(&acta_path) {
            let reason = if is_missing(&bets) {
                "holds neither acta.json nor bets.csv: give the central's store"
            } else {
                "holds no acta.json: betting is not closed, so there is no seal yet; audit it when every agency is done"
            };
            return Err(Error::bad_path(folder, reason));
        }
        let acta: Acta = load(&acta_path)?;
        check_acta(&acta).map_err(|reason| differs(&acta_path, reason))?;
        let secrets_path = folder.join("secrets.json");
        if is_missing(&secrets_path) {
            return Err(differs(&secrets_path, "is missing, and without it no root can be computed".to_owned()));
        }
        let secrets: StoreSecrets = load(&secrets_path)?;
        if secrets.lottery != acta.lottery {
            let reason = format!("is of lottery {}, and acta.json of {}", secrets.lottery, acta.lottery);
            return Err(differs(&secrets_path, reason));
        }
        Ok(Store { acta, acta_path, bets, secrets })
    }

    /// The secret of an agency.
    pub fn secret(&self, agency: u32) -> Secret {
        secret_of(self.secrets.secret, agency)
    }

    /// Reads all bets, and checks them against the acta. If a bet is wanted, only its agency's root is made and checked.
    pub fn check(&self, wanted: Option<Wanted>) -> Result<Found> {
        let unreadable = |error: io::Error| Error::at_path(Kind::Storage, &self.bets, "read the bets", &error);
        let file = File::open(&self.bets).map_err(unreadable)?;
        let progress = Progress::of("audit", file.metadata().map_err(unreadable)?.len());
        let salts = |line: &ActaLine| Salts::new(self.secret(line.agency));
        let plan = Plan {
            salts: self.acta.agencies.iter().map(salts).collect(),
            number: self.acta.draw.as_ref().map(|draw| draw.number),
            wanted,
        };
        let found = pass::run(&self.bets, file, &plan, &progress)?;
        let differences: Vec<(u32, String)> = self
            .acta
            .agencies
            .iter()
            .zip(&found.agencies)
            .filter_map(|(line, tally)| Some((line.agency, difference(line, tally)?)))
            .collect();
        match &differences[..] {
            [] => Ok(found),
            [(_, first)] => Err(differs(&self.bets, first.clone())),
            [(_, first), others @ ..] => {
                let others: Vec<String> = others.iter().take(NAMED).map(|(agency, _)| agency.to_string()).collect();
                Err(differs(&self.bets, format!("{first}; other agencies that differ: {}", others.join(", "))))
            }
        }
    }
}

fn is_missing(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// What the bets say of an agency that its line does not.
fn difference(line: &ActaLine, tally: &Tally) -> Option<String> {
    let agency = line.agency;
    if tally.bets != line.bets {
        return Some(format!("agency {agency} has {} here, and {} in the acta", counted(tally.bets, "bet"), line.bets));
    }
    if let Some(root) = tally.root.filter(|root| *root != line.root) {
        return Some(format!(
            "agency {agency} has the root {root} here over its {}, and {} in the acta: one of its bets was changed, or two have \
             changed places, or the secret is another",
            counted(line.bets, "bet"),
            line.root
        ));
    }
    line.winners.filter(|winners| *winners != tally.winners).map(|winners| {
        format!("agency {agency} has {} here, and {winners} in the acta", counted(tally.winners, "winner"))
    })
}
