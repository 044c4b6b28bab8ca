//! The replicated state as a tree of parts: state machine, sessions, configuration (docs/protocol.md
//! R9, R13). Here the executor freezes states, gives out their parts, and takes parts in.

use std::collections::BTreeMap;

use crypto::Digest;
use crypto::codec::Blob;

use super::Target;
use super::message::{Manifest, PartRef, PartRequest};
use crate::cluster::Cluster;
use crate::configuration::Configuration;
use crate::executor::{self, Executor};
use crate::ids::{ClientId, SeqNo};
use crate::reply::Outcome;
use crate::session::{SessionHead, SessionTable, read_outcome, sessions_root};
use crate::state_machine::{Part, Transferable, WrongPart};

/// What the executor keeps of a frozen state beside the state machine. Sessions are shared with the
/// live table until they change.
pub(crate) struct Frozen {
    sessions: SessionTable,
    digests: Vec<(ClientId, Digest)>,
    configuration: Blob,
}

/// A part that was received and checked.
pub(super) enum Checked<C> {
    /// The parts below it are still to come.
    Outline,
    /// Of the state machine.
    Machine(C),
    /// A session; its replies are the parts below.
    Session(SessionHead),
    /// A reply.
    Reply(Outcome),
}

/// Parts with their digests.
pub(super) type Parts = Vec<(PartRef, Digest)>;

/// The configuration in a manifest and the parts that it names, if it is that of the certified state.
pub(super) fn read_manifest<S: Transferable>(
    cluster: &Cluster,
    target: &Target,
    manifest: &Manifest,
) -> Result<(Configuration, Parts), WrongPart> {
    let (root, parts) = S::read_manifest(&manifest.machine).ok_or(WrongPart)?;
    let sessions = sessions_root(&manifest.sessions);
    let configuration =
        Configuration::from_bytes(cluster, &manifest.configuration).map_err(|_| WrongPart)?;
    if executor::digest_of(target.seq, &root, &sessions, &configuration) != target.digest {
        return Err(WrongPart);
    }
    let machine = parts.into_iter();
    let machine = machine.map(|(part, digest)| (PartRef::Machine(part), digest));
    let sessions = manifest.sessions.iter();
    let sessions = sessions.map(|(client, digest)| (PartRef::Session(*client), *digest));
    let parts = machine.chain(sessions).collect();
    Ok((configuration, parts))
}

/// Checks a part that a peer sent, and says which parts are below it.
pub(super) fn check_part<S: Transferable>(
    window: u64,
    part: PartRef,
    digest: &Digest,
    bytes: &[u8],
) -> Result<(Checked<S::Content>, Parts), WrongPart> {
    match part {
        PartRef::Machine(part) => match S::check_part(part, digest, bytes)? {
            Part::Content(content) => Ok((Checked::Machine(content), Parts::new())),
            Part::Outline(below) => {
                let below = below.into_iter();
                let below = below.map(|(part, digest)| (PartRef::Machine(part), digest));
                Ok((Checked::Outline, below.collect()))
            }
        },
        PartRef::Session(client) => {
            let head: SessionHead = crypto::decode(bytes).map_err(|_| WrongPart)?;
            if head.digest() != *digest || head.replies().len() as u64 > window {
                return Err(WrongPart);
            }
            let replies = head.replies().iter();
            let below = replies.map(|reply| (PartRef::Reply(client, reply.number), reply.digest));
            let below = below.collect();
            Ok((Checked::Session(head), below))
        }
        PartRef::Reply(..) => {
            let outcome = read_outcome(digest, bytes).ok_or(WrongPart)?;
            Ok((Checked::Reply(outcome), Parts::new()))
        }
    }
}

impl<S: Transferable> Executor<S> {
    /// From here on the state after the last executed slot, a checkpoint, can be served to others
    /// while execution goes on.
    pub(super) fn freeze(&mut self) {
        let seq = self.last_executed;
        if self.frozen.contains_key(&seq) {
            return;
        }
        self.machine.freeze(seq);
        let frozen = Frozen {
            digests: self.sessions.digests(),
            sessions: self.sessions.clone(),
            configuration: Blob::from(self.configuration.to_bytes()),
        };
        self.frozen.insert(seq, frozen);
    }

    /// Forgets a frozen state.
    pub(super) fn thaw(&mut self, seq: SeqNo) {
        self.machine.thaw(seq);
        self.frozen.remove(&seq);
    }

    /// The checkpoints whose states are frozen, ascending.
    pub fn frozen(&self) -> impl DoubleEndedIterator<Item = SeqNo> + ExactSizeIterator {
        self.frozen.keys().copied()
    }

    /// The manifest of a frozen state.
    pub(super) fn manifest(&self, seq: SeqNo) -> Option<Manifest> {
        let frozen = self.frozen.get(&seq)?;
        Some(Manifest {
            machine: Blob::from(self.machine.manifest(seq)?),
            sessions: frozen.digests.clone(),
            configuration: frozen.configuration.clone(),
        })
    }

    /// A part of a frozen state.
    pub(super) fn part(
        &mut self,
        seq: SeqNo,
        request: &PartRequest,
        room: usize,
    ) -> Option<Vec<u8>> {
        let frozen = self.frozen.get(&seq)?;
        match request.part {
            PartRef::Machine(part) => self.machine.part(seq, part, request.outline, room),
            PartRef::Session(client) => frozen
                .sessions
                .head(client)
                .map(|head| crypto::encode(&head)),
            PartRef::Reply(client, number) => {
                frozen.sessions.reply(client, number).map(crypto::encode)
            }
        }
    }

    /// Does the state as it is now hold this part?
    pub(super) fn holds(&mut self, part: PartRef, digest: &Digest) -> bool {
        match part {
            PartRef::Machine(part) => self.machine.holds(part, digest),
            PartRef::Session(client) => self.sessions.holds(client, digest),
            PartRef::Reply(client, number) => self.sessions.holds_reply(client, number, digest),
        }
    }

    /// Should the outline of this part be asked for first?
    pub(super) fn is_worth_comparing(&mut self, part: PartRef) -> bool {
        match part {
            PartRef::Machine(part) => self.machine.is_worth_comparing(part),
            PartRef::Session(_) | PartRef::Reply(..) => false,
        }
    }

    /// Replaces the state by the certified one: `parts` are all those of `manifest` that the
    /// state as it is now does not hold. Afterwards it is frozen, and the next slot is the one
    /// behind `target`.
    ///
    /// # Errors
    /// If the result has another digest. Every part was checked, so this is a broken invariant; the
    /// state is of no more use.
    pub(super) fn install(
        &mut self,
        target: &Target,
        manifest: &Manifest,
        configuration: Configuration,
        parts: BTreeMap<PartRef, Checked<S::Content>>,
    ) -> Result<(), String> {
        let mut machine = Vec::new();
        let mut heads = Vec::new();
        let mut replies = BTreeMap::new();
        for (part, checked) in parts {
            match (part, checked) {
                (PartRef::Machine(part), Checked::Machine(content)) => {
                    machine.push((part, content));
                }
                (PartRef::Session(client), Checked::Session(head)) => heads.push((client, head)),
                (PartRef::Reply(client, number), Checked::Reply(outcome)) => {
                    replies.insert((client, number), outcome);
                }
                _ => {}
            }
        }
        self.machine.install(&manifest.machine, machine);
        for (client, head) in heads {
            let outcomes = head.replies().iter().filter_map(|reply| {
                let fetched = replies.remove(&(client, reply.number));
                fetched.or_else(|| self.sessions.reply(client, reply.number).cloned())
            });
            let outcomes: Vec<Outcome> = outcomes.collect();
            self.sessions.replace(client, &head, outcomes);
        }
        let named = |client| {
            let at = |(named, _): &(ClientId, Digest)| *named;
            manifest.sessions.binary_search_by_key(&client, at).is_ok()
        };
        self.sessions.retain(named);
        self.frozen.clear();
        self.last_executed = target.seq;
        self.configuration = configuration;
        let digest = self.checkpoint();
        if digest != target.digest {
            return Err(format!(
                "the state at {} was put together from checked parts and has digest {digest}, not {}",
                target.seq, target.digest
            ));
        }
        self.freeze();
        Ok(())
    }
}
