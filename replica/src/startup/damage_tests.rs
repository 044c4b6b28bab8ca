//! Random damage to any file of a replica: it is recognised, or it does not matter. Never does a
//! replica vote on other records than it wrote, or hold another state than it had.
//!
//! `DAMAGES=0..20000 cargo test -p replica --lib damage` runs more than the default.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::ops::Range;
use std::path::PathBuf;

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

/// A replica that has stopped, and what it had.
struct Stopped {
    _place: Place,
    directory: PathBuf,
    who: Membership,
    /// Digest of the state at each of its checkpoints.
    states: Vec<(u64, Digest)>,
    promised: Vec<StoredRecord>,
}

impl Stopped {
    /// Killed in the middle of its work, so that all of it is in write-ahead logs; or stopped
    /// cleanly, so that none of it is.
    fn new(cleanly: bool) -> Self {
        let place = Place::new();
        let mut states = Vec::new();
        for run in 1..=3 {
            let mut replica = place.start();
            for view in 0..2 {
                for seq in (run - 1) * K + 1..=run * K + 20 {
                    append(&mut replica, &vote(seq, view), None);
                }
            }
            let digest = advance(&mut replica, run * K);
            let stable = Record::Stable(certificate(run * K, digest));
            append(&mut replica, &stable, Some(run * K));
            states.push((run * K, digest));
            if run == 2 || cleanly {
                let Restored { storage, .. } = replica;
                storage.log.close().unwrap();
                storage.state.close().unwrap();
            }
        }
        let directory = place.path("as it stopped");
        copy(&place.directory, &directory);
        copy(&place.path("data"), &directory.join("data"));
        let mut whole = place.start();
        assert!(matches!(whole.standing, Standing::Member));
        assert_eq!(whole.executor.last_executed(), SeqNo(3 * K));
        let promised = records(&mut whole);
        assert!(promised.len() > 20);
        Stopped {
            directory,
            who: place.who(),
            _place: place,
            states,
            promised,
        }
    }
}

/// What damage came to.
#[derive(Debug, Default)]
struct Seen {
    harmless: u64,
    recognised: u64,
    /// Of those, with a state that was kept.
    kept: u64,
}

#[test]
fn no_damage_to_any_file_makes_a_replica_vote_on_what_it_did_not_write() {
    let range = std::env::var("DAMAGES").map_or(DAMAGES, |text| {
        let (from, to) = text.split_once("..").expect("DAMAGES=FROM..TO");
        from.parse().unwrap()..to.parse().unwrap()
    });
    let stopped = [Stopped::new(false), Stopped::new(true)];
    let mut seen = [Seen::default(), Seen::default()];
    for number in range.clone() {
        let mut dice = Dice(number);
        let which = dice.roll(2);
        let (original, seen) = (&stopped[which], &mut seen[which]);
        let name = FILES[dice.roll(FILES.len())];
        let place = tempfile::tempdir().unwrap();
        copy(&original.directory, place.path());
        copy(&original.directory.join("data"), &place.path().join("data"));
        let mut bytes = fs::read(place.path().join(name)).unwrap();
        let how = damage(&mut dice, &mut bytes);
        fs::write(place.path().join(name), bytes).unwrap();
        let context = format!("DAMAGES={number}..{}: {name}, {how}", number + 1);

        // Only the operator could help if it were refused.
        let mut replica = restore(&Options::new(place.path()), &original.who)
            .unwrap_or_else(|error| panic!("{context}: refused instead of a learner: {error}"));
        let seq = replica.executor.last_executed().0;
        let digest = replica.executor.state_digest();
        let known = original.states.contains(&(seq, digest)) || seq == 0;
        assert!(known, "{context}: a state that never was, at {seq}");
        if matches!(replica.standing, Standing::Member) {
            assert_eq!(seq, 3 * K, "{context}");
            let same = records(&mut replica) == original.promised;
            assert!(same, "{context}: other promises");
            seen.harmless += 1;
        } else {
            seen.recognised += 1;
            seen.kept += u64::from(seq > 0);
        }
    }
    if range == DAMAGES {
        // Witnesses that all of it happened.
        for seen in seen {
            let enough = seen.harmless > 10 && seen.recognised > 20 && seen.kept > 5;
            assert!(enough, "{seen:?}");
        }
    }
}
