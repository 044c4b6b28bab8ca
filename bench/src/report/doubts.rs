//! What makes a run's numbers doubtful, as far as the numbers themselves show it.

use super::units;
use crate::record::Run;

/// Share of the machine's CPUs from which on the load generator, not the cluster, may set the pace.
const GENERATOR_SHARE_MAX: f64 = 0.8;

/// Share of the machine's CPUs in use from which on everything waits for a CPU.
const MACHINE_SHARE_MAX: f64 = 0.95;

/// One sentence each.
pub(super) fn of(run: &Run) -> Vec<String> {
    let mut doubts = Vec::new();
    if run.environment.build == "debug" {
        doubts.push(
            "this is a debug build: build with --release before you believe a number".to_owned(),
        );
    }
    let cores = run.environment.cores as f64;
    for (number, repeat) in (1..).zip(&run.repeats) {
        let available = cores * repeat.duration_s;
        if available <= 0.0 {
            continue;
        }
        let generator = repeat.resources.load_generator.cpu_s / available;
        let replicas: f64 = repeat
            .resources
            .replicas
            .iter()
            .map(|replica| replica.cpu_s)
            .sum();
        let machine = generator + replicas / available;
        let place = if run.repeats.len() > 1 {
            format!("repeat {number}: ")
        } else {
            String::new()
        };
        if generator > GENERATOR_SHARE_MAX {
            doubts.push(format!(
                "{place}the load generator used {} of all cores: the throughput may be its limit, not the cluster's",
                units::share(generator)
            ));
        } else if machine > MACHINE_SHARE_MAX {
            doubts.push(format!(
                "{place}the machine was saturated ({} of its cores in use by replicas and load generator together): the throughput is that \
                 of this machine, and latencies contain waiting for a core",
                units::share(machine.min(1.0))
            ));
        }
    }
    doubts
}
