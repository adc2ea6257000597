//! One table of requests and replies, for a folder and for a database: both stores keep the same promises.

use crate::cluster::{Follows, Pair};
use crate::common::{Central, Folder};

enum Step {
    /// A request, and its reply, or the start of it before `…`.
    Ask(&'static str, &'static str),
    /// The central stops in order and starts again.
    Restart,
    /// The central is killed and starts again.
    Kill,
}

use Step::{Ask, Kill, Restart};

const TABLE: &[Step] = &[
    Ask("HELLO|1", "HELLO|OK|0|open"),
    Ask("BET|1|Ana|Paz|1|2000-01-01|7574", "ACK|OK"),
    Ask("HELLO|1", "HELLO|OK|1|open"),
    // The bet that is there, and one more.
    Ask("BATCH|1|2|0\nAna|Paz|1|2000-01-01|7574\nBeto|Sosa|2|2000-01-01|8", "ACK_BATCH|OK|2"),
    Ask("BATCH|1|2|0\nAna|Paz|1|2000-01-01|7574\nBeto|Sosa|2|2000-01-01|8", "ACK_BATCH|OK|2"),
    Ask("BATCH|1|1|1\nBeto|Sosa|2|2000-01-01|8", "ACK_BATCH|OK|1"),
    Ask("HELLO|1", "HELLO|OK|2|open"),
    Restart,
    Ask("BATCH|1|1|3\nCeci|Paz|3|2000-01-01|9", "ACK_BATCH|ERR|1|gap"),
    Ask("BATCH|1|1|2|00000000\nCeci|Paz|3|2000-01-01|9", "ACK_BATCH|ERR|1|conflict"),
    Ask("BATCH|1|1|0|00000000\nCeci|Paz|3|2000-01-01|9", "ACK_BATCH|ERR|1|stale"),
    Ask("BATCH|1|2|2\nCeci|Paz|3|2000-01-01|9\nbad", "ACK_BATCH|ERR|2|bet 2…"),
    Ask("HELLO|1", "HELLO|OK|2|open"),
    Ask("BATCH|1|1\nCeci|Paz|3|2000-01-01|7574", "ACK_BATCH|OK|1"),
    Ask("BATCH|1|1\nCeci|Paz|3|2000-01-01|7574", "ACK_BATCH|OK|1"),
    Ask("HELLO|1", "HELLO|OK|4|open"),
    Ask("BET|3|Ana|Paz|1|2000-01-01|7574", "ACK|ERR|agency 3 is unknown: the agencies are 1 to 2"),
    Kill,
    Ask("HELLO|1", "HELLO|OK|4|open"),
    Ask("GET_WINNERS|1", "WINNERS|ERR|not_ready"),
    Ask("DONE|1", "ACK_DONE|OK"),
    Ask("DONE|1", "ACK_DONE|OK"),
    Ask("HELLO|1", "HELLO|OK|4|done"),
    Ask("BET|1|Ana|Paz|1|2000-01-01|7574", "ACK|ERR|closed"),
    // What is there is acknowledged again, although the agency is done.
    Ask("BATCH|1|1|1\nBeto|Sosa|2|2000-01-01|8", "ACK_BATCH|OK|1"),
    Kill,
    Ask("BET|1|Ana|Paz|1|2000-01-01|7574", "ACK|ERR|closed"),
    Ask("BET|2|Dora|Paz|5|2000-01-01|8", "ACK|OK"),
    Ask("DONE|2", "ACK_DONE|OK"),
    Ask("WAIT_DRAW|2", "DRAW|OK"),
    Ask("GET_WINNERS|1", "WINNERS|OK|1,3,3"),
    Ask("GET_WINNERS|1|1", "WINNERS|OK|3|3,3"),
    Ask("GET_WINNERS|2", "WINNERS|OK|"),
    Ask("HELLO|2", "HELLO|OK|1|drawn"),
    Kill,
    Ask("WAIT_DRAW|1", "DRAW|OK"),
    Ask("GET_WINNERS|1", "WINNERS|OK|1,3,3"),
    Ask("BATCH|1|1|1\nBeto|Sosa|2|2000-01-01|8", "ACK_BATCH|OK|1"),
    Restart,
    Ask("WAIT_DRAW|2", "DRAW|OK"),
    Ask("GET_WINNERS|2|0", "WINNERS|OK|0|"),
    Ask("HELLO|1", "HELLO|OK|4|drawn"),
];

fn play(start: impl Fn() -> Central) {
    let mut central = start();
    for (place, step) in TABLE.iter().enumerate() {
        match step {
            Ask(request, reply) => {
                let found = central.ask(request);
                let is_it = reply.strip_suffix('…').map_or(found == *reply, |start| found.starts_with(start));
                assert!(is_it, "step {place}: {request}: {found}, and not {reply}");
            }
            Restart => {
                central.stop();
                central = start();
            }
            Kill => {
                central.kill();
                central = start();
            }
        }
    }
    central.stop();
}

#[test]
fn a_folder_and_a_database_give_the_same_replies() {
    let words = "--client-amount 2";
    let folder = Folder::new();
    play(|| Central::on(&folder).with(words).start());
    let Some(pair) = Pair::start(Follows::InStep) else { return };
    let copy = Folder::new();
    play(|| Central::on(&copy).in_database(&pair.url()).with(words).start());
    crate::shared::export(&copy, &pair, "default");
    assert_eq!(copy.stored_of(1), folder.stored_of(1));
}
