//! The shell scripts, as far as they work without a Docker engine.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A folder with copies of some of the project's files, and a PATH with only the programs that a test puts there.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new(files: &[&str]) -> Place {
        let place = Place { folder: tempfile::tempdir().unwrap() };
        for file in files {
            let copy = place.path(&format!("project/{file}"));
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            run("cp", &[&Path::new(ROOT).join(file), &copy]);
        }
        fs::create_dir(place.path("bin")).unwrap();
        for tool in ["bash", "sh", "basename", "dirname", "find", "head", "cat"] {
            let found = std::env::split_paths(&std::env::var_os("PATH").unwrap())
                .map(|folder| folder.join(tool))
                .find(|file| file.is_file());
            symlink(found.unwrap_or_else(|| panic!("{tool} is on no PATH")), place.path("bin").join(tool)).unwrap();
        }
        place
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// A program that prints its name and arguments, one a line.
    fn tell_tale(&self, relative: &str) -> PathBuf {
        let file = self.path(relative);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let source = self.path("source");
        fs::write(&source, format!("#!/bin/sh\nprintf '%s\\n' {relative} \"$@\"\n")).unwrap();
        fs::set_permissions(&source, fs::Permissions::from_mode(0o755)).unwrap();
        run("cp", &[&source, &file]);
        file
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.path("project")).env_remove("QUINIELA").env("PATH", self.path("bin"));
        command
    }

    fn generate(&self, arguments: &[&str]) -> Output {
        self.command("./generar-compose.sh", arguments).output().unwrap()
    }
}

/// Programs are put in their place by a process of its own: had this one written them, a process that another test
/// starts at that moment would hold them open for writing, and for so long nobody could run them.
fn run(program: &str, files: &[&Path]) {
    assert!(Command::new(program).args(files).status().unwrap().success());
}

fn stdout(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(str::to_owned).collect()
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Ana", "-c", "user.email=ana@example.org", "-c", "commit.gpgsign=false"])
        .args(arguments)
        // Git sets these for its hooks, and tests may run in one.
        .env_remove("GIT_DIR")
        .env_remove("GIT_INDEX_FILE")
        .env_remove("GIT_WORK_TREE")
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn the_first_quiniela_in_the_order_of_places_is_asked() {
    let place = Place::new(&["generar-compose.sh"]);
    let none = place.generate(&[]);
    assert_eq!(none.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&none.stderr).contains("found no quiniela"));

    place.tell_tale("bin/quiniela");
    assert_eq!(stdout(&place.generate(&[]))[0], "bin/quiniela");
    place.tell_tale("project/target/release/quiniela");
    assert_eq!(stdout(&place.generate(&[]))[0], "project/target/release/quiniela");
    let own = place.tell_tale("own program");
    let output = place.command("./generar-compose.sh", &[]).env("QUINIELA", &own).output().unwrap();
    assert_eq!(stdout(&output)[0], "own");
    let output = place.command("./generar-compose.sh", &[]).env("QUINIELA", "/no/such").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such"));
}

#[test]
fn a_program_older_than_its_sources_is_built_again() {
    let place = Place::new(&["generar-compose.sh", "Cargo.toml", "Cargo.lock", "src/lib.rs"]);
    place.tell_tale("project/target/release/quiniela");
    place.tell_tale("bin/cargo");
    assert_eq!(stdout(&place.generate(&[]))[0], "project/target/release/quiniela");
    let program = fs::File::open(place.path("project/target/release/quiniela")).unwrap();
    program.set_modified(std::time::UNIX_EPOCH).unwrap();
    assert!(stdout(&place.generate(&[])).starts_with(&["bin/cargo".to_owned(), "build".to_owned()]));
}

#[test]
fn arguments_and_the_exercise_are_handed_on() {
    let place = Place::new(&["generar-compose.sh"]);
    place.tell_tale("bin/quiniela");
    let project = place.path("project").canonicalize().unwrap();
    let asked = |file: &Path, exercise: &str, rest: &[&str]| -> Vec<String> {
        let file = file.to_str().unwrap();
        let mut lines = vec!["bin/quiniela", "gen-compose", "--output", file, "--exercise", exercise];
        lines.extend(rest);
        lines.iter().map(|line| (*line).to_owned()).collect()
    };
    assert_eq!(stdout(&place.generate(&[])), asked(&project.join("docker-compose-dev.yaml"), "8", &["--", "5"]));
    fs::write(project.join(".exercise"), "5").unwrap();
    assert_eq!(
        stdout(&place.generate(&["my file.yaml", "0"])),
        asked(&project.join("my file.yaml"), "5", &["--", "0"])
    );
    assert_eq!(
        stdout(&place.generate(&["a.yaml", "-3", "--persist"])),
        asked(&project.join("a.yaml"), "5", &["--persist", "--", "-3"]),
        "a count that looks like a flag is still judged as a count"
    );

    // From another folder: the file is relative to the caller, the project's files to the project.
    let elsewhere = place.path("else where");
    fs::create_dir(&elsewhere).unwrap();
    let script = project.join("generar-compose.sh");
    let output = place.command(script.to_str().unwrap(), &["x.yaml", "2"]).current_dir(&elsewhere).output().unwrap();
    let file = elsewhere.canonicalize().unwrap().join("x.yaml");
    assert_eq!(stdout(&output), asked(&file, "5", &["--", "2"]));

    let output = place.generate(&["no/such/x.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no/such/x.yaml"));
}

#[test]
fn help_is_printed_and_a_count_alone_is_no_file() {
    let place = Place::new(&["generar-compose.sh", ".exercise", "docker/Dockerfile"]);
    let generate = |arguments: &[&str]| {
        let mut command = place.command("./generar-compose.sh", arguments);
        command.env("QUINIELA", env!("CARGO_BIN_EXE_quiniela")).output().unwrap()
    };
    let files = || fs::read_dir(place.path("project")).unwrap().count();
    let before = files();
    assert!(stdout(&generate(&["--help"]))[0].contains("generar-compose.sh [file="));
    for wrong in ["5", "--persist"] {
        let output = generate(&[wrong]);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("the file comes first"), "{output:?}");
    }
    assert_eq!(files(), before);
    let said = stdout(&generate(&["x.yaml", "1", "--exercise", "1"]));
    assert!(said[0].ends_with("x.yaml: the central and 1 agency, for exercise 1"), "{said:?}");
    let text = fs::read_to_string(place.path("project/x.yaml")).unwrap();
    assert!(text.contains("- echo\n"), "the exercise that is said counts: {text}");
    assert_eq!(text.matches("restart: on-failure:5\n").count(), 1, "{text}");

    fs::write(place.path("project/tesis.txt"), "Capítulo 1\n").unwrap();
    let output = generate(&["tesis.txt", "1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--force replaces it"), "{output:?}");
    assert_eq!(fs::read_to_string(place.path("project/tesis.txt")).unwrap(), "Capítulo 1\n");
    stdout(&generate(&["tesis.txt", "1", "--force"]));
    fs::remove_file(place.path("project/docker/Dockerfile")).unwrap();
    let output = generate(&["y.yaml", "1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("run this in the project's folder"), "{output:?}");
    assert!(!place.path("project/y.yaml").exists());
}

#[test]
fn the_file_is_written_whole_or_left_as_it_was() {
    let place = Place::new(&["generar-compose.sh", ".exercise", "docker/Dockerfile"]);
    let file = place.path("project/docker-compose-dev.yaml");
    let generate = |arguments: &[&str]| {
        let mut command = place.command("./generar-compose.sh", arguments);
        command.env("QUINIELA", env!("CARGO_BIN_EXE_quiniela")).output().unwrap()
    };
    stdout(&generate(&[]));
    let first = fs::read_to_string(&file).unwrap();
    assert!(first.contains("\n  client5:\n") && !first.contains("client6"));
    assert!(first.contains("context: .\n"));
    for count in ["-1", "many", "1.5", "", "99999999999", "253"] {
        let output = generate(&["docker-compose-dev.yaml", count]);
        assert_eq!(output.status.code(), Some(2), "{count:?}");
        assert!(!output.stderr.is_empty());
        assert_eq!(fs::read_to_string(&file).unwrap(), first, "{count:?}");
    }
    fs::write(place.path("project/.exercise"), "9\n").unwrap();
    assert_eq!(generate(&[]).status.code(), Some(2));
    assert_eq!(fs::read_to_string(&file).unwrap(), first);

    fs::write(place.path("project/.exercise"), "1\n").unwrap();
    let folder = place.path("project/scripts");
    fs::create_dir(&folder).unwrap();
    assert_eq!(generate(&["scripts"]).status.code(), Some(2), "a folder is no file");
    stdout(&generate(&["scripts/none.yaml", "0"]));
    let none = fs::read_to_string(folder.join("none.yaml")).unwrap();
    assert!(none.contains("context: ..\n") && none.contains("../server/config.ini:") && !none.contains("client1"));
}

#[test]
fn without_an_engine_the_echo_check_says_fail_and_why() {
    let place = Place::new(&["validar-echo-server.sh"]);
    let no_client = place.command("sh", &["validar-echo-server.sh"]).output().unwrap();
    let no_engine = Command::new("sh")
        .arg(place.path("project/validar-echo-server.sh"))
        .env("DOCKER_HOST", "unix:///nonexistent")
        .output()
        .unwrap();
    for output in [no_client, no_engine] {
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "action: test_echo_server | result: fail\n");
        assert!(String::from_utf8_lossy(&output.stderr).contains("ocker"), "{output:?}");
    }
}

#[test]
fn branches_hold_main_and_the_number_of_their_exercise() {
    let place = Place::new(&["scripts/branches", ".exercise"]);
    let project = place.path("project");
    git(&project, &["init", "-q", "-b", "main"]);
    git(&project, &["add", "."]);
    git(&project, &["commit", "-q", "-m", "first"]);
    let branches = || {
        let mut command = Command::new("scripts/branches");
        command.env_remove("GIT_DIR").env_remove("GIT_INDEX_FILE").env_remove("GIT_WORK_TREE");
        command.current_dir(&project).output().unwrap()
    };
    let tips = || git(&project, &["for-each-ref", "--format=%(refname) %(objectname)", "refs/heads/ej*"]);
    let refused = |why: &str| {
        let before = tips();
        let output = branches();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(why), "{output:?}");
        assert_eq!(tips(), before, "nothing has moved");
    };

    stdout(&branches());
    for exercise in 1..=8 {
        assert_eq!(git(&project, &["show", &format!("ej{exercise}:.exercise")]), exercise.to_string());
        assert_eq!(git(&project, &["rev-parse", &format!("ej{exercise}^")]), git(&project, &["rev-parse", "main"]));
    }
    let first = tips();
    stdout(&branches());
    assert_eq!(tips(), first, "the same again");
    assert_eq!(git(&project, &["status", "--porcelain", "--branch"]), "## main", "the work tree is as it was");

    fs::write(project.join(".exercise"), "8 \n").unwrap();
    refused("in no commit");
    git(&project, &["commit", "-q", "-a", "-m", "second"]);
    stdout(&branches());
    assert_eq!(git(&project, &["rev-parse", "ej1^"]), git(&project, &["rev-parse", "main"]), "main has moved on");

    git(&project, &["switch", "-q", "ej2"]);
    refused("ej2 is checked out");
    fs::write(project.join("mine"), "work\n").unwrap();
    git(&project, &["add", "mine"]);
    git(&project, &["commit", "-q", "-m", "mine"]);
    git(&project, &["switch", "-q", "main"]);
    refused("ej2 has commits that main has not");
}
