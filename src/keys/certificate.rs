//! Certificates, lists of revoked ones and requests, as they are read.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use rcgen::SubjectPublicKeyInfo;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, CertificateSigningRequestDer};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use super::issued::Serial;
use crate::domain::Role;
use crate::transport;

/// What counts of a certificate.
#[derive(Debug)]
pub struct Certificate {
    pub serial: Serial,
    /// None for a certificate that speaks for nobody.
    pub role: Option<Role>,
    /// The hosts that it names.
    pub hosts: Vec<String>,
    pub from: OffsetDateTime,
    pub until: OffsetDateTime,
    pub is_authority: bool,
    pub public_key: Vec<u8>,
}

/// What counts of a list of revoked certificates.
#[derive(Debug, Default)]
pub struct Revocations {
    /// None if it has none, or one that no list of ours has.
    pub number: Option<u64>,
    pub until: Option<OffsetDateTime>,
    pub revoked: BTreeMap<Serial, OffsetDateTime>,
}

impl Certificate {
    /// The first certificate of a PEM file.
    pub fn read(pem: &[u8]) -> Result<Certificate, &'static str> {
        let der = CertificateDer::from_pem_slice(pem).map_err(|_| "is no certificate in PEM")?;
        let (_, read) = X509Certificate::from_der(&der).map_err(|_| "is no X.509 certificate")?;
        // rcgen takes it for granted that no part of a name is empty.
        let is_named = read.subject().iter_rdn().all(|part| part.iter().next().is_some());
        if !is_named {
            return Err("is a certificate with an empty name");
        }
        let names = read.subject_alternative_name().ok().flatten();
        let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
        Ok(Certificate {
            serial: Serial::new(read.raw_serial()),
            // As the central and the agencies read it, so that nobody is told of a role that they do not see.
            role: transport::role(&der),
            hosts: names.iter().filter_map(host).collect(),
            from: read.validity().not_before.to_datetime(),
            until: read.validity().not_after.to_datetime(),
            is_authority: read.is_ca(),
            public_key: read.public_key().subject_public_key.data.to_vec(),
        })
    }
}

impl Revocations {
    pub fn read(pem: &[u8]) -> Result<Revocations, &'static str> {
        let der = CertificateRevocationListDer::from_pem_slice(pem);
        let der = der.map_err(|_| "is no list of revoked certificates in PEM")?;
        let read = CertificateRevocationList::from_der(&der);
        let (_, read) = read.map_err(|_| "is no list of revoked certificates")?;
        let revoked = read.iter_revoked_certificates();
        Ok(Revocations {
            number: read.crl_number().and_then(|number| u64::try_from(number).ok()),
            until: read.next_update().map(|until| until.to_datetime()),
            revoked: revoked.map(|row| (Serial::new(row.raw_serial()), row.revocation_date.to_datetime())).collect(),
        })
    }
}

/// The public key of a request that was signed with the private one. Whatever else a request says counts for nothing.
pub fn requested_key(pem: &[u8]) -> Result<SubjectPublicKeyInfo, &'static str> {
    let der = CertificateSigningRequestDer::from_pem_slice(pem).map_err(|_| "is no certificate request in PEM")?;
    let (_, request) = X509CertificationRequest::from_der(&der).map_err(|_| "is no certificate request")?;
    request.verify_signature().map_err(
        |_| "is not signed with the key that it names, or with a key of another kind than ECDSA P-256: make it again",
    )?;
    SubjectPublicKeyInfo::from_der(request.certification_request_info.subject_pki.raw)
        .map_err(|_| "has a key of a kind that is not supported: make one of ECDSA P-256")
}

fn host(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(|bytes| Ipv4Addr::from(bytes).to_string());
            four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(|bytes| Ipv6Addr::from(bytes).to_string())).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::AgencyId;
    use crate::transport::testing::{Authority, Spec};

    #[test]
    fn a_certificate_speaks_for_nobody_here_that_speaks_for_nobody_at_the_central() {
        const URI: u8 = 0x86;
        let authority = Authority::new();
        let role = |names: &[(u8, &[u8])]| {
            let issued = authority.issue(&Spec { raw_names: Some(names.to_vec()), ..Spec::bare(vec![]) });
            Certificate::read(issued.cert.as_bytes()).unwrap().role
        };
        let seven: (u8, &[u8]) = (URI, b"urn:quiniela:agency:7");
        assert_eq!(role(&[seven]), Some(Role::Agency(AgencyId(7))));
        for other in [&b"\xff"[..], b"https://example.org/\xff", b"urn:quiniela:agency:8", b"urn:quiniela:agency:7\xff"]
        {
            assert_eq!(role(&[seven, (URI, other)]), None, "{other:?}");
            assert_eq!(role(&[(URI, other), seven]), None, "{other:?}");
        }
    }
}
