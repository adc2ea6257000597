//! Errors: a message for a person, and the kind that decides the exit code.

use std::fmt;
use std::path::Path;

/// The kinds of failure, each with its own exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any failure that is none of the others.
    Failed,
    /// The command line, a configuration file or a data file is wrong. Another attempt would fail in the same way.
    BadInput,
    /// No central could be reached, or there was no progress, for the whole time that `--retry-for` allows.
    Unreachable,
    /// The central checked the request and refused it.
    Refused,
    /// The ledger's files are damaged or do not match each other, or the disk failed.
    Storage,
    /// What an agency has sent is not what the central has stored.
    Unbalanced,
    /// SIGINT came before the work was done. `main` then ends the process by that signal.
    Interrupted,
}

/// A failure: its kind, and a message that says where the problem is and what to do.
#[derive(Debug)]
pub struct Error {
    pub kind: Kind,
    message: String,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Kind {
    /// README lists these codes. 0 is success.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Failed => 1,
            Kind::BadInput => 2,
            Kind::Unreachable => 3,
            Kind::Refused => 4,
            Kind::Storage => 5,
            Kind::Unbalanced => 6,
            Kind::Interrupted => 130,
        }
    }
}

impl Error {
    pub fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into() }
    }

    pub fn failed(message: impl Into<String>) -> Error {
        Error::new(Kind::Failed, message)
    }

    pub fn bad_input(message: impl Into<String>) -> Error {
        Error::new(Kind::BadInput, message)
    }

    pub fn unreachable(message: impl Into<String>) -> Error {
        Error::new(Kind::Unreachable, message)
    }

    pub fn refused(message: impl Into<String>) -> Error {
        Error::new(Kind::Refused, message)
    }

    pub fn storage(message: impl Into<String>) -> Error {
        Error::new(Kind::Storage, message)
    }

    /// Bad input at a path: `reason` says what is wrong there, and what to do.
    pub fn bad_path(path: &Path, reason: impl fmt::Display) -> Error {
        Error::bad_input(format!("{}: {reason}", path.display()))
    }

    /// An I/O error with its path. `action` is a verb that follows "cannot".
    pub fn at_path(kind: Kind, path: &Path, action: &str, error: &std::io::Error) -> Error {
        let is_denied = error.kind() == std::io::ErrorKind::PermissionDenied;
        let advice = if is_denied { "; give this user the right to it, or choose another path" } else { "" };
        Error::new(kind, format!("{}: cannot {action}: {error}{advice}", path.display()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_distinct_and_never_zero() {
        let (unbalanced, interrupted) = (Kind::Unbalanced, Kind::Interrupted);
        let kinds =
            [Kind::Failed, Kind::BadInput, Kind::Unreachable, Kind::Refused, Kind::Storage, unbalanced, interrupted];
        let codes: Vec<u8> = kinds.iter().map(|kind| kind.exit_code()).collect();
        assert_eq!(codes, [1, 2, 3, 4, 5, 6, 130]);
    }
}
