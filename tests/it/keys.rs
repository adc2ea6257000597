//! `quiniela keys`: an authority, the parties' folders, and what is left of commands that are killed or meet each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;

use fastrand::Rng;
use quiniela::domain::Role;
use rcgen::{KeyPair, PublicKeyData as _};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, CertificateSigningRequestDer};
use tempfile::TempDir;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::common::{quiniela, seed};

/// A folder in which commands are run, with the keys in `keys`.
struct Place(TempDir);

/// What a certificate says.
struct Seen {
    role: Option<Role>,
    hosts: Vec<String>,
    serial: String,
    public_key: Vec<u8>,
}

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    /// With an authority and so many agencies.
    #[track_caller]
    fn with_agencies(agencies: u32) -> Place {
        let place = Place::new();
        place.ok(&format!("init keys --agencies {agencies}"));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn command(&self, words: &str) -> Command {
        let words: Vec<String> = format!("keys {words}").split_whitespace().map(str::to_owned).collect();
        quiniela(self.0.path(), &words)
    }

    fn run(&self, words: &str) -> Output {
        let output = self.command(words).output().unwrap();
        let said = [&output.stdout[..], &output.stderr[..]].concat();
        assert!(!String::from_utf8_lossy(&said).contains("PRIVATE"), "{words} tells a secret");
        output
    }

    #[track_caller]
    fn ok(&self, words: &str) -> String {
        let output = self.run(words);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*complaint), (Some(0), ""), "{words}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// It must fail for what it was given, and change nothing.
    #[track_caller]
    fn refused(&self, words: &str, reasons: &[&str]) {
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
    fn issued(&self) -> Vec<Vec<String>> {
        let list = self.read("keys/ca/issued.csv");
        list.lines().skip(1).map(|row| row.split(',').map(str::to_owned).collect()).collect()
    }

    fn serials(&self, role: &str) -> Vec<String> {
        let role = format!("urn:quiniela:{role}");
        self.issued().into_iter().filter(|row| row[1] == role).map(|row| row[0].clone()).collect()
    }

    fn revoked(&self) -> BTreeSet<String> {
        self.issued().into_iter().filter(|row| !row[4].is_empty()).map(|row| row[0].clone()).collect()
    }

    fn show(&self, dir: &str) -> serde_json::Value {
        serde_json::from_str(&self.ok(&format!("show {dir} --json"))).unwrap()
    }

    /// Every party has a certificate for its role and the key to it, and nothing unfinished is left.
    #[track_caller]
    fn assert_whole(&self, agencies: u32) {
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
    fn seen(&self, name: &str) -> Seen {
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
    fn list(&self, name: &str) -> (u64, BTreeSet<String>) {
        use x509_parser::prelude::FromDer as _;
        let der = CertificateRevocationListDer::from_pem_file(self.path(name)).unwrap();
        let (_, list) = CertificateRevocationList::from_der(&der).unwrap();
        let serial = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let revoked = list.iter_revoked_certificates().map(|row| serial(row.raw_serial())).collect();
        (list.crl_number().unwrap().try_into().unwrap(), revoked)
    }
}

/// The public part of a private key.
#[track_caller]
fn key(path: &Path) -> Vec<u8> {
    let pem = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    KeyPair::from_pem(&pem).unwrap_or_else(|error| panic!("{}: {error}", path.display())).der_bytes().to_vec()
}

/// All files below a folder, with what they hold.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
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

/// Runs OpenSSL, or says that it is not there.
fn openssl(place: &Place, words: &str) -> Option<(bool, String)> {
    let Ok(output) = Command::new("openssl").args(words.split_whitespace()).current_dir(place.path("")).output() else {
        eprintln!("left out: this machine has no openssl");
        return None;
    };
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[test]
fn init_makes_an_authority_and_a_folder_for_each_party() {
    let place = Place::new();
    // A umask that lets everybody read and write everything.
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 0 && exec \"$0\" keys init keys --agencies 3", env!("CARGO_BIN_EXE_quiniela")]);
    assert!(shell.current_dir(place.path("")).output().unwrap().status.success());
    place.assert_whole(3);
    let names: BTreeMap<String, u32> = files(&place.path("keys"))
        .keys()
        .map(|path| {
            let name = path.strip_prefix(place.path("keys")).unwrap().to_str().unwrap().to_owned();
            (name, fs::metadata(path).unwrap().permissions().mode() & 0o777)
        })
        .collect();
    let party = |folder: &str| ["ca.pem", "cert.pem", "key.pem"].map(|name| format!("{folder}/{name}"));
    let mut expected: BTreeSet<String> =
        ["central", "operator", "agency-1", "agency-2", "agency-3"].iter().flat_map(|folder| party(folder)).collect();
    expected.extend(["ca/ca.key", "ca/ca.pem", "ca/crl.pem", "ca/issued.csv", "central/crl.pem"].map(str::to_owned));
    assert_eq!(names.keys().cloned().collect::<BTreeSet<_>>(), expected);
    for (name, mode) in names {
        assert_eq!(mode == 0o600, name.ends_with("key.pem") || name.ends_with("ca.key"), "{name}: {mode:o}");
    }
    let central = place.seen("keys/central/cert.pem");
    assert_eq!(central.hosts.len(), 4);
    assert!(central.hosts.contains(&"localhost".to_owned()) && central.hosts.contains(&"server".to_owned()));
    assert!(place.seen("keys/agency-1/cert.pem").hosts.is_empty());
    assert_eq!(place.list("keys/ca/crl.pem"), (1, BTreeSet::new()));
    let serials: BTreeSet<String> = place.issued().into_iter().map(|row| row[0].clone()).collect();
    assert!(serials.len() == 5 && serials.iter().all(|serial| serial.len() == 32), "{serials:?}");
}

#[test]
fn keys_are_replaced_only_by_force() {
    let place = Place::with_agencies(3);
    let before = files(&place.path("keys"));
    place.refused("init keys --agencies 3", &["keys/ca/ca.key: is there already; --force"]);
    fs::rename(place.path("keys/ca"), place.path("away")).unwrap();
    place.refused("init keys --agencies 1", &["keys/central/key.pem: is there already"]);
    for folder in ["central", "operator", "agency-1", "agency-2"] {
        fs::remove_dir_all(place.path("keys").join(folder)).unwrap();
    }
    place.refused("init keys --agencies 1", &["keys/agency-3/key.pem: is there already"]);
    fs::write(place.path("keys/agency-3/notes"), "mine").unwrap();
    place.ok("init keys --agencies 2 --force");
    assert_eq!(fs::read_dir(place.path("keys/agency-3")).unwrap().count(), 1, "other files are not ours");
    fs::remove_dir_all(place.path("keys/agency-3")).unwrap();
    place.assert_whole(2);
    place.ok("init keys --agencies 1 --force");
    place.assert_whole(1);
    let after = files(&place.path("keys"));
    assert!(after.iter().all(|(path, content)| before.get(path) != Some(content)), "something of before is left");
}

#[test]
fn folders_that_are_there_are_used() {
    let place = Place::new();
    fs::create_dir_all(place.path("keys/agency-1")).unwrap();
    fs::create_dir_all(place.path("keys/agency-7")).unwrap();
    place.ok("init keys --agencies 1");
    fs::remove_dir(place.path("keys/agency-7")).unwrap();
    place.assert_whole(1);
}

#[test]
fn a_party_can_keep_its_key_to_itself() {
    let place = Place::with_agencies(1);
    // The request says 8: who signs it says what counts.
    let told = place.ok("request own --agency 8");
    assert!(told.contains("quiniela keys sign DIR request.pem --agency 8"), "{told}");
    assert_eq!(fs::metadata(place.path("own/key.pem")).unwrap().permissions().mode() & 0o777, 0o600);
    let told = place.ok("sign keys own/request.pem --agency 7");
    assert!(told.contains("keys/agency-7: cert.pem, ca.pem, for agency 7"), "{told}");
    let names: Vec<PathBuf> = files(&place.path("keys/agency-7")).into_keys().collect();
    assert_eq!(names, ["ca.pem", "cert.pem"].map(|name| place.path("keys/agency-7").join(name)));
    for name in ["ca.pem", "cert.pem"] {
        fs::copy(place.path("keys/agency-7").join(name), place.path("own").join(name)).unwrap();
    }
    let certificate = place.seen("own/cert.pem");
    assert_eq!(certificate.role.unwrap().to_string(), "urn:quiniela:agency:7");
    assert_eq!(certificate.public_key, key(&place.path("own/key.pem")));
    assert!(place.serials("agency:7") == [certificate.serial.as_str()]);
    assert_eq!(place.show("own")["certificates"][0]["serial"], certificate.serial.as_str());

    // The same request again is another certificate.
    place.ok("sign keys own/request.pem --agency 7");
    assert_ne!(place.seen("keys/agency-7/cert.pem").serial, certificate.serial);
    place.refused("renew keys --agency 7", &["keys/agency-7/key.pem: is not here", "quiniela keys request --agency 7"]);
    place.refused("request own --agency 7", &["own/key.pem: is there already", "choose a new folder", "--force"]);
    place.refused("sign keys own/request.pem --agency 1", &["keys/agency-1/key.pem: the key of this party is here"]);
    let old = key(&place.path("own/key.pem"));
    place.ok("request own --agency 7 --force");
    assert_ne!(key(&place.path("own/key.pem")), old);

    place.ok("request keys/operator-2 --operator");
    place.ok("request center --central");
    fs::remove_dir_all(place.path("keys/central")).unwrap();
    place.ok("sign keys center/request.pem --central --server-name lottery.example.org");
    assert!(place.seen("keys/central/cert.pem").hosts.contains(&"lottery.example.org".to_owned()));
    assert!(place.path("keys/central/crl.pem").exists() && !place.path("keys/central/key.pem").exists());
}

#[test]
fn a_request_can_be_made_in_the_folder_of_the_keys() {
    let place = Place::with_agencies(1);
    place.ok("request keys/agency-2 --agency 2");
    place.refused("renew keys --agency 2", &["keys/agency-2/key.pem: is a key that was never certified here"]);
    place.ok("sign keys keys/agency-2/request.pem --agency 2");
    place.assert_whole(2);
}

#[test]
fn a_request_that_was_changed_is_refused() {
    let place = Place::with_agencies(1);
    place.ok("request own --agency 7");
    let request = place.read("own/request.pem");
    let der = CertificateSigningRequestDer::from_pem_slice(request.as_bytes()).unwrap();
    // The algorithm's name stands between what is signed and the signature. It is no part of either.
    const ECDSA_WITH_SHA256: [u8; 12] = [0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
    let algorithm = der.windows(12).position(|bytes| bytes == ECDSA_WITH_SHA256).unwrap();
    let lines = request.find('\n').unwrap()..request.rfind("\n-----END").unwrap();
    let body: Vec<usize> = lines.filter(|index| request.as_bytes()[*index] != b'\n').collect();
    let mut unsigned = 0;
    // The last characters hold bits that count for nothing.
    for (place_in_body, index) in body.iter().copied().enumerate().take(body.len() - 4).step_by(5) {
        if (algorithm - 1..algorithm + 13).contains(&(place_in_body * 3 / 4)) {
            continue;
        }
        let mut changed = request.clone().into_bytes();
        changed[index] = if changed[index] == b'A' { b'Q' } else { b'A' };
        fs::write(place.path("changed.pem"), changed).unwrap();
        let output = place.run("sign keys changed.pem --agency 7");
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{index}: {complaint}");
        assert!(complaint.starts_with("quiniela: changed.pem: "), "{complaint}");
        unsigned += usize::from(complaint.contains("is not signed with the key that it names"));
    }
    assert!(unsigned > 20, "{unsigned}");
    for text in ["", "nonsense", &place.read("keys/ca/ca.pem")] {
        fs::write(place.path("changed.pem"), text).unwrap();
        place.refused("sign keys changed.pem --agency 7", &["changed.pem: is no certificate request in PEM"]);
    }
    place.refused("sign keys none.pem --agency 7", &["none.pem: cannot read"]);
    assert!(!place.path("keys/agency-7").exists() && place.issued().len() == 3);
}

#[test]
fn what_is_renewed_stays_valid_until_it_is_revoked() {
    let place = Place::with_agencies(2);
    let old = (place.seen("keys/agency-2/cert.pem").serial, key(&place.path("keys/agency-2/key.pem")));
    let told = place.ok("renew keys --agency 2");
    assert!(told.contains(&format!("quiniela keys revoke keys --serial {}", old.0)), "{told}");
    place.assert_whole(2);
    let new = (place.seen("keys/agency-2/cert.pem").serial, key(&place.path("keys/agency-2/key.pem")));
    assert!(old.0 != new.0 && old.1 != new.1);
    assert_eq!(place.serials("agency:2"), [old.0.clone(), new.0.clone()]);
    assert!(place.revoked().is_empty());

    // In the form in which OpenSSL prints it.
    let pairs: Vec<&str> = (0..old.0.len()).step_by(2).map(|index| &old.0[index..index + 2]).collect();
    place.ok(&format!("revoke keys --serial {}", pairs.join(":").to_uppercase()));
    assert_eq!(place.revoked(), BTreeSet::from([old.0.clone()]));
    assert_eq!(place.list("keys/ca/crl.pem"), (2, place.revoked()));
    let told = place.ok("revoke keys --agency 2");
    assert!(told.starts_with("1 certificate revoked, 1 before: keys/ca/crl.pem, keys/central/crl.pem\n"), "{told}");
    assert_eq!(place.revoked(), BTreeSet::from([old.0, new.0]));
    assert_eq!(place.list("keys/ca/crl.pem"), (3, place.revoked()));
    place.ok("revoke keys --agency 2");
    assert_eq!(place.list("keys/ca/crl.pem").0, 4, "the number grows with every list");
    assert_eq!(place.read("keys/ca/crl.pem"), place.read("keys/central/crl.pem"));

    place.ok("renew keys --agency 2");
    place.ok("renew keys --central");
    place.ok("renew keys --operator");
    place.ok("renew keys --agency 3");
    place.assert_whole(3);
    assert!(place.revoked().iter().all(|serial| *serial != place.seen("keys/agency-2/cert.pem").serial));

    fs::remove_dir_all(place.path("keys/central")).unwrap();
    place.ok("revoke keys --operator");
    assert!(!place.path("keys/central").exists() && place.list("keys/ca/crl.pem").0 == 5);
    place.refused("revoke keys --agency 9", &["keys/ca/issued.csv: has no certificate for agency 9"]);
    place.refused("revoke keys --serial ab12", &["has no certificate with the serial number ab12"]);
}

#[test]
fn what_was_revoked_stays_so_whatever_becomes_of_the_other_file() {
    let place = Place::with_agencies(2);
    let list = place.read("keys/ca/issued.csv");
    place.ok("revoke keys --agency 1");
    let revoked = place.revoked();
    fs::write(place.path("keys/ca/issued.csv"), list).unwrap();
    place.ok("revoke keys --operator");
    let (number, listed) = place.list("keys/ca/crl.pem");
    assert!(number == 3 && revoked.is_subset(&listed) && listed.len() == 2, "{listed:?}");
    fs::write(place.path("keys/ca/crl.pem"), "damaged").unwrap();
    place.ok("revoke keys --agency 2");
    assert_eq!(place.list("keys/central/crl.pem"), (3, place.revoked()));
}

#[test]
fn the_central_keeps_its_hosts() {
    let place = Place::new();
    place
        .ok("init keys --agencies 1 --server-name lottery.example.org --server-name 192.0.2.7 --server-name localhost");
    let hosts = place.seen("keys/central/cert.pem").hosts;
    assert_eq!(hosts.len(), 6, "{hosts:?}");
    assert!(hosts.contains(&"lottery.example.org".to_owned()) && hosts.contains(&"[192, 0, 2, 7]".to_owned()));
    place.ok("renew keys --central");
    assert_eq!(place.seen("keys/central/cert.pem").hosts, hosts);
    place.ok("renew keys --central --server-name other.example.org");
    let hosts = place.seen("keys/central/cert.pem").hosts;
    assert!(hosts.len() == 5 && hosts.contains(&"other.example.org".to_owned()), "{hosts:?}");
    place.refused("renew keys --agency 1 --server-name a", &["--server-name", "--central"]);
    for name in ["a..b", "*", "a_b!", "1.2.3.4.5.", ""] {
        let mut command = place.command("init other --server-name");
        let output = command.arg(name).output().unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && complaint.contains("a host name or an IP address"), "{complaint}");
    }
}

#[test]
fn show_tells_who_and_warns_of_what_ends_soon() {
    let place = Place::new();
    place.ok("init keys --agencies 2 --days 31");
    let shown = place.show("keys");
    assert_eq!(shown["warnings"], serde_json::json!([]));
    assert_eq!(shown["authority"]["who"], "authority");
    let who: Vec<&str> =
        shown["certificates"].as_array().unwrap().iter().map(|row| row["who"].as_str().unwrap()).collect();
    assert_eq!(who, ["central", "operator", "agency 1", "agency 2"]);
    place.ok("renew keys --agency 2 --days 29");
    assert_eq!(place.show("keys")["warnings"], serde_json::json!([]), "the one before is still valid");
    place.ok(&format!("revoke keys --serial {}", place.serials("agency:2")[0]));
    let shown = place.show("keys");
    let warnings = shown["warnings"].as_array().unwrap();
    assert!(
        warnings.len() == 1 && warnings[0].as_str().unwrap().starts_with("agency 2's certificate ends within 29 days")
    );
    assert!(shown["certificates"][3]["revoked"].is_string() && shown["certificates"][4]["revoked"].is_null());
    let text = place.ok("show keys");
    assert!(
        text.lines().count() == 8 && text.contains("\nWARNING: agency 2's certificate ends within 29 days"),
        "{text}"
    );

    let own = place.show("keys/agency-2");
    assert_eq!(own["certificates"][0]["role"], "urn:quiniela:agency:2");
    assert!(own["certificates"][0].get("revoked").is_none(), "it cannot know");
    assert_eq!(own["warnings"].as_array().unwrap().len(), 1);
    assert!(place.show("keys/central")["certificates"][0]["revoked"].is_null());
    place.ok("revoke keys --central");
    assert!(place.show("keys/central")["certificates"][0]["revoked"].is_string());
    place.refused("show keys/ca", &["neither ca/issued.csv here", "nor cert.pem"]);
}

#[test]
fn what_is_wrong_with_a_folder_is_told() {
    let place = Place::with_agencies(1);
    place.refused("renew none --agency 1", &["none: there is no such folder; quiniela keys init none makes it"]);
    fs::create_dir(place.path("empty")).unwrap();
    place.refused("revoke empty --agency 1", &["empty/ca: there is no authority here"]);
    fs::write(place.path("file"), "").unwrap();
    place.refused("renew file --agency 1", &["file: is no folder"]);
    let spoiled = |name: &str, content: &str, reasons: &[&str]| {
        let path = place.path(name);
        let before = fs::read(&path).unwrap();
        fs::write(&path, content).unwrap();
        place.refused("renew keys --agency 1", reasons);
        place.refused("revoke keys --agency 1", reasons);
        fs::write(&path, before).unwrap();
    };
    let list = place.read("keys/ca/issued.csv");
    spoiled("keys/ca/issued.csv", &list.replace("agency:1", "agency:01"), &["keys/ca/issued.csv:4: the second field"]);
    spoiled("keys/ca/issued.csv", &list[..list.len() - 3], &["keys/ca/issued.csv:4: the end of this line is missing"]);
    spoiled("keys/ca/issued.csv", "", &["keys/ca/issued.csv:1: "]);
    spoiled("keys/ca/ca.pem", "", &["keys/ca/ca.pem: is no certificate in PEM"]);
    spoiled("keys/ca/ca.pem", &place.read("keys/agency-1/cert.pem"), &["keys/ca/ca.pem: is no authority's"]);
    spoiled("keys/ca/ca.key", "", &["keys/ca/ca.key: is no private key"]);
    spoiled(
        "keys/ca/ca.key",
        &place.read("keys/agency-1/key.pem"),
        &["keys/ca/ca.key: is not the key of the authority"],
    );
    fs::set_permissions(place.path("keys/ca/ca.key"), Permissions::from_mode(0o644)).unwrap();
    place.refused("renew keys --agency 1", &["keys/ca/ca.key: others than its owner can read", "chmod 600"]);
    fs::set_permissions(place.path("keys/ca/ca.key"), Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(place.path("keys/ca/issued.csv")).unwrap();
    place.refused("revoke keys --agency 1", &["keys/ca/issued.csv: cannot read"]);
}

#[test]
fn a_wrong_command_line_says_what_is_allowed() {
    let place = Place::new();
    for (words, reason) in [
        ("init keys --agencies 0", "allowed is a whole number from 1 to 65535"),
        ("init keys --agencies 65536", "allowed is a whole number from 1 to 65535"),
        ("init keys --days 0", "allowed is a whole number from 1 to 3650"),
        ("init keys --days 3651", "allowed is a whole number from 1 to 3650"),
        ("request keys", "--agency"),
        ("request keys --agency 0", "allowed is a whole number from 1 to 65535"),
        ("request keys --agency 1 --central", "cannot be used with"),
        ("revoke keys --serial xyz", "serial number in hexadecimal"),
        ("revoke keys --serial 12 --operator", "cannot be used with"),
        ("revoke keys", "--serial"),
        ("sign keys --agency 1", "<REQUEST>"),
    ] {
        place.refused(words, &[reason]);
    }
    assert!(!place.path("keys").exists());
}

#[test]
fn commands_at_once_lose_no_row() {
    let place = Place::with_agencies(8);
    thread::scope(|scope| {
        for agency in 1..=8 {
            let place = &place;
            scope.spawn(move || {
                place.ok(&format!("renew keys --agency {agency}"));
                place.ok(&format!("revoke keys --serial {}", place.serials(&format!("agency:{agency}"))[0]));
            });
        }
    });
    place.assert_whole(8);
    assert_eq!((place.issued().len(), place.revoked().len()), (18, 8));
    assert_eq!(place.list("keys/central/crl.pem"), (9, place.revoked()));
}

#[test]
fn of_two_inits_at_once_one_makes_the_keys() {
    let place = Place::new();
    let codes: Vec<Option<i32>> = thread::scope(|scope| {
        let started: Vec<_> =
            (0..4).map(|_| scope.spawn(|| place.run("init keys --agencies 5").status.code())).collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == Some(2)).count(), 3, "{codes:?}");
    place.assert_whole(5);
}

/// When a command is killed: once it has gathered so many files and folders, or once it has decided.
#[derive(Clone, Copy)]
enum Moment {
    Gathered(usize),
    Decided,
}

/// Starts a command that changes `keys`, and kills it at a moment. Returns whether it was done before.
fn killed(place: &Place, words: &str, moment: Moment) -> bool {
    let mut command = place.command(words);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let has_come = || match moment {
        Moment::Gathered(files) => {
            let staged = fs::read_dir(place.path("keys/.quiniela-staged"));
            files == 0 || staged.is_ok_and(|staged| staged.count() >= files)
        }
        Moment::Decided => place.path("keys/.quiniela-change").exists(),
    };
    while child.try_wait().unwrap().is_none() && !has_come() {
        thread::yield_now();
    }
    let _ = child.kill();
    child.wait().unwrap().success()
}

/// Every private key that is there is whole.
#[track_caller]
fn assert_keys_are_whole(place: &Place) {
    let in_place = files(&place.path("")).into_keys();
    for path in in_place.filter(|path| !path.to_str().unwrap().contains(".quiniela-")) {
        if path.ends_with("key.pem") || path.ends_with("ca.key") {
            key(&path);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}

#[test]
fn a_killed_init_leaves_no_half_and_the_next_one_makes_the_rest() {
    let mut rng = Rng::with_seed(seed());
    let (mut untouched, mut finished) = (0, 0);
    let words = "init keys --agencies 12";
    for round in 0..24 {
        let place = Place::new();
        let moment = if round % 2 == 0 { Moment::Gathered(rng.usize(..14)) } else { Moment::Decided };
        let was_done = killed(&place, words, moment);
        assert_keys_are_whole(&place);
        let next = place.run(words);
        let complaint = String::from_utf8(next.stderr).unwrap();
        if next.status.success() {
            untouched += 1;
            assert!(!was_done);
        } else {
            finished += 1;
            let told = if was_done { "--force makes a new authority" } else { "ca.key: " };
            assert!(next.status.code() == Some(2) && complaint.contains(told), "{complaint}");
        }
        place.assert_whole(12);
        assert_eq!(place.issued().len(), 14);
    }
    assert!(untouched > 0 && finished > 0, "{untouched} rounds killed early, {finished} late");
}

#[test]
fn a_killed_change_is_made_wholly_or_not_at_all() {
    let mut rng = Rng::with_seed(seed());
    let place = Place::with_agencies(2);
    let mut certificates = place.issued().len();
    for _ in 0..30 {
        let words = if rng.bool() { "renew keys --agency 1" } else { "revoke keys --agency 2" };
        let moment = if rng.bool() { Moment::Gathered(rng.usize(..4)) } else { Moment::Decided };
        killed(&place, words, moment);
        assert_keys_are_whole(&place);
        let before = place.issued().len();
        assert!(before >= certificates, "a row is lost");
        // It finishes what was decided, and changes nothing else.
        place.ok("renew keys --agency 2");
        place.assert_whole(2);
        certificates = place.issued().len();
        assert!((before + 1..=before + 2).contains(&certificates));
        assert!(place.revoked().is_subset(&place.list("keys/ca/crl.pem").1));
        assert_eq!(place.revoked().len(), place.list("keys/ca/crl.pem").1.len());
    }
}

#[test]
fn openssl_believes_the_certificates() {
    let place = Place::with_agencies(2);
    place.ok("renew keys --agency 1");
    place.ok("revoke keys --agency 2");
    let verify = |purpose: &str, party: &str| {
        let list = "-crl_check -CRLfile keys/central/crl.pem";
        let words =
            format!("verify -x509_strict -CAfile keys/ca/ca.pem {list} -purpose {purpose} keys/{party}/cert.pem");
        openssl(&place, &words)
    };
    let Some((is_valid, said)) = verify("sslclient", "agency-1") else { return };
    assert!(is_valid, "{said}");
    for (purpose, party, reason) in [
        ("sslserver", "central", "OK"),
        ("sslclient", "operator", "OK"),
        ("sslclient", "agency-2", "certificate revoked"),
        ("sslserver", "agency-1", "purpose"),
        ("sslserver", "operator", "purpose"),
        ("sslclient", "central", "purpose"),
    ] {
        let (is_valid, said) = verify(purpose, party).unwrap();
        assert!(is_valid == (reason == "OK") && said.contains(reason), "{purpose} {party}: {said}");
    }
    let told = |words: &str| openssl(&place, words).unwrap().1;
    let text = told("x509 -in keys/agency-1/cert.pem -noout -text");
    for part in ["CN = quiniela agency 1", "URI:urn:quiniela:agency:1", "CA:FALSE", "prime256v1", "Digital Signature"] {
        let loose = |text: &str| text.replace(' ', "");
        assert!(loose(&text).contains(&loose(part)), "{part}: {text}");
    }
    let text = told("x509 -in keys/ca/ca.pem -noout -text");
    assert!(text.contains("CA:TRUE, pathlen:0") && text.contains("Certificate Sign, CRL Sign"), "{text}");
    let text = told("crl -in keys/ca/crl.pem -CAfile keys/ca/ca.pem -noout -text");
    let serial = place.serials("agency:2")[0].to_uppercase();
    assert!(text.contains("verify OK") && text.contains(&format!("Serial Number: {serial}")), "{text}");
    place.ok("request own --agency 7");
    assert!(openssl(&place, "req -in own/request.pem -verify -noout").unwrap().0);
}

#[test]
fn the_commands_for_openssl_in_the_manual_work() {
    let place = Place::new();
    if openssl(&place, "version").is_none() {
        return;
    }
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/SECURITY.md")).unwrap();
    let section = page.split("\n## ").find(|section| section.starts_with("Certificates of another authority")).unwrap();
    let script: String = section.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap()).collect();
    let program = Path::new(env!("CARGO_BIN_EXE_quiniela")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let output =
        Command::new("sh").args(["-e", "-c", &script]).current_dir(place.path("")).env("PATH", path).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    let rows: Vec<&str> = shown.lines().filter(|line| !line.starts_with("who ")).collect();
    let starts = ["authority", "central ", "authority", "agency 7 "];
    assert!(rows.len() == 4 && rows.iter().zip(starts).all(|(row, start)| row.starts_with(start)), "{shown}");
    for party in ["central", "agency-7"] {
        let shown = place.show(&format!("own/{party}"));
        let role = format!("urn:quiniela:{}", party.replace('-', ":"));
        assert_eq!(shown["certificates"][0]["role"], role.as_str());
        assert_eq!(
            place.seen(&format!("own/{party}/cert.pem")).public_key,
            key(&place.path(&format!("own/{party}/key.pem")))
        );
        let words =
            format!("verify -CAfile own/ca/ca.pem -crl_check -CRLfile own/central/crl.pem own/{party}/cert.pem");
        assert_eq!(openssl(&place, &words).unwrap().0, party == "central", "{party}");
    }
    // A request of theirs can be signed by an authority of ours.
    place.ok("init keys --agencies 1");
    place.ok("sign keys own/agency-7/request.pem --agency 9");
    assert_eq!(place.seen("keys/agency-9/cert.pem").role.unwrap().to_string(), "urn:quiniela:agency:9");
}
