//! The log as JSON: one object a line, with the names of the exercises' form. A key decides the type of its values, never the
//! value itself: a document `0123` or a reason `7` stays text.

use std::fmt::{self, Write as _};

/// Whole numbers. Where the other form has a word instead, such as `auto`, the value is `null`.
const NUMBERS: [&str; 24] = [
    "bets",
    "bytes",
    "cant_ganadores",
    "cantidad",
    "client_amount",
    "client_id",
    "done",
    "drawn",
    "dropped",
    "dropped_bytes",
    "dropped_records",
    "dropped_rows",
    "listen_backlog",
    "loop_amount",
    "number",
    "numero",
    "of",
    "port",
    "repetidas",
    "restored_bytes",
    "sent",
    "stored",
    "winning_number",
    "workers",
];

/// `true` or `false`.
const TRUTHS: [&str; 1] = ["sealed"];

const TEXTS: [&str; 25] = [
    "address",
    "after",
    "close_at",
    "dni",
    "draw",
    "ended_by",
    "error",
    "file",
    "holds",
    "host",
    "ip",
    "kept_in",
    "log_level",
    "logging_level",
    "loop_period",
    "missing",
    "msg",
    "network_file_system",
    "reason",
    "sello",
    "server_address",
    "signature",
    "store",
    "waits_for",
    "warning",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Number,
    Truth,
    Text,
}

/// What every line begins with, behind its time.
pub fn begin(line: &mut String, level: &str, action: &str, result: &str) {
    let _ = write!(line, r#""level":"{level}","action":""#);
    let _ = write!(Escaping(line), "{action}");
    let _ = write!(line, r#"","result":"{result}""#);
}

/// Adds a key and its value.
pub fn add(line: &mut String, key: &str, value: impl fmt::Display) {
    let _ = write!(line, r#","{key}":"#);
    match type_of(key) {
        // A test sees to it that every key has a type.
        None | Some(Type::Text) => {
            line.push('"');
            let _ = write!(Escaping(line), "{value}");
            line.push('"');
        }
        Some(Type::Number) => add_parsed::<u64>(line, &value.to_string()),
        Some(Type::Truth) => add_parsed::<bool>(line, &value.to_string()),
    }
}

fn type_of(key: &str) -> Option<Type> {
    let is_in = |keys: &[&str]| keys.contains(&key);
    match key {
        _ if is_in(&NUMBERS) => Some(Type::Number),
        _ if is_in(&TRUTHS) => Some(Type::Truth),
        _ if is_in(&TEXTS) => Some(Type::Text),
        _ => None,
    }
}

fn add_parsed<T: std::str::FromStr + fmt::Display>(line: &mut String, value: &str) {
    // It prints them as JSON writes them: without zeros in front, which a person may have written.
    let _ = match value.parse::<T>() {
        Ok(value) => write!(line, "{value}"),
        Err(_) => line.write_str("null"),
    };
}

/// Escapes what is written through it, for a JSON string that no reader takes for two lines. A value may come in several pieces,
/// each of whole characters.
struct Escaping<'a>(&'a mut String);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        for character in piece.chars() {
            match character {
                '"' | '\\' => self.0.extend(['\\', character]),
                // JSON lets some of them stand. Terminals and readers of lines do not.
                _ if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') => {
                    write!(self.0, "\\u{:04x}", u32::from(character))?;
                }
                _ => self.0.push(character),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use serde_json::{Value, json};

    fn object(build: impl FnOnce(&mut String)) -> Value {
        let mut line = String::from("{");
        build(&mut line);
        line.push('}');
        assert!(
            !line.chars().any(|character| character.is_control() || "\u{2028}\u{2029}".contains(character)),
            "{line}"
        );
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    fn value(key: &str, value: impl fmt::Display) -> Value {
        object(|line| {
            begin(line, "INFO", "x", "success");
            add(line, key, value);
        })[key]
            .clone()
    }

    #[test]
    fn a_line_begins_with_what_the_other_form_begins_with() {
        let line = object(|line| begin(line, "WARNING", "config", "in_progress"));
        assert_eq!(line, json!({ "level": "WARNING", "action": "config", "result": "in_progress" }));
    }

    #[test]
    fn a_key_decides_the_type_and_the_value_does_not() {
        assert_eq!(value("cantidad", 100), json!(100));
        assert_eq!(value("bets", u64::MAX), json!(u64::MAX));
        assert_eq!(value("listen_backlog", "0128"), json!(128));
        assert_eq!(value("sealed", true), json!(true));
        for text in ["0123", "7", "true", "null", "", "1.5", "[]"] {
            assert_eq!(value("dni", text), json!(text));
            assert_eq!(value("error", text), json!(text));
        }
        for word in ["auto", "later", "", "-1", "0x7", "7574 ", "1\",\"action\":\"sorteo", "99999999999999999999"] {
            assert_eq!(value("numero", word), Value::Null, "{word}");
        }
    }

    #[test]
    fn any_text_is_told_as_it_is_and_in_one_line() {
        let all: String = (0..=0x0002_ffff_u32).filter_map(char::from_u32).collect();
        assert_eq!(value("msg", &all), json!(all));
        let forged = "x\"}\n{\"action\":\"sorteo\" | result: success\\";
        assert_eq!(value("msg", forged), json!(forged));
        let broken = String::from_utf8_lossy(b"a\xff\xc3(").into_owned();
        assert_eq!(value("msg", &broken), json!(broken));
    }

    /// The keys that the sources pass to `Event::with`.
    fn keys(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                keys(&entry.path(), found);
                continue;
            }
            let text = fs::read_to_string(entry.path()).unwrap();
            let code: String = text.split("#[cfg(test)]\nmod tests {").next().unwrap().split_whitespace().collect();
            found.extend(code.split(".with(\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
    }

    #[test]
    fn the_page_lists_what_is_no_text() {
        let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/JSON.md")).unwrap();
        let listed = |start: &str| {
            let row =
                page.lines().find_map(|line| line.strip_prefix(start)).unwrap_or_else(|| panic!("no row {start}"));
            row.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(listed("| a whole number, or `null` |"), keys(&NUMBERS));
        assert_eq!(listed("| `true` or `false` |"), keys(&TRUTHS));
    }

    #[test]
    fn every_key_that_is_logged_has_one_type_and_no_other_key_has() {
        let mut logged = BTreeSet::new();
        keys(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut logged);
        assert!(logged.len() > 30, "{logged:?}");
        let typed: Vec<&str> = [&NUMBERS[..], &TRUTHS, &TEXTS].concat();
        for taken in ["time", "level", "action", "result"] {
            assert!(!typed.contains(&taken), "{taken} is in every line already");
        }
        assert_eq!(typed.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>(), logged);
        assert_eq!(typed.len(), logged.len(), "a key has two types");
    }
}
