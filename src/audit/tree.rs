//! The hash tree of RFC 9162, by other means than the central's: level by level, each node known by its level and its place
//! there. Two neighbours that have met make the node above them, in whatever order they come. A last node without a neighbour
//! goes up as it is, which makes the same tree as the RFC's splitting does.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest as _, Sha256};

pub type Node = [u8; 32];

/// Bytes of a short leaf, with the 0 before it.
const SHORT: usize = 160;

/// A tree to which runs of leaves come in any order. It holds only the nodes whose neighbours have not come.
#[derive(Debug, Default)]
pub struct Tree {
    waiting: HashMap<(u32, u64), Node>,
    watched: Option<Watched>,
}

/// The leaf whose path is wanted, and the nodes beside its way up, by their levels.
#[derive(Debug)]
struct Watched {
    place: u64,
    beside: BTreeMap<u32, Node>,
}

/// What is left of a run of neighbouring leaves once everything above them is made that can be.
pub struct Folded {
    alone: Vec<(u32, u64, Node)>,
    /// The nodes beside the way of a watched leaf.
    beside: Vec<(u32, Node)>,
}

/// The hash of a leaf, whose content is these pieces.
pub fn leaf(content: &[&[u8]]) -> Node {
    // One piece costs less than several, and most leaves are short.
    let (mut whole, mut end) = ([0; SHORT], 1);
    for piece in content {
        let Some(room) = whole.get_mut(end..end + piece.len()) else { return long_leaf(content) };
        room.copy_from_slice(piece);
        end += piece.len();
    }
    Sha256::digest(&whole[..end]).into()
}

fn long_leaf(content: &[&[u8]]) -> Node {
    let mut hasher = Sha256::new_with_prefix([0]);
    content.iter().for_each(|piece| hasher.update(piece));
    hasher.finalize().into()
}

fn join(left: &Node, right: &Node) -> Node {
    let mut both = [1; 65];
    both[1..33].copy_from_slice(left);
    both[33..].copy_from_slice(right);
    Sha256::digest(both).into()
}

/// The place of a place's neighbour on the same level.
fn beside(place: u64) -> u64 {
    place ^ 1
}

/// Makes what can be made of leaves that stand side by side, the first of them at this place.
pub fn fold(first: u64, mut nodes: Vec<Node>, watched: Option<u64>) -> Folded {
    let mut folded = Folded { alone: Vec::new(), beside: Vec::new() };
    let (mut level, mut first) = (0, first);
    while !nodes.is_empty() {
        let wanted = watched.and_then(|place| beside(place >> level).checked_sub(first));
        if let Some(node) = wanted.and_then(|at| nodes.get(usize::try_from(at).ok()?)) {
            folded.beside.push((level, *node));
        }
        // One that is the right one of its pair has its neighbour in another run, and so has a left one at the end.
        let skipped = usize::from(first % 2 == 1);
        if skipped == 1 {
            folded.alone.push((level, first, nodes[0]));
        }
        let pairs = (nodes.len() - skipped) / 2;
        if skipped + pairs * 2 < nodes.len() {
            folded.alone.push((level, first + nodes.len() as u64 - 1, nodes[nodes.len() - 1]));
        }
        for pair in 0..pairs {
            let left = skipped + pair * 2;
            nodes[pair] = join(&nodes[left], &nodes[left + 1]);
        }
        nodes.truncate(pairs);
        (level, first) = (level + 1, first.div_ceil(2));
    }
    folded
}

impl Tree {
    /// One that remembers the path of the leaf at this place, which counts from 0.
    pub fn watching(place: Option<u64>) -> Tree {
        Tree { watched: place.map(|place| Watched { place, beside: BTreeMap::new() }), ..Tree::default() }
    }

    pub fn add(&mut self, folded: Folded) {
        if let Some(watched) = &mut self.watched {
            watched.beside.extend(folded.beside);
        }
        folded.alone.into_iter().for_each(|(level, place, node)| self.put(level, place, node));
    }

    /// The root over this many leaves, and the path of the watched one. `None` if they have not all come.
    pub fn finish(mut self, leaves: u64) -> Option<(Node, Vec<Node>)> {
        let (mut level, mut width) = (0, leaves);
        while width > 1 {
            if width % 2 == 1 {
                let last = self.waiting.remove(&(level, width - 1))?;
                self.put(level + 1, (width - 1) / 2, last);
            }
            (level, width) = (level + 1, width.div_ceil(2));
        }
        let root = if leaves == 0 { Sha256::digest([]).into() } else { self.waiting.remove(&(level, 0))? };
        let path = self.watched.map(|watched| watched.beside.into_values().collect());
        self.waiting.is_empty().then(|| (root, path.unwrap_or_default()))
    }

    fn put(&mut self, mut level: u32, mut place: u64, mut node: Node) {
        loop {
            if let Some(watched) = &mut self.watched
                && beside(watched.place >> level) == place
            {
                watched.beside.insert(level, node);
            }
            let Some(other) = self.waiting.remove(&(level, beside(place))) else { break };
            node = if place.is_multiple_of(2) { join(&node, &other) } else { join(&other, &node) };
            (level, place) = (level + 1, place / 2);
        }
        self.waiting.insert((level, place), node);
    }
}

/// The root of the tree over these leaves, and the path of the one at a place.
pub fn whole(leaves: Vec<Node>, watched: Option<u64>) -> Option<(Node, Vec<Node>)> {
    let count = leaves.len() as u64;
    let mut tree = Tree::watching(watched);
    tree.add(fold(0, leaves, watched));
    tree.finish(count)
}

/// The root to which a path leads from a leaf at this place, of so many. `None` if the path's length is not right.
pub fn climb(leaf: Node, place: u64, leaves: u64, path: &[Node]) -> Option<Node> {
    if place >= leaves {
        return None;
    }
    let (mut node, mut place, mut width) = (leaf, place, leaves);
    let mut path = path.iter();
    while width > 1 {
        if beside(place) < width {
            let other = path.next()?;
            node = if place.is_multiple_of(2) { join(&node, other) } else { join(other, &node) };
        }
        (place, width) = (place / 2, width.div_ceil(2));
    }
    path.next().is_none().then_some(node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use fastrand::Rng;

    fn leaves(count: u64) -> Vec<Node> {
        (0..count).map(|number| leaf(&[b"a leaf", &number.to_be_bytes()])).collect()
    }

    fn theirs(count: u64) -> MemoryBackedTree<Sha256, Vec<u8>> {
        let mut tree = MemoryBackedTree::new();
        (0..count).for_each(|number| tree.push([&b"a leaf"[..], &number.to_be_bytes()].concat()));
        tree
    }

    #[test]
    fn roots_and_paths_are_those_that_others_find() {
        for count in (0..70).chain([127, 128, 129, 1000, 4999, 5000]) {
            let tree = theirs(count);
            assert_eq!(whole(leaves(count), None).unwrap().0.to_vec(), tree.root().as_bytes().to_vec(), "{count}");
            for place in (0..count).step_by(1 + count as usize / 60) {
                let (root, path) = whole(leaves(count), Some(place)).unwrap();
                assert_eq!(path.concat(), tree.prove_inclusion(place as usize).as_bytes(), "{place} of {count}");
                let own = leaf(&[b"a leaf", &place.to_be_bytes()]);
                assert_eq!(climb(own, place, count, &path), Some(root));
                assert_eq!(climb(own, place, place, &path), None);
                assert_eq!(climb(own, place, count, &[&path[..], &[root]].concat()), None);
                assert_ne!(climb(own, place ^ 1, count, &path), Some(root));
                assert!(path.is_empty() || climb(own, place, count, &path[1..]).is_none());
            }
        }
    }

    #[test]
    fn a_leaf_of_any_length_is_hashed_alike() {
        for length in 0..400 {
            let text = vec![b'x'; length];
            assert_eq!(leaf(&[&text[..length / 3], &text[length / 3..]]), long_leaf(&[&text]), "{length}");
        }
    }

    #[test]
    fn runs_of_leaves_may_come_in_any_order() {
        let mut rng = Rng::with_seed(10);
        for count in [1, 2, 3, 7, 64, 65, 1000, 1023] {
            let (all, watched) = (leaves(count), rng.u64(0..count));
            let mut runs = Vec::new();
            let mut from = 0;
            while from < count {
                let to = rng.u64(from + 1..=count.min(from + 1 + count / 7));
                runs.push((from, all[from as usize..to as usize].to_vec()));
                from = to;
            }
            rng.shuffle(&mut runs);
            let mut tree = Tree::watching(Some(watched));
            runs.into_iter().for_each(|(first, run)| tree.add(fold(first, run, Some(watched))));
            assert_eq!(tree.finish(count), whole(all, Some(watched)));
        }
    }

    #[test]
    fn a_tree_without_all_of_its_leaves_has_no_root() {
        let mut tree = Tree::default();
        tree.add(fold(0, leaves(5), None));
        assert_eq!(tree.finish(6), None);
        assert_eq!(whole(leaves(5), None), whole(leaves(5), Some(9)).map(|(root, _)| (root, Vec::new())));
    }
}
