//! What a write that has failed leaves behind.

use std::fmt;
use std::io;

/// A failed write, and the message about it.
#[derive(Debug)]
pub enum Failure {
    /// The write was undone, and the next may succeed.
    Undone(String),
    /// It is unknown what a crash would leave now.
    Final(String),
}

pub fn undone(file: &str, action: &str, error: io::Error) -> Failure {
    Failure::Undone(format!("{file}: cannot {action}: {error}"))
}

pub fn fatal(file: &str, action: &str, error: io::Error) -> Failure {
    Failure::Final(format!("{file}: cannot {action}: {error}; nothing more is stored"))
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Failure::Undone(message) | Failure::Final(message)) = self;
        formatter.write_str(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_could_not_be_done() {
        let [undone, fatal] =
            [undone, fatal].map(|failure| failure("bets.csv", "sync", io::Error::other("no")).to_string());
        assert_eq!(undone, "bets.csv: cannot sync: no");
        assert_eq!(fatal, "bets.csv: cannot sync: no; nothing more is stored");
    }
}
