//! The party that a certificate identifies. The certificate holds its role as a URI name.

use std::fmt;

use super::register::{AgencyId, MAX_AGENCIES};
use super::text::is_digits;

/// The start of every URI name that holds a role.
const PREFIX: &str = "urn:quiniela:";
/// A certificate that expires within so many days is worth a warning.
pub const EXPIRY_DAYS: i64 = 30;

/// The file in a store that lets whoever can read it hold the draw, if there are no keys.
pub const OPERATOR_TOKEN: &str = "operator.token";

/// A party of a lottery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    Agency(AgencyId),
    Central,
    Operator,
}

impl Role {
    /// The role in a certificate's URI names. Exactly one of them must start with our prefix, compared without regard to
    /// case, and it must have the exact form that [`Role`] prints. Otherwise there is no role.
    pub fn of_names<'a>(uris: impl IntoIterator<Item = &'a str>) -> Option<Role> {
        let mut ours = uris
            .into_iter()
            .filter(|uri| uri.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX)));
        let (only, another) = (ours.next()?, ours.next());
        if another.is_some() { None } else { Role::of_word(only.strip_prefix(PREFIX)?) }
    }

    /// The role that stands behind the prefix of such a name.
    pub fn of_word(word: &str) -> Option<Role> {
        let role = match word {
            "central" => Role::Central,
            "operator" => Role::Operator,
            role => {
                let id = role.strip_prefix("agency:").filter(|id| is_digits(id) && !id.starts_with('0'))?;
                Role::Agency(id.parse().ok().filter(|id| *id <= MAX_AGENCIES).map(AgencyId)?)
            }
        };
        Some(role)
    }

    /// As a text calls it.
    pub fn name(self) -> String {
        match self {
            Role::Agency(agency) => format!("agency {agency}"),
            Role::Central => "central".to_owned(),
            Role::Operator => "operator".to_owned(),
        }
    }
}

/// The URI name of a certificate.
impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Role::Agency(agency) => write!(out, "{PREFIX}agency:{agency}"),
            Role::Central => write!(out, "{PREFIX}central"),
            Role::Operator => write!(out, "{PREFIX}operator"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_read_as_it_is_printed() {
        for role in [Role::Central, Role::Operator, Role::Agency(AgencyId(1)), Role::Agency(AgencyId(65535))] {
            assert_eq!(Role::of_names([role.to_string().as_str()]), Some(role));
        }
        assert_eq!(Role::Agency(AgencyId(7)).to_string(), "urn:quiniela:agency:7");
    }

    #[test]
    fn other_names_are_ignored() {
        let uris =
            ["https://example.org/agency:9", "urn:uuid:1", "urn:quiniela:agency:7", "urn:quinielas:agency:8", "ñ"];
        assert_eq!(Role::of_names(uris), Some(Role::Agency(AgencyId(7))));
    }

    #[test]
    fn none_two_and_other_forms_are_nobody() {
        assert_eq!(Role::of_names([]), None);
        for id in ["", "0", "07", "65536", "99999999999", "7 ", " 7", "+7", "٧", "7\n", "7/8"] {
            assert_eq!(Role::of_names([format!("urn:quiniela:agency:{id}").as_str()]), None, "{id:?}");
        }
        for uri in ["urn:quiniela:", "urn:quiniela:Central", "URN:quiniela:central", "urn:quiniela:central ", "central"]
        {
            assert_eq!(Role::of_names([uri]), None, "{uri:?}");
        }
        for two in [["urn:quiniela:agency:7"; 2], ["urn:quiniela:agency:7", "URN:QUINIELA:agency:8"]] {
            assert_eq!(Role::of_names(two), None, "{two:?}");
        }
    }
}
