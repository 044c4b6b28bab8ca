//! Rules about faults which need the rest of the scenario: replicas that exist, times in their order and within the load,
//! and the budget of f.

use std::time::Duration;

use crate::scenario::disk::DiskAttack;
use crate::scenario::fault::{Choice, Fault, FaultKind, FaultTarget, spoken};
use crate::scenario::outsider::OutsiderFault;
use crate::scenario::problem::Problem;
use crate::scenario::reading::Reading;
use crate::scenario::schema::{Engine, Scenario};
use crate::scenario::units::Quantity as _;

/// Strikes of one fault at most.
const STRIKES_MAX: usize = 1_000;

pub(super) fn check(reading: &mut Reading<'_>, scenario: &Scenario) {
    let before = reading.problems.len();
    for (index, fault) in scenario.faults.iter().enumerate() {
        One {
            reading,
            scenario,
            fault,
            path: format!("fault.{index}"),
        }
        .check();
    }
    if reading.problems.len() == before {
        budget(reading, scenario);
    }
}

/// One fault while it is judged.
struct One<'r, 'l, 's> {
    reading: &'r mut Reading<'l>,
    scenario: &'s Scenario,
    fault: &'s Fault,
    path: String,
}

impl One<'_, '_, '_> {
    fn check(&mut self) {
        self.replicas_exist();
        self.times_are_in_order();
        self.disks_are_there();
        self.strikes_do_not_meet();
        self.datagrams_can_be_smaller();
    }

    fn blame(&mut self, key: &str, message: String, help: String, label: &str) {
        let path = format!("{}.{key}", self.path);
        let problem = Problem::new(format!("`{path}`: {message}")).help(help);
        // A default has no place; the fault itself has one.
        let at = format!("{}.at", self.path);
        self.reading.blame(&[&path, &at], problem, label);
    }

    fn replicas_exist(&mut self) {
        let n = self.scenario.cluster.n;
        if let FaultKind::Outsider(OutsiderFault {
            key_of: Some(id), ..
        }) = self.fault.kind
            && id >= n
        {
            let message = format!("there is no replica {id} among {n}");
            let help = format!("replicas are 0 to {}", n - 1);
            self.blame("key_of", message, help, "");
        }
        if let FaultTarget::Replicas(ids) = &self.fault.target
            && let Some(stranger) = ids.iter().find(|id| **id >= n)
        {
            let message = format!("there is no replica {stranger} among {n}");
            let help = format!("replicas are 0 to {}", n - 1);
            self.blame("target", message, help, "");
        }
    }

    fn times_are_in_order(&mut self) {
        let load = self.scenario.load.duration;
        let at = self.fault.at;
        if at >= load {
            let message = format!(
                "{} is not before the end of the load ({})",
                at.render(),
                load.render()
            );
            let help = format!(
                "times count from the beginning of the measured phase: write less than {}, or a longer load.duration",
                load.render()
            );
            self.blame("at", message, help, "too late");
            return;
        }
        let (key, back) = match self.fault.kind {
            FaultKind::Kill { restart_at, .. } | FaultKind::Restart { restart_at, .. } => {
                ("restart_at", restart_at)
            }
            FaultKind::Pause { resume_at } => ("resume_at", resume_at),
            FaultKind::Partition(_) | FaultKind::Link(_) => ("heal_at", self.fault.back_at()),
            FaultKind::Upgrade { restart_at } | FaultKind::Memory { restart_at, .. } => {
                ("restart_at", restart_at)
            }
            FaultKind::Disk {
                ref attack,
                heal_at,
            } => match attack.cut_at() {
                Some(cut_at) => ("cut_at", Some(cut_at)),
                None => ("heal_at", heal_at),
            },
            FaultKind::Rebind => ("at", None),
            FaultKind::Client(ref client) => ("until", Some(client.until)),
            FaultKind::Outsider(_) => ("until", self.fault.back_at()),
        };
        if let Some(back) = back {
            self.back_is_in_order(key, back);
        }
        if let Some(again) = self.fault.again {
            if again.until <= at || again.until > load {
                let message = format!(
                    "{} is not between `at` ({}) and the end of the load ({})",
                    again.until.render(),
                    at.render(),
                    load.render()
                );
                self.blame(
                    "until",
                    message,
                    "leave it out to go on until the load ends".to_owned(),
                    "",
                );
            } else if self.fault.strikes().nth(STRIKES_MAX).is_some() {
                let message = format!("that makes more than {STRIKES_MAX} strikes");
                self.blame("every", message, "strike less often".to_owned(), "");
            }
        }
    }

    fn back_is_in_order(&mut self, key: &str, back: Duration) {
        let (at, load) = (self.fault.at, self.scenario.load.duration);
        let at_once = matches!(self.fault.kind, FaultKind::Restart { .. });
        if back < at || (back == at && !at_once) {
            let message = format!("{} is not after `at` ({})", back.render(), at.render());
            let help = "it is a time like `at`, not a distance from it".to_owned();
            self.blame(key, message, help, "too early");
        } else if back > load {
            let message = format!(
                "{} is after the end of the load ({})",
                back.render(),
                load.render()
            );
            let help = format!(
                "write {} at most, a longer load.duration, or leave it out: then it stays away",
                load.render()
            );
            self.blame(key, message, help, "too late");
        }
    }

    fn disks_are_there(&mut self) {
        if let FaultKind::Kill {
            restart_at: None,
            wipe: true,
        } = self.fault.kind
        {
            let message =
                "a disk is lost before a restart, and this replica is never started again";
            let help = "add restart_at, or remove wipe".to_owned();
            self.blame("wipe", message.to_owned(), help, "");
        }
        if let FaultKind::Disk { attack, .. } = &self.fault.kind {
            let (name, attack) = (attack.name(), attack.clone());
            self.disk_can_be_struck(name, &attack);
            return;
        }
        let restarts = !matches!(
            self.fault.kind,
            FaultKind::Pause { .. } | FaultKind::Client(_)
        ) && !self.fault.kind.is_of_the_network()
            && (self.fault.back_at().is_some()
                || matches!(self.fault.kind, FaultKind::Upgrade { .. }))
            && !self.fault.kind.wipes();
        if restarts && self.scenario.cluster.storage.engine == Engine::Memory {
            let message =
                "a replica that keeps its records in memory has none when it is started again";
            let help = "write wipe = true, or cluster.storage.engine = \"sqlite\"".to_owned();
            self.blame("kind", message.to_owned(), help, "");
        }
    }

    fn disk_can_be_struck(&mut self, name: &str, attack: &DiskAttack) {
        if self.scenario.cluster.storage.engine == Engine::Memory {
            let message = format!("{name} strikes a disk, and these replicas keep nothing on disk");
            let help = "write cluster.storage.engine = \"sqlite\"".to_owned();
            self.blame("attack", message, help, "");
        }
        let DiskAttack::Swapped { from } = *attack else {
            return;
        };
        let n = self.scenario.cluster.n;
        if from >= n {
            let message = format!("there is no replica {from} among {n}");
            let help = format!("replicas are 0 to {}", n - 1);
            self.blame("from", message, help, "");
        } else if self.fault.target == FaultTarget::Replicas(vec![from]) {
            let message = format!("replica {from} would get its own data");
            self.blame("from", message, "name another replica".to_owned(), "");
        }
    }

    /// On loopback QUIC sends datagrams of one size and looks for no other.
    fn datagrams_can_be_smaller(&mut self) {
        if let FaultKind::Link(link) = &self.fault.kind
            && link.conditions.mtu.is_some()
            && self.scenario.network.is_none()
        {
            let message =
                "on loopback QUIC never sends smaller datagrams, so this would cut the link";
            let help = "add a [network] table, if only an empty one: then QUIC looks for the MTU";
            self.blame("mtu", message.to_owned(), help.to_owned(), "");
        }
    }

    /// A strike that begins before the last one is over would hit replicas that are away. Only a rule can avoid them.
    fn strikes_do_not_meet(&mut self) {
        let fixed = match self.fault.target {
            // Links can be cut twice.
            _ if self.fault.kind.is_of_the_network() => false,
            FaultTarget::Replicas(_) | FaultTarget::Chosen(Choice::All) => true,
            FaultTarget::Chosen(_) => false,
        };
        let mut strikes = self.fault.strikes();
        let (Some(first), Some(second)) = (strikes.next(), strikes.next()) else {
            return;
        };
        if fixed && first.back_at.is_none_or(|back| back > second.at) {
            let message = "it strikes the same replicas again before they are back".to_owned();
            let help =
                "strike less often, let them be back sooner, or write target = \"random-correct\"";
            self.blame("every", message, help.to_owned(), "");
        }
    }
}

/// The plan may hold more than f replicas at once; then a run shows safety only.
fn budget(reading: &mut Reading<'_>, scenario: &Scenario) {
    let f = scenario.cluster.f;
    for excess in scenario.excesses() {
        let problem = Problem::new(format!(
            "more than f replicas faulty {} ({} of n = {}, f = {f}): this run promises safety, not liveness",
            excess.interval(),
            excess.faulty,
            scenario.cluster.n,
        ))
        .help("let faults end before others begin, or raise cluster.f, if it is to go on");
        let to_blame = scenario
            .faults
            .iter()
            .rposition(|fault| fault.strikes().any(|strike| strike.at == excess.from));
        let liar = scenario
            .byzantine
            .iter()
            .rposition(|entry| entry.window().0 == excess.from);
        let path = match (to_blame, liar) {
            (None, Some(liar)) => format!("byzantine.{liar}.replica"),
            (at, _) => format!("fault.{}.at", at.unwrap_or_default()),
        };
        let label = format!("from {} on", spoken(excess.from));
        reading.warn(&[&path], problem, &label);
    }
}
