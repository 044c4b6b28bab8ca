//! The side that fetches: from a certificate to the state that it certifies (docs/protocol.md R13).
//!
//! ```text
//!   manifest ──► walk: which parts does this replica not hold? ──► wanted ──► sources
//!                  ▲                                                            │
//!                  └──────── held: checked parts, and what is below them ◄──────┘
//!                  nothing wanted, nothing under way: install
//! ```
//!
//! Parts are known by their digests, so what was fetched for one checkpoint serves a later one where
//! the digests agree, and it does not matter who sent it.

use std::collections::BTreeMap;

use crypto::Digest;
use crypto::codec::Blob;

use super::message::{Manifest, PartRef, PartRequest, StateMessage};
use super::sources::Sources;
use super::state::{Checked, Parts, check_part, read_manifest};
use super::{Effect, Target};
use crate::cluster::Cluster;
use crate::configuration::Configuration;
use crate::executor::Executor;
use crate::ids::{ReplicaId, SeqNo};
use crate::protocol::Misbehaviour;
use crate::report::Report;
use crate::state_machine::Transferable;
use crate::time::Instant;

/// A part that is here.
struct Held<C> {
    digest: Digest,
    content: Checked<C>,
    below: Parts,
}

/// What the certified state consists of.
struct Plan {
    manifest: Manifest,
    configuration: Configuration,
    parts: Parts,
}

/// One transfer.
pub(super) struct Fetch<S: Transferable> {
    target: Target,
    /// A newer certificate that came meanwhile. What is fetched already is worth more, so it waits
    /// until the sources have forgotten the target.
    newer: Option<Target>,
    plan: Option<Plan>,
    wanted: BTreeMap<PartRef, Digest>,
    held: BTreeMap<PartRef, Held<S::Content>>,
    sources: Sources,
    /// f.
    faults: usize,
    /// Nobody can be asked before this.
    paused: Option<Instant>,
    bytes: u64,
    parts: u64,
}

impl<S: Transferable> Fetch<S> {
    pub(super) fn new(me: ReplicaId, cluster: &Cluster, target: Target) -> Self {
        Fetch {
            target,
            newer: None,
            plan: None,
            wanted: BTreeMap::new(),
            held: BTreeMap::new(),
            sources: Sources::new(me, cluster),
            faults: cluster.quorums().f(),
            paused: None,
            bytes: 0,
            parts: 0,
        }
    }

    pub(super) fn target(&self) -> Target {
        self.target
    }

    /// A certificate for a later state.
    pub(super) fn offer(&mut self, target: Target) {
        if target.seq > self.newest() {
            self.newer = Some(target);
        }
        if self.plan.is_none() {
            self.move_on();
        }
    }

    /// The newest state that is known to be certified.
    fn newest(&self) -> SeqNo {
        self.newer.map_or(self.target.seq, |newer| newer.seq)
    }

    /// Goes for the newer state, if there is one.
    fn move_on(&mut self) -> bool {
        let Some(newer) = self.newer.take() else {
            return false;
        };
        self.target = newer;
        self.plan = None;
        self.paused = None;
        self.wanted.clear();
        self.sources.retarget();
        true
    }

    /// Asks for what is missing. Once nothing is, installs the state: true if the transfer is over.
    pub(super) fn advance(
        &mut self,
        now: Instant,
        executor: &mut Executor<S>,
        out: &mut Vec<Effect>,
    ) -> bool {
        if self.paused.is_some_and(|until| now < until) {
            return false;
        }
        self.paused = None;
        let slow = self.sources.expel_slow(now);
        self.wanted.extend(slow);
        // Among more than f sources one is correct; fewer might lead this replica on for ever.
        let moved = self.sources.good() <= self.faults && self.move_on();
        if self.sources.good() == 0 && !moved {
            // All lied or were slow: they may have been slow for good reasons. All lack the state:
            // it takes a newer certificate, or one of them to get there.
            if self.sources.any_out() {
                self.sources.start_over();
            } else {
                self.sources.retarget();
                self.paused = Some(now + self.sources.patience());
                return false;
            }
        }
        let seq = self.target.seq;
        for to in self.sources.ask_manifest(now) {
            let message = StateMessage::FetchManifest { seq };
            out.push(Effect::Send { to, message });
        }
        if self.plan.is_none() {
            return false;
        }
        if self.wanted.is_empty() && !self.sources.outstanding() {
            self.walk(executor);
            if self.wanted.is_empty() {
                self.install(executor, out);
                return true;
            }
        }
        while !self.wanted.is_empty() {
            let Some((to, count)) = self.sources.next_idle(self.wanted.len()) else {
                break;
            };
            let mut parts = Parts::new();
            while parts.len() < count
                && let Some(wanted) = self.wanted.pop_first()
            {
                parts.push(wanted);
            }
            let asked = parts.iter().map(|(part, _)| PartRequest {
                part: *part,
                outline: executor.is_worth_comparing(*part),
            });
            let asked = asked.collect();
            let request = self.sources.ask(now, to, parts);
            let message = StateMessage::FetchParts {
                seq,
                request,
                parts: asked,
            };
            out.push(Effect::Send { to, message });
        }
        false
    }

    /// A source sent a manifest.
    pub(super) fn on_manifest(
        &mut self,
        from: ReplicaId,
        seq: SeqNo,
        manifest: Manifest,
        cluster: &Cluster,
        executor: &mut Executor<S>,
        out: &mut Vec<Effect>,
    ) {
        if seq != self.target.seq || !self.sources.manifest_came(from) {
            return;
        }
        match read_manifest::<S>(cluster, &self.target, &manifest) {
            Ok(_) if self.plan.is_some() => {}
            Ok((configuration, parts)) => {
                self.plan = Some(Plan {
                    manifest,
                    configuration,
                    parts,
                });
                self.walk(executor);
            }
            Err(_) => self.expel(from, "a manifest of another state than the certified", out),
        }
    }

    /// A source sent parts.
    #[expect(clippy::too_many_arguments, reason = "the fields of one message")]
    pub(super) fn on_parts(
        &mut self,
        now: Instant,
        from: ReplicaId,
        seq: SeqNo,
        request: u64,
        parts: &[Blob],
        cluster: &Cluster,
        executor: &mut Executor<S>,
        out: &mut Vec<Effect>,
    ) {
        if seq != self.target.seq {
            return;
        }
        let Some(asked) = self.sources.answered(now, from, request, parts.len()) else {
            return;
        };
        let window = cluster.limits().client_window;
        let mut asked = asked.parts.into_iter();
        for bytes in parts {
            let Some((part, digest)) = asked.next() else {
                self.expel(from, "more parts than were asked for", out);
                return;
            };
            let Ok((content, below)) = check_part::<S>(window, part, &digest, bytes) else {
                self.wanted.insert(part, digest);
                self.wanted.extend(asked);
                self.expel(
                    from,
                    "a part that the certified manifest does not name",
                    out,
                );
                return;
            };
            self.bytes += bytes.len() as u64;
            self.parts += 1;
            self.sources.delivered(from, 1);
            for (part, digest) in &below {
                self.want(*part, *digest, executor);
            }
            let held = Held {
                digest,
                content,
                below,
            };
            self.held.insert(part, held);
        }
        self.wanted.extend(asked);
    }

    /// A source cannot serve the target.
    pub(super) fn on_unavailable(&mut self, from: ReplicaId, seq: SeqNo) {
        if seq == self.target.seq {
            let back = self.sources.lacks(from);
            self.wanted.extend(back);
        }
    }

    /// When something must be done even if nothing comes in.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.paused.or_else(|| self.sources.deadline())
    }

    fn expel(&mut self, from: ReplicaId, why: &'static str, out: &mut Vec<Effect>) {
        let back = self.sources.expel(from);
        self.wanted.extend(back);
        out.push(Effect::Report(Report::Dropped {
            from,
            why: Misbehaviour::Unexpected(why),
        }));
    }

    fn want(&mut self, part: PartRef, digest: Digest, executor: &mut Executor<S>) {
        let held = self.held.get(&part);
        if held.is_none_or(|held| held.digest != digest) && !executor.holds(part, &digest) {
            self.wanted.insert(part, digest);
        }
    }

    /// Goes through all parts of the manifest: what is neither in the state nor held is wanted, and
    /// what is held for nothing is given up.
    fn walk(&mut self, executor: &mut Executor<S>) {
        let Some(plan) = &self.plan else {
            return;
        };
        let mut ahead = plan.parts.clone();
        let mut before = std::mem::take(&mut self.held);
        self.wanted.clear();
        while let Some((part, digest)) = ahead.pop() {
            if executor.holds(part, &digest) {
                continue;
            }
            match before.remove(&part) {
                Some(held) if held.digest == digest => {
                    ahead.extend(held.below.iter().copied());
                    self.held.insert(part, held);
                }
                _ => {
                    self.wanted.insert(part, digest);
                }
            }
        }
    }

    fn install(&mut self, executor: &mut Executor<S>, out: &mut Vec<Effect>) {
        let Some(plan) = self.plan.take() else {
            return;
        };
        let held = std::mem::take(&mut self.held).into_iter();
        let parts = held.map(|(part, held)| (part, held.content)).collect();
        let configuration = plan.configuration.clone();
        if let Err(why) = executor.install(&self.target, &plan.manifest, configuration, parts) {
            out.push(Effect::Halt(why));
            return;
        }
        let Target { seq, digest, .. } = self.target;
        out.push(Effect::Report(Report::TransferDone {
            seq,
            bytes: self.bytes,
            parts: self.parts,
            sources: self.sources.used(),
        }));
        out.push(Effect::Installed {
            seq,
            digest,
            configuration: plan.configuration,
        });
    }
}
