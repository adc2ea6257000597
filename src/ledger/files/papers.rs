//! The small files beside `bets.csv`: the secrets, what agencies have signed, and the acta. The journal holds the length and
//! the checksum of each, so one that does not fit is damage.

use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::JOURNAL;
use super::disk::{Folder, Medium, write_anew};
use super::log::renew_journal;
use super::open_error::OpenError;
use super::record::Extent;
use crate::domain::acta::{self, Acta, FORMAT, Signed, StoreSecrets};
use crate::domain::seal::Declared;
use crate::domain::{AgencyId, Hash, LotteryId, Secret};

/// Which lottery this is, and its secret.
pub const SECRETS: &str = "secrets.json";
/// What agencies have signed with their DONE: a line of JSON for each.
pub const DECLARATIONS: &str = "declarations.jsonl";
/// What is known of the lottery since it was sealed.
pub const ACTA: &str = "acta.json";
/// The name of a new acta until the journal has a record of it.
const NEW_ACTA: &str = "acta.new";

/// No file of these is larger, and a start reads no larger one into memory.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// Which of these files the journal knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extents {
    /// The lottery, and the checksum of the file of its secrets.
    pub lottery: Option<(LotteryId, u32)>,
    pub declarations: Extent,
    pub acta: Option<Extent>,
}

/// See the module.
pub struct Papers {
    pub secrets: StoreSecrets,
    /// The text of the secrets, until it is on disk.
    unwritten: Option<String>,
    /// The journal says which lottery this is, so the next start will say so too.
    is_known: bool,
    pub extents: Extents,
    pub acta: Option<Arc<Acta>>,
    /// The acta has not got its name yet, although the journal has a record of it.
    is_unnamed: bool,
}

/// A line of [`DECLARATIONS`]: what an agency has signed.
#[derive(Serialize, Deserialize)]
pub struct SignedLine {
    pub agency: u32,
    pub bets: u64,
    pub root: Hash,
    pub signed: Signed,
}

impl Papers {
    /// Reads the files that the journal knows, and finishes or removes what a crash has left of a new acta.
    pub fn open(folder: &dyn Folder, extents: Extents) -> Result<Papers, OpenError> {
        let is_known = extents.lottery.is_some();
        let (secrets, unwritten) = match extents.lottery {
            Some((lottery, crc)) => (read_secrets(folder, lottery, crc)?, None),
            None => {
                let secrets = new_secrets().map_err(|what| OpenError::at(&folder.path(SECRETS), &what))?;
                let text = acta::write(&secrets).map_err(|what| OpenError::at(&folder.path(SECRETS), &what))?;
                (secrets, Some(text))
            }
        };
        let acta = match extents.acta {
            Some(extent) => Some(settle_acta(folder, extent)?),
            None => refuse_acta(folder).map(|()| None)?,
        };
        settle_declarations(folder, extents.declarations)?;
        // If a crash came before the journal's record of it, nobody has heard of it, and it will be made again.
        remove(folder, NEW_ACTA)?;
        Ok(Papers { secrets, unwritten, is_known, extents, acta: acta.map(Arc::new), is_unnamed: false })
    }

    /// Writes the secrets of a new store. Their name has to be on disk before the journal's record is.
    pub fn write_secrets(&mut self, folder: &dyn Folder) -> io::Result<()> {
        let Some(text) = &self.unwritten else { return Ok(()) };
        write_anew(folder, SECRETS, text.as_bytes())?;
        folder.sync_names()?;
        self.extents.lottery = Some((self.secrets.lottery, Extent::of(text.as_bytes()).crc));
        self.unwritten = None;
        Ok(())
    }

    /// Notes that the journal says which lottery this is.
    pub fn note_journal(&mut self) {
        self.is_known |= self.extents.lottery.is_some();
    }

    /// The secrets that the next start will find too.
    pub fn lasting_secrets(&self) -> Option<&StoreSecrets> {
        Some(&self.secrets).filter(|_| self.is_known)
    }

    /// Writes what agencies have signed behind what others have, and syncs it. Returns the file's new extent. What it writes
    /// does not count, and is written over, until the journal has a record of that.
    pub fn append(&self, folder: &dyn Folder, signed: &[(AgencyId, Declared, Signed)]) -> io::Result<Extent> {
        let mut text = Vec::new();
        for (AgencyId(agency), Declared { bets, root }, signed) in signed {
            let line = SignedLine { agency: *agency, bets: *bets, root: *root, signed: signed.clone() };
            serde_json::to_writer(&mut text, &line).map_err(io::Error::from)?;
            text.push(b'\n');
        }
        let file =
            if folder.exists(DECLARATIONS)? { folder.open(DECLARATIONS)? } else { folder.create(DECLARATIONS)? };
        // An earlier call may have made the file, and failed to sync its name.
        if self.extents.declarations.length == 0 {
            folder.sync_names()?;
        }
        file.write_all_at(&text, self.extents.declarations.length)?;
        file.sync()?;
        Ok(self.extents.declarations.extended(&text))
    }

    /// The newest signature of each agency.
    pub fn signatures(&self, folder: &dyn Folder) -> Result<Vec<(AgencyId, Declared, Signed)>, String> {
        let bytes = read_extent(folder, DECLARATIONS, self.extents.declarations)?;
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let read = lines.map(|line| {
            let SignedLine { agency, bets, root, signed } =
                serde_json::from_slice(line).map_err(|error| format!("{DECLARATIONS}: {error}"))?;
            Ok((AgencyId(agency), Declared { bets, root }, signed))
        });
        read.collect()
    }

    /// Writes a new acta beside the one that there is. It replaces that with [`Papers::name_acta`], once the journal has a
    /// record of its extent.
    pub fn write_acta(&self, folder: &dyn Folder, acta: &Acta) -> io::Result<Extent> {
        let text = acta::write(acta).map_err(io::Error::other)?;
        write_anew(folder, NEW_ACTA, text.as_bytes())?;
        folder.sync_names()?;
        Ok(Extent::of(text.as_bytes()))
    }

    /// Notes that the journal has a record of the new acta.
    pub fn take_acta(&mut self, acta: Acta, extent: Extent) {
        self.extents.acta = Some(extent);
        self.acta = Some(Arc::new(acta));
        self.is_unnamed = true;
    }

    /// Puts the new acta in place, if that was not done yet. After an error, the next call or the next start does it.
    pub fn name_acta(&mut self, folder: &dyn Folder) -> io::Result<()> {
        if self.is_unnamed {
            // An earlier call may have come so far, and failed to sync that.
            if folder.exists(NEW_ACTA)? {
                folder.rename(NEW_ACTA, ACTA)?;
            }
            folder.sync_names()?;
            self.is_unnamed = false;
        }
        Ok(())
    }
}

/// Those of a new lottery.
pub fn new_secrets() -> Result<StoreSecrets, String> {
    let mut bytes = [0; 48];
    getrandom::fill(&mut bytes).map_err(|error| format!("there are no random bytes: {error}"))?;
    let (mut id, mut secret) = ([0; 16], [0; 32]);
    id.copy_from_slice(&bytes[..16]);
    secret.copy_from_slice(&bytes[16..]);
    Ok(StoreSecrets { format: FORMAT, lottery: LotteryId(u128::from_be_bytes(id)), secret: Secret(secret) })
}

/// The files that the journal knows, as far as it knows them: each name with its bytes.
pub fn read_all(folder: &dyn Folder, extents: Extents) -> Result<Vec<(&'static str, Vec<u8>)>, OpenError> {
    let mut files = Vec::new();
    if let Some((lottery, crc)) = extents.lottery {
        let secrets = read_secrets(folder, lottery, crc)?;
        // A document has one form alone, so these are the bytes of the file.
        let text = acta::write(&secrets).map_err(|what| OpenError::at(&folder.path(SECRETS), &what))?;
        files.push((SECRETS, text.into_bytes()));
    }
    if extents.declarations.length > 0 {
        let bytes = read_extent(folder, DECLARATIONS, extents.declarations);
        files.push((DECLARATIONS, bytes.map_err(|what| OpenError::at(&folder.path(DECLARATIONS), &what))?));
    }
    if let Some(extent) = extents.acta {
        // Until it has its name, which comes right after the journal's record.
        let bytes = read_extent(folder, ACTA, extent).or_else(|what| {
            let unnamed = read_extent(folder, NEW_ACTA, extent);
            unnamed.map_err(|_| OpenError::at(&folder.path(ACTA), &what))
        });
        files.push((ACTA, bytes?));
    }
    Ok(files)
}

fn read_secrets(folder: &dyn Folder, lottery: LotteryId, crc: u32) -> Result<StoreSecrets, OpenError> {
    let bad = |what: &str| {
        let what = format!("{what}; restore all files of this folder from one copy");
        OpenError::at(&folder.path(SECRETS), &what)
    };
    let bytes = read_whole(folder, SECRETS).map_err(|what| bad(&what))?;
    if Extent::of(&bytes).crc != crc {
        return Err(bad("is not the file that the journal knows (the checksum is wrong)"));
    }
    let secrets: StoreSecrets = acta::read(&bytes).map_err(|what| bad(&what))?;
    if secrets.lottery != lottery {
        return Err(bad("is that of another lottery"));
    }
    Ok(secrets)
}

/// Checks what agencies have signed, and cuts off what a crash has left behind that.
fn settle_declarations(folder: &dyn Folder, extent: Extent) -> Result<(), OpenError> {
    let bad = |what: &str| OpenError::at(&folder.path(DECLARATIONS), what);
    if extent.length > 0 {
        read_extent(folder, DECLARATIONS, extent)
            .map_err(|what| bad(&format!("{what}; restore all files of this folder from one copy")))?;
    }
    let cut = || -> io::Result<()> {
        if folder.exists(DECLARATIONS)? {
            let file = folder.open(DECLARATIONS)?;
            if file.len()? > extent.length {
                file.set_len(extent.length)?;
            }
            file.sync()?;
        }
        Ok(())
    };
    cut().map_err(|error| bad(&format!("cannot shorten: {error}")))
}

/// An acta gets its name after the journal's record of it, so one without a record is of another time or another lottery.
fn refuse_acta(folder: &dyn Folder) -> Result<(), OpenError> {
    let exists = folder.exists(ACTA).map_err(OpenError::of(folder, ACTA, "look for it"))?;
    let what = "the journal does not know it; restore all files of this folder from one copy, or move all of them away to \
                start a new lottery";
    if exists { Err(OpenError::at(&folder.path(ACTA), what)) } else { Ok(()) }
}

/// The acta that the journal knows. It gets its name, if a crash came before that.
fn settle_acta(folder: &dyn Folder, extent: Extent) -> Result<Acta, OpenError> {
    let bad = |what: &str| {
        let what = format!("{what}; restore all files of this folder from one copy");
        OpenError::at(&folder.path(ACTA), &what)
    };
    let bytes = match read_extent(folder, ACTA, extent) {
        Ok(bytes) => bytes,
        Err(what) => {
            let bytes = read_extent(folder, NEW_ACTA, extent).map_err(|_| bad(&what))?;
            // The journal's record of it may come from memory alone, and once it has its name it cannot do without it.
            renew_journal(folder).map_err(OpenError::of(folder, JOURNAL, "write again"))?;
            folder.rename(NEW_ACTA, ACTA).map_err(|error| bad(&format!("cannot be put in place: {error}")))?;
            bytes
        }
    };
    // This is needed for one that is in place too: an earlier central may have failed to sync its name, and the next acta
    // takes the place of the new one.
    folder.sync_names().map_err(|error| bad(&format!("cannot sync its name: {error}")))?;
    acta::read(&bytes).map_err(|what| bad(&what))
}

fn remove(folder: &dyn Folder, name: &'static str) -> Result<(), OpenError> {
    let removed = folder.remove(name);
    removed.map_err(|error| OpenError::at(&folder.path(name), &format!("cannot remove: {error}")))
}

/// The part of a file that the journal knows.
fn read_extent(folder: &dyn Folder, name: &str, extent: Extent) -> Result<Vec<u8>, String> {
    if extent.length == 0 {
        return Ok(Vec::new());
    }
    let mut bytes = read_whole(folder, name)?;
    let length = usize::try_from(extent.length).unwrap_or(usize::MAX);
    // The acta is known as a whole. Behind the declarations a crash may have left some that were never acknowledged.
    if name == DECLARATIONS {
        bytes.truncate(length);
    }
    if Extent::of(&bytes) == extent {
        return Ok(bytes);
    }
    let what = "is not the file that the journal knows (its length or its checksum is wrong)";
    Err(what.to_owned())
}

fn read_whole(folder: &dyn Folder, name: &str) -> Result<Vec<u8>, String> {
    let read = || -> io::Result<Vec<u8>> {
        let file: Box<dyn Medium> = folder.open(name)?;
        let length = file.len()?;
        if length > MAX_BYTES {
            return Err(io::Error::other(format!("it has {length} bytes, and such a file has {MAX_BYTES} at most")));
        }
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    };
    read().map_err(|error| format!("cannot read: {error}"))
}
