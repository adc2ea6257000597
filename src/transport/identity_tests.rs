use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::*;
use crate::domain::AgencyId;
use crate::transport::testing::{Authority, Issued, Spec, write_keys};

const AGENCY: Role = Role::Agency(AgencyId(7));

fn load(folder: &Path, expected: Role) -> std::result::Result<Identity, String> {
    let paths = if expected == Role::Central { Paths::of_central(folder) } else { Paths::of_client(folder) };
    Identity::load(&paths, Some(expected)).map_err(|error| {
        assert_eq!(error.kind, Kind::BadInput);
        error.to_string()
    })
}

#[track_caller]
fn assert_refused(folder: &Path, expected: Role, file: &str, reason: &str) {
    let Err(error) = load(folder, expected) else { panic!("accepted, and not: {reason}") };
    let path = folder.join(file);
    assert!(error.starts_with(&format!("{}: ", path.display())) && error.contains(reason), "{error}");
    let key = fs::read_to_string(folder.join("key.pem")).unwrap_or_default();
    let secret = key.lines().filter(|line| line.len() > 8 && !line.starts_with('-'));
    assert!(secret.into_iter().all(|line| !error.contains(line)), "{error}");
}

#[test]
fn a_partys_own_folder_is_taken_and_no_others() {
    let authority = Authority::new();
    let (central, agency) = (authority.central(), authority.client(&Spec::agency(7)));
    for (folder, role) in [(&central, Role::Central), (&agency, AGENCY)] {
        let identity = load(folder.path(), role).unwrap();
        assert_eq!((identity.role, &*identity.warnings), (role, &[][..]));
    }
    let other = authority.client(&Spec::agency(3));
    assert_refused(other.path(), AGENCY, "cert.pem", "holds agency 3's key, and this is agency 7");
    assert_refused(central.path(), AGENCY, "cert.pem", "holds the central's key, and this is agency 7");
    assert_refused(agency.path(), Role::Central, "cert.pem", "holds agency 7's key, and this is the central");
    let nobody = authority.client(&Spec::bare(vec!["urn:quiniela:agency:07"]));
    assert_refused(nobody.path(), AGENCY, "cert.pem", "names no party");
    assert_eq!(Identity::load(&Paths::of_client(other.path()), None).unwrap().role, Role::Agency(AgencyId(3)));
}

#[test]
fn a_key_that_others_can_read_or_that_does_not_fit_is_refused() {
    let authority = Authority::new();
    let folder = authority.client(&Spec::agency(7));
    let key = folder.path().join("key.pem");
    for mode in [0o640, 0o604, 0o610, 0o602] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        assert_refused(folder.path(), AGENCY, "key.pem", "chmod 600");
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).unwrap();
    load(folder.path(), AGENCY).unwrap();
    fs::remove_file(&key).unwrap();
    let other = authority.issue(&Spec::agency(7));
    let cert = fs::read_to_string(folder.path().join("cert.pem")).unwrap();
    write_keys(folder.path(), &Issued { cert, key: other.key });
    assert_refused(folder.path(), AGENCY, "key.pem", "does not fit the certificate");
}

#[test]
fn files_that_are_missing_empty_or_damaged_are_named() {
    let authority = Authority::new();
    let folder = authority.central();
    for file in ["ca.pem", "cert.pem", "key.pem", "crl.pem"] {
        let path = folder.path().join(file);
        let good = fs::read_to_string(&path).unwrap();
        let cut = &good[..good.len() / 2];
        let body_cut = good.lines().enumerate().filter(|(at, _)| *at != 2).map(|(_, line)| line).collect::<Vec<_>>();
        for bad in ["", "what?", cut, &body_cut.join("\n"), &good.replace("BEGIN", "BEGIN A"), &"x".repeat(5_000_000)] {
            fs::write(&path, bad).unwrap();
            assert_refused(folder.path(), Role::Central, file, "");
        }
        fs::remove_file(&path).unwrap();
        assert_refused(folder.path(), Role::Central, file, "cannot read this file");
        fs::create_dir(&path).unwrap();
        assert!(load(folder.path(), Role::Central).is_err());
        fs::remove_dir(&path).unwrap();
        fs::write(&path, good).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    load(folder.path(), Role::Central).unwrap();
}

#[test]
fn what_is_not_valid_now_is_refused_and_what_ends_soon_is_a_warning() {
    let authority = Authority::new();
    let folder = |days| authority.client(&Spec { days, ..Spec::agency(7) });
    assert_refused(folder((-30, -1)).path(), AGENCY, "cert.pem", "expired on ");
    assert_refused(folder((1, 30)).path(), AGENCY, "cert.pem", "is not valid before ");
    assert_eq!(load(folder((-1, 31)).path(), AGENCY).unwrap().warnings, []);
    let soon = folder((-1, 29));
    let shown = load(soon.path(), AGENCY).unwrap().warnings[0].to_string();
    assert!(shown.contains("cert.pem: valid until 20") && shown.contains("renew"), "{shown}");

    let authority = Authority::lasting(20);
    let central = authority.folder(&authority.issue(&Spec::central()), Some(&authority.revoke(&[], -1)));
    let warnings = load(central.path(), Role::Central).unwrap().warnings;
    assert!(
        matches!(&warnings[..], [Warning::Expires { file, .. }, Warning::ListExpired { .. }] if file.ends_with("ca.pem"))
    );
    let authority = Authority::lasting(-1);
    let agency = authority.client(&Spec::agency(7));
    assert!(matches!(&load(agency.path(), AGENCY).unwrap().warnings[..], [Warning::AuthorityExpired { .. }]));
}

#[test]
fn files_of_different_authorities_are_not_mixed() {
    let (authority, other) = (Authority::new(), Authority::new());
    let folder = authority.central();
    let write = |file: &str, text: &str| fs::write(folder.path().join(file), text).unwrap();
    write("crl.pem", &other.revoke(&[], 30));
    assert_refused(folder.path(), Role::Central, "crl.pem", "");
    write("crl.pem", &authority.revoke(&[1], 30));
    assert_refused(folder.path(), Role::Central, "cert.pem", "is revoked");
    write("crl.pem", &authority.revoke(&[2], 30));
    load(folder.path(), Role::Central).unwrap();
    write("ca.pem", &other.pem());
    assert_refused(folder.path(), Role::Central, "cert.pem", "is not signed by");
    write("ca.pem", &(other.pem() + &authority.pem()));
    load(folder.path(), Role::Central).unwrap();
    let client = authority.client(&Spec { uses: Spec::central().uses, ..Spec::agency(7) });
    assert_refused(client.path(), AGENCY, "cert.pem", "no certificate for a client's use");
}

#[test]
fn no_name_hides_another() {
    const URI: u8 = 0x86;
    const DNS: u8 = 0x82;
    let authority = Authority::new();
    let role = |names: &[(u8, &[u8])]| {
        let issued = authority.issue(&Spec { raw_names: Some(names.to_vec()), ..Spec::bare(vec![]) });
        let certificate = CertificateDer::from_pem_slice(issued.cert.as_bytes()).unwrap();
        Facts::read(&certificate).unwrap().role
    };
    let seven: (u8, &[u8]) = (URI, b"urn:quiniela:agency:7");
    assert_eq!(role(&[seven]), Some(AGENCY));
    assert_eq!(role(&[(URI, b"https://example.org/"), seven, (DNS, b"agency")]), Some(AGENCY));
    assert_eq!(role(&[(DNS, b"\xff"), seven]), Some(AGENCY), "other names are ignored");
    for other in
        [&b"urn:quiniela:agency:8"[..], b"urn:quiniela:agency:7", b"URN:quiniela:x", b"urn:quiniela:agency:\xff"]
    {
        assert_eq!(role(&[seven, (URI, other)]), None, "{other:?}");
        assert_eq!(role(&[(URI, other), seven]), None, "{other:?}");
    }
    for bad in ["0", "07", "65536", "7 ", " 7", "٧", "7\0", "7\n", "+7"] {
        assert_eq!(role(&[(URI, format!("urn:quiniela:agency:{bad}").as_bytes())]), None, "{bad:?}");
    }
    assert_eq!(role(&[(DNS, b"urn:quiniela:agency:7")]), None);
    assert_eq!(role(&[]), None);
    assert_eq!(Facts::read(b"\x30\x03abc"), None);
}
