//! Reading the documents of a lottery, and the rules that an acta obeys by itself.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::salt::line_leaf;
use super::tree::{self, Node};
use crate::domain::acta::{self, Acta, Receipt, StoreSecrets, Ticket};
use crate::domain::{Hash, MAX_AGENCIES, Status};
use crate::error::{Error, Kind, Result};
use crate::output::counted;

/// The most that is read of a document: an acta of 65,535 agencies that have all signed has half of it.
const MAX_DOCUMENT: u64 = 256 * 1024 * 1024;

/// A kind of document.
pub trait Document: Serialize + DeserializeOwned {
    const WHAT: &'static str;
    fn format(&self) -> u32;
}

macro_rules! documents {
    ($($kind:ident: $what:literal),*) => {$(
        impl Document for $kind {
            const WHAT: &'static str = $what;
            fn format(&self) -> u32 {
                self.format
            }
        }
    )*};
}

documents!(Acta: "acta", Receipt: "receipt", Ticket: "ticket", StoreSecrets: "file of secrets");

/// Reads a document. One that is not there is bad input, and one that is not whole does not pass.
pub fn load<T: Document>(path: &Path) -> Result<T> {
    let unreadable = |error| Error::at_path(Kind::BadInput, path, &format!("read the {}", T::WHAT), &error);
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_DOCUMENT).read_to_end(&mut bytes)).map_err(unreadable)?;
    let document: T =
        acta::read(&bytes).map_err(|reason| differs(path, format!("as {} {reason}", with_article(T::WHAT))))?;
    match document.format() {
        acta::FORMAT => Ok(document),
        other => Err(Error::bad_path(path, format!("has format {other}; this program reads {}", acta::FORMAT))),
    }
}

/// Something that is not as it must be.
pub fn differs(path: &Path, reason: String) -> Error {
    Error::storage(format!("{}: {reason}", path.display()))
}

/// Checks that an acta fits itself: its agencies, its sum, its seal, and that each status has what it needs.
pub fn check_acta(acta: &Acta) -> Result<(), String> {
    if acta.agencies.is_empty() || acta.agencies.len() > MAX_AGENCIES as usize {
        return Err(format!("it has {} agencies, and a lottery has 1 to {MAX_AGENCIES}", acta.agencies.len()));
    }
    for (id, line) in (1..).zip(&acta.agencies) {
        let agency = line.agency;
        if agency != id {
            return Err(format!("agency {agency} stands in line {id} of the agencies, where agency {id} must stand"));
        }
        if (line.status == Status::Signed) != line.signed.is_some() {
            let held = if line.signed.is_some() { "a" } else { "no" };
            return Err(format!("agency {agency} has the status {} and {held} signature", line.status));
        }
        if line.winners.is_some() != acta.draw.is_some() {
            let held =
                if line.winners.is_some() { "winners without a draw" } else { "no winners, though there was a draw" };
            return Err(format!("agency {agency} has {held}"));
        }
        if line.winners.is_some_and(|winners| winners > line.bets) {
            return Err(format!("agency {agency} has more winners than bets"));
        }
    }
    let bets = acta.agencies.iter().try_fold(0_u64, |sum, line| sum.checked_add(line.bets));
    if bets != Some(acta.total) {
        let sum = bets.map_or("more than can be counted".to_owned(), |bets| counted(bets, "bet"));
        return Err(format!("its total is {}, and its agencies have {sum}", acta.total));
    }
    if acta.draw.as_ref().is_some_and(|draw| draw.signed.is_some() && !draw.later) {
        return Err("its number was known before the seal, and yet it has the operator's signature".to_owned());
    }
    let seal = seal_of(acta, None).map(|(seal, _)| seal);
    if seal != Some(acta.seal) {
        return Err(format!(
            "its seal is {}, and its agencies' lines make {}",
            acta.seal,
            seal.map_or("none".to_owned(), |seal| seal.to_string())
        ));
    }
    Ok(())
}

/// The seal over an acta's lines, and the path of an agency's.
pub fn seal_of(acta: &Acta, agency: Option<u32>) -> Option<(Hash, Vec<Hash>)> {
    let leaf = |line: &acta::ActaLine| line_leaf(line.agency, line.bets, line.root, line.status);
    let leaves: Vec<Node> = acta.agencies.iter().map(leaf).collect();
    let (seal, path) = tree::whole(leaves, agency.map(|agency| u64::from(agency) - 1))?;
    Some((Hash(seal), hashes(&path)))
}

pub fn hashes(nodes: &[Node]) -> Vec<Hash> {
    nodes.iter().copied().map(Hash).collect()
}

pub fn nodes(hashes: &[Hash]) -> Vec<Node> {
    hashes.iter().map(|hash| hash.0).collect()
}

fn with_article(what: &str) -> String {
    format!("{} {what}", if what.starts_with('a') { "an" } else { "a" })
}
