//! The settings that say who a party is: the same files for the central and for its clients.

use std::path::{Path, PathBuf};

use clap::ValueHint;

use super::setting::{Entry, Flags, Setting, Settings};
use super::source::Sources;
use super::values;
use crate::error::{Error, Result};
use crate::transport::Paths;

pub(super) const KEYS: Setting<PathBuf> = Setting::new("keys", "DIR", values::path)
    .about("Folder with this party's certificate and key, as quiniela keys makes it; connections then use TLS")
    .hint(ValueHint::DirPath);
pub(super) const CA: Setting<PathBuf> =
    file("tls-ca").about("Certificate of the authority to trust, in PEM, instead of ca.pem in --keys");
pub(super) const CERT: Setting<PathBuf> =
    file("tls-cert").about("Our own certificate, in PEM, instead of cert.pem in --keys");
pub(super) const KEY: Setting<PathBuf> =
    file("tls-key").about("The private key of our certificate, in PEM, instead of key.pem in --keys");
pub(super) const CRL: Setting<PathBuf> =
    file("tls-crl").about("List of revoked certificates, in PEM, instead of crl.pem in --keys");

/// The keys with which a check asks a central. They are flags alone: a container's environment and files name the central's
/// own keys, which are no client's.
#[derive(clap::Args, Debug)]
pub struct ClientKeys {
    #[command(flatten)]
    flags: Flags<Self>,
}

impl Settings for ClientKeys {
    const ALL: &'static [&'static dyn Entry] = &[
        &KEYS.about("Folder with the keys of an agency or of the operator; the check then uses TLS"),
        &CA,
        &CERT,
        &KEY,
        &CRL,
    ];
}

impl ClientKeys {
    /// None without keys.
    pub fn paths(&self) -> Result<Option<Paths>> {
        pick(&mut Sources::of_flags(&self.flags), [&KEYS, &CA, &CERT, &KEY, &CRL], Paths::of_client)
    }
}

const fn file(flag: &'static str) -> Setting<PathBuf> {
    Setting::new(flag, "FILE", values::path).hint(ValueHint::FilePath)
}

/// The files that the settings name, in the order of the constants above. None if they name none.
pub(super) fn pick(
    sources: &mut Sources<'_>,
    [keys, ca, cert, key, crl]: [&Setting<PathBuf>; 5],
    of_folder: fn(&Path) -> Paths,
) -> Result<Option<Paths>> {
    let mut find = |setting| sources.find(setting).map(|found| found.map(|found| found.value));
    let (folder, ca, cert, key, crl) = (find(keys)?, find(ca)?, find(cert)?, find(key)?, find(crl)?);
    let Some(folder) = folder else {
        return match (ca, cert, key) {
            (Some(ca), Some(cert), Some(key)) => Ok(Some(Paths { ca, cert, key, crl })),
            (None, None, None) if crl.is_none() => Ok(None),
            _ => Err(Error::bad_input(
                "TLS needs an authority, a certificate and a key: give --tls-ca, --tls-cert and --tls-key, or --keys DIR",
            )),
        };
    };
    let paths = of_folder(&folder);
    Ok(Some(Paths {
        ca: ca.unwrap_or(paths.ca),
        cert: cert.unwrap_or(paths.cert),
        key: key.unwrap_or(paths.key),
        crl: crl.or(paths.crl),
    }))
}
