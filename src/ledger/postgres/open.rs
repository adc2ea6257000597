//! Opens a draw: the first central makes it, and every other is held to what that one was told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::{Mutex, RwLock};

use super::group::Writer;
use super::view::{Adopted, Phase, View};
use super::watch::Watch;
use super::{Postgres, Shared};
use crate::database::{Failure, Hosts, Session, column, params};
use crate::domain::acta::{self, StoreSecrets};
use crate::domain::{Hash, Roster, Rules, SaidRules, WinningNumber};
use crate::ledger::Health;
use crate::ledger::files::new_secrets;

/// What a central was told of the draw. What it was not told is as the draw has it, or as the default has it for a new one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms {
    pub rules: SaidRules,
    /// Take a DONE that declares other bets than are stored.
    pub accepts_unbalanced: Option<bool>,
    /// Take a DONE only with a signature.
    pub needs_signature: Option<bool>,
}

/// A draw that was opened, with the rules that hold for all of its centrals.
pub struct Opened {
    pub store: Postgres,
    pub accepts_unbalanced: bool,
    pub needs_signature: bool,
    /// What is stored.
    pub bets: u64,
    pub is_sealed: bool,
    pub drawn: Option<u32>,
}

const INSERT: &str = "INSERT INTO draws (name, roster, winning_number, unbalanced, require_signed, lottery, secrets) \
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name) DO NOTHING RETURNING id";
const AGENCIES: &str = "INSERT INTO agencies (draw, agency) SELECT $1, generate_series(1, $2)";
const READ: &str =
    "SELECT id, roster, winning_number, unbalanced, require_signed, secrets FROM draws WHERE name = $1 FOR UPDATE";
const CENTRAL: &str = "INSERT INTO centrals (draw, central, last_group) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING";

/// The draw's row.
struct Found {
    id: i32,
    rules: Rules,
    accepts_unbalanced: bool,
    needs_signature: bool,
    secrets: StoreSecrets,
}

impl Postgres {
    /// Opens the draw of this name, and makes it if there is none. A failure of the kind [`Failure::Misfit`] is one of the
    /// settings.
    pub fn open(hosts: Hosts, draw: &str, terms: &Terms) -> Result<Opened, Failure> {
        if terms.rules.roster == Some(Roster::Auto) {
            return Err(Failure::Misfit(
                "--client-amount auto is for a central alone: with a shared store say how many agencies take part"
                    .to_owned(),
            ));
        }
        let central = Hash(random()?).to_string();
        let central = central.get(..32).unwrap_or(&central).to_owned();
        let secrets = new_secrets().map_err(Failure::Refused)?;
        let mut session = None;
        let (found, view) = hosts.with_patience(&mut session, &|| false, |session| {
            let found = open(session, &hosts, draw, &central, terms, &secrets)?;
            let adopts = Adopted { seal: true, draw: true };
            let view = View::read(session, found.id, &central, &View::default(), adopts, hosts.limits().commit)?;
            Ok((found, view))
        })?;
        check(draw, &found, terms)?;
        let health = Health { host: session.as_ref().map(|session| session.host.clone()), ..Health::default() };
        let (bets, is_sealed, drawn) = (view.bets, view.phase != Phase::Open, view.number);
        let Found { id, rules, accepts_unbalanced, needs_signature, secrets } = found;
        let shared = Shared {
            hosts,
            draw: id,
            central,
            rules,
            secrets,
            view: RwLock::new(view),
            roots: Mutex::new(BTreeMap::new()),
            health: Mutex::new(health),
            is_stopping: AtomicBool::new(false),
        };
        let store =
            Postgres { shared: Arc::new(shared), writer: Mutex::new(Writer::default()), watch: Watch::default() };
        Ok(Opened { store, accepts_unbalanced, needs_signature, bets, is_sealed, drawn })
    }
}

fn open(
    session: &Session,
    hosts: &Hosts,
    draw: &str,
    central: &str,
    terms: &Terms,
    secrets: &StoreSecrets,
) -> Result<Found, Failure> {
    let limit = hosts.limits().commit;
    let rules = terms.rules.resolve(None).unwrap_or(Rules::DEFAULT);
    let (Roster::Fixed(roster), number) = (rules.roster, rules.winning_number) else {
        return Err(Failure::Misfit("a shared store needs a number of agencies".to_owned()));
    };
    let number = if let WinningNumber::Known(number) = number { Some(i64::from(number)) } else { None };
    let unbalanced = if terms.accepts_unbalanced == Some(true) { "accept" } else { "refuse" };
    let text = acta::write(secrets).map_err(Failure::Refused)?;
    session.run("BEGIN", limit)?;
    let params = params![
        draw.to_owned(),
        roster.cast_signed(),
        number,
        unbalanced.to_owned(),
        terms.needs_signature.unwrap_or(false),
        secrets.lottery.to_string(),
        text,
    ];
    let made = session.rows(INSERT, params, limit)?;
    if let Some(row) = made.first() {
        let id: i32 = column(row, 0)?;
        session.rows(AGENCIES, params![id, roster.cast_signed()], limit)?;
    }
    let rows = session.rows(READ, params![draw.to_owned()], limit)?;
    let row = rows.first().ok_or_else(|| Failure::Again("the draw was retired a moment ago".to_owned()))?;
    let bad = |what: &str| Failure::Misfit(format!("the draw {draw} has {what} that no central writes"));
    let (id, roster): (i32, i32) = (column(row, 0)?, column(row, 1)?);
    let winning_number = match column::<Option<i64>>(row, 2)? {
        None => WinningNumber::Later,
        Some(number) => WinningNumber::Known(u32::try_from(number).map_err(|_| bad("a number"))?),
    };
    let found = Found {
        id,
        rules: Rules { roster: Roster::Fixed(roster.unsigned_abs()), winning_number },
        accepts_unbalanced: column::<&str>(row, 3)? == "accept",
        needs_signature: column(row, 4)?,
        secrets: acta::read(column::<&str>(row, 5)?.as_bytes()).map_err(|what| bad(&format!("secrets ({what})")))?,
    };
    // A central that is told otherwise leaves nothing behind.
    check(draw, &found, terms)?;
    session.rows(CENTRAL, params![id, central.to_owned()], limit)?;
    session.commit(limit)?;
    Ok(found)
}

/// Refuses a central that was told otherwise than the first.
fn check(draw: &str, found: &Found, terms: &Terms) -> Result<(), Failure> {
    let Rules { roster, winning_number } = found.rules;
    let word = |accepts| if accepts { "accept" } else { "refuse" };
    let mut differs = Vec::new();
    if terms.rules.roster.is_some_and(|said| said != roster) {
        differs.push(format!("--client-amount {roster}"));
    }
    if terms.rules.winning_number.is_some_and(|said| said != winning_number) {
        differs.push(format!("--winning-number {winning_number}"));
    }
    if terms.accepts_unbalanced.is_some_and(|said| said != found.accepts_unbalanced) {
        differs.push(format!("--unbalanced {}", word(found.accepts_unbalanced)));
    }
    if terms.needs_signature.is_some_and(|said| said != found.needs_signature) {
        differs.push("no --require-signed".to_owned());
    }
    if differs.is_empty() {
        return Ok(());
    }
    Err(Failure::Misfit(format!(
        "the draw {draw} was begun with {}: give the same, or another --draw",
        differs.join(" and ")
    )))
}

fn random() -> Result<[u8; 32], Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Failure::Refused(format!("there are no random bytes: {error}")))?;
    Ok(bytes)
}
