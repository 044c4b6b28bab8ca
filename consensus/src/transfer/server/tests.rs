//! What frozen states cost at most, with a state machine that says what it likes of its memory.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::Arc;

use crypto::{Digest, SecretKey};

use super::*;
use crate::cluster::{Cluster, FastQuorum};
use crate::settings::Limits;
use crate::state_machine::{Part, PartId, StateMachine, WrongPart};

/// Every frozen state takes as many bytes.
#[derive(Default)]
struct Heavy {
    weight: usize,
    frozen: BTreeSet<SeqNo>,
}

impl StateMachine for Heavy {
    type Change = ();

    fn apply(&mut self, _: SeqNo, _: &[u8], _: usize) -> Vec<u8> {
        Vec::new()
    }

    fn apply_atomic(
        &mut self,
        _: SeqNo,
        _: &mut dyn Iterator<Item = &[u8]>,
        _: usize,
    ) -> Vec<Vec<u8>> {
        Vec::new()
    }

    fn root(&mut self) -> Digest {
        Digest::default()
    }

    fn take_changes(&mut self) -> Vec<()> {
        Vec::new()
    }
}

impl Transferable for Heavy {
    type Content = ();

    fn freeze(&mut self, seq: SeqNo) {
        self.frozen.insert(seq);
    }

    fn thaw(&mut self, seq: SeqNo) {
        self.frozen.remove(&seq);
    }

    fn frozen_bytes(&self) -> usize {
        self.frozen.len() * self.weight
    }

    fn manifest(&self, seq: SeqNo) -> Option<Vec<u8>> {
        self.frozen.contains(&seq).then(Vec::new)
    }

    fn read_manifest(_: &[u8]) -> Option<(Digest, Vec<(PartId, Digest)>)> {
        None
    }

    fn part(&mut self, _: SeqNo, _: PartId, _: bool, _: usize) -> Option<Vec<u8>> {
        None
    }

    fn holds(&mut self, _: PartId, _: &Digest) -> bool {
        false
    }

    fn is_worth_comparing(&mut self, _: PartId) -> bool {
        false
    }

    fn check_part(_: PartId, _: &Digest, _: &[u8]) -> Result<Part<()>, WrongPart> {
        Err(WrongPart)
    }

    fn install(&mut self, _: &[u8], _: Vec<(PartId, ())>) {}
}

struct Stage {
    executor: Executor<Heavy>,
    server: Server,
}

impl Stage {
    /// At slot 0, with states of `weight` bytes.
    fn new(weight: usize) -> Self {
        let key = |id: u8| SecretKey::from_seed(&[id; 32]).public();
        let keys = (1..=5).map(key).collect();
        let limits = Limits::default();
        let cluster = Cluster::genesis(1, FastQuorum::Strong, limits, keys, vec![key(9)]).unwrap();
        let machine = Heavy {
            weight,
            ..Heavy::default()
        };
        Stage {
            executor: Executor::new(Arc::new(cluster), machine),
            server: Server::default(),
        }
    }

    /// The next slot is a checkpoint, stable at once if `stable`.
    fn checkpoint(&mut self, stable: bool) {
        let seq = self.executor.last_executed().next();
        self.executor.execute(seq, None);
        self.executor.freeze();
        if stable {
            self.server.on_stable(seq);
        }
        self.server.forget(Instant(0), &mut self.executor);
    }

    fn pin(&mut self, from: u16, seq: u64) {
        let mut out = Vec::new();
        self.server.on_fetch_manifest(ReplicaId(from), SeqNo(seq));
        self.server.serve(Instant(0), &mut self.executor, &mut out);
    }

    fn frozen(&self) -> Vec<u64> {
        self.executor.frozen().map(|seq| seq.0).collect()
    }
}

#[test]
fn pins_end_oldest_first_when_frozen_states_cost_too_much_memory() {
    for (weight, left) in [
        (FROZEN_BYTES_MAX / 5, vec![1, 2, 3, 7, 8]),
        (FROZEN_BYTES_MAX / 4, vec![2, 3, 7, 8]),
        (FROZEN_BYTES_MAX / 3, vec![3, 7, 8]),
        // The two newest stable ones stay whatever they cost: others may need them.
        (FROZEN_BYTES_MAX, vec![7, 8]),
    ] {
        let mut stage = Stage::new(0);
        for seq in 1..=3 {
            stage.checkpoint(true);
            stage.pin(u16::try_from(seq).unwrap(), seq);
        }
        for _ in 4..=7 {
            stage.checkpoint(true);
        }
        assert_eq!(stage.frozen(), [1, 2, 3, 6, 7]);
        stage.executor.machine_mut().weight = weight;
        stage.checkpoint(true);
        assert_eq!(stage.frozen(), left, "{weight} bytes each");
    }
}

#[test]
fn states_that_never_become_stable_are_bounded_in_number() {
    let mut stage = Stage::new(0);
    for _ in 0..FROZEN_MAX + 10 {
        stage.checkpoint(false);
    }
    assert_eq!(stage.frozen().len(), FROZEN_MAX);
    assert_eq!(stage.frozen()[0], 11, "the oldest are given up");
    assert_eq!(stage.executor.machine().frozen.len(), FROZEN_MAX);
}

/// Bytes that a requester gets from `from` to `to`, taking a full answer as often as it may.
fn given(requester: &mut Requester, from: Duration, to: Duration) -> usize {
    let mut given = 0;
    let (mut now, end) = (Instant(0) + from, Instant(0) + to);
    while now < end {
        while requester.may_take(now) {
            requester.charge(now, ANSWER_BYTES);
            given += ANSWER_BYTES;
        }
        now = requester.free_at();
    }
    given
}

#[test]
fn a_requester_is_served_gently_at_first_and_fast_when_its_state_is_large() {
    const MIB: usize = 1 << 20;
    let mut requester = Requester::default();
    let second = Duration::from_secs(1);
    let first = given(&mut requester, Duration::ZERO, GENTLE);
    assert!((59 * MIB..=61 * MIB).contains(&first), "{first}");
    let then = given(&mut requester, GENTLE + second, GENTLE + 3 * second);
    assert!((79 * MIB..=81 * MIB).contains(&then), "{then}");
    // Later, another state.
    let later = GENTLE + 5 * second + PIN_SILENCE_MAX;
    let again = given(&mut requester, later, later + second);
    assert!((7 * MIB..=8 * MIB).contains(&again), "{again}");
}
