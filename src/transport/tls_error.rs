//! Why TLS fails, in words, and in three kinds that a caller can tell apart from a lost connection.

use std::fmt;
use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

/// See the module. It is found inside an [`io::Error`] by [`TlsError::of`]. It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsError {
    /// The peer has refused our certificate. Another attempt with the same one fails in the same way.
    Rejected(String),
    /// We have refused the peer's certificate.
    Untrusted(String),
    /// The peer speaks no TLS, or not as we do.
    Protocol(String),
}

/// At the other end of a connection, as a sentence calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OtherEnd {
    Central,
    Client,
}

impl TlsError {
    /// The failure of TLS that an error of a stream stands for, if it is one.
    pub fn of(error: &io::Error) -> Option<&TlsError> {
        error.get_ref()?.downcast_ref()
    }

    pub(super) fn explain(error: &Error, from: OtherEnd) -> TlsError {
        match error {
            Error::AlertReceived(alert) => match complaint(*alert) {
                Some(complaint) => TlsError::Rejected(format!("{from} refuses our certificate: {complaint}")),
                None => TlsError::Protocol(format!("{from} ended TLS: {alert:?}")),
            },
            Error::InvalidCertificate(error) => TlsError::untrusted(error, from),
            Error::NoCertificatesPresented => TlsError::Untrusted(format!("{from} shows no certificate")),
            Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion) => {
                TlsError::Protocol(format!("{from} answered without TLS"))
            }
            Error::PeerIncompatible(_) => TlsError::Protocol(format!("{from} speaks no TLS 1.3 that fits: {error}")),
            error => TlsError::Protocol(format!("{from} breaks the rules of TLS: {error}")),
        }
    }

    pub(super) fn untrusted(error: &CertificateError, from: OtherEnd) -> TlsError {
        let reason = match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired".to_owned(),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "is not valid yet: compare the clocks".to_owned()
            }
            CertificateError::Revoked => "is revoked".to_owned(),
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "is not of this lottery's authority".to_owned()
            }
            CertificateError::UnknownRevocationStatus => {
                "is of an authority whose list of revoked certificates we do not have".to_owned()
            }
            CertificateError::NotValidForNameContext { expected, .. } => {
                format!("is not for the name {}", expected.to_str())
            }
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                "is not made for this use".to_owned()
            }
            CertificateError::BadEncoding => "is damaged".to_owned(),
            CertificateError::Other(other) => format!("cannot be used: {other}"),
            other => format!("cannot be used: {other:?}"),
        };
        let whose = match from {
            OtherEnd::Central => "the central's",
            OtherEnd::Client => "the client's",
        };
        TlsError::Untrusted(format!("{whose} certificate {reason}"))
    }
}

/// What an alert says against our certificate, if it is about that.
fn complaint(alert: AlertDescription) -> Option<&'static str> {
    Some(match alert {
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => "it wants one, and got none",
        AlertDescription::CertificateRevoked => "it is revoked",
        AlertDescription::CertificateExpired => "it is not valid now",
        // A certificate of another authority of the same name has a signature that does not fit.
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            "it is not of the authority that is trusted there"
        }
        AlertDescription::UnsupportedCertificate => "it is not made for this use",
        AlertDescription::AccessDenied => "it gives no right to this",
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => "it cannot be used there",
        _ => return None,
    })
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> io::Error {
        let kind = match error {
            TlsError::Rejected(_) => io::ErrorKind::PermissionDenied,
            TlsError::Untrusted(_) | TlsError::Protocol(_) => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, error)
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (TlsError::Rejected(text) | TlsError::Untrusted(text) | TlsError::Protocol(text)) = self;
        out.write_str(text)
    }
}

impl std::error::Error for TlsError {}

impl fmt::Display for OtherEnd {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            OtherEnd::Central => "the central",
            OtherEnd::Client => "the client",
        })
    }
}
