//! Who has signed what: each statement, by a certificate of exactly the party that had to sign it, from an authority that is
//! trusted, at the time that counts.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert, ring};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use crate::domain::acta::{Acta, Signed};
use crate::domain::seal::{Declared, Sealed, draw_statement};
use crate::domain::{AgencyId, Role};
use crate::error::{Error, Result};

/// The tag of a URI among a certificate's names.
const URI: u32 = 6;

/// The authorities whose certificates are believed.
pub struct Authorities(Vec<TrustAnchor<'static>>);

impl Authorities {
    /// Reads a file of certificates in PEM.
    pub fn load(path: &Path) -> Result<Authorities> {
        let bad = |reason: &str| Error::bad_path(path, format!("{reason}; give the lottery's ca.pem"));
        let ders = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<CertificateDer<'_>>, _>>)
            .map_err(|error| bad(&format!("cannot read the authority's certificate: {error}")))?;
        let anchors = ders.iter().map(|der| Ok(anchor_from_trusted_cert(der)?.to_owned()));
        let anchors: Vec<_> = anchors
            .collect::<Result<_, webpki::Error>>()
            .map_err(|error| bad(&format!("holds a damaged certificate ({error})")))?;
        if anchors.is_empty() { Err(bad("holds no certificate")) } else { Ok(Authorities(anchors)) }
    }
}

/// Checks every signature of an acta, and tells what is not signed. Without authorities a signature must only be that of the
/// certificate beside it, and that certificate its party's: anybody could have made it.
pub fn check(acta: &Acta, authorities: Option<&Authorities>) -> Result<Vec<String>, String> {
    let mut unsigned = Vec::new();
    for line in &acta.agencies {
        let agency = AgencyId(line.agency);
        let statement = Declared { bets: line.bets, root: line.root }.statement(acta.lottery, agency);
        let whose = format!("agency {agency}");
        let role = Role::Agency(agency);
        match &line.signed {
            Some(signed) => verify(signed, role, &statement, acta.sealed_at, authorities)
                .map_err(|reason| format!("{whose}'s signature: {reason}"))?,
            None => unsigned.push(whose),
        }
    }
    if !check_seal(&acta.sealed(), acta.signed.as_ref(), authorities)? {
        unsigned.push("the seal".to_owned());
    }
    if let Some(draw) = acta.draw.as_ref().filter(|draw| draw.later) {
        let statement = draw_statement(acta.lottery, acta.seal, draw.number);
        match &draw.signed {
            Some(signed) => verify(signed, Role::Operator, &statement, draw.drawn_at, authorities)
                .map_err(|reason| format!("the number's signature: {reason}"))?,
            None => unsigned.push("the number".to_owned()),
        }
    }
    Ok(unsigned)
}

/// Checks the central's signature of a seal, if there is one. False if there is none.
pub fn check_seal(sealed: &Sealed, signed: Option<&Signed>, authorities: Option<&Authorities>) -> Result<bool, String> {
    let Some(signed) = signed else { return Ok(false) };
    verify(signed, Role::Central, &sealed.statement(), sealed.time, authorities)
        .map_err(|reason| format!("the seal's signature: {reason}"))?;
    Ok(true)
}

fn verify(
    signed: &Signed,
    role: Role,
    statement: &str,
    time: u64,
    authorities: Option<&Authorities>,
) -> Result<(), String> {
    let (scheme, signature) = signed.signature.split_once(':').ok_or("it is not <scheme>:<base64>")?;
    let algorithm = algorithm(scheme).ok_or_else(|| format!("its scheme {scheme:?} is none that is known"))?;
    let signature = STANDARD.decode(signature).map_err(|error| format!("it is not base64: {error}"))?;
    let ders = signed.certificates.iter().map(|text| STANDARD.decode(text).map(CertificateDer::from));
    let ders: Vec<CertificateDer<'_>> =
        ders.collect::<Result<_, _>>().map_err(|error| format!("its certificate is not base64: {error}"))?;
    let (own, between) = ders.split_first().ok_or("it has no certificate")?;
    match role_of(own) {
        Some(found) if found == role => {}
        Some(found) => {
            return Err(format!("it is by a certificate of {}, and must be of {}", found.name(), role.name()));
        }
        None => return Err("its certificate names no party of a lottery".to_owned()),
    }
    let certificate = EndEntityCert::try_from(own).map_err(|error| format!("its certificate is damaged: {error}"))?;
    certificate
        .verify_signature(algorithm, statement.as_bytes(), &signature)
        .map_err(|error| format!("it is not that certificate's over {:?}: {error}", statement.trim_end()))?;
    let Some(authorities) = authorities else { return Ok(()) };
    let usage = match role {
        Role::Central => KeyUsage::server_auth(),
        Role::Agency(_) | Role::Operator => KeyUsage::client_auth(),
    };
    let time = UnixTime::since_unix_epoch(Duration::from_secs(time));
    certificate
        .verify_for_usage(ALL_VERIFICATION_ALGS, &authorities.0, between, time, usage, None, None)
        .map_err(|error| format!("its certificate was not valid then, or is of another authority: {error}"))?;
    Ok(())
}

/// By the names of rustls.
fn algorithm(scheme: &str) -> Option<&'static dyn SignatureVerificationAlgorithm> {
    Some(match scheme {
        "ECDSA_NISTP256_SHA256" => ring::ECDSA_P256_SHA256,
        "ECDSA_NISTP384_SHA384" => ring::ECDSA_P384_SHA384,
        "ED25519" => ring::ED25519,
        "RSA_PSS_SHA256" => ring::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        "RSA_PSS_SHA384" => ring::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
        "RSA_PSS_SHA512" => ring::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
        "RSA_PKCS1_SHA256" => ring::RSA_PKCS1_2048_8192_SHA256,
        "RSA_PKCS1_SHA384" => ring::RSA_PKCS1_2048_8192_SHA384,
        "RSA_PKCS1_SHA512" => ring::RSA_PKCS1_2048_8192_SHA512,
        _ => return None,
    })
}

/// Whom a certificate speaks for.
pub fn role_of(der: &[u8]) -> Option<Role> {
    let (rest, certificate) = parse_x509_certificate(der).ok()?;
    if rest.is_empty() { role_in(&certificate) } else { None }
}

/// All names are looked at: a damaged one might hide another role, and then the certificate is nobody's.
fn role_in(certificate: &X509Certificate<'_>) -> Option<Role> {
    let names = &certificate.subject_alternative_name().ok()??.value.general_names;
    if names.iter().any(|name| matches!(name, GeneralName::Invalid(tag, _) if tag.0 == URI)) {
        return None;
    }
    Role::of_names(names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    }))
}
