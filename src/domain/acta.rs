//! The documents that people keep of a lottery: the acta of its central, the receipt of an agency, the ticket of a bet. Each
//! is JSON in one form alone, and its last field is a checksum over the rest, so that no byte of it can change unnoticed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::AgencyId;
use super::seal::{LotteryId, SealLine, Sealed, Secret, Status};
use super::tree::Hash;

/// The format of the documents that are written, and the only one that is read.
pub const FORMAT: u32 = 1;

/// What is known of a lottery whose betting is closed, `acta.json`. It has no bet and no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acta {
    pub format: u32,
    pub lottery: LotteryId,
    /// In the order of their ids, from 1 on.
    pub agencies: Vec<ActaLine>,
    /// Bets in all.
    pub total: u64,
    pub seal: Hash,
    /// Seconds since 1970.
    pub sealed_at: u64,
    /// By the central.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draw: Option<ActaDraw>,
}

/// An agency of the acta.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActaLine {
    pub agency: u32,
    pub bets: u64,
    pub root: Hash,
    pub status: Status,
    /// By the agency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
    /// Bets that have won, once the draw is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub winners: Option<u64>,
}

/// The draw of the acta.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActaDraw {
    pub number: u32,
    /// Whether the number was not known before the seal.
    pub later: bool,
    /// Seconds since 1970.
    pub drawn_at: u64,
    /// By the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
}

/// A signature, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// `<scheme>:<base64>`: rustls' name of the scheme, and the signature.
    pub signature: String,
    /// The signer's certificate and those between it and the authority: DER as base64.
    pub certificates: Vec<String>,
}

/// What an agency was shown at the close.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    pub format: u32,
    pub lottery: LotteryId,
    pub agency: u32,
    /// The agency's own. Whoever has it can test guesses of the agency's bets.
    pub secret: Secret,
    pub bets: u64,
    pub root: Hash,
    pub status: Status,
    pub agencies: u32,
    pub total: u64,
    pub seal: Hash,
    pub sealed_at: u64,
    /// From the agency's line to the seal.
    pub path: Vec<Hash>,
    /// By the central.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
}

/// One bet, and what leads from it to the seal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    pub format: u32,
    pub lottery: LotteryId,
    pub agency: u32,
    /// Which of the agency's bets, from 1 on.
    pub bet: u64,
    /// The row as `bets.csv` has it, without its line end.
    pub row: String,
    /// 32 hexadecimal digits.
    pub salt: String,
    /// From the bet to its agency's root.
    pub path: Vec<Hash>,
    /// The agency's line.
    pub bets: u64,
    pub root: Hash,
    pub status: Status,
    /// From the agency's line to the seal.
    pub agency_path: Vec<Hash>,
    pub agencies: u32,
    pub total: u64,
    pub seal: Hash,
    pub sealed_at: u64,
    /// By the central.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
    /// The number that was drawn, if the draw was held when the ticket was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
}

/// What a store knows beside its bets, `secrets.json`: which lottery it is, and the secret from which those of its agencies
/// follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreSecrets {
    pub format: u32,
    pub lottery: LotteryId,
    pub secret: Secret,
}

/// A document and its checksum, as they are written.
#[derive(Serialize, Deserialize)]
struct Checked<T> {
    #[serde(flatten)]
    document: T,
    sha256: Hash,
}

impl Signed {
    /// From a signature's text and certificates in DER.
    pub fn new(signature: &str, certificates: &[Vec<u8>]) -> Signed {
        let certificates = certificates.iter().map(|certificate| STANDARD.encode(certificate)).collect();
        Signed { signature: signature.to_owned(), certificates }
    }
}

impl Acta {
    /// The acta of a lottery whose betting closes at this time, not signed yet.
    pub fn closing(lottery: LotteryId, agencies: Vec<ActaLine>, sealed_at: u64) -> Acta {
        let lines: Vec<SealLine> = agencies.iter().map(ActaLine::seal_line).collect();
        let Sealed { total, seal, .. } = Sealed::of(lottery, &lines, sealed_at);
        Acta { format: FORMAT, lottery, agencies, total, seal, sealed_at, signed: None, draw: None }
    }

    /// The same with its draw, and how many bets of each agency have won.
    pub fn drawn(&self, draw: ActaDraw, winners: impl Fn(AgencyId) -> u64) -> Acta {
        let mut acta = Acta { draw: Some(draw), ..self.clone() };
        for line in &mut acta.agencies {
            line.winners = Some(winners(AgencyId(line.agency)));
        }
        acta
    }

    pub fn lines(&self) -> impl DoubleEndedIterator<Item = SealLine> + ExactSizeIterator {
        self.agencies.iter().map(ActaLine::seal_line)
    }

    pub fn sealed(&self) -> Sealed {
        Sealed {
            lottery: self.lottery,
            agencies: self.agencies.len() as u32,
            total: self.total,
            seal: self.seal,
            time: self.sealed_at,
        }
    }
}

impl ActaLine {
    pub fn seal_line(&self) -> SealLine {
        SealLine { agency: AgencyId(self.agency), bets: self.bets, root: self.root, status: self.status }
    }
}

impl Receipt {
    pub fn seal_line(&self) -> SealLine {
        SealLine { agency: AgencyId(self.agency), bets: self.bets, root: self.root, status: self.status }
    }

    pub fn sealed(&self) -> Sealed {
        let Receipt { lottery, agencies, total, seal, sealed_at: time, .. } = *self;
        Sealed { lottery, agencies, total, seal, time }
    }
}

impl Ticket {
    pub fn seal_line(&self) -> SealLine {
        SealLine { agency: AgencyId(self.agency), bets: self.bets, root: self.root, status: self.status }
    }

    pub fn sealed(&self) -> Sealed {
        let Ticket { lottery, agencies, total, seal, sealed_at: time, .. } = *self;
        Sealed { lottery, agencies, total, seal, time }
    }
}

/// The text of a document.
pub fn write<T: Serialize>(document: &T) -> Result<String, String> {
    let sha256 = checksum(document)?;
    text(&Checked { document, sha256 })
}

/// Reads what [`write()`] has written, and nothing else. The error says what is wrong, and where it can be told.
pub fn read<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let Checked { document, sha256 }: Checked<T> =
        serde_json::from_slice(bytes).map_err(|error| format!("it is no such document, or damaged: {error}"))?;
    if checksum(&document)? != sha256 {
        return Err("its checksum, the last field, is not that of what stands before it".to_owned());
    }
    if write(&document)?.as_bytes() != bytes {
        return Err("it is not written in the one form that such a document has".to_owned());
    }
    Ok(document)
}

/// SHA-256 of the document's text without its checksum.
fn checksum<T: Serialize>(document: &T) -> Result<Hash, String> {
    Ok(Hash(Sha256::digest(text(document)?).into()))
}

fn text<T: Serialize>(document: &T) -> Result<String, String> {
    let json = serde_json::to_string_pretty(document).map_err(|error| error.to_string())?;
    Ok(json + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acta() -> Acta {
        let line =
            |agency, status| ActaLine { agency, bets: 7, root: Hash([1; 32]), status, signed: None, winners: Some(0) };
        let lottery = LotteryId(1 << 70);
        let signed = Some(Signed { signature: "ED25519:AAAA".to_owned(), certificates: vec!["AAAA".to_owned()] });
        let draw = Some(ActaDraw { number: 7574, later: true, drawn_at: 5, signed: signed.clone() });
        let agencies = vec![line(1, Status::Signed), line(2, Status::Undeclared)];
        Acta { format: FORMAT, lottery, agencies, total: 14, seal: Hash([2; 32]), sealed_at: 4, signed, draw }
    }

    #[test]
    fn a_document_is_read_as_it_was_written() {
        let text = write(&acta()).unwrap();
        assert_eq!(read(text.as_bytes()), Ok(acta()));
    }

    #[test]
    fn no_bit_of_a_document_can_change_and_no_byte_be_cut() {
        let text = write(&acta()).unwrap();
        for bit in 0..text.len() * 8 {
            let mut changed = text.clone().into_bytes();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(read::<Acta>(&changed).is_err(), "bit {bit}: {}", String::from_utf8_lossy(&changed));
        }
        for length in 0..text.len() {
            assert!(read::<Acta>(&text.as_bytes()[..length]).is_err(), "{length}");
        }
        assert!(read::<Acta>(format!("{text} ").as_bytes()).is_err());
        assert!(read::<Acta>(text.replace("  ", " ").as_bytes()).is_err());
    }
}
