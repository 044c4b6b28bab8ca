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

use crate::buckets::{BUCKETS, root_of};
use crate::held::Held;
use crate::limits::{check_key, check_value};
use crate::record::Record;
use crate::snapshots::Overlay;
use crate::trie::{Item, LEAF_MAX, Node, Path, Prefix, read_outline};

/// Encoded bytes of a piece beside its entries: a tag and their number.
const PIECE_OVERHEAD: usize = 4 + 8;

/// A part as it travels; `R` is a [`Record`] or a reference to one.
#[derive(Debug, Encode, Decode)]
enum Piece<R> {
    Outline(Vec<Digest>),
    Entries(Vec<R>),
}

/// The checked content of a part: entries whose digests are computed.
#[derive(Clone)]
pub struct Content {
    pub(crate) entries: Vec<Item>,
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
            Some(children) => return crypto::encode(&Piece::<Record>::Outline(children)),
            // A leaf has none: it travels whole, however many keys somebody made collide.
            None => entries(node, overlay, |_, _| true).unwrap_or_default(),
        },
    };
    let bytes: usize = entries.iter().map(|record| record.encoded_len()).sum();
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
) -> Result<Vec<&'a Record>, TooMany> {
    let mut entries = Vec::new();
    let mut bytes = 0_usize;
    let mut add = |record: &'a Record| {
        bytes = bytes.saturating_add(record.encoded_len());
        entries.push(record);
        fits(entries.len(), bytes)
    };
    let over: Vec<(Path, &[u8])> = overlay.iter().map(|placed| placed.place()).collect();
    let mut live = |item: &'a Item| {
        let covered = over.binary_search(&(item.path, item.record.key())).is_ok();
        covered || add(&item.record)
    };
    let mut whole = node.visit(&mut live);
    for placed in overlay {
        if let Some(record) = placed.held.record().filter(|_| whole) {
            whole = add(record);
        }
    }
    if whole { Ok(entries) } else { Err(TooMany) }
}

/// The node with the overlay over it.
fn as_of(node: &Node, overlay: &Overlay<'_>, prefix: Prefix) -> Node {
    let mut as_of = node.clone();
    for placed in overlay {
        match &placed.held {
            Held::Record(record) => {
                as_of.put_under(prefix, Item::of(placed.path, record.clone()));
            }
            Held::Nothing(key) => as_of.remove_under(prefix, placed.path, key),
        }
    }
    as_of
}

/// See [`consensus::Transferable::check_part`].
pub(crate) fn check(
    part: PartId,
    digest: &Digest,
    bytes: &[u8],
) -> Result<Part<Content>, WrongPart> {
    let prefix = Prefix::of_part(part).ok_or(WrongPart)?;
    match crypto::decode(bytes).map_err(|_| WrongPart)? {
        Piece::<Record>::Outline(children) => {
            let (found, parts) = read_outline(prefix, &children).ok_or(WrongPart)?;
            if found != *digest {
                return Err(WrongPart);
            }
            let below = parts
                .into_iter()
                .map(|(prefix, digest)| (prefix.part(), digest));
            Ok(Part::Outline(below.collect()))
        }
        Piece::Entries(records) => {
            let mut node = Node::default();
            let mut entries = Vec::with_capacity(records.len());
            for record in records {
                check_key(record.key()).map_err(|_| WrongPart)?;
                check_value(record.value()).map_err(|_| WrongPart)?;
                let item = Item::of(Path::of(record.key()), record);
                if !prefix.contains(item.path) || !node.put_under(prefix, item.clone()) {
                    return Err(WrongPart);
                }
                entries.push(item);
            }
            if node.digest(&mut 0) != *digest {
                return Err(WrongPart);
            }
            Ok(Part::Content(Content { entries }))
        }
    }
}
