//! Recording: what a run measured, and the files it leaves.
//!
//! ```text
//!   load worker ─ Recorder ─┐ histograms, counters, 100 ms buckets   (no lock, no allocation per operation)
//!   load worker ─ Recorder ─┼─► Recording (merged, lossless) ─► latency/*.hlog *.hgrm, timeseries.csv, run.json
//!                           └─► bounded queue ─► writer thread ─► history.jsonl
//! ```
//!
//! Two latencies are kept for every operation: from its *intended* start, which is what a user of an overloaded service sees, and from the moment it was
//! sent (service latency). An operation belongs to the phase of its intended start; only the measured phase enters histograms and counters.
//! Histograms hold successful operations only, so that at the end
//! sum of histogram counts = `operations.ok` = history lines with status ok outside load and warm-up (when the history is full).

mod acknowledged;
mod atomic_file;
mod bounds;
mod by_client;
mod client_attack;
mod conditions;
mod consensus_facts;
mod cost;
mod counters;
mod directory;
mod environment;
mod events;
mod fault_fact;
mod history;
mod invocation;
mod latency_files;
mod latency_summary;
mod live;
mod message_facts;
mod moments;
mod network;
mod phase;
mod quorum_reads;
mod recorder;
mod replica_series;
mod run_json;
mod slot_facts;
mod sparse;
mod summary;
mod thinned;
mod timeseries;

pub use acknowledged::{Acknowledged, KEYS_MAX, Written};
pub use atomic_file::{AtomicFile, write_file, write_json};
pub use bounds::{Bounds, MeasuredCosts, mean_of_known};
pub use by_client::ClientService;
pub use client_attack::ClientAttackFact;
pub use conditions::{MachineFacts, Stationarity, Steadiness, Trend};
pub use consensus_facts::{BatchSizes, ConsensusFacts};
pub use cost::{ProcessResources, ReplicaResources, Resources};
pub use counters::Counters;
pub use directory::{
    DirectoryError, INCOMPLETE_MARK, RepeatDirectory, RunDirectory, check_writable,
};
pub use environment::{Environment, Settings};
pub use events::EventLog;
pub use fault_fact::{EvidenceFact, FaultFact};
pub(crate) use history::named;
pub use history::{
    HISTORY_QUEUE_CHUNKS, HistoryCounts, HistoryLine, HistoryMode, HistoryResult, HistorySink,
    HistoryWriter, LineStatus, read_history,
};
pub use invocation::Invocation;
pub use latency_files::{write_hgrm, write_hlog, write_latency_files};
pub use latency_summary::LatencySummary;
pub use live::{Live, LiveSnapshot, RecentLatency, SeenCluster};
pub use message_facts::{MessageCounts, MessageFacts, MessageType, ReplicaMessages};
pub use moments::Marks;
pub(crate) use network::median_of;
pub use network::{LinkFact, NetworkFacts};
pub use phase::{Phase, Phases};
pub use quorum_reads::QuorumReads;
pub use recorder::{Answer, LATE_AFTER, Outcome, Recorder, Recording, Times, Window};
pub use replica_series::{REPLICAS_FILE, ReplicaRow, ReplicaSeries, Totals};
pub use run_json::{Checks, HistoryFacts, RUN_SCHEMA, Repeat, Run, RunStatus, RunVerdict, Summary};
pub use slot_facts::{FallbackFacts, MissingVotes, PhaseFacts, ReplicaFallbacks, ReplicaPhases};
pub use sparse::{LATENCY_NS_MAX, new_histogram};
pub(crate) use summary::median;
pub use summary::{Estimate, EstimateMethod};
pub use thinned::Thinned;
pub use timeseries::{BUCKET, ClusterSample, TIME_BUCKETS_MAX, write_timeseries};
