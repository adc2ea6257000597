//! What is compared once a lottery is over: every row, count, mark, seal, receipt, ticket and winner.

use std::fs;

use quiniela::domain::Status;
use quiniela::domain::acta::{self, Receipt};

use crate::common::{Central, Client};
use crate::ledger::Ledger as _;
use crate::lottery::Lottery;
use crate::witness::AGENCIES;

impl Lottery<'_> {
    #[track_caller]
    fn ok(&self, words: &str) -> String {
        let output = self.command(words).output().unwrap();
        assert!(output.status.success(), "{words}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// While the last central still runs, and all agencies have ended.
    pub fn assert_told(&self, port: u16) {
        for id in 1..=AGENCIES as u32 {
            let mut client = match self.keys {
                Some(place) => Client::connect_tls(port, &place.party(&format!("agency-{id}"))),
                None => Client::connect(port),
            };
            let bets = self.folder.rows(id).len();
            client.ask(&format!("HELLO|{id}"), &format!("HELLO|OK|{bets}|drawn"));
        }
    }

    /// Stops the last central, and compares what is left.
    pub fn assert_right(&mut self, central: Central) {
        let exit = central.stop();
        self.witness.central(&exit.lines);
        self.folder.assert_equals_files(AGENCIES as u32);
        let acta = self.folder.acta().unwrap();
        let seal = acta.seal.to_string();
        self.witness.sees_seal(&seal);
        let draw = acta.draw.as_ref().unwrap();
        self.witness.sees_number(draw.number);
        assert_eq!(draw.later, self.is_later);
        let ca = self.keys.map(|place| format!("--ca {}", place.path("keys/ca/ca.pem").display())).unwrap_or_default();
        let told = self.ok(&format!("audit {ca} store --json"));
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!((&told["seal"], &told["draw"]["number"]), (&seal.as_str().into(), &draw.number.into()));
        let status = if self.keys.is_some() { Status::Signed } else { Status::Declared };
        let mut total = 0;
        for (id, line) in (1..).zip(&acta.agencies) {
            let rows = self.folder.rows(id).len() as u64;
            let winners = self.folder.winners_due(id, &draw.number.to_string()).lines().count() as u64;
            assert_eq!((line.agency, line.bets, line.winners, line.status), (id, rows, Some(winners), status));
            total += rows;
            let receipt: Receipt =
                acta::read(&fs::read(self.folder.path().join(format!("receipt-{id}.json"))).unwrap()).unwrap();
            assert_eq!((receipt.lottery, receipt.seal, receipt.sealed_at), (acta.lottery, acta.seal, acta.sealed_at));
            assert_eq!((receipt.agency, receipt.bets, receipt.root), (id, rows, line.root));
            assert_eq!(told["agencies"][id as usize - 1]["winners"], winners);
        }
        assert_eq!((acta.agencies.len(), acta.total, &told["total"]), (AGENCIES, total, &total.into()));
        // One agency and one of its bets are enough here: each lottery chooses others.
        let id = self.rng.u32(1..=AGENCIES as u32);
        self.ok(&format!("audit {ca} --agency {id} --data data --receipt receipt-{id}.json store/acta.json"));
        let rows = self.folder.rows(id);
        if !rows.is_empty() {
            let bet = format!("ticket --agency {id} --bet {}", self.rng.usize(1..=rows.len()));
            for (name, from) in
                [("ticket", "store".to_owned()), ("own", format!("--data data --receipt receipt-{id}.json"))]
            {
                fs::write(self.folder.path().join(name), self.ok(&format!("{bet} {from}"))).unwrap();
                self.ok(&format!("ticket {ca} --check {name} store/acta.json"));
            }
        }
    }
}
