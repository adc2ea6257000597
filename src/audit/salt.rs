//! Secrets, salts and leaves, as docs/AUDIT.md defines them.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::tree::{self, Node};
use crate::domain::{Hash, Secret, Status};

/// Bytes of a salt.
pub const SALT: usize = 16;

/// What an agency's salts are made with.
#[derive(Clone)]
pub struct Salts(Hmac<Sha256>);

/// An agency's secret, from that of the store.
pub fn secret_of(store: Secret, agency: u32) -> Secret {
    let mut mac = keyed(store);
    mac.update(format!("agency {agency}").as_bytes());
    Secret(mac.finalize().into_bytes().into())
}

impl Salts {
    pub fn new(secret: Secret) -> Salts {
        Salts(keyed(secret))
    }

    /// The salt of the bet at this place, which counts from 0.
    pub fn salt(&self, place: u64) -> [u8; SALT] {
        let mut mac = self.0.clone();
        mac.update(&place.to_be_bytes());
        let whole: [u8; 32] = mac.finalize().into_bytes().into();
        std::array::from_fn(|at| whole[at])
    }

    /// The leaf of a bet, whose row has its line end.
    pub fn leaf(&self, place: u64, row: &[u8]) -> Node {
        leaf_of(&self.salt(place), row)
    }
}

pub fn leaf_of(salt: &[u8; SALT], row: &[u8]) -> Node {
    tree::leaf(&[salt, row])
}

/// The leaf of an agency in the tree of the seal.
pub fn line_leaf(agency: u32, bets: u64, root: Hash, status: Status) -> Node {
    tree::leaf(&[format!("{agency},{bets},{root},{status}\n").as_bytes()])
}

fn keyed(secret: Secret) -> Hmac<Sha256> {
    // HMAC fills a key up to a block with zeros.
    let mut block = [0; 64];
    block[..32].copy_from_slice(&secret.0);
    Hmac::new(&block.into())
}
