//! What a slot costs, counted: messages, records and signatures. Times are measured elsewhere (docs/performance.md).

#[allow(
    dead_code,
    reason = "shared by benches and tests; each uses a part of it"
)]
#[path = "../../consensus/benches/lockstep/mod.rs"]
mod lockstep;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use consensus::ReplicaId;
use crypto::{Check, Ed25519, Remembering, Scheme};
use lockstep::{Clients, Lockstep, Signatures, cluster};

/// Two checkpoints.
const SLOTS: u64 = 128;
const N: u64 = 5;

fn read(_number: u64) -> Vec<u8> {
    let key = b"key".to_vec().into();
    kv::Op::Read { key }.encode()
}

#[test]
fn a_slot_of_the_fast_path_takes_the_messages_of_the_theory_and_no_commit() {
    let mut lockstep = Lockstep::new(Signatures::Null, kv::Store::new);
    let mut clients = Clients::new(Signatures::Null);
    for _ in 0..SLOTS {
        lockstep.submit(clients.requests(3, 2, read));
    }
    assert_eq!(lockstep.executed().0, SLOTS);
    let interval = cluster().limits().checkpoint_interval;
    let theory = BTreeMap::from([
        ("pre-prepare", (N - 1) * SLOTS),
        ("prepare", N * (N - 1) * SLOTS),
        ("checkpoint", N * (N - 1) * SLOTS / interval),
    ]);
    assert_eq!(lockstep.counts.messages, theory);
}

#[test]
fn a_slot_of_the_fast_path_is_one_record_at_each_replica() {
    let mut lockstep = Lockstep::new(Signatures::Null, kv::Store::new);
    let mut clients = Clients::new(Signatures::Null);
    let begun = lockstep.counts.records;
    // Below the first checkpoint, which has records of its own.
    for _ in 0..20 {
        lockstep.submit(clients.requests(3, 2, read));
    }
    assert_eq!(lockstep.counts.executions, 20 * N);
    assert_eq!(lockstep.counts.records - begun, 20 * N);
}

/// Counts what is verified.
#[derive(Debug, Default)]
struct Counting(Arc<AtomicU64>);

impl Scheme for Counting {
    fn verify(&self, check: &Check<'_>) -> bool {
        self.verify_batch(std::slice::from_ref(check))
    }

    fn verify_batch(&self, checks: &[Check<'_>]) -> bool {
        self.0.fetch_add(checks.len() as u64, Ordering::Relaxed);
        Ed25519.verify_batch(checks)
    }
}

#[test]
fn no_signature_of_a_slot_is_verified_twice_at_one_replica() {
    const REQUESTS: u64 = 4;
    let counts: Vec<Arc<AtomicU64>> = (0..N).map(|_| Arc::default()).collect();
    let cluster = cluster();
    let scheme = |id: ReplicaId| -> Arc<dyn Scheme> {
        let counting = Counting(Arc::clone(&counts[usize::from(id.0)]));
        Arc::new(Remembering::new(counting, cluster.replica_keys()))
    };
    let mut lockstep = Lockstep::with_schemes(&scheme, kv::Store::new);
    let mut clients = Clients::new(Signatures::Ed25519);
    let taken = || -> Vec<u64> {
        let each = counts.iter();
        each.map(|count| count.swap(0, Ordering::Relaxed)).collect()
    };
    lockstep.submit(clients.requests(REQUESTS, 1, read));
    taken();
    lockstep.submit(clients.requests(REQUESTS, 1, read));
    for (id, verified) in taken().into_iter().enumerate() {
        // The requests, the header unless it is one's own, and of the others' votes between what decides and all.
        let header = u64::from(id != 0);
        let least = REQUESTS + header + 3;
        let most = REQUESTS + header + N - 1;
        assert!(
            (least..=most).contains(&verified),
            "replica {id}: {verified}, not {least} to {most}"
        );
    }
}
