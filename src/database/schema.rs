//! The tables of a shared ledger, and how they are made. A central cannot change them: its role has no right to.

use super::failure::Failure;
use super::session::{Params, Session, column};
use std::time::Duration;

/// The version that this program knows.
pub const VERSION: i32 = 2;

/// A change of the schema waits so long at most for centrals that use it.
const LIMIT: Duration = Duration::from_secs(120);
/// Attempts of two that make the schema at once.
const ATTEMPTS: u32 = 20;

/// The steps from each version to the next.
const STEPS: [&str; VERSION as usize] = [include_str!("schema-1.sql"), include_str!("schema-2.sql")];

/// Refuses a version that this program does not know.
pub fn check(host: &str, found: Option<i32>) -> Result<(), Failure> {
    let advice = match found {
        Some(VERSION) => return Ok(()),
        Some(newer) if newer > VERSION => {
            format!("has version {newer}, and this program knows {VERSION}: use a newer quiniela")
        }
        Some(older) => {
            format!("has version {older}, and this program needs {VERSION}: run quiniela migrate --store URL")
        }
        None => "is not there: run quiniela migrate --store URL, as a role that may make tables".to_owned(),
    };
    Err(Failure::Misfit(format!("{host}: the schema {advice}")))
}

/// Brings the schema to the version that this program knows. Returns the version that it had. Two may do it at once.
pub fn migrate(session: &Session) -> Result<i32, Failure> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match try_migrate(session) {
            // Two that make the first table at once get into each other's way, with one code or another.
            Err(Failure::Refused(_) | Failure::Again(_)) if attempt < ATTEMPTS => {
                session.run("ROLLBACK", LIMIT)?;
                std::thread::sleep(Duration::from_millis(fastrand::u64(1..50)));
            }
            result => return result,
        }
    }
}

fn try_migrate(session: &Session) -> Result<i32, Failure> {
    session.run("BEGIN", LIMIT)?;
    session.run("CREATE TABLE IF NOT EXISTS quiniela_schema (version INT NOT NULL)", LIMIT)?;
    session.run("LOCK TABLE quiniela_schema IN ACCESS EXCLUSIVE MODE", LIMIT)?;
    let rows = session.rows("SELECT version FROM quiniela_schema", Params::new(), LIMIT)?;
    let before: i32 = rows.first().map(|row| column(row, 0)).transpose()?.unwrap_or(0);
    if before > VERSION {
        check(&session.host, Some(before))?;
    }
    for step in STEPS.iter().skip(before.unsigned_abs() as usize) {
        session.run(step, LIMIT)?;
    }
    if before < VERSION {
        session.run("DELETE FROM quiniela_schema", LIMIT)?;
        session.rows("INSERT INTO quiniela_schema VALUES ($1)", params![VERSION], LIMIT)?;
    }
    session.commit(LIMIT)?;
    Ok(before)
}

/// Gives a role what a central needs, and no more.
pub fn grant(session: &Session, role: &str) -> Result<(), Failure> {
    // A name cannot be a parameter; the server quotes it.
    let rows = session.rows(
        "SELECT format('GRANT SELECT ON quiniela_schema, draws, agencies, batches, centrals, winners, bets TO %1$I; \
         GRANT INSERT, UPDATE ON draws, agencies, centrals TO %1$I; \
         GRANT INSERT ON batches, winners TO %1$I', $1::text)",
        params![role.to_owned()],
        LIMIT,
    )?;
    let text: String = rows.first().map(|row| column(row, 0)).transpose()?.unwrap_or_default();
    session.run("BEGIN", LIMIT)?;
    // Two that do it at once would get into each other's way.
    session.run("LOCK TABLE quiniela_schema IN ACCESS EXCLUSIVE MODE", LIMIT)?;
    session.run_text(text, LIMIT)?;
    session.commit(LIMIT)
}

/// Removes a draw and all that is stored of it. Returns false if there is no such draw.
pub fn retire(session: &Session, draw: &str) -> Result<bool, Failure> {
    session.run("BEGIN", LIMIT)?;
    let found =
        session.rows("SELECT id, phase FROM draws WHERE name = $1 FOR UPDATE", params![draw.to_owned()], LIMIT)?;
    let Some(row) = found.first() else {
        session.run("ROLLBACK", LIMIT)?;
        return Ok(false);
    };
    let (id, phase): (i32, String) = (column(row, 0)?, column(row, 1)?);
    if phase != "drawn" {
        session.run("ROLLBACK", LIMIT)?;
        return Err(Failure::Misfit(format!("the draw {draw} is {phase}: only one that was drawn can be retired")));
    }
    for text in [
        "DELETE FROM winners WHERE draw = $1",
        "DELETE FROM batches WHERE draw = $1",
        "DELETE FROM agencies WHERE draw = $1",
        "DELETE FROM centrals WHERE draw = $1",
        "DELETE FROM draws WHERE id = $1",
    ] {
        session.rows(text, params![id], LIMIT)?;
    }
    session.commit(LIMIT)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_of_another_version_is_refused_with_what_to_do() {
        assert_eq!(check("h", Some(VERSION)), Ok(()));
        for (found, words) in [(None, "quiniela migrate"), (Some(0), "quiniela migrate"), (Some(99), "newer quiniela")]
        {
            assert!(check("h", found).unwrap_err().to_string().contains(words));
        }
    }
}
