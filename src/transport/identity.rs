//! A party's own identity: its certificate and key, and whom it trusts, read from files and checked before they are used.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{Error as RustlsError, RootCertStore};
use time::OffsetDateTime;
use time::macros::format_description;
use webpki::{KeyUsage, RevocationCheckDepth, RevocationOptionsBuilder};
use x509_parser::parse_x509_crl;

use super::certificate::{Facts, party};
use super::secret::open_secret;
use crate::domain::{EXPIRY_DAYS, Role};
use crate::error::{Error, Kind, Result};

/// The largest of these files: a list of some ten thousand revoked certificates.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;
const DAY: i64 = 24 * 60 * 60;

/// Where a party's files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The authorities that are trusted.
    pub ca: PathBuf,
    /// Our own certificate, and behind it those between it and the authority.
    pub cert: PathBuf,
    pub key: PathBuf,
    /// The lists of revoked certificates. With one, a certificate that none of them covers is refused.
    pub crl: Option<PathBuf>,
}

/// What should be seen to, and hinders nothing yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// The file's certificate is valid until that day alone.
    Expires { file: PathBuf, day: String },
    /// The authority's certificate has expired.
    AuthorityExpired { file: PathBuf, day: String },
    /// The list of revoked certificates should have been replaced by a newer one.
    ListExpired { file: PathBuf, day: String },
}

/// See the module. It has no `Debug`, since it holds the key.
pub(super) struct Identity {
    pub role: Role,
    pub certified: Arc<CertifiedKey>,
    pub roots: Arc<RootCertStore>,
    pub crls: Vec<CertificateRevocationListDer<'static>>,
    pub provider: Arc<CryptoProvider>,
    pub warnings: Vec<Warning>,
    pub expiries: Vec<Expiry>,
}

/// When something that a file holds expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    pub what: Expiring,
    /// Seconds since 1970.
    pub at: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiring {
    Own,
    Authority,
    RevocationList,
}

/// What was seen while the files were read.
#[derive(Default)]
struct Noted {
    warnings: Vec<Warning>,
    expiries: Vec<Expiry>,
}

impl Paths {
    /// In the central's folder. It always has a list of revoked certificates: one that is missing must not mean that nothing
    /// is revoked.
    pub fn of_central(folder: &Path) -> Paths {
        Paths { crl: Some(folder.join("crl.pem")), ..Paths::of_client(folder) }
    }

    /// In the folder of an agency or of the operator.
    pub fn of_client(folder: &Path) -> Paths {
        let crl = Some(folder.join("crl.pem")).filter(|path| path.exists());
        Paths { ca: folder.join("ca.pem"), cert: folder.join("cert.pem"), key: folder.join("key.pem"), crl }
    }
}

impl Identity {
    /// Reads the files. They must be those of the expected party, if there is one.
    pub fn load(paths: &Paths, expected: Option<Role>) -> Result<Identity> {
        let provider = Arc::new(ring::default_provider());
        let now = UnixTime::now();
        let chain = certificates(&paths.cert)?;
        let mut noted = Noted::default();
        let role = check_own(&paths.cert, &chain, expected, now, &mut noted)?;
        let key = private_key(&paths.key)?;
        let certified = certify(paths, chain, key, &provider)?;
        let roots = roots(&paths.ca, now, &mut noted)?;
        let crls = match &paths.crl {
            Some(path) => lists(path, now, &mut noted)?,
            None => Vec::new(),
        };
        check_chain(paths, &certified, role, &roots, &crls, &provider, now)?;
        let certified = Arc::new(certified);
        let Noted { warnings, expiries } = noted;
        Ok(Identity { role, certified, roots: Arc::new(roots), crls, provider, warnings, expiries })
    }
}

/// Whether our certificate is the one that this program needs, and valid now.
fn check_own(
    path: &Path,
    chain: &[CertificateDer<'_>],
    expected: Option<Role>,
    now: UnixTime,
    noted: &mut Noted,
) -> Result<Role> {
    let facts = chain.first().and_then(|certificate| Facts::read(certificate));
    let facts = facts.ok_or_else(|| Error::bad_path(path, "its certificate is damaged; copy the file again"))?;
    let role = match (facts.role, expected) {
        (None, _) => {
            return Err(Error::bad_path(
                path,
                "its certificate names no party of a lottery: exactly one URI must be urn:quiniela:central, \
                 urn:quiniela:operator or urn:quiniela:agency:<id>",
            ));
        }
        (Some(role), Some(expected)) if role != expected => {
            let (role, expected) = (party(role), party(expected));
            return Err(Error::bad_path(
                path,
                format!("holds {role}'s key, and this is {expected}; give the keys of {expected}"),
            ));
        }
        (Some(role), _) => role,
    };
    let now = seconds(now);
    if now < facts.not_before {
        return Err(Error::bad_path(
            path,
            format!("is not valid before {}; check this machine's clock", day(facts.not_before)),
        ));
    }
    if now > facts.not_after {
        return Err(Error::bad_path(
            path,
            format!("expired on {}; renew it: quiniela keys renew", day(facts.not_after)),
        ));
    }
    noted.expiries.push(Expiry { what: Expiring::Own, at: facts.not_after });
    if facts.not_after - now < EXPIRY_DAYS * DAY {
        noted.warnings.push(Warning::Expires { file: path.to_owned(), day: day(facts.not_after) });
    }
    Ok(role)
}

fn certify(
    paths: &Paths,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey> {
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        RustlsError::InconsistentKeys(_) => Error::bad_path(
            &paths.key,
            format!("does not fit the certificate {}; take both from one folder", paths.cert.display()),
        ),
        RustlsError::InvalidCertificate(_) => {
            Error::bad_path(&paths.cert, "its certificate is damaged; copy the file again")
        }
        _ => Error::bad_path(&paths.key, "holds no key that can be used: ECDSA on P-256 or P-384, Ed25519 or RSA"),
    })
}

/// Whether those who trust the same authority would trust us. This also shows that the lists of revoked certificates are that
/// authority's own.
fn check_chain(
    paths: &Paths,
    certified: &CertifiedKey,
    role: Role,
    roots: &RootCertStore,
    crls: &[CertificateRevocationListDer<'_>],
    provider: &CryptoProvider,
    now: UnixTime,
) -> Result<()> {
    let crl_path = paths.crl.as_deref().unwrap_or(&paths.ca);
    let damaged = || Error::bad_path(crl_path, "is damaged; copy the file again");
    let parse = |crl: &CertificateRevocationListDer<'_>| webpki::OwnedCertRevocationList::from_der(crl).map(Into::into);
    let crls =
        crls.iter().map(parse).collect::<Result<Vec<webpki::CertRevocationList<'_>>, _>>().map_err(|_| damaged())?;
    let crls: Vec<_> = crls.iter().collect();
    let revocation = RevocationOptionsBuilder::new(&crls)
        .ok()
        .map(|options| options.with_depth(RevocationCheckDepth::EndEntity).build());
    let usage = if role == Role::Central { KeyUsage::server_auth() } else { KeyUsage::client_auth() };
    let (own, between) =
        certified.cert.split_first().ok_or_else(|| Error::bad_path(&paths.cert, "holds no certificate"))?;
    let own =
        webpki::EndEntityCert::try_from(own).map_err(|_| Error::bad_path(&paths.cert, "its certificate is damaged"))?;
    let algorithms = provider.signature_verification_algorithms.all;
    let verified = own.verify_for_usage(algorithms, &roots.roots, between, now, usage, revocation, None);
    let (path, reason) = match verified {
        Ok(_) => return Ok(()),
        Err(webpki::Error::CertRevoked) => {
            (&*paths.cert, "is revoked; ask for another: quiniela keys renew".to_owned())
        }
        Err(webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey) => {
            (&*paths.cert, format!("is not signed by {}; take both from one folder", paths.ca.display()))
        }
        Err(webpki::Error::UnknownRevocationStatus) => {
            (crl_path, format!("is not a list of the authority that signed {}", paths.cert.display()))
        }
        Err(webpki::Error::InvalidCrlSignatureForPublicKey | webpki::Error::IssuerNotCrlSigner) => {
            (crl_path, format!("is not signed by {}; take both from one folder", paths.ca.display()))
        }
        Err(webpki::Error::RequiredEkuNotFoundContext(_)) => {
            let what = if role == Role::Central { "a server's" } else { "a client's" };
            (&*paths.cert, format!("is no certificate for {what} use; ask for another: quiniela keys renew"))
        }
        Err(error) => (&*paths.cert, format!("cannot be used: {error}")),
    };
    Err(Error::bad_path(path, &reason))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    sections(path, &read(path, Access::Any)?, "certificate")
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    // What the parser says of a key's file could be a part of the key.
    PrivateKeyDer::from_pem_slice(&read(path, Access::OwnerAlone)?)
        .map_err(|_| Error::bad_path(path, "holds no private key as PEM without a passphrase"))
}

fn roots(path: &Path, now: UnixTime, noted: &mut Noted) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        let facts = Facts::read(&certificate).filter(|_| roots.add(certificate).is_ok());
        let facts = facts.ok_or_else(|| Error::bad_path(path, "its certificate is damaged; copy the file again"))?;
        noted.expiries.push(Expiry { what: Expiring::Authority, at: facts.not_after });
        let (file, day) = (path.to_owned(), day(facts.not_after));
        match facts.not_after - seconds(now) {
            ..0 => noted.warnings.push(Warning::AuthorityExpired { file, day }),
            left if left < EXPIRY_DAYS * DAY => noted.warnings.push(Warning::Expires { file, day }),
            _ => {}
        }
    }
    Ok(roots)
}

fn lists(path: &Path, now: UnixTime, noted: &mut Noted) -> Result<Vec<CertificateRevocationListDer<'static>>> {
    let lists: Vec<CertificateRevocationListDer<'static>> =
        sections(path, &read(path, Access::Any)?, "list of revoked certificates")?;
    for list in &lists {
        let (_, list) = parse_x509_crl(list).map_err(|_| Error::bad_path(path, "is damaged; copy the file again"))?;
        let until = list.next_update().map(|time| time.timestamp());
        noted.expiries.extend(until.map(|at| Expiry { what: Expiring::RevocationList, at }));
        if let Some(until) = until.filter(|until| *until < seconds(now)) {
            noted.warnings.push(Warning::ListExpired { file: path.to_owned(), day: day(until) });
        }
    }
    Ok(lists)
}

/// All of a kind that a PEM file holds, at least one.
fn sections<T: PemObject>(path: &Path, pem: &[u8], what: &str) -> Result<Vec<T>> {
    let found = T::pem_slice_iter(pem).collect::<Result<Vec<T>, _>>();
    let found = found.map_err(|_| Error::bad_path(path, "is damaged: it is no whole PEM; copy the file again"))?;
    if found.is_empty() { Err(Error::bad_path(path, format!("holds no {what} as PEM"))) } else { Ok(found) }
}

#[derive(Clone, Copy)]
enum Access {
    Any,
    /// The file must be closed to everybody else.
    OwnerAlone,
}

fn read(path: &Path, access: Access) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| Error::at_path(Kind::BadInput, path, "read this file", &error);
    let file = match access {
        Access::Any => File::open(path).map_err(failed)?,
        Access::OwnerAlone => open_secret(path)?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Error::bad_path(path, format!("is larger than {MAX_FILE_BYTES} bytes, which no file of keys is")));
    }
    Ok(bytes)
}

fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

fn day(seconds: i64) -> String {
    let format = format_description!("[year]-[month]-[day]");
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok();
    time.and_then(|time| time.format(&format).ok()).unwrap_or_else(|| format!("second {seconds} since 1970"))
}

impl fmt::Display for Warning {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Expires { file, day } => {
                write!(out, "{}: valid until {day} alone; renew it: quiniela keys renew", file.display())
            }
            Warning::AuthorityExpired { file, day } => {
                write!(out, "{}: the authority expired on {day}; make a new one: quiniela keys init", file.display())
            }
            Warning::ListExpired { file, day } => {
                let file = file.display();
                write!(out, "{file}: should have been replaced by {day}; copy the authority's newest list")
            }
        }
    }
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
