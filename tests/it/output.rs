//! Where output goes: standard output that a reader closes, and files that a rename would destroy.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{FileTypeExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::{Agency, Central, Folder, quiniela, tells};

fn run(folder: &Path, words: &str) -> Command {
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    quiniela(folder, &words)
}

/// Each of these prints more than a pipe holds, or one line.
#[test]
fn a_reader_that_has_had_enough_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    for words in ["gen-compose 200", "man", "completions bash", "server --print-config", "gen-data --bets 9 data"] {
        let mut child = run(folder.path(), words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        BufReader::with_capacity(1, child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_full_disk_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    for words in ["gen-compose 3", "gen-compose 3 -o /dev/full", "man"] {
        let output = run(folder.path(), words).stdout(full()).stderr(Stdio::piped()).output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && complaint.contains(": cannot write: No space left"),
            "{words}: {complaint}"
        );
    }
}

#[test]
fn standard_output_is_known_by_all_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let expected = run(folder.path(), "gen-compose 3").output().unwrap().stdout;
    assert!(expected.starts_with(b"name: tp0\n"));
    for name in ["-", "/dev/stdout", "/dev/fd/1"] {
        let words = format!("gen-compose 3 -o {name}");
        assert_eq!(run(folder.path(), &words).output().unwrap().stdout, expected, "{name}");
        // If standard output is a file, its earlier content stays.
        let path = folder.path().join("all.yaml");
        fs::write(&path, "before\n").unwrap();
        let file = File::options().append(true).open(&path).unwrap();
        assert!(run(folder.path(), &words).stdout(file).status().unwrap().success());
        assert_eq!(fs::read(&path).unwrap(), [b"before\n", &expected[..]].concat(), "{name}");
    }
}

/// A central that has held its draw, with one agency.
fn drawn() -> (Folder, Central) {
    let folder = Folder::with_data("--agencies 1 --bets 300 --seed 4 --winners 12");
    let central = Central::on(&folder).agencies(1).start();
    Agency::new(1, central.port, &folder).run().ok();
    (folder, central)
}

#[test]
fn winners_go_to_devices_fifos_and_through_links() {
    let (folder, central) = drawn();
    let ask = |place: &str| Agency::new(1, central.port, &folder).with(&format!("--winners {place}"));
    let due = folder.winners_due(1, "7574");
    let path = |name: &str| folder.path().join(name);
    // A new device if one can be made: a bug here must not destroy the machine's own /dev/null.
    let made = Command::new("mknod").arg(path("null")).args(["c", "1", "3"]).status().is_ok_and(|made| made.success());
    let is_ours = made && File::options().write(true).open(path("null")).is_ok();
    let null = if is_ours { path("null") } else { "/dev/null".into() };
    ask(null.to_str().unwrap()).run().ok();
    assert!(fs::metadata(null).unwrap().file_type().is_char_device());

    assert!(Command::new("mkfifo").arg(path("fifo")).status().unwrap().success());
    let agency = ask("fifo").start();
    assert_eq!(fs::read_to_string(path("fifo")).unwrap(), due);
    agency.finish().ok();
    assert!(fs::metadata(path("fifo")).unwrap().file_type().is_fifo());

    fs::write(path("real"), "30904465\n").unwrap();
    symlink("real", path("link")).unwrap();
    ask("link").run().ok();
    assert!(path("link").is_symlink());
    assert_eq!(fs::read_to_string(path("real")).unwrap(), due);
    central.stop();
}

#[test]
fn winners_on_standard_output_stand_between_whole_log_lines() {
    let (folder, central) = drawn();
    for place in ["-", "/dev/stdout"] {
        let exit = Agency::new(1, central.port, &folder).with(&format!("--winners {place}")).run();
        exit.ok();
        let first = exit.lines.iter().position(|line| !line.contains("action: ")).unwrap();
        let due: Vec<String> = folder.winners_due(1, "7574").lines().map(str::to_owned).collect();
        assert_eq!(exit.lines[first..first + due.len()], due, "{exit}");
        let after = &exit.lines[first + due.len()..];
        assert!(after.iter().all(|line| line.contains("action: ")), "{exit}");
        assert!(tells(&after[0], "consulta_ganadores", "success"), "{exit}");
    }
    central.stop();
}
