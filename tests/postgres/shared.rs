//! Lotteries that two centrals hold together.

use std::fs;
use std::path::Path;
use std::thread;

use crate::cluster::{Follows, Pair};
use crate::common::proxy::Knife;
use crate::common::{ANA, Agency, Central, Folder, Process, Proxy, Signal, quiniela, seed, tells};

/// Two centrals of one draw, with these arguments.
pub fn centrals(folder: &Folder, pair: &Pair, words: &str) -> [Central; 2] {
    [0, 1].map(|_| central(folder, &pair.url(), words))
}

pub fn central(folder: &Folder, url: &str, words: &str) -> Central {
    Central::on(folder).in_database(url).with(words).start()
}

/// Stops both, and expects a clean end of each.
#[track_caller]
pub fn stop(centrals: [Central; 2]) {
    for central in centrals {
        central.stop();
    }
}

/// Runs a command of the program, and returns its output.
#[track_caller]
pub fn run(folder: &Folder, words: &str) -> String {
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    let output = quiniela(folder.path(), &words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Writes what is stored into the folder's store, as a folder's central would have it.
#[track_caller]
pub fn export(folder: &Folder, pair: &Pair, draw: &str) {
    run(folder, &format!("export --force --store {} --draw {draw} {}", pair.url(), folder.store().display()));
}

#[test]
fn agencies_that_jump_between_two_centrals_have_every_bet_stored_once_and_in_order() {
    let Some(pair) = Pair::start(Follows::InStep) else { return };
    let (agencies, cuts) = (3, 12);
    let mut rng = fastrand::Rng::with_seed(seed());
    let folder = Folder::with_equal_files(agencies, 6_000);
    let centrals = centrals(&folder, &pair, &format!("--client-amount {agencies} --log-level DEBUG"));
    let mut start = |id: u32| {
        let proxies = centrals.each_ref().map(|central| Proxy::to(central.port));
        for proxy in &proxies {
            proxy.cut_with(Knife { rng: rng.fork(), most_up: 12_000, most_down: 300, left: cuts });
        }
        let ports = proxies.each_ref().map(|proxy| proxy.port);
        let words = "--batch-max 20 --in-flight 8";
        (proxies, Agency::of_centrals(id, &ports, &folder).with(words).winners().start())
    };
    let running: Vec<([Proxy; 2], Process)> = (1..=agencies).map(&mut start).collect();
    for ((proxies, agency), id) in running.into_iter().zip(1..) {
        let exit = agency.finish();
        exit.ok();
        let cuts = proxies.each_ref().map(Proxy::cuts);
        assert!(!cuts.contains(&0), "agency {id} has spoken to both, with {cuts:?} cuts: {exit}");
        assert_eq!(folder.winners_told(id), folder.winners_due(id, "7574"), "agency {id}");
    }
    export(&folder, &pair, "default");
    folder.assert_stored_equals_files(agencies);
    run(&folder, &format!("audit {}", pair.url()));
    // The acta is one, wherever it is read.
    let acta = fs::read_to_string(folder.store().join("acta.json")).unwrap();
    assert_eq!(pair.primary.sql("SELECT acta FROM draws"), acta.trim_end());
    for central in &centrals {
        for id in 1..=agencies {
            assert_eq!(central.ask(&format!("HELLO|{id}")), "HELLO|OK|6000|drawn");
            let documents = folder.winners_due(id, "7574").replace('\n', ",");
            assert_eq!(
                central.ask(&format!("GET_WINNERS|{id}")),
                format!("WINNERS|OK|{}", documents.trim_end_matches(','))
            );
        }
    }
    let exits = centrals.map(Central::stop);
    let logged = |level: &str| {
        let draws = |line: &String| tells(line, "sorteo", "success") && line.contains(level);
        exits.iter().map(|exit| exit.lines.iter().filter(|line| draws(line)).count()).sum::<usize>()
    };
    assert_eq!(
        (logged(" INFO "), logged(" DEBUG ")),
        (1, 1),
        "one central has held the draw, and the other tells of it quietly"
    );
}

#[test]
fn what_both_centrals_get_at_once_is_stored_once() {
    let Some(pair) = Pair::start(Follows::InStep) else { return };
    let folder = Folder::new();
    for round in 0..50 {
        let words = format!("--client-amount 2 --draw round-{round}");
        let centrals = centrals(&folder, &pair, &words);
        let ask = |request: &str| {
            thread::scope(|scope| {
                let asked = centrals.each_ref().map(|central| scope.spawn(|| central.ask(request)));
                asked.map(|thread| thread.join().unwrap())
            })
        };
        let batch = format!("BATCH|1|3|0\n{ANA}\n{ANA}\n{ANA}");
        assert_eq!(ask(&batch), ["ACK_BATCH|OK|3", "ACK_BATCH|OK|3"]);
        assert_eq!(ask("DONE|1"), ["ACK_DONE|OK", "ACK_DONE|OK"]);
        assert_eq!(ask("DONE|2"), ["ACK_DONE|OK", "ACK_DONE|OK"]);
        assert_eq!(ask("WAIT_DRAW|1"), ["DRAW|OK", "DRAW|OK"]);
        assert_eq!(ask("GET_WINNERS|1"), ["WINNERS|OK|1,1,1", "WINNERS|OK|1,1,1"]);
        assert_eq!(ask("HELLO|1"), ["HELLO|OK|3|drawn", "HELLO|OK|3|drawn"]);
        assert_eq!(ask("BET|1|Ana|Paz|1|2000-01-01|7574"), ["ACK|ERR|closed", "ACK|ERR|closed"]);
        let exits = centrals.map(Central::stop);
        let draws: usize = exits.iter().map(|exit| exit.count(|line| tells(line, "sorteo", "success"))).sum();
        let seals: usize = exits.iter().map(|exit| exit.count(|line| tells(line, "cierre", "success"))).sum();
        assert_eq!((draws, seals), (1, 1), "round {round}: {}\n{}", exits[0], exits[1]);
    }
    let stored = pair.primary.sql("SELECT count(*) FILTER (WHERE bets = 3), count(*) FROM (SELECT draw, count(*) AS bets FROM bets GROUP BY draw) d");
    assert_eq!(stored, "50|50");
}

#[test]
fn the_operator_may_speak_to_any_central_and_the_first_number_holds() {
    let Some(pair) = Pair::start(Follows::InStep) else { return };
    let folder = Folder::new();
    let centrals = centrals(&folder, &pair, "--client-amount 1 --winning-number later");
    let stored = centrals[0].ask(&format!("BATCH|1|2|0\n{ANA}\nBeto|Paz|2|2000-01-01|8"));
    assert_eq!(stored, "ACK_BATCH|OK|2");
    assert_eq!(centrals[1].ask("DONE|1"), "ACK_DONE|OK");
    let seal = loop {
        let status = centrals.each_ref().map(|central| central.ask("STATUS"));
        let seals =
            status.each_ref().map(|status| status.split('|').find(|field| field.len() == 64).map(str::to_owned));
        if let [Some(one), Some(other)] = seals {
            assert_eq!(one, other);
            break one;
        }
    };
    let draw = |number: u32, central: &Central| {
        let words = format!("draw {number} --seal {seal} --server 127.0.0.1:{} --store {}", central.port, pair.url());
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        quiniela(folder.path(), &words).output().unwrap()
    };
    // Both at once, with different numbers: one holds.
    let outputs = thread::scope(|scope| {
        let asked = [(8, &centrals[0]), (7574, &centrals[1])]
            .map(|(number, central)| scope.spawn(move || draw(number, central)));
        asked.map(|thread| thread.join().unwrap())
    });
    let held: Vec<usize> = (0..2).filter(|place| outputs[*place].status.success()).collect();
    let [held] = held[..] else { panic!("{outputs:?}") };
    assert_eq!(outputs[1 - held].status.code(), Some(4), "{outputs:?}");
    let winners = ["WINNERS|OK|2", "WINNERS|OK|1"][held];
    for central in &centrals {
        assert_eq!(central.ask("WAIT_DRAW|1"), "DRAW|OK");
        assert_eq!(central.ask("GET_WINNERS|1"), winners);
    }
    run(&folder, &format!("audit {}", pair.url()));
    stop(centrals);
}

#[test]
fn a_ticket_is_made_and_checked_from_the_database() {
    let Some(pair) = Pair::start(Follows::InStep) else { return };
    let folder = Folder::with_equal_files(1, 500);
    let central = central(&folder, &pair.url(), "--client-amount 1");
    Agency::new(1, central.port, &folder).run().ok();
    let ticket = run(&folder, &format!("ticket --agency 1 --bet 17 {}", pair.url()));
    let file = folder.path().join("ticket.json");
    fs::write(&file, ticket).unwrap();
    run(&folder, &format!("ticket --check {} {}", file.display(), pair.url()));
    // The view gives each bet as a person would write it.
    folder.write(2, "");
    let row = pair
        .primary
        .sql("SELECT first_name, last_name, document, birthdate, number FROM bets WHERE agency = 1 AND bet = 17");
    assert_eq!(row.split('|').collect::<Vec<_>>(), folder.rows(1)[16]);
    central.stop();
}

#[test]
fn quotes_and_commas_are_taken_out_by_the_view() {
    let Some(pair) = Pair::start(Follows::InStep) else { return };
    let folder = Folder::new();
    let central = central(&folder, &pair.url(), "--client-amount 1");
    assert_eq!(central.ask("BET|1|María, la \"Negra\"|O'Higgins|1|2000-01-01|7"), "ACK|OK");
    let row = pair.primary.sql("SELECT first_name, last_name, document, number FROM bets");
    assert_eq!(row, "María, la \"Negra\"|O'Higgins|1|7");
    central.stop();
}

#[test]
fn a_central_that_is_killed_or_held_stops_nobody() {
    let Some(pair) = Pair::start(Follows::InStep) else { return };
    let folder = Folder::with_equal_files(2, 20_000);
    let mut random = fastrand::Rng::with_seed(seed());
    let words = "--client-amount 2";
    let mut centrals = centrals(&folder, &pair, words);
    // Addresses stay the same.
    let proxies = centrals.each_ref().map(|central| Proxy::to(central.port));
    let ports = proxies.each_ref().map(|proxy| proxy.port);
    let agencies: Vec<Process> = (1..=2)
        .map(|id| {
            Agency::of_centrals(id, &ports, &folder)
                .with("--batch-max 10 --in-flight 4 --batch-period 1ms")
                .winners()
                .start()
        })
        .collect();
    for round in 0..6 {
        thread::sleep(std::time::Duration::from_millis(random.u64(100..500)));
        let place = round % 2;
        if round % 3 == 2 {
            // It may hold locks: the database ends its session within seconds.
            centrals[place].process.hold();
            let other = &centrals[1 - place];
            let before = stored(other);
            while agencies.iter().any(|agency| !agency.has_ended()) && stored(other) == before {}
            centrals[place].process.signal(Signal::CONT);
            continue;
        }
        centrals[place].process.signal(Signal::KILL);
        centrals[place] = central(&folder, &pair.url(), words);
        proxies[place].point_at(centrals[place].port);
    }
    for (agency, id) in agencies.into_iter().zip(1..) {
        agency.finish().ok();
        assert_eq!(folder.winners_told(id), folder.winners_due(id, "7574"), "agency {id}");
    }
    export(&folder, &pair, "default");
    folder.assert_stored_equals_files(2);
    stop(centrals);
}

/// How many bets a central finds stored of both agencies.
fn stored(central: &Central) -> u64 {
    let of =
        |agency: u32| central.ask(&format!("HELLO|{agency}")).split('|').nth(2).unwrap().parse::<u64>().unwrap_or(0);
    of(1) + of(2)
}

#[test]
fn two_draws_live_side_by_side_and_one_can_be_retired() {
    let Some(pair) = Pair::start(Follows::InStep) else { return };
    let folder = Folder::new();
    let words = ["--client-amount 1 --draw noche", "--client-amount 2 --draw tarde --winning-number 8"];
    let centrals = words.map(|words| central(&folder, &pair.url(), words));
    assert_eq!(centrals[0].ask(&format!("BATCH|1|1|0\n{ANA}")), "ACK_BATCH|OK|1");
    assert_eq!(centrals[1].ask("HELLO|1"), "HELLO|OK|0|open");
    assert_eq!(centrals[1].ask("BET|2|Ana|Paz|9|2000-01-01|8"), "ACK|OK");
    assert_eq!(centrals[0].ask("DONE|1"), "ACK_DONE|OK");
    assert_eq!(centrals[0].ask("WAIT_DRAW|1"), "DRAW|OK");
    assert_eq!(centrals[1].ask("HELLO|2"), "HELLO|OK|1|open");
    let owner = pair.url_of("owner");
    let retire = |draw: &str| {
        let words = ["migrate", "--store", &owner, "--retire", draw].map(str::to_owned);
        quiniela(Path::new("/"), &words).output().unwrap()
    };
    let refused = retire("tarde");
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("only one that was drawn"));
    assert!(retire("noche").status.success());
    assert_eq!(pair.primary.sql("SELECT string_agg(name, ',') FROM draws"), "tarde");
    assert_eq!(pair.primary.sql("SELECT count(*) FROM bets"), "1");
    stop(centrals);
}
