//! One simulated replica: the protocol with its executor, disk and timers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use consensus::pbft::Pbft;
use consensus::pbft::message::Wire;
use consensus::session::SessionTable;
use consensus::{
    Cluster, Configuration, Destination, Executor, Keyring, Policy, ReplicaId, SeqNo, Ticket, Timer,
};
use crypto::Signer;

use crate::disk::{Disk, SavedState};

/// A replica that runs, with everything that a crash takes away.
pub(crate) struct Running {
    pub(crate) protocol: Pbft,
    pub(crate) executor: Executor<kv::Store>,
    pub(crate) tickets: Ticket,
    pub(crate) durable: Ticket,
    /// Messages that wait for a ticket, in order.
    pub(crate) gated: VecDeque<(Ticket, Destination, Wire)>,
    /// Generation of the last setting of each timer; absent: cancelled.
    pub(crate) timers: BTreeMap<Timer, u64>,
    /// Changes of the state machine since the last saved state.
    pub(crate) unsaved: Vec<kv::Change>,
}

/// A replica, up or down.
pub(crate) struct Node {
    pub(crate) id: ReplicaId,
    pub(crate) disk: Disk,
    pub(crate) running: Option<Running>,
    /// Counts starts: events of an earlier life are not delivered.
    pub(crate) life: u64,
    pub(crate) timer_generation: u64,
    keyring: Keyring,
    policy: Policy,
    signer: Arc<dyn Signer>,
}

impl Node {
    pub(crate) fn new(
        id: ReplicaId,
        keyring: Keyring,
        policy: Policy,
        signer: Arc<dyn Signer>,
    ) -> Self {
        Node {
            id,
            disk: Disk::default(),
            running: None,
            life: 0,
            timer_generation: 0,
            keyring,
            policy,
            signer,
        }
    }

    /// Starts from what the disk holds.
    pub(crate) fn start(&mut self) {
        self.life += 1;
        let cluster: Arc<Cluster> = Arc::clone(self.keyring.cluster());
        let mut protocol = Pbft::with_keyring(
            self.id,
            self.keyring.clone(),
            self.policy.clone(),
            Arc::clone(&self.signer),
        );
        for record in self.disk.records() {
            consensus::Protocol::restore(&mut protocol, record.clone());
        }
        let executor = match &self.disk.state {
            None => Executor::new(Arc::clone(&cluster), kv::Store::new()),
            Some(saved) => {
                let machine = kv::Store::from_changes(saved.changes.iter().cloned());
                let window = cluster.limits().client_window;
                let sessions = SessionTable::from_bytes(window, &saved.sessions)
                    .expect("the simulated disk damages nothing");
                let configuration = Configuration::from_bytes(&cluster, &saved.configuration)
                    .expect("the simulated disk damages nothing");
                let mut executor = Executor::restored(
                    Arc::clone(&cluster),
                    machine,
                    sessions,
                    configuration,
                    saved.seq,
                );
                assert_eq!(
                    executor.state_digest(),
                    saved.digest,
                    "a restored state has the digest it was saved with"
                );
                // What was restored is not a change.
                let _ = consensus::StateMachine::take_changes(executor.machine_mut());
                protocol.restore_state(saved.seq, saved.digest);
                executor
            }
        };
        self.running = Some(Running {
            protocol,
            executor,
            tickets: Ticket(0),
            durable: Ticket(0),
            gated: VecDeque::new(),
            timers: BTreeMap::new(),
            unsaved: Vec::new(),
        });
    }

    /// Power is lost.
    pub(crate) fn crash(&mut self) {
        self.running = None;
        self.disk.crash();
    }

    /// The state that a checkpoint at `seq` saves, on top of what was saved before.
    pub(crate) fn state_to_save(&mut self, seq: SeqNo) -> Option<SavedState> {
        let running = self.running.as_mut()?;
        let digest = running.executor.state_digest();
        let changes = consensus::StateMachine::take_changes(running.executor.machine_mut());
        running.unsaved.extend(changes);
        let mut all = self
            .disk
            .state
            .as_ref()
            .map(|saved| saved.changes.clone())
            .unwrap_or_default();
        all.extend(running.unsaved.iter().cloned());
        Some(SavedState {
            seq,
            digest,
            changes: all,
            sessions: running.executor.sessions().to_bytes(),
            configuration: running.executor.configuration().to_bytes(),
        })
    }
}
