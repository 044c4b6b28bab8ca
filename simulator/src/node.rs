//! One simulated replica: the protocol with its executor, disk, clock and timers.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use byzantine::{Bend, Byzantine, Cabal, Forge, Plan, Pulse};
use consensus::pbft::Pbft;
use consensus::session::SessionTable;
use consensus::{
    Cluster, Configuration, Destination, Executor, Instant, Keyring, Nonce, Policy, ReadGate,
    ReplicaId, SeqNo, Ticket, Timer, Transfer, View,
};
use crypto::{SecretKey, Signer};

use crate::clock::Clock;
use crate::disk::{Delta, Disk};
use crate::member::Member;
use crate::network::Packet;
use crate::queue::What;

/// Messages that wait for a paused process; more push the oldest out, as the bounded queues of a
/// real replica do.
pub(crate) const INBOX_MAX: usize = 128;

/// Where in writing to disk a crash comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CrashPoint {
    /// Records wait, and no sync covers them.
    BeforeSync,
    /// A sync is under way: any beginning of the group may have been written.
    InSync,
    /// The sync is done; nothing that waited for it has left.
    AfterSync,
    /// Some receivers of a broadcast were sent it, others not.
    InBroadcast,
    /// A checkpoint's state is being written.
    InSave,
    /// It is written; nobody was told.
    AfterSave,
    /// A sync errs, and the replica stops.
    SyncFails,
    /// There is no room for a sync, and the replica stops.
    NoRoom,
}

/// A replica that runs, with everything that a crash takes away.
pub(crate) struct Running {
    pub(crate) protocol: Member,
    pub(crate) executor: Executor<kv::Store>,
    pub(crate) transfer: Transfer<kv::Store>,
    /// May it answer reads (R14)?
    pub(crate) reads: ReadGate,
    /// A Byzantine member's way out, and when, in virtual time, it is asked next.
    pub(crate) bend: Option<(Bend, Option<Instant>)>,
    /// When, in virtual time, the transfer is called next.
    pub(crate) transfer_due: Option<Instant>,
    pub(crate) tickets: Ticket,
    pub(crate) durable: Ticket,
    /// Messages that wait for a ticket, in order.
    pub(crate) gated: VecDeque<(Ticket, Destination, Rc<Packet>)>,
    timers: [Option<(u64, Instant)>; TIMERS],
    /// What comes in while the process stands still; `None` while it runs.
    pub(crate) paused: Option<VecDeque<What>>,
}

/// More than there are [`Timer`]s.
const TIMERS: usize = 16;

impl Running {
    /// Sets a timer to a local time.
    pub(crate) fn set_timer(&mut self, timer: Timer, generation: u64, deadline: Instant) {
        if let Some(slot) = self.timers.get_mut(timer as usize) {
            *slot = Some((generation, deadline));
        }
    }

    pub(crate) fn cancel_timer(&mut self, timer: Timer) {
        if let Some(slot) = self.timers.get_mut(timer as usize) {
            *slot = None;
        }
    }

    /// When this setting of the timer runs out; `None` if it was replaced or cancelled.
    pub(crate) fn deadline(&self, timer: Timer, generation: u64) -> Option<Instant> {
        let (set, deadline) = (*self.timers.get(timer as usize)?)?;
        (set == generation).then_some(deadline)
    }

    /// Every timer that is set.
    pub(crate) fn timers_set(&self) -> Vec<(Timer, u64, Instant)> {
        let all = [
            Timer::Batch,
            Timer::Status,
            Timer::Fast,
            Timer::Request,
            Timer::NewView,
            Timer::Retransmit,
            Timer::Heartbeat,
            Timer::Wrapper,
        ];
        let set = |timer: &Timer| (*self.timers.get(*timer as usize)?).map(|(g, d)| (*timer, g, d));
        all.iter().filter_map(set).collect()
    }
}

/// What makes a node a Byzantine member, over all its lives.
struct Misbehaviour {
    plan: Plan,
    forge: Forge,
    pulse: Pulse,
}

/// A replica, up or down.
pub(crate) struct Node {
    pub(crate) id: ReplicaId,
    /// Honest code, but a second instance of it runs elsewhere: nothing that it says is believed.
    pub(crate) twin: bool,
    /// Honest code that has forgotten promises and does not know: its disk had lied.
    pub(crate) forgetful: bool,
    /// Its syncs take long until then.
    pub(crate) slow_until: Instant,
    pub(crate) disk: Disk,
    pub(crate) running: Option<Running>,
    pub(crate) clock: Clock,
    /// Counts starts: events of an earlier life are not delivered.
    pub(crate) life: u32,
    pub(crate) timer_generation: u64,
    /// A crash that waits for its persistence point.
    pub(crate) armed: Option<CrashPoint>,
    /// Persistence points that it has come to, in all its lives.
    pub(crate) points: u64,
    /// It has no vote, because its disk has lost something (R12, R16).
    pub(crate) learner: bool,
    /// The view that it was last in, or left for.
    pub(crate) view: View,
    /// It has got its vote back.
    pub(crate) renewed: bool,
    /// The last stop was a clean one.
    pub(crate) stopped_cleanly: bool,
    misbehaviour: Option<Misbehaviour>,
    keyring: Keyring,
    policy: Policy,
    signer: Arc<dyn Signer>,
}

impl Node {
    pub(crate) fn new(
        id: ReplicaId,
        twin: bool,
        keyring: Keyring,
        policy: Policy,
        signer: Arc<dyn Signer>,
    ) -> Self {
        Node {
            id,
            twin,
            forgetful: false,
            slow_until: Instant(0),
            disk: Disk::founded(),
            running: None,
            clock: Clock::default(),
            life: 0,
            timer_generation: 0,
            armed: None,
            points: 0,
            learner: false,
            view: View(0),
            renewed: false,
            stopped_cleanly: true,
            misbehaviour: None,
            keyring,
            policy,
            signer,
        }
    }

    /// Makes a Byzantine member of it; `key` gives the keys of its colluders, `secret` is its own where
    /// signatures are real.
    pub(crate) fn misbehave(
        &mut self,
        plan: &Plan,
        key: &dyn Fn(u16) -> Arc<dyn Signer>,
        secret: Option<SecretKey>,
    ) {
        let members = plan.colluders.iter().copied().chain([self.id.0]);
        let keys = members.map(|id| (ReplicaId(id), key(id)));
        let mut cabal = Cabal::new(keys, plan.seed);
        if let Some(secret) = secret {
            cabal = cabal.with_secret(self.id, secret);
        }
        let pulse = Pulse::default();
        pulse.begin();
        self.misbehaviour = Some(Misbehaviour {
            plan: plan.clone(),
            forge: Forge {
                me: self.id,
                keyring: self.keyring.clone(),
                cabal: Arc::new(cabal),
            },
            pulse,
        });
    }

    /// Is nothing that it says to be believed?
    pub(crate) fn is_byzantine(&self) -> bool {
        self.twin || self.forgetful || self.misbehaviour.is_some()
    }

    /// Does what leaves it pass a bend?
    pub(crate) fn bends(&self) -> bool {
        let bend = |running: &Running| running.bend.is_some();
        self.running.as_ref().is_some_and(bend)
    }

    /// What each of its behaviours has done, by name.
    pub(crate) fn deeds(&self) -> Vec<(&'static str, u64)> {
        let Some(Misbehaviour { plan, pulse, .. }) = &self.misbehaviour else {
            return Vec::new();
        };
        let names = plan.behaviours.iter().map(|(it, _)| it.name());
        names.zip(pulse.deeds()).collect()
    }

    /// Starts from what the disk holds; `nonce` names this life if it must begin as a learner.
    pub(crate) fn start(&mut self, now: Instant, nonce: Nonce) {
        self.life += 1;
        self.armed = None;
        let cluster: Arc<Cluster> = Arc::clone(self.keyring.cluster());
        let mut protocol = Pbft::with_keyring(
            self.id,
            self.keyring.clone(),
            self.policy.clone(),
            Arc::clone(&self.signer),
        );
        if !self.disk.has_role() {
            protocol.become_learner(nonce);
        }
        for record in self.disk.records() {
            consensus::Protocol::restore(&mut protocol, record.clone());
        }
        let mut executor = match self.disk.state() {
            None => Executor::new(Arc::clone(&cluster), kv::Store::new()),
            Some(saved) => {
                let machine = kv::Store::from_changes(saved.changes());
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
                executor.remember_checkpoints(&saved.earlier);
                assert_eq!(
                    executor.checkpoint(),
                    saved.digest,
                    "a restored state has the digest it was saved with"
                );
                let configuration = executor.configuration().clone();
                protocol.restore_state(saved.seq, saved.digest, configuration);
                protocol.restore_checkpoints(&saved.earlier);
                executor
            }
        };
        if !self.stopped_cleanly {
            protocol.fence();
        }
        self.stopped_cleanly = false;
        let reads = match self.life {
            1 => ReadGate::founded(),
            _ => ReadGate::restarted(executor.last_executed(), cluster.limits()),
        };
        let mut transfer = Transfer::new(self.id, cluster);
        if executor.last_executed() > SeqNo(0) {
            transfer.checkpoint(self.clock.read(now), &mut executor);
        }
        let (protocol, bend) = match &self.misbehaviour {
            None => (Member::Honest(Box::new(protocol)), None),
            Some(Misbehaviour { plan, forge, pulse }) => {
                let bend = Bend::new(forge.clone(), plan, pulse.clone());
                let member = Byzantine::new(protocol, forge.clone(), plan, pulse.clone());
                (Member::Byzantine(Box::new(member)), Some((bend, None)))
            }
        };
        self.running = Some(Running {
            protocol,
            bend,
            executor,
            reads,
            transfer,
            transfer_due: None,
            tickets: Ticket(0),
            durable: Ticket(0),
            gated: VecDeque::new(),
            timers: [None; TIMERS],
            paused: None,
        });
    }

    /// What a checkpoint at `seq` saves: the changes since the one before it.
    pub(crate) fn delta(&mut self, seq: SeqNo, installed: bool) -> Option<Delta> {
        let running = self.running.as_mut()?;
        let configuration = running.executor.configuration();
        Some(Delta {
            seq,
            configuration: configuration.to_bytes(),
            installed: installed.then(|| configuration.clone()),
            digest: running.executor.checkpoint(),
            earlier: running.executor.earlier_checkpoints(),
            changes: consensus::StateMachine::take_changes(running.executor.machine_mut()),
            sessions: running.executor.sessions().to_bytes(),
        })
    }

    /// Does it count among the f: Byzantine, without a vote, down, standing still, about to crash, or
    /// on a disk that lies?
    pub(crate) fn is_faulty(&self) -> bool {
        self.is_byzantine()
            || self.learner
            || !self.is_active()
            || self.armed.is_some()
            || self.disk.lies()
    }

    /// Is it up and not standing still?
    pub(crate) fn is_active(&self) -> bool {
        self.running
            .as_ref()
            .is_some_and(|running| running.paused.is_none())
    }
}
