//! Parts of a state on their way to another replica (docs/protocol.md R13).
//!
//! A part is a node of a bucket's trie. As content it travels as its entries, whose digest anybody
//! can compute again; if they are too many for one message, as the digests of its sixteen
//! children. So every piece is checked alone, however large the bucket is, and a replica that holds
//! most of a bucket already walks down to the few entries that differ.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::panic
)]

use bincode::{Decode, Encode};
use bytes::Bytes;
use consensus::SeqNo;
use consensus::state_machine::{Part, PartId, WrongPart};
use crypto::Digest;
use crypto::codec::BlobRef;

use crate::buckets::{BUCKETS, item, root_of};
use crate::limits::{check_key, check_value};
use crate::result::Entry;
use crate::snapshots::Overlay;
use crate::table::Row;
use crate::trie::{Item, LEAF_MAX, Node, Path, Prefix, read_outline};
use crate::version::Version;

/// Encoded bytes of an entry beside key and value: two lengths and the version.
const ENTRY_OVERHEAD: usize = 4 + 4 + 12;

/// Encoded bytes of a piece beside its entries: a tag and their number.
const PIECE_OVERHEAD: usize = 4 + 8;

/// A part as it travels; `E` encodes like [`Entry`].
#[derive(Debug, Encode, Decode)]
enum Piece<E> {
    Outline(Vec<Digest>),
    Entries(Vec<E>),
}

/// The checked content of a part: entries whose digests are computed.
#[derive(Clone)]
pub struct Content {
    pub(crate) entries: Vec<(Item, Row)>,
}

/// What names all parts of a store: encoded, the manifest.
#[derive(Debug, Encode, Decode)]
struct Manifest {
    last_delete: SeqNo,
    buckets: Vec<Digest>,
}

/// The manifest of a store whose buckets have these digests.
pub(crate) fn manifest(last_delete: SeqNo, buckets: &[Digest]) -> Vec<u8> {
    crypto::encode(&Manifest {
        last_delete,
        buckets: buckets.to_vec(),
    })
}

/// The slot of the latest delete that a manifest says.
pub(crate) fn last_delete(manifest: &[u8]) -> Option<SeqNo> {
    let manifest: Manifest = crypto::decode(manifest).ok()?;
    Some(manifest.last_delete)
}

/// See [`consensus::Transferable::read_manifest`].
pub(crate) fn read_manifest(manifest: &[u8]) -> Option<(Digest, Vec<(PartId, Digest)>)> {
    let Manifest {
        last_delete,
        buckets,
    } = crypto::decode(manifest).ok()?;
    if buckets.len() != BUCKETS {
        return None;
    }
    let root = root_of(last_delete, buckets.iter().copied());
    let part = |(bucket, digest)| (Prefix::of_bucket(bucket).part(), digest);
    Some((root, buckets.into_iter().enumerate().map(part).collect()))
}

/// An entry of somebody else's, as an [`Entry`] is encoded.
#[derive(Encode)]
struct EntryRef<'a> {
    key: BlobRef<'a>,
    value: BlobRef<'a>,
    version: Version,
}

/// The piece for the part at `prefix` of the state that `node` with `overlay` over it is: its entries, if
/// they fit into `room`, else its outline.
pub(crate) fn piece(
    node: &mut Node,
    overlay: &Overlay<'_>,
    prefix: Prefix,
    outline: bool,
    room: usize,
) -> Vec<u8> {
    let fits = |count: usize, bytes: usize| count <= LEAF_MAX || (!outline && bytes <= room);
    let entries = match entries(node, overlay, fits) {
        Ok(entries) => entries,
        Err(TooMany) => match as_of(node, overlay, prefix).outline(&mut 0) {
            Some(children) => return crypto::encode(&Piece::<Entry>::Outline(children)),
            // A leaf has none: it travels whole, however many keys somebody made collide.
            None => entries(node, overlay, |_, _| true).unwrap_or_default(),
        },
    };
    let bytes: usize = entries.iter().map(EntryRef::size).sum();
    let mut out = Vec::with_capacity(bytes.saturating_add(PIECE_OVERHEAD));
    crypto::codec::encode_into(&Piece::Entries(entries), &mut out);
    out
}

/// More entries than were wanted.
struct TooMany;

/// The entries of `node` with `overlay` over it, while their number and their bytes are what `fits` allows.
fn entries<'a>(
    node: &'a Node,
    overlay: &Overlay<'a>,
    fits: impl Fn(usize, usize) -> bool,
) -> Result<Vec<EntryRef<'a>>, TooMany> {
    let mut entries = Vec::new();
    let mut bytes = 0_usize;
    let mut add = |key: &'a Bytes, value: &'a Bytes, version| {
        let entry = EntryRef {
            key: BlobRef(key),
            value: BlobRef(value),
            version,
        };
        bytes = bytes.saturating_add(entry.size());
        entries.push(entry);
        fits(entries.len(), bytes)
    };
    let over: Vec<(Path, &Bytes)> = overlay.keys().map(|(path, key)| (*path, key)).collect();
    let mut live = |item: &'a Item| {
        let covered = over.binary_search(&(item.path, &item.key)).is_ok();
        covered || add(&item.key, &item.value, item.version)
    };
    let mut whole = node.visit(&mut live);
    for ((_, key), row) in overlay {
        if let Some(row) = row.filter(|_| whole) {
            whole = add(key, &row.value, row.version);
        }
    }
    if whole { Ok(entries) } else { Err(TooMany) }
}

/// The node with the overlay over it.
fn as_of(node: &Node, overlay: &Overlay<'_>, prefix: Prefix) -> Node {
    let mut as_of = node.clone();
    for ((path, key), row) in overlay {
        match row {
            Some(row) => {
                as_of.put_under(prefix, item(key, row));
            }
            None => as_of.remove_under(prefix, *path, key),
        }
    }
    as_of
}

impl EntryRef<'_> {
    /// About how many bytes it takes.
    fn size(&self) -> usize {
        let bytes = self.key.0.len().saturating_add(self.value.0.len());
        bytes.saturating_add(ENTRY_OVERHEAD)
    }
}

/// See [`consensus::Transferable::check_part`].
pub(crate) fn check(
    part: PartId,
    digest: &Digest,
    bytes: &[u8],
) -> Result<Part<Content>, WrongPart> {
    let prefix = Prefix::of_part(part).ok_or(WrongPart)?;
    match crypto::decode(bytes).map_err(|_| WrongPart)? {
        Piece::<Entry>::Outline(children) => {
            let (found, parts) = read_outline(prefix, &children).ok_or(WrongPart)?;
            if found != *digest {
                return Err(WrongPart);
            }
            let below = parts
                .into_iter()
                .map(|(prefix, digest)| (prefix.part(), digest));
            Ok(Part::Outline(below.collect()))
        }
        Piece::Entries(entries) => {
            let mut node = Node::default();
            let mut content = Vec::with_capacity(entries.len());
            for entry in entries {
                check_key(&entry.key).map_err(|_| WrongPart)?;
                check_value(&entry.value).map_err(|_| WrongPart)?;
                let (key, row) = Row::of(entry);
                let item = item(&key, &row);
                if !prefix.contains(item.path) || !node.put_under(prefix, item.clone()) {
                    return Err(WrongPart);
                }
                content.push((item, row));
            }
            if node.digest(&mut 0) != *digest {
                return Err(WrongPart);
            }
            Ok(Part::Content(Content { entries: content }))
        }
    }
}
