//! Progress on stderr: a line that redraws itself on a terminal, one heartbeat line a second otherwise, or the whole
//! terminal (`crate::screen`).
//!
//! The heartbeat is `key=value` pairs apart by spaces, always the same keys, `-` where there is nothing to say yet:
//!
//! ```text
//! t=12s phase=measure at=3s/10s ok/s=5123 offered/s=5200 answered/s=5130 p50=1.25ms p99=3.40ms view=0 fast=99.8% up=5/5 failed=0 unknown=0 busy=0
//! ```
//!
//! When operations are expected and none is answered, `stalled=` says for how long.

use std::io::Write as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::summary::named_checks;
use super::units;
use crate::options::Display;
use crate::record::{Checks, Counters, LiveSnapshot, Phase, RecentLatency};
use crate::screen::{ReplicaView, Screen, Shown, Standing, View};

/// Time between two heartbeats, and over which the shown rates are taken.
pub const HEARTBEAT: Duration = Duration::from_secs(1);

/// How much earlier than [`HEARTBEAT`] a tick still counts: timers are never exact.
const HEARTBEAT_SLACK: Duration = Duration::from_millis(50);

/// What goes on, as a person names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Replicas come up and connect.
    Start,
    /// Records are created.
    Load,
    /// Load as later, not measured.
    Warmup,
    /// What the numbers are about.
    Measure,
    /// The last answers are waited for.
    Drain,
    /// The checkers look at what was left.
    Check,
    /// Replicas are stopped.
    Stop,
}

/// What the replicas report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClusterView {
    /// The highest view.
    pub view: u64,
    /// Slots decided by a fast quorum of PREPAREs since the start.
    pub fast_slots: u64,
    /// Slots decided by COMMITs since the start.
    pub slow_slots: u64,
    /// Replicas that run and answer.
    pub replicas_up: u32,
    /// Replicas in all.
    pub n: u32,
}

/// Shows how one repeat gets on.
#[derive(Debug)]
pub struct Progress {
    display: Display,
    screen: Option<Box<(Screen, Shown)>>,
    line: ProgressBar,
    began: Instant,
    stage: Stage,
    stage_began: Instant,
    planned: Duration,
    sampled: Option<Sample>,
    recent: Option<RecentLatency>,
    answered_last: Instant,
}

/// The counters at the last heartbeat.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    live: LiveSnapshot,
}

/// One heartbeat: all that either display shows.
#[derive(Clone, Copy, Debug)]
struct Beat {
    time: Duration,
    stage: Stage,
    stage_time: Duration,
    planned: Duration,
    /// Operations a second since the last heartbeat.
    ok: f64,
    offered: f64,
    answered: f64,
    recent: Option<RecentLatency>,
    cluster: ClusterView,
    totals: Counters,
    /// How long nothing was answered, from one heartbeat on.
    stalled: Option<Duration>,
}

impl Progress {
    /// Begins with [`Stage::Start`]. `name` says what runs, for example `quickstart` or `quickstart 2/3`.
    #[must_use]
    pub fn new(display: Display, name: &str) -> Self {
        let target = match display {
            Display::Tty => ProgressDrawTarget::stderr(),
            Display::Screen { .. } | Display::Plain | Display::Quiet => {
                ProgressDrawTarget::hidden()
            }
        };
        let line = ProgressBar::with_draw_target(Some(1), target);
        let style = ProgressStyle::with_template("{prefix} [{bar:16}] {wide_msg}")
            .expect("the template names only keys that indicatif knows");
        line.set_style(style.progress_chars("=> "));
        line.set_prefix(name.to_owned());
        let now = Instant::now();
        let (display, screen) = match display {
            Display::Screen { colour } => match Screen::take() {
                Ok(screen) => {
                    let mut shown = Shown::new(name, colour);
                    let checks = Checks::default();
                    let names = named_checks(&checks).map(|(name, _)| name);
                    shown.checks = names.map(|name| (name, Standing::AtTheEnd)).to_vec();
                    (display, Some(Box::new((screen, shown))))
                }
                Err(error) => {
                    write_line(&format!("the terminal cannot be drawn on: {error}"));
                    (Display::Plain, None)
                }
            },
            other => (other, None),
        };
        let mut progress = Self {
            display,
            screen,
            line,
            began: now,
            stage: Stage::Start,
            stage_began: now,
            planned: Duration::ZERO,
            sampled: None,
            recent: None,
            answered_last: now,
        };
        progress.announce();
        progress
    }

    /// The next stage begins; `planned` is how long it should take, zero if nobody knows.
    pub fn phase(&mut self, stage: impl Into<Stage>, planned: Duration) {
        self.stage = stage.into();
        self.planned = planned;
        self.stage_began = Instant::now();
        self.answered_last = self.stage_began;
        self.announce();
    }

    /// The state now; to be called about once a second, with the latencies since the last call.
    /// Calls between two heartbeats only move the bar and keep the latest latencies.
    pub fn tick(
        &mut self,
        live: &LiveSnapshot,
        recent: Option<RecentLatency>,
        cluster: &ClusterView,
    ) {
        let now = Instant::now();
        self.move_bar(now);
        self.recent = recent.or(self.recent);
        self.refresh(now);
        let since = self.sampled.map_or(now - self.began, |last| now - last.at);
        if since + HEARTBEAT_SLACK < HEARTBEAT {
            return;
        }
        let before = self.sampled.map(|last| last.live);
        if before.is_none_or(|before| live.answered > before.answered) {
            self.answered_last = now;
        }
        let rate = |count: fn(&LiveSnapshot) -> u64| {
            let grown = count(live).saturating_sub(before.as_ref().map_or(0, count));
            grown as f64 / since.as_secs_f64()
        };
        let silent = now - self.answered_last;
        let beat = Beat {
            time: now - self.began,
            stage: self.stage,
            stage_time: now - self.stage_began,
            planned: self.planned,
            ok: rate(|live| live.measured.ok),
            offered: rate(|live| live.measured.offered),
            answered: rate(|live| live.answered),
            recent: self.recent.take(),
            cluster: *cluster,
            totals: live.measured,
            stalled: (self.stage.expects_answers() && silent + HEARTBEAT_SLACK >= HEARTBEAT)
                .then_some(silent),
        };
        self.sampled = Some(Sample {
            at: now,
            live: *live,
        });
        match self.display {
            Display::Tty => self.line.set_message(beat.for_a_person()),
            Display::Plain => write_line(&beat.for_a_program()),
            Display::Screen { .. } => {
                if let Some(screen) = &mut self.screen {
                    let (screen, shown) = &mut **screen;
                    shown.second(beat.for_a_screen());
                    screen.show(shown);
                }
            }
            Display::Quiet => {}
        }
    }

    /// The replicas now, asked for only where they are shown.
    pub fn look(&mut self, replicas: impl FnOnce() -> Vec<ReplicaView>) {
        if let Some(screen) = &mut self.screen {
            screen.1.look(replicas());
        }
    }

    /// The checks have judged.
    pub fn judged(&mut self, checks: &Checks) {
        if let Some(screen) = &mut self.screen {
            let judged = named_checks(checks);
            let each = judged.map(|(name, check)| (name, Standing::Judged(check.verdict)));
            screen.1.checks = each.to_vec();
        }
        self.refresh(Instant::now());
    }

    /// Between two heartbeats only the time goes on.
    fn refresh(&mut self, now: Instant) {
        if let Some(screen) = &mut self.screen {
            let (screen, shown) = &mut **screen;
            shown.now.time = now - self.began;
            shown.now.stage_time = now - self.stage_began;
            screen.show(shown);
        }
    }

    /// Says that something happened, above the progress line.
    pub fn note(&mut self, text: &str) {
        let time = self.began.elapsed();
        if let Some(screen) = &mut self.screen {
            screen.1.event(time, text);
        }
        match self.display {
            Display::Tty => self.line.println(text),
            Display::Plain => write_line(&format!("t={}s event={text:?}", self.seconds())),
            Display::Screen { .. } | Display::Quiet => {}
        }
    }

    /// Takes the progress line away.
    pub fn finish(&mut self) {
        self.screen = None;
        self.line.finish_and_clear();
    }

    fn seconds(&self) -> u64 {
        self.began.elapsed().as_secs()
    }

    fn announce(&mut self) {
        match self.display {
            Display::Tty => {
                self.move_bar(self.stage_began);
                self.line.set_message(self.stage.sentence());
            }
            Display::Plain => {
                let (time, stage) = (self.seconds(), self.stage.name());
                let planned = self.planned.as_secs_f64();
                write_line(&if self.planned.is_zero() {
                    format!("t={time}s phase={stage}")
                } else {
                    format!("t={time}s phase={stage} planned={planned}s")
                });
            }
            Display::Screen { .. } => {
                let (stage, planned) = (self.stage, self.planned);
                if let Some(screen) = &mut self.screen {
                    let shown = &mut screen.1;
                    (shown.now.stage, shown.now.planned) = (stage.name(), planned);
                    if stage == Stage::Check {
                        shown.check();
                    }
                    shown.event(self.began.elapsed(), stage.sentence());
                }
                self.refresh(Instant::now());
            }
            Display::Quiet => {}
        }
    }

    fn move_bar(&self, now: Instant) {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let planned = millis(self.planned).max(1);
        let done = if self.planned.is_zero() {
            0
        } else {
            millis(now - self.stage_began).min(planned)
        };
        self.line.set_length(planned);
        self.line.set_position(done);
    }
}

impl Stage {
    /// The word in heartbeats.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Load => "load",
            Self::Warmup => "warmup",
            Self::Measure => "measure",
            Self::Drain => "drain",
            Self::Check => "check",
            Self::Stop => "stop",
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::Start => "starting the replicas",
            Self::Load => "creating the records",
            Self::Warmup => "warming up",
            Self::Measure => "measuring",
            Self::Drain => "waiting for the last answers",
            Self::Check => "checking",
            Self::Stop => "stopping the replicas",
        }
    }

    const fn expects_answers(self) -> bool {
        matches!(self, Self::Load | Self::Warmup | Self::Measure)
    }
}

impl From<Phase> for Stage {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Load => Self::Load,
            Phase::Warmup => Self::Warmup,
            Phase::Measured => Self::Measure,
            Phase::After => Self::Drain,
        }
    }
}

impl Beat {
    fn for_a_screen(&self) -> View {
        View {
            stage: self.stage.name(),
            stage_time: self.stage_time,
            planned: self.planned,
            time: self.time,
            ok: self.ok,
            offered: self.offered,
            answered: self.answered,
            recent: self.recent,
            view: self.cluster.view,
            fast_share: self.cluster.fast_share(),
            up: self.cluster.replicas_up,
            n: self.cluster.n,
            totals: self.totals,
        }
    }

    fn for_a_program(&self) -> String {
        let Self {
            cluster, totals, ..
        } = self;
        let seconds = |time: Duration| time.as_secs_f64().round();
        // Outside the measured phase the counters of operations stand still, which is no news.
        let measured = |rate: f64| match self.stage {
            Stage::Measure => format!("{rate:.0}"),
            _ => "-".to_owned(),
        };
        let latency = |of: fn(&RecentLatency) -> f64| {
            compact(self.recent.as_ref().map(|recent| units::time(of(recent))))
        };
        let mut line = format!(
            "t={}s phase={} at={}s{} ok/s={} offered/s={} answered/s={:.0} p50={} p99={} view={} fast={} up={}/{} failed={} unknown={} busy={}",
            seconds(self.time),
            self.stage.name(),
            seconds(self.stage_time),
            if self.planned.is_zero() {
                String::new()
            } else {
                format!("/{}s", self.planned.as_secs_f64())
            },
            measured(self.ok),
            measured(self.offered),
            self.answered,
            latency(|recent| recent.p50_us),
            latency(|recent| recent.p99_us),
            cluster.view,
            compact(
                cluster
                    .fast_share()
                    .map(|share| format!("{:.1}%", share * 100.0))
            ),
            cluster.replicas_up,
            cluster.n,
            totals.failed,
            totals.unknown,
            totals.busy_replies,
        );
        if let Some(stalled) = self.stalled {
            line.push_str(&format!(" stalled={}s", seconds(stalled)));
        }
        line
    }

    fn for_a_person(&self) -> String {
        let Self {
            cluster, totals, ..
        } = self;
        let time = |time: Duration| format!("{:.0}", time.as_secs_f64());
        let mut parts = vec![if self.planned.is_zero() {
            format!("{} {} s", self.stage.name(), time(self.stage_time))
        } else {
            format!(
                "{} {}/{} s",
                self.stage.name(),
                time(self.stage_time),
                time(self.planned)
            )
        }];
        match self.stage {
            Stage::Measure => parts.push(format!(
                "{} of {} ops",
                units::rate(self.ok),
                units::rate(self.offered)
            )),
            Stage::Load | Stage::Warmup => {
                parts.push(format!("{} ops", units::rate(self.answered)))
            }
            _ => {}
        }
        if let Some(recent) = &self.recent {
            parts.push(format!(
                "p50 {} p99 {}",
                units::time(recent.p50_us),
                units::time(recent.p99_us)
            ));
        }
        parts.push(format!("view {}", cluster.view));
        parts.extend(
            cluster
                .fast_share()
                .map(|share| format!("fast {}", units::share(share))),
        );
        if cluster.replicas_up < cluster.n {
            parts.push(format!(
                "{} of {} replicas up",
                cluster.replicas_up, cluster.n
            ));
        }
        for (count, what) in [
            (totals.failed, "failed"),
            (totals.unknown, "unknown"),
            (totals.busy_replies, "busy"),
        ] {
            if count > 0 {
                parts.push(format!("{} {what}", units::count(count)));
            }
        }
        parts.extend(
            self.stalled
                .map(|stalled| format!("NOTHING ANSWERED for {} s", time(stalled))),
        );
        parts.join(" | ")
    }
}

impl ClusterView {
    /// Share of the slots decided fast; `None` without slots.
    fn fast_share(&self) -> Option<f64> {
        let slots = self.fast_slots + self.slow_slots;
        (slots > 0).then(|| self.fast_slots as f64 / slots as f64)
    }
}

/// Without the space before the unit, so that fields stay apart; `-` for nothing.
fn compact(text: Option<String>) -> String {
    text.map_or_else(|| "-".to_owned(), |text| text.replace(' ', ""))
}

/// A heartbeat that nobody can read any more (stderr is closed) is no reason to stop a run.
fn write_line(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat() -> Beat {
        Beat {
            time: Duration::from_millis(12_040),
            stage: Stage::Measure,
            stage_time: Duration::from_millis(3_020),
            planned: Duration::from_secs(10),
            ok: 5_123.4,
            offered: 5_200.0,
            answered: 5_130.0,
            recent: Some(RecentLatency {
                count: 5_123,
                p50_us: 1_250.0,
                p99_us: 3_400.0,
                max_us: 9_000.0,
            }),
            cluster: ClusterView {
                view: 0,
                fast_slots: 998,
                slow_slots: 2,
                replicas_up: 5,
                n: 5,
            },
            totals: Counters::default(),
            stalled: None,
        }
    }

    #[test]
    fn a_heartbeat_is_pairs_of_key_and_value() {
        let line = beat().for_a_program();
        assert_eq!(
            line,
            "t=12s phase=measure at=3s/10s ok/s=5123 offered/s=5200 answered/s=5130 p50=1.25ms p99=3.40ms view=0 fast=99.8% up=5/5 failed=0 unknown=0 busy=0"
        );
        assert!(line.split(' ').all(|pair| pair.split('=').count() == 2));
    }

    #[test]
    fn a_heartbeat_has_the_same_keys_when_there_is_nothing_to_say() {
        let keys = |line: &str| {
            line.split(' ')
                .filter_map(|pair| pair.split_once('='))
                .map(|(key, _)| key.to_owned())
                .collect::<Vec<_>>()
        };
        let empty = Beat {
            stage: Stage::Load,
            planned: Duration::ZERO,
            recent: None,
            cluster: ClusterView::default(),
            ..beat()
        };
        let line = empty.for_a_program();
        assert_eq!(keys(&line), keys(&beat().for_a_program()));
        assert!(line.contains(" ok/s=- ") && line.contains(" p50=- ") && line.contains(" fast=- "));
    }

    #[test]
    fn silence_is_said_aloud() {
        let silent = Beat {
            stalled: Some(Duration::from_secs(3)),
            ..beat()
        };
        assert!(silent.for_a_program().ends_with(" stalled=3s"));
        assert!(silent.for_a_person().ends_with("NOTHING ANSWERED for 3 s"));
    }

    #[test]
    fn a_person_reads_what_matters_and_no_zeros() {
        assert_eq!(
            beat().for_a_person(),
            "measure 3/10 s | 5,123/s of 5,200/s ops | p50 1.25 ms p99 3.40 ms | view 0 | fast 99.8 %"
        );
    }
}
