//! Checks what docs/ARCHITECTURE.md says about the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap()
}

/// The cells of the table below a heading, without the table's header.
fn table(heading: &str) -> Vec<Vec<String>> {
    let page = page();
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).unwrap();
    let rows = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    rows.skip(2).map(cells).collect()
}

/// The texts between backquotes.
fn names(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn sources() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![PathBuf::from("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else {
                let text = fs::read_to_string(entry.path()).unwrap();
                found.insert(path.to_str().unwrap().to_owned(), text);
            }
        }
    }
    found
}

fn room(file: &str) -> &str {
    let path = file.strip_prefix("src/").unwrap();
    path.split_once('/').map_or(path, |(room, _)| room).trim_end_matches(".rs")
}

/// The code of a file, without its comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

/// The rooms that each room's code names, tests included.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, text) in sources() {
        let own = room(&file);
        if ["main", "lib"].contains(&own) {
            continue;
        }
        let known = imports.entry(own.to_owned()).or_default();
        for line in code(&text) {
            assert!(!line.contains("crate::{"), "{file}: a line for each room, or this test cannot read it: {line}");
            for after in line.split("crate::").skip(1) {
                let end = after.find(|character: char| !character.is_alphanumeric() && character != '_');
                let other = &after[..end.unwrap_or(after.len())];
                if other != own {
                    known.insert(other.to_owned());
                }
            }
        }
    }
    imports
}

#[test]
fn every_source_is_on_the_map_and_the_map_shows_nothing_else() {
    let mapped: Vec<String> = table("The map").iter().flat_map(|row| names(&row[0])).collect();
    let unique: BTreeSet<&String> = mapped.iter().collect();
    assert_eq!(unique.len(), mapped.len(), "a file is there twice");
    assert_eq!(unique, sources().keys().collect());
}

#[test]
fn rooms_import_what_the_page_says_and_nothing_else() {
    let said: BTreeMap<String, BTreeSet<String>> =
        table("Who may import whom").iter().map(|row| (names(&row[0]).pop_first().unwrap(), names(&row[1]))).collect();
    assert_eq!(imports(), said);
}

#[track_caller]
fn assert_no_circles(mut left: BTreeMap<String, BTreeSet<String>>) {
    while !left.is_empty() {
        let names: BTreeSet<String> = left.keys().cloned().collect();
        left.retain(|_, known| !known.is_disjoint(&names));
        assert!(left.len() < names.len(), "a circle among {names:?}");
    }
}

#[test]
fn rooms_do_not_import_each_other_in_circles() {
    assert_no_circles(imports());
}

/// A folder's `mod.rs` is exempt: it imports all of its files.
#[test]
fn files_of_a_room_do_not_import_each_other_in_circles() {
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, text) in sources() {
        let Some((folder, name)) = file.rsplit_once('/') else { continue };
        let is_for_tests =
            ["tests.rs", "testing.rs", "simulation.rs", "memory.rs"].iter().any(|end| name.ends_with(end));
        if name == "mod.rs" || is_for_tests {
            continue;
        }
        let known = imports.entry(file.clone()).or_default();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for after in code(text).flat_map(|line| line.split("super::").skip(1)) {
            let end = after.find(|character: char| !character.is_alphanumeric() && character != '_');
            known.insert(format!("{folder}/{}.rs", &after[..end.unwrap_or(after.len())]));
        }
    }
    assert!(imports["src/server/pool.rs"].contains("src/server/connection.rs"));
    assert_no_circles(imports);
}

/// These rules hold whatever the page's tables say.
#[test]
fn the_rooms_that_must_not_know_each_other_do_not() {
    let imports = imports();
    assert!(imports["domain"].is_empty());
    assert_eq!(imports["wire"], BTreeSet::from(["domain".to_owned()]));
    assert!(imports["database"].is_empty());
    assert_eq!(imports["ledger"], ["database", "domain"].map(str::to_owned).into());
    assert!(imports["audit"].is_disjoint(&["ledger", "wire", "server", "database"].map(str::to_owned).into()));
    assert!(!imports["server"].contains("agency") && !imports["agency"].contains("server"));
    for (room, known) in &imports {
        assert!(known.iter().all(|other| imports.contains_key(other)), "{room} imports {known:?}, which are no rooms");
    }
}

#[test]
fn what_is_not_there_is_not_there() {
    let absent = [
        ("src/domain/", &["std::net", "std::fs", "std::io", "std::time", "std::env", "mio::", "socket2::"][..]),
        ("src/server/central.rs", &["TcpStream", "io::Write", ".write_all(", "std::net", "std::io"]),
        ("src/wire/", &["TcpStream", "std::fs", "mio::", "socket2::"]),
        ("src/ledger/", &["std::net", "mio::", "socket2::", "ACK|", "ACK_", "BATCH|", "tokio", "async "]),
        ("src/server/", &["env::var", "thread::sleep", "tokio"]),
        ("src/agency/", &["env::var", "thread::sleep"]),
        ("src/audit/", &["Levels::", "root_of_path", ".leaves()", "Sealed::of", "domain::tree"]),
        ("src/", &["process::exit", "process::abort", "println!(", "print!(", "unsafe {"]),
    ];
    let sources = sources();
    for (place, words) in absent {
        let files: Vec<_> = sources.iter().filter(|(file, _)| file.starts_with(place)).collect();
        assert!(!files.is_empty(), "{place} holds no source");
        for (file, text) in files {
            // Only `main` prints errors, to standard error.
            // And only the lane for handshakes rests, for a bounded time.
            let code = code(text).filter(|line| !line.contains("min(LONGEST_REST)"));
            // And only `main` makes a panic the end of the process.
            let code = code.filter(|line| file != "src/main.rs" || !line.contains("process::abort"));
            for line in code.map(|line| line.replace("eprintln!(", "")) {
                let found = words.iter().find(|word| line.contains(**word));
                assert_eq!(found, None, "{file}: {line}");
            }
        }
    }
}

#[test]
fn everything_but_http_is_plain_threads() {
    let sources = sources();
    assert!(sources["src/observe/http.rs"].contains("tokio::"));
    for (file, text) in sources.iter().filter(|(file, _)| !file.starts_with("src/observe/")) {
        let is_async = |line: &&str| {
            let awaits = line
                .split(".await")
                .skip(1)
                .any(|rest| !rest.starts_with(|next: char| next == '_' || next.is_alphanumeric()));
            awaits || ["async fn", "hyper", "axum"].iter().any(|word| line.contains(word))
        };
        let has_runtime = |line: &&str| line.contains("tokio::") || is_async(line);
        // The database's driver brings a runtime too. That room drives it to its end where it asks, without functions like it.
        let in_driver = |line: &&str| line.contains("async fn");
        let is_wrong =
            |line: &&str| if file.starts_with("src/database/") { in_driver(line) } else { has_runtime(line) };
        assert_eq!(code(text).find(is_wrong), None, "{file}");
    }
}

#[test]
fn every_limit_is_a_constant_where_the_page_says() {
    let (sources, limits) = (sources(), table("Limits"));
    assert!(limits.len() > 15);
    for row in limits {
        let (name, file) = (names(&row[0]).pop_first().unwrap(), names(&row[1]).pop_first().unwrap());
        assert!(sources[&file].contains(&format!("const {name}: ")), "{file} has no constant {name}");
    }
}
