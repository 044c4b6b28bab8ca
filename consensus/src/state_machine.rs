//! What the protocol replicates: a deterministic state machine (docs/protocol.md R1, R9).

use crypto::Digest;

use crate::ids::SeqNo;

/// An application. Everything it does must follow from the operations alone: no clock, no
/// chance, no iteration order that can differ between replicas.
pub trait StateMachine {
    /// A piece of durable state, as it is written to disk at a checkpoint.
    type Change: Clone + Send + 'static;

    /// Executes one operation at `seq` and returns its encoded result. Malformed operations have
    /// a result that says so: nothing that was ordered may fail. An operation whose result would
    /// take more than `room` bytes is refused, without effect, by a result of a few bytes.
    fn apply(&mut self, seq: SeqNo, op: &[u8], room: usize) -> Vec<u8>;

    /// Executes operations so that all take effect or none does (R17). One result per operation;
    /// if one fails, the others' results say that they were rolled back. All results together
    /// take at most `room` bytes, or one is refused as in [`StateMachine::apply`].
    fn apply_atomic(
        &mut self,
        seq: SeqNo,
        ops: &mut dyn Iterator<Item = &[u8]>,
        room: usize,
    ) -> Vec<Vec<u8>>;

    /// `kv_root`: digest of the whole state. Its cost grows with what was changed since the last
    /// call, not with what is held (R9).
    fn root(&mut self) -> Digest;

    /// What changed since the last call, for the durable copy of the state.
    fn take_changes(&mut self) -> Vec<Self::Change>;
}
