//! `kv_root`: the digest of everything held, brought up to date at a cost that grows with the
//! keys changed (docs/protocol.md R9).
//!
//! Keys fall into 1024 buckets by their hash, the units of state transfer. A bucket's digest is
//! that of a hash trie over its entries, since with a million keys a bucket has a thousand: one
//! changed key costs one entry hash and a few small nodes, not a thousand entries.
//!
//! ```text
//! path(key)   = first 128 bits of H("kv-key" ‖ key); the first 10 choose the bucket
//! entry       = H("kv-entry" ‖ key ‖ slot ‖ rank ‖ value)
//! bucket      = digest of the trie of its entries (trie.rs)
//! kv_root     = H("kv-root" ‖ slot of the last delete ‖ 1024 bucket digests)
//! ```

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::panic
)]

use consensus::SeqNo;
use crypto::{Digest, Hasher};

use crate::held::{Held, Placed};
use crate::record::Record;
use crate::trie::{BUCKET_BITS, Item, Node, Path, Prefix, Under};

/// Buckets of a store.
pub const BUCKETS: usize = 1 << BUCKET_BITS;

/// Hashes that the digest has cost so far: what its cost is measured by, without a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DigestWork {
    /// Keys hashed to find their place.
    pub paths: u64,
    /// Entries hashed.
    pub entries: u64,
    /// Nodes of tries hashed.
    pub nodes: u64,
    /// Roots computed, each over [`BUCKETS`] digests.
    pub roots: u64,
}

#[derive(Clone)]
pub(crate) struct Buckets {
    tries: Vec<Node>,
    work: DigestWork,
}

impl Default for Buckets {
    fn default() -> Self {
        Buckets {
            tries: vec![Node::default(); BUCKETS],
            work: DigestWork::default(),
        }
    }
}

impl Buckets {
    /// Takes in what a key holds now, whose place has been hashed.
    pub(crate) fn update(&mut self, now: Placed) {
        self.work.paths = self.work.paths.saturating_add(1);
        match now.held {
            Held::Record(record) => self.put(Item::of(now.path, record)),
            Held::Nothing(key) => self.trie(now.path).remove(now.path, &key),
        }
    }

    /// Takes in a record that has been hashed.
    pub(crate) fn put(&mut self, item: Item) {
        self.work.entries = self.work.entries.saturating_add(1);
        self.trie(item.path).put(item);
    }

    fn trie(&mut self, path: Path) -> &mut Node {
        let trie = self.tries.get_mut(path.bucket());
        trie.expect("ten bits choose among 1024 buckets")
    }

    /// The bucket digests, in order.
    pub(crate) fn digests(&mut self) -> Vec<Digest> {
        let nodes = &mut self.work.nodes;
        let digests = self.tries.iter_mut().map(|trie| trie.digest(nodes));
        digests.collect()
    }

    pub(crate) fn root(&mut self, last_delete: SeqNo) -> Digest {
        self.work.roots = self.work.roots.saturating_add(1);
        let nodes = &mut self.work.nodes;
        root_of(
            last_delete,
            self.tries.iter_mut().map(|trie| trie.digest(nodes)),
        )
    }

    /// The node that holds exactly the entries under a prefix.
    pub(crate) fn under(&mut self, prefix: Prefix) -> Under<'_> {
        let trie = self.tries.get_mut(prefix.bucket());
        trie.expect("ten bits choose among 1024 buckets")
            .under(prefix)
    }

    /// The records of a bucket in the order of their keys.
    pub(crate) fn records(&self, bucket: usize) -> Vec<&Record> {
        let mut records = Vec::new();
        if let Some(trie) = self.tries.get(bucket) {
            trie.visit(&mut |item| {
                records.push(&item.record);
                true
            });
        }
        records.sort_unstable_by_key(|record| record.key());
        records
    }

    pub(crate) fn work(&self) -> DigestWork {
        self.work
    }
}

/// The root over the digests of all buckets.
pub(crate) fn root_of(last_delete: SeqNo, buckets: impl IntoIterator<Item = Digest>) -> Digest {
    let mut hasher = Hasher::new("kv-root");
    hasher.u64(last_delete.0);
    for digest in buckets {
        hasher.update(digest.as_bytes());
    }
    hasher.finish()
}
