//! The shipped completions are those that the program generates now.

use std::fs;
use std::path::Path;
use std::process::Command;

use clap::ValueEnum as _;
use clap_complete::{Generator as _, Shell};

#[test]
fn the_shipped_completions_are_current() {
    let shells = Shell::value_variants();
    assert_eq!(shells.len(), 5, "bash, elvish, fish, powershell, zsh");
    for shell in shells {
        let file = Path::new("completions").join(shell.file_name("quiniela"));
        let generated =
            Command::new(env!("CARGO_BIN_EXE_quiniela")).args(["completions", &shell.to_string()]).output().unwrap();
        assert!(generated.status.success());
        let shipped = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).unwrap_or_default();
        assert!(shipped == generated.stdout, "{} is stale: run make completions", file.display());
    }
}
