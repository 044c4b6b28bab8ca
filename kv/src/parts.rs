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
use consensus::SeqNo;
use consensus::state_machine::{Part, PartId, WrongPart};
use crypto::Digest;

use crate::buckets::{BUCKETS, item, root_of};
use crate::limits::{check_key, check_value};
use crate::result::Entry;
use crate::table::{Row, Table};
use crate::trie::{Item, Node, Prefix, read_outline};

/// Encoded bytes of an entry beside key and value: two lengths and the version.
const ENTRY_OVERHEAD: usize = 4 + 4 + 12;

/// A part as it travels.
#[derive(Debug, Encode, Decode)]
enum Piece {
    Outline(Vec<Digest>),
    Entries(Vec<Entry>),
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

/// The piece for the part that `node` is: its entries as far as they fit into `room`, else its
/// outline. `row` says what a key of it holds.
pub(crate) fn piece<'a>(
    node: &mut Node,
    outline: bool,
    room: usize,
    row: impl Fn(&Item) -> Option<&'a Row>,
) -> Vec<u8> {
    let mut entries = Vec::new();
    let mut bytes = 0_usize;
    let branch = node.is_branch();
    let fits = !(branch && outline)
        && node.visit(&mut |item| {
            let Some(row) = row(item) else {
                debug_assert!(false, "an item without a row");
                return true;
            };
            let size = item.key.len().saturating_add(row.value.len());
            bytes = bytes.saturating_add(size.saturating_add(ENTRY_OVERHEAD));
            entries.push(row.entry(&item.key));
            // A leaf has no outline: it travels whole, and is small.
            bytes <= room || !branch
        });
    let piece = match node.outline(&mut 0) {
        Some(children) if !fits => Piece::Outline(children),
        _ => Piece::Entries(entries),
    };
    crypto::encode(&piece)
}

/// See [`consensus::Transferable::check_part`].
pub(crate) fn check(
    part: PartId,
    digest: &Digest,
    bytes: &[u8],
) -> Result<Part<Content>, WrongPart> {
    let prefix = Prefix::of_part(part).ok_or(WrongPart)?;
    match crypto::decode(bytes).map_err(|_| WrongPart)? {
        Piece::Outline(children) => {
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

/// What a key of `table` holds, or held as `overlay` says.
pub(crate) fn row_of<'a>(
    table: &'a Table,
    overlay: &crate::snapshots::Overlay<'a>,
    item: &Item,
) -> Option<&'a Row> {
    let at = (item.path, item.key.clone());
    match overlay.get(&at) {
        Some(row) => *row,
        None => table.get(&item.key),
    }
}
