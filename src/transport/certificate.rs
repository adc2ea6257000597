//! What a certificate says: whom it speaks for, and when it is valid.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use crate::domain::Role;

/// The tag of a URI among a certificate's names.
const URI: u32 = 6;

/// See the module. Times are seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub role: Option<Role>,
    pub not_before: i64,
    pub not_after: i64,
}

impl Facts {
    /// Reads a certificate. Whether it can be trusted is for others to say.
    pub fn read(der: &[u8]) -> Option<Facts> {
        let (rest, certificate) = parse_x509_certificate(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let validity = certificate.validity();
        let (not_before, not_after) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        Some(Facts { role: named(&certificate), not_before, not_after })
    }
}

/// Whom a certificate speaks for, whoever has signed it. None for nobody.
pub fn role(der: &[u8]) -> Option<Role> {
    Facts::read(der)?.role
}

/// All of the names are looked at: names that are damaged, and so might hide another role, make a certificate nobody's.
fn named(certificate: &X509Certificate<'_>) -> Option<Role> {
    let names = &certificate.subject_alternative_name().ok()??.value.general_names;
    if names.iter().any(|name| matches!(name, GeneralName::Invalid(tag, _) if tag.0 == URI)) {
        return None;
    }
    Role::of_names(names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    }))
}

/// A party, as a sentence calls it.
pub fn party(role: Role) -> String {
    match role {
        Role::Agency(_) => role.name(),
        Role::Central | Role::Operator => format!("the {}", role.name()),
    }
}
