//! Tells the program which commit it is built from, and for which target: `quiniela --version` shows both.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Who builds without a repository, such as a packager, can say it.
const COMMIT: &str = "QUINIELA_COMMIT";
/// Digits of a commit's id that are shown.
const DIGITS: usize = 12;

fn main() {
    println!("cargo::rerun-if-env-changed={COMMIT}");
    println!("cargo::rerun-if-changed=build.rs");
    let said = std::env::var(COMMIT).ok().filter(|commit| !commit.is_empty());
    let commit = said.or_else(packaged).or_else(checked_out).unwrap_or_else(|| "unknown".to_owned());
    let commit: String = commit.chars().take(DIGITS).collect();
    println!("cargo::rustc-env={COMMIT}={commit}");
    println!("cargo::rustc-env=QUINIELA_TARGET={}", std::env::var("TARGET").unwrap_or_default());
}

/// `cargo package` notes the commit in a file.
fn packaged() -> Option<String> {
    let text = fs::read_to_string(".cargo_vcs_info.json").ok()?;
    text.split("\"sha1\"").nth(1)?.split('"').nth(1).map(str::to_owned)
}

/// The commit of the repository whose top is this folder, and not of another one that it may lie in.
fn checked_out() -> Option<String> {
    // Every commit would make every test be built again.
    if std::env::var("PROFILE").ok()? == "debug" {
        return None;
    }
    if !git(&["rev-parse", "--show-prefix"])?.is_empty() || git(&["ls-files", "Cargo.toml"])?.is_empty() {
        return None;
    }
    // Cargo would build again each time if one of them were missing.
    let branch = git(&["symbolic-ref", "-q", "HEAD"]);
    for name in [Some("HEAD"), Some("packed-refs"), branch.as_deref()].into_iter().flatten() {
        let path = git(&["rev-parse", "--git-path", name])?;
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
