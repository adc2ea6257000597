//! `quiniela keys show`: what certificates there are, and which of them need care.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;
use time::{Duration, OffsetDateTime};

use super::certificate::{Certificate, Revocations};
use super::folder;
use super::issued::{self, Issued, told};
use crate::domain::{EXPIRY_DAYS, Role};
use crate::error::{Error, Result};
use crate::output::object;

/// An end that is nearer than this is warned of.
const EXPIRY_WARNING: Duration = Duration::days(EXPIRY_DAYS);

/// What a folder holds, as `--json` prints it.
#[derive(Serialize)]
struct Shown {
    authority: Row,
    certificates: Vec<Row>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    who: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    serial: String,
    from: String,
    until: String,
    /// Absent where it cannot be known, and nothing where it is not revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<Option<String>>,
}

/// Tells of a folder of keys, or of one party's own folder.
pub fn show(dir: &Path, as_json: bool) -> Result<String> {
    let list = dir.join(issued::FILE);
    let own = dir.join("cert.pem");
    let now = OffsetDateTime::now_utc();
    let shown = if list.exists() {
        of_authority(dir, &list, now)?
    } else if own.exists() {
        of_party(dir, &own, now)?
    } else {
        let message =
            "there is neither ca/issued.csv here, as in a folder of keys, nor cert.pem, as in a party's folder";
        return Err(Error::bad_path(dir, message));
    };
    if as_json {
        return object(&shown);
    }
    Ok(shown.to_text())
}

fn of_authority(dir: &Path, list: &Path, now: OffsetDateTime) -> Result<Shown> {
    let issued = Issued::parse(list, &folder::read(list)?)?;
    let authority = read(&dir.join("ca/ca.pem"))?;
    let mut warnings =
        Vec::from_iter(warning("the authority's certificate", authority.until, now, "quiniela keys init"));
    warnings.extend(revocations(&dir.join("ca/crl.pem"))?.and_then(|list| list_warning(&list, now)));
    // What was renewed may end: the certificate of a party that lasts longest counts.
    let valid = || issued.0.iter().filter(|issue| issue.revoked.is_none());
    let mut last: HashMap<Role, OffsetDateTime> = HashMap::new();
    for issue in valid() {
        last.entry(issue.role).and_modify(|until| *until = issue.until.max(*until)).or_insert(issue.until);
    }
    for issue in valid() {
        let until = last.remove(&issue.role);
        let what = format!("{}'s certificate", issue.role.name());
        warnings.extend(until.and_then(|until| warning(&what, until, now, "quiniela keys renew")));
    }
    let rows = issued.0.iter().map(|issue| Row {
        who: issue.role.name(),
        role: Some(issue.role.to_string()),
        serial: issue.serial.to_string(),
        from: told(issue.from),
        until: told(issue.until),
        revoked: Some(issue.revoked.map(told)),
    });
    Ok(Shown { authority: row_of("authority", &authority), certificates: rows.collect(), warnings })
}

fn of_party(dir: &Path, own: &Path, now: OffsetDateTime) -> Result<Shown> {
    let (authority, certificate) = (read(&dir.join("ca.pem"))?, read(own)?);
    let who = certificate.role.map_or("nobody".to_owned(), Role::name);
    let mut warnings =
        Vec::from_iter(warning("the authority's certificate", authority.until, now, "ask for a new one"));
    warnings.extend(warning("this certificate", certificate.until, now, "ask the authority for a new one"));
    if certificate.role.is_none() {
        warnings.push(
            "this certificate speaks for nobody: it has no name such as urn:quiniela:agency:7, or two".to_owned(),
        );
    }
    let list = revocations(&dir.join("crl.pem"))?;
    warnings.extend(list.as_ref().and_then(|list| list_warning(list, now)));
    let revoked = list.map(|list| list.revoked.get(&certificate.serial).copied().map(told));
    let row = Row { revoked, ..row_of(&who, &certificate) };
    Ok(Shown { authority: row_of("authority", &authority), certificates: vec![row], warnings })
}

fn read(path: &Path) -> Result<Certificate> {
    let certificate = Certificate::read(&folder::read(path)?);
    certificate.map_err(|why| Error::bad_path(path, why))
}

/// The list of revoked certificates, if there is one.
fn revocations(path: &Path) -> Result<Option<Revocations>> {
    if !path.exists() {
        return Ok(None);
    }
    let list = Revocations::read(&folder::read(path)?);
    list.map(Some).map_err(|why| Error::bad_path(path, why))
}

fn row_of(who: &str, certificate: &Certificate) -> Row {
    Row {
        who: who.to_owned(),
        role: certificate.role.map(|role| role.to_string()),
        serial: certificate.serial.to_string(),
        from: told(certificate.from),
        until: told(certificate.until),
        revoked: None,
    }
}

fn warning(what: &str, until: OffsetDateTime, now: OffsetDateTime, advice: &str) -> Option<String> {
    let left = until - now;
    let when = told(until);
    if left.is_negative() {
        Some(format!("{what} has ended, on {when}: {advice}"))
    } else {
        let days = left.whole_days();
        (left < EXPIRY_WARNING).then(|| format!("{what} ends within {} days, on {when}: {advice}", days + 1))
    }
}

fn list_warning(list: &Revocations, now: OffsetDateTime) -> Option<String> {
    warning("crl.pem, the list of revoked certificates,", list.until?, now, "any quiniela keys revoke writes a new one")
}

impl Shown {
    fn to_text(&self) -> String {
        let rows: Vec<&Row> = std::iter::once(&self.authority).chain(&self.certificates).collect();
        let revoked = |row: &Row| match &row.revoked {
            Some(Some(time)) => time.clone(),
            Some(None) => "no".to_owned(),
            None => "-".to_owned(),
        };
        let serials = rows.iter().map(|row| row.serial.len()).max().unwrap_or(0);
        let names = rows.iter().map(|row| row.who.len()).max().unwrap_or(0);
        let mut text = String::new();
        let mut line = |cells: [&str; 5]| {
            let [who, serial, from, until, revoked] = cells;
            let _ = writeln!(text, "{who:names$}  {serial:serials$}  {from:20}  {until:20}  {revoked}");
        };
        line(["who", "serial", "from", "until", "revoked"]);
        for row in rows {
            line([&row.who, &row.serial, &row.from, &row.until, &revoked(row)]);
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "WARNING: {warning}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn an_end_within_thirty_days_is_warned_of() {
        let now = datetime!(2026-03-01 12:00:00 UTC);
        let told = |until| warning("it", until, now, "renew");
        assert_eq!(told(datetime!(2026-03-31 12:00:00 UTC)), None);
        let near = told(datetime!(2026-03-31 11:59:59 UTC)).unwrap();
        assert_eq!(near, "it ends within 30 days, on 2026-03-31T11:59:59Z: renew");
        let ended = told(datetime!(2026-03-01 11:59:59 UTC)).unwrap();
        assert_eq!(ended, "it has ended, on 2026-03-01T11:59:59Z: renew");
    }
}
