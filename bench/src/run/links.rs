//! The emulated network of a repeat: what it is at the moment, and whether the replicas see it as the scenario has it.
//!
//! Configured is what the scenario says; measured is what QUIC sees on the replicas' own connections, which knows nothing
//! of the emulation. Samples are taken only while no fault lies over a link.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::cluster::Snapshot;
use crate::emulation::{LinkSettings, Mesh, Overlay};
use crate::record::{LinkFact, NetworkFacts, median_of};

/// A round trip may differ from the configured one by this share of it ...
const TOLERANCE_SHARE: f64 = 0.1;
/// ... and this many milliseconds, before the run says that the emulation was not met.
const TOLERANCE_MS: f64 = 1.0;
/// Samples of one link that are kept: two hours of five a second.
const SAMPLES_MAX: usize = 36_000;

/// The links between the replicas of a repeat.
pub(super) struct Network {
    mesh: Mutex<Mesh>,
    samples: Mutex<BTreeMap<(usize, usize), Samples>>,
    /// How often the port of each replica has changed.
    moves: Mutex<BTreeMap<usize, u64>>,
}

#[derive(Default)]
struct Samples {
    rtt_ms: Vec<f64>,
    least_ms: Option<f64>,
}

impl Network {
    pub(super) fn new(mesh: Mesh) -> Self {
        Network {
            mesh: Mutex::new(mesh),
            samples: Mutex::default(),
            moves: Mutex::default(),
        }
    }

    /// The links as they are now.
    pub(super) fn mesh(&self) -> MutexGuard<'_, Mesh> {
        lock(&self.mesh)
    }

    /// Lays something over the network. Gives the key to take it away again.
    pub(super) fn lay(&self, overlay: Overlay) -> u64 {
        self.mesh().lay(overlay)
    }

    /// Counts one more change of a replica's port, and says how many there are.
    pub(super) fn moved(&self, id: usize) -> u64 {
        let mut moves = lock(&self.moves);
        let count = moves.entry(id).or_default();
        *count += 1;
        *count
    }

    /// Notes what the replicas said of the ways to their peers just now.
    pub(super) fn sample(&self, snapshot: &Snapshot) {
        let mesh = self.mesh();
        let calm = |from, to| mesh.now(from, to) == mesh.base(from, to);
        let mut samples = lock(&self.samples);
        for (_, status) in snapshot.heard() {
            let from = usize::from(status.replica);
            for peer in status
                .peers
                .iter()
                .filter(|peer| peer.connected && peer.rtt_us > 0)
            {
                let to = usize::from(peer.replica);
                if !(calm(from, to) && calm(to, from)) {
                    continue;
                }
                let link = samples.entry((from, to)).or_default();
                if link.rtt_ms.len() < SAMPLES_MAX {
                    link.rtt_ms.push(peer.rtt_us as f64 / 1e3);
                }
                let least = peer.rtt_min_us as f64 / 1e3;
                link.least_ms = Some(link.least_ms.map_or(least, |before| before.min(least)));
            }
        }
    }

    /// Configured against measured, for every directed link.
    pub(super) fn facts(&self) -> NetworkFacts {
        let mesh = self.mesh();
        let samples = lock(&self.samples);
        let pairs = (0..mesh.n()).flat_map(|from| (0..mesh.n()).map(move |to| (from, to)));
        let links = pairs.filter(|(from, to)| from != to).map(|(from, to)| {
            let (there, back) = (mesh.base(from, to), mesh.base(to, from));
            let seen = samples.get(&(from, to));
            let narrow = [&there, &back]
                .into_iter()
                .any(|link| link.bandwidth.is_some());
            let configured_ms = ms(there.delay + back.delay);
            let measured_p50_ms = seen.and_then(|seen| median_of(&seen.rtt_ms));
            let allowed =
                configured_ms * TOLERANCE_SHARE + TOLERANCE_MS + ms(there.jitter + back.jitter);
            LinkFact {
                from: from as u32,
                to: to as u32,
                delay_ms: ms(there.delay),
                jitter_ms: ms(there.jitter),
                loss: there.loss,
                configured_ms,
                measured_p50_ms,
                measured_min_ms: seen.and_then(|seen| seen.least_ms),
                samples: seen.map_or(0, |seen| seen.rtt_ms.len() as u64),
                // Without distance, and behind a queue, the round trip is nothing that anybody has configured.
                met: (configured_ms > 0.0 && !narrow).then(|| {
                    measured_p50_ms.is_some_and(|found| (found - configured_ms).abs() <= allowed)
                }),
            }
        });
        NetworkFacts {
            links: links.collect(),
            impaired: mesh_is_impaired(&mesh),
        }
    }

    /// A sentence if the replicas saw another network than the scenario's.
    pub(super) fn doubt(facts: &NetworkFacts) -> Option<String> {
        let judged = facts.links.iter().filter(|link| link.met.is_some()).count();
        let missed: Vec<&LinkFact> = facts
            .links
            .iter()
            .filter(|link| link.met == Some(false))
            .collect();
        let off = |link: &LinkFact| {
            let found = link.measured_p50_ms.unwrap_or(f64::INFINITY);
            (found - link.configured_ms).abs()
        };
        let worst = missed
            .iter()
            .max_by(|one, other| off(one).total_cmp(&off(other)))?;
        let found = match worst.measured_p50_ms {
            Some(found) => format!("{found:.1} ms"),
            None => "never measured".to_owned(),
        };
        Some(format!(
            "the emulated network was not met on {} of {judged} links: from {} to {} the round trip was {found}, not {:.1} ms; \
             this machine may be too busy for it: lower the load, or the number of replicas, until the links are met",
            missed.len(),
            worst.from,
            worst.to,
            worst.configured_ms
        ))
    }
}

fn mesh_is_impaired(mesh: &Mesh) -> bool {
    let pairs = (0..mesh.n()).flat_map(|from| (0..mesh.n()).map(move |to| (from, to)));
    let mut links = pairs.map(|(from, to)| mesh.base(from, to));
    links.any(|link: LinkSettings| !link.is_clear()) || !mesh.clients_are_near()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use replica::observer::status::{PeerStatus, ReplicaStatus};

    use super::*;
    use crate::emulation::Change;

    fn delay(ms: u64) -> Change {
        Change {
            delay: Some(Duration::from_millis(ms)),
            ..Change::default()
        }
    }

    /// Replica 0 of two sees the other one this far away.
    fn snapshot(rtt_us: u64) -> Snapshot {
        let peer = PeerStatus {
            replica: 1,
            connected: true,
            rtt_us,
            rtt_min_us: rtt_us - 10,
            ..PeerStatus::default()
        };
        let status = ReplicaStatus {
            peers: vec![peer],
            ..ReplicaStatus::default()
        };
        Snapshot {
            replicas: vec![Some(status), None],
            answered: vec![Some(std::time::Instant::now()), None],
        }
    }

    fn network(there_ms: u64, back_ms: u64) -> Network {
        let mut mesh = Mesh::new(2);
        mesh.set(0, 1, &delay(there_ms));
        mesh.set(1, 0, &delay(back_ms));
        Network::new(mesh)
    }

    #[test]
    fn the_round_trip_is_both_ways_and_met_within_the_tolerance() {
        let network = network(30, 10);
        for rtt_us in [39_000, 42_000, 90_000] {
            network.sample(&snapshot(rtt_us));
        }
        let facts = network.facts();
        let link = &facts.links[0];
        assert_eq!((link.from, link.to, link.samples), (0, 1, 3));
        assert_eq!((link.delay_ms, link.configured_ms), (30.0, 40.0));
        assert_eq!(link.measured_p50_ms, Some(42.0));
        assert_eq!(link.measured_min_ms, Some(38.99));
        assert_eq!(link.met, Some(true));
        // Nobody saw the other direction.
        assert_eq!(
            (facts.links[1].met, facts.links[1].samples),
            (Some(false), 0)
        );
        let doubt = Network::doubt(&facts).unwrap();
        assert!(doubt.contains("1 of 2 links: from 1 to 0"), "{doubt}");
    }

    #[test]
    fn a_round_trip_that_is_off_is_said_and_one_without_distance_is_not_judged() {
        let far = network(20, 20);
        far.sample(&snapshot(45_100));
        assert_eq!(
            far.facts().links[0].met,
            Some(false),
            "more than 10 % and 1 ms"
        );
        let near = network(0, 0);
        near.sample(&snapshot(45_100));
        let facts = near.facts();
        assert_eq!((facts.links[0].met, facts.impaired), (None, false));
        assert_eq!(Network::doubt(&facts), None);
    }

    #[test]
    fn nothing_is_sampled_while_a_fault_lies_over_the_link() {
        let network = network(5, 5);
        let links = [(1, 0)].into();
        let key = network.lay(Overlay {
            links,
            change: delay(500),
        });
        network.sample(&snapshot(505_000));
        assert_eq!(network.facts().links[0].samples, 0);
        network.mesh().lift(key);
        network.sample(&snapshot(10_500));
        assert_eq!(network.facts().links[0].met, Some(true));
    }
}
