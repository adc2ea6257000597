//! The file of the agency's receipt: the seal that it was shown, to be laid beside those of others.

use std::cell::RefCell;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::config::LotteryTask;
use crate::domain::acta::{self, Receipt};
use crate::error::{Error, Result};
use crate::output::{WholeFile, check_replaceable};

pub(super) struct ReceiptFile {
    path: PathBuf,
    /// None once it is written.
    file: Option<WholeFile>,
    /// The one that is there already.
    before: Option<Receipt>,
}

impl ReceiptFile {
    /// Fails now if the file cannot be written, and not after a long upload. None if nobody wants one.
    pub(super) fn new(task: &LotteryTask) -> Result<Option<ReceiptFile>> {
        let Some(path) = &task.receipt else { return Ok(None) };
        if is_same_file(path, &task.file) {
            return Err(Error::bad_input(format!(
                "--receipt {}: is the file of the agency's bets; give another",
                path.display()
            )));
        }
        if task.winners.as_ref() == Some(path) {
            return Err(Error::bad_input(format!(
                "--receipt {}: is --winners' file too; give another",
                path.display()
            )));
        }
        let before = RefCell::new(None);
        if !task.force {
            check_replaceable(path, "receipt", |bytes| {
                *before.borrow_mut() = acta::read(bytes).ok();
                before.borrow().is_some()
            })?;
        }
        let file = Some(WholeFile::create_private(path)?);
        Ok(Some(ReceiptFile { path: path.clone(), file, before: before.into_inner() }))
    }

    /// Makes the file appear under its name, unless it has already. A receipt that shows another seal of the same lottery is
    /// the proof that there are two, and stays.
    pub(super) fn keep(&mut self, receipt: &Receipt) -> Result<()> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        let is_other = |before: &&Receipt| before.lottery == receipt.lottery && before.sealed() != receipt.sealed();
        if let Some(before) = self.before.as_ref().filter(is_other) {
            let (path, seal, time) = (self.path.display(), before.seal, before.sealed_at);
            return Err(Error::refused(format!(
                "the central shows the seal {} of {} s since 1970, and the receipt {path} of the same lottery shows {seal} of \
                 {time}: there must be one alone; keep that file, and ask the central's operator",
                receipt.seal, receipt.sealed_at
            )));
        }
        let text = acta::write(receipt).map_err(|error| Error::failed(format!("cannot write the receipt: {error}")))?;
        file.write(text.as_bytes())?;
        file.finish()
    }
}

/// Whether a path leads to this file, whatever it is called.
pub(super) fn is_same_file(path: &Path, file: &Path) -> bool {
    let place = |path: &Path| path.metadata().ok().map(|file| (file.dev(), file.ino()));
    place(path).is_some_and(|found| Some(found) == place(file))
}
