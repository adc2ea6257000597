//! Authorities, certificates, folders of keys and the two ends of a handshake, for tests alone.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

use super::acceptance::Acceptance;
use super::connector::Connector;
use super::identity::{Identity, Paths};
use super::incoming::Incoming;
use super::memory::{self, End};
use super::tls::TlsStream;
use super::{Stream, TlsError, Who};
use crate::domain::{AgencyId, Role};

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// What a certificate is to say.
#[derive(Clone)]
pub struct Spec<'a> {
    pub uris: Vec<&'a str>,
    /// Names that stand there in these bytes, each behind its tag, instead of the URIs.
    pub raw_names: Option<Vec<(u8, &'a [u8])>>,
    pub hosts: Vec<&'a str>,
    /// From when to when, in days from now.
    pub days: (i64, i64),
    pub uses: Vec<ExtendedKeyUsagePurpose>,
    pub serial: u64,
}

pub struct Issued {
    pub cert: String,
    pub key: String,
}

fn in_days(days: i64) -> OffsetDateTime {
    OffsetDateTime::now_utc() + Duration::days(days)
}

impl Spec<'_> {
    pub fn agency(id: u32) -> Spec<'static> {
        Spec::client(match id {
            3 => "urn:quiniela:agency:3",
            7 => "urn:quiniela:agency:7",
            _ => panic!("agency {id} has no name here"),
        })
    }

    pub fn client(uri: &str) -> Spec<'_> {
        Spec { uses: vec![ExtendedKeyUsagePurpose::ClientAuth], ..Spec::bare(vec![uri]) }
    }

    pub fn central() -> Spec<'static> {
        Spec {
            hosts: vec!["server", "localhost", "127.0.0.1", "::1"],
            uses: vec![ExtendedKeyUsagePurpose::ServerAuth],
            ..Spec::bare(vec!["urn:quiniela:central"])
        }
    }

    pub fn bare(uris: Vec<&str>) -> Spec<'_> {
        Spec { uris, raw_names: None, hosts: vec![], days: (-1, 397), uses: vec![], serial: 1 }
    }

    fn params(&self) -> CertificateParams {
        let hosts: Vec<String> = self.hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.subject_alt_names.extend(self.uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())));
        if let Some(names) = &self.raw_names {
            let names: Vec<u8> = names.iter().flat_map(|(tag, bytes)| der(*tag, bytes)).collect();
            params.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 17], der(0x30, &names)));
            params.subject_alt_names.clear();
        }
        params.distinguished_name.push(DnType::CommonName, "a party");
        (params.not_before, params.not_after) = (in_days(self.days.0), in_days(self.days.1));
        params.extended_key_usages = self.uses.clone();
        params.serial_number = Some(SerialNumber::from(self.serial));
        params.use_authority_key_identifier_extension = true;
        params
    }

    pub fn self_signed(&self) -> Issued {
        let key = KeyPair::generate().unwrap();
        Issued { cert: self.params().self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
    }
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    assert!(content.len() < 128);
    [&[tag, u8::try_from(content.len()).unwrap()][..], content].concat()
}

impl Authority {
    pub fn new() -> Authority {
        Authority::lasting(3650)
    }

    pub fn lasting(days: i64) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "a lottery");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = (in_days(-3650), in_days(days));
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn issue(&self, spec: &Spec<'_>) -> Issued {
        self.issue_for(spec, &KeyPair::generate().unwrap())
    }

    pub fn issue_for(&self, spec: &Spec<'_>, key: &KeyPair) -> Issued {
        Issued { cert: spec.params().signed_by(key, &self.0).unwrap().pem(), key: key.serialize_pem() }
    }

    /// A list of revoked certificates that is to be replaced in so many days.
    pub fn revoke(&self, serials: &[u64], days: i64) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: in_days(-1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: in_days(-2),
            next_update: in_days(days),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).unwrap().pem().unwrap()
    }

    /// A folder with what was issued, and a list of revoked certificates if there is one.
    pub fn folder(&self, issued: &Issued, crl: Option<&str>) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), self.pem()).unwrap();
        write_keys(folder.path(), issued);
        if let Some(crl) = crl {
            fs::write(folder.path().join("crl.pem"), crl).unwrap();
        }
        folder
    }

    /// The central's folder, in which nothing is revoked.
    pub fn central(&self) -> TempDir {
        self.folder(&self.issue(&Spec::central()), Some(&self.revoke(&[], 3650)))
    }

    pub fn client(&self, spec: &Spec<'_>) -> TempDir {
        self.folder(&self.issue(spec), None)
    }
}

/// The certificate (DER) of a folder.
pub fn certificate(folder: &Path) -> Vec<u8> {
    let pem = fs::read(folder.join("cert.pem")).unwrap();
    CertificateDer::from_pem_slice(&pem).unwrap().to_vec()
}

pub(super) fn write_keys(folder: &Path, issued: &Issued) {
    fs::write(folder.join("cert.pem"), &issued.cert).unwrap();
    fs::write(folder.join("key.pem"), &issued.key).unwrap();
    fs::set_permissions(folder.join("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
}

/// What a party would have that looks at nothing before it uses it.
pub(super) fn unchecked(issued: &Issued, trusted: &Authority, crl: Option<&str>) -> Identity {
    let provider = Arc::new(ring::default_provider());
    let certs = CertificateDer::pem_slice_iter(issued.cert.as_bytes()).collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let certified = Arc::new(CertifiedKey::from_der(certs, key, &provider).unwrap());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.pem().as_bytes()).unwrap()).unwrap();
    let crls =
        crl.map(|crl| CertificateRevocationListDer::from_pem_slice(crl.as_bytes()).unwrap()).into_iter().collect();
    Identity {
        role: Role::Central,
        certified,
        roots: Arc::new(roots),
        crls,
        provider,
        warnings: Vec::new(),
        expiries: Vec::new(),
    }
}

/// A central's side with what was issued, whatever it says.
pub fn posing(issued: &Issued, trusted: &Authority) -> Arc<Acceptance> {
    Acceptance::unchecked(unchecked(issued, trusted, None))
}

pub(super) const SEVEN: Who = Who::Party(Role::Agency(AgencyId(7)));
pub(super) const CAPACITY: usize = 1 << 16;

/// A central and an agency that believe each other.
pub(super) struct Lottery {
    pub authority: Authority,
    pub folder: TempDir,
    pub acceptance: Arc<Acceptance>,
    pub connector: Connector,
}

impl Lottery {
    pub fn new() -> Lottery {
        let authority = Authority::new();
        let folder = authority.central();
        let (acceptance, warnings) = Acceptance::load(Paths::of_central(folder.path())).unwrap();
        assert_eq!(warnings, []);
        let agency = authority.client(&Spec { serial: 7, ..Spec::agency(7) });
        let connector = load(agency.path(), "localhost");
        Lottery { authority, folder, acceptance, connector }
    }

    pub fn write(&self, file: &str, text: &str) {
        fs::write(self.folder.path().join(file), text).unwrap();
    }

    pub fn ends(&self, capacity: usize) -> (TlsStream<End>, Incoming<End>) {
        let (client, server) = memory::pair(capacity);
        (self.connector.connect(client).unwrap(), Incoming::new(server, Arc::clone(&self.acceptance)))
    }

    /// Two ends whose handshake is over.
    pub fn linked(&self, capacity: usize) -> (TlsStream<End>, Incoming<End>) {
        let (mut client, mut server) = self.ends(capacity);
        assert_eq!(meet(&mut client, &mut server), (Ok(()), Ok(SEVEN)));
        (client, server)
    }
}

fn load(folder: &Path, host: &str) -> Connector {
    Connector::load(&Paths::of_client(folder), None, host).unwrap().0
}

pub(super) fn tls_error(error: io::Error) -> TlsError {
    TlsError::of(&error).cloned().unwrap_or_else(|| panic!("not TLS's: {error}"))
}

pub(super) fn kind<T>(result: io::Result<T>) -> Option<io::ErrorKind> {
    result.err().map(|error| error.kind())
}

/// A central's turn: it finds out what the peer speaks, and goes on with the handshake.
pub(super) fn serve(server: &mut Incoming<impl Stream>) -> io::Result<()> {
    if !server.is_handshaking() && server.who() == Who::Nobody {
        match server.read(&mut vec![0; CAPACITY]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result.map(|_| ()),
        }
    }
    server.handshake()
}

/// Both ends' handshakes, and the alert that a client may find at its first read.
pub(super) fn meet(
    client: &mut TlsStream<impl Stream>,
    server: &mut Incoming<impl Stream>,
) -> (Result<(), TlsError>, Result<Who, TlsError>) {
    let (mut at_client, mut at_server) = (Ok(()), Ok(()));
    for _ in 0..20_000 {
        at_client = at_client.and_then(|()| client.handshake().map_err(tls_error));
        at_server = at_server.and_then(|()| serve(server).map_err(tls_error));
        let _ = (client.flush(), server.flush());
        if (at_client.is_err() || !client.is_handshaking()) && (at_server.is_err() || server.who() != Who::Nobody) {
            break;
        }
    }
    let at_client = at_client.and_then(|()| match client.read(&mut [0]) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(tls_error(error)),
        Ok(0) => Ok(()),
        Ok(read) => panic!("{read} bytes from a central that has sent none"),
    });
    (at_client, at_server.map(|()| server.who()))
}

/// A stream that moves a byte at a time, and every other time none.
pub(super) struct Dribble(pub End, pub bool);

impl Dribble {
    fn turn(&mut self) -> io::Result<()> {
        self.1 = !self.1;
        if self.1 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    }
}

impl Read for Dribble {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.turn()?;
        let most = into.len().min(1);
        self.0.read(&mut into[..most])
    }
}

impl Write for Dribble {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.turn()?;
        self.0.write(&from[..from.len().min(1)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Dribble {
    fn close_sending(&mut self) -> io::Result<()> {
        self.0.close_sending()
    }

    fn has_unsent(&self) -> bool {
        false
    }
}

/// Moves all bytes from one end to the other, however little goes at a time.
pub(super) fn transfer(from: &mut dyn Stream, to: &mut dyn Stream, bytes: &[u8]) {
    let (mut sent, mut received, mut buffer) = (0, Vec::new(), vec![0; 700]);
    for _ in 0..1_000_000 {
        sent += super::send(from, &bytes[sent..]).unwrap();
        if let super::Read::Some(read) = super::read(to, &mut buffer).unwrap() {
            received.extend_from_slice(&buffer[..read]);
        }
        if received.len() == bytes.len() && !from.has_unsent() {
            assert!(received == bytes);
            return;
        }
    }
    panic!("{sent} of {} bytes sent, {} received", bytes.len(), received.len());
}

impl Lottery {
    pub fn connector_ends(&self) -> (TlsStream<End>, End) {
        let (client, server) = memory::pair(CAPACITY);
        (self.connector.connect(client).unwrap(), server)
    }

    /// The beginning of a real handshake.
    pub fn hello(&self) -> Vec<u8> {
        let (mut client, mut server) = self.connector_ends();
        client.handshake().unwrap();
        let mut bytes = vec![0; CAPACITY];
        let read = server.read(&mut bytes).unwrap();
        bytes.truncate(read);
        bytes
    }

    /// What becomes of a peer that sends these bytes and then nothing more, and what it is told.
    pub fn feed(&self, bytes: &[u8], closes: bool) -> (io::Result<()>, Vec<u8>, usize) {
        let (mut peer, server) = memory::pair(CAPACITY);
        let mut server = Incoming::new(server, Arc::clone(&self.acceptance));
        peer.write_all(bytes).unwrap();
        if closes {
            peer.close_sending().unwrap();
        }
        let result = (0..5).try_for_each(|_| serve(&mut server));
        let (mut answer, held) = (vec![0; CAPACITY], server.held_bytes());
        let read = peer.read(&mut answer).unwrap_or(0);
        answer.truncate(read);
        (result, answer, held)
    }
}

/// A blocking socket. With it, a handshake and a read wait for the peer.
impl Stream for TcpStream {
    fn close_sending(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn has_unsent(&self) -> bool {
        false
    }
}
