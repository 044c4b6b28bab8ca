//! State transfer: how a replica that lags further than the others' logs reach gets their state,
//! and how it serves its own (docs/protocol.md R13).
//!
//! ```text
//!   core ── FetchState ──► Transfer ── manifest? parts? ──► peers
//!    ▲                        │  ▲                            │
//!    │                        │  └── checked one by one ◄─────┘
//!    └── StateInstalled ◄── driver: makes the installed state durable
//! ```
//!
//! A component beside the protocol core, as pure as it. It works on the executor's state and on
//! nothing else, so it needs no view, no vote and no record: all that it believes is a certificate,
//! which the core has checked. While it fetches, execution may go on.
//!
//! `fetch` is the side that fetches and `sources` whom it asks, `server` the other side, `state` the
//! state as a tree of parts, `message` what travels.

mod fetch;
pub mod message;
mod server;
mod sources;
pub(crate) mod state;

use std::sync::Arc;

use crypto::Digest;

use crate::cluster::Cluster;
use crate::configuration::Configuration;
use crate::executor::Executor;
use crate::ids::{Epoch, ReplicaId, SeqNo};
use crate::report::Report;
use crate::state_machine::Transferable;
use crate::time::Instant;

use fetch::Fetch;
use message::StateMessage;
use server::Server;

/// A certified state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Of the certificate.
    pub epoch: Epoch,
    /// The checkpoint.
    pub seq: SeqNo,
    /// `state_digest` (R9).
    pub digest: Digest,
}

/// What a transfer wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send a message; it promises nothing.
    Send {
        /// To whom.
        to: ReplicaId,
        /// What.
        message: StateMessage,
    },
    /// The executor holds this state now: make it durable, then step
    /// [`Event::StateInstalled`](crate::Event::StateInstalled).
    Installed {
        /// The checkpoint.
        seq: SeqNo,
        /// `state_digest`.
        digest: Digest,
        /// The configuration in it.
        configuration: Configuration,
    },
    /// Something worth knowing happened.
    Report(Report),
    /// A broken invariant: stop with this diagnosis.
    Halt(String),
}

/// Fetches states for one replica and serves those that it has.
///
/// Drivers call it between two slots: no batch that was given out may be waiting for execution.
pub struct Transfer<S: Transferable> {
    me: ReplicaId,
    cluster: Arc<Cluster>,
    fetch: Option<Fetch<S>>,
    server: Server,
}

impl<S: Transferable> Transfer<S> {
    /// Nothing is fetched and nobody served.
    pub fn new(me: ReplicaId, cluster: Arc<Cluster>) -> Self {
        Transfer {
            me,
            cluster,
            fetch: None,
            server: Server::default(),
        }
    }

    /// The executor has executed a checkpoint, or was restored at one: from here on its state can
    /// be served.
    pub fn checkpoint(&mut self, now: Instant, executor: &mut Executor<S>) {
        executor.freeze();
        self.server.forget(now, executor);
    }

    /// A checkpoint became stable: states that are older than the one before need not be served.
    pub fn stable(&mut self, now: Instant, seq: SeqNo, executor: &mut Executor<S>) {
        self.server.on_stable(seq);
        self.server.forget(now, executor);
    }

    /// Fetches the certified state, or, if another one is being fetched, that one as soon as the
    /// other cannot be had any more.
    pub fn begin(
        &mut self,
        now: Instant,
        target: Target,
        executor: &mut Executor<S>,
        out: &mut Vec<Effect>,
    ) {
        match &mut self.fetch {
            Some(fetch) => fetch.offer(target),
            None if target.seq <= executor.last_executed() => return,
            None => {
                let seq = target.seq;
                out.push(Effect::Report(Report::TransferStarted { seq }));
                self.fetch = Some(Fetch::new(self.me, &self.cluster, target));
            }
        }
        self.advance(now, executor, out);
    }

    /// A member's message; its bounds were checked ([`StateMessage::check`]).
    pub fn on_message(
        &mut self,
        now: Instant,
        from: ReplicaId,
        message: StateMessage,
        executor: &mut Executor<S>,
        out: &mut Vec<Effect>,
    ) {
        match message {
            StateMessage::FetchManifest { seq } => self.server.on_fetch_manifest(from, seq),
            StateMessage::FetchParts {
                seq,
                request,
                parts,
            } => self.server.on_fetch_parts(from, seq, request, parts),
            StateMessage::Manifest { seq, manifest } => {
                if let Some(fetch) = &mut self.fetch {
                    fetch.on_manifest(from, seq, manifest, &self.cluster, executor, out);
                }
            }
            StateMessage::Parts {
                seq,
                request,
                parts,
            } => {
                if let Some(fetch) = &mut self.fetch {
                    let cluster = &self.cluster;
                    fetch.on_parts(now, from, seq, request, &parts, cluster, executor, out);
                }
            }
            StateMessage::Unavailable { seq, .. } => {
                if let Some(fetch) = &mut self.fetch {
                    fetch.on_unavailable(from, seq);
                }
            }
        }
        self.tick(now, executor, out);
    }

    /// Does what is due. Call at [`Transfer::deadline`], and as often as is convenient.
    pub fn tick(&mut self, now: Instant, executor: &mut Executor<S>, out: &mut Vec<Effect>) {
        self.server.serve(now, executor, out);
        self.advance(now, executor, out);
    }

    /// When [`Transfer::tick`] must be called even if nothing comes in.
    pub fn deadline(&self) -> Option<Instant> {
        let fetch = self.fetch.as_ref().and_then(Fetch::deadline);
        [fetch, self.server.deadline()].into_iter().flatten().min()
    }

    /// The state that is being fetched.
    pub fn fetching(&self) -> Option<Target> {
        self.fetch.as_ref().map(Fetch::target)
    }

    fn advance(&mut self, now: Instant, executor: &mut Executor<S>, out: &mut Vec<Effect>) {
        let Some(fetch) = &mut self.fetch else {
            return;
        };
        // Decisions may have come after all.
        let overtaken = executor.last_executed() >= fetch.target().seq;
        if overtaken || fetch.advance(now, executor, out) {
            self.fetch = None;
        }
    }
}
