//! Which replicas are correct by plan: whose word counts, who must not contradict himself, and who is asked for contents.

use std::collections::BTreeSet;

use super::fault::{FaultKind, FaultTarget};
use super::schema::Scenario;

/// The replicas that the scenario lets be correct. Those that crash, stand still or lose their disks are: the
/// protocol demands of them, too, that they keep what they promised, also if what they kept apart from the disk tells them that
/// it went back to an earlier time: they are learners then. Those are not whose whole disk did: nothing within such a replica can
/// tell that it has forgotten a promise, and it counts among the f.
#[must_use]
pub fn correct(scenario: &Scenario) -> BTreeSet<u32> {
    let mut faulty = scenario.byzantine_replicas();
    for fault in &scenario.faults {
        let forgets = match &fault.kind {
            FaultKind::Disk { attack, .. } => attack.forgets_unnoticed(),
            _ => false,
        };
        if let (true, FaultTarget::Replicas(ids)) = (forgets, &fault.target) {
            faulty.extend(ids);
        }
    }
    (0..scenario.cluster.n)
        .filter(|id| !faulty.contains(id))
        .collect()
}

/// The replicas that keep the contents of what they execute: f + 1 correct ones whom no fault hits by plan, so that one of
/// them at least has a log without gaps; all correct ones where faults choose their victims as the run goes on.
#[must_use]
pub fn witnesses(scenario: &Scenario) -> BTreeSet<u32> {
    let correct = correct(scenario);
    let mut spared = correct.clone();
    for fault in &scenario.faults {
        match &fault.target {
            FaultTarget::Replicas(ids) => ids.iter().for_each(|id| {
                spared.remove(id);
            }),
            FaultTarget::Chosen(_) => return correct,
        }
    }
    let enough = scenario.cluster.f as usize + 1;
    if spared.len() < enough {
        return correct;
    }
    spared.into_iter().take(enough).collect()
}
