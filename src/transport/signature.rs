//! Signatures under statements about a lottery: made with a party's own key, and checked against its certificate. The
//! cryptography is rustls' and webpki's.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::SignatureScheme;
use rustls::crypto::{WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use webpki::EndEntityCert;

use crate::domain::acta::Signed;

/// Signs with a party's key. It has no `Debug`, since it holds the key.
#[derive(Clone)]
pub struct Signer(Arc<CertifiedKey>);

impl Signer {
    pub(super) fn new(certified: Arc<CertifiedKey>) -> Signer {
        Signer(certified)
    }

    /// Whether both sign with the key that one reading of the files has given.
    pub fn is(&self, other: &Signer) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The signature under a statement, and the certificates of the key.
    pub fn sign(&self, statement: &str) -> Result<Signed, String> {
        let offered: Vec<SignatureScheme> = algorithms().mapping.iter().map(|(scheme, _)| *scheme).collect();
        // Of those, the key takes the first in its own order.
        let signer =
            self.0.key.choose_scheme(&offered).ok_or("this key has no scheme of signatures that is known here")?;
        let scheme = signer.scheme();
        let name = scheme.as_str().ok_or_else(|| format!("the scheme {scheme:?} has no name"))?;
        let signature = signer.sign(statement.as_bytes()).map_err(|error| format!("cannot sign: {error}"))?;
        let certificates = self.0.cert.iter().map(|certificate| STANDARD.encode(certificate)).collect();
        Ok(Signed { signature: format!("{name}:{}", STANDARD.encode(signature)), certificates })
    }
}

/// Whether a signature, `<scheme>:<base64>`, is under this statement and by the key of this certificate (DER). Whose
/// certificate it is, and whether it can be believed, is for others to say.
pub fn verify(statement: &str, signature: &str, certificate: &[u8]) -> Result<(), String> {
    let (name, bytes) = signature.split_once(':').ok_or("a signature is <scheme>:<base64>")?;
    let algorithm = algorithms()
        .mapping
        .iter()
        .find(|(scheme, _)| scheme.as_str() == Some(name))
        // The first of a scheme is the one of TLS 1.3, which says the curve of the key too.
        .and_then(|(_, algorithms)| algorithms.first())
        .ok_or("its scheme is not known here")?;
    let bytes = STANDARD.decode(bytes).map_err(|error| format!("its base64 is damaged: {error}"))?;
    let certificate = CertificateDer::from(certificate);
    let certificate =
        EndEntityCert::try_from(&certificate).map_err(|error| format!("its certificate is damaged: {error}"))?;
    certificate
        .verify_signature(*algorithm, statement.as_bytes(), &bytes)
        .map_err(|_| "the certificate's key has not made it under this statement".to_owned())
}

/// Every scheme that a key of ours can have.
fn algorithms() -> WebPkiSupportedAlgorithms {
    ring::default_provider().signature_verification_algorithms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::testing::{Authority, Spec, unchecked};

    const STATEMENT: &str = "quiniela acta v1 000000000000000000000000000000ff 3,5,00\n";

    fn signer(authority: &Authority) -> Signer {
        Signer::new(unchecked(&authority.issue(&Spec::agency(3)), authority, None).certified)
    }

    fn own(signed: &Signed) -> Vec<u8> {
        STANDARD.decode(&signed.certificates[0]).unwrap()
    }

    #[test]
    fn a_statement_is_signed_and_verified() {
        let signed = signer(&Authority::new()).sign(STATEMENT).unwrap();
        assert!(signed.signature.starts_with("ECDSA_NISTP256_SHA256:"), "{}", signed.signature);
        assert_eq!(signed.certificates.len(), 1);
        assert_eq!(verify(STATEMENT, &signed.signature, &own(&signed)), Ok(()));
    }

    #[test]
    fn nothing_else_is_believed() {
        let authority = Authority::new();
        let signed = signer(&authority).sign(STATEMENT).unwrap();
        let (certificate, other) = (own(&signed), own(&signer(&authority).sign(STATEMENT).unwrap()));
        let (scheme, base64) = signed.signature.split_once(':').unwrap();
        let bytes = STANDARD.decode(base64).unwrap();
        assert!(verify("quiniela acta v1\n", &signed.signature, &certificate).is_err());
        assert!(verify(STATEMENT.trim_end(), &signed.signature, &certificate).is_err());
        assert!(verify(STATEMENT, &signed.signature, &other).is_err(), "another key");
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(
                verify(STATEMENT, &format!("{scheme}:{}", STANDARD.encode(changed)), &certificate).is_err(),
                "{bit}"
            );
        }
        for text in
            ["", "-", ":", scheme, &format!("{scheme}:"), &format!("{scheme}:{base64}="), &format!("{scheme}:*")]
        {
            assert!(verify(STATEMENT, text, &certificate).is_err(), "{text}");
        }
        for scheme in
            ["", "ED25519", "ECDSA_NISTP384_SHA384", "RSA_PSS_SHA256", "ECDSA_SHA1_Legacy", "ecdsa_nistp256_sha256"]
        {
            assert!(verify(STATEMENT, &format!("{scheme}:{base64}"), &certificate).is_err(), "{scheme}");
        }
        for certificate in [&certificate[..certificate.len() - 1], b""] {
            assert!(verify(STATEMENT, &signed.signature, certificate).is_err());
        }
    }

    #[test]
    fn keys_of_other_kinds_sign_too() {
        let authority = Authority::new();
        for (algorithm, scheme) in
            [(&rcgen::PKCS_ED25519, "ED25519"), (&rcgen::PKCS_ECDSA_P384_SHA384, "ECDSA_NISTP384_SHA384")]
        {
            let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
            let issued = authority.issue_for(&Spec::agency(3), &key);
            let signer = Signer::new(unchecked(&issued, &authority, None).certified);
            let signed = signer.sign(STATEMENT).unwrap();
            assert!(signed.signature.starts_with(&format!("{scheme}:")), "{}", signed.signature);
            assert_eq!(verify(STATEMENT, &signed.signature, &own(&signed)), Ok(()));
        }
    }
}
