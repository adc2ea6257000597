//! Folders of keys, and what the certificates in them say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use quiniela::domain::Role;
use rcgen::{KeyPair, PublicKeyData as _};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use tempfile::TempDir;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use super::quiniela;

/// A folder in which commands are run, with the keys in `keys`.
pub struct Place(TempDir);

/// What a certificate says.
pub struct Seen {
    pub role: Option<Role>,
    pub hosts: Vec<String>,
    pub serial: String,
    pub public_key: Vec<u8>,
}

impl Place {
    pub fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    /// With an authority and so many agencies.
    #[track_caller]
    pub fn with_agencies(agencies: u32) -> Place {
        let place = Place::new();
        place.ok(&format!("init keys --agencies {agencies}"));
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn command(&self, words: &str) -> Command {
        let words: Vec<String> = format!("keys {words}").split_whitespace().map(str::to_owned).collect();
        quiniela(self.0.path(), &words)
    }

    pub fn run(&self, words: &str) -> Output {
        let output = self.command(words).output().unwrap();
        let said = [&output.stdout[..], &output.stderr[..]].concat();
        assert!(!String::from_utf8_lossy(&said).contains("PRIVATE"), "{words} tells a secret");
        output
    }

    #[track_caller]
    pub fn ok(&self, words: &str) -> String {
        let output = self.run(words);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*complaint), (Some(0), ""), "{words}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// It must fail for what it was given, and change nothing.
    #[track_caller]
    pub fn refused(&self, words: &str, reasons: &[&str]) {
        let before = files(&self.path(""));
        let output = self.run(words);
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{words}: {complaint}");
        for reason in reasons {
            assert!(complaint.contains(reason), "{words}: {complaint}");
        }
        assert!(files(&self.path("")) == before, "{words} has changed something");
    }

    /// The rows of `issued.csv` without its columns' names.
    pub fn issued(&self) -> Vec<Vec<String>> {
        let list = self.read("keys/ca/issued.csv");
        list.lines().skip(1).map(|row| row.split(',').map(str::to_owned).collect()).collect()
    }

    pub fn serials(&self, role: &str) -> Vec<String> {
        let role = format!("urn:quiniela:{role}");
        self.issued().into_iter().filter(|row| row[1] == role).map(|row| row[0].clone()).collect()
    }

    pub fn revoked(&self) -> BTreeSet<String> {
        self.issued().into_iter().filter(|row| !row[4].is_empty()).map(|row| row[0].clone()).collect()
    }

    pub fn show(&self, dir: &str) -> serde_json::Value {
        serde_json::from_str(&self.ok(&format!("show {dir} --json"))).unwrap()
    }

    /// Every party has a certificate for its role and the key to it, and nothing unfinished is left.
    #[track_caller]
    pub fn assert_whole(&self, agencies: u32) {
        let roles = (1..=agencies).map(|id| format!("agency:{id}")).chain(["central", "operator"].map(str::to_owned));
        let roles: Vec<String> = roles.collect();
        for role in &roles {
            let folder = format!("keys/{}", role.replace(':', "-"));
            let certificate = self.seen(&format!("{folder}/cert.pem"));
            assert_eq!(certificate.role.unwrap().to_string(), format!("urn:quiniela:{role}"));
            assert_eq!(certificate.public_key, key(&self.path(&format!("{folder}/key.pem"))), "{role}");
            assert_eq!(self.read(&format!("{folder}/ca.pem")), self.read("keys/ca/ca.pem"), "{role}");
            assert!(self.serials(role).contains(&certificate.serial), "{role}");
        }
        assert_eq!(self.seen("keys/ca/ca.pem").public_key, key(&self.path("keys/ca/ca.key")));
        assert_eq!(self.read("keys/ca/crl.pem"), self.read("keys/central/crl.pem"));
        assert_eq!(fs::read_dir(self.path("keys")).unwrap().count(), roles.len() + 1, "something else is left");
    }

    #[track_caller]
    pub fn seen(&self, name: &str) -> Seen {
        let der = CertificateDer::from_pem_file(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let (_, read) = parse_x509_certificate(&der).unwrap();
        let names = read.subject_alternative_name().unwrap();
        let names = names.map(|names| names.value.general_names.clone()).unwrap_or_default();
        let uris = names.iter().filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None });
        let hosts = names.iter().filter_map(|name| match name {
            GeneralName::DNSName(host) => Some((*host).to_owned()),
            GeneralName::IPAddress(bytes) => Some(format!("{bytes:?}")),
            _ => None,
        });
        Seen {
            role: Role::of_names(uris),
            hosts: hosts.collect(),
            serial: read.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect(),
            public_key: read.public_key().subject_public_key.data.to_vec(),
        }
    }

    /// The number of a list of revoked certificates, and what it revokes.
    pub fn list(&self, name: &str) -> (u64, BTreeSet<String>) {
        let der = CertificateRevocationListDer::from_pem_file(self.path(name)).unwrap();
        let (_, list) = CertificateRevocationList::from_der(&der).unwrap();
        let serial = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let revoked = list.iter_revoked_certificates().map(|row| serial(row.raw_serial())).collect();
        (list.crl_number().unwrap().try_into().unwrap(), revoked)
    }
}

/// The public part of a private key.
#[track_caller]
pub fn key(path: &Path) -> Vec<u8> {
    let pem = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    KeyPair::from_pem(&pem).unwrap_or_else(|error| panic!("{}: {error}", path.display())).der_bytes().to_vec()
}

/// All files below a folder, with what they hold.
pub fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}
