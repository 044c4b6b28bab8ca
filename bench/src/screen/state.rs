//! What the screen shows: the newest figures, and a little of what was before.

use std::collections::VecDeque;
use std::time::Duration;

use crate::check::Verdict;
use crate::record::{Counters, RecentLatency};

/// Seconds of the curves.
pub(super) const SECONDS: usize = 120;
/// Events that are kept.
const EVENTS_MAX: usize = 50;

/// One replica as it says itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplicaView {
    /// Its number.
    pub id: usize,
    /// Whether it answered the last time.
    pub up: bool,
    /// `primary`, `backup` or `learner`; empty if it has never answered.
    pub role: String,
    /// Its view.
    pub view: u64,
    /// The sequence number executed last.
    pub executed: u64,
    /// Slots that it is behind the furthest.
    pub lag: u64,
    /// CPU time of its process, seconds.
    pub cpu_s: f64,
    /// For how long its process has run, seconds.
    pub uptime_s: f64,
    /// Resident memory, bytes.
    pub rss_bytes: u64,
}

/// The figures of one look.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// What goes on.
    pub stage: &'static str,
    /// For how long.
    pub stage_time: Duration,
    /// How long it should take; zero if nobody knows.
    pub planned: Duration,
    /// Since the repeat began.
    pub time: Duration,
    /// Successful operations a second.
    pub ok: f64,
    /// Offered operations a second.
    pub offered: f64,
    /// Operations answered a second, in any phase.
    pub answered: f64,
    /// Of the last second; `None` if nothing was answered.
    pub recent: Option<RecentLatency>,
    /// The highest view.
    pub view: u64,
    /// Share of slots decided fast; `None` without slots.
    pub fast_share: Option<f64>,
    /// Replicas that answer.
    pub up: u32,
    /// Replicas in all.
    pub n: u32,
    /// Operations of the measured phase.
    pub totals: Counters,
}

/// How a check stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It looks at what is left at the end.
    #[default]
    AtTheEnd,
    /// It is under way.
    Running,
    /// It has judged.
    Judged(Verdict),
}

impl Standing {
    /// In a word or two.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::AtTheEnd => "at the end",
            Self::Running => "checking",
            Self::Judged(Verdict::Pass) => "pass",
            Self::Judged(Verdict::Fail) => "FAIL",
            Self::Judged(Verdict::Skipped) => "skipped",
        }
    }
}

/// All that is on the screen.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// What runs.
    pub name: String,
    /// Whether colours may be used.
    pub colour: bool,
    /// The newest figures.
    pub now: View,
    /// Operations a second, the oldest first.
    pub throughput: VecDeque<u64>,
    /// p99 in microseconds, the oldest first; 0 where nothing was answered.
    pub p99_us: VecDeque<u64>,
    /// Each replica.
    pub replicas: Vec<ReplicaView>,
    /// CPU of each replica since the look before, in cores; `None` until there are two.
    pub cores: Vec<Option<f64>>,
    /// Each check.
    pub checks: Vec<(&'static str, Standing)>,
    /// What happened, the newest last.
    pub events: VecDeque<String>,
}

impl Shown {
    /// An empty screen.
    #[must_use]
    pub fn new(name: &str, colour: bool) -> Self {
        Self {
            name: name.to_owned(),
            colour,
            ..Self::default()
        }
    }

    /// The figures of another second.
    pub fn second(&mut self, view: View) {
        push(&mut self.throughput, view.answered.round() as u64, SECONDS);
        let p99 = view.recent.map_or(0.0, |recent| recent.p99_us);
        push(&mut self.p99_us, p99.round() as u64, SECONDS);
        self.now = view;
    }

    /// Another look at the replicas. A process that was started again has no figure for CPU yet.
    pub fn look(&mut self, replicas: Vec<ReplicaView>) {
        let since = |now: &ReplicaView| {
            let before = self.replicas.iter().find(|one| one.id == now.id)?;
            let time = now.uptime_s - before.uptime_s;
            (time > 0.0 && now.cpu_s >= before.cpu_s).then(|| (now.cpu_s - before.cpu_s) / time)
        };
        self.cores = replicas.iter().map(since).collect();
        for now in &replicas {
            let before = self.replicas.iter().find(|one| one.id == now.id);
            if before.is_some_and(|before| before.view != now.view) {
                let event = format!("replica {} is in view {}", now.id, now.view);
                push(&mut self.events, event, EVENTS_MAX);
            }
        }
        self.replicas = replicas;
    }

    /// The checks begin.
    pub fn check(&mut self) {
        for (_, standing) in &mut self.checks {
            *standing = Standing::Running;
        }
    }

    /// Something happened.
    pub fn event(&mut self, time: Duration, text: &str) {
        let line = format!("{:>4} s  {text}", time.as_secs());
        push(&mut self.events, line, EVENTS_MAX);
    }
}

fn push<T>(queue: &mut VecDeque<T>, item: T, max: usize) {
    if queue.len() >= max {
        queue.pop_front();
    }
    queue.push_back(item);
}
