//! The central reads its keys again on SIGHUP: nothing is lost by it, a revocation counts at once and for whatever is open, and
//! bad files change nothing.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use rustls::AlertDescription;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::common::client::frame;
use crate::common::keys::Place;
use crate::common::process::Process;
use crate::common::tls::{connection, shake};
use crate::common::{ANA, Agency, Central, Client, Folder, Proxy, Signal, tells, value};

fn has_loaded(line: &str) -> bool {
    tells(line, "load_keys", "success") && !line.contains(" WARNING ")
}

/// Sends SIGHUP, and waits until the keys were read again.
#[track_caller]
fn reload(central: &Central) {
    let before = central.process.count(has_loaded);
    central.process.signal(Signal::HUP);
    central.process.wait_for_nth(before + 1, has_loaded);
}

/// The same with files that are not taken. Returns the line that says why.
#[track_caller]
fn fail_to_reload(central: &Central) -> String {
    let is_failure = |line: &str| tells(line, "load_keys", "fail");
    let before = central.process.count(is_failure);
    central.process.signal(Signal::HUP);
    central.process.wait_for_nth(before + 1, is_failure)
}

/// The certificate that the central shows to a new connection, in hexadecimal.
fn shown(central: &Central, place: &Place) -> CertificateDer<'static> {
    let mut connection = connection(&place.party("agency-1"));
    shake(&mut connection, &mut central.client().into_tcp()).unwrap();
    connection.peer_certificates().unwrap()[0].clone().into_owned()
}

#[test]
fn agencies_that_upload_do_not_notice_that_keys_are_read_again() {
    const AGENCIES: u32 = 3;
    let (place, folder) = (Place::with_agencies(AGENCIES), Folder::with_equal_files(AGENCIES, 20_000));
    let central = Central::on(&folder).agencies(AGENCIES).tls(&place).start();
    let proxies: Vec<Proxy> = (0..AGENCIES).map(|_| Proxy::to(central.port)).collect();
    let start = |(id, proxy): (u32, &Proxy)| {
        // In the middle of its file.
        proxy.hold_after(300_000);
        Agency::new(id, proxy.port, &folder).tls(&place).winners().start()
    };
    let running: Vec<Process> = (1..).zip(&proxies).map(start).collect();
    let first_batches = |line: &str| tells(line, "apuesta_recibida", "success");
    central.process.wait_for_nth(AGENCIES as usize, first_batches);
    let before = shown(&central, &place);
    place.ok("renew keys --central");
    reload(&central);
    let after = shown(&central, &place);
    assert_eq!(after, CertificateDer::from_pem_slice(place.identity("central").cert.as_bytes()).unwrap());
    assert_ne!(before, after);
    proxies.iter().for_each(Proxy::let_go);
    for _ in 0..20 {
        reload(&central);
    }
    for (id, agency) in (1..).zip(running) {
        let exit = agency.finish();
        exit.ok();
        // All of it goes over the connection that it has: the seal is shown signed with the key that it has seen.
        assert_eq!(exit.count(|line| tells(line, "connection_lost", "fail")), 0, "{exit}");
        assert_eq!(exit.count(|line| tells(line, "sello", "success")), 1, "{exit}");
        assert_eq!(folder.winners_told(id), folder.winners_due(id, "7574"));
    }
    folder.assert_stored_equals_files(AGENCIES);
    let exit = central.stop();
    assert_eq!(exit.count(|line| tells(line, "identidad", "fail")), 0, "{exit}");
    assert_eq!(exit.count(|line| tells(line, "accept_connections", "success")), AGENCIES as usize + 2, "{exit}");
}

#[test]
fn a_revocation_ends_what_is_open_and_what_has_begun() {
    let (place, folder) = (Place::with_agencies(3), Folder::with_equal_files(3, 30));
    let central = Central::on(&folder).agencies(3).tls(&place).with("--frame-deadline 1h").start();
    let [thief, honest] = ["agency-1", "agency-2"].map(|party| place.party(party));
    let open = |config| {
        let mut client = Client::connect_tls(central.port, config);
        client
            .send_bytes(b"")
            .ask(if std::sync::Arc::ptr_eq(config, &thief) { "HELLO|1" } else { "HELLO|2" }, "HELLO|OK|0|open");
        client
    };
    let (mut idle, mut waiting, mut in_batch) = (open(&thief), open(&thief), open(&thief));
    let (mut honest_idle, mut honest_waiting) = (open(&honest), open(&honest));
    waiting.send("WAIT_DRAW|1");
    honest_waiting.send("WAIT_DRAW|2");
    in_batch.send("BATCH|1|2").send(ANA);
    // One has sent its hello; another has the central's answer, and owes its own certificate.
    let mut begun = central.client().into_tcp();
    let mut early = connection(&thief);
    early.write_tls(&mut begun).unwrap();
    let mut half_begun = central.client().into_tcp();
    let mut half = connection(&thief);
    half.write_tls(&mut half_begun).unwrap();
    while half.wants_read() && !half.wants_write() {
        half.read_tls(&mut half_begun).unwrap();
        half.process_new_packets().unwrap();
    }
    // It waits for the draw when its connection ends.
    let agency = Agency::new(1, central.port, &folder).tls(&place).start();
    agency.wait_for(|line| tells(line, "upload", "success"));

    place.ok("revoke keys --agency 1");
    assert_eq!(open_count(&central, &thief), 1, "before it is read, the list changes nothing");
    reload(&central);
    waiting.expect_end();
    idle.expect_end();
    in_batch.expect_end();
    let _ = shake(&mut early, &mut begun);
    let mut client = Client::over(early, begun);
    let _ = client.try_send(&frame(&format!("BET|1|{ANA}\n")));
    assert!(client.try_content().is_err());
    let _ = shake(&mut half, &mut half_begun);
    let mut client = Client::over(half, half_begun);
    let _ = client.try_send(&frame(&format!("BET|1|{ANA}\n")));
    assert!(client.try_content().is_err());
    let mut client = Client::connect_tls(central.port, &thief);
    let _ = client.try_send(&frame("HELLO|1\n"));
    assert_eq!(client.alert(), AlertDescription::CertificateRevoked);
    agency.finish().failed(4, &["revoked"]);

    // Nobody else is touched, and the party itself comes back with a new certificate.
    honest_idle.ask("HELLO|2", "HELLO|OK|0|open").ask(&format!("BET|2|{ANA}"), "ACK|OK");
    place.ok("renew keys --agency 1");
    for agency in 1..=3 {
        let mut client = Client::connect_tls(central.port, &place.party(&format!("agency-{agency}")));
        client.ask(&format!("DONE|{agency}"), "ACK_DONE|OK");
    }
    honest_waiting.expect("DRAW|OK");
    assert_eq!((folder.stored_of(1), folder.stored_of(2).len()), (folder.rows(1), 1));
    let exit = central.stop();
    let refusals = exit.count(|line| tells(line, "identidad", "fail") && line.contains("revoked"));
    assert!(refusals >= 6, "{exit}");
}

/// Whether a new connection with this certificate is answered.
fn open_count(central: &Central, config: &std::sync::Arc<rustls::ClientConfig>) -> usize {
    let mut client = Client::connect_tls(central.port, config);
    let _ = client.try_send(&frame("HELLO|1\n"));
    usize::from(client.try_content().is_ok())
}

#[test]
fn bad_files_change_nothing_and_the_log_says_which() {
    let (place, folder) = (Place::with_agencies(2), Folder::new());
    let other = Place::with_agencies(1);
    let central = Central::on(&folder).agencies(2).tls(&place).start();
    let mut open = Client::connect_tls(central.port, &place.party("agency-1"));
    open.ask("HELLO|1", "HELLO|OK|0|open");
    // This is not to count before a reload that succeeds.
    place.ok("revoke keys --agency 2");
    let revoked = place.party("agency-2");
    let certificate = shown(&central, &place);
    let changes: [(&str, Option<String>); 10] = [
        ("cert.pem", Some("nonsense".into())),
        ("cert.pem", Some(place.identity("operator").cert)),
        ("cert.pem", None),
        ("key.pem", Some(place.identity("operator").key)),
        ("key.pem", Some(String::new())),
        ("key.pem", None),
        ("crl.pem", Some(place.read("keys/central/crl.pem")[..200].to_owned())),
        ("crl.pem", Some(other.read("keys/central/crl.pem"))),
        ("crl.pem", None),
        ("ca.pem", Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into())),
    ];
    for (name, content) in changes {
        let path = place.path("keys/central").join(name);
        let before = fs::read(&path).unwrap();
        match &content {
            Some(content) => fs::write(&path, content).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let line = fail_to_reload(&central);
        assert!(value(&line, "error").unwrap().contains(name), "{name}: {line}");
        assert!(!line.contains("PRIVATE"), "{line}");
        fs::write(&path, before).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        open.ask("HELLO|1", "HELLO|OK|0|open");
        assert_eq!(shown(&central, &place), certificate);
        Client::connect_tls(central.port, &revoked).ask("HELLO|2", "HELLO|OK|0|open");
    }
    let key = place.path("keys/central/key.pem");
    fs::set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
    assert!(value(&fail_to_reload(&central), "error").unwrap().contains("key.pem"));
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    reload(&central);
    assert_eq!(open_count(&central, &revoked), 0);
    open.ask("HELLO|1", "HELLO|OK|0|open");
    central.stop();
}

#[test]
fn what_ends_soon_and_lists_out_of_date_are_warnings() {
    let (place, folder) = (Place::new(), Folder::with_equal_files(1, 30));
    place.ok("init keys --agencies 1 --days 20");
    fs::write(place.path("keys/central/crl.pem"), place.signer().empty_list(-1)).unwrap();
    let central = Central::on(&folder).agencies(1).tls(&place).start();
    let is_warning = |name: &'static str| {
        move |line: &str| {
            line.contains(" WARNING ") && value(line, "action") == Some("load_keys") && line.contains(name)
        }
    };
    for name in ["crl.pem", "cert.pem"] {
        central.process.wait_for(is_warning(name));
    }
    reload(&central);
    for name in ["crl.pem", "cert.pem"] {
        central.process.wait_for_nth(2, is_warning(name));
    }
    let agency = Agency::new(1, central.port, &folder).tls(&place).run();
    agency.ok();
    assert_eq!(agency.count(|line| line.contains(" WARNING ") && line.contains("cert.pem")), 1, "{agency}");
    // A newer list, and the warning is gone.
    fs::write(place.path("keys/central/crl.pem"), place.signer().empty_list(10)).unwrap();
    reload(&central);
    assert_eq!(central.process.count(is_warning("crl.pem")), 2);
    central.stop();
}

#[test]
fn a_central_without_keys_has_nothing_to_read_again() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(1).start();
    let mut client = central.client();
    client.ask("HELLO|1", "HELLO|OK|0|open");
    central.process.signal(Signal::HUP);
    client.ask("HELLO|1", "HELLO|OK|0|open");
    central.client().ask("HELLO|1", "HELLO|OK|0|open");
    assert_eq!(central.stop().count(|line| value(line, "action") == Some("load_keys")), 0);
}
