//! Why a database did not do what it was asked, and so what can be done next.

use std::fmt;

use tokio_postgres::error::{Error, Severity, SqlState};

/// A failure, with a sentence about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// This server cannot be used now: it is away, only reads, shuts down, has hung, or has less than it had.
    Away(String),
    /// It is worth another attempt here: transactions got into each other's way.
    Again(String),
    /// Its disk is full.
    Full(String),
    /// It refuses what was asked, and so will any other.
    Refused(String),
    /// The settings do not fit what is there. Somebody has to change one of them.
    Misfit(String),
}

impl Failure {
    /// What an error of the driver means. `host` is the server that it is about.
    pub fn of(host: &str, error: &Error) -> Failure {
        let Some(answer) = error.as_db_error() else {
            return Failure::Away(format!("{host}: {}", with_causes(error)));
        };
        let text = format!("{host}: {} ({})", answer.message(), answer.code().code());
        let is_end = matches!(answer.parsed_severity(), Some(Severity::Fatal | Severity::Panic));
        Failure::of_code(answer.code(), is_end, text)
    }

    fn of_code(code: &SqlState, is_end: bool, text: String) -> Failure {
        match code.code() {
            "53100" => Failure::Full(text),
            // Somebody has cancelled a statement: it was not ours to be cancelled.
            "40001" | "40P01" | "55P03" | "57014" if !is_end => Failure::Again(text),
            "25006" | "53300" => Failure::Away(text),
            code if code.starts_with("08") || code.starts_with("57P0") => Failure::Away(text),
            // A session that has ended says nothing about what it was asked, and a schema that has changed under a
            // prepared statement needs a new one.
            _ if is_end => Failure::Away(text),
            "0A000" | "26000" | "53200" | "53400" => Failure::Away(text),
            "42501" => Failure::Refused(format!("{text}; give the role its rights: quiniela migrate --grant ROLE")),
            _ => Failure::Refused(text),
        }
    }

    /// The same with more words.
    pub fn and(mut self, more: &str) -> Failure {
        let (Failure::Away(text)
        | Failure::Again(text)
        | Failure::Full(text)
        | Failure::Refused(text)
        | Failure::Misfit(text)) = &mut self;
        text.push_str(more);
        self
    }

    pub fn text(&self) -> &str {
        let (Failure::Away(text)
        | Failure::Again(text)
        | Failure::Full(text)
        | Failure::Refused(text)
        | Failure::Misfit(text)) = self;
        text
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.text())
    }
}

/// The driver keeps what the system said in the causes of its errors.
fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(code: &str, is_end: bool) -> &'static str {
        match Failure::of_code(&SqlState::from_code(code), is_end, String::new()) {
            Failure::Away(_) => "away",
            Failure::Again(_) => "again",
            Failure::Full(_) => "full",
            Failure::Refused(_) => "refused",
            Failure::Misfit(_) => "misfit",
        }
    }

    #[test]
    fn each_code_says_what_to_do() {
        for code in ["25006", "57P01", "57P02", "57P03", "08006", "08P01", "53300"] {
            assert_eq!(kind(code, false), "away", "{code}");
        }
        for code in ["40001", "40P01", "55P03", "57014"] {
            assert_eq!((kind(code, false), kind(code, true)), ("again", "away"), "{code}");
        }
        assert_eq!((kind("53100", false), kind("53100", true)), ("full", "full"));
        assert_eq!(
            (kind("23505", false), kind("42501", false), kind("22021", false)),
            ("refused", "refused", "refused")
        );
        assert_eq!((kind("25P03", true), kind("28P01", true)), ("away", "away"));
    }
}
