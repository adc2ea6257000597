//! Certificates of every kind, from the authority that `quiniela keys` has made, and what the tests' clients show of them.

use std::fs;
use std::io;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, SerialNumber,
};
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::server::WebPkiClientVerifier;
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, Error, RootCertStore, ServerConfig, ServerConnection, version,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use time::{Duration, OffsetDateTime};

use super::keys::Place;
use super::{Agency, CentralStart};

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub struct Identity {
    pub cert: String,
    pub key: String,
}

/// What a certificate is to say. As it begins: agency 7, a client, valid now.
pub struct Spec<'a> {
    /// Each as it is to stand there, in ASCII or not.
    pub uris: Vec<&'a str>,
    pub hosts: Vec<&'a str>,
    /// From when to when, in days from now.
    pub days: (i64, i64),
    pub usage: ExtendedKeyUsagePurpose,
}

impl Default for Spec<'_> {
    fn default() -> Self {
        let usage = ExtendedKeyUsagePurpose::ClientAuth;
        Spec { uris: vec!["urn:quiniela:agency:7"], hosts: vec![], days: (-1, 90), usage }
    }
}

/// Whoever signs certificates.
pub struct Signer {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, in PEM.
    pub cert: String,
}

impl Place {
    /// The authority of the folder `keys`.
    pub fn signer(&self) -> Signer {
        let cert = self.read("keys/ca/ca.pem");
        let key = KeyPair::from_pem(&self.read("keys/ca/ca.key")).unwrap();
        Signer { issuer: Issuer::from_ca_cert_pem(&cert, key).unwrap(), cert }
    }

    /// What a party's folder in `keys` holds.
    pub fn identity(&self, party: &str) -> Identity {
        let read = |name: &str| self.read(&format!("keys/{party}/{name}"));
        Identity { cert: read("cert.pem"), key: read("key.pem") }
    }

    /// Makes a party's folder of these. Returns its path.
    pub fn write(&self, folder: &str, identity: &Identity) -> String {
        let path = self.path(folder);
        fs::create_dir_all(&path).unwrap();
        fs::copy(self.path("keys/ca/ca.pem"), path.join("ca.pem")).unwrap();
        identity.write(&path);
        path.display().to_string()
    }

    /// What a client of this lottery does that shows this, or nothing.
    pub fn shows(&self, identity: Option<&Identity>) -> Arc<ClientConfig> {
        client(&self.read("keys/ca/ca.pem"), identity)
    }

    /// The same with a party's folder in `keys`.
    pub fn party(&self, party: &str) -> Arc<ClientConfig> {
        self.shows(Some(&self.identity(party)))
    }

    /// The words for a program that is to use a folder in `keys`.
    pub fn keys(&self, party: &str) -> String {
        format!("--keys {}", self.path(&format!("keys/{party}")).display())
    }
}

impl CentralStart {
    /// With the keys of the central.
    pub fn tls(self, place: &Place) -> CentralStart {
        self.with(&place.keys("central"))
    }
}

impl Agency {
    /// With its own keys.
    pub fn tls(self, place: &Place) -> Agency {
        let words = place.keys(&format!("agency-{}", self.id()));
        self.with(&words)
    }
}

impl Identity {
    pub fn write(&self, folder: &Path) {
        fs::write(folder.join("cert.pem"), &self.cert).unwrap();
        let key = folder.join("key.pem");
        fs::write(&key, &self.key).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.cert.as_bytes()).map(Result::unwrap).collect()
    }

    fn secret(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }
}

fn in_days(days: i64) -> OffsetDateTime {
    OffsetDateTime::now_utc() + Duration::days(days)
}

/// A value in DER: its tag, its length, its bytes.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = match u8::try_from(content.len()).unwrap() {
        short @ ..128 => vec![short],
        long => vec![0x81, long],
    };
    [&[tag], &length[..], content].concat()
}

impl Spec<'_> {
    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "a party");
        // Written here byte for byte, since not every name that is needed is one that rcgen would write.
        let uris = self.uris.iter().map(|uri| der(0x86, uri.as_bytes()));
        let hosts = self.hosts.iter().map(|host| match host.parse::<std::net::Ipv4Addr>() {
            Ok(address) => der(0x87, &address.octets()),
            Err(_) => der(0x82, host.as_bytes()),
        });
        let names: Vec<u8> = uris.chain(hosts).flatten().collect();
        if !names.is_empty() {
            params.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 17], der(0x30, &names)));
        }
        (params.not_before, params.not_after) = (in_days(self.days.0), in_days(self.days.1));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![self.usage.clone()];
        params.use_authority_key_identifier_extension = true;
        params
    }

    pub fn self_signed(&self) -> Identity {
        let key = KeyPair::generate().unwrap();
        Identity { cert: self.params().self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
    }
}

impl Signer {
    /// Another authority, whose name is the same.
    pub fn namesake(&self) -> Signer {
        let cert = CertificateDer::from_pem_slice(self.cert.as_bytes()).unwrap();
        let (_, read) = x509_parser::parse_x509_certificate(&cert).unwrap();
        let name = read.subject().iter_common_name().next().unwrap().as_str().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = (in_days(-1), in_days(3650));
        let key = KeyPair::generate().unwrap();
        let other = params.self_signed(&key).unwrap();
        let (_, own) = x509_parser::parse_x509_certificate(other.der()).unwrap();
        assert_eq!(own.subject(), read.subject());
        Signer { cert: other.pem(), issuer: Issuer::new(params, key) }
    }

    pub fn issue(&self, spec: &Spec<'_>) -> Identity {
        let key = KeyPair::generate().unwrap();
        Identity { cert: spec.params().signed_by(&key, &self.issuer).unwrap().pem(), key: key.serialize_pem() }
    }

    /// An empty list of revoked certificates that is to be replaced in so many days.
    pub fn empty_list(&self, days: i64) -> String {
        let params = CertificateRevocationListParams {
            this_update: in_days(-30),
            next_update: in_days(days),
            crl_number: SerialNumber::from(1000),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

fn roots(cert: &str) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()).unwrap();
    Arc::new(roots)
}

/// A client that believes a central of this authority.
pub fn client(authority: &str, identity: Option<&Identity>) -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13])
        .unwrap()
        .with_root_certificates(roots(authority));
    let mut config = match identity {
        Some(identity) => config.with_client_auth_cert(identity.chain(), identity.secret()).unwrap(),
        None => config.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

pub fn connection(config: &Arc<ClientConfig>) -> ClientConnection {
    ClientConnection::new(Arc::clone(config), ServerName::try_from("localhost").unwrap()).unwrap()
}

/// The other side: a central of the tests' own, which wants a client's certificate.
pub fn server(authority: &str, identity: &Identity) -> ServerConnection {
    let provider = Arc::new(ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots(authority), Arc::clone(&provider)).build().unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain(), identity.secret())
        .unwrap();
    ServerConnection::new(Arc::new(config)).unwrap()
}

/// The first bytes that a client sends.
pub fn hello(config: &Arc<ClientConfig>) -> Vec<u8> {
    let mut bytes = Vec::new();
    connection(config).write_tls(&mut bytes).unwrap();
    bytes
}

/// The alert with which the other side has ended TLS, if that is what an error says.
pub fn alert(error: &io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref::<Error>()? {
        Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

/// Goes on with a handshake until it is over for this side.
pub fn shake(connection: &mut ClientConnection, stream: &mut TcpStream) -> io::Result<()> {
    while connection.is_handshaking() {
        connection.complete_io(stream)?;
    }
    while connection.wants_write() {
        connection.write_tls(stream)?;
    }
    Ok(())
}
