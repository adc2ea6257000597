//! `quiniela keys` and OpenSSL: each understands what the other makes.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::keys::{Place, key};

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
