//! The keys of a lottery whose containers speak TLS: made if there are none, and checked before containers rely on them.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Args, mountable, resolve, shared};
use crate::domain::{AgencyId, Role};
use crate::error::{Error, Kind, Result};
use crate::keys::{self, flag_of, folder_of};
use crate::transport::{Acceptance, Connector, Paths};

/// Where a container has the keys of its party.
pub const PLACE: &str = "/keys";

/// See the module.
pub struct Keys {
    dir: PathBuf,
    agencies: u32,
    /// The hosts of the centrals' services, by which the agencies know them.
    hosts: Vec<String>,
    /// The folder as the Compose file has it.
    shown: String,
    /// What a person should know of keys that were made.
    pub told: String,
}

impl Keys {
    /// Those of the options' folder. `to_root` is the path from the Compose file's folder to the project.
    pub fn ready(options: &Args, root: &Path, to_root: &str) -> Result<Keys> {
        let (dir, agencies) = (options.keys_dir.clone(), options.clients);
        let hosts: Vec<String> = (1..=options.centrals).map(shared::name).collect();
        let told = if is_empty(&dir)? { keys::init(&dir, agencies.max(1), &hosts)? } else { String::new() };
        let (whole, advice) = (resolve(&dir)?, "choose another --keys-dir");
        let shown = match whole.strip_prefix(resolve(root)?) {
            Ok(below) => format!("{to_root}/{}", mountable(below, advice)?),
            Err(_) => mountable(&whole, advice)?,
        };
        let keys = Keys { dir, agencies, hosts, shown, told };
        keys.parties().try_for_each(|party| keys.check(party))?;
        Ok(keys)
    }

    /// The centrals, which are one party, then the agencies.
    pub fn parties(&self) -> impl Iterator<Item = Role> + use<> {
        let centrals = std::iter::repeat_n(Role::Central, self.hosts.len());
        centrals.chain((1..=self.agencies).map(|id| Role::Agency(AgencyId(id))))
    }

    /// A party's own folder, mounted read-only.
    pub fn mount(&self, party: Role) -> String {
        format!("{}/{}:{PLACE}:ro", self.shown, folder_of(party))
    }

    /// The user and the group who own a party's folder.
    pub fn owner(&self, party: Role) -> Result<String> {
        let folder = self.dir.join(folder_of(party));
        let owner = fs::metadata(&folder).map(|folder| format!("{}:{}", folder.uid(), folder.gid()));
        owner.map_err(|error| Error::at_path(Kind::BadInput, &folder, "tell its owner", &error))
    }

    /// Reads a party's files as it will read them itself.
    fn check(&self, party: Role) -> Result<()> {
        let folder = self.dir.join(folder_of(party));
        let found = fs::metadata(folder.join("cert.pem"));
        if found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            let advice = format!("quiniela keys renew {} {}", self.dir.display(), flag_of(party));
            return Err(Error::bad_path(&folder, format!("there is no certificate; {advice} makes it")));
        }
        match party {
            Role::Central => {
                Acceptance::load(Paths::of_central(&folder))?;
                self.check_hosts()
            }
            _ => self
                .hosts
                .iter()
                .try_for_each(|host| Connector::load(&Paths::of_client(&folder), Some(party), host).map(drop)),
        }
    }

    /// A host that the certificate does not name, no agency would take for a central.
    fn check_hosts(&self) -> Result<()> {
        let named = keys::hosts_of_central(&self.dir)?;
        let Some(host) = self.hosts.iter().find(|host| !named.contains(host)) else { return Ok(()) };
        let names: String = self.hosts.iter().map(|host| format!(" --server-name {host}")).collect();
        let advice = format!("quiniela keys renew {} --central{names}", self.dir.display());
        let folder = self.dir.join(folder_of(Role::Central));
        Err(Error::bad_path(&folder, format!("the certificate does not name {host}; {advice} makes one that does")))
    }
}

/// Whether nothing is there but what an interrupted `quiniela keys init` has left.
fn is_empty(dir: &Path) -> Result<bool> {
    let unreadable = |error: io::Error| Error::at_path(Kind::BadInput, dir, "read this folder", &error);
    match dir.read_dir() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(unreadable(error)),
        Ok(entries) => {
            let names: Vec<_> = entries
                .map(|entry| entry.map(|entry| entry.file_name()))
                .collect::<Result<_, _>>()
                .map_err(unreadable)?;
            Ok(names.iter().all(|name| name.as_encoded_bytes().starts_with(b".")))
        }
    }
}
