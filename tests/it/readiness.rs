//! When a central says that it is not ready, and why.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::http::{connect, get, port, sample};
use crate::common::{ANA, Agency, Central, CentralStart, Client, Folder, LIMIT, Process, Signal, tells, value};

fn on(folder: &Folder) -> CentralStart {
    Central::on(folder).with("--http 127.0.0.1:0")
}

#[test]
fn a_stop_waits_for_no_connection_and_readiness_tells_of_it() {
    let folder = Folder::new();
    let central = on(&folder).agencies(1).with("--frame-deadline 60s --stop-timeout 20s").start();
    let http = port(&central);
    assert_eq!(get(http, "/readyz").body, "ready\n");
    let _open: Vec<TcpStream> = (0..20).map(|_| connect(http)).collect();
    // It does not read its replies, so the stop waits for it for a second.
    let mut client = Client::connect_with(central.port, |socket| {
        socket.set_recv_buffer_size(4 * 1024).unwrap();
        socket.set_send_buffer_size(1024 * 1024).unwrap();
    });
    client.send_bytes(&crate::common::client::frame("HELLO|1\n").repeat(20_000));
    central.process.signal(Signal::TERM);
    central.process.wait_for(|line| tells(line, "close_listener", "success"));
    let ready = get(http, "/readyz");
    let state = get(http, "/status.json").json();
    assert_eq!((ready.status, ready.body.as_str()), (503, "the central stops\n"));
    assert_eq!((state["ready"].as_bool(), state["reason"].as_str()), (Some(false), Some("the central stops")));
    assert_eq!(get(http, "/healthz").status, 200);
    assert_eq!(sample(&get(http, "/metrics").body, "quiniela_ready"), Some(0.0));
    let begin = Instant::now();
    drop(client);
    central.stopped();
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    assert!(TcpStream::connect(("127.0.0.1", http)).is_err());
}

#[test]
fn a_disk_that_takes_nothing_is_told_of_until_it_takes_something() {
    let folder = Folder::new();
    let central = on(&folder).agencies(2).after("trap '' XFSZ && ulimit -f 256").start();
    let http = port(&central);
    let batch = crate::common::client::frame(&format!("BATCH|1|250\n{}", format!("{ANA}\n").repeat(250)));
    let mut client = central.client();
    let refused =
        std::iter::repeat_with(|| client.send_bytes(&batch).reply()).find(|reply| !reply.contains("|OK|")).unwrap();
    assert!(refused.contains("storage: bets.csv: "), "{refused}");
    let ready = get(http, "/readyz");
    assert_eq!(ready.status, 503);
    assert!(ready.body.starts_with("bets are refused: bets.csv: "), "{}", ready.body);
    let state = get(http, "/status.json").json();
    assert_eq!((state["ready"].as_bool(), state["reason"].as_str()), (Some(false), Some(ready.body.trim_end())));
    assert_eq!(
        sample(&get(http, "/metrics").body, "quiniela_refusals_total{agency=\"1\",reason=\"storage\"}"),
        Some(1.0)
    );
    assert_eq!(central.ask(&format!("BET|2|{ANA}")), "ACK|OK");
    assert_eq!(get(http, "/readyz").status, 200);
    central.stop();
}

/// Every read of the bets' file takes a third of a second, so the start takes some.
#[test]
fn a_start_that_takes_long_tells_how_far_it_is() {
    let folder = Folder::with_data("--agencies 1 --bets 150000 --seed 6");
    let probe = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        let _ =
            std::io::stderr().write_all(b"SKIPPED a_start_that_takes_long_tells_how_far_it_is: there is no strace\n");
        return;
    }
    let central = Central::on(&folder).agencies(2).start();
    let agency = Agency::new(1, central.port, &folder).start();
    agency.wait_for(|line| tells(line, "upload", "success"));
    central.kill();
    drop(agency);

    let central = on(&folder).command();
    let mut strace = Command::new("strace");
    strace.args(["-D", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=read,pread64"]);
    strace.args(["-e", "inject=read,pread64:delay_enter=300ms", "-P"]).arg(folder.bets());
    strace.arg(central.get_program()).args(central.get_args()).current_dir(folder.store());
    strace.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    let process = Process::start(strace);
    let line = process.wait_for(|line| tells(line, "http", "success"));
    let http = value(&line, "address").unwrap().rsplit_once(':').unwrap().1.parse().unwrap();
    let deadline = Instant::now() + LIMIT;
    let mut reasons: Vec<String> = Vec::new();
    loop {
        assert!(Instant::now() < deadline, "{reasons:?}");
        let ready = get(http, "/readyz");
        if ready.status == 200 {
            break;
        }
        assert_eq!(ready.status, 503);
        let state = get(http, "/status.json").json();
        assert!(state["ready"] == false || state["reason"].is_null(), "{state}");
        if reasons.last() != Some(&ready.body) {
            reasons.push(ready.body);
        }
    }
    let length = folder.bets().metadata().unwrap().len();
    let parts: Vec<u64> = reasons
        .iter()
        .filter_map(|reason| reason.strip_prefix("the central recovers: ")?.split(' ').next()?.parse().ok())
        .collect();
    assert!(!parts.is_empty() && parts.is_sorted() && parts.iter().all(|part| *part <= length), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.ends_with(&format!(" of {length} bytes of bets.csv are checked\n"))));
    process.signal(Signal::TERM);
    process.finish().ok();
}

/// A folder stands where the new acta is to be written.
#[test]
fn a_seal_that_cannot_be_written_is_told_of_once_and_made_when_it_can() {
    let folder = Folder::new();
    let central = on(&folder).agencies(1).start();
    let http = port(&central);
    let obstacle = folder.store().join("acta.new");
    fs::create_dir(&obstacle).unwrap();
    central.client().ask(&format!("BET|1|{ANA}"), "ACK|OK").ask("DONE|1", "ACK_DONE|OK");
    let line = central.process.wait_for(|line| tells(line, "sorteo", "fail"));
    assert!(value(&line, "error").unwrap().contains("acta.json"), "{line}");
    let ready = get(http, "/readyz");
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("acta.json"), "{}", ready.body);
    // It is tried twice a second, and a second is counted each second.
    let seconds = || get(http, "/status.json").json()["rate"]["seconds"].as_u64().unwrap();
    let (begin, deadline) = (seconds(), Instant::now() + LIMIT);
    while seconds() < begin + 3 {
        assert!(Instant::now() < deadline, "no second passes");
    }
    fs::remove_dir(&obstacle).unwrap();
    central.process.wait_for(|line| tells(line, "sorteo", "success"));
    let deadline = Instant::now() + LIMIT;
    while get(http, "/readyz").status != 200 {
        assert!(Instant::now() < deadline, "{:?}", get(http, "/readyz"));
    }
    let exit = central.stop();
    assert_eq!(exit.count(|line| tells(line, "sorteo", "fail")), 1, "{exit}");
}
