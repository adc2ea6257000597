//! A hash tree as RFC 9162, section 2.1 defines it: SHA-256, a 0 before a leaf and a 1 before two nodes, no padding.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

const LEAF: [u8; 1] = [0];
const NODE: [u8; 1] = [1];

/// A SHA-256 hash: 64 lowercase hexadecimal digits as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Hash(pub [u8; 32]);

/// A tree that grows leaf by leaf. It holds one hash for each bit that is set in the number of its leaves.
#[derive(Clone, Debug, Default)]
pub struct Tree(Stretch);

/// Neighbouring leaves of a tree, wherever they begin, hashed as far as that needs no others. It grows leaf by leaf.
#[derive(Clone, Debug, Default)]
pub struct Stretch {
    /// The place of the next leaf in the tree.
    next: u64,
    /// The roots of the largest whole subtrees, and their heights, in the order of their leaves.
    peaks: Vec<(u32, Hash)>,
}

impl Hash {
    /// The hash of a leaf whose content is these pieces.
    pub fn of_leaf(pieces: &[&[u8]]) -> Hash {
        let mut hasher = Sha256::new_with_prefix(LEAF);
        pieces.iter().for_each(|piece| hasher.update(piece));
        Hash(hasher.finalize().into())
    }

    fn of_node(left: Hash, right: Hash) -> Hash {
        let mut node = [0; 65];
        node[..1].copy_from_slice(&NODE);
        node[1..33].copy_from_slice(&left.0);
        node[33..].copy_from_slice(&right.0);
        Hash(Sha256::digest(node).into())
    }
}

impl Stretch {
    /// From the leaf at this place on.
    pub fn new(first: u64) -> Stretch {
        Stretch { next: first, peaks: Vec::new() }
    }

    pub fn push(&mut self, leaf: Hash) {
        self.add(0, leaf);
    }

    /// Adds a whole subtree of this height.
    fn add(&mut self, height: u32, root: Hash) {
        let (mut node, mut above) = (root, height);
        // It is the right one of two as long as its bit in the place is set. The left one may be before this stretch.
        while self.next >> above & 1 == 1
            && let Some((_, left)) = self.peaks.pop_if(|(height, _)| *height == above)
        {
            node = Hash::of_node(left, node);
            above += 1;
        }
        self.peaks.push((above, node));
        self.next += 1 << height;
    }
}

impl Tree {
    pub fn push(&mut self, leaf: Hash) {
        self.0.push(leaf);
    }

    /// Adds the leaves of a stretch, which has to begin where the tree ends.
    pub fn append(&mut self, stretch: &Stretch) {
        stretch.peaks.iter().for_each(|(height, root)| self.0.add(*height, *root));
    }

    pub fn leaves(&self) -> u64 {
        self.0.next
    }

    /// The hash of nothing if there are no leaves.
    pub fn root(&self) -> Hash {
        let peaks = self.0.peaks.iter().rev().map(|(_, root)| *root);
        peaks.reduce(|right, left| Hash::of_node(left, right)).unwrap_or_else(empty)
    }
}

/// A tree whose nodes are all kept, to tell the path of any leaf.
#[derive(Clone, Debug)]
pub struct Levels(Vec<Vec<Hash>>);

impl Levels {
    pub fn new(leaves: Vec<Hash>) -> Levels {
        let mut levels = vec![leaves];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            // A node without a neighbour goes up as it is.
            let pairs = level.chunks(2).filter_map(|pair| pair.iter().copied().reduce(Hash::of_node));
            levels.push(pairs.collect());
        }
        Levels(levels)
    }

    /// The hashes from the leaf's neighbour up to the root. `None` if there is no such leaf.
    pub fn path(&self, place: usize) -> Option<Vec<Hash>> {
        self.0.first()?.get(place)?;
        let neighbour = |(height, level): (usize, &Vec<Hash>)| level.get((place >> height) ^ 1).copied();
        Some(self.0.iter().enumerate().filter_map(neighbour).collect())
    }
}

/// The root of the tree of so many leaves in which this leaf has this place and this path (RFC 9162, section 2.1.3.2).
/// `None` if no such tree has a path of this length.
pub fn root_of_path(leaf: Hash, place: u64, leaves: u64, path: &[Hash]) -> Option<Hash> {
    if place >= leaves {
        return None;
    }
    let (mut node, mut first, mut last) = (leaf, place, leaves - 1);
    for hash in path {
        if last == 0 {
            return None;
        }
        if first & 1 == 1 || first == last {
            node = Hash::of_node(*hash, node);
            while first & 1 == 0 && first != 0 {
                (first, last) = (first >> 1, last >> 1);
            }
        } else {
            node = Hash::of_node(node, *hash);
        }
        (first, last) = (first >> 1, last >> 1);
    }
    (last == 0).then_some(node)
}

/// The hash of nothing, which is the root of a tree without leaves.
fn empty() -> Hash {
    Hash(Sha256::digest([]).into())
}

impl fmt::Display for Hash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

/// Accepts only the form that [`struct@Hash`] prints.
impl FromStr for Hash {
    type Err = String;

    fn from_str(text: &str) -> Result<Hash, String> {
        let bytes = from_hex(text).ok_or("a hash is 64 lowercase hexadecimal digits")?;
        Ok(Hash(bytes))
    }
}

/// Reads exactly so many bytes, two lowercase hexadecimal digits each.
pub(super) fn from_hex<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (digits, rest) = text.as_bytes().as_chunks::<2>();
    if digits.len() != BYTES || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; BYTES];
    for (byte, [high, low]) in bytes.iter_mut().zip(digits) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use proptest::prelude::*;

    fn leaf(number: usize) -> Vec<u8> {
        number.to_string().repeat(number % 7).into_bytes()
    }

    fn tree(leaves: usize) -> Tree {
        let mut tree = Tree::default();
        (0..leaves).for_each(|number| tree.push(Hash::of_leaf(&[&leaf(number)])));
        tree
    }

    fn path(leaves: usize, place: usize) -> Option<(Hash, Vec<Hash>)> {
        let hashes = (0..leaves).map(|number| Hash::of_leaf(&[&leaf(number)])).collect();
        Some((tree(leaves).root(), Levels::new(hashes).path(place)?))
    }

    /// As the RFC has it: split at the largest power of two below the number of leaves.
    fn naive(leaves: &[Vec<u8>]) -> Hash {
        match leaves {
            [] => Hash(Sha256::digest([]).into()),
            [leaf] => Hash::of_leaf(&[leaf]),
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                Hash::of_node(naive(left), naive(right))
            }
        }
    }

    #[test]
    fn published_roots_come_out() {
        // The leaves and roots of the Certificate Transparency reference implementation's tests.
        let hex = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = Tree::default();
        assert_eq!(tree.root().to_string(), roots[0]);
        for (leaf, root) in hex.iter().zip(&roots[1..]) {
            let byte = |at: usize| u8::from_str_radix(&leaf[at..at + 2], 16).unwrap();
            let leaf: Vec<u8> = (0..leaf.len()).step_by(2).map(byte).collect();
            tree.push(Hash::of_leaf(&[&leaf]));
            assert_eq!(tree.root().to_string(), *root);
        }
    }

    #[test]
    fn every_leaf_of_every_small_tree_has_its_path() {
        for leaves in 0..70 {
            assert_eq!(path(leaves, leaves), None);
            for place in 0..leaves {
                let (root, path) = path(leaves, place).unwrap();
                let own = Hash::of_leaf(&[&leaf(place)]);
                let found = |leaf, place: usize, leaves: usize, path: &[Hash]| {
                    root_of_path(leaf, place as u64, leaves as u64, path)
                };
                assert_eq!(root, tree(leaves).root());
                assert_eq!(found(own, place, leaves, &path), Some(root));
                assert_ne!(found(Hash::of_leaf(&[b"other"]), place, leaves, &path), Some(root));
                for other in (0..leaves).filter(|other| *other != place) {
                    assert_ne!(found(own, other, leaves, &path), Some(root), "{leaves}: {place} at {other}");
                }
                assert_eq!(found(own, place, place, &path), None);
                assert_eq!(found(own, place, leaves, &[&path[..], &[root]].concat()), None);
                if let Some((_, shorter)) = path.split_last() {
                    assert_eq!(found(own, place, leaves, shorter), None);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn any_tree_has_the_root_and_the_paths_that_others_find(leaves in 1..5000_usize, step in 1..97_usize) {
            let contents: Vec<Vec<u8>> = (0..leaves).map(leaf).collect();
            let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
            contents.iter().for_each(|leaf| theirs.push(leaf.clone()));
            let root = tree(leaves).root();
            prop_assert_eq!(root, naive(&contents));
            prop_assert_eq!(root.0.to_vec(), theirs.root().as_bytes().to_vec());
            for place in (0..leaves).step_by(leaves.div_ceil(40).max(step)) {
                let (found, path) = path(leaves, place).unwrap();
                prop_assert_eq!(found, root);
                let proof = theirs.prove_inclusion(place);
                prop_assert_eq!(path.iter().flat_map(|hash| hash.0).collect::<Vec<u8>>(), proof.as_bytes());
            }
        }

        #[test]
        fn every_leaf_leads_to_the_root(leaves in 1..5000_u64) {
            let first: Vec<Hash> = (0..leaves as usize).map(|number| Hash::of_leaf(&[&leaf(number)])).collect();
            let (root, levels) = (tree(leaves as usize).root(), Levels::new(first.clone()));
            for (place, leaf) in (0..).zip(first) {
                let path = levels.path(place as usize).unwrap();
                prop_assert_eq!(root_of_path(leaf, place, leaves, &path), Some(root));
            }
            prop_assert_eq!(levels.path(leaves as usize), None);
        }
    }

    #[test]
    fn a_hash_has_one_form() {
        let text = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
        assert_eq!(text.parse::<Hash>().unwrap().to_string(), text);
        for other in
            [&text[..62], &text.to_uppercase(), &format!("{text}00"), &text.replace("00", "0x"), "", &text[..63]]
        {
            assert!(other.parse::<Hash>().is_err(), "{other}");
        }
    }
}
