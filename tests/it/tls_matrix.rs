//! Who may do what over TLS, from a table: every kind of certificate, for every agency that a request can name, with every
//! request, while bets are taken, after an agency's DONE, and after the draw. What may succeed is said once, in [`Row::may`]:
//! nothing else succeeds, and nothing is stored, told or revealed by it, while honest agencies do their work.

mod lottery;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

use rcgen::ExtendedKeyUsagePurpose;
use rustls::ClientConfig;

use crate::common::client::frame;
use crate::common::keys::{Place, files};
use crate::common::tls::{Spec, client};
use crate::common::{Central, Client, Folder};
use lottery::run;

/// The roster is 1 to this.
const AGENCIES: u32 = 8;
/// Real agencies that upload their files meanwhile.
const HONEST: [u32; 2] = [1, 2];
/// These have no bets.
const EMPTY: [u32; 4] = [3, 4, 5, 6];
const OWN: u32 = 7;
const OTHER: u32 = 8;
const UNKNOWN: u32 = 9;

/// The agencies with bets that nobody else may hear of, how many bets, and what their documents begin with.
const KEPT: [(u32, usize, &str); 2] = [(OWN, 41, "siete-"), (OTHER, 43, "ocho-")];

const PLAIN: &str = "ACK|ERR|this central speaks TLS: connect with the keys of an agency";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Done,
    Drawn,
}

/// A kind of certificate, and what comes of it before any request.
struct Holder {
    name: &'static str,
    wire: Wire,
    /// The agency that it speaks for.
    agency: Option<u32>,
}

enum Wire {
    Plain,
    /// Its handshake is refused.
    Refused(Arc<ClientConfig>),
    /// Its handshake is not.
    Connects(Arc<ClientConfig>),
}

/// How a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Bet,
    Batch(usize),
    Done,
    Hello,
    Winners,
    Draw,
    /// A DONE that declares what is not stored.
    Unbalanced,
    Seal,
    Drawn,
    /// Of the dialect of keys and values.
    Keyed,
}

struct Request {
    name: &'static str,
    form: Form,
    /// Its frames.
    bytes: Vec<u8>,
    /// How many bets it stores, if it may.
    bets: usize,
}

struct Row<'a> {
    holder: &'a Holder,
    named: u32,
    request: Request,
    phase: Phase,
}

/// What is known of an agency's bets in the store.
struct Kept {
    count: usize,
    checksum: String,
    /// The lottery's id and the agency's secret.
    identity: String,
}

impl Row<'_> {
    /// What may succeed: an agency of the roster, in its own name.
    fn may(&self) -> bool {
        self.holder.agency == Some(self.named) && (1..=AGENCIES).contains(&self.named)
    }

    /// Why it may not.
    fn reason(&self) -> &'static str {
        if self.holder.agency == Some(self.named) {
            "agency 9 is unknown: the agencies are 1 to 8"
        } else {
            "identity: "
        }
    }

    /// Checks the reply to what may not be. Nothing of what is stored is in it.
    fn check_refusal(&self, content: &[u8]) {
        let reply = String::from_utf8(content.to_vec()).unwrap();
        let (start, end) = match self.request.form {
            Form::Bet => ("ACK|ERR|".to_owned(), "\n"),
            Form::Batch(count) => (format!("ACK_BATCH|ERR|{count}|"), "\n"),
            Form::Done => ("ACK_DONE|ERR|".to_owned(), "\n"),
            Form::Hello => ("HELLO|ERR|".to_owned(), "\n"),
            Form::Winners => ("WINNERS|ERR|".to_owned(), "\n"),
            Form::Draw => ("DRAW|ERR|".to_owned(), "\n"),
            Form::Unbalanced => ("ACK_DONE|ERR|".to_owned(), "\n"),
            Form::Seal => ("SEAL|ERR|".to_owned(), "\n"),
            Form::Drawn => ("DRAWN|ERR|".to_owned(), "\n"),
            Form::Keyed => return assert_eq!(reply, "error", "{self}"),
        };
        let start = start + self.reason();
        assert!(reply.starts_with(&start) && reply.ends_with(end), "{self}: {reply:?}, where {start} was expected");
        for (_, count, document) in KEPT {
            let told = [document, &count.to_string(), "closed", "not_ready", "drawn", "open", "intruso"];
            assert!(told.iter().all(|word| !reply.contains(word)), "{self}: {reply:?} tells something");
        }
    }

    /// The reply to what may be. None if it comes with the draw alone.
    fn due(&self, kept: &Kept) -> Option<String> {
        let is_open = self.phase == Phase::Open;
        let (mixed, other) = (self.request.bets == 0, other_than(self.named));
        let verdict = |ok: String, shape: String| match (mixed, is_open) {
            (true, _) => format!("{shape}|bet 1: agency {other} in a batch of agency {}", self.named),
            (false, true) => ok,
            (false, false) => format!("{shape}|closed"),
        };
        Some(match self.request.form {
            Form::Bet => verdict("ACK|OK".into(), "ACK|ERR".into()),
            Form::Batch(count) => verdict(format!("ACK_BATCH|OK|{count}"), format!("ACK_BATCH|ERR|{count}")),
            Form::Keyed => return Some(if is_open && !mixed { "success" } else { "error" }.to_owned()),
            Form::Done => "ACK_DONE|OK".to_owned(),
            Form::Hello => {
                let phase = format!("{:?}", self.phase).to_lowercase();
                let Kept { checksum, identity, .. } = kept;
                let is_more = self.request.name == "HELLO +";
                let more = if is_more { format!("|{checksum}|{identity}") } else { String::new() };
                format!("HELLO|OK|{}|{phase}{more}", kept.count)
            }
            Form::Winners if self.phase != Phase::Drawn => "WINNERS|ERR|not_ready".to_owned(),
            Form::Winners => {
                let (_, count, document) = KEPT.into_iter().find(|(agency, ..)| *agency == self.named).unwrap();
                let total = if self.request.name == "GET_WINNERS" { String::new() } else { format!("{count}|") };
                let documents: Vec<String> = (0..count).map(|place| format!("{document}{place}")).collect();
                format!("WINNERS|OK|{total}{}", documents.join(","))
            }
            Form::Unbalanced => format!("ACK_DONE|ERR|unbalanced|{}", kept.count),
            // It is answered at the close.
            Form::Seal => return None,
            Form::Drawn if self.phase != Phase::Drawn => "DRAWN|ERR|not_ready".to_owned(),
            Form::Drawn => "DRAWN|OK|7574|-".to_owned(),
            Form::Draw if self.phase != Phase::Drawn => return None,
            Form::Draw => "DRAW|OK".to_owned(),
        })
        .map(|line| line + "\n")
    }
}

impl std::fmt::Display for Row<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Row { holder, named, request, phase } = self;
        write!(out, "{}, {} for agency {named}, {phase:?}", holder.name, request.name)
    }
}

fn other_than(agency: u32) -> u32 {
    if agency == OWN { OTHER } else { OWN }
}

/// Every request that names an agency. What it brings is called `document`.
fn requests(agency: u32, kept: &Kept, document: &str) -> Vec<Request> {
    let values = format!("Ana|Paz|{document}|2000-01-01|7574");
    let whole = |agency: u32| format!("BET|{agency}|{values}");
    let (bet, other, Kept { count: place, checksum, .. }) = (whole(agency), whole(other_than(agency)), kept);
    let keyed = |agency: u32| {
        format!("AGENCY_ID={agency},NOMBRE=Ana,APELLIDO=Paz,DOCUMENTO={document},NACIMIENTO=2000-01-01,NUMERO=7574")
    };
    let keyed_batch = |agencies: &[u32]| {
        let entry = |(at, agency): (usize, &u32)| {
            let text = keyed(*agency);
            let length = u32::try_from(text.len()).unwrap().to_be_bytes();
            [&length[..], &[u8::from(at + 1 == agencies.len())], text.as_bytes()].concat()
        };
        let content: Vec<u8> = agencies.iter().enumerate().flat_map(entry).collect();
        [&u32::try_from(content.len()).unwrap().to_be_bytes()[..], &content].concat()
    };
    let request = |name, form, bets, frames: &[&str]| Request {
        name,
        form,
        bytes: frames.iter().flat_map(|text| frame(&format!("{text}\n"))).collect(),
        bets,
    };
    let batch = |name, count, rest: &str, frames: &[&str]| {
        let head = format!("BATCH|{agency}|{count}{rest}");
        request(name, Form::Batch(count), count, &[&[head.as_str()], frames].concat())
    };
    let one_frame = |name, count, rest: &str, rows: &[&str]| {
        let text = format!("BATCH|{agency}|{count}{rest}\n{}", rows.join("\n"));
        request(name, Form::Batch(count), count, &[&text])
    };
    let placed = format!("|{place}");
    let checked = format!("|{place}|{checksum}");
    vec![
        request("BET", Form::Bet, 1, &[&bet]),
        request("BET at a place", Form::Bet, 1, &[&format!("{bet}{placed}")]),
        request("BET with a checksum", Form::Bet, 1, &[&format!("{bet}{checked}")]),
        one_frame("BATCH", 2, "", &[&bet, &bet]),
        one_frame("BATCH of bare rows", 2, "", &[&values, &values]),
        one_frame("BATCH at a place", 2, &placed, &[&bet, &bet]),
        one_frame("BATCH with a checksum", 2, &checked, &[&values, &bet]),
        batch("BATCH in frames", 3, "", &[&bet, &bet, &bet]),
        batch("BATCH of bare rows in frames", 3, "", &[&values, &format!("{values}\n{bet}")]),
        batch("BATCH at a place in frames", 2, &placed, &[&bet, &bet]),
        batch("BATCH with a checksum in frames", 2, &checked, &[&format!("{bet}\n{values}")]),
        Request { bets: 0, ..one_frame("BATCH of another's rows", 1, "", &[&other]) },
        Request { bets: 0, ..batch("BATCH of another's rows in frames", 2, "", &[&other, &bet]) },
        request("HELLO", Form::Hello, 0, &[&format!("HELLO|{agency}")]),
        request("HELLO +", Form::Hello, 0, &[&format!("HELLO|{agency}|+")]),
        request("GET_WINNERS", Form::Winners, 0, &[&format!("GET_WINNERS|{agency}")]),
        request("GET_WINNERS paged", Form::Winners, 0, &[&format!("GET_WINNERS|{agency}|0")]),
        request("WAIT_DRAW", Form::Draw, 0, &[&format!("WAIT_DRAW|{agency}")]),
        request("WAIT_SEAL", Form::Seal, 0, &[&format!("WAIT_SEAL|{agency}")]),
        request("GET_DRAW", Form::Drawn, 0, &[&format!("GET_DRAW|{agency}")]),
        request("DONE declared", Form::Unbalanced, 0, &[&format!("DONE|{agency}|999|{}", "ab".repeat(32))]),
        Request { bytes: frame(&keyed(agency)), ..request("keyed bet", Form::Keyed, 1, &[]) },
        Request { bytes: keyed_batch(&[agency; 2]), ..request("keyed batch", Form::Keyed, 2, &[]) },
        Request { bytes: keyed_batch(&[agency, other_than(agency)]), ..request("keyed mix", Form::Keyed, 0, &[]) },
        request("DONE", Form::Done, 0, &[&format!("DONE|{agency}")]),
    ]
}

/// The kinds of certificates.
fn holders(place: &Place) -> Vec<Holder> {
    let revoked = place.identity("agency-7");
    place.ok("revoke keys --agency 7");
    place.ok("renew keys --agency 7");
    let renewed_away = (place.identity("agency-7"), place.serials("agency:7").pop().unwrap());
    place.ok("renew keys --agency 7");
    place.ok(&format!("revoke keys --serial {}", renewed_away.1));

    let signer = place.signer();
    let shows = |identity| place.shows(Some(&identity));
    let refused = |name, identity| Holder { name, wire: Wire::Refused(shows(identity)), agency: None };
    let connects = |name, config, agency| Holder { name, wire: Wire::Connects(config), agency };
    let names = |name, uris: &[&str], agency| {
        connects(name, shows(signer.issue(&Spec { uris: uris.to_vec(), ..Spec::default() })), agency)
    };
    let agency = |id: &str| format!("urn:quiniela:agency:{id}");
    let server = || ExtendedKeyUsagePurpose::ServerAuth;
    vec![
        Holder { name: "none and plain", wire: Wire::Plain, agency: None },
        Holder { name: "none over TLS", wire: Wire::Refused(place.shows(None)), agency: None },
        connects("right agency", place.party("agency-7"), Some(OWN)),
        connects("another agency", place.party("agency-8"), Some(OTHER)),
        connects("agency outside the roster", place.party("agency-9"), Some(UNKNOWN)),
        connects("operator", place.party("operator"), None),
        refused("central's", place.identity("central")),
        names("central's for a client", &["urn:quiniela:central"], None),
        refused("agency's for a server", signer.issue(&Spec { usage: server(), ..Spec::default() })),
        refused("other authority, same name", signer.namesake().issue(&Spec::default())),
        refused("self-signed", Spec::default().self_signed()),
        refused("expired", signer.issue(&Spec { days: (-9, -1), ..Spec::default() })),
        refused("not yet valid", signer.issue(&Spec { days: (1, 9), ..Spec::default() })),
        refused("revoked", revoked),
        refused("renewed away and revoked", renewed_away.0),
        names("no URI", &[], None),
        names("no URI of ours", &["https://example.org/agency:7"], None),
        names("URI beside another's", &["https://example.org/agency:8", &agency("7")], Some(OWN)),
        names("two URIs", &[&agency("7"), &agency("8")], None),
        names("the same URI twice", &[&agency("7"), &agency("7")], None),
        names("two URIs, one in capitals", &[&agency("7"), "URN:QUINIELA:agency:8"], None),
        names("agency and operator", &[&agency("7"), "urn:quiniela:operator"], None),
        names("agency 0", &[&agency("0")], None),
        names("agency 65536", &[&agency("65536")], None),
        names("agency 07", &[&agency("07")], None),
        names("agency 7 and a space", &[&agency("7 ")], None),
        names("agency 7 in Arabic digits", &[&agency("٧")], None),
    ]
}

#[test]
fn the_operator_alone_is_told_where_the_lottery_stands_and_holds_its_draw() {
    let place = Place::with_agencies(UNKNOWN);
    let (holders, folder) = (holders(&place), Folder::new());
    let central = Central::on(&folder).agencies(AGENCIES).with("--winning-number later").tls(&place).start();
    let order = format!("HOLD_DRAW|7574|{}|ED25519:AAAA", "ab".repeat(32));
    let before = files(&folder.store());
    for holder in &holders {
        for (request, word) in [("STATUS", "STATUS"), (order.as_str(), "DRAWN")] {
            match &holder.wire {
                Wire::Plain => _ = central.client().ask(request, PLAIN),
                Wire::Refused(config) => {
                    let mut client = Client::connect_tls(central.port, config);
                    let _ = client.try_send(&frame(&format!("{request}\n")));
                    client.alert();
                }
                Wire::Connects(config) => {
                    let reply = Client::connect_tls(central.port, config).send(request).reply();
                    let due = match (holder.name, word) {
                        ("operator", "STATUS") => "STATUS|OK|",
                        ("operator", _) => "DRAWN|ERR|betting is not closed yet",
                        (_, "STATUS") => "STATUS|ERR|identity: ",
                        _ => "DRAWN|ERR|identity: ",
                    };
                    assert!(reply.starts_with(due), "{}, {request}: {reply}", holder.name);
                }
            }
        }
    }
    assert!(files(&folder.store()) == before);
    central.stop();
}

#[test]
fn nobody_acts_as_another() {
    let place = Place::with_agencies(UNKNOWN);
    let holders = holders(&place);
    let in_phase = |phase: Phase| {
        let mut replies = BTreeMap::new();
        run(&place, &holders, phase, &mut replies);
        replies
    };
    let all = thread::scope(|scope| {
        let phases = [Phase::Open, Phase::Done, Phase::Drawn];
        let runs = phases.map(|phase| scope.spawn(move || in_phase(phase)));
        runs.map(|run| run.join().unwrap())
    });
    for (name, reply) in &all[0] {
        for other in &all[1..] {
            assert_eq!(other.get(name), Some(reply), "{name}: the phase shows");
        }
    }
    assert!(all[0].len() > 1000, "{} kinds of refusals", all[0].len());
    // Nobody who is refused at the door of one central is let in at another's.
    let other = Place::with_agencies(1);
    let folder = Folder::new();
    let central = Central::on(&folder).tls(&other).start();
    let trusting = client(&other.read("keys/ca/ca.pem"), Some(&place.identity("agency-1")));
    let mut stranger = Client::connect_tls(central.port, &trusting);
    let _ = stranger.try_send(&frame("HELLO|1\n"));
    stranger.alert();
    central.stop();
}
