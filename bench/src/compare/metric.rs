//! What is compared: the metrics, their units, and which direction is better.

use crate::record::{LatencySummary, Repeat, ReplicaResources};
use crate::report::units;

/// A figure of a repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Successful operations per second.
    Throughput,
    /// Median latency of all operations from the intended start.
    LatencyP50,
    /// Its 99th percentile.
    LatencyP99,
    /// Its 99.9th percentile.
    LatencyP999,
    /// Median latency of all operations from the moment of sending.
    ServiceP50,
    /// Its 99th percentile.
    ServiceP99,
    /// CPU time of all replicas for each successful operation.
    Cpu,
    /// The largest resident memory of any replica.
    Memory,
    /// Bytes that all replicas sent for each successful operation.
    BytesSent,
    /// Syncs to disk of all replicas for each successful operation.
    Fsyncs,
}

/// What a metric is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Operations per second.
    OperationsPerSecond,
    /// Microseconds.
    Microseconds,
    /// Bytes.
    Bytes,
    /// A number of events.
    Count,
}

/// Which direction is an improvement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
}

impl Metric {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 10] = [
        Self::Throughput,
        Self::LatencyP50,
        Self::LatencyP99,
        Self::LatencyP999,
        Self::ServiceP50,
        Self::ServiceP99,
        Self::Cpu,
        Self::Memory,
        Self::BytesSent,
        Self::Fsyncs,
    ];

    /// As documents write it, with the unit.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput_ops_s",
            Self::LatencyP50 => "latency_p50_us",
            Self::LatencyP99 => "latency_p99_us",
            Self::LatencyP999 => "latency_p999_us",
            Self::ServiceP50 => "service_p50_us",
            Self::ServiceP99 => "service_p99_us",
            Self::Cpu => "cpu_us_per_op",
            Self::Memory => "rss_max_bytes",
            Self::BytesSent => "bytes_sent_per_op",
            Self::Fsyncs => "fsyncs_per_op",
        }
    }

    /// As tables and sentences write it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::LatencyP50 => "latency p50",
            Self::LatencyP99 => "latency p99",
            Self::LatencyP999 => "latency p99.9",
            Self::ServiceP50 => "service p50",
            Self::ServiceP99 => "service p99",
            Self::Cpu => "CPU/op",
            Self::Memory => "memory",
            Self::BytesSent => "bytes sent/op",
            Self::Fsyncs => "fsyncs/op",
        }
    }

    /// Its unit.
    #[must_use]
    pub const fn unit(self) -> Unit {
        match self {
            Self::Throughput => Unit::OperationsPerSecond,
            Self::LatencyP50
            | Self::LatencyP99
            | Self::LatencyP999
            | Self::ServiceP50
            | Self::ServiceP99
            | Self::Cpu => Unit::Microseconds,
            Self::Memory | Self::BytesSent => Unit::Bytes,
            Self::Fsyncs => Unit::Count,
        }
    }

    /// A value with its unit, as a person reads it.
    #[must_use]
    pub fn shown(self, value: f64) -> String {
        match self.unit() {
            Unit::OperationsPerSecond => units::rate(value),
            Unit::Microseconds => units::time(value),
            Unit::Bytes => units::bytes(value),
            Unit::Count => units::number(value),
        }
    }

    /// Which direction is better.
    #[must_use]
    pub const fn direction(self) -> Direction {
        match self {
            Self::Throughput => Direction::Higher,
            _ => Direction::Lower,
        }
    }

    /// Its value in a repeat, in its [`Unit`] and never negative; `None` if it was not measured, or if nothing succeeded that it
    /// could be a figure of.
    #[must_use]
    pub fn of(self, repeat: &Repeat) -> Option<f64> {
        let latency =
            |of: fn(&LatencySummary) -> f64| measured(of(repeat.latency_us.get("all")?));
        let service =
            |of: fn(&LatencySummary) -> f64| measured(of(repeat.service_latency_us.get("all")?));
        let per_operation = |of: fn(&ReplicaResources) -> u64| {
            let replicas = &repeat.resources.replicas;
            let sum: u64 = replicas.iter().map(of).sum();
            let ok = repeat.operations.ok;
            (ok > 0 && !replicas.is_empty()).then(|| sum as f64 / ok as f64)
        };
        let value = match self {
            Self::Throughput => Some(repeat.throughput_ops_s),
            Self::LatencyP50 => latency(|latency| latency.p50),
            Self::LatencyP99 => latency(|latency| latency.p99),
            Self::LatencyP999 => latency(|latency| latency.p999),
            Self::ServiceP50 => service(|latency| latency.p50),
            Self::ServiceP99 => service(|latency| latency.p99),
            Self::Cpu => measured(repeat.resources.cpu_us_per_op),
            Self::Memory => {
                let replicas = repeat.resources.replicas.iter();
                let largest = replicas.map(|replica| replica.rss_max_bytes).max()?;
                measured(largest as f64)
            }
            Self::BytesSent => per_operation(|replica| replica.bytes_sent).and_then(measured),
            // None at all is an answer where durability is off.
            Self::Fsyncs => per_operation(|replica| replica.fsyncs),
        };
        value.filter(|value| value.is_finite() && *value >= 0.0)
    }
}

impl Unit {
    /// As documents write it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::OperationsPerSecond => "ops/s",
            Self::Microseconds => "us",
            Self::Bytes => "bytes",
            Self::Count => "count",
        }
    }
}

impl Direction {
    /// As documents write it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Higher => "higher",
            Self::Lower => "lower",
        }
    }
}

/// A figure that is 0 only where nobody measured it.
fn measured(value: f64) -> Option<f64> {
    (value > 0.0).then_some(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp)]
    use super::*;
    use crate::record::{Counters, Resources};

    #[test]
    fn figures_are_taken_from_where_a_run_keeps_them() {
        let replica = |rss_max_bytes, bytes_sent, fsyncs| ReplicaResources {
            rss_max_bytes,
            bytes_sent,
            fsyncs,
            ..ReplicaResources::default()
        };
        let latency = |p50| LatencySummary {
            p50,
            p99: p50 * 2.0,
            p999: p50 * 3.0,
            ..LatencySummary::default()
        };
        let repeat = Repeat {
            throughput_ops_s: 50.0,
            operations: Counters {
                ok: 100,
                ..Counters::default()
            },
            latency_us: [
                ("all".to_owned(), latency(10.0)),
                ("read".to_owned(), latency(1.0)),
            ]
            .into(),
            service_latency_us: [("all".to_owned(), latency(8.0))].into(),
            resources: Resources {
                replicas: vec![replica(4096, 300, 10), replica(8192, 200, 15)],
                cpu_us_per_op: 7.0,
                ..Resources::default()
            },
            ..Repeat::default()
        };
        let values: Vec<f64> = Metric::ALL
            .into_iter()
            .filter_map(|metric| metric.of(&repeat))
            .collect();
        assert_eq!(
            values,
            [50.0, 10.0, 20.0, 30.0, 8.0, 16.0, 7.0, 8192.0, 5.0, 0.25]
        );
    }

    #[test]
    fn what_nobody_measured_is_not_zero() {
        let nothing = Repeat::default();
        for metric in Metric::ALL {
            let wanted = (metric == Metric::Throughput).then_some(0.0);
            assert_eq!(metric.of(&nothing), wanted, "{}", metric.name());
        }
    }

    #[test]
    fn only_of_throughput_more_is_better() {
        let higher = Metric::ALL
            .into_iter()
            .filter(|metric| metric.direction() == Direction::Higher);
        assert_eq!(higher.collect::<Vec<_>>(), [Metric::Throughput]);
    }
}
