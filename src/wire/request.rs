//! The requests of an agency.

use std::fmt;

use super::frame::MAX_FRAME;
use super::refusal::Refusal;
use super::verb::{Shape, Verb};
use crate::domain::seal::Declared;
use crate::domain::{AgencyId, Checksum, Place, Quoted, is_digits};

/// The most bets of a batch: as many as fit one frame if the header and all lines are as short as possible.
pub const MAX_BATCH: u32 = ((MAX_FRAME - "BATCH|1|430".len()) / "\na|b|1|2000-01-01|0".len()) as u32;

/// A request, whose texts are borrowed from the frame. The values of bets are not checked here: the central does that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    pub agency: AgencyId,
    pub ask: Ask<'a>,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask<'a> {
    Bet {
        fields: [&'a str; 5],
        /// The bet's place in the agency's sequence, if the agency keeps count.
        place: Option<Place>,
    },
    /// A batch's header, and the lines behind it in the same frame: all of its bets, or none.
    Batch {
        header: BatchHeader,
        lines: &'a str,
    },
    /// With what the agency says it has sent, if it says so.
    Done {
        declaration: Option<Declaration<'a>>,
    },
    GetWinners {
        from: Option<u64>,
    },
    /// `more` asks for all fields, and not for the first two alone.
    Hello {
        more: bool,
    },
    WaitDraw,
    /// Show the seal, once betting is closed.
    WaitSeal,
    /// Tell the number that was drawn.
    GetDraw,
}

/// What an agency says it has sent, and its signature over that: `<scheme>:<base64>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declaration<'a> {
    pub declared: Declared,
    pub signature: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub count: u32,
    /// The place of its first bet in the agency's sequence, if the agency keeps count.
    pub place: Option<Place>,
}

/// One bet of a batch: written like a BET request, or as its five values alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BetLine<'a> {
    pub agency: Option<AgencyId>,
    pub fields: [&'a str; 5],
}

/// A frame that is not a valid request: the kind of request that is refused, if it is known, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    pub verb: Option<Verb>,
    pub refusal: Refusal,
}

impl Malformed {
    pub(super) fn unknown(word: &str) -> Malformed {
        Malformed { verb: None, refusal: Refusal::Unknown(Quoted(word).to_string()) }
    }

    pub(super) fn of(verb: Verb, reason: String) -> Malformed {
        Malformed { verb: Some(verb), refusal: Refusal::Other(reason) }
    }
}

impl<'a> Request<'a> {
    /// Reads a request of a known kind. The count of a batch is noted in `verb`, because its refusal needs it.
    pub(super) fn read(verb: &mut Verb, line: &'a str, lines: &'a str) -> Result<Request<'a>, String> {
        let fields = split(*verb, line, lines)?;
        if let Verb::Batch { count } = verb {
            *count = batch_count(fields[2], count)?;
        }
        let agency = agency(fields[1])?;
        let number = |place: usize, name| fields.get(place).map(|value| whole(name, value)).transpose();
        let place = |at: usize| {
            let before = fields.get(at + 1).map(|value| checksum(value)).transpose()?;
            Ok::<_, String>(number(at, "first")?.map(|first| Place { first, before }))
        };
        let ask = match *verb {
            Verb::Bet => Ask::Bet { fields: [2, 3, 4, 5, 6].map(|place| fields[place]), place: place(7)? },
            Verb::Batch { count } => Ask::Batch { header: BatchHeader { count, place: place(3)? }, lines },
            Verb::Done => Ask::Done { declaration: declaration(&fields[2..])? },
            Verb::GetWinners { .. } => Ask::GetWinners { from: number(2, "from")? },
            Verb::Hello => Ask::Hello { more: fields.get(2).map_or(Ok(false), |plus| is_plus(plus))? },
            Verb::WaitDraw => Ask::WaitDraw,
            Verb::WaitSeal => Ask::WaitSeal,
            Verb::GetDraw => Ask::GetDraw,
            Verb::HoldDraw | Verb::Status => return Err("only the operator asks for this".to_owned()),
        };
        Ok(Request { agency, ask })
    }
}

impl Ask<'_> {
    pub fn verb(&self) -> Verb {
        match self {
            Ask::Bet { .. } => Verb::Bet,
            Ask::Batch { header, .. } => Verb::Batch { count: header.count },
            Ask::Done { .. } => Verb::Done,
            Ask::GetWinners { from } => Verb::GetWinners { paged: from.is_some() },
            Ask::Hello { .. } => Verb::Hello,
            Ask::WaitDraw => Verb::WaitDraw,
            Ask::WaitSeal => Verb::WaitSeal,
            Ask::GetDraw => Verb::GetDraw,
        }
    }
}

impl<'a> BetLine<'a> {
    pub fn parse(line: &'a str) -> Result<BetLine<'a>, String> {
        // One loop over all bytes is faster than a search for the end of each short field.
        let mut fields = [""; 7];
        let (mut count, mut start) = (0, 0);
        let ends = line.bytes().enumerate().filter(|(_, byte)| *byte == b'|').map(|(place, _)| place);
        for end in ends.chain([line.len()]) {
            if let Some(place) = fields.get_mut(count) {
                *place = &line[start..end];
            }
            count += 1;
            start = end + 1;
        }
        match (count, fields) {
            (5, [a, b, c, d, e, ..]) => Ok(BetLine { agency: None, fields: [a, b, c, d, e] }),
            (7, ["BET", id, a, b, c, d, e]) => Ok(BetLine { agency: Some(agency(id)?), fields: [a, b, c, d, e] }),
            (7, [word, ..]) => Err(format!("{} stands where BET is expected", Quoted(word))),
            // The message counts only the values, since a person did not write BET and the agency before them.
            (_, ["BET", ..]) if count > 2 => Err(format!("{} values, where a bet has 5", count - 2)),
            _ => Err(format!("{count} values, where a bet has 5")),
        }
    }
}

/// Splits a request into the fields of its line, whose number has to be that of its form.
pub(super) fn split<'a>(verb: Verb, line: &'a str, lines: &str) -> Result<Vec<&'a str>, String> {
    let Shape { word, fields, form, has_lines, .. } = verb.shape();
    if !lines.is_empty() && !has_lines {
        return Err(format!("{word} is one line, and more follow it"));
    }
    let found: Vec<&str> = line.split('|').take(fields.end() + 1).collect();
    if fields.contains(&found.len()) {
        return Ok(found);
    }
    let form = form.replace('|', " ");
    Err(format!("{} fields, where the form is: {form}", line.split('|').count()))
}

/// What follows the agency in a DONE: nothing, or all that a declaration needs.
fn declaration<'a>(fields: &[&'a str]) -> Result<Option<Declaration<'a>>, String> {
    let (bets, root, signature) = match *fields {
        [] => return Ok(None),
        [bets, root] => (bets, root, None),
        [bets, root, signature] => (bets, root, Some(signature)),
        _ => return Err("the root of the bets is missing behind their number".to_owned()),
    };
    let root = root.parse().map_err(|reason| format!("root {}: {reason}", Quoted(root)))?;
    Ok(Some(Declaration { declared: Declared { bets: whole("bets", bets)?, root }, signature }))
}

/// Reads a batch's count. It is noted even if it is out of range, because the refusal shows it.
fn batch_count(value: &str, noted: &mut u32) -> Result<u32, String> {
    let count = whole("count", value)?;
    *noted = u32::try_from(count).unwrap_or(u32::MAX);
    if (1..=MAX_BATCH).contains(noted) { Ok(*noted) } else { Err(format!("count {count} is not 1 to {MAX_BATCH}")) }
}

fn whole(name: &str, value: &str) -> Result<u64, String> {
    let parsed = if is_digits(value) { value.parse().ok() } else { None };
    parsed.ok_or_else(|| format!("{name} {} is not a whole number", Quoted(value)))
}

fn checksum(value: &str) -> Result<Checksum, String> {
    value.parse().map_err(|()| format!("checksum {} is not 8 lowercase hexadecimal digits", Quoted(value)))
}

fn is_plus(value: &str) -> Result<bool, String> {
    if value == "+" { Ok(true) } else { Err(format!("{} stands where + is expected", Quoted(value))) }
}

pub(super) fn agency(value: &str) -> Result<AgencyId, String> {
    whole_32("agency", value).map(AgencyId)
}

pub(super) fn whole_32(name: &str, value: &str) -> Result<u32, String> {
    let number = whole(name, value)?;
    u32::try_from(number).map_err(|_| format!("{name} {number} is larger than {}", u32::MAX))
}

/// As it goes on the wire, without the line feed at its end.
impl fmt::Display for Request<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Request { agency, ask } = self;
        write!(out, "{}|{agency}", ask.verb().word())?;
        match ask {
            Ask::Bet { fields, place } => {
                fields.iter().try_for_each(|field| write!(out, "|{field}"))?;
                write_place(out, *place)
            }
            Ask::Batch { header: BatchHeader { count, place }, lines } => {
                write!(out, "|{count}")?;
                write_place(out, *place)?;
                lines.lines().try_for_each(|line| write!(out, "\n{line}"))
            }
            Ask::GetWinners { from } => from.map_or(Ok(()), |from| write!(out, "|{from}")),
            Ask::Hello { more } => out.write_str(if *more { "|+" } else { "" }),
            Ask::Done { declaration: Some(Declaration { declared: Declared { bets, root }, signature }) } => {
                write!(out, "|{bets}|{root}")?;
                signature.map_or(Ok(()), |signature| write!(out, "|{signature}"))
            }
            Ask::Done { declaration: None } | Ask::WaitDraw | Ask::WaitSeal | Ask::GetDraw => Ok(()),
        }
    }
}

fn write_place(out: &mut fmt::Formatter<'_>, place: Option<Place>) -> fmt::Result {
    let Some(Place { first, before }) = place else { return Ok(()) };
    write!(out, "|{first}")?;
    before.map_or(Ok(()), |before| write!(out, "|{before}"))
}

impl fmt::Display for BetLine<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(agency) = self.agency {
            write!(out, "BET|{agency}|")?;
        }
        let [first_name, last_name, document, birthdate, number] = self.fields;
        write!(out, "{first_name}|{last_name}|{document}|{birthdate}|{number}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Hash;
    use crate::wire::{Message, Reply};
    use proptest::prelude::*;

    const FIELDS: [&str; 5] = ["Ana", "Paz", "1", "2000-01-01", "0"];

    fn refusal(text: &str) -> String {
        let Malformed { verb, refusal } = Message::parse(text).unwrap_err();
        Reply::refusal(verb, refusal).to_string()
    }

    #[test]
    fn the_largest_batch_fits_a_frame_and_no_larger_one() {
        let line = "\na|b|1|2000-01-01|0".len();
        assert_eq!(MAX_BATCH, 430);
        assert!("BATCH|1|430".len() + 430 * line <= MAX_FRAME);
        assert!("BATCH|1|431".len() + 431 * line > MAX_FRAME);
    }

    #[test]
    fn the_line_feed_at_the_end_is_optional() {
        let done = Message::Agency(Request { agency: AgencyId(3), ask: Ask::Done { declaration: None } });
        assert_eq!(Message::parse("DONE|3"), Ok(done));
        assert_eq!(Message::parse("DONE|3\n"), Ok(done));
    }

    #[test]
    fn every_malformed_request_gets_the_refusal_of_its_kind() {
        assert_eq!(refusal("HOLA|1"), "ACK|ERR|unknown request \"HOLA\"");
        assert_eq!(refusal("\n"), "ACK|ERR|unknown request \"\"");
        assert_eq!(refusal("done|1"), "ACK|ERR|unknown request \"done\"");
        assert_eq!(refusal("DONE|x"), "ACK_DONE|ERR|agency \"x\" is not a whole number");
        assert_eq!(refusal("DONE|-1"), "ACK_DONE|ERR|agency \"-1\" is not a whole number");
        assert_eq!(refusal("DONE|4294967296"), "ACK_DONE|ERR|agency 4294967296 is larger than 4294967295");
        assert_eq!(refusal("DONE|1\nDONE|2"), "ACK_DONE|ERR|DONE is one line, and more follow it");
        let (root, short) = ("ab".repeat(32), "DONE|1|5");
        assert_eq!(refusal(short), "ACK_DONE|ERR|the root of the bets is missing behind their number");
        assert_eq!(refusal(&format!("DONE|1|-5|{root}")), "ACK_DONE|ERR|bets \"-5\" is not a whole number");
        let no_hash = "ACK_DONE|ERR|root \"ab\": a hash is 64 lowercase hexadecimal digits";
        assert_eq!(refusal("DONE|1|5|ab"), no_hash);
        assert_eq!(refusal("HELLO"), "HELLO|ERR|1 fields, where the form is: <request> <agency>");
        assert_eq!(refusal("WAIT_DRAW|"), "DRAW|ERR|agency \"\" is not a whole number");
        assert_eq!(refusal("GET_WINNERS|1|x"), "WINNERS|ERR|from \"x\" is not a whole number");
        assert_eq!(refusal("BATCH|1|0"), "ACK_BATCH|ERR|0|count 0 is not 1 to 430");
        assert_eq!(refusal("BATCH|1|431"), "ACK_BATCH|ERR|431|count 431 is not 1 to 430");
        assert_eq!(refusal("BATCH|1|9999999999"), "ACK_BATCH|ERR|4294967295|count 9999999999 is not 1 to 430");
        assert_eq!(refusal("BATCH|1|two"), "ACK_BATCH|ERR|0|count \"two\" is not a whole number");
        assert_eq!(refusal("BATCH|x|2"), "ACK_BATCH|ERR|2|agency \"x\" is not a whole number");
        assert!(refusal("BET|1|a|b").starts_with("ACK|ERR|4 fields, where the form is: BET <agency>"));
    }

    #[test]
    fn a_bet_line_is_full_or_bare() {
        assert_eq!(BetLine::parse("Ana|Paz|1|2000-01-01|0"), Ok(BetLine { agency: None, fields: FIELDS }));
        let full = BetLine { agency: Some(AgencyId(7)), fields: FIELDS };
        assert_eq!(BetLine::parse("BET|7|Ana|Paz|1|2000-01-01|0"), Ok(full));
        let named_bet = BetLine::parse("BET|Paz|1|2000-01-01|0").unwrap();
        assert_eq!(named_bet.fields[0], "BET", "a person may have any name");
        assert!(BetLine::parse("BET|7|Ana|Paz|1|2000-01-01").unwrap_err().starts_with("4 values"));
        assert!(BetLine::parse("").unwrap_err().starts_with("1 values"));
        assert!(BetLine::parse("BAT|7|Ana|Paz|1|2000-01-01|0").unwrap_err().contains("where BET is expected"));
    }

    proptest! {
        #[test]
        fn requests_survive_the_wire(
            kind in 0..8, id in 0..=u32::MAX, count in 1..=MAX_BATCH, first in prop::option::of(any::<u64>()),
            before in prop::option::of(any::<u32>()), more in any::<bool>(),
            fields in prop::array::uniform5("[^|\n]{0,20}"),
        ) {
            let agency = AgencyId(id);
            let fields = fields.each_ref().map(String::as_str);
            let lines = format!("{}\n{}", BetLine { agency: None, fields }, BetLine { agency: Some(agency), fields });
            let place = first.map(|first| Place { first, before: before.map(Checksum) });
            let ask = match kind {
                0 => Ask::Bet { fields, place },
                1 => Ask::Batch { header: BatchHeader { count, place }, lines: &lines },
                2 => Ask::Done {
                    declaration: first.map(|bets| Declaration {
                        declared: Declared { bets, root: Hash([id as u8; 32]) },
                        signature: more.then_some("ED25519:AAAA"),
                    }),
                },
                3 => Ask::GetWinners { from: first },
                4 => Ask::Hello { more },
                5 => Ask::WaitSeal,
                6 => Ask::GetDraw,
                _ => Ask::WaitDraw,
            };
            let request = Request { agency, ask };
            // A line feed inside a value is the only thing `lines()` could change, and values hold none.
            prop_assume!(!fields.iter().any(|field| field.contains('\r')));
            let text = request.to_string();
            prop_assert_eq!(Message::parse(&text), Ok(Message::Agency(request)));
        }

        #[test]
        fn no_text_breaks_the_parser(text in "(BET|BATCH|DONE|HELLO|GET_WINNERS|WAIT_DRAW|WAIT_SEAL|GET_DRAW|HOLD_DRAW|STATUS)?[|\n0-9a-zñ]{0,60}") {
            crate::wire::fuzzing::requests(text.as_bytes());
        }
    }
}
