//! A set of hashed entries whose digest is cheap to keep up to date.
//!
//! The tree is a function of the set alone, whatever the order of changes: a node with more than
//! [`LEAF_MAX`] entries is a branch over the next four bits of the entries' paths, any other is a
//! leaf with its entries sorted by key. A path is the hash of the key, so the tree is about
//! `log16(entries / LEAF_MAX)` deep, and changing an entry makes as many digests stale.
//!
//! ```text
//! digest(empty leaf) = 32 zero bytes
//! digest(leaf)       = H("kv-leaf" ‖ count ‖ entry digests in order of keys)
//! digest(branch)     = H("kv-branch" ‖ 16 child digests)
//! ```
//!
//! A sum of entry digests would be cheaper still, but is not collision resistant: a client who
//! chooses what is stored could make two states look alike.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::panic
)]

use consensus::state_machine::PartId;
use crypto::{Digest, Hasher};

use crate::record::Record;

/// Entries of a leaf at most, except at [`DEPTH_MAX`].
pub(crate) const LEAF_MAX: usize = 16;
/// Children of a branch.
const FANOUT: usize = 16;
/// Bits of a path that choose among children.
const CHILD_BITS: u32 = 4;
/// Leading bits of a path that choose the bucket, hence are the same in one trie.
pub(crate) const BUCKET_BITS: u32 = 10;
/// Where the bits of a path end. More than `LEAF_MAX` keys would have to agree in 126 bits of
/// SHA-256 to get there.
const DEPTH_MAX: u32 = (u128::BITS - BUCKET_BITS) / CHILD_BITS;

/// Where an entry belongs: the first bits of the hash of its key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path(pub(crate) u128);

impl Path {
    pub(crate) fn of(key: &[u8]) -> Self {
        let Digest(hash) = Digest::of("kv-key", key);
        let (head, _) = hash
            .split_first_chunk::<16>()
            .expect("a digest has 32 bytes");
        Path(u128::from_be_bytes(*head))
    }

    pub(crate) fn bucket(self) -> usize {
        usize::try_from(self.0 >> (u128::BITS.saturating_sub(BUCKET_BITS)))
            .expect("ten bits fit into a usize")
    }

    fn child(self, depth: u32) -> usize {
        let skipped = depth.saturating_mul(CHILD_BITS).saturating_add(BUCKET_BITS);
        let rest = self.0.checked_shl(skipped).unwrap_or(0);
        usize::try_from(rest >> 124).expect("four bits fit into a usize")
    }
}

/// The entries whose paths begin alike: those of a bucket, or of a node some levels down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    /// The first path of them; the bits behind the prefix are zero.
    first: u128,
    /// Levels below the root of the bucket's trie.
    depth: u32,
}

impl Prefix {
    /// All entries of a bucket.
    pub(crate) fn of_bucket(bucket: usize) -> Self {
        let first = u128::try_from(bucket).unwrap_or(0);
        Prefix {
            first: first << u128::BITS.saturating_sub(BUCKET_BITS),
            depth: 0,
        }
    }

    /// The prefix of the part; `None` if no node has it.
    pub(crate) fn of_part(part: PartId) -> Option<Self> {
        let below = u32::from(part.bits).checked_sub(BUCKET_BITS)?;
        let prefix = Prefix {
            first: part.path,
            depth: below / CHILD_BITS,
        };
        let valid = below.is_multiple_of(CHILD_BITS) && prefix.depth <= DEPTH_MAX;
        (valid && part.path & prefix.rest() == 0).then_some(prefix)
    }

    pub(crate) fn part(self) -> PartId {
        PartId {
            path: self.first,
            bits: u8::try_from(self.bits()).expect("a path has 128 bits"),
        }
    }

    /// The first and the last path under it.
    pub(crate) fn range(self) -> (Path, Path) {
        (Path(self.first), Path(self.first | self.rest()))
    }

    pub(crate) fn contains(self, path: Path) -> bool {
        path.0 & !self.rest() == self.first
    }

    pub(crate) fn bucket(self) -> usize {
        Path(self.first).bucket()
    }

    /// The node below it in this direction; `None` at the bottom.
    fn child(self, index: usize) -> Option<Prefix> {
        let depth = deeper(self.depth);
        let index = u128::try_from(index).ok()?;
        let shift = u128::BITS
            .saturating_sub(self.bits())
            .checked_sub(CHILD_BITS)?;
        (depth <= DEPTH_MAX).then_some(Prefix {
            first: self.first | (index << shift),
            depth,
        })
    }

    fn bits(self) -> u32 {
        self.depth
            .saturating_mul(CHILD_BITS)
            .saturating_add(BUCKET_BITS)
    }

    /// The bits behind the prefix.
    fn rest(self) -> u128 {
        u128::MAX.checked_shr(self.bits()).unwrap_or(0)
    }
}

/// An entry as the trie knows it. It shares its record with the table: whoever serves a part reads what
/// lies side by side here, where looking up each key of the part in the table would miss the caches
/// some thirty times a key.
#[derive(Clone)]
pub(crate) struct Item {
    pub(crate) path: Path,
    pub(crate) record: Record,
    /// Over key, version and value.
    pub(crate) digest: Digest,
}

impl Item {
    /// Hashes a record to find what its place is known by.
    pub(crate) fn of(path: Path, record: Record) -> Self {
        let mut hasher = Hasher::new("kv-entry");
        let version = record.version();
        hasher
            .part(record.key())
            .u64(version.seq.0)
            .u64(u64::from(version.rank))
            .part(record.value());
        Item {
            path,
            digest: hasher.finish(),
            record,
        }
    }

    fn key(&self) -> &[u8] {
        self.record.key()
    }
}

/// A node, and the whole of a trie.
#[derive(Clone)]
pub(crate) struct Node {
    content: Content,
    /// None if stale.
    digest: Option<Digest>,
}

#[derive(Clone)]
enum Content {
    Leaf(Vec<Item>),
    Branch {
        len: usize,
        children: Box<[Node; FANOUT]>,
    },
}

impl Default for Node {
    fn default() -> Self {
        Node {
            content: Content::Leaf(Vec::new()),
            digest: None,
        }
    }
}

impl Node {
    /// Adds or replaces the entry of a key.
    pub(crate) fn put(&mut self, item: Item) {
        self.put_at(0, item);
    }

    /// Removes the entry of a key, if there is one.
    pub(crate) fn remove(&mut self, path: Path, key: &[u8]) {
        self.remove_at(0, path, key);
    }

    /// The digest of all entries. Counts the hashes computed in `hashes`.
    pub(crate) fn digest(&mut self, hashes: &mut u64) -> Digest {
        if let Some(digest) = self.digest {
            return digest;
        }
        let hasher = match &mut self.content {
            Content::Leaf(items) if items.is_empty() => None,
            Content::Leaf(items) => {
                let mut hasher = Hasher::new("kv-leaf");
                hasher.u64(items.len() as u64);
                for item in items {
                    hasher.update(item.digest.as_bytes());
                }
                Some(hasher)
            }
            Content::Branch { children, .. } => {
                let mut hasher = Hasher::new("kv-branch");
                for child in children.iter_mut() {
                    hasher.update(child.digest(hashes).as_bytes());
                }
                Some(hasher)
            }
        };
        let digest = hasher.map_or_else(Digest::default, |hasher| {
            *hashes = hashes.saturating_add(1);
            hasher.finish()
        });
        self.digest = Some(digest);
        digest
    }

    /// The node that holds exactly the entries under `prefix`, which begins with the path of this
    /// trie's bucket: the one in place, or one made of a leaf that holds others as well.
    pub(crate) fn under(&mut self, prefix: Prefix) -> Under<'_> {
        let mut node = self;
        for depth in 0..prefix.depth {
            match &mut node.content {
                Content::Branch { children, .. } => {
                    node = child_mut(children, depth, Path(prefix.first));
                }
                Content::Leaf(items) => {
                    let inside = items.iter().filter(|item| prefix.contains(item.path));
                    return Under::Made(Node::leaf(inside.cloned().collect()));
                }
            }
        }
        Under::InPlace(node)
    }

    fn leaf(items: Vec<Item>) -> Self {
        Node {
            content: Content::Leaf(items),
            digest: None,
        }
    }

    /// Is it too large for a leaf?
    pub(crate) fn is_branch(&self) -> bool {
        matches!(self.content, Content::Branch { .. })
    }

    /// The digests of its children; `None` for a leaf.
    pub(crate) fn outline(&mut self, hashes: &mut u64) -> Option<Vec<Digest>> {
        match &mut self.content {
            Content::Leaf(_) => None,
            Content::Branch { children, .. } => {
                let digests = children.iter_mut().map(|child| child.digest(hashes));
                Some(digests.collect())
            }
        }
    }

    /// Adds or replaces an entry of a node at `prefix`. Says whether the key is new.
    pub(crate) fn put_under(&mut self, prefix: Prefix, item: Item) -> bool {
        self.put_at(prefix.depth, item)
    }

    /// Removes an entry of a node at `prefix`.
    pub(crate) fn remove_under(&mut self, prefix: Prefix, path: Path, key: &[u8]) {
        self.remove_at(prefix.depth, path, key);
    }

    /// Calls `visit` with every entry until it says no. Says whether it never did.
    pub(crate) fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a Item) -> bool) -> bool {
        match &self.content {
            Content::Leaf(items) => items.iter().all(visit),
            Content::Branch { children, .. } => children.iter().all(|child| child.visit(visit)),
        }
    }

    /// Says whether the key is new.
    fn put_at(&mut self, depth: u32, item: Item) -> bool {
        self.digest = None;
        match &mut self.content {
            Content::Leaf(items) => {
                match items.binary_search_by(|present| present.key().cmp(item.key())) {
                    Ok(index) => {
                        if let Some(present) = items.get_mut(index) {
                            *present = item;
                        }
                        return false;
                    }
                    Err(index) => items.insert(index, item),
                }
                if items.len() > LEAF_MAX && depth < DEPTH_MAX {
                    let items = std::mem::take(items);
                    self.content = split(depth, items);
                }
                true
            }
            Content::Branch { len, children } => {
                let added = child_mut(children, depth, item.path).put_at(deeper(depth), item);
                *len = len.saturating_add(usize::from(added));
                added
            }
        }
    }

    /// Says whether the key was there.
    fn remove_at(&mut self, depth: u32, path: Path, key: &[u8]) -> bool {
        let removed = match &mut self.content {
            Content::Leaf(items) => {
                let found = items.binary_search_by(|present| present.key().cmp(key));
                found.map(|index| items.remove(index)).is_ok()
            }
            Content::Branch { len, children } => {
                let removed = child_mut(children, depth, path).remove_at(deeper(depth), path, key);
                *len = len.saturating_sub(usize::from(removed));
                if *len <= LEAF_MAX {
                    self.content = merge(children);
                }
                removed
            }
        };
        if removed {
            self.digest = None;
        }
        removed
    }
}

/// See [`Node::under`].
pub(crate) enum Under<'a> {
    /// A node of the trie.
    InPlace(&'a mut Node),
    /// A copy of what a larger leaf holds of it.
    Made(Node),
}

impl Under<'_> {
    pub(crate) fn node(&mut self) -> &mut Node {
        match self {
            Under::InPlace(node) => node,
            Under::Made(node) => node,
        }
    }
}

/// The digest of a branch whose children have these, and which parts those are. `None` if it is
/// no outline of a node at `prefix`.
pub(crate) fn read_outline(
    prefix: Prefix,
    children: &[Digest],
) -> Option<(Digest, Vec<(Prefix, Digest)>)> {
    let mut hasher = Hasher::new("kv-branch");
    let mut parts = Vec::with_capacity(FANOUT);
    for (index, digest) in children.iter().enumerate() {
        hasher.update(digest.as_bytes());
        parts.push((prefix.child(index)?, *digest));
    }
    (children.len() == FANOUT).then(|| (hasher.finish(), parts))
}

fn deeper(depth: u32) -> u32 {
    depth.saturating_add(1)
}

fn child_mut(children: &mut [Node; FANOUT], depth: u32, path: Path) -> &mut Node {
    let child = children.get_mut(path.child(depth));
    child.expect("four bits choose among sixteen children")
}

/// The branch at `depth` that holds `items`.
fn split(depth: u32, items: Vec<Item>) -> Content {
    let mut children = Box::new(std::array::from_fn(|_| Node::default()));
    let len = items.len();
    for item in items {
        child_mut(&mut children, depth, item.path).put_at(deeper(depth), item);
    }
    Content::Branch { len, children }
}

/// The leaf in place of a branch that has become small: then its children are leaves.
fn merge(children: &mut [Node; FANOUT]) -> Content {
    let mut items = Vec::with_capacity(LEAF_MAX);
    for child in children {
        if let Content::Leaf(of_child) = &mut child.content {
            items.append(of_child);
        }
    }
    items.sort_unstable_by(|a, b| a.key().cmp(b.key()));
    Content::Leaf(items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::Version;

    /// Keys as in a hash attack: all paths agree in their first `shared` bits.
    fn crowded(count: u8, shared: u32) -> Vec<Item> {
        let low_bits = u128::MAX.checked_shr(shared).unwrap_or(0);
        let item = |n: u8| Item {
            path: Path(Path::of(&[n]).0 & low_bits),
            record: Record::new(&[n], b"", Version::default()),
            digest: Digest::of("test", &[n]),
        };
        (0..count).map(item).collect()
    }

    #[test]
    fn paths_that_agree_for_long_make_a_deep_but_correct_trie() {
        for shared in [0, 10, 64, 120, 127, 128] {
            let items = crowded(100, shared);
            let mut whole = Node::default();
            items.iter().for_each(|item| whole.put(item.clone()));
            let mut half = Node::default();
            items.iter().rev().for_each(|item| half.put(item.clone()));
            assert_eq!(whole.digest(&mut 0), half.digest(&mut 0), "{shared} bits");

            let mut kept = Node::default();
            for item in &items {
                if item.key()[0] % 2 == 0 {
                    half.remove(item.path, item.key());
                } else {
                    kept.put(item.clone());
                }
            }
            assert_eq!(half.digest(&mut 0), kept.digest(&mut 0), "{shared} bits");
            for item in &items {
                half.remove(item.path, item.key());
            }
            assert_eq!(half.digest(&mut 0), Digest::default(), "{shared} bits");
        }
    }

    #[test]
    fn removing_what_is_not_there_makes_no_digest_stale() {
        let items = crowded(100, 0);
        let mut trie = Node::default();
        for item in items.iter().skip(1) {
            trie.put(item.clone());
        }
        let digest = trie.digest(&mut 0);
        trie.remove(items[0].path, items[0].key());
        let mut hashes = 0;
        assert_eq!(trie.digest(&mut hashes), digest);
        assert_eq!(hashes, 0);
    }
}
