//! The authority of a lottery: its own key and certificate, and what it signs.

use std::collections::BTreeMap;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData, RevokedCertParams,
    SanType, SerialNumber,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};

use super::certificate::Certificate;
use super::issued::{Issue, Serial};
use crate::domain::Role;
use crate::error::{Error, Result};

/// Ten years, for the authority and its list of revoked certificates: nobody who has to renew them would remember it.
const AUTHORITY_LASTS: Duration = Duration::days(3653);
/// A certificate is valid from a little before it was made, for parties whose clocks are late.
const LATE_CLOCK: Duration = Duration::hours(1);
/// 126 random bits: RFC 5280 allows 20 bytes, and CAs of the web must use 64 bits at least.
const SERIAL_BYTES: usize = 16;

/// The names of a central that need no saying: this machine's, and the central's service in Docker Compose.
pub const CENTRAL_HOSTS: [&str; 4] = ["localhost", "127.0.0.1", "::1", "server"];

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate.
    pub pem: String,
    until: OffsetDateTime,
}

impl Authority {
    /// A new one.
    pub fn create(now: OffsetDateTime) -> Result<Authority> {
        let (key, serial) = (new_key()?, new_serial()?);
        // Two authorities of one name would be hard to tell apart, for programs too.
        let id: String = serial.to_string().chars().take(8).collect();
        let mut params = params(&format!("quiniela authority {id}"), &serial);
        params.not_before = now - LATE_CLOCK;
        params.not_after = now + AUTHORITY_LASTS;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key).map_err(failed)?.pem();
        Ok(Authority { until: params.not_after, issuer: Issuer::new(params, key), pem })
    }

    /// The one whose certificate and key these are. The error says which of the two is wrong, and how.
    pub fn load(certificate: &[u8], key: &[u8]) -> Result<Authority, (Part, &'static str)> {
        let read = Certificate::read(certificate).map_err(|why| (Part::Certificate, why))?;
        if !read.is_authority {
            return Err((Part::Certificate, "is no authority's certificate"));
        }
        let no_key = |_| (Part::Key, "is no private key of ECDSA P-256 in PEM (PKCS #8)");
        let der = PrivatePkcs8KeyDer::from_pem_slice(key).map_err(|_| no_key(()))?;
        let algorithm = &rcgen::PKCS_ECDSA_P256_SHA256;
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&der, algorithm).map_err(|_| no_key(()))?;
        if key.public_key_raw() != read.public_key {
            return Err((Part::Key, "is not the key of the authority's certificate"));
        }
        let pem = std::str::from_utf8(certificate).map_err(|_| (Part::Certificate, "is no text"))?.to_owned();
        let der = CertificateDer::from_pem_slice(certificate);
        let der = der.map_err(|_| (Part::Certificate, "is no certificate in PEM"))?;
        let issuer = Issuer::from_ca_cert_der(&der, key)
            .map_err(|_| (Part::Certificate, "is no certificate that can sign others"))?;
        Ok(Authority { issuer, pem, until: read.until })
    }

    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Certifies that whoever has this key is this party, and, for the central, can be found at these hosts.
    pub fn certify(
        &self,
        role: Role,
        hosts: &[String],
        key: &impl PublicKeyData,
        days: u32,
        now: OffsetDateTime,
    ) -> Result<(Issue, String)> {
        let serial = new_serial()?;
        let mut params = params(&format!("quiniela {}", role.name()), &serial);
        params.subject_alt_names = CertificateParams::new(hosts).map_err(failed)?.subject_alt_names;
        params.subject_alt_names.push(SanType::URI(role.to_string().try_into().map_err(failed)?));
        params.not_before = now - LATE_CLOCK;
        // Whatever outlives its authority would be valid for nobody.
        params.not_after = (now + Duration::days(days.into())).min(self.until);
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match role {
            Role::Central => ExtendedKeyUsagePurpose::ServerAuth,
            Role::Agency(_) | Role::Operator => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        let pem = params.signed_by(key, &self.issuer).map_err(failed)?.pem();
        Ok((Issue { serial, role, from: params.not_before, until: params.not_after, revoked: None }, pem))
    }

    /// The list of these revoked certificates.
    pub fn revoke(
        &self,
        number: u64,
        revoked: &BTreeMap<Serial, OffsetDateTime>,
        now: OffsetDateTime,
    ) -> Result<String> {
        let row = |(serial, time): (&Serial, &OffsetDateTime)| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial.bytes()),
            revocation_time: *time,
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: now,
            next_update: now + AUTHORITY_LASTS,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(row).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).and_then(|list| list.pem()).map_err(failed)
    }
}

/// A part of an authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Certificate,
    Key,
}

pub fn new_key() -> Result<KeyPair> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(failed)
}

/// Whether a private key in PEM is the one to this public key.
pub fn fits(secret: &[u8], public: &impl PublicKeyData) -> bool {
    let der = PrivatePkcs8KeyDer::from_pem_slice(secret).ok();
    let key = der.and_then(|der| KeyPair::try_from(der.secret_pkcs8_der()).ok());
    key.is_some_and(|key| key.public_key_raw() == public.der_bytes())
}

/// A request for a certificate of this key. Its name is there for people alone.
pub fn request(role: Role, key: &KeyPair) -> Result<String> {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(&format!("quiniela {}", role.name()));
    params.serialize_request(key).and_then(|request| request.pem()).map_err(failed)
}

fn params(name: &str, serial: &Serial) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name);
    params.serial_number = Some(SerialNumber::from_slice(serial.bytes()));
    params
}

fn common_name(name: &str) -> DistinguishedName {
    let mut common_name = DistinguishedName::new();
    common_name.push(DnType::CommonName, name);
    common_name
}

fn new_serial() -> Result<Serial> {
    let mut bytes = [0; SERIAL_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| Error::failed(format!("cannot get random bytes: {error}")))?;
    // Positive, and always of the same length.
    bytes[0] = bytes[0] & 0x3f | 0x40;
    Ok(Serial::new(&bytes))
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::failed(format!("cannot make a certificate: {error}"))
}
