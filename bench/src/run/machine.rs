//! What the machine did while something was measured: whose processor time it was, and whether its clock jumped. Linux; elsewhere
//! only the clock is known.

use std::time::{Duration, Instant, SystemTime};

use crate::record::MachineFacts;

/// Two looks at the clocks further apart than this say nothing: the process was interrupted between them.
const LOOK_MAX: Duration = Duration::from_millis(1);
/// Ticks of processor time in a second: fixed by the Linux interface (`man 5 proc`, USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;
/// Fewer ticks than this are too coarse for shares of 1 %.
const TICKS_MIN: u64 = 100;

/// Watches the machine from the beginning of the measured phase to its end.
#[derive(Debug)]
pub(super) struct MachineWatch {
    first: Option<Usage>,
    last: Option<Usage>,
    throttled: [Option<u64>; 2],
    offset: Option<i128>,
    jump: u128,
    origin: (Instant, SystemTime),
}

/// Processor time of the whole machine since it started, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Usage {
    processors: u64,
    total: u64,
    idle: u64,
    steal: u64,
}

impl MachineWatch {
    /// The measured phase begins now.
    pub(super) fn start() -> Self {
        let mut watch = MachineWatch {
            first: usage(),
            last: None,
            throttled: [throttled_us(), None],
            offset: None,
            jump: 0,
            origin: (Instant::now(), SystemTime::now()),
        };
        watch.look();
        watch
    }

    /// Compares the clocks; to be called again and again.
    pub(super) fn look(&mut self) {
        let before = Instant::now();
        let wall = SystemTime::now();
        if before.elapsed() > LOOK_MAX {
            return;
        }
        let offset = nanos(wall, self.origin.1) - since(before, self.origin.0);
        self.compare(offset);
    }

    /// `offset`: how far the wall clock is ahead of the monotonic one, in nanoseconds.
    fn compare(&mut self, offset: i128) {
        if let Some(before) = self.offset {
            self.jump = self.jump.max((offset - before).unsigned_abs());
        }
        self.offset = Some(offset);
    }

    /// The measured phase ends now.
    pub(super) fn end(&mut self) {
        self.look();
        self.last = usage();
        self.throttled[1] = throttled_us();
    }

    /// What it came to. `own_cpu_s` is the processor time of replicas and load generator together; `None` if the replicas run elsewhere.
    pub(super) fn facts(&self, own_cpu_s: Option<f64>) -> MachineFacts {
        let throttled = match self.throttled {
            [Some(first), Some(last)] => Some(last.saturating_sub(first) as f64 / 1e3),
            _ => None,
        };
        let facts = MachineFacts {
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64,
            throttled_ms: throttled,
            clock_jump_ms: self.jump as f64 / 1e6,
            ..MachineFacts::default()
        };
        match (self.first, self.last) {
            (Some(first), Some(last)) => shares(facts, first, last, own_cpu_s),
            _ => facts,
        }
    }
}

fn shares(facts: MachineFacts, first: Usage, last: Usage, own_cpu_s: Option<f64>) -> MachineFacts {
    let total = last.total.saturating_sub(first.total);
    if total < TICKS_MIN {
        return facts;
    }
    let share = |ticks: f64| (ticks / total as f64).clamp(0.0, 1.0);
    let steal = last.steal.saturating_sub(first.steal);
    let idle = last.idle.saturating_sub(first.idle);
    let busy = total.saturating_sub(idle + steal) as f64;
    MachineFacts {
        cores: last.processors,
        busy_share: Some(share(busy)),
        others_share: own_cpu_s.map(|own| share(busy - own * TICKS_PER_SECOND)),
        steal_share: Some(share(steal as f64)),
        ..facts
    }
}

fn usage() -> Option<Usage> {
    parse(&std::fs::read_to_string("/proc/stat").ok()?)
}

/// The line `cpu`, and how many lines `cpu<number>` there are.
fn parse(stat: &str) -> Option<Usage> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line
        .split_ascii_whitespace()
        .map(|field| field.parse().ok())
        .collect::<Option<_>>()?;
    // user nice system idle iowait irq softirq steal; what guests use is in user already.
    let field = |index: usize| ticks.get(index).copied().unwrap_or_default();
    let numbered = |line: &&str| {
        let number = line.strip_prefix("cpu");
        number.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
    };
    Some(Usage {
        processors: stat.lines().filter(numbered).count() as u64,
        total: ticks.iter().take(8).sum(),
        idle: field(3) + field(4),
        steal: field(7),
    })
}

/// Microseconds for which the control group was held back so far (cgroup v2); `None` without a quota's account.
fn throttled_us() -> Option<u64> {
    let text = std::fs::read_to_string("/sys/fs/cgroup/cpu.stat").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("throttled_usec "))?;
    line.trim().parse().ok()
}

fn nanos(time: SystemTime, origin: SystemTime) -> i128 {
    let whole = |duration: Duration| i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX);
    match time.duration_since(origin) {
        Ok(ahead) => whole(ahead),
        Err(behind) => -whole(behind.duration()),
    }
}

fn since(time: Instant, origin: Instant) -> i128 {
    let elapsed = time.saturating_duration_since(origin);
    i128::try_from(elapsed.as_nanos()).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  100 0 50 800 50 0 0 20 7 0\ncpu0 50 0 25 400 25 0 0 10 3 0\ncpu1 50 0 25 400 25 0 0 10 4 0\nctxt 5\n";

    fn watch(first: Usage, last: Usage) -> MachineWatch {
        MachineWatch {
            first: Some(first),
            last: Some(last),
            ..MachineWatch::start()
        }
    }

    #[test]
    fn the_machines_account_is_read_as_the_kernel_writes_it() {
        let usage = parse(STAT);
        let wanted = Usage {
            processors: 2,
            total: 1_020,
            idle: 850,
            steal: 20,
        };
        assert_eq!(usage, Some(wanted));
        assert_eq!(parse("nothing of the kind"), None);
    }

    #[test]
    fn time_is_the_runs_own_that_of_others_or_stolen() {
        let at = |total, idle, steal| Usage {
            processors: 2,
            total,
            idle,
            steal,
        };
        // Ten seconds of two processors: a tenth idle, a twentieth stolen; 12 s were the run's own.
        let watch = watch(at(1_000, 500, 0), at(3_000, 700, 100));
        let facts = watch.facts(Some(12.0));
        let close = |share: Option<f64>, wanted: f64| {
            share.is_some_and(|share| (share - wanted).abs() < 1e-9)
        };
        assert!(close(facts.busy_share, 0.85), "{facts:?}");
        assert!(close(facts.others_share, 0.25), "{facts:?}");
        assert!(close(facts.steal_share, 0.05), "{facts:?}");
        assert_eq!(watch.facts(None).others_share, None);
    }

    #[test]
    fn too_short_a_time_has_no_shares() {
        let usage = Usage {
            processors: 2,
            total: 10,
            idle: 5,
            steal: 0,
        };
        assert_eq!(watch(usage, usage).facts(Some(1.0)).busy_share, None);
    }

    #[test]
    fn a_clock_that_is_set_forwards_or_back_is_noticed_and_one_that_drifts_is_not() {
        let mut watch = MachineWatch::start();
        let begin = watch.offset.unwrap_or_default();
        for step in 1..100 {
            watch.compare(begin + step * 1_000);
        }
        assert!(watch.facts(None).clock_jump_ms < 10.0);
        watch.compare(begin - 3_000_000_000);
        let jumped = watch.facts(None).clock_jump_ms;
        assert!((2_990.0..3_010.0).contains(&jumped), "{jumped}");
    }
}
