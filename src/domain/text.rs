//! Makes foreign text safe to show, so that no peer and no file can forge a log line or a field of a reply.

use std::borrow::Cow;
use std::fmt;

/// The most characters that a message quotes of a foreign value.
const QUOTED_CHARACTERS: usize = 40;

/// The text with `|`, `\` and every control character escaped as in Rust (`\u{7c}`, `\n`), so that it can be one value of a
/// `key: value | key: value` line or of a `|`-separated reply.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(must_be_escaped) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '|' => shown.push_str("\\u{7c}"),
            _ if must_be_escaped(character) => shown.extend(character.escape_default()),
            _ => shown.push(character),
        }
    }
    Cow::Owned(shown)
}

/// True for a character that no value may hold: `|` would split the value in a message, and a control character may end a line.
pub fn is_forbidden(character: char) -> bool {
    character == '|' || character.is_control()
}

/// True for one or more ASCII digits, and nothing else.
pub fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// U+2028 and U+2029 are not control characters, but many log readers end a line at them.
fn must_be_escaped(character: char) -> bool {
    is_forbidden(character) || matches!(character, '\\' | '\u{2028}' | '\u{2029}')
}

/// A foreign value in double quotes, escaped, and cut to a length that fits a message.
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(QUOTED_CHARACTERS) {
            None => write!(formatter, "\"{}\"", visible(self.0)),
            Some((end, _)) => write!(formatter, "\"{}…\"", visible(&self.0[..end])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_with_accents_is_shown_as_it_is() {
        assert!(matches!(visible("José Núñez, \"el Ñato\""), Cow::Borrowed(_)));
    }

    #[test]
    fn separators_and_control_characters_cannot_get_through() {
        assert_eq!(visible("a|b\nc\\d\u{1b}[0m"), "a\\u{7c}b\\nc\\\\d\\u{1b}[0m");
        for code in 0..=0x2029 {
            let Some(character) = char::from_u32(code) else { continue };
            let shown = visible(&character.to_string()).into_owned();
            assert!(!shown.contains('|') && !shown.chars().any(char::is_control), "U+{code:04X}");
        }
    }

    #[test]
    fn a_long_value_is_cut_at_a_character() {
        let shown = Quoted(&"ñ".repeat(41)).to_string();
        assert_eq!(shown, format!("\"{}…\"", "ñ".repeat(40)));
    }

    #[test]
    fn what_readers_of_logs_take_for_a_line_end_is_escaped() {
        assert_eq!(visible("a\u{2028}b\u{2029}c\u{2027}"), "a\\u{2028}b\\u{2029}c\u{2027}");
    }
}
