//! What is simulated: the configuration that a seed stands for, by itself or within a scenario.
//!
//! A scenario gives the cluster (n, f, quorums, limits, time-outs, batches), the number of clients and the *kinds* of its
//! faults. When they strike and whom they hit is drawn from the seed: that is what seeds are for. Its Byzantine replicas are
//! Byzantine here, too, and so are its clients that equivocate, jump or flood. Not taken over are the
//! machine and the load, since virtual time has no throughput; clients think between two requests.

use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use simulator::{Config, Faults, Signatures, Trick};

use crate::cluster;
use crate::emulation::LinkSettings;
use crate::scenario::schema::{
    Choice, ClientAttack, Fault, FaultKind, FaultTarget, GoodFor, LoadModel, ReadMode, Scenario,
};

/// Clients that are simulated at most: more of them only take turns.
const CLIENTS_MAX: u32 = 16;
/// Clients that attack at most, of one fault.
const ROGUES_MAX: u32 = 4;
/// Requests of one client under way at most.
const OUTSTANDING_MAX: u64 = 8;
/// Operations in one request at most.
const OPERATIONS_MAX: u16 = 16;
/// Share of what simulated clients ask beside the log, where a scenario's reads go there.
const QUORUM_READS: f64 = 0.5;
/// Different keys at most. Few keys make many conflicts.
const KEYS_MAX: u32 = 100;
/// One seed in this many signs with Ed25519.
const REAL_SIGNATURES: u64 = 100;
/// One seed in this many restarts everything at the end.
const RESTART_ALL: u64 = 3;
/// Progress is demanded within this many view-change time-outs, or what the simulator allows, if that is longer: faults
/// may have doubled the time-out a few times.
const TIMEOUTS: u32 = 20;

/// Where the configurations come from.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The scenario; `None`: everything is drawn from the seed, sizes and faults too.
    pub scenario: Option<Box<Scenario>>,
    /// How the scenario is named on a command line, and what was overridden in it.
    pub named: Vec<String>,
    /// For how long things go wrong, in virtual time; `None`: what the seed or the scenario says.
    pub virtual_time: Option<Duration>,
}

impl Plan {
    /// The configuration of one seed.
    #[must_use]
    pub fn config(&self, seed: u64) -> Config {
        let mut config = match &self.scenario {
            None => Config::drawn(seed),
            Some(scenario) => of_scenario(scenario, seed),
        };
        if let Some(time) = self.virtual_time {
            config.heal_at = time;
        }
        config
    }

    /// The command that shows one seed again.
    #[must_use]
    pub fn replay_command(&self, seed: u64) -> String {
        let mut words = vec!["bench".to_owned(), "replay".to_owned(), seed.to_string()];
        words.extend(self.named.iter().cloned());
        if let Some(time) = self.virtual_time {
            words.push(format!("--virtual {}ms", time.as_millis()));
        }
        words.join(" ")
    }
}

fn of_scenario(scenario: &Scenario, seed: u64) -> Config {
    let base = Config::default();
    let cluster = &scenario.cluster;
    let small = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
    let outstanding = match scenario.load.model {
        LoadModel::Closed { outstanding } => u64::from(outstanding),
        LoadModel::Open { .. } => base.outstanding,
    };
    let records = u32::try_from(scenario.workload.records).unwrap_or(u32::MAX);
    let mut config = Config {
        seed,
        f: small(cluster.f),
        n: small(cluster.n),
        fast: cluster::fast_quorum(scenario),
        limits: cluster::limits(scenario),
        policy: cluster::policy(scenario),
        clients: scenario.load.clients.min(CLIENTS_MAX),
        outstanding: outstanding.min(OUTSTANDING_MAX),
        ops_max: small(scenario.load.ops_per_request).min(OPERATIONS_MAX),
        keys: records.clamp(1, KEYS_MAX),
        quorum_reads: match scenario.workload.read_mode {
            ReadMode::Ordered => 0.0,
            ReadMode::Quorum => QUORUM_READS,
        },
        faults: faults(scenario, base.faults.clone()),
        byzantine: liars(scenario, seed),
        rogues: rogues(scenario),
        heal_at: scenario.load.duration,
        restart_all: seed.is_multiple_of(RESTART_ALL),
        progress_within: base
            .progress_within
            .max(cluster.timeouts.view_change * TIMEOUTS),
        signatures: if seed.is_multiple_of(REAL_SIGNATURES) {
            Signatures::Ed25519
        } else {
            Signatures::Fake
        },
        ..base
    };
    network(scenario, &mut config);
    config
}

/// The clients that attack in ways that the simulator knows: below a request it has nothing that they could bend. A few of
/// them stand for many.
fn rogues(scenario: &Scenario) -> Vec<Trick> {
    let mut rogues = Vec::new();
    for fault in &scenario.faults {
        let FaultKind::Client(client) = &fault.kind else {
            continue;
        };
        let trick = match client.attack {
            ClientAttack::Equivocate { .. } => Trick::Equivocate,
            ClientAttack::TimestampJump { .. } => Trick::Jump,
            ClientAttack::BadSignature {
                good_for: GoodFor::Others,
                ..
            } => Trick::SignBadly,
            ClientAttack::Flood { .. } => Trick::Flood,
            _ => continue,
        };
        rogues.extend((0..client.count.min(ROGUES_MAX)).map(|_| trick));
    }
    rogues
}

/// The replicas that lie, with their plans: up to f of them, for whom progress is demanded of the others. Their times count
/// from the beginning, since nothing is measured.
fn liars(scenario: &Scenario, seed: u64) -> Vec<(u16, byzantine::Plan)> {
    let members = scenario.byzantine_replicas().into_iter();
    members
        .take(scenario.cluster.f as usize)
        .filter_map(|id| {
            let plan = scenario.byzantine_plan(id, seed)?;
            Some((u16::try_from(id).ok()?, plan))
        })
        .collect()
}

/// Distance and loss: the simulator has one network for all links, so the worst of each kind is taken.
fn network(scenario: &Scenario, config: &mut Config) {
    let Some(mesh) = scenario.mesh() else { return };
    let pairs = || (0..mesh.n()).flat_map(|from| (0..mesh.n()).map(move |to| (from, to)));
    let base = pairs()
        .filter(|(from, to)| from != to)
        .map(|(from, to)| mesh.base(from, to));
    let worse = scenario
        .faults
        .iter()
        .filter_map(|fault| match &fault.kind {
            FaultKind::Link(link) => Some(link.conditions.change().apply(&LinkSettings::default())),
            _ => None,
        });
    for link in base.chain(worse) {
        let faults = &mut config.faults;
        faults.loss = faults.loss.max(link.loss);
        faults.duplication = faults.duplication.max(link.duplicate);
        faults.spikes = faults.spikes.max(link.reorder);
        if link.reorder > 0.0 {
            faults.spike = faults.spike.max(link.reorder_within);
        }
        let longest = link.delay + link.jitter;
        if longest > config.delay.end {
            config.delay.end = longest;
        }
    }
}

/// The kinds of faults of a scenario, as often and as long as there.
fn faults(scenario: &Scenario, none: Faults) -> Faults {
    let mut faults = none;
    let (mut longest, mut strikes) = (Duration::ZERO, 0_u32);
    let of_replicas = |fault: &&Fault| !matches!(fault.kind, FaultKind::Client(_));
    for fault in scenario.faults.iter().filter(of_replicas) {
        // In the simulator a disk is lost, damaged or replaced by an older copy, as the seed wants.
        faults.disks |= fault.kind.wipes();
        let all = fault.target == FaultTarget::Chosen(Choice::All);
        match fault.kind {
            FaultKind::Pause { .. } => faults.pauses = true,
            FaultKind::Kill { .. } | FaultKind::Restart { .. } if all => faults.power_cuts = true,
            // Who speaks another version is as good as down.
            FaultKind::Kill { .. }
            | FaultKind::Restart { .. }
            | FaultKind::Upgrade { .. }
            | FaultKind::Memory { .. } => faults.crashes = true,
            FaultKind::Partition(_) => faults.partitions = true,
            // For as long as anything goes wrong (`network`).
            FaultKind::Link(_) | FaultKind::Outsider(_) => continue,
            FaultKind::Disk { .. } => faults.disks = true,
            // The simulator has no ports.
            FaultKind::Rebind => continue,
            FaultKind::Client(_) => {}
        }
        for strike in fault.strikes() {
            strikes += 1;
            let back = strike.back_at.unwrap_or(scenario.load.duration);
            longest = longest.max(back.saturating_sub(strike.at));
        }
    }
    if strikes > 0 {
        // As many on average, at times that nobody can foresee.
        let mean = scenario.load.duration / (strikes + 1);
        faults.every = mean / 4..mean * 7 / 4;
        faults.lasting = faults.lasting.start..longest.max(faults.lasting.end);
    }
    faults
}

/// Seeds on the command line: `A..B` without B, `A..=B` with it, or one alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeds(pub Range<u64>);

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            text.replace('_', "")
                .parse::<u64>()
                .map_err(|_| format!("\"{text}\" is no seed: write 0..1000, or one number"))
        };
        let range = match text.split_once("..") {
            None => number(text).map(|seed| seed..seed.saturating_add(1))?,
            Some((from, to)) => match to.strip_prefix('=') {
                Some(last) => number(from)?..number(last)?.saturating_add(1),
                None => number(from)?..number(to)?,
            },
        };
        if range.is_empty() {
            return Err(format!(
                "{text} has no seeds: the end is not included, as in 0..1000"
            ));
        }
        Ok(Self(range))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::scenario::{Source, load};

    fn plan(name: &'static str, overrides: &[&str]) -> Plan {
        let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
        let loaded = load(&[Source::Embedded(name)], &overrides).unwrap();
        Plan {
            scenario: Some(Box::new(loaded.scenario)),
            named: vec![name.to_owned()],
            virtual_time: None,
        }
    }

    #[test]
    fn a_scenario_gives_its_cluster_and_the_kinds_of_its_faults() {
        let config = plan("two-primaries-in-a-row", &["cluster.batch.pipeline=3"]).config(7);
        assert_eq!((config.seed, config.n, config.f), (7, 9, 2));
        assert_eq!(config.policy.inflight_max, 3);
        assert_eq!(
            config.policy.view_change_timeout,
            Duration::from_millis(500)
        );
        assert_eq!(config.limits.log_window, 64);
        let faults = &config.faults;
        assert!(faults.crashes && !faults.pauses && !faults.power_cuts);
        assert_eq!(
            faults.lasting.end,
            Duration::from_secs(6),
            "from 5 s to 11 s"
        );
        assert_eq!(
            config.heal_at,
            Duration::from_secs(15),
            "as long as the load"
        );
        assert!(plan("restart-all", &[]).config(1).faults.power_cuts);
        assert!(plan("pause-primary", &[]).config(1).faults.pauses);
        assert!(plan("wipe-and-rejoin", &[]).config(1).faults.disks);
        let calm = plan("quickstart", &[]).config(1).faults;
        assert!(!calm.crashes && !calm.pauses && !calm.power_cuts && !calm.disks);
    }

    #[test]
    fn the_liars_of_a_scenario_lie_in_virtual_time_too() {
        let config = plan("attacks/bb08-corrupt-reply", &[]).config(3);
        let names = |plan: &byzantine::Plan| plan.behaviours[0].0.name();
        let liars: Vec<_> = config.byzantine.iter().collect();
        assert_eq!(liars.len(), 2, "as many as f");
        assert_eq!((liars[0].0, liars[1].0), (5, 6));
        assert!(
            liars
                .iter()
                .all(|(_, plan)| names(plan) == "corrupt-reply" && plan.seed == 3)
        );
        let beyond = plan(
            "attacks/bb08-corrupt-reply",
            &["cluster.f=1", "cluster.n=7"],
        );
        assert_eq!(beyond.config(3).byzantine.len(), 1);
    }

    #[test]
    fn the_clients_that_attack_in_a_scenario_attack_in_virtual_time_too() {
        let of = |name| plan(name, &[]).config(1).rogues;
        assert_eq!(of("attacks/bc01-equivocating-client"), [Trick::Equivocate]);
        assert_eq!(of("attacks/bc03-timestamp-jump"), [Trick::Jump]);
        assert_eq!(
            of("attacks/bc02-bad-signatures-at-primary"),
            [Trick::SignBadly]
        );
        assert_eq!(
            of("attacks/bc05-flood-by-100"),
            [Trick::Flood; ROGUES_MAX as usize]
        );
        assert_eq!(of("attacks/bc04-half-sent"), [], "below a request");
    }

    #[test]
    fn without_a_scenario_the_seed_decides_everything() {
        let plan = Plan {
            scenario: None,
            named: Vec::new(),
            virtual_time: Some(Duration::from_secs(9)),
        };
        let (config, drawn) = (plan.config(3), Config::drawn(3));
        assert_eq!((config.n, config.f), (drawn.n, drawn.f));
        assert_eq!(config.heal_at, Duration::from_secs(9));
        assert_eq!(plan.replay_command(3), "bench replay 3 --virtual 9000ms");
    }

    #[test]
    fn seeds_are_a_range_or_one() {
        let range = |text: &str| text.parse::<Seeds>().map(|seeds| seeds.0);
        assert_eq!(range("3..7"), Ok(3..7));
        assert_eq!(range("3..=7"), Ok(3..8));
        assert_eq!(range("1_000"), Ok(1_000..1_001));
        assert!(range("7..7").unwrap_err().contains("has no seeds"));
        assert!(range("a..b").unwrap_err().contains("is no seed"));
    }
}
