//! What has to hold of the wire's formats, whatever bytes come. See `src/fuzzing.rs`.
#![allow(clippy::unwrap_used)]

use super::frame::{self, FrameError, HEADER, Incoming, MAX_FRAME};
use super::keyed::KeyedBets;
use super::{Ask, BatchHeader, BetLine, Malformed, Message, Refusal, Reply, Request, Verb, keyed as dialect};
use crate::domain::AgencyId;

/// A message that owns its bytes.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Frame(String),
    Line(Vec<u8>),
}

/// The first byte says into pieces of which size the rest, a stream, is cut: the messages are the same however it is, and
/// written again they are the stream.
pub fn frames(bytes: &[u8]) {
    let Some((size, stream)) = bytes.split_first() else { return };
    let whole = decoded(stream, stream.len().max(1));
    assert_eq!(decoded(stream, usize::from(*size).max(1)), whole);
    let (found, end) = whole;
    let mut written = Vec::new();
    for message in &found {
        match message {
            Found::Frame(text) => {
                let start = written.len();
                written.extend_from_slice(&(text.len() as u32).to_be_bytes());
                written.extend_from_slice(text.as_bytes());
                let Some(text) = text.strip_suffix('\n') else { continue };
                let mut pushed = Vec::new();
                frame::push(&mut pushed, &text);
                assert_eq!(pushed, written[start..]);
            }
            Found::Line(line) => {
                assert!(line.len() <= MAX_FRAME + 1 && line.ends_with(b"\n"));
                written.extend_from_slice(line);
            }
        }
    }
    assert!(stream.starts_with(&written));
    match end {
        Ok(left) => assert!(written.len() + left == stream.len() && left <= HEADER + MAX_FRAME),
        Err(error) => assert!(!error.to_string().contains(['|', '\n']), "it goes into a reply: {error}"),
    }
}

/// The messages of a stream that comes in pieces, and how many bytes are left behind them or why they end.
fn decoded(stream: &[u8], size: usize) -> (Vec<Found>, Result<usize, FrameError>) {
    let (mut buffer, mut found) = (Vec::new(), Vec::new());
    for piece in stream.chunks(size) {
        buffer.extend_from_slice(piece);
        loop {
            let taken = match frame::next(&buffer) {
                Err(error) => return (found, Err(error)),
                Ok(None) => break,
                Ok(Some((incoming, taken))) => {
                    found.push(match incoming {
                        Incoming::Frame(text) => Found::Frame(text.to_owned()),
                        Incoming::Line(line) => Found::Line(line.to_vec()),
                    });
                    taken
                }
            };
            assert!((1..=buffer.len()).contains(&taken));
            buffer.drain(..taken);
        }
    }
    (found, Ok(buffer.len()))
}

/// A request is read again as it was written, and what is none gets a refusal that is one line and fits a frame.
pub fn requests(bytes: &[u8]) {
    let Some(text) = str::from_utf8(bytes).ok().filter(|text| text.len() <= MAX_FRAME) else { return };
    let message = match Message::parse(text) {
        Ok(message) => message,
        Err(malformed) => return check_refusal(malformed),
    };
    assert!(!dialect::is_keyed(bytes), "it is of our dialect alone");
    match message {
        Message::Operator(command) => assert_eq!(Message::parse(&command.to_string()), Ok(message)),
        Message::Agency(Request { agency, ask: Ask::Batch { header, lines } }) => {
            // Its lines are written with line feeds of their own, so each is looked at by itself.
            let alone = Request { agency, ask: Ask::Batch { header, lines: "" } };
            assert_eq!(Message::parse(&alone.to_string()), Ok(Message::Agency(alone)));
            for line in lines.split('\n') {
                match BetLine::parse(line) {
                    Ok(bet) => assert_eq!(BetLine::parse(&bet.to_string()), Ok(bet)),
                    Err(reason) => {
                        let BatchHeader { count, .. } = header;
                        let refusal = Refusal::Bet { place: count, reason };
                        check_refusal(Malformed { verb: Some(Verb::Batch { count }), refusal });
                    }
                }
            }
        }
        Message::Agency(request) => {
            let written = request.to_string();
            assert!(written.len() <= text.len(), "{written}");
            assert_eq!(Message::parse(&written), Ok(message));
        }
    }
}

/// A refusal has to reach the peer: in one line that no foreign text has forged, in a frame, and as what it is.
fn check_refusal(Malformed { verb, refusal }: Malformed) {
    let reply = Reply::refusal(verb, refusal);
    frame::push(&mut Vec::new(), &reply);
    let text = reply.to_string();
    assert!(!text.contains(char::is_control), "{text:?}");
    assert_eq!(Reply::parse(&text, verb), Ok(reply));
}

/// The first byte says what was asked, and the rest is the reply: it is read again as it was written.
pub fn replies(bytes: &[u8]) {
    let Some((asked, Ok(text))) = bytes.split_first().map(|(asked, text)| (*asked, str::from_utf8(text))) else {
        return;
    };
    let winners = |paged| Some(Verb::GetWinners { paged });
    let asked = [None, winners(false), winners(true)][usize::from(asked) % 3];
    match Reply::parse(text, asked) {
        Ok(reply) => assert_eq!(Reply::parse(&format!("{reply}\n"), asked), Ok(reply)),
        Err(reason) => assert!(!reason.contains(char::is_control) && reason.len() < 1000, "{reason:?}"),
    }
}

/// Any text is a refusal, and the same one when it is read again.
pub fn refusals(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Ok(refusal) = text.parse::<Refusal>();
    let written = refusal.to_string();
    let Ok(again) = written.parse::<Refusal>();
    assert_eq!(again, refusal);
    assert!(Refusal::KINDS.contains(&refusal.kind()));
    // A number may have been written in another way.
    let has_number = matches!(refusal, Refusal::Bet { .. } | Refusal::TooMany { .. } | Refusal::Unbalanced { .. });
    assert!(written == text || has_number, "{written:?}");
}

/// The dialect of keys and values: bets come back however they are spelled, and no part of a batch is a batch.
pub fn keyed(content: &[u8]) {
    if content.len() > MAX_FRAME {
        return;
    }
    let KeyedBets { agency, bets, is_batch } = match dialect::parse(content) {
        Ok(bets) => bets,
        Err(malformed) => {
            let reason = malformed.refusal.to_string();
            assert!(!reason.contains('|'), "{reason:?}");
            return check_refusal(malformed);
        }
    };
    assert!(is_batch && !bets.is_empty() || bets.len() == 1);
    let texts: Vec<String> = bets.iter().map(|bet| spelled(agency, bet)).collect();
    for (text, bet) in texts.iter().zip(&bets) {
        assert!(dialect::is_keyed(text.as_bytes()));
        assert_eq!(dialect::parse(text.as_bytes()), Ok(KeyedBets { agency, bets: vec![*bet], is_batch: false }));
    }
    let bytes = batch(&texts);
    assert!(dialect::is_keyed(&bytes));
    assert_eq!(dialect::parse(&bytes), Ok(KeyedBets { agency, bets, is_batch: true }));
    let cut = content.iter().map(|byte| usize::from(*byte)).sum::<usize>() % bytes.len();
    assert!(dialect::parse(&bytes[..cut]).is_err(), "cut at {cut}");
}

fn spelled(agency: AgencyId, [first_name, last_name, document, birthdate, number]: &[&str; 5]) -> String {
    let names = format!("AGENCY_ID={agency},NOMBRE={first_name},APELLIDO={last_name}");
    format!("{names},DOCUMENTO={document},NACIMIENTO={birthdate},NUMERO={number}")
}

/// The bytes of a batch in that dialect, its flags and lengths as they ought to be.
pub fn batch<T: AsRef<[u8]>>(texts: &[T]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (place, text) in (1..).zip(texts) {
        bytes.extend_from_slice(&(text.as_ref().len() as u32).to_be_bytes());
        bytes.push(u8::from(place == texts.len()));
        bytes.extend_from_slice(text.as_ref());
    }
    bytes
}
