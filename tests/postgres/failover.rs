//! The primary is lost under load and the standby takes over, with the same centrals and agencies all the while.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use crate::cluster::{Follows, Pair};
use crate::common::{Agency, Central, Folder, LIMIT, Process, Signal, acknowledged, tells, value};
use crate::shared::{centrals, export, run, stop};

const AGENCIES: u32 = 3;

/// How often the primary is lost. The whole number takes some minutes.
fn rounds() -> usize {
    std::env::var("QUINIELA_FAILOVERS").map_or(3, |text| text.parse().unwrap())
}

struct Stage {
    pair: Pair,
    folder: Folder,
    centrals: [Central; 2],
    agencies: Vec<Process>,
}

impl Stage {
    fn set(follows: Follows) -> Option<Stage> {
        let pair = Pair::start(follows)?;
        let folder = Folder::with_equal_files(AGENCIES, 40_000);
        let centrals = centrals(&folder, &pair, &format!("--client-amount {AGENCIES}"));
        let ports = centrals.each_ref().map(|central| central.port);
        let start =
            |id| Agency::of_centrals(id, &ports, &folder).with("--batch-max 50 --in-flight 16").winners().start();
        let agencies = (1..=AGENCIES).map(start).collect();
        Some(Stage { pair, folder, centrals, agencies })
    }

    fn acknowledged(&self) -> usize {
        self.agencies.iter().map(|agency| acknowledged(&agency.lines())).sum()
    }

    #[track_caller]
    fn wait_for_more_than(&self, bets: usize) {
        let deadline = Instant::now() + LIMIT;
        while self.acknowledged() <= bets {
            assert!(Instant::now() < deadline, "nothing more than {bets} bets is acknowledged");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Holds both centrals, and returns what the logs of the agencies say was acknowledged, once everything that was sent has come.
    fn hold(&self) -> BTreeMap<u32, usize> {
        self.centrals.iter().for_each(|central| central.process.hold());
        let told = || {
            (1..)
                .zip(self.agencies.iter().map(|agency| acknowledged(&agency.lines())))
                .collect::<BTreeMap<u32, usize>>()
        };
        let mut before = told();
        loop {
            thread::sleep(Duration::from_millis(300));
            let now = told();
            if now == before {
                return now;
            }
            before = now;
        }
    }

    /// What the promoted standby holds: in the agencies' rows, and in the batches themselves.
    fn held(&self) -> BTreeMap<u32, usize> {
        let text = "SELECT string_agg(agency || ' ' || stored, ',' ORDER BY agency) FROM agencies";
        let accounts = self.pair.standby.sql(text);
        let text = "SELECT string_agg(agency || ' ' || stored, ',' ORDER BY agency) \
                    FROM (SELECT a.agency, coalesce(sum(count), 0) AS stored FROM agencies a LEFT JOIN batches USING (draw, agency) \
                    GROUP BY a.agency) each";
        assert_eq!(self.pair.standby.sql(text), accounts, "accounts and batches are of one moment");
        let read = |pair: &str| {
            let (agency, stored) = pair.split_once(' ').unwrap();
            (agency.parse().unwrap(), stored.parse().unwrap())
        };
        accounts.split(',').map(read).collect()
    }

    /// Lets everything come to its end, and checks it.
    fn finish(self) {
        for (agency, id) in self.agencies.into_iter().zip(1..) {
            agency.finish().ok();
            assert_eq!(self.folder.winners_told(id), self.folder.winners_due(id, "7574"), "agency {id}");
        }
        export(&self.folder, &self.pair, "default");
        self.folder.assert_stored_equals_files(AGENCIES);
        stop(self.centrals);
    }
}

#[test]
fn a_failover_under_load_loses_nothing_that_was_acknowledged() {
    for round in 0..rounds() {
        let Some(mut stage) = Stage::set(Follows::InStep) else { return };
        stage.wait_for_more_than(3_000 + 1_500 * (round % 5));
        stage.pair.primary.kill();
        let told = stage.hold();
        stage.pair.standby.promote();
        let held = stage.held();
        for (agency, told) in &told {
            assert!(held[agency] >= *told, "agency {agency} was told of {told}, and {held:?} are held");
        }
        let before = stage.acknowledged();
        let begun = Instant::now();
        stage.centrals.iter().for_each(|central| central.process.signal(Signal::CONT));
        stage.wait_for_more_than(before);
        let pause = begun.elapsed();
        println!("round {round}: {told:?} were acknowledged, {held:?} are held, service again after {pause:?}");
        assert!(pause < Duration::from_secs(5), "service came back after {pause:?}");
        stage.finish();
    }
}

/// The same with a standby that is behind: if this saw no loss, the test above would prove nothing.
#[test]
fn a_standby_that_is_behind_is_seen_to_lose_and_centrals_refuse_it() {
    let Some(mut stage) = Stage::set(Follows::Behind) else { return };
    stage.wait_for_more_than(2_000);
    stage.pair.stall();
    stage.wait_for_more_than(stage.acknowledged() + 6_000);
    stage.pair.primary.kill();
    let told = stage.hold();
    // What stands in its sockets is no more on its disk than what was never sent.
    stage.pair.standby.kill();
    stage.pair.standby.start();
    stage.pair.standby.promote();
    let held = stage.held();
    let lost: usize = told.iter().map(|(agency, told)| told.saturating_sub(held[agency])).sum();
    println!("{lost} acknowledged bets are lost");
    assert!(lost > 0, "{told:?} were acknowledged, {held:?} are held");
    let stored = |line: &str| tells(line, "apuesta_recibida", "success");
    let knowing: Vec<&Central> = stage.centrals.iter().filter(|central| central.process.count(stored) > 0).collect();
    assert!(!knowing.is_empty());
    stage.centrals.iter().for_each(|central| central.process.signal(Signal::CONT));
    let refuses = |line: &str| value(line, "error").is_some_and(|error| error.contains("the database has gone back"));
    // One that has acknowledged nothing cannot know.
    for central in knowing {
        central.process.wait_for(refuses);
    }
}

/// Nobody has fenced it: it takes writes, and can never finish one.
#[test]
fn a_primary_that_comes_back_acknowledges_nothing_alone() {
    let Some(mut stage) = Stage::set(Follows::InStep) else { return };
    stage.wait_for_more_than(2_000);
    stage.pair.primary.kill();
    stage.pair.standby.promote();
    stage.pair.primary.start();
    // A new central tries that one first.
    let url = format!("{}?connect_timeout=1&commit_timeout=2&patience=20", stage.pair.url());
    let late = Central::on(&stage.folder).in_database(&url).start();
    let first = late.process.wait_for(|line| tells(line, "connect_store", "success"));
    assert!(first.contains(&stage.pair.primary.port.to_string()), "{first}");
    let there = stage.pair.primary.sql("SELECT coalesce(sum(stored), 0) FROM agencies");
    for id in 1..=AGENCIES {
        let agency = Agency::new(id, late.port, &stage.folder);
        // It goes on where the others have come to.
        agency.run().ok();
    }
    assert_eq!(
        stage.pair.primary.sql("SELECT coalesce(sum(stored), 0) FROM agencies"),
        there,
        "the old one has got nothing"
    );
    late.stop();
    stage.pair.primary.kill();
    let status = run(&stage.folder, &format!("audit {}", stage.pair.url()));
    assert!(status.contains("120000"), "{status}");
    stage.finish();
}
