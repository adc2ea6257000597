//! What an agency asks.

use std::fmt;

use super::frame::MAX_FRAME;
use super::reply::Reply;
use crate::domain::{AgencyId, Quoted};

/// The most bets a batch can hold: as many of the shortest bare lines as fit a frame behind the shortest header.
pub const MAX_BATCH: u32 = ((MAX_FRAME - "BATCH|1|430".len()) / "\na|b|1|2000-01-01|0".len()) as u32;

/// A request, its texts borrowed from the frame. The values of bets are not judged here: that is the central's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    Bet {
        agency: AgencyId,
        fields: [&'a str; 5],
        first: Option<u64>,
    },
    /// A batch's header, and the lines that stand behind it in the same frame: all of its bets, or none.
    Batch {
        header: BatchHeader,
        lines: &'a str,
    },
    Done {
        agency: AgencyId,
    },
    GetWinners {
        agency: AgencyId,
        from: Option<u64>,
    },
    Hello {
        agency: AgencyId,
    },
    WaitDraw {
        agency: AgencyId,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub agency: AgencyId,
    pub count: u32,
    /// The place of the batch's first bet in the agency's sequence, from zero, if the agency keeps count.
    pub first: Option<u64>,
}

/// One bet of a batch: the same as a BET request, or its five values alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BetLine<'a> {
    pub agency: Option<AgencyId>,
    pub fields: [&'a str; 5],
}

/// The first word of a request, which decides the shape of its refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Bet,
    Batch { count: u32 },
    Done,
    GetWinners,
    Hello,
    WaitDraw,
    Unknown,
}

/// A frame that is no request: whose refusal it gets, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    pub verb: Verb,
    pub reason: String,
}

impl<'a> Request<'a> {
    /// Reads a frame's text. A line feed at its end may be left out.
    pub fn parse(text: &'a str) -> Result<Request<'a>, Malformed> {
        let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
        let mut fields = line.split('|');
        let word = fields.next().unwrap_or_default();
        let verb = match word {
            "BET" => Verb::Bet,
            "BATCH" => Verb::Batch { count: 0 },
            "DONE" => Verb::Done,
            "GET_WINNERS" => Verb::GetWinners,
            "HELLO" => Verb::Hello,
            "WAIT_DRAW" => Verb::WaitDraw,
            _ => return Err(Malformed { verb: Verb::Unknown, reason: format!("unknown request {}", Quoted(word)) }),
        };
        let parsed = match verb {
            Verb::Batch { .. } => return Request::parse_batch(line, rest),
            _ if !rest.is_empty() => Err(format!("{word} is one line, and more follow it")),
            Verb::Bet => Request::parse_bet(line),
            Verb::GetWinners => {
                shape(line, 2..=3, "GET_WINNERS|<agency> or GET_WINNERS|<agency>|<from>").and_then(|fields| {
                    let from = fields.get(2).map(|from| whole("from", from)).transpose()?;
                    Ok(Request::GetWinners { agency: agency(fields[1])?, from })
                })
            }
            _ => {
                shape(line, 2..=2, "<request>|<agency>").and_then(|fields| agency(fields[1])).map(|agency| match verb {
                    Verb::Done => Request::Done { agency },
                    Verb::Hello => Request::Hello { agency },
                    _ => Request::WaitDraw { agency },
                })
            }
        };
        parsed.map_err(|reason| Malformed { verb, reason })
    }

    fn parse_bet(line: &'a str) -> Result<Request<'a>, String> {
        let fields = shape(line, 7..=8, "BET|<agency>|<first name>|<last name>|<document>|<birthdate>|<number>")?;
        let first = fields.get(7).map(|first| whole("first", first)).transpose()?;
        let [_, id, first_name, last_name, document, birthdate, number, ..] = fields[..] else {
            return Err("BET has too few fields".to_owned());
        };
        Ok(Request::Bet { agency: agency(id)?, fields: [first_name, last_name, document, birthdate, number], first })
    }

    fn parse_batch(line: &'a str, lines: &'a str) -> Result<Request<'a>, Malformed> {
        let refuse = |count, reason| Malformed { verb: Verb::Batch { count }, reason };
        let fields = shape(line, 3..=4, "BATCH|<agency>|<count> or BATCH|<agency>|<count>|<first>")
            .map_err(|reason| refuse(0, reason))?;
        let count = whole("count", fields[2]).map_err(|reason| refuse(0, reason))?;
        let Some(count) = u32::try_from(count).ok().filter(|count| (1..=MAX_BATCH).contains(count)) else {
            let shown = u32::try_from(count).unwrap_or(u32::MAX);
            return Err(refuse(shown, format!("count {count} is not 1 to {MAX_BATCH}")));
        };
        let first = fields.get(3).map(|first| whole("first", first)).transpose();
        let first = first.map_err(|reason| refuse(count, reason))?;
        let agency = agency(fields[1]).map_err(|reason| refuse(count, reason))?;
        Ok(Request::Batch { header: BatchHeader { agency, count, first }, lines })
    }

    /// Whether a line is a whole request, not a bet of a batch: a bet line has five fields or, as a BET, seven.
    pub fn starts_with_other_request(text: &str) -> bool {
        let line = text.split('\n').next().unwrap_or_default();
        let word = line.split('|').next().unwrap_or_default();
        matches!(word, "BATCH" | "DONE" | "GET_WINNERS" | "HELLO" | "WAIT_DRAW") && line.split('|').count() < 5
    }
}

impl<'a> BetLine<'a> {
    pub fn parse(line: &'a str) -> Result<BetLine<'a>, String> {
        // A search over the few bytes of each field costs more than looking at every byte of the line once.
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
            // What a person wrote are the values: BET and the agency before them are the wire's.
            (_, ["BET", ..]) if count > 2 => Err(format!("{} values, where a bet has 5", count - 2)),
            _ => Err(format!("{count} values, where a bet has 5")),
        }
    }
}

impl Verb {
    /// The refusal of a request of this kind.
    pub fn refusal(self, reason: String) -> Reply {
        match self {
            Verb::Bet | Verb::Unknown => Reply::Ack(Err(reason)),
            Verb::Batch { count } => Reply::AckBatch { count, result: Err(reason) },
            Verb::Done => Reply::AckDone(Err(reason)),
            Verb::GetWinners => Reply::Winners(Err(reason)),
            Verb::Hello => Reply::Hello(Err(reason)),
            Verb::WaitDraw => Reply::Draw(Err(reason)),
        }
    }
}

/// The fields of a line, if there are as many as its form has.
fn shape<'a>(line: &'a str, fields: std::ops::RangeInclusive<usize>, form: &str) -> Result<Vec<&'a str>, String> {
    let found: Vec<&str> = line.split('|').take(fields.end() + 1).collect();
    if fields.contains(&found.len()) {
        return Ok(found);
    }
    let form = form.replace('|', " ");
    Err(format!("{} fields, where the form is: {form}", line.split('|').count()))
}

fn whole(name: &str, value: &str) -> Result<u64, String> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = if digits { value.parse().ok() } else { None };
    parsed.ok_or_else(|| format!("{name} {} is not a whole number", Quoted(value)))
}

fn agency(value: &str) -> Result<AgencyId, String> {
    let id = whole("agency", value)?;
    let id = u32::try_from(id).map_err(|_| format!("agency {id} is larger than {}", u32::MAX))?;
    Ok(AgencyId(id))
}

/// As it goes on the wire, without the line feed at its end.
impl fmt::Display for Request<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Request::Bet { agency, fields, first } => {
                write!(out, "{}", BetLine { agency: Some(*agency), fields: *fields })?;
                first.map_or(Ok(()), |first| write!(out, "|{first}"))
            }
            Request::Batch { header, lines } => {
                write!(out, "{header}")?;
                lines.lines().try_for_each(|line| write!(out, "\n{line}"))
            }
            Request::Done { agency } => write!(out, "DONE|{agency}"),
            Request::GetWinners { agency, from: None } => write!(out, "GET_WINNERS|{agency}"),
            Request::GetWinners { agency, from: Some(from) } => write!(out, "GET_WINNERS|{agency}|{from}"),
            Request::Hello { agency } => write!(out, "HELLO|{agency}"),
            Request::WaitDraw { agency } => write!(out, "WAIT_DRAW|{agency}"),
        }
    }
}

impl fmt::Display for BatchHeader {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "BATCH|{}|{}", self.agency, self.count)?;
        self.first.map_or(Ok(()), |first| write!(out, "|{first}"))
    }
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
    use proptest::prelude::*;

    const FIELDS: [&str; 5] = ["Ana", "Paz", "1", "2000-01-01", "0"];

    fn refusal(text: &str) -> String {
        let malformed = Request::parse(text).unwrap_err();
        malformed.verb.refusal(malformed.reason).to_string()
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
        assert_eq!(Request::parse("DONE|3"), Ok(Request::Done { agency: AgencyId(3) }));
        assert_eq!(Request::parse("DONE|3\n"), Ok(Request::Done { agency: AgencyId(3) }));
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

    #[test]
    fn a_bet_named_like_a_request_is_still_a_bet() {
        assert!(Request::starts_with_other_request("DONE|1\n"));
        assert!(Request::starts_with_other_request("BATCH|1|2|0"));
        assert!(!Request::starts_with_other_request("DONE|Paz|1|2000-01-01|0"));
        assert!(!Request::starts_with_other_request("Ana|Paz|1|2000-01-01|0\nDONE|1"));
    }

    proptest! {
        #[test]
        fn requests_survive_the_wire(
            kind in 0..6, id in 0..=u32::MAX, count in 1..=MAX_BATCH, first in prop::option::of(any::<u64>()),
            fields in prop::array::uniform5("[^|\n]{0,20}"),
        ) {
            let agency = AgencyId(id);
            let fields = fields.each_ref().map(String::as_str);
            let lines = format!("{}\n{}", BetLine { agency: None, fields }, BetLine { agency: Some(agency), fields });
            let request = match kind {
                0 => Request::Bet { agency, fields, first },
                1 => Request::Batch { header: BatchHeader { agency, count, first }, lines: &lines },
                2 => Request::Done { agency },
                3 => Request::GetWinners { agency, from: first },
                4 => Request::Hello { agency },
                _ => Request::WaitDraw { agency },
            };
            // A line feed inside a value is the only thing `lines()` could change, and values hold none.
            prop_assume!(!fields.iter().any(|field| field.contains('\r')));
            let text = request.to_string();
            prop_assert_eq!(Request::parse(&text), Ok(request));
        }

        #[test]
        fn no_text_breaks_the_parser(text in "(BET|BATCH|DONE|HELLO|GET_WINNERS|WAIT_DRAW)?[|\n0-9a-zñ]{0,60}") {
            if let Err(malformed) = Request::parse(&text) {
                let refusal = malformed.verb.refusal(malformed.reason).to_string();
                prop_assert!(!refusal.contains('\n'));
            }
        }
    }
}
