//! A lottery in one phase of three, in which every holder tries everything.

use std::collections::BTreeMap;

use super::{AGENCIES, EMPTY, HONEST, Holder, KEPT, Kept, OTHER, OWN, PLAIN, Phase, Row, UNKNOWN, Wire, requests};
use crate::common::keys::{Place, files};
use crate::common::process::Process;
use crate::common::{Agency, Central, Client, Folder, tells, value};

/// A central in a phase, and the clients that are who they say.
struct Lottery<'a> {
    place: &'a Place,
    folder: Folder,
    central: Central,
    phase: Phase,
}

impl Lottery<'_> {
    fn client_of(&self, agency: u32) -> Client {
        Client::connect_tls(self.central.port, &self.place.party(&format!("agency-{agency}")))
    }

    fn done(&self, agencies: impl IntoIterator<Item = u32>) {
        for agency in agencies {
            self.client_of(agency).ask(&format!("DONE|{agency}"), "ACK_DONE|OK");
        }
    }

    /// As the agency itself is told.
    fn kept(&self, agency: u32) -> (Kept, String) {
        let reply = self.client_of(agency).send(&format!("HELLO|{agency}|+")).reply();
        let fields: Vec<&str> = reply.split('|').collect();
        let ["HELLO", "OK", count, phase, checksum, lottery, secret] = fields[..] else { panic!("{reply}") };
        let identity = format!("{lottery}|{}", secret.trim_end());
        (Kept { count: count.parse().unwrap(), checksum: checksum.to_owned(), identity }, phase.to_owned())
    }

    /// Stores the bets that are to be kept, and comes to the phase.
    fn prepare(&self) {
        for (agency, count, document) in KEPT {
            let row = |place| format!("\nLeo|Sosa|{document}{place}|2000-01-01|7574");
            let rows: String = (0..count).map(row).collect();
            self.client_of(agency).ask(&format!("BATCH|{agency}|{count}{rows}"), &format!("ACK_BATCH|OK|{count}"));
        }
        if self.phase != Phase::Open {
            self.done([OWN, OTHER]);
        }
        if self.phase == Phase::Drawn {
            self.done(EMPTY);
            let honest = self.honest();
            self.finish(honest);
        }
    }

    fn honest(&self) -> Vec<Process> {
        let start = |id| Agency::new(id, self.central.port, &self.folder).tls(self.place).winners().start();
        HONEST.into_iter().map(start).collect()
    }

    fn finish(&self, honest: Vec<Process>) {
        for (id, agency) in HONEST.into_iter().zip(honest) {
            let exit = agency.finish();
            exit.ok();
            assert_eq!(exit.count(|line| tells(line, "connection_lost", "fail")), 0, "{exit}");
            assert_eq!(self.folder.winners_told(id), self.folder.winners_due(id, "7574"));
        }
    }

    /// Tries all that may not succeed with these holders. The replies are added to those of other phases, which must be the
    /// same: what is refused is no way to find out about the lottery.
    fn try_what_may_not(&self, holder: &Holder, replies: &mut BTreeMap<String, Vec<u8>>) {
        let mut kept: BTreeMap<u32, Kept> = [OWN, OTHER].map(|agency| (agency, self.kept(agency).0)).into();
        for named in [0, UNKNOWN] {
            kept.insert(named, Kept { count: 0, checksum: "00000000".to_owned(), identity: String::new() });
        }
        let mut open = match &holder.wire {
            Wire::Connects(config) => Some(Client::connect_tls(self.central.port, config)),
            Wire::Plain | Wire::Refused(_) => None,
        };
        for (named, kept) in &kept {
            for request in requests(*named, kept, "intruso") {
                let row = Row { holder, named: *named, request, phase: self.phase };
                if row.may() {
                    continue;
                }
                match (&holder.wire, &mut open) {
                    (Wire::Plain, _) => {
                        let mut client = self.central.client();
                        // It may be refused before all of it is sent.
                        let _ = client.try_send(&row.request.bytes);
                        client.expect(PLAIN).expect_end();
                    }
                    (Wire::Refused(config), _) => {
                        let mut client = Client::connect_tls(self.central.port, config);
                        let _ = client.try_send(&row.request.bytes);
                        client.alert();
                    }
                    (Wire::Connects(_), None) => unreachable!(),
                    (Wire::Connects(_), Some(client)) => {
                        client.send_bytes(&row.request.bytes);
                        let content = client.try_content().unwrap_or_else(|error| panic!("{row}: {error}"));
                        row.check_refusal(&content);
                        let name = format!("{}, {}, {named}", holder.name, row.request.name);
                        let before = replies.entry(name).or_insert_with(|| content.clone());
                        assert_eq!(*before, content, "{row}: another reply than before");
                    }
                }
            }
        }
    }

    /// Does what may succeed. What it has stored is noted in `stored`, and who waits for the draw is returned.
    fn do_what_may(&self, holders: &[Holder], stored: &mut BTreeMap<u32, usize>) -> Vec<Client> {
        let mut waiting = Vec::new();
        // DONE comes last: it changes the phase.
        for is_done in [false, true] {
            for holder in holders {
                let (Some(named), Wire::Connects(config)) = (holder.agency, &holder.wire) else { continue };
                let mut client = Client::connect_tls(self.central.port, config);
                let names = requests(named, &Kept { count: 0, checksum: String::new(), identity: String::new() }, "")
                    .into_iter();
                for name in names.map(|request| request.name).filter(|name| (*name == "DONE") == is_done) {
                    let row = |kept: &Kept| {
                        let mut all = requests(named, kept, "propio").into_iter();
                        let request = all.find(|request| request.name == name).unwrap();
                        Row { holder, named, request, phase: self.phase }
                    };
                    if !row(&Kept { count: 0, checksum: String::new(), identity: String::new() }).may() {
                        continue;
                    }
                    let kept = self.kept(named).0;
                    let row = row(&kept);
                    let Some(due) = row.due(&kept) else {
                        let mut client = Client::connect_tls(self.central.port, config);
                        client.send_bytes(&row.request.bytes);
                        waiting.push(client);
                        continue;
                    };
                    client.send_bytes(&row.request.bytes);
                    let content = client.try_content().unwrap_or_else(|error| panic!("{row}: {error}"));
                    assert_eq!(String::from_utf8_lossy(&content), due, "{row}");
                    if self.phase == Phase::Open {
                        *stored.entry(named).or_default() += row.request.bets;
                    }
                }
            }
        }
        waiting
    }
}

/// Runs the whole table in one phase.
pub(super) fn run(place: &Place, holders: &[Holder], phase: Phase, replies: &mut BTreeMap<String, Vec<u8>>) {
    let folder = Folder::with_equal_files(HONEST.len().try_into().unwrap(), 700);
    let central = Central::on(&folder).agencies(AGENCIES).tls(place).start();
    let lottery = Lottery { place, folder, central, phase };
    lottery.prepare();
    let mut stored: BTreeMap<u32, usize> = KEPT.iter().map(|(agency, count, _)| (*agency, *count)).collect();
    let name = if phase == Phase::Open {
        "open"
    } else if phase == Phase::Done {
        "done"
    } else {
        "drawn"
    };
    let unchanged = |holder: &Holder, stored: &BTreeMap<u32, usize>| {
        for agency in [OWN, OTHER] {
            let (kept, phase) = lottery.kept(agency);
            assert_eq!((kept.count, &*phase), (stored[&agency], name), "agency {agency} after {}", holder.name);
        }
    };

    // While honest agencies work, what is stored of others stays as it was.
    let honest = lottery.honest();
    for holder in holders.iter().filter(|holder| !matches!(holder.wire, Wire::Refused(_))) {
        lottery.try_what_may_not(holder, replies);
        unchanged(holder, &stored);
    }
    let honest = match phase {
        Phase::Drawn => {
            lottery.finish(honest);
            Vec::new()
        }
        Phase::Open | Phase::Done => {
            for id in HONEST {
                let is_done = |line: &str| value(line, "client_id") == Some(&id.to_string());
                let done = |line: &str| value(line, "action") == Some("agencia_finalizada") && is_done(line);
                lottery.central.process.wait_for(done);
            }
            honest
        }
    };
    // While nobody else works, no file changes.
    let before = files(&lottery.folder.store());
    for holder in holders {
        lottery.try_what_may_not(holder, replies);
        assert!(files(&lottery.folder.store()) == before, "{} has changed the store, {phase:?}", holder.name);
    }

    let waiting = lottery.do_what_may(holders, &mut stored);
    if phase != Phase::Drawn {
        lottery.done(EMPTY);
        lottery.finish(honest);
    }
    for mut client in waiting {
        let reply = client.reply();
        assert!(reply == "DRAW|OK" || reply.starts_with("SEAL|OK|"), "{reply}");
    }
    let Lottery { folder, central, .. } = lottery;
    let exit = central.stop();
    let mut found = folder.stored();
    for id in HONEST {
        assert_eq!(found.remove(&id).unwrap(), folder.rows(id));
    }
    assert!(found.values().flatten().all(|row| row[2] != "intruso"));
    let counts: BTreeMap<u32, usize> = found.into_iter().map(|(agency, rows)| (agency, rows.len())).collect();
    assert_eq!(counts, stored);
    assert!(phase != Phase::Open || stored[&OWN] > 41 + 30, "{stored:?}");
    // Every refusal is in the log, and says nothing of what was sent.
    let is_refusal = |line: &str| tells(line, "identidad", "fail");
    assert!(exit.count(is_refusal) >= replies.len(), "{} of {}", exit.count(is_refusal), replies.len());
    assert!(exit.lines.iter().all(|line| !line.contains("PRIVATE")), "{exit}");
}
