//! Another author's dialect, which uses the same frames. A bet is a text of keys and values, alone in its frame:
//! `AGENCY_ID=1,NOMBRE=Ana,APELLIDO=Paz,DOCUMENTO=1,NACIMIENTO=2000-01-01,NUMERO=7574`. A batch is one frame that holds,
//! for each bet, the length of its text (4 bytes, big-endian), a flag (1 on the last bet, else 0) and the text.
//!
//! The reply to either is [`SUCCESS`] or [`ERROR`]. The reason of an error is only in the central's log.
//!
//! ```
//! use quiniela::wire::keyed;
//!
//! let bet = b"AGENCY_ID=1,NOMBRE=Ana,APELLIDO=Paz,DOCUMENTO=1,NACIMIENTO=2000-01-01,NUMERO=7574";
//! assert!(keyed::is_keyed(bet) && !keyed::is_keyed(b"BET|1|Ana|Paz|1|2000-01-01|7574\n"));
//! assert_eq!(keyed::parse(bet).unwrap().bets, [["Ana", "Paz", "1", "2000-01-01", "7574"]]);
//! let mut answer = Vec::new();
//! keyed::push_answer(&mut answer, keyed::SUCCESS);
//! assert_eq!(answer, b"\0\0\0\x07success");
//! ```

use super::frame::HEADER;
use super::refusal::Refusal;
use super::request::{self, Malformed};
use super::verb::Verb;
use crate::domain::{AgencyId, Quoted};

pub const SUCCESS: &str = "success";
pub const ERROR: &str = "error";

/// The key of the agency, and then the keys of a bet's values in our order.
const KEYS: [&str; 6] = ["AGENCY_ID", "NOMBRE", "APELLIDO", "DOCUMENTO", "NACIMIENTO", "NUMERO"];

/// The bets of one frame, all of one agency. Their values are not checked here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedBets<'a> {
    pub agency: AgencyId,
    /// First name, last name, document, birthdate and number of each bet. There is exactly one bet if this is not a batch, and
    /// at least one if it is.
    pub bets: Vec<[&'a str; 5]>,
    pub is_batch: bool,
}

/// True for a frame's content in this dialect: a batch starts with the zero byte of a length, and a bet with a known key. This
/// is decided before the content is checked to be UTF-8, because a batch is not.
pub fn is_keyed(content: &[u8]) -> bool {
    let text = content.trim_ascii_start();
    let begins_with = |key: &&str| {
        text.split_at_checked(key.len()).is_some_and(|(start, rest)| {
            start.eq_ignore_ascii_case(key.as_bytes()) && rest.trim_ascii_start().starts_with(b"=")
        })
    };
    is_batch(content) || KEYS.iter().any(begins_with)
}

/// Reads the content of a frame that [`is_keyed`]. The error tells whether a bet or a batch is refused, and how many bets were
/// found in the batch.
pub fn parse(content: &[u8]) -> Result<KeyedBets<'_>, Malformed> {
    if !is_batch(content) {
        let refuse = |reason| Malformed { verb: Some(Verb::Bet), refusal: Refusal::Other(reason) };
        let (agency, bet) = read_bet(content).map_err(refuse)?;
        return Ok(KeyedBets { agency, bets: vec![bet], is_batch: false });
    }
    let (texts, error) = split_batch(content);
    // A frame holds far fewer bets than a `u32` counts.
    let count = texts.len() as u32;
    let refuse =
        |place, reason| Malformed { verb: Some(Verb::Batch { count }), refusal: Refusal::Bet { place, reason } };
    if let Some(reason) = error {
        return Err(refuse(count + 1, reason));
    }
    let mut batch: Option<KeyedBets<'_>> = None;
    for (place, text) in (1..).zip(texts) {
        let (agency, bet) = read_bet(text).map_err(|reason| refuse(place, reason))?;
        let batch = batch.get_or_insert_with(|| KeyedBets { agency, bets: Vec::new(), is_batch: true });
        if agency != batch.agency {
            return Err(refuse(place, format!("agency {agency} in a batch of agency {}", batch.agency)));
        }
        batch.bets.push(bet);
    }
    batch.ok_or_else(|| refuse(1, "the batch holds no bet".to_owned()))
}

/// Appends the frame of a reply. It has no line feed at its end, because clients of this dialect compare the whole text.
pub fn push_answer(out: &mut Vec<u8>, answer: &str) {
    out.extend_from_slice(&(answer.len() as u32).to_be_bytes());
    out.extend_from_slice(answer.as_bytes());
}

fn is_batch(content: &[u8]) -> bool {
    content.first() == Some(&0)
}

/// Splits a batch into the texts of its bets. If its frame is malformed, this returns the texts before the error, and the error.
fn split_batch(mut rest: &[u8]) -> (Vec<&[u8]>, Option<String>) {
    let mut texts = Vec::new();
    let fault = loop {
        let Some((length, [flag, bytes @ ..])) = rest.split_first_chunk::<HEADER>() else {
            break format!("{} bytes are left, where a length and a flag are expected", rest.len());
        };
        let length = u32::from_be_bytes(*length) as usize;
        let Some((text, behind)) = bytes.split_at_checked(length) else {
            break format!("length {length}, where {} bytes are left", bytes.len());
        };
        if *flag > 1 {
            break format!("flag {flag} is not 0 or 1");
        }
        texts.push(text);
        match (flag, behind) {
            (0, _) => rest = behind,
            (_, []) => return (texts, None),
            _ => break format!("{} bytes stand behind the last bet", behind.len()),
        }
    };
    (texts, Some(fault))
}

/// Reads the text of a bet. Pairs end at commas, so no value can hold one. White space around keys and values is ignored, which
/// includes a line feed at the end of the text.
fn read_bet(text: &[u8]) -> Result<(AgencyId, [&str; 5]), String> {
    let text = str::from_utf8(text).map_err(|error| format!("not UTF-8 from byte {} on", error.valid_up_to()))?;
    let text = text.trim_ascii();
    let mut values = [None; KEYS.len()];
    for pair in text.strip_suffix(',').unwrap_or(text).split(',') {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("{} is no <key>=<value>", Quoted(pair)))?;
        let place = KEYS.iter().position(|known| known.eq_ignore_ascii_case(key.trim_ascii()));
        if place.is_some_and(|place| values[place].replace(value.trim_ascii()).is_some()) {
            return Err(format!("key {} stands there twice", Quoted(key.trim_ascii())));
        }
    }
    let value = |place: usize| values[place].ok_or_else(|| format!("key {} is missing", KEYS[place]));
    let agency = request::agency(value(0)?)?;
    Ok((agency, [value(1)?, value(2)?, value(3)?, value(4)?, value(5)?]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::{self, Incoming, MAX_FRAME};
    use crate::wire::fuzzing::{self, batch};
    use crate::wire::{Ask, BatchHeader, BetLine, MAX_BATCH, Reply, Request};
    use proptest::prelude::*;

    const ANA: &str = "AGENCY_ID=1,NOMBRE=Ana,APELLIDO=Paz,DOCUMENTO=1,NACIMIENTO=2000-01-01,NUMERO=7574";
    const ANAS: [&str; 5] = ["Ana", "Paz", "1", "2000-01-01", "7574"];

    fn refusal(content: impl AsRef<[u8]>) -> String {
        let Malformed { verb, refusal } = parse(content.as_ref()).unwrap_err();
        Reply::refusal(verb, refusal).to_string()
    }

    fn ana(text: &str) {
        let bets = KeyedBets { agency: AgencyId(1), bets: vec![ANAS], is_batch: false };
        assert!(is_keyed(text.as_bytes()), "{text}");
        assert_eq!(parse(text.as_bytes()), Ok(bets), "{text}");
    }

    #[test]
    fn keys_come_in_any_order_and_case_with_spaces_around() {
        ana(ANA);
        ana(&format!("{ANA},"));
        ana(&format!("{ANA}\n"));
        ana(&format!(" {ANA} , \r\n"));
        ana("numero=7574,Nacimiento=2000-01-01,documento=1,apellido=Paz,nombre=Ana,agency_id=1");
        ana(" NUMERO = 7574 , NACIMIENTO= 2000-01-01,DOCUMENTO =1,\tAPELLIDO=Paz,NOMBRE=Ana,AGENCY_ID=1 ");
        ana(&format!("{ANA},PREMIO=1,premio=2,=,NOMBRES=x"));
    }

    #[test]
    fn a_value_may_hold_an_equals_sign_and_be_empty() {
        for (value, kept) in [("A=na=", "A=na="), (" ", ""), ("", "")] {
            let text = ANA.replace("Ana", value);
            assert_eq!(parse(text.as_bytes()).unwrap().bets, [[kept, "Paz", "1", "2000-01-01", "7574"]]);
        }
    }

    #[test]
    fn a_bet_that_is_none_says_why() {
        for key in KEYS {
            let text = ANA.split(',').filter(|pair| !pair.starts_with(key)).collect::<Vec<_>>().join(",");
            assert_eq!(refusal(text), format!("ACK|ERR|key {key} is missing"));
        }
        assert_eq!(refusal(format!("{ANA},nombre=Eva")), "ACK|ERR|key \"nombre\" stands there twice");
        assert_eq!(refusal(ANA.replace("Ana", "Ana, Eva")), "ACK|ERR|\" Eva\" is no <key>=<value>");
        assert_eq!(refusal(format!("{ANA},,")), "ACK|ERR|\"\" is no <key>=<value>");
        assert_eq!(refusal(ANA.replace("ID=1", "ID=+1")), "ACK|ERR|agency \"+1\" is not a whole number");
        assert_eq!(refusal(ANA.replace("ID=1", "ID=")), "ACK|ERR|agency \"\" is not a whole number");
        assert_eq!(
            refusal(ANA.replace("ID=1", "ID=4294967296")),
            "ACK|ERR|agency 4294967296 is larger than 4294967295"
        );
        assert_eq!(refusal(b"NOMBRE=Nu\xf1ez"), "ACK|ERR|not UTF-8 from byte 9 on");
        assert_eq!(refusal("NOMBRE=\n|,x\u{7}|"), "ACK|ERR|\"x\\u{7}\\u{7c}\" is no <key>=<value>");
    }

    #[test]
    fn a_batch_is_of_one_agency_and_ends_with_its_last_bet() {
        let eva = ANA.replace("ID=1", "ID=2");
        let wrong = |count, place, reason: &str| format!("ACK_BATCH|ERR|{count}|bet {place}: {reason}");
        let two = batch(&[ANA, ANA]);
        assert_eq!(parse(&two), Ok(KeyedBets { agency: AgencyId(1), bets: vec![ANAS; 2], is_batch: true }));
        assert_eq!(refusal(batch(&[ANA, ANA, &eva])), wrong(3, 3, "agency 2 in a batch of agency 1"));
        assert_eq!(refusal(batch(&[ANA, "", ANA])), wrong(3, 2, "\"\" is no <key>=<value>"));
        assert_eq!(refusal(batch(&[&b"NOMBRE=\xff"[..]])), wrong(1, 1, "not UTF-8 from byte 7 on"));
        assert_eq!(refusal([0]), wrong(0, 1, "1 bytes are left, where a length and a flag are expected"));
        assert_eq!(refusal([0, 0, 0, 0]), wrong(0, 1, "4 bytes are left, where a length and a flag are expected"));
        assert_eq!(refusal([0, 0, 0, 2, 1, b'a']), wrong(0, 1, "length 2, where 1 bytes are left"));
        assert_eq!(refusal([0, 0xff, 0xff, 0xff, 1]), wrong(0, 1, "length 16777215, where 0 bytes are left"));
        assert_eq!(refusal([0, 0, 0, 0, 2]), wrong(0, 1, "flag 2 is not 0 or 1"));
        assert_eq!(refusal([&two[..], b"\n"].concat()), wrong(2, 3, "1 bytes stand behind the last bet"));
        let unended = [&batch(&[ANA])[..4], &[0], ANA.as_bytes()].concat();
        assert_eq!(refusal(unended), wrong(1, 2, "0 bytes are left, where a length and a flag are expected"));
    }

    #[test]
    fn a_frame_holds_fewer_bets_than_a_batch_of_ours_may() {
        let shortest = batch(&["AGENCY_ID=1,NOMBRE=a,APELLIDO=b,DOCUMENTO=1,NACIMIENTO=2000-01-01,NUMERO=0"]);
        assert!(MAX_FRAME / shortest.len() <= MAX_BATCH as usize);
    }

    #[test]
    fn what_only_resembles_the_dialect_is_not_of_it() {
        let others =
            ["", "\n", "=", "NOMBRE", "NOMBRES=Ana", "NOM BRE=Ana", "ÑOMBRE=Ana", ",NOMBRE=Ana", "X=1,NOMBRE=Ana"];
        for text in others.into_iter().chain(["BET|1|NOMBRE=|Paz|1|2000-01-01|1", "NOMBRE|=", "NOMBRE,=", "ñ=ñ"]) {
            assert!(!is_keyed(text.as_bytes()), "{text}");
        }
        assert!(is_keyed(b"\0") && is_keyed(b" nombre = \xff") && is_keyed(b"AGENCY_ID="));
    }

    #[test]
    fn an_answer_is_a_frame_of_the_word_alone() {
        for answer in [SUCCESS, ERROR] {
            let mut bytes = Vec::new();
            push_answer(&mut bytes, answer);
            assert_eq!(frame::next(&bytes), Ok(Some((Incoming::Frame(answer), bytes.len()))));
        }
    }

    /// A bet's text, its pairs in this order, with these spaces around each key and value.
    fn spelled(values: &[String; 6], order: &[usize], spaces: &str, is_lower: bool) -> String {
        let pair = |place: &usize| {
            let key = if is_lower { KEYS[*place].to_lowercase() } else { KEYS[*place].to_owned() };
            format!("{spaces}{key}{spaces}={spaces}{}{spaces}", values[*place])
        };
        order.iter().map(pair).collect::<Vec<_>>().join(",")
    }

    proptest! {
        #[test]
        fn batches_come_back_however_they_are_spelled_and_no_part_of_one_is_a_batch(
            id in 0..=u32::MAX,
            bets in prop::collection::vec(prop::array::uniform5("[^,\\s]([^,]{0,8}[^,\\s])?"), 1..6),
            order in Just([0, 1, 2, 3, 4, 5]).prop_shuffle(), spaces in " {0,2}", is_lower: bool,
            cut: prop::sample::Index,
        ) {
            let text = |[a, b, c, d, e]: &[String; 5]| {
                let values = [id.to_string(), a.clone(), b.clone(), c.clone(), d.clone(), e.clone()];
                spelled(&values, &order, &spaces, is_lower)
            };
            let texts: Vec<String> = bets.iter().map(text).collect();
            let bets: Vec<[&str; 5]> = bets.iter().map(|bet| bet.each_ref().map(String::as_str)).collect();
            let agency = AgencyId(id);
            for (text, bet) in texts.iter().zip(&bets) {
                prop_assert!(is_keyed(text.as_bytes()));
                prop_assert_eq!(parse(text.as_bytes()), Ok(KeyedBets { agency, bets: vec![*bet], is_batch: false }));
            }
            let bytes = batch(&texts);
            prop_assert!(is_keyed(&bytes));
            prop_assert_eq!(parse(&bytes), Ok(KeyedBets { agency, bets, is_batch: true }));
            prop_assert!(parse(&bytes[..cut.index(bytes.len())]).is_err());
        }

        #[test]
        fn no_bytes_break_the_parser_or_its_reasons(
            mut content in prop::collection::vec(prop_oneof![any::<u8>(), 0..3_u8, Just(b','), Just(b'=')], 0..80),
            text in "(agency_id|NOMBRE|[a|\n\u{7}ñ]{0,3}|[=, ]){0,20}",
        ) {
            content.extend(batch(&[text.as_bytes()]));
            for bytes in [&content, &batch(&[&content[..], text.as_bytes()]), &text.into_bytes()] {
                fuzzing::keyed(bytes);
            }
        }

        #[test]
        fn no_request_of_ours_is_taken_for_the_dialect(
            kind in 0..5, id in 0..=u32::MAX, fields in prop::array::uniform5("(NOMBRE|=|[^|\n]){0,6}"),
        ) {
            let fields = fields.each_ref().map(String::as_str);
            let lines = BetLine { agency: None, fields }.to_string();
            let ask = match kind {
                0 => Ask::Bet { fields, place: None },
                1 => Ask::Batch { header: BatchHeader { count: 1, place: None }, lines: &lines },
                2 => Ask::Done { declaration: None },
                3 => Ask::GetWinners { from: None },
                _ => Ask::Hello { more: false },
            };
            let text = Request { agency: AgencyId(id), ask }.to_string();
            prop_assert!(!is_keyed(text.as_bytes()));
        }
    }
}
