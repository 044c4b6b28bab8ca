//! An outsider's attack on a timeline: the process is started, left alone, and asked what it did.

use std::path::PathBuf;

use network::{ClusterFile, ReplicaEntry};

use super::timeline::{Faults, Injected, lock};
use crate::outsider::{Holds, Outsider, Plan, Target};
use crate::record::RepeatDirectory;
use crate::scenario::schema::{OutsiderFault, Strike};

/// What outsiders know of the cluster, and the keys that some of them have stolen.
#[derive(Clone, Debug)]
pub(in crate::run) struct OutsidersWorld {
    /// Every replica, in order.
    pub(in crate::run) replicas: Vec<Target>,
    /// The cluster's identity.
    pub(in crate::run) cluster: [u8; 32],
    /// The directory in which the cluster was founded.
    pub(in crate::run) home: PathBuf,
    /// The client that is no client of the load: outsiders have its key.
    pub(in crate::run) client: u32,
    /// What the processes complain of.
    pub(in crate::run) log: PathBuf,
}

impl OutsidersWorld {
    /// A cluster that was founded in `cluster/` of a repeat's directory, with `clients` clients of the load.
    pub(in crate::run) fn new(
        file: &ClusterFile,
        directory: &RepeatDirectory,
        clients: u32,
    ) -> Self {
        let target = |replica: &ReplicaEntry| Target {
            replica: u32::from(replica.id.0),
            peers: replica.peer,
            clients: replica.client,
            key: *replica.key.as_bytes(),
        };
        OutsidersWorld {
            replicas: file.replicas.iter().map(target).collect(),
            // A file without an identity has no running cluster.
            cluster: file.cluster().map_or([0; 32], |cluster| cluster.id().0.0),
            home: directory.join("cluster"),
            client: clients,
            log: directory.logs().join("outsider.log"),
        }
    }

    /// What the attacking process is told.
    fn plan(&self, targets: &[usize], fault: &OutsiderFault, seed: u64) -> Plan {
        let with_key = fault.attack.holds() != Holds::Nothing;
        let (targets, others): (Vec<_>, Vec<_>) = self
            .replicas
            .iter()
            .partition(|replica| targets.contains(&(replica.replica as usize)));
        let copied = |some: Vec<&Target>| some.into_iter().cloned().collect::<Vec<_>>();
        let key_file = |name: String| self.home.join(name);
        Plan {
            attack: fault.attack,
            args: fault.args.clone(),
            // With all of them as targets each lends the others its certificate.
            others: match others.is_empty() {
                true => self.replicas.iter().rev().cloned().collect(),
                false => copied(others),
            },
            targets: copied(targets),
            client_key: with_key.then(|| key_file(format!("clients/client-{}.key", self.client))),
            client: self.client,
            victim: 0,
            cluster: self.cluster,
            replica_key: fault
                .key_of
                .map(|id| key_file(format!("replica-{id}/replica.key"))),
            seed,
        }
    }
}

impl Faults {
    /// One attack on all its targets, from its beginning to its end.
    pub(super) fn let_in(
        &self,
        targets: &[usize],
        strike: &Strike,
        fault: &OutsiderFault,
        mut injected: Injected,
    ) {
        injected.what = Some(format!("{} at {targets:?}", fault.attack.name()));
        injected.target = match targets {
            [one] => Some(*one),
            _ => None,
        };
        self.note(&format!("outsider: {} at {targets:?}", fault.attack.name()));
        self.event("fault", &injected, &[]);
        let world = &self.plan.outsiders;
        let plan = world.plan(targets, fault, self.plan.seed);
        let reported = std::env::current_exe()
            .map_err(|error| error.to_string())
            .and_then(|program| Outsider::start(&program, &plan, &world.log))
            .and_then(|outsider| {
                // The end of the load, or of the run, is the end of an attack without one.
                self.sleep_until(strike.back_at.unwrap_or(self.measured));
                outsider.finish()
            });
        match reported {
            Ok(report) => {
                injected.end = Some(self.since(self.plan.clock.now_ns()));
                self.note(&format!(
                    "outsider: {} is over: {} attempts, {} accepted",
                    fault.attack.name(),
                    report.attempts,
                    report.accepted
                ));
                injected.outsider = Some(report);
                self.event("fault-end", &injected, &[]);
            }
            Err(why) => {
                self.note(&why);
                self.event("fault-failed", &injected, &[("why", why.clone().into())]);
                injected.failed = Some(why);
            }
        }
        lock(&self.injected).push(injected);
    }
}
