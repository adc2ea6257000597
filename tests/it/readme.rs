//! Checks both READMEs against each other, the command line, the sources and the files they link to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use quiniela::error::Kind;

const READMES: [&str; 2] = ["README.md", "README.es.md"];
const PAGES: [&str; 8] = [
    "README.md",
    "README.es.md",
    "CHANGELOG.md",
    "docs/ARCHITECTURE.md",
    "docs/SECURITY.md",
    "docs/AUDIT.md",
    "docs/JSON.md",
    "docs/OBSERVE.md",
];

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The fenced blocks, each with its language.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let pieces: Vec<&str> = page.split("```").collect();
    assert!(pieces.len() % 2 == 1, "a block is not closed");
    pieces.iter().skip(1).step_by(2).map(|piece| piece.split_once('\n').unwrap()).collect()
}

fn commands(page: &str) -> Vec<&str> {
    blocks(page).into_iter().filter(|(mark, _)| *mark == "sh").map(|(_, text)| text).collect()
}

/// The texts between backquotes outside the blocks.
fn spans(page: &str) -> Vec<&str> {
    let prose = page.split("```").step_by(2);
    prose.flat_map(|text| text.lines()).flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

/// The rows of all tables, as cells.
fn rows(page: &str) -> Vec<Vec<String>> {
    let hidden = page.replace("\\|", "\u{1}");
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect();
    hidden.lines().filter(|line| line.starts_with('|') && !line.starts_with("|--")).map(cells).collect()
}

/// The help of a command, or of one below it.
fn help(command: &str) -> String {
    let words = command.split(' ').chain(["--help"]);
    let output = Command::new(env!("CARGO_BIN_EXE_quiniela")).args(words).output().unwrap();
    assert!(output.status.success(), "there is no command {command}");
    String::from_utf8(output.stdout).unwrap()
}

/// The names of a command's flags, long and short.
fn flags(help: &str) -> BTreeSet<&str> {
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let words = lines.flat_map(|line| line.split([' ', ',', '[']).take_while(|word| !word.starts_with('<')));
    words.filter(|word| word.starts_with('-')).collect()
}

/// Every quiniela command line, in blocks and in prose, split into words.
fn quinielas(page: &str) -> Vec<Vec<&str>> {
    let lines = commands(page).into_iter().flat_map(str::lines).chain(spans(page));
    let words = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
    let is_ours = |words: &Vec<&str>| {
        words.len() > 1 && matches!(words[0], "quiniela" | "target/release/quiniela") && words[1] != "…"
    };
    words.filter(is_ours).collect()
}

#[test]
fn both_languages_show_the_same_commands_and_the_same_transcript() {
    let [english, spanish] = READMES.map(read);
    assert!(commands(&english).len() >= 4);
    assert_eq!(commands(&english)[0], "make demo\nmake test\n");
    assert_eq!(blocks(&english), blocks(&spanish));
    let transcripts = blocks(&english).into_iter().filter(|(mark, _)| *mark == "text").count();
    assert_eq!(transcripts, 1);
    assert!(blocks(&english).iter().all(|(mark, _)| ["sh", "text"].contains(mark)), "every block says what it is");
}

#[test]
fn both_languages_have_the_same_sections_and_tables() {
    let shape = |page: &str| {
        let marks = page.lines().filter(|line| line.starts_with("## ") || line.starts_with('|'));
        marks.map(|line| line.matches('|').count()).collect::<Vec<_>>()
    };
    let [english, spanish] = READMES.map(read);
    assert_eq!(shape(&english), shape(&spanish));
}

#[test]
fn no_section_is_longer_than_a_screen() {
    for file in READMES {
        for section in read(file).split("\n## ").skip(1) {
            assert!(section.lines().count() <= 50, "{file}: {}", section.lines().next().unwrap());
        }
    }
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut missing = Vec::new();
    for file in PAGES {
        let page = read(file);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        for link in page.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let target = link.split('#').next().unwrap();
            if !link.contains("://") && !folder.parent().unwrap().join(target).exists() {
                missing.push(format!("{file}: {link}"));
            }
        }
    }
    assert_eq!(missing, [] as [String; 0]);
}

#[test]
fn every_command_that_is_shown_is_one() {
    for file in READMES {
        let page = read(file);
        let shown = quinielas(&page);
        assert!(shown.len() >= 10, "{file}: {shown:?}");
        for words in &shown {
            let has_below = words[1] == "keys" && words.len() > 2;
            let help = help(&words[1..if has_below { 3 } else { 2 }].join(" "));
            for word in words[2..].iter().filter(|word| word.starts_with('-')) {
                assert!(flags(&help).contains(word), "{file}: {words:?}: there is no {word}");
            }
        }
        let commands: BTreeSet<&str> = shown.iter().map(|words| words[1]).collect();
        let all = "server agency demo gen-data gen-compose keys draw status backup recover audit ticket migrate export echo-check health completions man";
        assert_eq!(commands, all.split(' ').collect(), "{file}");
    }
}

#[test]
fn every_make_target_that_is_shown_is_one() {
    let makefile = read("Makefile");
    for file in READMES {
        let page = read(file);
        let lines = commands(&page).into_iter().flat_map(str::lines).chain(spans(&page));
        for target in lines.filter_map(|line| line.strip_prefix("make ")) {
            assert!(makefile.contains(&format!("\n{target}:")), "{file}: make {target}");
        }
    }
}

/// The flags that take a value, each with its help in one line.
fn described(help: &str) -> BTreeMap<&str, String> {
    let mut flags = BTreeMap::new();
    let mut current = None;
    for line in help.split("Options:\n").nth(1).unwrap().lines().map(str::trim) {
        if let Some(flag) = line.strip_prefix("--") {
            // `--name <VALUE>`, or `--name[=<VALUE>]` if it can stand alone.
            current = flag.split_once(" <").or(flag.split_once("[=<")).map(|(name, _)| name);
        } else if line.starts_with('-') {
            current = None;
        } else if let Some(name) = current {
            let text: &mut String = flags.entry(name).or_default();
            text.push_str(line);
            text.push(' ');
        }
    }
    flags
}

/// The value after a word in a flag's help, such as `12345` in `[default: 12345]`.
fn said<'a>(help: &'a str, word: &str) -> Option<&'a str> {
    help.split(&format!("[{word}: ")).nth(1)?.split(']').next()
}

/// The ends of the range in a flag's error for the value `?`, which only a path can have.
fn range(command: &str, flag: &str) -> Vec<String> {
    let mut refused = Command::new(env!("CARGO_BIN_EXE_quiniela"));
    let output = refused.args([command, "--print-config", &format!("--{flag}=?")]).env_clear().output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    let range = [" number from ", " duration from "].iter().find_map(|form| message.split(form).nth(1));
    range.iter().flat_map(|text| text.split_whitespace().step_by(2).take(2)).map(str::to_owned).collect()
}

#[test]
fn the_settings_are_those_of_the_command_line() {
    for file in READMES {
        let page = read(file);
        // The central's table comes first. Some flags are in both.
        let rows: Vec<Vec<String>> = rows(&page).into_iter().filter(|row| row[0].starts_with("`--")).collect();
        let second = rows.iter().rposition(|row| row[0] == "`--config`").unwrap();
        let mut ranges = 0;
        for (command, rows) in [("server", &rows[..second]), ("agency", &rows[second..])] {
            let help = help(command);
            let mut described = described(&help);
            for row in rows {
                let flag = row[0].trim_matches('`').trim_start_matches("--");
                let text = &described.remove(flag).unwrap_or_else(|| panic!("{file}: {command} has no --{flag}"));
                for (cell, word) in row[1..4].iter().zip(["env", "file", "default"]) {
                    let expected = said(text, word).map(|value| format!("`{value}`")).unwrap_or_default();
                    assert_eq!(*cell, expected, "{file}: {command} --{flag}: {word}");
                }
                let ends = range(command, flag);
                assert!(ends.iter().all(|end| row[4].contains(end)), "{file}: {command} --{flag}: {ends:?}");
                ranges += usize::from(ends.len() == 2);
            }
            assert!(described.is_empty(), "{file}: {command} also has {:?}", described.keys());
        }
        assert!(ranges >= 17, "{file}: {ranges} settings have a range");
    }
}

#[test]
fn the_exit_codes_are_those_of_the_program() {
    let kinds = [Kind::Failed, Kind::BadInput, Kind::Unreachable, Kind::Refused, Kind::Storage, Kind::Unbalanced];
    let expected: Vec<[String; 2]> = std::iter::once(["0".to_owned(), String::new()])
        .chain(kinds.map(|kind| [kind.exit_code().to_string(), format!("`{kind:?}`")]))
        .collect();
    for file in READMES {
        let rows = rows(&read(file));
        let table = rows.iter().position(|row| row.len() == 3 && row[0] == "0").unwrap();
        let told: Vec<[String; 2]> =
            rows[table..].iter().take(expected.len()).map(|row| [row[0].clone(), row[1].clone()]).collect();
        assert_eq!(told, expected, "{file}");
    }
}

#[test]
fn every_test_that_is_named_is_there() {
    for file in READMES {
        let mut named = 0;
        for row in rows(&read(file)) {
            let Some(tests) = row.get(1).filter(|cell| cell.contains(".rs`")) else { continue };
            let mut source = String::new();
            for name in tests.split('`').skip(1).step_by(2) {
                if name.ends_with(".rs") {
                    source = read(name);
                } else {
                    let found = source.split_once(&format!("fn {name}("));
                    let before = found.unwrap_or_else(|| panic!("{file}: {tests}: there is no {name}")).0;
                    assert!(before.trim_end().ends_with("#[test]"), "{file}: {name} is no test");
                    named += 1;
                }
            }
        }
        assert!(named >= 9, "{file}");
    }
}

/// The actions that the sources pass to `Event`.
fn actions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            actions(&entry.path(), found);
            continue;
        }
        let text = fs::read_to_string(entry.path()).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap().split_whitespace().collect::<Vec<_>>();
        let code = code.join(" ");
        let starts = ["Event::success(", "Event::fail(", "Event::in_progress(", "Event::new(", "Event::quiet_if("];
        for call in starts.iter().chain(&["event("]).flat_map(|start| code.split(start).skip(1)) {
            let arguments = call.split(')').next().unwrap();
            found.extend(arguments.split('"').nth(1).map(str::to_owned));
        }
    }
}

#[test]
fn every_log_action_is_told_of_and_no_other() {
    let mut logged = BTreeSet::new();
    actions(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut logged);
    for file in READMES {
        let page = read(file);
        let section = page.split("\n## ").find(|section| section.contains("`agencia_finalizada`")).unwrap();
        let told: BTreeSet<String> = rows(section)
            .into_iter()
            .flat_map(|row| row[1].split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>())
            .filter(|word| word != "in_progress")
            .collect();
        assert_eq!(told, logged, "{file}");
    }
}
