//! Exercises 1 to 3: the echo, its configuration and its validation.

use std::time::Instant;

use crate::log::Line;
use crate::stage::{Stage, docker, inspect};

const SUCCESS: (i32, &str) = (0, "action: test_echo_server | result: success\n");
const FAIL: (i32, &str) = (1, "action: test_echo_server | result: fail\n");

fn validate(stage: &Stage, arguments: &[&str]) -> (i32, String) {
    let output = stage.command("sh", &["validar-echo-server.sh"]).args(arguments).output().unwrap();
    // Standard error has the reason of a failure, and nothing else.
    let reason = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.success(), reason.is_empty(), "{reason}");
    assert!(reason.is_empty() || reason.starts_with("validar-echo-server.sh: "), "{reason}");
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

fn config<'a>(lines: &'a [Line], source: &str) -> &'a Line {
    lines.iter().find(|line| line.source == source && line.is("config", "success")).unwrap()
}

#[test]
#[ignore = "needs a Docker engine: make test-docker"]
fn a_changed_file_counts_on_the_next_up_without_a_build() {
    let stage = Stage::new();
    stage.generate(2, 1, &[]);
    let mut log = stage.up();
    log.wait_for(2, "config", "success");
    let server = config(&log.lines, "server");
    assert_eq!((server.get("port"), server.get("listen_backlog")), ("12345", "5"));
    let image = inspect("server", "{{.Image}}");
    stage.compose(&["down", "-t", "5"]);

    stage.write(
        "server/config.ini",
        "[DEFAULT]\nSERVER_PORT = 12346\nSERVER_IP = server\nSERVER_LISTEN_BACKLOG = 7\nLOGGING_LEVEL = DEBUG\n",
    );
    stage.write(
        "client/config.yaml",
        "server:\n  address: \"server:12346\"\nloop:\n  amount: 3\n  period: \"1m30s\"\nlog:\n  level: \"debug\"\n",
    );
    let mut log = stage.up();
    log.wait_for(2, "config", "success");
    let server = config(&log.lines, "server");
    assert_eq!(server.get("port"), "12346");
    assert_eq!(server.get("listen_backlog"), "7");
    assert_eq!(server.get("logging_level"), "DEBUG");
    let client = config(&log.lines, "client1");
    assert_eq!(client.get("client_id"), "1");
    assert_eq!(client.get("server_address"), "server:12346");
    assert_eq!(client.get("loop_amount"), "3");
    assert_eq!(client.get("loop_period"), "1m30s", "as written");
    assert_eq!(client.get("log_level"), "debug", "as written");
    assert_eq!(inspect("server", "{{.Image}}"), image);
}

#[test]
#[ignore = "needs a Docker engine: make test-docker"]
fn agencies_echo_and_end() {
    let stage = Stage::new();
    stage.agencies(3, "100ms", 10);
    stage.generate(1, 2, &[]);
    let mut log = stage.up();
    assert_eq!(stage.exit_codes(2), [0, 0]);
    log.wait_for(2, "loop_finished", "success");
    // Three messages of two agencies, logged on both sides.
    log.wait_for(12, "receive_message", "success");
    for id in 1..=2 {
        let source = format!("client{id}");
        let messages: Vec<&str> =
            log.of(&source).filter(|line| line.is("receive_message", "success")).map(|line| line.get("msg")).collect();
        let expected: Vec<String> = (1..=3).map(|number| format!("[CLIENT {id}] Message N°{number}")).collect();
        assert_eq!(messages, expected);
        for message in expected {
            let seen = |line: &Line| line.is("receive_message", "success") && line.get("msg") == message;
            assert!(log.of("server").any(|line| seen(line) && line.has("ip")), "{message}");
        }
    }
}

#[test]
#[ignore = "needs a Docker engine: make test-docker"]
fn our_echo_passes_both_checks_with_any_message() {
    let stage = Stage::new();
    // Without agencies the central is an echo server.
    stage.generate(3, 0, &[]);
    stage.compose(&["up", "-d"]);
    let messages =
        ["hola", "  two  spaces ", "it's \"quoted\"", "$HOME `id` $(id)", "%s %d \\n", "ñandú, ¿qué? 🎲", "-n"];
    for message in messages {
        let (code, said) = validate(&stage, &["server", "12345", message]);
        assert_eq!((code, said.as_str()), SUCCESS, "{message}");
        let check = ["run", "--rm", "--network", "tp0_testing_net", "quiniela:latest", "echo-check", "server:12345"];
        let inside = stage.command("docker", &check).args(["--", message]).output().unwrap();
        assert_eq!(inside.status.code(), Some(0), "{message}");
        assert_eq!(String::from_utf8_lossy(&inside.stdout), SUCCESS.1);
    }
    assert_eq!(validate(&stage, &[]).0, 0, "with all defaults");
    assert_eq!(validate(&stage, &["server", "12346"]), (FAIL.0, FAIL.1.to_owned()), "nobody listens there");
    assert_eq!(validate(&stage, &["client1"]), (FAIL.0, FAIL.1.to_owned()), "no such container");
    docker(&["stop", "-t", "1", "server"]);
    assert_eq!(validate(&stage, &[]), (FAIL.0, FAIL.1.to_owned()), "it has stopped");
}

/// A container named server in which netcat runs a small program for each connection.
struct Other;

impl Other {
    fn start(program: &str) -> Other {
        let other = Other;
        docker(&["network", "create", "quiniela_test_net"]);
        let start = "printf '#!/bin/sh\\n%s\\n' \"$0\" >/tmp/run && chmod +x /tmp/run && touch /tmp/ready; \
                     while :; do nc -l -p 12345 -e /tmp/run; done";
        let run = ["run", "-d", "--name", "server", "--network", "quiniela_test_net", "busybox:latest", "sh", "-c"];
        docker(&[&run[..], &[start, program]].concat());
        other
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let run = |arguments: &[&str]| std::process::Command::new("docker").args(arguments).output();
        let _ = run(&["rm", "-f", "server"]);
        let _ = run(&["network", "rm", "quiniela_test_net"]);
    }
}

#[test]
#[ignore = "needs a Docker engine: make test-docker"]
fn the_check_judges_any_echo_server() {
    let stage = Stage::new();
    let verdict = |program: &str| {
        let _server = Other::start(program);
        // Netcat in the other container takes a moment to listen.
        let listening = "nc -z 127.0.0.1 12345 || grep -q ':3039 ' /proc/net/tcp /proc/net/tcp6";
        let started = Instant::now();
        while !stage.command("docker", &["exec", "server", "sh", "-c", listening]).output().unwrap().status.success() {
            assert!(started.elapsed().as_secs() < 30, "the other server does not listen");
        }
        validate(&stage, &["server", "12345", "one two  three"])
    };
    let good = [
        ("closes after the echo", r#"read -r line; printf '%s\n' "$line""#),
        ("keeps open until its peer closes", "exec cat"),
        ("keeps open for ever", r#"read -r line; printf '%s\n' "$line"; exec sleep 60"#),
        ("answers when its peer has finished", r#"all=$(cat); printf '%s\n' "$all""#),
    ];
    for (name, program) in good {
        let (code, said) = verdict(program);
        assert_eq!((code, said.as_str()), SUCCESS, "{name}");
    }
    let bad = [
        ("changes the answer", r#"read -r line; printf '%s\n' "$line" | tr a-z A-Z"#),
        ("changes it and keeps open", r#"read -r line; printf '%s!\n' "$line"; exec sleep 60"#),
        ("says more", r#"read -r line; printf '%s\nmore\n' "$line"; exec sleep 60"#),
        ("says nothing", "exec sleep 60"),
        ("closes at once", "exec true"),
    ];
    for (name, program) in bad {
        let (code, said) = verdict(program);
        assert_eq!((code, said.as_str()), FAIL, "{name}");
    }
}
