//! A client's side of TLS: its own identity, and the one central that it believes.

use std::io;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ClientConnection, version};

use super::Stream;
use super::certificate::party;
use super::identity::{Identity, Paths, Warning};
use super::signature::Signer;
use super::tls::TlsStream;
use super::verify::OfCentral;
use crate::domain::{Quoted, Role};
use crate::error::{Error, Result};

/// See the module.
#[derive(Clone)]
pub struct Connector {
    config: Arc<ClientConfig>,
    host: ServerName<'static>,
    signer: Signer,
}

impl Connector {
    /// Reads a client's files: those of the party that is expected, or of any that can be a client. `host` is the central's
    /// name or address, without its port; an IPv6 address may stand in brackets.
    pub fn load(paths: &Paths, expected: Option<Role>, host: &str) -> Result<(Connector, Vec<Warning>)> {
        let name = server_name(host)?;
        let identity = Identity::load(paths, expected)?;
        if identity.role == Role::Central {
            let (path, role) = (paths.cert.display(), party(identity.role));
            return Err(Error::bad_input(format!(
                "{path}: holds {role}'s key, which is no client's; give an agency's"
            )));
        }
        let warnings = identity.warnings.clone();
        let connector = Connector::new(identity, name);
        Ok((connector.map_err(|reason| Error::failed(format!("cannot set TLS up: {reason}")))?, warnings))
    }

    pub(super) fn new(identity: Identity, host: ServerName<'static>) -> Result<Connector, String> {
        let verifier = OfCentral::new(&identity)?;
        let signer = Signer::new(Arc::clone(&identity.certified));
        let mut config = ClientConfig::builder_with_provider(identity.provider)
            .with_protocol_versions(&[&version::TLS13])
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified)));
        // Each connection has a whole handshake, in which each side judges the other.
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        Ok(Connector { config: Arc::new(config), host, signer })
    }

    /// The same for a central of another name or address.
    pub fn to(&self, host: &str) -> Result<Connector> {
        Ok(Connector { host: server_name(host)?, ..self.clone() })
    }

    /// Signs with the client's own key.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Begins TLS on a stream that is connected. [`Stream::handshake`] has to be called until it is over.
    pub fn connect<S: Stream>(&self, stream: S) -> io::Result<TlsStream<S>> {
        let connection = ClientConnection::new(Arc::clone(&self.config), self.host.clone());
        Ok(TlsStream::of_client(stream, connection.map_err(io::Error::other)?))
    }
}

fn server_name(host: &str) -> Result<ServerName<'static>> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    ServerName::try_from(bare.to_owned()).map_err(|_| {
        Error::bad_input(format!("{}: a certificate can be for a host name or an IP address alone", Quoted(host)))
    })
}
