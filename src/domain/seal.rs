//! The seal of a lottery: one hash that binds every bet, and what is signed about it. Over each agency's bets stands a hash
//! tree. Its root stands in the agency's line, and the seal is the root of the tree over these lines.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::tree::{Hash, Tree, from_hex};
use super::{AgencyId, is_digits};

/// Bytes of the salt before each row.
pub const SALT: usize = 16;

/// The random id of a lottery, 16 bytes: 32 lowercase hexadecimal digits as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct LotteryId(pub u128);

/// What an agency's salts are made from. Whoever knows it can test guesses of that agency's bets against the hashes.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Secret(pub [u8; 32]);

/// Makes an agency's leaves.
#[derive(Clone)]
pub struct Leaves(Hmac<Sha256>);

/// How an agency has said that it has no more bets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Without their number and root.
    Undeclared,
    /// With a number and a root that are those of what is stored.
    Declared,
    /// With a signature over them too.
    Signed,
    /// With a number or a root that differ from what is stored, and the central's operator has decided to take it.
    Overridden,
}

/// The line of an agency, which is a leaf of the seal's tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealLine {
    pub agency: AgencyId,
    pub bets: u64,
    pub root: Hash,
    pub status: Status,
}

/// What an agency says it has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declared {
    pub bets: u64,
    pub root: Hash,
}

/// The sum of a sealed lottery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    pub lottery: LotteryId,
    pub agencies: u32,
    pub total: u64,
    pub seal: Hash,
    /// Seconds since 1970.
    pub time: u64,
}

impl Secret {
    /// The secret of an agency, from the secret of its store.
    pub fn of_agency(self, agency: AgencyId) -> Secret {
        let mut mac = keyed(&self.0);
        mac.update(format!("agency {agency}").as_bytes());
        Secret(mac.finalize().into_bytes().into())
    }

    /// What shows, to a central without keys, that somebody can read its store: 64 hexadecimal digits.
    pub fn operator_token(self) -> String {
        let mut mac = keyed(&self.0);
        mac.update(b"operator");
        Hash(mac.finalize().into_bytes().into()).to_string()
    }

    pub fn leaves(&self) -> Leaves {
        Leaves(keyed(&self.0))
    }
}

impl Leaves {
    /// The salt of the bet at this place, which counts from 0.
    pub fn salt(&self, place: u64) -> [u8; SALT] {
        let mut mac = self.0.clone();
        mac.update(&place.to_be_bytes());
        let whole: [u8; 32] = mac.finalize().into_bytes().into();
        let mut salt = [0; SALT];
        salt.copy_from_slice(&whole[..SALT]);
        salt
    }

    /// The leaf of a bet: its place, and its row as `bets.csv` has it, line end included.
    pub fn leaf(&self, place: u64, row: &[u8]) -> Hash {
        Hash::of_leaf(&[&self.salt(place), row])
    }
}

impl SealLine {
    pub fn leaf(&self) -> Hash {
        Hash::of_leaf(&[self.to_string().as_bytes()])
    }
}

impl Declared {
    /// What an agency signs.
    pub fn statement(&self, lottery: LotteryId, agency: AgencyId) -> String {
        format!("quiniela acta v1 {lottery} {agency},{},{}\n", self.bets, self.root)
    }
}

impl Sealed {
    /// The sum of these lines, in the order of the agencies.
    pub fn of<'a>(lottery: LotteryId, lines: impl IntoIterator<Item = &'a SealLine>, time: u64) -> Sealed {
        let (mut tree, mut agencies, mut total) = (Tree::default(), 0, 0);
        for line in lines {
            tree.push(line.leaf());
            agencies += 1;
            total += line.bets;
        }
        Sealed { lottery, agencies, total, seal: tree.root(), time }
    }

    /// What the central signs.
    pub fn statement(&self) -> String {
        let Sealed { lottery, agencies, total, seal, time } = self;
        format!("quiniela sello v1 {lottery} {agencies} {total} {seal} {time}\n")
    }
}

/// What the operator signs to hold the draw.
pub fn draw_statement(lottery: LotteryId, seal: Hash, number: u32) -> String {
    format!("quiniela sorteo v1 {lottery} {seal} {number}\n")
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    // HMAC fills keys up to a whole block with zeros, and takes such a block as it is.
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    Hmac::new(&block.into())
}

/// The leaf's content: `<agency>,<bets>,<root>,<status>` and a line feed.
impl fmt::Display for SealLine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SealLine { agency, bets, root, status } = self;
        writeln!(out, "{agency},{bets},{root},{status}")
    }
}

impl fmt::Display for Status {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Status::Undeclared => "undeclared",
            Status::Declared => "declared",
            Status::Signed => "signed",
            Status::Overridden => "overridden",
        })
    }
}

impl FromStr for Status {
    type Err = ();

    fn from_str(text: &str) -> Result<Status, ()> {
        let all = [Status::Undeclared, Status::Declared, Status::Signed, Status::Overridden];
        all.into_iter().find(|status| status.to_string() == text).ok_or(())
    }
}

impl fmt::Display for LotteryId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:032x}", self.0)
    }
}

/// Accepts only the form that [`LotteryId`] prints.
impl FromStr for LotteryId {
    type Err = String;

    fn from_str(text: &str) -> Result<LotteryId, String> {
        let bytes = from_hex(text).ok_or("a lottery's id is 32 lowercase hexadecimal digits")?;
        Ok(LotteryId(u128::from_be_bytes(bytes)))
    }
}

/// 64 lowercase hexadecimal digits.
impl fmt::Display for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hash(self.0).fmt(out)
    }
}

/// It must not get into a log by accident.
impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(…)")
    }
}

impl FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Secret, String> {
        from_hex(text).map(Secret).ok_or_else(|| "a secret is 64 lowercase hexadecimal digits".to_owned())
    }
}

/// The text of a whole number that has no other form: no sign and no zeros before it.
pub fn plain_number<T: FromStr>(text: &str) -> Option<T> {
    let is_plain = is_digits(text) && (text.len() == 1 || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

macro_rules! as_text {
    ($($kind:ty),*) => {$(
        impl From<$kind> for String {
            fn from(value: $kind) -> String {
                value.to_string()
            }
        }

        impl TryFrom<String> for $kind {
            type Error = String;

            fn try_from(text: String) -> Result<$kind, String> {
                text.parse()
            }
        }
    )*};
}

as_text!(LotteryId, Secret, Hash);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_is_salted_by_the_secret_and_the_place() {
        // As Python's hmac and hashlib have them.
        let leaves = Secret([7; 32]).of_agency(AgencyId(3)).leaves();
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex(&leaves.salt(258)), SALT_OF_258);
        assert_eq!(leaves.leaf(258, b"3,Ana,Paz,1,2000-01-01,7\r\n").to_string(), LEAF_OF_258);
    }

    const SALT_OF_258: &str = "95d3ff3bf7b5e0cfef1f1a6f69b8cdab";
    const LEAF_OF_258: &str = "9ec04b409422a78bb97e5f9299740a88e3a16df42348b60e87f9e5a0fc9487a4";

    #[test]
    fn what_is_signed_reads_as_the_protocol_says() {
        let root = Hash([0xab; 32]);
        let (hex, lottery) = ("ab".repeat(32), LotteryId(255));
        let id = "000000000000000000000000000000ff";
        let declared = Declared { bets: 5, root };
        assert_eq!(declared.statement(lottery, AgencyId(3)), format!("quiniela acta v1 {id} 3,5,{hex}\n"));
        let sealed = Sealed { lottery, agencies: 2, total: 9, seal: root, time: 1_700_000_000 };
        assert_eq!(sealed.statement(), format!("quiniela sello v1 {id} 2 9 {hex} 1700000000\n"));
        assert_eq!(draw_statement(lottery, root, 7574), format!("quiniela sorteo v1 {id} {hex} 7574\n"));
    }

    #[test]
    fn a_seal_is_the_root_over_the_agencies_lines() {
        let line =
            |agency, bets| SealLine { agency: AgencyId(agency), bets, root: Hash([1; 32]), status: Status::Signed };
        assert_eq!(line(1, 2).to_string(), format!("1,2,{},signed\n", "01".repeat(32)));
        let sealed = Sealed::of(LotteryId(1), &[line(1, 2), line(2, 3)], 4);
        let mut tree = Tree::default();
        [line(1, 2), line(2, 3)].iter().for_each(|line| tree.push(line.leaf()));
        assert_eq!((sealed.agencies, sealed.total, sealed.seal), (2, 5, tree.root()));
    }

    #[test]
    fn ids_secrets_and_words_have_one_form() {
        assert_eq!("000000000000000000000000000000ff".parse(), Ok(LotteryId(255)));
        for text in ["", "ff", "000000000000000000000000000000FF", "+00000000000000000000000000000ff"] {
            assert!(text.parse::<LotteryId>().is_err(), "{text}");
        }
        assert_eq!("0a".repeat(32).parse(), Ok(Secret([10; 32])));
        assert_eq!(format!("{:?}", Secret([10; 32])), "Secret(…)");
        for status in [Status::Undeclared, Status::Declared, Status::Signed, Status::Overridden] {
            assert_eq!(status.to_string().parse(), Ok(status));
        }
        assert_eq!("Signed".parse::<Status>(), Err(()));
        assert_eq!(
            [plain_number("0"), plain_number("70"), plain_number("07"), plain_number("+7")],
            [Some(0), Some(70), None, None]
        );
    }
}
