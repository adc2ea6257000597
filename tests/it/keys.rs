//! `quiniela keys`: an authority, the parties' folders, and what each command makes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject as _;

use crate::common::keys::{Place, files, key};

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
