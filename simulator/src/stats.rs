//! What a run reached. A sweep that never reaches a situation proves nothing about it, so every
//! count here can be asked for as a witness.

use std::collections::BTreeMap;
use std::time::Duration;

macro_rules! counts {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// Counts over a run, or over many.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Stats {
            $($(#[doc = $doc])* pub $name: u64,)*
            /// The longest that a client waited once nothing failed any more: how far the run was
            /// from its bound on progress.
            pub longest_wait: Duration,
            /// Virtual time.
            pub virtual_time: Duration,
            /// By the names of behaviours of Byzantine members: what they did.
            pub behaviours: BTreeMap<&'static str, Tally>,
        }

        impl Stats {
            /// Adds another run's counts.
            pub fn add(&mut self, other: &Stats) {
                $(self.$name += other.$name;)*
                self.virtual_time += other.virtual_time;
                self.longest_wait = self.longest_wait.max(other.longest_wait);
                for (name, tally) in &other.behaviours {
                    self.behaviours.entry(name).or_default().add(tally);
                }
            }

            /// Every count by its name.
            pub fn counts(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

counts! {
    /// Slots executed: the length of the log.
    slots,
    /// Requests executed for the first time.
    requests,
    /// Decisions by q_F PREPAREs, over all replicas.
    fast,
    /// Decisions by q COMMITs, over all replicas.
    slow,
    /// Decisions by another replica's certificate.
    transferred,
    /// States fetched from other replicas because decisions no longer reached back far enough.
    state_transfers,
    /// Parts of states that were fetched; what was there already was not.
    parts_transferred,
    /// COMMITs sent because the fast quorum did not come in time.
    fallbacks,
    /// Stable checkpoints, over all replicas.
    checkpoints,
    /// Times that a STATUS led to messages being sent again.
    retransmissions,
    /// Views left because of a proposal, or an opening, that only a Byzantine primary makes.
    left_by_bad_primary,
    /// Times that a behaviour of a Byzantine member struck.
    byzantine_deeds,
    /// Messages of Byzantine members that nobody admits.
    byzantine_refused,
    /// Views entered above view 0, over all replicas.
    views_entered,
    /// Views left because a request waited too long.
    left_by_request_timeout,
    /// Views left because a NEW-VIEW did not come.
    left_by_new_view_timeout,
    /// Views left because the primary was silent.
    left_by_silence,
    /// Views left because the primary left.
    left_by_resignation,
    /// Views left because the primary is proven to have signed contradictions.
    left_by_equivocation,
    /// Views left because the primary took too long to order requests.
    left_by_slowness,
    /// Views left because f + 1 others had.
    left_by_join,
    /// Views left by a primary that was restarted.
    left_by_restart,
    /// New views that propose slots of earlier views again.
    views_with_slots,
    /// New views for which a replica was excluded, because the reports show a conflict.
    views_with_excluded,
    /// Slots that somebody had decided fast before a replica that had not entered a later view.
    fast_then_view_change,
    /// Proofs of equivocation stored, over all replicas.
    equivocations,
    /// Stored replies that were sent again.
    replies_resent,
    /// Messages delivered to replicas.
    delivered,
    /// Messages lost on a link.
    lost,
    /// Messages that arrived twice.
    repeated,
    /// Messages held back by a delay spike.
    spikes,
    /// Messages stopped by a partition.
    partitioned,
    /// Arrangements of the network: groups, one-way links, bridges.
    partitions,
    /// Arrangements that cut the primary off.
    primary_isolated,
    /// Crashes of one replica.
    crashes,
    /// Crashes of a replica that was the primary of its view.
    primary_crashes,
    /// Crashes with records waiting that no sync had begun to write.
    crashes_before_sync,
    /// Crashes while a sync was under way.
    crashes_in_sync,
    /// Crashes after a sync and before what it released.
    crashes_after_sync,
    /// Crashes in the middle of a broadcast.
    crashes_in_broadcast,
    /// Crashes while a checkpoint's state was being written, or right after.
    crashes_at_save,
    /// Crashes that left a part of a group of records behind.
    torn_writes,
    /// Records that a crash took away before they were durable.
    records_lost,
    /// Power cuts: every replica down at once.
    power_cuts,
    /// Replicas restarted from their disks.
    restarts,
    /// Restarts after a clean stop.
    clean_restarts,
    /// Pauses of a process.
    pauses,
    /// Messages dropped from a paused process's full inbox.
    inbox_dropped,
    /// Jumps of a clock.
    clock_jumps,
    /// Clocks that ran fast or slow.
    clock_drifts,
    /// Disks found empty.
    disks_wiped,
    /// Disks found as they had been earlier.
    disks_stale,
    /// Logs with a flipped bit.
    logs_damaged,
    /// States with a flipped bit.
    states_damaged,
    /// Replicas that stopped because a sync failed.
    syncs_failed,
    /// Replicas that stopped because there was no room.
    disks_full,
    /// Disks whose syncs took half a second for a while.
    disks_slow,
    /// Disks that had lied about syncs when their replica crashed, and it noticed.
    lies_noticed,
    /// The same, and it did not notice: it has forgotten promises and does not know.
    lies_unnoticed,
    /// Messages signed by replicas that had forgotten promises.
    forgetful_messages,
    /// Lives begun as a learner, over all replicas.
    learners,
    /// Votes that replicas got back.
    members_again,
    /// Votes signed by replicas that had got their vote back.
    renewed_votes,
    /// Epochs entered, over all replicas.
    epochs_entered,
    /// Requests of Byzantine clients, once for each replica that they went to.
    rogue_requests,
    /// Replies to them that say that they were executed, over all replicas.
    rogue_executed,
    /// Replies to them that say that there was no room.
    rogue_busy,
    /// Those of their requests that will never execute: old ones, and such with a number too far ahead.
    rogue_refused,
    /// Those whose signatures did not hold where they came in.
    rogue_bad_signatures,
    /// Reads that n − f replicas answered alike.
    quorum_reads,
    /// Reads that were ordered because their answers did not match.
    read_fallbacks,
    /// Reads that replicas had no answer to, because they had been restarted or had no vote.
    reads_refused,
    /// Messages sent by the second instance of a replica that ran twice.
    twin_messages,
}

/// How a behaviour fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Plans that it was in.
    pub planned: u64,
    /// Of these, those in which it did something.
    pub acted: u64,
    /// What it did in all.
    pub deeds: u64,
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.planned += other.planned;
        self.acted += other.acted;
        self.deeds += other.deeds;
    }
}

impl Stats {
    /// A behaviour of one member did this much.
    pub(crate) fn note_behaviour(&mut self, name: &'static str, deeds: u64) {
        let tally = Tally {
            planned: 1,
            acted: u64::from(deeds > 0),
            deeds,
        };
        self.behaviours.entry(name).or_default().add(&tally);
    }

    /// Decided slots in a virtual second.
    pub fn slots_per_second(&self) -> f64 {
        self.slots as f64 / self.virtual_time.as_secs_f64().max(1e-9)
    }
}
