//! The central's side of TLS: its own identity, and the judgement of its clients. Both can be read again while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::SingleCertAndKey;
use rustls::{ServerConfig, version};

use super::Who;
use super::certificate::Facts;
use super::identity::{Expiry, Identity, Paths, Warning};
use super::signature::Signer;
use super::tls_error::TlsError;
use super::verify;
use crate::domain::Role;
use crate::error::{Error, Result};

/// See the module.
pub struct Acceptance {
    paths: Paths,
    current: RwLock<Arc<Current>>,
    /// That of `current`, to be looked at without its lock.
    generation: AtomicU64,
    reloading: Mutex<()>,
}

/// What one reading of the files has given.
pub(super) struct Current {
    generation: u64,
    pub config: Arc<ServerConfig>,
    verifier: Arc<dyn ClientCertVerifier>,
    signer: Signer,
    expiries: Vec<Expiry>,
}

/// How one client's certificates were judged, and when they have to be judged again.
pub(super) struct Judgement {
    acceptance: Arc<Acceptance>,
    /// By whose verifier, or whose configuration the handshake uses.
    generation: u64,
    /// None before the handshake is over.
    who: Option<Who>,
    /// When the next of the certificates expires, in seconds since 1970.
    look_again: i64,
}

impl Acceptance {
    /// Reads the central's files.
    pub fn load(paths: Paths) -> Result<(Arc<Acceptance>, Vec<Warning>)> {
        let (current, warnings) = Current::read(&paths, 0)?;
        Ok((Acceptance::new(paths, current), warnings))
    }

    fn new(paths: Paths, current: Current) -> Arc<Acceptance> {
        let current = RwLock::new(Arc::new(current));
        Arc::new(Acceptance { paths, current, generation: AtomicU64::new(0), reloading: Mutex::default() })
    }

    /// With an identity that no folder would be taken with.
    #[cfg(test)]
    pub(super) fn unchecked(identity: Identity) -> Arc<Acceptance> {
        Acceptance::new(Paths::of_central("nowhere".as_ref()), Current::new(identity, 0).unwrap())
    }

    /// Reads the files again. What is open is judged anew at its next [`super::Stream::recheck`]. An error changes nothing.
    pub fn reload(&self) -> Result<Vec<Warning>> {
        let _alone = self.reloading.lock();
        let generation = self.current.read().generation + 1;
        let (current, warnings) = Current::read(&self.paths, generation)?;
        *self.current.write() = Arc::new(current);
        self.generation.store(generation, Ordering::Release);
        Ok(warnings)
    }

    /// Signs with the central's key, as the files had it when they were last read.
    pub fn signer(&self) -> Signer {
        self.current.read().signer.clone()
    }

    /// When what the files held expires, as they were last read.
    pub fn expiries(&self) -> Vec<Expiry> {
        self.current.read().expiries.clone()
    }

    pub(super) fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read())
    }
}

impl Current {
    fn read(paths: &Paths, generation: u64) -> Result<(Current, Vec<Warning>)> {
        let identity = Identity::load(paths, Some(Role::Central))?;
        let warnings = identity.warnings.clone();
        let current = Current::new(identity, generation);
        Ok((current.map_err(|reason| Error::failed(format!("cannot set TLS up: {reason}")))?, warnings))
    }

    fn new(identity: Identity, generation: u64) -> Result<Current, String> {
        let verifier = verify::of_clients(&identity)?;
        let signer = Signer::new(Arc::clone(&identity.certified));
        let expiries = identity.expiries;
        let mut config = ServerConfig::builder_with_provider(identity.provider)
            .with_protocol_versions(&[&version::TLS13])
            .map_err(|error| error.to_string())?
            .with_client_cert_verifier(Arc::clone(&verifier))
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified)));
        // A resumed session would be no handshake, and so nobody would ask the verifier about its certificate. A client is
        // given nothing that it could resume, and nothing is taken before its handshake is over.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(Current { generation, config: Arc::new(config), verifier, signer, expiries })
    }
}

impl Judgement {
    /// For a connection whose handshake uses this configuration.
    pub fn pending(acceptance: Arc<Acceptance>, current: &Current) -> Judgement {
        Judgement { acceptance, generation: current.generation, who: None, look_again: i64::MAX }
    }

    /// None before the handshake is over.
    pub fn who(&self) -> Option<Who> {
        self.who
    }

    /// Judges, if this was not done yet, if the files were read again since, or if a certificate may have expired. To be
    /// called for the first time when the handshake is over.
    pub fn renew(&mut self, chain: &[CertificateDer<'_>], now: UnixTime) -> std::result::Result<Who, TlsError> {
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let is_current = self.generation == self.acceptance.generation.load(Ordering::Acquire);
        if let Some(who) = self.who.filter(|_| is_current && seconds < self.look_again) {
            return Ok(who);
        }
        let current = self.acceptance.current();
        // The handshake itself has asked the verifier of its own configuration, a moment ago.
        let has_verified = self.who.is_none() && self.generation == current.generation;
        let verifier = (!has_verified).then_some(&*current.verifier);
        let who = verify::judge(verifier, chain, now)?;
        let ends = chain.iter().filter_map(|certificate| Facts::read(certificate)).map(|facts| facts.not_after);
        self.look_again = ends.filter(|end| *end > seconds).min().unwrap_or(i64::MAX);
        self.generation = current.generation;
        self.who = Some(who);
        Ok(who)
    }
}
