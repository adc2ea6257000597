//! The command line as its user meets it: what is printed where, and the exit code.

use std::process::{Command, Output};

fn quiniela(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quiniela")).args(words).env_clear().output().unwrap()
}

#[track_caller]
fn stdout_of(words: &[&str]) -> String {
    let output = quiniela(words);
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn refusal_of(words: &[&str]) -> String {
    let output = quiniela(words);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{words:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn help_and_version_are_no_errors() {
    assert_eq!(stdout_of(&["--version"]), format!("quiniela {}\n", env!("CARGO_PKG_VERSION")));
    let help = stdout_of(&["--help"]);
    assert!(help.starts_with("A national lottery in one binary"), "{help}");
    assert!(stdout_of(&["help", "server"]).starts_with("Runs the central"));
    assert!(stdout_of(&["agency", "--help"]).contains("Example: quiniela agency --id 3"));
}

#[test]
fn help_tells_every_name_and_default_of_a_setting() {
    let help = stdout_of(&["server", "--help"]).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("[env: SERVER_LISTEN_BACKLOG] [file: SERVER_LISTEN_BACKLOG] [default: 128]"), "{help}");
    let help = stdout_of(&["agency", "--help"]).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("[env: CLI_BATCH_MAXAMOUNT] [file: batch.maxAmount] [default: 100]"), "{help}");
}

#[test]
fn a_wrong_command_line_is_exit_code_2_with_the_reason_on_stderr() {
    assert!(refusal_of(&[]).starts_with("quiniela: 'quiniela' requires a subcommand"));
    assert!(refusal_of(&["raffle"]).starts_with("quiniela: unrecognized subcommand 'raffle'"));
    assert!(refusal_of(&["server", "--prot", "1"]).contains("--port"), "a near miss is suggested");
    let refusal = refusal_of(&["server", "--port", "65536"]);
    assert!(refusal.contains("'65536' for '--port <PORT>': allowed is a whole number from 0 to 65535"), "{refusal}");
    assert!(refusal_of(&["server", "--stop-timeout", "0s"]).contains("from 1ms to 24h"));
    assert!(refusal_of(&["gen-compose", "-1"]).contains("-1"));
    assert!(refusal_of(&["gen-compose", "1", "--exercise", "9"]).contains("9"));
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let manual = stdout_of(&["man"]);
    let pages: Vec<&str> = manual.lines().filter_map(|line| line.strip_prefix(".TH ")?.split(' ').next()).collect();
    let help = stdout_of(&["--help"]);
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    // A summary that is too long for its line goes on below, further in.
    let rows = commands.lines().take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    let commands = rows.filter_map(|line| line.split_whitespace().next());
    let expected: Vec<String> = std::iter::once("quiniela".to_owned())
        .chain(commands.filter(|command| *command != "help").map(|command| format!("quiniela-{command}")))
        .collect();
    assert!(expected.len() > 5, "{help}");
    assert_eq!(pages, expected);
}

#[test]
fn a_demo_without_data_says_how_to_make_some() {
    let refusal = refusal_of(&["demo", "--agencies", "3", "--data", "nowhere"]);
    assert!(refusal.starts_with("quiniela: nowhere/agency-1.csv: there is no such file"), "{refusal}");
    assert!(refusal.contains("quiniela gen-data --agencies 3 nowhere"), "{refusal}");
}
