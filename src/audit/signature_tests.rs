//! Tests: who can sign what of an acta, and when a certificate counts.

use std::path::PathBuf;

use super::signatures::{self, Authorities};
use super::testing::{Authority, DRAWN_AT, Lottery, NUMBER, Party, SEALED_AT, folder, is_refused, seal_statement};
use super::{AuditArgs, audited};
use crate::domain::LotteryId;
use crate::domain::acta::{Acta, Signed};
use crate::error::Kind;

/// A signed acta, its authority, and that authority as it is read.
fn signed() -> (Authority, Acta, Authorities) {
    let authority = Authority::new();
    let acta = Lottery::new(3, 20).signed(&authority).acta;
    let authorities = read(&authority);
    (authority, acta, authorities)
}

fn read(authority: &Authority) -> Authorities {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("ca.pem");
    std::fs::write(&path, authority.pem()).unwrap();
    Authorities::load(&path).unwrap()
}

fn line_statement(acta: &Acta, place: usize) -> String {
    let line = &acta.agencies[place];
    format!("quiniela acta v1 {} {},{},{}\n", acta.lottery, line.agency, line.bets, line.root)
}

fn number_statement(acta: &Acta) -> String {
    format!("quiniela sorteo v1 {} {} {NUMBER}\n", acta.lottery, acta.seal)
}

/// Puts a signature where one stands: of the first agency, of the seal, of the number.
fn put(acta: &Acta, place: usize, signed: Option<Signed>) -> Acta {
    let mut acta = acta.clone();
    match place {
        0 => acta.agencies[0].signed = signed,
        1 => acta.signed = signed,
        _ => acta.draw.as_mut().unwrap().signed = signed,
    }
    acta
}

const OWNERS: [&str; 3] = ["urn:quiniela:agency:1", "urn:quiniela:central", "urn:quiniela:operator"];
const PLACES: [&str; 3] = ["agency 1", "the seal", "the number"];

#[track_caller]
fn assert_bad(acta: &Acta, place: usize, authorities: Option<&Authorities>, reason: &str) {
    let found = signatures::check(acta, authorities).unwrap_err();
    assert!(found.starts_with(&format!("{}'s signature: ", PLACES[place])) && found.contains(reason), "{found}");
}

#[test]
fn what_is_not_signed_is_listed() {
    let (_, acta, authorities) = signed();
    assert_eq!(signatures::check(&acta, Some(&authorities)), Ok(vec![]));
    for (place, name) in PLACES.iter().enumerate() {
        assert_eq!(signatures::check(&put(&acta, place, None), Some(&authorities)), Ok(vec![(*name).to_owned()]));
    }
    // A number that was known beforehand is nobody's to sign.
    let mut known = put(&acta, 2, None);
    known.draw.as_mut().unwrap().later = false;
    assert_eq!(signatures::check(&known, Some(&authorities)), Ok(vec![]));
    let authority = Authority::new();
    let lottery = Lottery::new(3, 20);
    let folder = folder(&lottery, &authority);
    let args = AuditArgs { ca: Some(folder.path("ca.pem")), ..AuditArgs::of(&folder.path("")) };
    let message = is_refused(audited(&args), "nobody has signed");
    assert!(message.contains("not signed: agency 1, agency 2, agency 3, the seal; --allow-unsigned"), "{message}");
    let listed = audited(&AuditArgs { allow_unsigned: true, ..args.clone() }).unwrap();
    assert!(listed.contains("all but agency 1, agency 2, agency 3, the seal"), "{listed}");
    let json = audited(&AuditArgs { allow_unsigned: true, json: true, ..args }).unwrap();
    assert!(json.contains("\"authority_checked\": true") && json.contains("\"the seal\""), "{json}");
}

#[test]
fn only_the_party_itself_can_sign() {
    let (authority, acta, authorities) = signed();
    let statements = [line_statement(&acta, 0), seal_statement(&acta), number_statement(&acta)];
    let parties = ["urn:quiniela:agency:2", "urn:quiniela:agency:11"].into_iter().chain(OWNERS);
    for uri in parties {
        for place in (0..3).filter(|place| OWNERS[*place] != uri) {
            let changed = put(&acta, place, Some(authority.party(uri).sign(&statements[place])));
            assert_bad(&changed, place, Some(&authorities), "and must be of");
            assert_bad(&changed, place, None, "and must be of");
        }
    }
    for place in 0..3 {
        let own = OWNERS[place];
        for uris in [&[][..], &[own, own], &[own, "urn:quiniela:agency:9"], &["https://example.org"]] {
            let party = authority.party_from_to(uris, -1000, 2000);
            let changed = put(&acta, place, Some(party.sign(&statements[place])));
            assert_bad(&changed, place, Some(&authorities), "names no party");
        }
        let stranger = put(&acta, place, Some(Authority::new().party(own).sign(&statements[place])));
        assert_bad(&stranger, place, Some(&authorities), "of another authority");
        assert_eq!(signatures::check(&stranger, None), Ok(vec![]), "anybody can make one");
    }
    let another = read(&Authority::new());
    assert!(signatures::check(&acta, Some(&another)).is_err());
}

#[test]
fn a_signature_is_over_this_lottery_and_this_number_alone() {
    let (authority, acta, authorities) = signed();
    type Change = fn(&mut Acta);
    let changes: [(&[usize], Change); 8] = [
        (&[0, 1, 2], |acta| acta.lottery = LotteryId(9)),
        (&[0], |acta| acta.agencies[0].bets += 1),
        (&[0], |acta| acta.agencies[0].root.0[0] ^= 1),
        (&[1], |acta| acta.total += 1),
        (&[1], |acta| acta.sealed_at += 1),
        (&[1, 2], |acta| acta.seal.0[0] ^= 1),
        (&[1], |acta| drop(acta.agencies.pop())),
        (&[2], |acta| acta.draw.as_mut().unwrap().number += 1),
    ];
    for (places, change) in changes {
        let mut other = acta.clone();
        change(&mut other);
        let statements = [line_statement(&other, 0), seal_statement(&other), {
            let number = other.draw.as_ref().unwrap().number;
            format!("quiniela sorteo v1 {} {} {number}\n", other.lottery, other.seal)
        }];
        for place in places {
            // Their statement in our acta: the certificate is right, and what it signs is not this.
            let changed = put(&acta, *place, Some(authority.party(OWNERS[*place]).sign(&statements[*place])));
            assert_bad(&changed, *place, Some(&authorities), "it is not that certificate's over");
        }
        // Our signatures in their acta.
        assert!(signatures::check(&other, Some(&authorities)).is_err());
    }
    // One party's statement at another's place.
    let two = authority.party(OWNERS[0]).sign(&line_statement(&acta, 1));
    assert_bad(&put(&acta, 0, Some(two)), 0, Some(&authorities), "it is not that certificate's over");
}

#[test]
fn a_certificate_must_be_valid_when_it_counts() {
    let (authority, acta, authorities) = signed();
    let statements = [line_statement(&acta, 0), seal_statement(&acta), number_statement(&acta)];
    let drawn = (DRAWN_AT - SEALED_AT) as i64;
    for place in 0..3 {
        let at = if place == 2 { drawn } else { 0 };
        let with = |from, to| {
            let party: Party = authority.party_from_to(&[OWNERS[place]], from, to);
            put(&acta, place, Some(party.sign(&statements[place])))
        };
        assert_eq!(signatures::check(&with(at, at + 1), Some(&authorities)), Ok(vec![]));
        assert_eq!(signatures::check(&with(at - 5, at), Some(&authorities)), Ok(vec![]));
        assert_bad(&with(at - 500, at - 1), place, Some(&authorities), "not valid then");
        assert_bad(&with(at + 1, at + 500), place, Some(&authorities), "not valid then");
    }
}

#[test]
fn a_damaged_signature_is_none() {
    let (authority, acta, authorities) = signed();
    let good = authority.party(OWNERS[1]).sign(&seal_statement(&acta));
    let (scheme, base64) = good.signature.split_once(':').unwrap();
    let with = |signature: String| Signed { signature, ..good.clone() };
    let certified = |certificates: &[String]| Signed { certificates: certificates.to_vec(), ..good.clone() };
    let own = good.certificates[0].clone();
    let (start, end) = own.split_at(own.len() / 2);
    for (changed, reason) in [
        (with(format!("ED25519:{base64}")), "it is not that certificate's"),
        (with(format!("ECDSA_NISTP384_SHA384:{base64}")), "it is not that certificate's"),
        (with(format!("ECDSA:{base64}")), "is none that is known"),
        (with(format!("{scheme}{base64}")), "it is not <scheme>:<base64>"),
        (with(format!("{scheme}:{base64}=")), "it is not base64"),
        (with(format!("{scheme}:")), "it is not that certificate's"),
        (with(format!("{scheme}:AAAA{}", &base64[4..])), "it is not that certificate's"),
        (certified(&[]), "it has no certificate"),
        (certified(&["-".to_owned()]), "its certificate is not base64"),
        (certified(&["AAAA".to_owned()]), "names no party"),
        (certified(&[start.to_owned()]), ""),
        (certified(&[format!("{start}AAAA{end}")]), ""),
    ] {
        assert_bad(&put(&acta, 1, Some(changed)), 1, Some(&authorities), reason);
    }
}

#[test]
fn a_file_without_an_authority_is_no_authority() {
    let folder = Lottery::new(1, 1).write();
    for text in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        folder.put("ca.pem", text.as_bytes());
        let error = Authorities::load(&folder.path("ca.pem")).err().unwrap();
        assert!(error.kind == Kind::BadInput && error.to_string().contains("give the lottery's ca.pem"), "{error}");
    }
}
