//! Plays every vector of `docs/PROTOCOL.md` against a real central.

use std::collections::BTreeSet;

use crate::common::{Central, Folder};

const DOCUMENT: &str = include_str!("../../docs/PROTOCOL.md");

/// One block: a connection to a new central.
struct Block {
    /// The line of the document where it begins.
    line: usize,
    words: &'static str,
    steps: Vec<Step>,
}

struct Step {
    line: usize,
    is_sent: bool,
    text: &'static str,
    /// None is any byte: an id, a secret or a time.
    bytes: Vec<Option<u8>>,
}

fn blocks() -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut is_inside = false;
    for (line, text) in (1..).zip(DOCUMENT.lines()) {
        if let Some(words) = text.strip_prefix("```vectors") {
            is_inside = true;
            blocks.push(Block { line, words, steps: Vec::new() });
        } else if text == "```" {
            is_inside = false;
        } else if is_inside {
            let steps = &mut blocks.last_mut().unwrap().steps;
            match text.split_at(2) {
                ("> ", text) => steps.push(Step { line, is_sent: true, text, bytes: Vec::new() }),
                ("< ", text) => steps.push(Step { line, is_sent: false, text, bytes: Vec::new() }),
                ("  ", hex) => {
                    let byte = |digits: &str| match digits {
                        ".." => None,
                        _ => Some(u8::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("line {line}: {hex}"))),
                    };
                    steps.last_mut().unwrap().bytes.extend(hex.split(' ').map(byte));
                }
                _ => panic!("line {line}: {text:?} is no part of a vector"),
            }
        }
    }
    blocks
}

#[test]
fn the_bytes_are_those_of_the_text_above_them() {
    for step in blocks().iter().flat_map(|block| &block.steps).filter(|step| !step.text.starts_with('(')) {
        let text = step.text.replace("\\n", "\n");
        let (length, shown) = (step.bytes.len() - 4, step.bytes[4..].iter().map(|byte| byte.unwrap_or(b'*')));
        assert_eq!(step.bytes[..4], u32::to_be_bytes(length as u32).map(Some), "line {}", step.line);
        // What differs each time is shown as one character.
        let shown = String::from_utf8(shown.collect()).unwrap();
        let mut text_of_bytes = String::new();
        for character in shown.chars() {
            match character {
                '*' if text_of_bytes.ends_with('…') => {}
                '*' => text_of_bytes.push('…'),
                other => text_of_bytes.push(other),
            }
        }
        assert_eq!(text_of_bytes, format!("{text}\n"), "line {}", step.line);
    }
}

#[test]
fn every_vector_is_what_a_central_does() {
    for block in blocks() {
        println!("the block at line {}", block.line);
        let folder = Folder::new();
        let central = Central::on(&folder).with(block.words).start();
        let mut client = central.client();
        for step in &block.steps {
            println!("line {}: {}", step.line, step.text);
            match (step.is_sent, step.text) {
                (true, "(closes its side)") => _ = client.half_close(),
                (false, "(closes)") => client.expect_end(),
                (true, _) => _ = client.send_bytes(&step.bytes.iter().map(|byte| byte.unwrap()).collect::<Vec<u8>>()),
                (false, _) => {
                    let bytes = client.bytes(step.bytes.len());
                    let is_due = bytes.iter().zip(&step.bytes).all(|(byte, due)| due.is_none_or(|due| due == *byte));
                    assert!(is_due, "line {}: {:?}", step.line, String::from_utf8_lossy(&bytes));
                }
            }
        }
        central.stop();
    }
}

#[test]
fn every_request_and_every_kind_of_reply_has_a_vector() {
    let blocks = blocks();
    let words = |is_sent: bool, fields: usize| -> BTreeSet<String> {
        let steps = blocks.iter().flat_map(|block| &block.steps).filter(|step| step.is_sent == is_sent);
        steps.map(|step| step.text.split('|').take(fields).collect::<Vec<_>>().join("|")).collect()
    };
    for request in
        ["BET", "BATCH", "DONE", "GET_WINNERS", "HELLO", "WAIT_DRAW", "WAIT_SEAL", "GET_DRAW", "HOLD_DRAW", "STATUS"]
    {
        assert!(words(true, 1).contains(request), "{request}");
    }
    let replies =
        ["ACK", "ACK_BATCH", "ACK_DONE", "WINNERS", "DRAWN"].map(|word| [format!("{word}|OK"), format!("{word}|ERR")]);
    for reply in
        replies.as_flattened().iter().map(String::as_str).chain(["HELLO|OK", "DRAW|OK", "SEAL|OK", "STATUS|OK"])
    {
        assert!(words(false, 2).contains(reply), "{reply}");
    }
}
