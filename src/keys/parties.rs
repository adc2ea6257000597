//! What the commands do: the folders of the parties, and what their authority signs for them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use rcgen::PublicKeyData;
use serde_json::{Value, json};
use time::{OffsetDateTime, Time};

use super::authority::{self, Authority, CENTRAL_HOSTS, Part};
use super::certificate::{self, Certificate, Revocations};
use super::folder::{self, Access, Change, KeysFolder};
use super::issued::{self, Issued, Serial, told};
use crate::domain::{AgencyId, Role};
use crate::error::{Error, Kind, Result};
use crate::output::counted;

const AUTHORITY: &str = "ca/ca.pem";
const AUTHORITY_KEY: &str = "ca/ca.key";
const REVOKED: &str = "ca/crl.pem";
const CENTRAL_REVOKED: &str = "central/crl.pem";
/// What a party's folder can hold, the secret first.
const PARTY_FILES: [&str; 5] = ["key.pem", "cert.pem", "ca.pem", "crl.pem", "request.pem"];

/// Whose certificates are to be revoked.
#[derive(Clone, Debug)]
pub enum Which {
    Party(Role),
    Serial(Serial),
}

/// An authority's folder, and what it holds.
struct Keys {
    folder: KeysFolder,
    authority: Authority,
    issued: Issued,
    now: OffsetDateTime,
}

/// What a party's certificate says beside its role.
pub struct Terms<'a> {
    pub hosts: &'a [String],
    pub days: u32,
}

/// What was done: for people, and as `--json` prints it.
pub struct Told {
    pub text: String,
    pub json: Value,
}

/// Makes an authority, and a folder for each party of a lottery with so many agencies.
pub fn init(dir: &Path, agencies: u32, terms: &Terms<'_>, force: bool) -> Result<Told> {
    let folder = KeysFolder::make(dir)?;
    let before = parties_in(dir)?;
    if !force {
        refuse_to_overwrite(&folder, &before)?;
    }
    let now = now();
    let mut keys = Keys { authority: Authority::create(now)?, issued: Issued::default(), folder, now };
    let mut change = keys.folder.change()?;
    let hosts = with_usual(terms.hosts);
    let all = (1..=agencies).map(|id| Role::Agency(AgencyId(id)));
    for role in [Role::Central, Role::Operator].into_iter().chain(all) {
        let key = authority::new_key()?;
        let terms = Terms { hosts: if role == Role::Central { &hosts } else { &[] }, ..*terms };
        certify(&keys.authority, &mut keys.issued, &mut change, role, &key, &terms, now)?;
        change.put(&file_of(role, "key.pem"), key.serialize_pem().as_bytes(), Access::Secret)?;
    }
    let nobody = keys.authority.revoke(1, &BTreeMap::new(), now)?;
    for place in [REVOKED, CENTRAL_REVOKED] {
        change.put(place, nobody.as_bytes(), Access::Public)?;
    }
    change.put(issued::FILE, keys.issued.to_csv().as_bytes(), Access::Public)?;
    change.put(AUTHORITY, keys.authority.pem.as_bytes(), Access::Public)?;
    change.put(AUTHORITY_KEY, keys.authority.key_pem().as_bytes(), Access::Secret)?;
    change.commit()?;
    // Those of an authority that is no more would be taken for part of what was made.
    for role in before.into_iter().filter(|role| force && matches!(role, Role::Agency(AgencyId(id)) if *id > agencies))
    {
        remove_party(&keys.folder, role)?;
    }
    let (folder, until) = (dir.display().to_string(), until(&keys.issued));
    let text = format!(
        "{folder}: an authority, and certificates until {until} for the central, the operator and {}\n\
         Give each party its own folder and no other. {} stays here: whoever has it can be anybody.\n",
        if agencies == 1 { "1 agency".to_owned() } else { format!("{agencies} agencies") },
        keys.folder.path("ca").display()
    );
    Ok(Told { text, json: json!({ "folder": folder, "agencies": agencies, "until": until }) })
}

/// Makes a key, and a request for its certificate, where the key is to stay.
pub fn request(dir: &Path, role: Role, force: bool) -> Result<Told> {
    let folder = KeysFolder::make(dir)?;
    if let Some(path) = ["key.pem", "request.pem"].iter().find(|name| !force && folder.holds(name)) {
        let advice =
            "choose a new folder, since the old key is needed until the new certificate is here; --force replaces it";
        return Err(Error::bad_path(&folder.path(path), format!("is there already; {advice}")));
    }
    let key = authority::new_key()?;
    let mut change = folder.change()?;
    change.put("key.pem", key.serialize_pem().as_bytes(), Access::Secret)?;
    change.put("request.pem", authority::request(role, &key)?.as_bytes(), Access::Public)?;
    change.commit()?;
    let (folder, name, flag) = (dir.display().to_string(), role.name(), flag_of(role));
    let text = format!(
        "{folder}: a key, which stays here, and a request of {name}\n\
         Take request.pem to the authority: quiniela keys sign DIR request.pem {flag}\n\
         Put the cert.pem and ca.pem that it answers with into this folder.\n"
    );
    Ok(Told { text, json: json!({ "folder": folder, "role": role.to_string() }) })
}

/// Answers a request with a certificate for the role that the signer says.
pub fn sign(dir: &Path, request: &Path, role: Role, terms: &Terms<'_>) -> Result<Told> {
    let key = certificate::requested_key(&folder::read(request)?).map_err(|why| Error::bad_path(request, why))?;
    let mut keys = Keys::open(dir)?;
    let own = file_of(role, "key.pem");
    let path = keys.folder.path(&own);
    if keys.folder.holds(&own) && !authority::fits(&folder::read_secret(&path)?, &key) {
        let why = "the key of this party is here, and the certificate of another would not fit it: move it away first";
        return Err(Error::bad_path(&path, why));
    }
    keys.issue(role, &key, terms, None)?;
    let (name, folder) = (role.name(), keys.folder.path(&folder_of(role)));
    let crl = if role == Role::Central { ", crl.pem" } else { "" };
    let text = format!(
        "{}: cert.pem, ca.pem{crl}, for {name}, until {}\n\
         Take them to the folder where this party has its key.pem.\n",
        folder.display(),
        until(&keys.issued)
    );
    Ok(Told { text, json: keys.told_of(role) })
}

/// Gives a party a new key and a new certificate. A party that has none yet gets its first.
pub fn renew(dir: &Path, role: Role, terms: &Terms<'_>) -> Result<Told> {
    let mut keys = Keys::open(dir)?;
    let (name, own) = (role.name(), file_of(role, "key.pem"));
    let valid: Vec<Serial> = keys
        .issued
        .of(role)
        .filter(|issue| issue.revoked.is_none() && issue.until > keys.now)
        .map(|issue| issue.serial.clone())
        .collect();
    let is_known = keys.issued.of(role).next().is_some();
    if !is_known && keys.folder.holds(&own) {
        let why = "is a key that was never certified here: sign its request, or move it away first";
        return Err(Error::bad_path(&keys.folder.path(&own), why));
    }
    if is_known && !keys.folder.holds(&own) {
        return Err(Error::bad_input(format!(
            "{}: is not here, so this party keeps its key itself: run quiniela keys request {flag} there, \
             and quiniela keys sign {} request.pem {flag} here",
            keys.folder.path(&own).display(),
            dir.display(),
            flag = flag_of(role)
        )));
    }
    let key = authority::new_key()?;
    keys.issue(role, &key, terms, Some(&key.serialize_pem()))?;
    let mut text = format!(
        "{}: a new key and certificate for {name}, until {}\n",
        keys.folder.path(&folder_of(role)).display(),
        until(&keys.issued)
    );
    for serial in &valid {
        let advice = format!("quiniela keys revoke {} --serial {serial}", dir.display());
        let _ = writeln!(text, "The old certificate stays valid. Once the new one is in use: {advice}");
    }
    let mut json = keys.told_of(role);
    json["still_valid"] = valid.iter().map(Serial::to_string).collect();
    Ok(Told { text, json })
}

/// Revokes certificates, and writes the list of all that are.
pub fn revoke(dir: &Path, which: &Which) -> Result<Told> {
    let mut keys = Keys::open(dir)?;
    let is_meant = |issue: &issued::Issue| match which {
        Which::Party(role) => issue.role == *role,
        Which::Serial(serial) => issue.serial == *serial,
    };
    let (mut known, mut revoked) = (0, 0);
    for issue in keys.issued.0.iter_mut().filter(|issue| is_meant(issue)) {
        known += 1;
        revoked += u64::from(issue.revoked.is_none());
        issue.revoked.get_or_insert(keys.now);
    }
    if known == 0 {
        let who = match which {
            Which::Party(role) => format!("has no certificate for {}", role.name()),
            Which::Serial(serial) => format!("has no certificate with the serial number {serial}"),
        };
        let list = keys.folder.path(issued::FILE);
        return Err(Error::bad_path(&list, format!("{who}: quiniela keys show tells those that it has")));
    }
    let mut change = keys.folder.change()?;
    let crl = keys.revocations()?;
    let places: Vec<&str> = [REVOKED, CENTRAL_REVOKED]
        .into_iter()
        .filter(|place| *place == REVOKED || keys.folder.holds("central"))
        .collect();
    for place in &places {
        change.put(place, crl.as_bytes(), Access::Public)?;
    }
    change.put(issued::FILE, keys.issued.to_csv().as_bytes(), Access::Public)?;
    change.commit()?;
    let places: Vec<String> = places.iter().map(|place| keys.folder.path(place).display().to_string()).collect();
    let text = format!(
        "{} revoked{}: {}\n\
         Take crl.pem to the central's folder, and send the central SIGHUP.\n",
        counted(revoked, "certificate"),
        if revoked < known { format!(", {} before", known - revoked) } else { String::new() },
        places.join(", ")
    );
    Ok(Told { text, json: json!({ "revoked": revoked, "revoked_before": known - revoked, "lists": places }) })
}

impl Keys {
    fn open(dir: &Path) -> Result<Keys> {
        if !dir.exists() {
            let advice = format!("quiniela keys init {} makes it", dir.display());
            return Err(Error::bad_path(dir, format!("there is no such folder; {advice}")));
        }
        let folder = KeysFolder::open(dir)?;
        if !folder.holds("ca") {
            let advice = format!("quiniela keys init {} makes one", dir.display());
            return Err(Error::bad_path(&folder.path("ca"), format!("there is no authority here; {advice}")));
        }
        let [certificate, key, list] = [AUTHORITY, AUTHORITY_KEY, issued::FILE].map(|name| folder.path(name));
        let authority = Authority::load(&folder::read(&certificate)?, &folder::read_secret(&key)?);
        let authority = authority.map_err(|(part, why)| match part {
            Part::Certificate => Error::bad_path(&certificate, why),
            Part::Key => Error::bad_path(&key, why),
        })?;
        let issued = Issued::parse(&list, &folder::read(&list)?)?;
        Ok(Keys { folder, authority, issued, now: now() })
    }

    /// Makes a certificate for a party, and puts it into its folder, with its key if that is known here.
    fn issue(&mut self, role: Role, key: &impl PublicKeyData, terms: &Terms<'_>, secret: Option<&str>) -> Result<()> {
        let hosts = self.hosts(role, terms.hosts)?;
        let terms = Terms { hosts: &hosts, ..*terms };
        let mut change = self.folder.change()?;
        certify(&self.authority, &mut self.issued, &mut change, role, key, &terms, self.now)?;
        if let Some(secret) = secret {
            change.put(&file_of(role, "key.pem"), secret.as_bytes(), Access::Secret)?;
        }
        if role == Role::Central {
            let path = self.folder.path(REVOKED);
            change.put(CENTRAL_REVOKED, &folder::read(&path)?, Access::Public)?;
        }
        change.put(issued::FILE, self.issued.to_csv().as_bytes(), Access::Public)?;
        change.commit()
    }

    /// The certificate that was made last, and the party's folder, as `--json` prints them.
    fn told_of(&self, role: Role) -> Value {
        json!({
            "folder": self.folder.path(&folder_of(role)).display().to_string(),
            "role": role.to_string(),
            "serial": self.issued.0.last().map(|issue| issue.serial.to_string()),
            "until": until(&self.issued),
        })
    }

    /// The hosts of a central's certificate: those given, or else those of the one that it has.
    fn hosts(&self, role: Role, given: &[String]) -> Result<Vec<String>> {
        let path = self.folder.path(&file_of(Role::Central, "cert.pem"));
        if role != Role::Central {
            return Ok(Vec::new());
        }
        if !given.is_empty() || !path.exists() {
            return Ok(with_usual(given));
        }
        let present = Certificate::read(&folder::read(&path)?).map_err(|why| Error::bad_path(&path, why))?;
        Ok(with_usual(&present.hosts))
    }

    /// The list of all revoked certificates, with a number above that of the last one.
    fn revocations(&self) -> Result<String> {
        let path = self.folder.path(REVOKED);
        // A list that is lost or damaged is made anew from the other file.
        let last = folder::read(&path).ok().and_then(|pem| Revocations::read(&pem).ok()).unwrap_or_default();
        // What was revoked once stays so, even if the other file was taken from an old backup.
        let mut revoked = last.revoked;
        revoked.extend(self.issued.0.iter().filter_map(|issue| Some((issue.serial.clone(), issue.revoked?))));
        let number = last.number.unwrap_or(0).max(revoked.len() as u64).saturating_add(1);
        self.authority.revoke(number, &revoked, self.now)
    }
}

/// Adds a party's certificate to a change, and to the list.
fn certify(
    authority: &Authority,
    issued: &mut Issued,
    change: &mut Change<'_>,
    role: Role,
    key: &impl PublicKeyData,
    terms: &Terms<'_>,
    now: OffsetDateTime,
) -> Result<()> {
    let (issue, pem) = authority.certify(role, terms.hosts, key, terms.days, now)?;
    issued.0.push(issue);
    change.put(&file_of(role, "cert.pem"), pem.as_bytes(), Access::Public)?;
    change.put(&file_of(role, "ca.pem"), authority.pem.as_bytes(), Access::Public)
}

/// A party's folder, in the folder of keys.
pub fn folder_of(role: Role) -> String {
    role.name().replace(' ', "-")
}

fn file_of(role: Role, name: &str) -> String {
    format!("{}/{name}", folder_of(role))
}

/// The flag that names a party to these commands.
pub fn flag_of(role: Role) -> String {
    format!("--{}", role.name())
}

fn now() -> OffsetDateTime {
    let now = OffsetDateTime::now_utc();
    // Certificates know no parts of a second.
    now.replace_time(Time::from_hms(now.hour(), now.minute(), now.second()).unwrap_or(now.time()))
}

/// When the certificate ends that was made last.
fn until(issued: &Issued) -> String {
    issued.0.last().map(|issue| told(issue.until)).unwrap_or_default()
}

fn with_usual(given: &[String]) -> Vec<String> {
    let mut hosts = Vec::new();
    for host in given.iter().cloned().chain(CENTRAL_HOSTS.map(str::to_owned)) {
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

/// The parties that have folders, whatever is in them.
fn parties_in(dir: &Path) -> Result<Vec<Role>> {
    let unreadable = |error: std::io::Error| Error::at_path(Kind::Failed, dir, "read this folder", &error);
    let mut roles = Vec::new();
    for entry in dir.read_dir().map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        roles.extend(name.to_str().and_then(|name| Role::of_word(&name.replacen('-', ":", 1))));
    }
    roles.sort_by_key(|role| match role {
        Role::Central => 0,
        Role::Operator => 1,
        Role::Agency(AgencyId(id)) => id.saturating_add(1),
    });
    Ok(roles)
}

/// The files of keys and certificates in a folder of keys, the secret ones first.
fn refuse_to_overwrite(folder: &KeysFolder, parties: &[Role]) -> Result<()> {
    let authority = [AUTHORITY_KEY, AUTHORITY, issued::FILE, REVOKED].map(str::to_owned);
    let names = PARTY_FILES.iter().flat_map(|name| parties.iter().map(|role| file_of(*role, name)));
    let Some(name) = authority.into_iter().chain(names).find(|name| folder.holds(name)) else { return Ok(()) };
    let path = folder.path(&name);
    if folder.was_finished {
        let why = "an earlier quiniela keys was interrupted here, and what it had begun is finished now";
        return Err(Error::bad_path(&path, format!("{why}; --force replaces all of it")));
    }
    let advice = "--force makes a new authority, for which every certificate of the old one is worthless";
    Err(Error::bad_path(&path, format!("is there already; {advice}")))
}

/// Removes a party's keys and certificates, and its folder if there is nothing else in it.
fn remove_party(folder: &KeysFolder, role: Role) -> Result<()> {
    let path = folder.path(&folder_of(role));
    for file in PARTY_FILES.map(|name| path.join(name)).iter().filter(|file| file.exists()) {
        fs::remove_file(file).map_err(|error| Error::at_path(Kind::Failed, file, "remove it", &error))?;
    }
    // Other files in it are not ours.
    let _ = fs::remove_dir(&path);
    Ok(())
}
