//! Files of private keys, opened for whoever needs one.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::error::{Error, Kind, Result};

/// Opens a private key's file. One that others can read is refused: they may have read it. The mode is that of the file that
/// was opened, whatever takes its place meanwhile.
pub fn open_secret(path: &Path) -> Result<File> {
    let failed = |error: std::io::Error| Error::at_path(Kind::BadInput, path, "read this file", &error);
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.mode() & 0o777;
    let is_ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if mode & 0o077 != 0 && !is_credential(mode, metadata.uid(), metadata.gid(), is_ours) {
        let shown = path.display();
        let advice = format!("if nobody has, run: chmod 600 {shown}");
        return Err(Error::bad_path(path, format!("others than its owner can read it (mode {mode:03o}); {advice}")));
    }
    Ok(file)
}

/// True for what systemd hands over with `LoadCredential`: root's file that nobody writes, with a list that lets one user more
/// read it. The group's bits are then that list's upper bound.
fn is_credential(mode: u32, owner: u32, group: u32, is_ours: bool) -> bool {
    mode == 0o440 && owner == 0 && group == 0 && !is_ours
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_roots_own_file_that_nobody_writes() {
        assert!(is_credential(0o440, 0, 0, false));
        for (mode, owner, group, is_ours) in
            [(0o440, 0, 0, true), (0o440, 1000, 0, false), (0o440, 0, 1000, false), (0o640, 0, 0, false)]
        {
            assert!(!is_credential(mode, owner, group, is_ours), "{mode:o} {owner} {group} {is_ours}");
        }
        assert!(!is_credential(0o444, 0, 0, false));
    }
}
