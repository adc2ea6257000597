//! What an agency can check by itself: that the acta tells the truth about its bets, and that the seal it was shown at the
//! close is the one that was drawn.

use std::path::Path;

use serde::Serialize;

use super::documents::{check_acta, differs, load, nodes};
use super::own::{self, Found, Plan};
use super::salt::line_leaf;
use super::signatures::{self, Authorities};
use super::tree;
use super::{AuditArgs, check_signatures};
use crate::domain::acta::{Acta, Receipt};
use crate::domain::{Hash, LotteryId, Status};
use crate::error::{Error, Kind, Result};
use crate::output::{counted, object};

/// The object of `quiniela audit --agency ID … --json`.
#[derive(Serialize)]
struct Report {
    lottery: LotteryId,
    agency: u32,
    bets: u64,
    root: Hash,
    /// Whether the root was computed from the agency's file. Without a receipt it cannot be.
    root_checked: bool,
    status: Status,
    winners: Option<u64>,
    number: Option<u32>,
    seal: Hash,
    /// Whether the receipt has the same seal.
    receipt_checked: bool,
    unsigned: Vec<String>,
}

/// Checks the agency's file, and its receipt if there is one, against the acta.
pub fn audit(args: &AuditArgs, agency: u32, data: &Path, authorities: Option<&Authorities>) -> Result<String> {
    let path = &args.path;
    let acta: Acta = load(path)?;
    check_acta(&acta).map_err(|reason| differs(path, reason))?;
    let Some(line) = acta.agencies.get(agency as usize - 1) else {
        let agencies = acta.agencies.len();
        return Err(Error::bad_path(path, format!("has no agency {agency}: its agencies are 1 to {agencies}")));
    };
    let unsigned = check_signatures(&acta, path, authorities, args.allow_unsigned)?;
    let receipt = args.receipt.as_deref().map(|path| Ok((path, load::<Receipt>(path)?))).transpose()?;
    if let Some((path, receipt)) = &receipt {
        check_receipt(receipt, agency, authorities).map_err(|reason| differs(path, reason))?;
        check_same(receipt, &acta).map_err(|reason| differs(path, reason))?;
    }
    let number = acta.draw.as_ref().map(|draw| draw.number);
    let secret = receipt.as_ref().map(|(_, receipt)| receipt.secret);
    let found = own::read(data, &Plan { agency, secret, number, wanted: None })?;
    check_file(&found, line.bets, line.root, "the acta")?;
    if line.winners.is_some_and(|winners| winners != found.winners) {
        let winners = line.winners.unwrap_or_default();
        let reason = format!("has {}, and the acta has {winners}", counted(found.winners, "winner"));
        return Err(differs(&found.path, reason));
    }
    let root_checked = found.root.is_some();
    if args.json {
        return object(&Report {
            lottery: acta.lottery,
            agency,
            bets: line.bets,
            root: line.root,
            root_checked,
            status: line.status,
            winners: line.winners,
            number,
            seal: acta.seal,
            receipt_checked: receipt.is_some(),
            unsigned,
        });
    }
    let won = match number {
        Some(number) => format!("{} on {number}", counted(found.winners, "winner")),
        None => "not drawn yet".to_owned(),
    };
    let how_far = if root_checked {
        "They are the bets that the seal binds, in their order, and the receipt has the same seal."
    } else {
        "Only their number and the winners were checked, not the bets themselves: that needs the agency's secret, which is \
         in its receipt. Give --receipt FILE."
    };
    Ok(format!(
        "lottery {}\nseal    {}\nagency  {agency}: {}, {}, {won}\n\n{how_far}\n",
        acta.lottery,
        acta.seal,
        counted(line.bets, "bet"),
        line.status
    ))
}

/// Checks that a receipt fits itself: the agency's line is in its seal.
pub fn check_receipt(receipt: &Receipt, agency: u32, authorities: Option<&Authorities>) -> Result<(), String> {
    let of = receipt.agency;
    if of != agency {
        return Err(format!("it is the receipt of agency {of}, and not of agency {agency}"));
    }
    let leaf = line_leaf(agency, receipt.bets, receipt.root, receipt.status);
    let place = u64::from(agency).checked_sub(1).ok_or("there is no agency 0")?;
    let seal = tree::climb(leaf, place, receipt.agencies.into(), &nodes(&receipt.path));
    if seal != Some(receipt.seal.0) {
        return Err("its path does not lead from the agency's line to its seal".to_owned());
    }
    signatures::check_seal(&receipt.sealed(), receipt.signed.as_ref(), authorities).map(drop)
}

/// Checks that a receipt and an acta are of one seal.
fn check_same(receipt: &Receipt, acta: &Acta) -> Result<(), String> {
    let differ = |what: &str, ours: String, theirs: String| {
        Err(format!("its {what} is {ours}, and the acta's is {theirs}: the central has shown two"))
    };
    if receipt.lottery != acta.lottery {
        return differ("lottery", receipt.lottery.to_string(), acta.lottery.to_string());
    }
    if receipt.seal != acta.seal {
        return differ("seal", receipt.seal.to_string(), acta.seal.to_string());
    }
    if receipt.total != acta.total {
        return differ("total", receipt.total.to_string(), acta.total.to_string());
    }
    if receipt.agencies as usize != acta.agencies.len() {
        return differ("number of agencies", receipt.agencies.to_string(), acta.agencies.len().to_string());
    }
    if receipt.sealed_at != acta.sealed_at {
        return differ("time", receipt.sealed_at.to_string(), acta.sealed_at.to_string());
    }
    let line = acta.lines().find(|line| line.agency.0 == receipt.agency);
    if line != Some(receipt.seal_line()) {
        let line = line.map_or("missing".to_owned(), |line| line.to_string().trim_end().to_owned());
        return differ("agency's line", receipt.seal_line().to_string().trim_end().to_owned(), line);
    }
    Ok(())
}

/// Checks the agency's file against what a document says of it.
pub fn check_file(found: &Found, bets: u64, root: Hash, document: &str) -> Result<()> {
    if found.bets != bets {
        let reason = format!("has {}, and {document} has {bets}", counted(found.bets, "bet"));
        return Err(differs(&found.path, reason));
    }
    if let Some(own) = found.root.filter(|own| *own != root) {
        let reason =
            format!("its bets have the root {own}, and {document} has {root}: a bet is not the one that was sealed");
        return Err(Error::new(Kind::Storage, format!("{}: {reason}", found.path.display())));
    }
    Ok(())
}
