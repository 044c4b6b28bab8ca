//! Looks at this machine and says of each thing whether figures suffer from it.

use std::path::Path;

use network::socket::BUFFER_BYTES;

use super::costs::costs;
use super::finding::Finding;
use crate::machine::{Costs, Effort, clock, free_bytes, load_average, open_files, udp_buffers};
use crate::record::Environment;
use crate::report::units;

/// Cores from which on a load generator and a cluster do not share one all the time.
const CORES_FEW: u64 = 4;
/// Five replicas of 256 MiB, the load generator, and the page cache of their files.
const MEMORY_BYTES_MIN: u64 = 2 << 30;
/// Sockets, databases and pipes of a large cluster under one parent.
const OPEN_FILES_MIN: u64 = 1_024;
/// Ten minutes of load leave a few hundred megabytes.
const FREE_BYTES_MIN: u64 = 1 << 30;
/// A look at the clock that costs this much shows in latencies of microseconds.
const LOOK_MAX_NS: f64 = 1_000.0;
/// Steps of this size show in them, too.
const STEP_MAX_NS: f64 = 10_000.0;
/// Share of the cores that others use before figures suffer.
const LOAD_SHARE_MAX: f64 = 0.25;

/// Looks at everything; `directory` is where results go. Takes about five seconds.
#[must_use]
pub fn examine(directory: &Path, environment: &Environment) -> Vec<Finding> {
    let mut findings = vec![build(environment), cores(environment), memory(environment)];
    findings.extend(load(environment));
    findings.extend(buffers());
    findings.push(files());
    findings.push(room(directory));
    findings.extend(costs(
        &Costs::measure(directory, Effort::Thorough),
        directory,
    ));
    findings.push(time());
    findings
}

fn build(environment: &Environment) -> Finding {
    let word = &environment.build;
    Finding {
        value: None,
        ..Finding::ok("build", "build", 0.0, word.clone())
    }
    .warn_if(
        word == "debug",
        "figures of a debug build say nothing: cargo build --release",
    )
}

fn cores(environment: &Environment) -> Finding {
    let cores = environment.cores;
    Finding::ok(
        "cores",
        "cores",
        cores as f64,
        format!("{cores}, {}", environment.cpu),
    )
    .warn_if(
        cores < CORES_FEW,
        "replicas and load generator share them: compare ratios of runs on this machine, not absolute figures, or run the replicas on machines of their own (bench run --attach)",
    )
}

fn memory(environment: &Environment) -> Finding {
    let bytes = environment.memory_bytes;
    if bytes == 0 {
        return Finding::unknown("memory_bytes", "memory", "/proc/meminfo does not say");
    }
    Finding::ok(
        "memory_bytes",
        "memory",
        bytes as f64,
        units::bytes(bytes as f64),
    )
    .warn_if(
        bytes < MEMORY_BYTES_MIN,
        "a cluster of five may need more, and swapping shows in every latency: use a larger machine, or fewer records (workload.records)",
    )
}

fn load(environment: &Environment) -> Option<Finding> {
    let load = load_average()?;
    let text = format!("{load:.2} processes wanted a core over the last minute");
    Some(
        Finding::ok("load_average", "other load", load, text).warn_if(
            load > environment.cores as f64 * LOAD_SHARE_MAX,
            "something else runs here, and figures will show it: wait until it has gone (`top` names it)",
        ),
    )
}

fn buffers() -> [Finding; 2] {
    let found = udp_buffers();
    let one = |name, title, sysctl: &str, bytes: Result<usize, String>| match bytes {
        Err(why) => Finding::unknown(name, title, why),
        Ok(bytes) => Finding::ok(
            name,
            title,
            bytes as f64,
            format!(
                "{} of {} wanted",
                units::bytes(bytes as f64),
                units::bytes(BUFFER_BYTES as f64)
            ),
        )
        .warn_if(
            bytes < BUFFER_BYTES,
            format!("bursts are lost when a replica is busy: sysctl -w {sysctl}={BUFFER_BYTES}"),
        ),
    };
    let of = |side: fn(&network::socket::Buffers) -> usize| match &found {
        Ok(buffers) => Ok(side(buffers)),
        Err(error) => Err(error.to_string()),
    };
    [
        one(
            "udp_receive_buffer_bytes",
            "UDP receive buffer",
            "net.core.rmem_max",
            of(|buffers| buffers.receive),
        ),
        one(
            "udp_send_buffer_bytes",
            "UDP send buffer",
            "net.core.wmem_max",
            of(|buffers| buffers.send),
        ),
    ]
}

fn files() -> Finding {
    let limit = open_files();
    let text = limit.map_or_else(|| "no limit".to_owned(), units::count);
    Finding {
        value: limit.map(|limit| limit as f64),
        ..Finding::ok("open_files", "open files", 0.0, text)
    }
    .warn_if(
        limit.is_some_and(|limit| limit < OPEN_FILES_MIN),
        format!("large clusters and many clients need more: ulimit -n {OPEN_FILES_MIN}"),
    )
}

fn room(directory: &Path) -> Finding {
    match free_bytes(directory) {
        Err(error) => Finding::unknown("free_bytes", "free disk", error),
        Ok(bytes) => Finding::ok(
            "free_bytes",
            "free disk",
            bytes as f64,
            format!("{} at {}", units::bytes(bytes as f64), directory.display()),
        )
        .warn_if(
            bytes < FREE_BYTES_MIN,
            "long runs need more: make room, or choose another place with --results DIR",
        ),
    }
}

fn time() -> Finding {
    let clock = clock();
    let source = clock.source.as_deref().unwrap_or("source unknown");
    let text = format!(
        "steps of {:.0} ns, {:.0} ns a look, {source}",
        clock.step_ns, clock.look_ns
    );
    Finding::ok("clock_step_ns", "clock", clock.step_ns, text).warn_if(
        clock.step_ns > STEP_MAX_NS || clock.look_ns > LOOK_MAX_NS,
        "latencies of microseconds are not to be believed: choose another clock source (/sys/devices/system/clocksource), on x86 tsc or kvm-clock",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::doctor::State;
    use crate::record::Settings;

    #[test]
    fn everything_is_looked_at_and_every_warning_has_a_remedy() {
        let place = tempfile::tempdir().unwrap();
        let environment = Environment::gather(Settings {
            durability: String::new(),
            authentication: String::new(),
        });
        let findings = examine(place.path(), &environment);
        let mut names: Vec<&str> = findings.iter().map(|finding| finding.name).collect();
        for name in [
            "udp_receive_buffer_bytes",
            "fsync_4k_median_us",
            "fsync_64k_median_us",
            "sign_us",
            "verify_us",
            "verify_batched_64_us",
            "verify_batched_us",
            "hash_128_us",
            "hash_bytes_s",
            "quic_round_trip_median_us",
            "signature_bound_ops_s",
            "hop_bound_us",
            "clock_step_ns",
        ] {
            let finding = findings.iter().find(|finding| finding.name == name);
            assert!(
                finding.unwrap().value.is_some_and(|value| value > 0.0),
                "{name}"
            );
        }
        for finding in &findings {
            assert_eq!(
                finding.remedy.is_some(),
                finding.state == State::Warn,
                "{finding:?}"
            );
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), findings.len());
    }

    #[test]
    fn a_machine_that_is_too_small_is_told_so() {
        let small = Environment {
            build: "debug".to_owned(),
            cores: 1,
            memory_bytes: 1 << 20,
            ..Environment::default()
        };
        for finding in [build(&small), cores(&small), memory(&small)] {
            assert_eq!(finding.state, State::Warn, "{finding:?}");
        }
        let unknown = memory(&Environment::default());
        assert_eq!((unknown.state, unknown.value), (State::Unknown, None));
    }
}
