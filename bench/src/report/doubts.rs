//! What makes a run's numbers doubtful, as far as the numbers themselves show it, and what to do about it.

use super::units;
use crate::record::{MachineFacts, Repeat, Run, Steadiness};

/// Share of the machine's CPUs from which on the load generator, not the cluster, may set the pace.
const GENERATOR_SHARE_MAX: f64 = 0.8;

/// Share of the machine's CPUs in use from which on everything waits for a CPU.
const MACHINE_SHARE_MAX: f64 = 0.95;

/// Share of the machine's CPUs that others may use beside a measurement.
const OTHERS_SHARE_MAX: f64 = 0.10;

/// Share of the machine's CPUs that its host may give to others.
const STEAL_SHARE_MAX: f64 = 0.02;

/// Share of the measured phase for which a quota of processor time may hold the run back.
const THROTTLED_SHARE_MAX: f64 = 0.01;

/// A clock that is merely disciplined moves by less than this between two looks, milliseconds.
const CLOCK_JUMP_MS_MAX: f64 = 50.0;

/// One sentence each.
pub(super) fn of(run: &Run) -> Vec<String> {
    let mut doubts = Vec::new();
    if run.environment.build == "debug" {
        doubts.push(
            "this is a debug build: build with --release before you believe a number".to_owned(),
        );
    }
    for (number, repeat) in (1..).zip(&run.repeats) {
        let place = if run.repeats.len() > 1 {
            format!("repeat {number}: ")
        } else {
            String::new()
        };
        let of_this = of_processors(run, repeat)
            .into_iter()
            .chain(
                repeat
                    .machine
                    .iter()
                    .flat_map(|machine| of_machine(machine, repeat)),
            )
            .chain(of_steadiness(repeat));
        doubts.extend(of_this.map(|doubt| place.clone() + &doubt));
    }
    doubts
}

fn of_processors(run: &Run, repeat: &Repeat) -> Option<String> {
    let available = run.environment.cores as f64 * repeat.duration_s;
    if available <= 0.0 {
        return None;
    }
    let generator = repeat.resources.load_generator.cpu_s / available;
    let replicas = repeat.resources.replicas.iter();
    let replicas: f64 = replicas.map(|replica| replica.cpu_s).sum();
    let machine = generator + replicas / available;
    if generator > GENERATOR_SHARE_MAX {
        Some(format!(
            "the load generator used {} of all cores: the throughput may be its limit, not the cluster's; more operations a request \
             (load.ops_per_request) or fewer clients cost it less, and with --attach the replicas have machines of their own",
            units::share(generator)
        ))
    } else if machine > MACHINE_SHARE_MAX {
        Some(format!(
            "the machine was saturated ({} of its cores in use by replicas and load generator together): the throughput is that \
             of this machine, and latencies contain waiting for a core; for latency ask for less (model = \"open\" with a lower load.rate, or fewer clients)",
            units::share(machine.min(1.0))
        ))
    } else {
        None
    }
}

fn of_machine(machine: &MachineFacts, repeat: &Repeat) -> Vec<String> {
    let mut doubts = Vec::new();
    if let Some(others) = machine.others_share
        && others > OTHERS_SHARE_MAX
    {
        doubts.push(format!(
            "other programs used {} of the machine's cores meanwhile: end them and run again",
            units::share(others)
        ));
    }
    if let Some(steal) = machine.steal_share
        && steal > STEAL_SHARE_MAX
    {
        doubts.push(format!(
            "the host gave {} of this virtual machine's processor time to others: repeat more often (--repeat 10), or take a machine of your own",
            units::share(steal)
        ));
    }
    if let Some(throttled_ms) = machine.throttled_ms
        && throttled_ms > repeat.duration_s * 1e3 * THROTTLED_SHARE_MAX
    {
        doubts.push(format!(
            "a quota of processor time held the run back for {throttled_ms:.0} ms (cgroup cpu.max): raise it, or read the figures as those of the quota",
        ));
    }
    if machine.clock_jump_ms > CLOCK_JUMP_MS_MAX {
        doubts.push(format!(
            "the wall clock jumped by {:.0} ms (it was set, or the machine slept): latencies are of the monotonic clock and hold unless it \
             slept, times of day in the files do not; let the time service settle, and run again",
            machine.clock_jump_ms
        ));
    }
    doubts
}

fn of_steadiness(repeat: &Repeat) -> Option<String> {
    let tested = repeat.stationarity.as_ref()?;
    (tested.verdict == Steadiness::Drifting).then(|| {
        format!(
            "the measured phase was not steady, {}: its figures depend on how long was measured; lengthen load.warmup if it settles, lower the \
             load if it does not (timeseries.csv shows which)",
            tested.detail
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Environment, ProcessResources, ReplicaResources, Resources, Stationarity};

    /// Ten seconds on two cores: this much CPU time for the generator and for one replica.
    fn repeat(generator_s: f64, replica_s: f64, machine: MachineFacts) -> Repeat {
        Repeat {
            duration_s: 10.0,
            resources: Resources {
                replicas: vec![ReplicaResources {
                    cpu_s: replica_s,
                    ..ReplicaResources::default()
                }],
                load_generator: ProcessResources {
                    cpu_s: generator_s,
                    ..ProcessResources::default()
                },
                ..Resources::default()
            },
            machine: Some(machine),
            ..Repeat::default()
        }
    }

    fn doubts(repeats: Vec<Repeat>) -> Vec<String> {
        of(&Run {
            environment: Environment {
                cores: 2,
                ..Environment::default()
            },
            repeats,
            ..Run::default()
        })
    }

    #[test]
    fn a_quiet_machine_and_a_steady_phase_leave_no_doubt() {
        let machine = MachineFacts {
            others_share: Some(0.03),
            steal_share: Some(0.0),
            throttled_ms: Some(12.0),
            clock_jump_ms: 0.4,
            ..MachineFacts::default()
        };
        let mut calm = repeat(6.0, 9.0, machine);
        calm.stationarity = Some(Stationarity {
            verdict: Steadiness::Stationary,
            ..Stationarity::default()
        });
        assert_eq!(doubts(vec![calm]), [""; 0]);
    }

    #[test]
    fn each_doubt_names_its_figure_and_a_remedy() {
        let quiet = MachineFacts::default();
        let drifting = Repeat {
            stationarity: Some(Stationarity {
                verdict: Steadiness::Drifting,
                detail: "throughput fell".to_owned(),
                ..Stationarity::default()
            }),
            ..repeat(1.0, 1.0, quiet)
        };
        let with = |machine| repeat(1.0, 1.0, machine);
        for (doubtful, figure, remedy) in [
            (repeat(17.0, 1.0, quiet), "85 %", "--attach"),
            (repeat(8.0, 11.8, quiet), "99 %", "load.rate"),
            (
                with(MachineFacts {
                    others_share: Some(0.4),
                    ..quiet
                }),
                "40 %",
                "end them",
            ),
            (
                with(MachineFacts {
                    steal_share: Some(0.05),
                    ..quiet
                }),
                "5 %",
                "--repeat",
            ),
            (
                with(MachineFacts {
                    throttled_ms: Some(900.0),
                    ..quiet
                }),
                "900 ms",
                "raise it",
            ),
            (
                with(MachineFacts {
                    clock_jump_ms: 3_000.0,
                    ..quiet
                }),
                "3000 ms",
                "time service",
            ),
            (drifting, "throughput fell", "load.warmup"),
        ] {
            let said = doubts(vec![doubtful]);
            assert_eq!(said.len(), 1, "{said:?}");
            assert!(said[0].contains(figure), "{figure}: {said:?}");
            assert!(said[0].contains(remedy), "{remedy}: {said:?}");
        }
    }

    #[test]
    fn among_several_repeats_a_doubt_says_which() {
        let saturated = repeat(8.0, 11.8, MachineFacts::default());
        let calm = repeat(1.0, 1.0, MachineFacts::default());
        let said = doubts(vec![calm, saturated]);
        assert!(
            said.len() == 1 && said[0].starts_with("repeat 2: the machine"),
            "{said:?}"
        );
    }
}
