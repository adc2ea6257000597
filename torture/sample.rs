//! A store that is to be damaged: its files, what was told of it, and copies of what both were before.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use fastrand::Rng;

use crate::common::keys::Place;
use crate::common::process::Process;
use crate::common::{Agency, Central, Client, Exit, Folder, LIMIT, Signal, quiniela, tells, value};
use crate::ledger::Ledger as _;

const AGENCIES: u32 = 2;

pub type Files = BTreeMap<String, Vec<u8>>;

/// What agencies are told, and what is on disk for good.
#[derive(Clone, PartialEq, Eq)]
pub struct State {
    accounts: Vec<String>,
    drawn: String,
    seal: Option<String>,
    pub rows: Vec<u8>,
}

impl fmt::Debug for State {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}, {}, seal {:?}, {} bytes of rows", self.accounts, self.drawn, self.seal, self.rows.len())
    }
}

pub struct Sample {
    pub folder: Folder,
    pub title: String,
    pub files: Files,
    pub state: State,
    /// Copies that were made while the central ran.
    pub older: Vec<(Files, State)>,
    /// Betting is closed.
    pub is_closed: bool,
    words: String,
    /// How each agency asks over TLS, if it has to.
    keys: Option<Vec<std::sync::Arc<rustls::ClientConfig>>>,
}

impl Sample {
    /// A lottery in a random phase, after a stop or a kill.
    pub fn new(rng: &mut Rng, seed: u64, place: &Place) -> Sample {
        let folder = Folder::with_data(&format!(
            "--agencies {AGENCIES} --bets {} --seed {seed} --winners 20",
            rng.u32(40..3000)
        ));
        let is_tls = rng.bool();
        let mut words = format!("--client-amount {AGENCIES} --winning-number later");
        if is_tls {
            words += &format!(" {}", place.keys("central"));
        }
        let keys = is_tls.then(|| (1..=AGENCIES).map(|id| place.party(&format!("agency-{id}"))).collect());
        let (phase, by_kill) = (rng.usize(..5), rng.bool());
        let kind = ["empty", "open", "one is done", "sealed", "drawn"][phase];
        let title = format!(
            "a lottery {}, {kind}, {}",
            if is_tls { "over TLS" } else { "plain" },
            if by_kill { "killed" } else { "stopped" }
        );
        let state = State { accounts: Vec::new(), drawn: String::new(), seal: None, rows: Vec::new() };
        let (files, older, is_closed) = (Files::new(), Vec::new(), phase >= 3);
        let mut sample = Sample { folder, title, files, state, older, is_closed, words, keys };
        let process = sample.folder.start(&sample.words);
        let central = listening(process).unwrap_or_else(|exit| panic!("{exit}"));
        sample.grow(&central, phase, rng, place);
        sample.state = sample.ask(central.port);
        let _ = if by_kill { central.kill() } else { central.stop() };
        sample.files = sample.read();
        sample
    }

    /// Brings the lottery into its phase, and keeps copies on the way.
    fn grow(&mut self, central: &Central, phase: usize, rng: &mut Rng, place: &Place) {
        self.keep(central);
        if phase == 0 {
            return;
        }
        for id in 1..=AGENCIES {
            let (rows, mut client) = (self.folder.rows(id), self.client(id, central.port));
            let most = rng.usize(..=rows.len());
            for (first, rows) in (0..).step_by(50).zip(rows[..most].chunks(50)) {
                let lines: Vec<String> = rows.iter().map(|row| row.join("|")).collect();
                let batch = format!("BATCH|{id}|{}|{first}\n{}", rows.len(), lines.join("\n"));
                client.ask(&batch, &format!("ACK_BATCH|OK|{}", rows.len()));
                if rng.u8(..8) == 0 {
                    self.keep(central);
                }
            }
        }
        self.keep(central);
        let last = [0, 1, AGENCIES][phase.min(3) - 1];
        let agencies: Vec<Process> = (1..=last).map(|id| self.agency(id, central.port, place)).collect();
        for agency in &agencies {
            agency.wait_for(|line| tells(line, "consulta_ganadores", "in_progress"));
            self.keep(central);
        }
        if phase >= 3 {
            let line = central.process.wait_for(|line| tells(line, "cierre", "success"));
            // Nobody waits for a number before this is answered.
            let seal = value(&line, "sello").unwrap();
            agencies.iter().for_each(|agency| _ = agency.wait_for(|line| tells(line, "sello", "success")));
            self.keep(central);
            if phase == 4 {
                let proof = if self.keys.is_some() { place.keys("operator") } else { "--store store".to_owned() };
                let words = format!("draw 7574 --seal {seal} --server 127.0.0.1:{} {proof}", central.port);
                let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
                assert!(quiniela(self.folder.path(), &words).output().unwrap().status.success());
                return agencies.into_iter().for_each(|agency| agency.finish().ok());
            }
        }
        for agency in agencies {
            agency.signal(Signal::KILL);
            agency.finish();
        }
    }

    fn agency(&self, id: u32, port: u16, place: &Place) -> Process {
        let agency = Agency::new(id, port, &self.folder);
        if self.keys.is_some() { agency.tls(place) } else { agency }.start()
    }

    fn client(&self, id: u32, port: u16) -> Client {
        match &self.keys {
            Some(keys) => Client::connect_tls(port, &keys[id as usize - 1]),
            None => Client::connect(port),
        }
    }

    /// What agencies are told now, while nothing goes on.
    fn ask(&self, port: u16) -> State {
        let ask = |id: u32, request: &str| self.client(id, port).send(request).reply();
        let acta = self.folder.acta();
        if acta.as_ref().is_some_and(|acta| acta.draw.is_some()) {
            // A central that has just started has to find the winners first.
            assert_eq!(ask(1, "WAIT_DRAW|1"), "DRAW|OK");
        }
        let drawn = ask(1, "GET_DRAW|1");
        State {
            accounts: (1..=AGENCIES).map(|id| ask(id, &format!("HELLO|{id}"))).collect(),
            // Behind the number is a signature.
            drawn: drawn.splitn(4, '|').take(3).collect::<Vec<_>>().join("|"),
            seal: acta.map(|acta| acta.seal.to_string()),
            rows: fs::read(self.folder.bets()).unwrap(),
        }
    }

    fn keep(&mut self, central: &Central) {
        let state = self.ask(central.port);
        self.older.push((self.read(), state));
    }

    /// All files of the store.
    pub fn read(&self) -> Files {
        let name = |entry: &fs::DirEntry| entry.file_name().into_string().unwrap();
        let entries = fs::read_dir(self.folder.store()).unwrap().map(Result::unwrap);
        entries.map(|entry| (name(&entry), fs::read(entry.path()).unwrap())).collect()
    }

    /// Makes the store be these files.
    pub fn put(&self, files: &Files) {
        fs::remove_dir_all(self.folder.store()).unwrap();
        fs::create_dir(self.folder.store()).unwrap();
        for (name, bytes) in files {
            let path = self.folder.store().join(name);
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }

    /// Starts a central on what is there, asks what it has, and stops it; or tells how it refused.
    pub fn start(&self) -> Result<(State, Exit), Exit> {
        let central = listening(self.folder.start(&self.words))?;
        let state = self.ask(central.port);
        Ok((state, central.stop()))
    }
}

/// A central once it serves, or how it has ended.
fn listening(process: Process) -> Result<Central, Exit> {
    let deadline = std::time::Instant::now() + LIMIT;
    if process.nth_before(deadline, 1, |line| tells(line, "accept_connections", "in_progress")).is_none() {
        return Err(process.finish());
    }
    let line = process.wait_for(|line| tells(line, "config", "success"));
    Ok(Central { port: value(&line, "port").unwrap().parse().unwrap(), process })
}
