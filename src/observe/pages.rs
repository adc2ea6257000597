//! The pages for people: the board, and the bettor's page. Each is one text without anything from elsewhere, put together
//! from the files in `page` when this program is built.

/// A page of a policy, a style, a body and scripts.
macro_rules! page {
    ($policy:ident, $style:literal, $body:literal, $($script:literal),*) => {
        concat!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n",
            include_str!("page/head.html"),
            "<meta http-equiv=\"Content-Security-Policy\" content=\"",
            $policy!(),
            "\">\n<style>\n",
            include_str!("page/page.css"),
            include_str!($style),
            "</style>\n</head>\n",
            include_str!($body),
            "<script>\n",
            include_str!("page/page.js"),
            $(include_str!($script),)*
            "</script>\n</body>\n</html>\n",
        )
    };
}

/// What a page may do: run its own style and script, known by their hashes, and ask the central that serves it. A saved page
/// says so itself.
macro_rules! policy {
    ($style:literal, $script:literal) => {
        concat!(
            "default-src 'none'; style-src '",
            $style,
            "'; script-src '",
            $script,
            "'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'",
        )
    };
}

macro_rules! board_policy {
    () => {
        policy!(
            "sha256-bCe9Lg+ugvw+BCHyr9l6SYbJBt1HXDllopWupRzTHeU=",
            "sha256-B/Zsy5W82Vj6N8bqmfFkuQJ7Czy9llRHL2JXNA54MLY="
        )
    };
}

macro_rules! ticket_policy {
    () => {
        policy!(
            "sha256-kDeCZtJVwWLRrj/qUrXWqyCMiSoVnd10idtYbHsLFhA=",
            "sha256-DssCtM+9x7OX/abKANQY0hPhLl7nrXF3N3fMbiFrD8I="
        )
    };
}

/// The lottery as it goes on. It asks for `/status.json` once a second.
pub const BOARD: &str =
    page!(board_policy, "page/board.css", "page/board.html", "page/board-words.js", "page/board.js");

/// Checks a ticket in the browser, served or saved.
pub const TICKET: &str = page!(
    ticket_policy,
    "page/ticket.css",
    "page/ticket.html",
    "page/ticket-words.js",
    "page/ticket-read.js",
    "page/ticket-certificate.js",
    "page/ticket-signature.js",
    "page/ticket-check.js",
    "page/ticket.js"
);

/// The header `content-security-policy` of the board. No page may frame it, which a page cannot say itself.
pub const BOARD_POLICY: &str = concat!(board_policy!(), "; frame-ancestors 'none'");

/// The same of the bettor's page.
pub const TICKET_POLICY: &str = concat!(ticket_policy!(), "; frame-ancestors 'none'");

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use sha2::{Digest as _, Sha256};

    /// What stands between the only two marks of a kind.
    #[track_caller]
    fn between<'a>(page: &'a str, start: &str, end: &str) -> &'a str {
        let pieces: Vec<&str> = page.split(start).collect();
        let [_, rest] = pieces[..] else { panic!("{start} is there {} times", pieces.len() - 1) };
        rest.split(end).next().unwrap()
    }

    /// If this fails, the hashes in `policy!` are to be replaced by those that it shows.
    #[test]
    fn the_policies_have_the_hashes_of_what_the_pages_hold() {
        for (page, policy) in [(BOARD, BOARD_POLICY), (TICKET, TICKET_POLICY)] {
            for (kind, tag) in [("style-src", "style"), ("script-src", "script")] {
                let text = between(page, &format!("<{tag}>"), &format!("</{tag}>"));
                let hash = format!("{kind} 'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
                assert_eq!(between(policy, kind, ";"), hash.strip_prefix(kind).unwrap(), "{tag}: {hash}");
            }
            let own = between(page, "<meta http-equiv=\"Content-Security-Policy\" content=\"", "\"");
            assert_eq!(format!("{own}; frame-ancestors 'none'"), policy);
            assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"), "{policy}");
        }
    }

    #[test]
    fn no_page_puts_foreign_text_into_its_markup() {
        for page in [BOARD, TICKET] {
            for word in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", " style=", " onclick="]
            {
                assert!(!page.contains(word), "{word}");
            }
        }
    }
}
