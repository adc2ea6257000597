//! The Debian package in a container: installed, started as its unit would, stopped, removed, purged.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::stage::succeed;

/// Only systemd would read the unit, and a container has none. So its line is run by the shell, as the same user, in the
/// same folder.
const LIFE: &str = r#"set -eu
say() { echo "== $*"; }
installed() {
  dpkg -i /packages/*.deb >/dev/null
  getent passwd quiniela >/dev/null
}
start() {
  line=$(sed -n 's/^ExecStart=//p' /lib/systemd/system/quiniela.service)
  install -d -o quiniela -g quiniela -m 700 /var/lib/quiniela
  cd /var/lib/quiniela
  STATE_DIRECTORY=/var/lib/quiniela QUINIELA_OPTIONS="--client-amount 1" \
    setpriv --reuid quiniela --regid quiniela --clear-groups sh -c "exec $line" >/tmp/log &
  pid=$!
  tries=0
  until quiniela health; do
    tries=$((tries + 1)); [ "$tries" -lt 100 ] || { cat /tmp/log; exit 1; }
    sleep 0.1
  done
}
stop() { kill -TERM "$pid"; wait "$pid"; }

installed
say version "$(quiniela --version)"
say completions "$(ls /usr/share/bash-completion/completions/quiniela)"
say man "$(find /usr/share/man/man1 /usr/share/doc/quiniela -name 'quiniela-server.1*' | wc -l)"
start
say owner "$(stat -c %U /var/lib/quiniela/bets.csv)"
stop
say stopped "$(tail -1 /tmp/log)"
dpkg -r quiniela >/dev/null
say removed "$(command -v quiniela || echo gone)" "$(ls /etc/quiniela)"
dpkg -P quiniela >/dev/null 2>/tmp/told
say purged-with-bets "$(ls /var/lib/quiniela | tr '\n' ' ')" "$(getent passwd quiniela | cut -d: -f1)" "$(cat /tmp/told)"
rm /var/lib/quiniela/*
installed
dpkg -P quiniela >/dev/null
say purged "$(ls -d /var/lib/quiniela /etc/quiniela /lib/systemd/system/quiniela* 2>/dev/null)" "$(getent passwd quiniela || echo nobody)"
"#;

#[test]
#[ignore = "needs a Docker engine"]
fn the_debian_package_installs_starts_stops_and_purges() {
    // Building cargo-deb takes minutes, which a run of all tests does not have.
    let has_tool = Command::new("cargo-deb").arg("--version").output().is_ok_and(|output| output.status.success());
    if !has_tool {
        return eprintln!("SKIPPED: there is no cargo-deb; `cargo install cargo-deb` installs it");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // A temporary folder, because `make dist` may be in use by a person.
    let folder = tempfile::tempdir().unwrap();
    // Everything but the profile is as in a release. The test is about the package, and a release takes minutes more.
    let mut build = Command::new("scripts/deb");
    build.current_dir(root).env("DIST_DIR", folder.path().join("dist")).env("DIST_PROFILE", "dev");
    succeed(build);
    let packages = folder.path().join("packages");
    fs::create_dir(&packages).unwrap();
    for entry in fs::read_dir(folder.path().join("dist")).unwrap().map(Result::unwrap) {
        if entry.path().extension().is_some_and(|extension| extension == "deb") {
            fs::copy(entry.path(), packages.join(entry.file_name())).unwrap();
        }
    }
    let mut life = Command::new("docker");
    let volume = format!("{}:/packages:ro", packages.display());
    life.args(["run", "--rm", "--network", "none", "-v", &volume, "debian:bookworm-slim", "bash", "-c", LIFE]);
    let told = String::from_utf8(succeed(life).stdout).unwrap();
    let line = |name: &str| {
        let start = format!("== {name} ");
        told.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_else(|| panic!("{name}: {told}"))
    };
    assert!(line("version").starts_with(&format!("quiniela {} (", env!("CARGO_PKG_VERSION"))), "{told}");
    assert_eq!(line("man"), "1", "{told}");
    assert_eq!(line("owner"), "quiniela", "{told}");
    assert!(line("stopped").ends_with("action: shutdown | result: success"), "{told}");
    assert_eq!(line("removed"), "gone quiniela.env", "{told}");
    let kept = line("purged-with-bets");
    assert!(kept.contains("bets.csv") && kept.contains(" quiniela quiniela: /var/lib/quiniela holds bets"), "{told}");
    assert_eq!(line("purged").trim(), "nobody", "{told}");
}
