//! Random damage to any file of a replica: it is recognised, or it does not matter. Never does a
//! replica vote on other records than it wrote, or hold another state than it had.
//!
//! `DAMAGES=0..20000 cargo test -p replica --lib damage` runs more than the default.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::ops::Range;

use consensus::pbft::certificate::Statement;
use consensus::{SeqNo, View};
use crypto::{Digest, Signature};

use super::tests::{K, Place, advance, append, certificate, copy};
use super::*;
use crate::storage::StoredRecord;

/// As many as take a few seconds.
const DAMAGES: Range<u64> = 0..150;
const FILES: [&str; 6] = [
    "data/log.db",
    "data/log.db-wal",
    "data/state.db",
    "data/state.db-wal",
    "log.anchor",
    "state.anchor",
];

/// SplitMix64: as good as any for choosing bytes, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides.max(1) as u64) as usize
    }
}

/// Changes a file somewhere and says how.
fn damage(dice: &mut Dice, bytes: &mut Vec<u8>) -> String {
    let at = dice.roll(bytes.len());
    let end = bytes.len().min(at + 512);
    match dice.roll(8) {
        0 => {
            bytes.truncate(at);
            format!("cut at {at}")
        }
        1 => {
            let at = at / 512 * 512;
            bytes.truncate(at);
            format!("cut at sector {at}")
        }
        2 => {
            bytes[at..end].fill(0);
            format!("zeros from {at}")
        }
        3 => {
            let from = dice.roll(bytes.len()) / 512 * 512;
            let sector = bytes[from..(from + 512).min(bytes.len())].to_vec();
            let to = at / 512 * 512;
            let length = sector.len().min(bytes.len() - to);
            bytes[to..to + length].copy_from_slice(&sector[..length]);
            format!("sector {from} written at {to}")
        }
        _ => {
            let bit = dice.roll(8);
            bytes[at] ^= 1 << bit;
            format!("bit {bit} of byte {at}")
        }
    }
}

/// Everything that a replica promised, in one order.
fn records(replica: &mut Restored) -> Vec<StoredRecord> {
    let mut records = replica.storage.log.load().unwrap().records;
    records.sort_by_key(|record| (record.seq, record.kind));
    records
}

fn vote(seq: u64, view: u64) -> Record {
    Record::Vote {
        epoch: Epoch(0),
        statement: Statement {
            view: View(view),
            seq: SeqNo(seq),
            digest: Digest::of("batch", &(seq + view).to_le_bytes()),
        },
        header_signature: Signature([seq as u8; 64]),
        batch: None,
    }
}

/// A replica that was killed in the middle of its work, and the digests of its checkpoints.
fn killed() -> (Place, Vec<(u64, Digest)>) {
    let place = Place::new();
    let mut states = vec![(0, Digest::default())];
    for run in 1..=3 {
        let mut replica = place.start();
        for view in 0..2 {
            for seq in (run - 1) * K + 1..=run * K + 20 {
                append(&mut replica, &vote(seq, view), None);
            }
        }
        let digest = advance(&mut replica, run * K);
        append(
            &mut replica,
            &Record::Stable(certificate(run * K, digest)),
            Some(run * K),
        );
        states.push((run * K, digest));
        if run == 2 {
            let Restored { storage, .. } = replica;
            storage.log.close().unwrap();
            storage.state.close().unwrap();
        }
    }
    (place, states)
}

#[test]
fn no_damage_to_any_file_makes_a_replica_vote_on_what_it_did_not_write() {
    let range = std::env::var("DAMAGES").map_or(DAMAGES, |text| {
        let (from, to) = text.split_once("..").expect("DAMAGES=FROM..TO");
        from.parse().unwrap()..to.parse().unwrap()
    });
    let (original, states) = killed();
    let healthy = tempfile::tempdir().unwrap();
    copy(&original.directory, healthy.path());
    copy(&original.path("data"), &healthy.path().join("data"));
    let who = original.who();
    let mut whole = restore(&Options::new(&original.directory), &who).unwrap();
    assert!(matches!(whole.standing, Standing::Member));
    let (promised, last) = (records(&mut whole), whole.executor.last_executed().0);
    assert!(promised.len() > 20 && last == 3 * K);

    let (mut harmless, mut recognised, mut kept) = (0, 0, 0);
    for number in range.clone() {
        let mut dice = Dice(number);
        let name = FILES[dice.roll(FILES.len())];
        let place = tempfile::tempdir().unwrap();
        copy(healthy.path(), place.path());
        copy(&healthy.path().join("data"), &place.path().join("data"));
        let mut bytes = fs::read(place.path().join(name)).unwrap();
        let how = damage(&mut dice, &mut bytes);
        fs::write(place.path().join(name), bytes).unwrap();
        let context = format!("DAMAGES={number}..{}: {name}, {how}", number + 1);

        match restore(&Options::new(place.path()), &who) {
            Err(error) => {
                // Nobody but the operator can help, so these must be rare; none of them is damage.
                assert!(!matches!(
                    error,
                    StartupError::Storage(StorageError::Damaged { .. })
                ));
                panic!("{context}: refused instead of a learner: {error}");
            }
            Ok(mut replica) => {
                let seq = replica.executor.last_executed().0;
                let digest = replica.executor.state_digest();
                let known = states.contains(&(seq, digest)) || seq == 0;
                assert!(known, "{context}: a state that never was, at {seq}");
                if matches!(replica.standing, Standing::Member) {
                    assert_eq!(seq, last, "{context}");
                    assert!(
                        records(&mut replica) == promised,
                        "{context}: other promises"
                    );
                    harmless += 1;
                } else {
                    recognised += 1;
                    kept += u64::from(seq > 0);
                }
            }
        }
    }
    if range == DAMAGES {
        // Witnesses that all of it happened.
        let figures = (harmless, recognised, kept);
        assert!(harmless > 20 && recognised > 50 && kept > 20, "{figures:?}");
    }
}
