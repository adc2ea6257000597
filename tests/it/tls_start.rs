//! What the programs do with keys that are not theirs, and what an agency does with a central that is not its central. Nothing
//! secret is told to anybody.

use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::thread;

use rcgen::ExtendedKeyUsagePurpose;
use rustls::ServerConnection;

use crate::common::keys::Place;
use crate::common::process::Process;
use crate::common::tls::{self, Identity, Signer, Spec};
use crate::common::{Agency, Central, Exit, Folder, LIMIT, Nobody, quiniela, tells};

fn server(folder: &Folder, keys: &str) -> Exit {
    Central::on(folder).agencies(1).with(&format!("--keys {keys}")).refused()
}

/// Nobody must be asked with keys that are bad, so there is nobody.
fn agency(folder: &Folder, keys: &str) -> Exit {
    let nobody = Nobody::at_home();
    Agency::new(1, nobody.port(), folder).with(&format!("--keys {keys} --retry-for 0s")).run()
}

#[test]
fn keys_that_cannot_be_used_are_refused_at_the_start() {
    let (place, folder) = (Place::with_agencies(2), Folder::with_equal_files(1, 30));
    let (signer, other) = (place.signer(), Place::with_agencies(2));
    let role = |party: &str| format!("urn:quiniela:{}", party.replacen('-', ":", 1));
    for (run, party) in [(server as fn(&Folder, &str) -> Exit, "central"), (agency, "agency-1")] {
        let (uri, hosts) = (role(party), if party == "central" { vec!["localhost"] } else { vec![] });
        let is_central = party == "central";
        let usage =
            || if is_central { ExtendedKeyUsagePurpose::ServerAuth } else { ExtendedKeyUsagePurpose::ClientAuth };
        let issue = |signer: &Signer, days| {
            signer.issue(&Spec { uris: vec![&uri], hosts: hosts.clone(), days, usage: usage() })
        };
        let whole = place.identity(party);
        // A folder in which one thing is wrong.
        let wrong = |identity: &Identity, names: &[&str]| {
            let keys = place.write("wrong", identity);
            fs::copy(place.path("keys/ca/crl.pem"), place.path("wrong/crl.pem")).unwrap();
            run(&folder, &keys).failed(2, names);
            fs::remove_dir_all(keys).unwrap();
        };
        wrong(&Identity { key: other.identity(party).key, ..whole.clone() }, &["wrong/key.pem"]);
        wrong(&Identity { key: "nonsense".into(), ..whole.clone() }, &["wrong/key.pem"]);
        wrong(&Identity { cert: "nonsense".into(), ..whole.clone() }, &["wrong/cert.pem"]);
        wrong(&issue(&signer, (-9, -1)), &["wrong/cert.pem", "expired"]);
        wrong(&issue(&signer, (1, 9)), &["wrong/cert.pem", "not valid before"]);
        wrong(&other.identity(party), &["wrong/cert.pem"]);
        wrong(
            &signer.namesake().issue(&Spec { uris: vec![&uri], usage: usage(), ..Spec::default() }),
            &["wrong/cert.pem"],
        );
        wrong(&signer.issue(&Spec { uris: vec![], usage: usage(), ..Spec::default() }), &["wrong/cert.pem"]);
        wrong(&signer.issue(&Spec { uris: vec![&uri, &uri], usage: usage(), ..Spec::default() }), &["wrong/cert.pem"]);
        for another in ["central", "agency-1", "agency-2", "operator"] {
            if another != party {
                run(&folder, &place.path(&format!("keys/{another}")).display().to_string()).failed(2, &["cert.pem"]);
            }
        }
        for mode in [0o604, 0o640, 0o644, 0o620] {
            let key = place.path(&format!("keys/{party}/key.pem"));
            fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
            let exit = run(&folder, &place.path(&format!("keys/{party}")).display().to_string());
            exit.failed(2, &["key.pem", "chmod 600"]);
            fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
        }
        for name in ["cert.pem", "key.pem", "ca.pem"] {
            let keys = place.write("wrong", &whole);
            fs::copy(place.path("keys/ca/crl.pem"), place.path("wrong/crl.pem")).unwrap();
            fs::remove_file(place.path("wrong").join(name)).unwrap();
            run(&folder, &keys).failed(2, &[&format!("wrong/{name}")]);
            fs::remove_dir_all(keys).unwrap();
        }
        run(&folder, "nowhere").failed(2, &["nowhere"]);
    }
    // A list that is missing must not mean that nothing is revoked.
    let keys = place.write("bare", &place.identity("central"));
    server(&folder, &keys).failed(2, &["bare/crl.pem"]);
}

/// A central of the tests' own. It takes connections until the agency has given up.
struct Impostor {
    port: u16,
    taken: thread::JoinHandle<Vec<Taken>>,
}

/// What a connection brought: the bytes, and those that were meant for the central.
struct Taken {
    bytes: Vec<u8>,
    application: usize,
}

impl Impostor {
    /// It speaks TLS with this, or answers nothing.
    fn start(authority: String, identity: Option<Identity>) -> Impostor {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let take = move || {
            let mut all = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                stream.set_read_timeout(Some(LIMIT)).unwrap();
                let taken = talk(&mut stream, identity.as_ref().map(|identity| tls::server(&authority, identity)));
                if taken.bytes.is_empty() {
                    break;
                }
                all.push(taken);
            }
            all
        };
        Impostor { port, taken: thread::spawn(take) }
    }

    fn end(self) -> Vec<Taken> {
        drop(TcpStream::connect(("127.0.0.1", self.port)).unwrap());
        self.taken.join().unwrap()
    }
}

/// Reads until the peer closes, whatever it sends.
fn talk(stream: &mut TcpStream, mut tls: Option<ServerConnection>) -> Taken {
    let mut taken = Taken { bytes: Vec::new(), application: 0 };
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        taken.bytes.extend_from_slice(&buffer[..read]);
        let Some(connection) = &mut tls else {
            // It answers as a central without keys would.
            let _ = stream.write_all(b"\x00\x00\x00\x07ACK|OK\n");
            continue;
        };
        let mut bytes = &buffer[..read];
        while !bytes.is_empty() {
            connection.read_tls(&mut bytes).unwrap();
            let result = connection.process_new_packets();
            let mut plain = Vec::new();
            let _ = connection.reader().read_to_end(&mut plain);
            taken.application += plain.len();
            while connection.wants_write() && connection.write_tls(stream).is_ok() {}
            if result.is_err() || taken.application > 0 {
                return taken;
            }
        }
    }
    taken
}

#[test]
fn an_agency_believes_its_central_alone() {
    let (place, folder) = (Place::with_agencies(1), Folder::with_equal_files(1, 30));
    let (signer, hosts) = (place.signer(), vec!["localhost", "127.0.0.1"]);
    let central = || Spec {
        uris: vec!["urn:quiniela:central"],
        hosts: hosts.clone(),
        usage: ExtendedKeyUsagePurpose::ServerAuth,
        ..Spec::default()
    };
    let impostors = [
        ("an agency's, for the host", signer.issue(&Spec { uris: vec!["urn:quiniela:agency:1"], ..central() })),
        ("an agency's", place.identity("agency-1")),
        ("the operator's, for the host", signer.issue(&Spec { uris: vec!["urn:quiniela:operator"], ..central() })),
        ("nobody's, for the host", signer.issue(&Spec { uris: vec![], ..central() })),
        ("two roles", signer.issue(&Spec { uris: vec!["urn:quiniela:central", "urn:quiniela:agency:1"], ..central() })),
        ("another host's", signer.issue(&Spec { hosts: vec!["central.example.org", "127.0.0.2"], ..central() })),
        ("no server's", signer.issue(&Spec { usage: ExtendedKeyUsagePurpose::ClientAuth, ..central() })),
        ("expired", signer.issue(&Spec { days: (-9, -1), ..central() })),
        ("another authority's", signer.namesake().issue(&central())),
        ("self-signed", central().self_signed()),
    ];
    for (name, identity) in impostors {
        let impostor = Impostor::start(signer.cert.clone(), Some(identity));
        let exit = Agency::new(1, impostor.port, &folder).tls(&place).run();
        assert_eq!(exit.status.code(), Some(4), "{name}: {exit}");
        let taken = impostor.end();
        assert!(taken.len() == 1 && taken[0].application == 0, "{name}: {} connections", taken.len());
    }
    // The tests' own central is believed when it has the right certificate: it is this that makes the difference.
    let genuine = Impostor::start(signer.cert.clone(), Some(signer.issue(&central())));
    Agency::new(1, genuine.port, &folder).tls(&place).with("--retry-for 0s").run().failed(3, &[]);
    assert!(genuine.end()[0].application > 0);

    // With keys, an agency says nothing to a central without them.
    let plain = Impostor::start(signer.cert.clone(), None);
    let exit = Agency::new(1, plain.port, &folder).tls(&place).with("--retry-for 0s").run();
    assert!(!exit.status.success(), "{exit}");
    for taken in plain.end() {
        assert_eq!(taken.bytes[0], 0x16, "it began in plain");
        assert!(!taken.bytes.windows(5).any(|part| part == b"HELLO"), "{:?}", taken.bytes);
    }
}

#[test]
fn an_agency_that_is_not_let_in_says_so() {
    let (place, folder) = (Place::with_agencies(3), Folder::with_equal_files(3, 30));
    let before = place.identity("agency-1");
    place.ok("revoke keys --agency 1");
    let central = Central::on(&folder).agencies(2).tls(&place).start();
    Agency::new(1, central.port, &folder).tls(&place).run().failed(4, &["revoked"]);
    place.ok("renew keys --agency 1");
    let away = place.write("away", &before);
    let exit = Agency::new(1, central.port, &folder).with(&format!("--keys {away}")).run();
    exit.failed(4, &["revoked"]);
    let namesake = place.write(
        "namesake",
        &place.signer().namesake().issue(&Spec { uris: vec!["urn:quiniela:agency:1"], ..Spec::default() }),
    );
    // It does not come so far: its own authority has not signed this.
    Agency::new(1, central.port, &folder).with(&format!("--keys {namesake}")).run().failed(2, &["namesake/cert.pem"]);
    // Another lottery's agency, which does not know this central either.
    let other = Place::with_agencies(1);
    let exit = Agency::new(1, central.port, &folder).tls(&other).run();
    assert_eq!(exit.status.code(), Some(4), "{exit}");
    // Without keys, and beyond the roster.
    Agency::new(1, central.port, &folder).run().failed(4, &["this central speaks TLS"]);
    Agency::new(3, central.port, &folder).tls(&place).run().failed(4, &["agency 3 is unknown"]);
    assert_eq!(fs::read_to_string(folder.bets()).unwrap(), "");
    Agency::new(1, central.port, &folder).tls(&place).start().wait_for(|line| tells(line, "upload", "success"));
    central.stop();
}

/// The lines of a key's file that are the key.
fn secrets(place: &Place, party: &str) -> Vec<String> {
    let lines = place.identity(party).key;
    let lines: Vec<String> = lines.lines().filter(|line| !line.starts_with("-----")).map(str::to_owned).collect();
    assert!(!lines.is_empty());
    lines
}

#[test]
fn nothing_secret_is_told() {
    let (place, folder) = (Place::with_agencies(2), Folder::with_equal_files(2, 30));
    let parties = ["central", "agency-1", "agency-2", "operator"];
    let secrets: Vec<String> = parties.iter().flat_map(|party| secrets(&place, party)).collect();
    let mut told = Vec::new();
    let mut tell = |exit: Exit| {
        told.extend(exit.lines);
        told.push(exit.stderr);
    };
    let run = |words: &str| {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        Process::start(quiniela(folder.path(), &words)).finish()
    };
    let keys = |party: &str| place.keys(party);
    for words in [
        format!("server {} --print-config", keys("central")),
        format!("agency --id 1 {} --print-config", keys("agency-1")),
    ] {
        let exit = run(&words);
        exit.ok();
        assert!(exit.lines.iter().any(|line| line.contains("key.pem") || line.contains("keys")), "{words}: {exit}");
        tell(exit);
    }
    let central = Central::on(&folder).agencies(2).tls(&place).with("--log-level DEBUG").start();
    let agencies: Vec<Process> =
        [1, 2].map(|id| Agency::new(id, central.port, &folder).tls(&place).with("--log-level DEBUG").start()).into();
    agencies.into_iter().for_each(|agency| tell(agency.finish()));
    let mut nobody = crate::common::Client::connect_tls(central.port, &place.party("operator"));
    nobody.send("HELLO|1");
    assert!(nobody.reply().contains("identity: "));
    #[cfg(target_os = "linux")]
    for name in ["cmdline", "environ"] {
        let bytes = fs::read(format!("/proc/{}/{name}", central.process.pid())).unwrap();
        told.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    let mut tell = |exit: Exit| {
        told.extend(exit.lines);
        told.push(exit.stderr);
    };
    tell(central.stop());
    // A key where something else is expected, and a damaged one, whose error could quote it.
    let own = place.identity("agency-1");
    for (name, identity) in [
        ("swapped", Identity { cert: own.key.clone(), key: own.cert.clone() }),
        ("damaged", Identity { key: own.key.replacen('M', "!", 1), ..own.clone() }),
        ("cut", Identity { key: own.key[..120].to_owned(), ..own.clone() }),
    ] {
        let keys = place.write(name, &identity);
        tell(agency(&folder, &keys));
        tell(server(&folder, &keys));
        tell(run(&format!("keys show {keys}")));
    }
    for line in &told {
        let found = secrets.iter().find(|secret| line.contains(&secret[..secret.len().min(16)]));
        // Every key of the same kind begins alike.
        let found =
            found.filter(|secret| line.contains(secret.as_str()) || line.contains(&secret[secret.len() - 12..]));
        assert_eq!(found, None, "{line}");
        assert!(!line.contains("PRIVATE KEY"), "{line}");
    }
}
