//! Why a store cannot be opened.

use std::fmt;
use std::io;
use std::path::Path;

use super::disk::Folder;

/// The files are inconsistent or cannot be opened. No acknowledged data was changed.
#[derive(Debug)]
pub struct OpenError {
    message: String,
    /// The files are sound, but the settings do not fit them.
    pub is_misconfigured: bool,
}

/// An I/O error, and what to do about it if it is one of permissions.
pub fn explain(error: &io::Error) -> String {
    let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
    format!("{error}{}", if is_denied { "; give this user access to it, or choose another --store" } else { "" })
}

impl OpenError {
    pub fn at(path: &Path, what: &str) -> OpenError {
        OpenError { message: format!("{}: {what}", path.display()), is_misconfigured: false }
    }

    /// The files are sound, but the settings do not fit them.
    pub fn misconfigured(path: &Path, what: &str) -> OpenError {
        OpenError { is_misconfigured: true, ..OpenError::at(path, what) }
    }

    /// The error for an I/O call that has failed.
    pub fn of<'a>(folder: &'a dyn Folder, name: &'a str, action: &'a str) -> impl FnOnce(io::Error) -> OpenError + 'a {
        move |error| OpenError::at(&folder.path(name), &format!("cannot {action}: {}", explain(&error)))
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_to_do_if_a_person_can() {
        let explained = |kind| explain(&io::Error::new(kind, "no"));
        assert_eq!(explained(io::ErrorKind::Other), "no");
        assert!(explained(io::ErrorKind::PermissionDenied).starts_with("no; "));
    }
}
