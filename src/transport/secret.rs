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
    let mode = file.metadata().map_err(failed)?.mode();
    if mode & 0o077 != 0 {
        let (shown, mode) = (path.display(), mode & 0o777);
        let advice = format!("if nobody has, run: chmod 600 {shown}");
        return Err(Error::bad_path(path, format!("others than its owner can read it (mode {mode:03o}); {advice}")));
    }
    Ok(file)
}
