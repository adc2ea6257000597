//! A full disk: what cannot be stored is refused, and no later request of the connection takes effect.

use crate::common::client::frame;
use crate::common::{ANA, Agency, Central, Client, Folder, quiniela};

const BETS: usize = 250;

fn batch() -> Vec<u8> {
    frame(&format!("BATCH|1|{BETS}{}\n", format!("\n{ANA}").repeat(BETS)))
}

#[track_caller]
fn assert_is_storage(reply: &str) {
    let expected = format!("ACK_BATCH|ERR|{BETS}|storage: bets.csv: ");
    assert!(reply.starts_with(&expected), "{reply}");
}

/// A central whose files cannot grow any more, and how many bets it holds of agency 1.
fn full(folder: &Folder) -> (Central, usize) {
    // The journal takes its first 64 KiB at once. Shells count in blocks of 512 or 1024 bytes.
    let central = Central::on(folder).agencies(2).after("trap '' XFSZ && ulimit -f 256").start();
    let mut client: Client = central.client();
    let acknowledged = format!("ACK_BATCH|OK|{BETS}");
    let mut batches = 0;
    loop {
        let reply = client.send_bytes(&batch()).reply();
        if reply != acknowledged {
            assert_is_storage(&reply);
            client.expect_end();
            return (central, batches * BETS);
        }
        batches += 1;
    }
}

#[test]
fn a_done_behind_a_batch_that_could_not_be_stored_does_not_count() {
    let folder = Folder::new();
    let (central, stored) = full(&folder);
    // Some are written as a group of their own, so that DONE is in the next one.
    for batches in 1..=30 {
        let mut client = central.client();
        client.send_bytes(&[batch().repeat(batches), frame("DONE|1\n")].concat());
        assert_is_storage(&client.reply());
        // DONE may be refused, or not even read.
        let rest = client.rest();
        assert!(!rest.contains("ACK_DONE|OK"), "{rest:?}");
        assert_eq!(central.ask("HELLO|1"), format!("HELLO|OK|{stored}|open"));
    }
    central.stop();
    assert_eq!(folder.stored_of(1).len(), stored);
}

#[test]
fn after_a_storage_error_nothing_more_is_read() {
    let folder = Folder::new();
    let (central, stored) = full(&folder);
    for _ in 0..20 {
        let mut client = central.client();
        assert_is_storage(&client.send_bytes(&batch()).reply());
        // This batch would still fit. The connection may already be closed.
        let _ = client.try_send(&frame(&format!("BET|2|{ANA}\n")));
        client.expect_end();
        assert_eq!(central.ask("HELLO|2"), "HELLO|OK|0|open");
    }
    central.client().ask(&format!("BET|2|{ANA}"), "ACK|OK");
    central.stop();
    assert_eq!((folder.stored_of(1).len(), folder.stored_of(2).len()), (stored, 1));
}

#[test]
fn the_log_says_it_once_and_the_agency_and_the_health_check_name_the_disk() {
    let folder = Folder::with_data("--agencies 2 --bets 40000");
    let (central, _) = full(&folder);
    let exit = Agency::new(2, central.port, &folder).with("--retry-for 1s").run();
    exit.failed(3, &["the central answered: storage: bets.csv: ", "; look at the central's disk"]);
    assert!(!exit.stderr.contains("check that the central runs"), "{exit}");
    let health = |healthy: bool| {
        let words = ["health", "--port", &central.port.to_string()].map(str::to_owned);
        let output = quiniela(folder.path(), &words).output().unwrap();
        assert_eq!(output.status.success(), healthy, "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert_is_storage(&central.client().send_bytes(&batch()).reply());
    assert!(health(false).contains("bets are refused: bets.csv: "));
    central.client().ask(&format!("BET|1|{ANA}"), "ACK|OK");
    health(true);
    // A smaller batch may still have fitted. The next failure is then logged again.
    let exit = central.stop();
    let errors = exit.count(|line| line.contains(" ERROR "));
    assert!((1..=4).contains(&errors), "{errors}: {exit}");
}
