//! `kv_root` by its definition (docs/protocol.md R9): from the set of entries and not, as replicas do, from what changed.
//! Only the digests of entries and of untouched buckets are kept from one checkpoint to the next.

use std::collections::BTreeMap;

use bytes::Bytes;
use crypto::{Digest, Hasher};
use kv::Version;

use super::map::Map;

const BUCKETS: usize = 1024;
const BUCKET_BITS: u32 = 10;
const LEAF_MAX: usize = 16;
/// Levels of four bits below a bucket that a path of 128 bits has.
const LEVELS: u32 = (128 - BUCKET_BITS) / 4;

/// The digests of all entries by bucket and key.
pub(super) struct Roots {
    buckets: Vec<Bucket>,
}

#[derive(Clone, Default)]
struct Bucket {
    entries: BTreeMap<Bytes, (u128, Digest)>,
    /// `None` if an entry changed.
    digest: Option<Digest>,
}

impl Default for Roots {
    fn default() -> Self {
        Self {
            buckets: vec![Bucket::default(); BUCKETS],
        }
    }
}

impl Roots {
    /// The root of a map; takes note of what changed since the last call.
    pub(super) fn root(&mut self, map: &mut Map) -> Digest {
        let changed = std::mem::take(&mut map.changed);
        for (key, _) in changed {
            let path = path(&key);
            let bucket = usize::try_from(path >> (128 - BUCKET_BITS)).unwrap_or_default();
            let bucket = &mut self.buckets[bucket];
            bucket.digest = None;
            match map.rows.get(&key) {
                Some((value, version)) => {
                    let digest = entry(&key, value, *version);
                    bucket.entries.insert(key, (path, digest));
                }
                None => {
                    bucket.entries.remove(&key);
                }
            }
        }
        let mut hasher = Hasher::new("kv-root");
        hasher.u64(map.last_delete);
        for bucket in &mut self.buckets {
            let entries = &bucket.entries;
            let digest = *bucket.digest.get_or_insert_with(|| {
                let entries: Vec<(u128, Digest)> = entries.values().copied().collect();
                trie(&entries, 0)
            });
            hasher.update(digest.as_bytes());
        }
        hasher.finish()
    }
}

fn path(key: &[u8]) -> u128 {
    let Digest(hash) = Digest::of("kv-key", key);
    hash[..16]
        .iter()
        .fold(0, |path, byte| path << 8 | u128::from(*byte))
}

fn entry(key: &[u8], value: &[u8], version: Version) -> Digest {
    let mut hasher = Hasher::new("kv-entry");
    hasher
        .part(key)
        .u64(version.seq.0)
        .u64(u64::from(version.rank))
        .part(value);
    hasher.finish()
}

/// Of entries in order of their keys.
fn trie(entries: &[(u128, Digest)], level: u32) -> Digest {
    if entries.is_empty() {
        return Digest::default();
    }
    if entries.len() <= LEAF_MAX || level == LEVELS {
        let mut hasher = Hasher::new("kv-leaf");
        hasher.u64(entries.len() as u64);
        for (_, digest) in entries {
            hasher.update(digest.as_bytes());
        }
        return hasher.finish();
    }
    let mut children = vec![Vec::new(); 16];
    for (path, digest) in entries {
        let bits = (path >> (128 - BUCKET_BITS - 4 * (level + 1))) & 0xf;
        children[usize::try_from(bits).unwrap_or_default()].push((*path, *digest));
    }
    let mut hasher = Hasher::new("kv-branch");
    for child in &children {
        hasher.update(trie(child, level + 1).as_bytes());
    }
    hasher.finish()
}
