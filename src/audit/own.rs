//! An agency's own file: its bets as the central must have stored them.

use std::fs::File;
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord};

use super::rows;
use super::salt::Salts;
use super::tree::{Node, Tree, fold};
use crate::domain::{Hash, Secret};
use crate::error::{Error, Kind, Result};
use crate::progress::Progress;

/// Leaves that are gathered before a tree takes them.
const RUN: usize = 4096;
/// A line of its own that ends the file, as agencies take it.
const CLOSE: &str = "#cierre";
/// A row without its agency.
const VALUES: usize = 5;

/// What is to be found out.
pub struct Plan {
    pub agency: u32,
    /// Without it there are no roots.
    pub secret: Option<Secret>,
    pub number: Option<u32>,
    /// The bet whose path is wanted, counted from 0.
    pub wanted: Option<u64>,
}

/// What the file holds.
pub struct Found {
    pub path: PathBuf,
    pub bets: u64,
    pub winners: u64,
    pub root: Option<Hash>,
    /// The row of the wanted bet, as the central stores it, and its path.
    pub bet: Option<(Vec<u8>, Vec<Node>)>,
}

/// Reads an agency's file in this folder.
pub fn read(data: &Path, plan: &Plan) -> Result<Found> {
    let path = data.join(format!("agency-{}.csv", plan.agency));
    let unreadable = |error| Error::at_path(Kind::BadInput, &path, "read the agency's bets", &error);
    let file = File::open(&path).map_err(unreadable)?;
    let progress = Progress::of(&format!("agency {}", plan.agency), file.metadata().map_err(unreadable)?.len());
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(file);
    let salts = plan.secret.map(Salts::new);
    let (mut record, mut row) = (StringRecord::new(), Vec::new());
    let (mut tree, mut run) = (Tree::watching(plan.wanted), Vec::new());
    let (mut bets, mut winners, mut wanted_row, mut line, mut shown) = (0_u64, 0, None, 0_u64, 0);
    loop {
        let at = |reason: String| Error::bad_input(format!("{}:{}: {reason}", path.display(), line + 1));
        if !reader.read_record(&mut record).map_err(|error| at(format!("it cannot be read: {error}")))? {
            break;
        }
        if record.len() == 1 && record[0].trim() == CLOSE {
            break;
        }
        // A first row without a number is a header: no central would have taken it.
        if line > 0 || is_bet(&record) {
            let bet = rows::bet(record.iter()).map_err(at)?;
            row.clear();
            rows::write(plan.agency, &bet, &mut row);
            run.extend(salts.as_ref().map(|salts| salts.leaf(bets, &row)));
            winners += u64::from(Some(bet.number) == plan.number);
            if plan.wanted == Some(bets) {
                wanted_row = Some(row.clone());
            }
            bets += 1;
        }
        line += 1;
        if run.len() == RUN {
            add(&mut tree, bets, &mut run, plan.wanted);
            let byte = reader.position().byte();
            progress.add(byte - shown);
            shown = byte;
        }
    }
    add(&mut tree, bets, &mut run, plan.wanted);
    let mut found = Found { path, bets, winners, root: None, bet: None };
    if salts.is_some() {
        let (root, path) = tree.finish(bets).ok_or_else(|| Error::failed("a tree is not whole: report it"))?;
        found.root = Some(Hash(root));
        found.bet = wanted_row.map(|row| (row, path));
    }
    Ok(found)
}

/// Adds the leaves of the last bets so far.
fn add(tree: &mut Tree, bets: u64, run: &mut Vec<Node>, wanted: Option<u64>) {
    let first = bets - run.len() as u64;
    tree.add(fold(first, std::mem::take(run), wanted));
}

fn is_bet(record: &StringRecord) -> bool {
    record.get(VALUES - 1).is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}
