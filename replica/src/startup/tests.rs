//! Every way in which a replica's data can be when it starts, and what the replica may do then.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use consensus::pbft::certificate::Signers;
use consensus::{Limits, SeqNo, StateMachine as _};
use crypto::Digest;
use network::Genesis;
use tempfile::TempDir;

use super::*;
use crate::pbft_ports::{CheckpointMeta, stored_change};
use crate::storage::{Basis, StateDelta};

pub(super) const K: u64 = 64;

/// A founded replica and what its directory is called.
pub(super) struct Place {
    _root: TempDir,
    pub(super) directory: PathBuf,
}

impl Place {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let cluster = root.path().join("cluster");
        let founding = Genesis {
            limits: Limits {
                checkpoint_interval: K,
                ..Limits::default()
            },
            ..Genesis::local(1, 5, 5300, 1)
        };
        founding.create(&cluster).unwrap();
        Place {
            directory: cluster.join("replica-2"),
            _root: root,
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(super) fn who(&self) -> Membership {
        Membership::read(&self.directory).unwrap()
    }

    fn options(&self) -> Options {
        Options::new(&self.directory)
    }

    pub(super) fn start(&self) -> Restored {
        restore(&self.options(), &self.who()).unwrap()
    }

    fn start_in_memory(&self) -> Restored {
        let options = Options {
            engine: Engine::Memory,
            ..self.options()
        };
        restore(&options, &self.who()).unwrap()
    }

    /// What was set aside.
    fn aside(&self) -> Vec<String> {
        let names = fs::read_dir(&self.directory).unwrap();
        let mut names: Vec<String> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("data."))
            .collect();
        names.sort();
        names
    }
}

/// Runs a member up to a checkpoint and stops it without ceremony.
fn run_to(mut replica: Restored, seq: u64) {
    let digest = advance(&mut replica, seq);
    let stable = Record::Stable(certificate(seq, digest));
    append(&mut replica, &stable, Some(seq));
}

/// Executes up to a checkpoint and saves it with the certificate of the one before; the digest.
pub(super) fn advance(replica: &mut Restored, seq: u64) -> Digest {
    let executor = &mut replica.executor;
    for next in executor.last_executed().0 + 1..=seq {
        executor.execute(SeqNo(next), None);
        let op = kv::Op::Put {
            key: format!("key {}", next % 97).into_bytes().into(),
            value: format!("value of {next}").into_bytes().into(),
        };
        executor
            .machine_mut()
            .apply(SeqNo(next), &op.encode(), 1 << 16);
    }
    let delta = delta(executor, Basis::Stored, replica.stable.clone());
    let digest = Digest(delta.digest);
    replica.storage.state.apply(&delta).unwrap();
    digest
}

fn delta(
    executor: &mut Executor<kv::Store>,
    basis: Basis,
    stable: Option<StableCertificate>,
) -> StateDelta {
    let digest = executor.checkpoint();
    let changes = executor.machine_mut().take_changes();
    StateDelta {
        seq: executor.last_executed().0,
        digest: digest.0,
        basis,
        changes: changes.into_iter().map(stored_change).collect(),
        sessions: Bytes::from(executor.sessions().to_bytes()),
        meta: Bytes::from(crypto::encode(&CheckpointMeta {
            configuration: executor.configuration().to_bytes(),
            stable,
            earlier: executor.earlier_checkpoints(),
        })),
    }
}

pub(super) fn append(replica: &mut Restored, record: &Record, truncate_below: Option<u64>) {
    let stored = StoredRecord {
        seq: record.seq().0,
        kind: record.kind(),
        bytes: Bytes::from(crypto::encode(record)),
    };
    let group = Group {
        records: vec![stored],
        truncate_below,
    };
    replica.storage.log.append(&group).unwrap();
}

/// Nobody verifies its own certificates again.
pub(super) fn certificate(seq: u64, digest: Digest) -> StableCertificate {
    StableCertificate {
        epoch: Epoch(0),
        seq: SeqNo(seq),
        digest,
        signers: Signers(Vec::new()),
    }
}

fn is_member(replica: &Restored) -> bool {
    matches!(replica.standing, Standing::Member)
}

/// The life of a learner and what it has lost.
fn learner(mut replica: Restored) -> (Nonce, String) {
    let Standing::Learner(loss) = &replica.standing else {
        panic!("it must not vote");
    };
    let records = replica.storage.log.load().unwrap().records;
    let mut records = records.iter().map(|stored| crypto::decode(&stored.bytes));
    let nonce = records.find_map(|record| match record {
        Ok(Record::Role(Role::Learner { nonce })) => Some(nonce),
        _ => None,
    });
    (nonce.expect("its life is on disk"), loss.to_string())
}

pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 4;
    fs::write(file, bytes).unwrap();
}

#[test]
fn the_first_run_votes_and_consumes_the_mark_and_later_runs_vote_by_their_records() {
    let place = Place::new();
    assert!(place.path("founding").exists());
    for _ in 0..3 {
        assert!(is_member(&place.start()));
        assert!(!place.path("founding").exists());
    }
}

/// Each state in which a crash can leave the directory during the first run.
#[test]
fn a_founding_that_is_cut_short_is_taken_up_again() {
    type Step = fn(&Place);
    let nothing: Step = |_| {};
    let locked: Step = |place| drop(Home::lock(&place.directory).unwrap());
    let empty_anchor: Step = |place| fs::write(place.path("log.anchor"), "").unwrap();
    let created: Step = |place| drop(sqlite_open(place));
    let role_written: Step = |place| {
        let storage = sqlite_open(place);
        drop(found(Memory::empty(storage)).unwrap());
    };
    for cut in [nothing, locked, empty_anchor, created, role_written] {
        let place = Place::new();
        cut(&place);
        assert!(place.path("founding").exists());
        assert!(is_member(&place.start()));
        assert!(!place.path("founding").exists());
        assert!(place.aside().is_empty());
        assert!(is_member(&place.start()));
    }
}

fn sqlite_open(place: &Place) -> Storage {
    let who = place.who();
    let home = Home::lock(&place.directory).unwrap();
    let start = Start {
        home: &home,
        mark: FoundingMark::of(&home),
        durability: Durability::Full,
        who: &who,
    };
    start.open().unwrap()
}

#[test]
fn wiped_data_costs_the_vote_for_good_and_one_life_has_one_nonce() {
    for with_anchors in [false, true] {
        let place = Place::new();
        run_to(place.start(), K);
        fs::remove_dir_all(place.path("data")).unwrap();
        if with_anchors {
            fs::remove_file(place.path("log.anchor")).unwrap();
            fs::remove_file(place.path("state.anchor")).unwrap();
        }
        let restored = place.start();
        assert_eq!(restored.executor.last_executed(), SeqNo(0));
        let (nonce, why) = learner(restored);
        assert!(why.contains("data"), "{why}");
        assert!(place.aside().is_empty(), "there was nothing to set aside");
        for _ in 0..2 {
            let (again, why) = learner(place.start());
            assert_eq!(again, nonce);
            assert!(why.contains("not renewed"), "{why}");
        }
        fs::remove_dir_all(place.path("data")).unwrap();
        assert_ne!(learner(place.start()).0, nonce, "another life");
    }
}

/// Each state in which a crash can leave the directory while a learner's life begins.
#[test]
fn a_learner_whose_first_start_is_cut_short_is_a_learner_still() {
    type Step = fn(&Place);
    let set_aside: Step = |place| {
        let home = Home::lock(&place.directory).unwrap();
        crate::storage::sqlite::set_aside(&home).unwrap();
    };
    let only_moved: Step =
        |place| fs::rename(place.path("data"), place.path("data.damaged-1")).unwrap();
    let one_anchor_removed: Step = |place| {
        fs::rename(place.path("data"), place.path("data.damaged-1")).unwrap();
        fs::remove_file(place.path("log.anchor")).unwrap();
    };
    let created: Step = |place| {
        let home = Home::lock(&place.directory).unwrap();
        crate::storage::sqlite::set_aside(&home).unwrap();
        drop(home);
        drop(sqlite_open(place));
    };
    for cut in [set_aside, only_moved, one_anchor_removed, created] {
        let place = Place::new();
        run_to(place.start(), K);
        cut(&place);
        learner(place.start());
        learner(place.start());
    }
}

#[test]
fn a_mark_beside_damaged_data_founds_nothing() {
    let place = Place::new();
    let mark = fs::read(place.path("founding")).unwrap();
    run_to(place.start(), K);
    flip(&place.path("log.anchor"), 20);
    fs::write(place.path("founding"), mark).unwrap();
    learner(place.start());
    assert!(!place.path("founding").exists());
    learner(place.start());
}

#[test]
fn an_older_copy_of_the_data_costs_the_vote_and_its_state_is_kept() {
    let place = Place::new();
    run_to(place.start(), K);
    copy(&place.path("data"), &place.path("yesterday"));
    run_to(place.start(), 2 * K);
    fs::remove_dir_all(place.path("data")).unwrap();
    fs::rename(place.path("yesterday"), place.path("data")).unwrap();
    let restored = place.start();
    assert_eq!(restored.executor.last_executed(), SeqNo(K));
    let (_, why) = learner(restored);
    assert!(
        why.contains("log.db") && why.contains("incarnation"),
        "{why}"
    );
    assert_eq!(place.aside(), ["data.damaged-1"]);
    let restored = place.start();
    assert_eq!(restored.executor.last_executed(), SeqNo(K), "durably");
}

/// Copied and put back within one run: only the position in the anchor tells.
#[test]
fn a_copy_made_during_the_same_run_is_recognised_too() {
    let place = Place::new();
    let mut replica = place.start();
    advance(&mut replica, K);
    copy(&place.path("data"), &place.path("an hour ago"));
    run_to(replica, 2 * K);
    fs::remove_dir_all(place.path("data")).unwrap();
    fs::rename(place.path("an hour ago"), place.path("data")).unwrap();
    let (_, why) = learner(place.start());
    assert!(why.contains("log.db") && why.contains("anchor"), "{why}");
}

#[test]
fn data_that_was_set_aside_gives_no_vote_when_it_is_put_back() {
    let place = Place::new();
    run_to(place.start(), K);
    flip(&place.path("log.anchor"), 20);
    learner(place.start());
    fs::remove_dir_all(place.path("data")).unwrap();
    fs::rename(place.path("data.damaged-1"), place.path("data")).unwrap();
    let (_, why) = learner(place.start());
    assert!(why.contains("another database"), "{why}");
}

#[test]
fn what_is_set_aside_is_bounded_and_the_oldest_goes() {
    let place = Place::new();
    run_to(place.start(), K);
    for _ in 0..5 {
        flip(&place.path("log.anchor"), 20);
        learner(place.start());
    }
    assert_eq!(place.aside(), ["data.damaged-4", "data.damaged-5"]);
}

#[test]
fn a_damaged_log_costs_the_vote_but_not_the_state() {
    let place = Place::new();
    run_to(place.start(), K);
    let mut replica = place.start();
    append(
        &mut replica,
        &Record::Stable(certificate(K, Digest::default())),
        None,
    );
    drop(replica);
    let database = rusqlite::Connection::open(place.path("data/log.db")).unwrap();
    database
        .execute("UPDATE promises SET bytes = x'00' WHERE kind = 3", [])
        .unwrap();
    drop(database);
    let restored = place.start();
    assert_eq!(restored.executor.last_executed(), SeqNo(K));
    let (_, why) = learner(restored);
    assert!(
        why.contains("data/log.db") && why.contains("promises"),
        "{why}"
    );
}

#[test]
fn a_damaged_state_costs_the_vote_and_is_not_used() {
    let place = Place::new();
    run_to(place.start(), K);
    // A plain flip in a value, of which SQLite knows nothing.
    let database = rusqlite::Connection::open(place.path("data/state.db")).unwrap();
    let changed = database
        .execute(
            "UPDATE state SET entry = (SELECT entry FROM state LIMIT 1) WHERE key = \
             (SELECT max(key) FROM state WHERE key < x'65ff')",
            [],
        )
        .unwrap();
    assert_eq!(changed, 1);
    drop(database);
    let restored = place.start();
    assert_eq!(restored.executor.last_executed(), SeqNo(0));
    let (_, why) = learner(restored);
    assert!(
        why.contains("state.db") && why.contains("has digest"),
        "{why}"
    );
    assert_eq!(place.aside(), ["data.damaged-1"]);
}

#[test]
fn a_state_that_no_quorum_certified_is_not_used() {
    let place = Place::new();
    let mut replica = place.start();
    advance(&mut replica, K);
    append(
        &mut replica,
        &Record::Stable(certificate(K, Digest::of("other", b""))),
        None,
    );
    drop(replica);
    let restored = place.start();
    assert_eq!(restored.executor.last_executed(), SeqNo(0));
    let (_, why) = learner(restored);
    assert!(why.contains("a quorum certified"), "{why}");
}

#[test]
fn a_certificate_that_came_with_a_transferred_state_raises_the_low_watermark() {
    let place = Place::new();
    run_to(place.start(), K);
    let mut replica = place.start();
    let digest = advance(&mut replica, 3 * K);
    let stable = Some(certificate(3 * K, digest));
    // The whole state with its own certificate, and then the power goes: the log has heard nothing.
    let records = replica.executor.machine().records().cloned();
    let changes = records.map(kv::Change::Set).map(stored_change).collect();
    let whole = StateDelta {
        changes,
        ..delta(&mut replica.executor, Basis::Empty, stable)
    };
    replica.storage.state.apply(&whole).unwrap();
    drop(replica);
    let replica = place.start();
    assert!(is_member(&replica));
    assert_eq!(replica.executor.last_executed(), SeqNo(3 * K));
    assert_eq!(replica.protocol.stable(), SeqNo(3 * K));
    assert_eq!(replica.stable.unwrap().seq, SeqNo(3 * K));
}

#[test]
fn checkpoints_before_the_saved_state_are_still_claimed_however_often_a_replica_restarts() {
    let place = Place::new();
    let mut replica = place.start();
    let first = advance(&mut replica, K);
    let second = advance(&mut replica, 2 * K);
    drop(replica);
    let mut replica = place.start();
    assert_eq!(replica.executor.earlier_checkpoints(), [(SeqNo(K), first)]);
    assert_eq!(replica.protocol.census().claims, 2, "of K and of 2K");
    advance(&mut replica, 3 * K);
    drop(replica);
    let replica = place.start();
    assert_eq!(
        replica.executor.earlier_checkpoints(),
        [(SeqNo(K), first), (SeqNo(2 * K), second)]
    );
    assert_eq!(replica.protocol.census().claims, 3);
}

#[test]
fn an_unclean_stop_without_fsync_costs_the_vote_and_a_clean_one_does_not() {
    let place = Place::new();
    let unsynced = Options {
        durability: Durability::Off,
        ..place.options()
    };
    let start = || restore(&unsynced, &place.who()).unwrap();
    let mut first = start();
    advance(&mut first, K);
    let Restored { storage, home, .. } = first;
    drop(home);
    storage.log.close().unwrap();
    storage.state.close().unwrap();
    let replica = start();
    assert!(is_member(&replica));
    drop(replica);
    let replica = start();
    assert_eq!(
        replica.executor.last_executed(),
        SeqNo(K),
        "the state is whole"
    );
    let (_, why) = learner(replica);
    assert!(
        why.contains("--durability off and did not stop cleanly"),
        "{why}"
    );
    // Synced or not, it stays a learner.
    learner(place.start());
}

#[test]
fn a_replica_that_ran_in_memory_votes_once_and_never_again() {
    let place = Place::new();
    assert!(is_member(&place.start_in_memory()));
    let (first, why) = learner(place.start_in_memory());
    assert!(why.contains("--storage memory"), "{why}");
    assert_ne!(learner(place.start_in_memory()).0, first);
    learner(place.start());
    // And its records are not ignored after that.
    let options = Options {
        engine: Engine::Memory,
        ..place.options()
    };
    let refused = restore(&options, &place.who()).err().unwrap();
    assert!(
        matches!(refused, StartupError::RecordsIgnored(_)),
        "{refused}"
    );
}

#[test]
fn data_of_another_replica_is_refused_and_left_alone() {
    let place = Place::new();
    let neighbour = Place::new();
    run_to(neighbour.start(), K);
    for founded in [false, true] {
        let place = Place::new();
        if founded {
            drop(place.start());
            fs::remove_dir_all(place.path("data")).unwrap();
        }
        copy(&neighbour.path("data"), &place.path("data"));
        let refused = restore(&place.options(), &place.who()).err().unwrap();
        assert!(
            matches!(refused, StartupError::Storage(StorageError::Foreign { .. })),
            "{refused}"
        );
        assert!(place.aside().is_empty());
    }
    drop(place);
}

#[test]
fn a_second_process_is_refused_also_when_the_data_is_gone() {
    let place = Place::new();
    let _running = place.start();
    for _ in 0..2 {
        let refused = restore(&place.options(), &place.who()).err().unwrap();
        assert!(
            matches!(
                refused,
                StartupError::Storage(StorageError::AlreadyInUse { .. })
            ),
            "{refused}"
        );
        if place.path("data").exists() {
            fs::remove_dir_all(place.path("data")).unwrap();
        }
    }
}
