//! Whose certificates are believed: a client's by the central, the central's by a client.

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};

use super::Who;
use super::certificate::{Facts, party};
use super::identity::Identity;
use super::tls_error::{OtherEnd, TlsError};
use crate::domain::Role;

/// Wants a client's certificate from an authority that we trust. With lists of revoked certificates, one that stands in them
/// or that none of them covers is refused. A list that is out of date still counts.
pub(super) fn of_clients(identity: &Identity) -> Result<Arc<dyn ClientCertVerifier>, String> {
    WebPkiClientVerifier::builder_with_provider(Arc::clone(&identity.roots), Arc::clone(&identity.provider))
        .with_crls(identity.crls.iter().cloned())
        .only_check_end_entity_revocation()
        .build()
        .map_err(|error| error.to_string())
}

/// Whom a client's certificates speak for. With a verifier, whether they can be believed at this time.
pub(super) fn judge(
    verifier: Option<&dyn ClientCertVerifier>,
    chain: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<Who, TlsError> {
    let refuse = |error: Error| TlsError::explain(&error, OtherEnd::Client);
    let (own, between) = chain.split_first().ok_or_else(|| refuse(Error::NoCertificatesPresented))?;
    if let Some(verifier) = verifier {
        verifier.verify_client_cert(own, between, now).map_err(refuse)?;
    }
    Ok(match Facts::read(own).and_then(|facts| facts.role) {
        Some(role @ (Role::Agency(_) | Role::Operator)) => Who::Party(role),
        // The central is no client of its own.
        Some(Role::Central) | None => Who::Nobody,
    })
}

/// Believes a certificate of an authority that we trust, for the host's name, and for the central alone.
#[derive(Debug)]
pub(super) struct OfCentral(Arc<WebPkiServerVerifier>);

impl OfCentral {
    pub fn new(identity: &Identity) -> Result<OfCentral, String> {
        let roots = Arc::clone(&identity.roots);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&identity.provider))
            .with_crls(identity.crls.iter().cloned())
            .only_check_end_entity_revocation()
            .build();
        verifier.map(OfCentral).map_err(|error| error.to_string())
    }
}

impl ServerCertVerifier for OfCentral {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.0.verify_server_cert(own, between, name, ocsp_response, now)?;
        match Facts::read(own).and_then(|facts| facts.role) {
            Some(Role::Central) => Ok(verified),
            role => Err(CertificateError::Other(OtherError(Arc::new(NotCentral(role)))).into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Whom a certificate speaks for that should speak for the central.
#[derive(Debug)]
struct NotCentral(Option<Role>);

impl fmt::Display for NotCentral {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(role) => write!(out, "it speaks for {}, and not for the central", party(role)),
            None => out.write_str("it does not speak for the central"),
        }
    }
}

impl std::error::Error for NotCentral {}
