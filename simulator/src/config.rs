//! What a simulated run consists of.

use std::ops::Range;
use std::time::Duration;

use byzantine::Plan;
use consensus::client::Pace;
use consensus::{CommitMode, FastQuorum, Limits, Policy};

use crate::persistence::Points;
use crate::rogue::Trick;
use crate::script::Scripted;

/// How messages are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signatures {
    /// A mixed word: fast, forgeable.
    Fake,
    /// Ed25519 as in real clusters.
    Ed25519,
}

/// What goes wrong until [`Config::heal_at`]. At most f replicas are faulty at a time, twins and
/// silent ones included, but for power cuts, which take all of them down.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Share of messages between replicas that are lost.
    pub loss: f64,
    /// Share that arrive twice.
    pub duplication: f64,
    /// Share of messages between clients and replicas that are lost.
    pub client_loss: f64,
    /// Share of messages that are held back for up to [`Faults::spike`].
    pub spikes: f64,
    /// The longest time a message is held back.
    pub spike: Duration,
    /// Time between two of the faults below.
    pub every: Range<Duration>,
    /// How long each of them lasts.
    pub lasting: Range<Duration>,
    /// Short schedules (`campaign`): at the beginning of each round of this length the network is
    /// arranged anew, and what is enabled below strikes. `every` means nothing then.
    pub round: Option<Duration>,
    /// Partitions: groups, one-way links, a bridge, an isolated primary.
    pub partitions: bool,
    /// Crashes of single replicas at every persistence point.
    pub crashes: bool,
    /// Crashes of all replicas at once.
    pub power_cuts: bool,
    /// Processes that stand still for a while and then find everything at once.
    pub pauses: bool,
    /// Clocks that jump, or run up to 10 % fast or slow.
    pub clocks: bool,
    /// Disks that are wiped, damaged, or replaced by an older copy, while their replica is down. It
    /// comes back as a learner and counts as faulty until it has its vote again.
    pub disks: bool,
    /// Disks that fail while their replica runs: a sync that errs and stops it, no room for a while,
    /// syncs of half a second, syncs that return and write nothing. The last may come to light
    /// unnoticed: then the replica counts as Byzantine for the rest of the run.
    pub failing_disks: bool,
    /// A planted bug: a crash takes everything from the disk, and nobody notices. The checkers are
    /// shown to find what comes of it.
    pub amnesia: bool,
    /// A planted bug: messages do not wait until what they promise is durable.
    pub haste: bool,
    /// A planted bug: what replicas execute is the first request that each got under a number, not
    /// the one in the batch. Only a client that equivocates shows it.
    pub by_number: bool,
    /// Replicas that are down from the start and come up when the rest is healed.
    pub silent: u16,
    /// Replicas that run twice with one key, each instance seeing a part of the others. They are
    /// Byzantine: honest code that equivocates.
    pub twins: u16,
}

impl Faults {
    /// A reliable, if slow, network, and replicas that stay up.
    pub fn none() -> Self {
        Faults {
            loss: 0.0,
            duplication: 0.0,
            client_loss: 0.0,
            spikes: 0.0,
            spike: Duration::from_millis(200),
            every: Duration::from_millis(100)..Duration::from_millis(600),
            lasting: Duration::from_millis(10)..Duration::from_millis(800),
            round: None,
            partitions: false,
            crashes: false,
            power_cuts: false,
            pauses: false,
            clocks: false,
            disks: false,
            failing_disks: false,
            amnesia: false,
            haste: false,
            by_number: false,
            silent: 0,
            twins: 0,
        }
    }
}

/// One simulated run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// Faults tolerated.
    pub f: u16,
    /// Replicas.
    pub n: u16,
    /// The fast quorum.
    pub fast: FastQuorum,
    /// Limits of the configuration. Small windows reach more situations.
    pub limits: Limits,
    /// Policy of every replica.
    pub policy: Policy,
    /// Client keys.
    pub clients: u32,
    /// Requests that each client completes. It goes on until then and at least until everything
    /// is healed.
    pub requests: u64,
    /// Requests that a client has outstanding.
    pub outstanding: u64,
    /// How long a client thinks before it fills a place that became free.
    pub think: Range<Duration>,
    /// How patient a client is.
    pub pace: Pace,
    /// Operations in each request: 1 to this many.
    pub ops_max: u16,
    /// Different keys.
    pub keys: u32,
    /// Share of what clients ask that is read beside the log (R14); needs `quorum_reads` of the
    /// limits.
    pub quorum_reads: f64,
    /// One-way delay of a message.
    pub delay: Range<Duration>,
    /// Time that a sync to disk takes.
    pub sync: Range<Duration>,
    /// Faults until `heal_at`.
    pub faults: Faults,
    /// Faults at times that are written down, beside those that are drawn.
    pub script: Vec<Scripted>,
    /// What is made of persistence points: one crash at a chosen one, beside the faults.
    pub points: Points,
    /// Byzantine members by id, each with its plan, from the beginning to the end of the run: healing
    /// does not make them honest. They count among the f, and nothing that they say is believed.
    pub byzantine: Vec<(u16, Plan)>,
    /// Byzantine clients, each with a key of its own behind those of [`Config::clients`], to the end
    /// of the run.
    pub rogues: Vec<Trick>,
    /// From here on nothing fails any more, and progress is demanded.
    pub heal_at: Duration,
    /// All replicas are stopped at once, without warning, and started again when the clients are
    /// done: every acknowledged write must be there.
    pub restart_all: bool,
    /// At the end every replica must catch up with the log.
    pub catch_up: bool,
    /// The bound on progress (ATTACKS L1): a request that is open when everything is healed, or
    /// made later, completes within this time, and so does every request after the restart of
    /// all. It covers the time-outs of a view change, doubled as often as the faults doubled them.
    pub progress_within: Duration,
    /// Signatures.
    pub signatures: Signatures,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            seed: 1,
            f: 1,
            n: 5,
            fast: FastQuorum::Strong,
            limits: Limits {
                checkpoint_interval: 8,
                log_window: 32,
                batch_requests_max: 4,
                ..Limits::default()
            },
            policy: Policy {
                inflight_max: 8,
                commit_mode: CommitMode::Adaptive,
                ..Policy::default()
            },
            clients: 4,
            requests: 20,
            outstanding: 2,
            think: Duration::from_millis(20)..Duration::from_millis(400),
            pace: Pace::default(),
            ops_max: 3,
            keys: 6,
            quorum_reads: 0.0,
            delay: Duration::from_micros(50)..Duration::from_millis(3),
            sync: Duration::from_micros(100)..Duration::from_millis(2),
            faults: Faults::none(),
            script: Vec::new(),
            points: Points::Passed,
            byzantine: Vec::new(),
            rogues: Vec::new(),
            heal_at: Duration::from_secs(3),
            restart_all: true,
            catch_up: true,
            progress_within: Duration::from_secs(30),
            signatures: Signatures::Fake,
        }
    }
}
