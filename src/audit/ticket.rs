//! Tickets: one bet, and what leads from it to the seal. A ticket is made from a store or from an agency's own file, and can be
//! checked by anybody.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::agency::{check_file, check_receipt};
use super::documents::{check_acta, differs, hashes, load, nodes, seal_of};
use super::own::{self, Plan};
use super::pass::Wanted;
use super::report::moment;
use super::rows;
use super::salt::{SALT, Salts, leaf_of, line_leaf};
use super::signatures::{self, Authorities};
use super::store::Store;
use super::tree::{self, Node};
use crate::domain::acta::{self, Acta, FORMAT, Receipt, Ticket};
use crate::domain::{AgencyId, Hash, LotteryId, MAX_AGENCIES, has_won};
use crate::error::{Error, Result};
use crate::output::counted;

/// The largest ticket. If the central's certificates do not fit, they are left out.
const MAX_TICKET: usize = 4096;

/// The ticket of a bet, which counts from 1, from a store whose bets have this agency's root.
pub fn from_store(folder: &Path, agency: u32, bet: u64) -> Result<String> {
    let store = Store::open(folder)?;
    let acta = &store.acta;
    let Some(line) = acta.agencies.get(agency as usize - 1) else {
        let agencies = acta.agencies.len();
        return Err(Error::bad_input(format!("--agency {agency}: the agencies of this lottery are 1 to {agencies}")));
    };
    check_place(agency, bet, line.bets)?;
    let found = store.check(Some(Wanted { agency: AgencyId(agency), place: bet - 1 }))?;
    let (row, path) = found.bet.ok_or_else(|| lost(agency, bet))?;
    let (seal, agency_path) = seal_of(acta, Some(agency)).ok_or_else(|| lost(agency, bet))?;
    let salt = Salts::new(store.secret(agency)).salt(bet - 1);
    write(Ticket {
        format: FORMAT,
        lottery: acta.lottery,
        agency,
        bet,
        row: text(&row)?,
        salt: hex(&salt),
        path: hashes(&path),
        bets: line.bets,
        root: line.root,
        status: line.status,
        agency_path,
        agencies: acta.agencies.len() as u32,
        total: acta.total,
        seal,
        sealed_at: acta.sealed_at,
        signed: acta.signed.clone(),
        number: acta.draw.as_ref().map(|draw| draw.number),
    })
}

/// The ticket of a bet from the agency's own file and what it was shown at the close.
pub fn from_own(data: &Path, receipt: &Path, agency: u32, bet: u64) -> Result<String> {
    let kept: Receipt = load(receipt)?;
    check_receipt(&kept, agency, None).map_err(|reason| differs(receipt, reason))?;
    check_place(agency, bet, kept.bets)?;
    let plan = Plan { agency, secret: Some(kept.secret), number: None, wanted: Some(bet - 1) };
    let found = own::read(data, &plan)?;
    check_file(&found, kept.bets, kept.root, "its receipt")?;
    let (row, path) = found.bet.ok_or_else(|| lost(agency, bet))?;
    write(Ticket {
        format: FORMAT,
        lottery: kept.lottery,
        agency,
        bet,
        row: text(&row)?,
        salt: hex(&Salts::new(kept.secret).salt(bet - 1)),
        path: hashes(&path),
        bets: kept.bets,
        root: kept.root,
        status: kept.status,
        agency_path: kept.path,
        agencies: kept.agencies,
        total: kept.total,
        seal: kept.seal,
        sealed_at: kept.sealed_at,
        signed: kept.signed,
        number: None,
    })
}

/// What a ticket is checked against.
pub enum Against<'a> {
    Acta(&'a Path),
    Seal(Hash),
}

/// Says that the ticket's bet is in the lottery and whether it has won. The error says what does not fit.
pub fn check(path: &Path, against: &Against<'_>, authorities: Option<&Authorities>) -> Result<Checked> {
    let ticket: Ticket = load(path)?;
    let misfit = |reason| differs(path, reason);
    let number = check_itself(&ticket).map_err(misfit)?;
    let central = signatures::check_seal(&ticket.sealed(), ticket.signed.as_ref(), authorities).map_err(misfit)?;
    let (drawn, mut notes) = match against {
        Against::Acta(path) => {
            let acta: Acta = load(path)?;
            check_acta(&acta).map_err(|reason| differs(path, reason))?;
            let unsigned = signatures::check(&acta, authorities).map_err(|reason| differs(path, reason))?;
            let missing: Vec<&str> =
                unsigned.iter().map(String::as_str).filter(|what| !what.starts_with("agency ")).collect();
            if authorities.is_some() && !missing.is_empty() {
                return Err(differs(path, format!("not signed: {}", missing.join(", "))));
            }
            check_same(&ticket, &acta).map_err(misfit)?;
            let mut notes = Vec::new();
            if authorities.is_some() && unsigned.contains(&format!("agency {}", ticket.agency)) {
                notes.push(format!("Agency {} has not signed its line of the acta.", ticket.agency));
            }
            (acta.draw.map(|draw| draw.number), notes)
        }
        Against::Seal(seal) => {
            if *seal != ticket.seal {
                return Err(misfit(format!("it leads to the seal {}, and not to {seal}", ticket.seal)));
            }
            if authorities.is_some() && !central {
                return Err(misfit("its seal is not signed by the central; check it against the acta".to_owned()));
            }
            let note = ticket
                .number
                .map(|_| "The number is what the ticket says; the seal says nothing of it: ask for the acta.");
            (ticket.number, note.map(str::to_owned).into_iter().collect())
        }
    };
    if authorities.is_none() {
        notes.push("The signatures were not checked against an authority: give --ca FILE.".to_owned());
    }
    let Ticket { lottery, seal, sealed_at, agency, bet, bets, row, .. } = ticket;
    let won = drawn.map(|drawn| has_won(number, drawn));
    let authority_checked = authorities.is_some();
    Ok(Checked { lottery, seal, sealed_at, agency, bet, bets, row, number, drawn, won, authority_checked, notes })
}

/// Of a ticket that is right: its bet is in the lottery. As `--json` prints it.
#[derive(Serialize)]
pub struct Checked {
    lottery: LotteryId,
    seal: Hash,
    sealed_at: u64,
    agency: u32,
    bet: u64,
    /// All of the agency's.
    bets: u64,
    row: String,
    /// That of the bet.
    number: u32,
    /// The winning number, if there is one yet.
    drawn: Option<u32>,
    won: Option<bool>,
    authority_checked: bool,
    /// What a person should know of what was not checked.
    notes: Vec<String>,
}

impl fmt::Display for Checked {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Checked { agency, bet, bets, lottery, seal, .. } = self;
        let row = crate::domain::visible(&self.row);
        writeln!(out, "lottery {lottery}\nseal    {seal}\nclosed  {}", moment(self.sealed_at))?;
        writeln!(out, "bet     {bet} of {bets} of agency {agency}: {row}\n")?;
        let has = if self.won == Some(true) { "has won" } else { "has not won" };
        match self.drawn {
            None => writeln!(out, "This bet is in the lottery. The ticket tells of no draw yet.")?,
            Some(drawn) => writeln!(out, "This bet is in the lottery. It {has}: the number is {drawn}.")?,
        }
        self.notes.iter().try_for_each(|note| writeln!(out, "{note}"))
    }
}

/// Checks that a ticket leads from its bet to its seal. Returns the number of the bet.
pub fn check_itself(ticket: &Ticket) -> Result<u32, String> {
    let row = format!("{}\r\n", ticket.row);
    let mut rows = Vec::new();
    rows::read(row.as_bytes(), MAX_AGENCIES, &mut rows).map_err(|bad| format!("its row is none: {}", bad.reason))?;
    let [row_of] = rows[..] else { return Err(format!("its row is {}", counted(rows.len() as u64, "row"))) };
    let agency = ticket.agency;
    if row_of.agency != agency {
        return Err(format!("its row is of agency {}, and it says agency {agency}", row_of.agency));
    }
    let salt = salt(&ticket.salt).ok_or("its salt is not 32 lowercase hexadecimal digits")?;
    let place = ticket.bet.checked_sub(1).ok_or("bets count from 1")?;
    let root = tree::climb(leaf_of(&salt, row.as_bytes()), place, ticket.bets, &nodes(&ticket.path));
    if root != Some(ticket.root.0) {
        return Err(format!(
            "its path does not lead from bet {} of {} to the agency's root: the bet, its place or its salt is another",
            ticket.bet, ticket.bets
        ));
    }
    let line = line_leaf(agency, ticket.bets, ticket.root, ticket.status);
    let above: Vec<Node> = nodes(&ticket.agency_path);
    let seal = tree::climb(line, u64::from(agency) - 1, ticket.agencies.into(), &above);
    if seal != Some(ticket.seal.0) {
        return Err("its path does not lead from the agency's line to the seal".to_owned());
    }
    if ticket.total < ticket.bets {
        return Err("its lottery has fewer bets than its agency".to_owned());
    }
    Ok(row_of.number)
}

/// Checks that a ticket and an acta are of one seal.
fn check_same(ticket: &Ticket, acta: &Acta) -> Result<(), String> {
    if ticket.lottery != acta.lottery {
        return Err(format!("it is of lottery {}, and the acta of {}", ticket.lottery, acta.lottery));
    }
    if ticket.seal != acta.seal {
        return Err(format!("it leads to the seal {}, and the acta has {}", ticket.seal, acta.seal));
    }
    if ticket.sealed() != acta.sealed() {
        return Err("its agencies, total or time are not those of the acta".to_owned());
    }
    if acta.lines().find(|line| line.agency.0 == ticket.agency) != Some(ticket.seal_line()) {
        return Err(format!("its line of agency {} is not that of the acta", ticket.agency));
    }
    let drawn = acta.draw.as_ref().map(|draw| draw.number);
    match ticket.number {
        Some(number) if drawn != Some(number) => {
            let drawn = drawn.map_or("has none".to_owned(), |drawn| format!("has {drawn}"));
            Err(format!("it says that the number is {number}, and the acta {drawn}"))
        }
        _ => Ok(()),
    }
}

fn write(mut ticket: Ticket) -> Result<String> {
    let failed = |error| Error::failed(format!("cannot write the ticket: {error}"));
    let whole = acta::write(&ticket).map_err(failed)?;
    if whole.len() < MAX_TICKET || ticket.signed.is_none() {
        return Ok(whole);
    }
    // The acta has the signature too.
    ticket.signed = None;
    acta::write(&ticket).map_err(failed)
}

fn check_place(agency: u32, bet: u64, bets: u64) -> Result<()> {
    if (1..=bets).contains(&bet) {
        return Ok(());
    }
    Err(Error::bad_input(format!("--bet {bet}: agency {agency} has {}, which count from 1", counted(bets, "bet"))))
}

fn lost(agency: u32, bet: u64) -> Error {
    Error::failed(format!("bet {bet} of agency {agency} was not found: report it"))
}

fn text(row: &[u8]) -> Result<String> {
    let row = row.strip_suffix(b"\r\n").unwrap_or(row);
    String::from_utf8(row.to_vec()).map_err(|error| Error::failed(format!("a row is not UTF-8: {error}")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn salt(text: &str) -> Option<[u8; SALT]> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != SALT * 2 || !text.bytes().all(is_hex) {
        return None;
    }
    let mut salt = [0; SALT];
    for (at, byte) in salt.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).ok()?;
    }
    Some(salt)
}
