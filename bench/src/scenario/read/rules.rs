//! Rules which span several tables; each names the keys, the reason and the remedy.

use super::{byzantine, fault_rules};
use crate::scenario::expect::Condition;
use crate::scenario::problem::Problem;
use crate::scenario::reading::Reading;
use crate::scenario::schema::Scenario;
use crate::scenario::workload::ValueSize;

/// Bytes that one operation takes beside its value: key, kind, lengths.
const OPERATION_OVERHEAD_BYTES: u64 = 64;

pub(super) fn check(reading: &mut Reading<'_>, scenario: &Scenario) {
    records_for_the_mix(reading, scenario);
    request_fits_a_batch(reading, scenario);
    culprits_exist(reading, scenario);
    creates_replace_deletes(reading, scenario);
    byzantine::check(reading, scenario);
    fault_rules::check(reading, scenario);
}

fn records_for_the_mix(reading: &mut Reading<'_>, scenario: &Scenario) {
    let workload = &scenario.workload;
    if workload.records == 0 && workload.mix.create < 1.0 {
        let problem =
            Problem::new("`workload.records` = 0 leaves nothing to read, update or delete");
        reading.blame(
            &["workload.records"],
            problem.help("write records = 1 or more, or a mix of creates alone"),
            "at least 1",
        );
    }
}

fn request_fits_a_batch(reading: &mut Reading<'_>, scenario: &Scenario) {
    let longest = match scenario.workload.value {
        ValueSize::Constant { bytes } => bytes,
        ValueSize::Uniform { max, .. } | ValueSize::Lognormal { max, .. } => max.bytes(),
    };
    let ops = u64::from(scenario.load.ops_per_request);
    let bytes = ops * (longest + OPERATION_OVERHEAD_BYTES);
    let room = scenario.cluster.batch.max_bytes.bytes();
    if bytes > room {
        let problem = Problem::new(format!(
            "a request of {ops} operations with values of up to {longest} bytes has {bytes} bytes, more than a batch holds ({room})"
        ));
        reading.blame(
            &[
                "load.ops_per_request",
                "workload.value.bytes",
                "workload.value.max",
                "cluster.batch.max_bytes",
            ],
            problem.help(format!(
                "write ops_per_request = {} at most, or a larger cluster.batch.max_bytes",
                room / (longest + OPERATION_OVERHEAD_BYTES)
            )),
            "",
        );
    }
    // A batch that cannot hold one request would never close.
    if scenario.load.ops_per_request > scenario.cluster.batch.max_ops {
        let problem = Problem::new(format!(
            "`load.ops_per_request` = {ops} is more than `cluster.batch.max_ops` = {}",
            scenario.cluster.batch.max_ops
        ));
        reading.blame(
            &["load.ops_per_request", "cluster.batch.max_ops"],
            problem.help(format!("write max_ops = {ops} or more")),
            "",
        );
    }
}

fn culprits_exist(reading: &mut Reading<'_>, scenario: &Scenario) {
    let n = scenario.cluster.n;
    for expectation in &scenario.expect.expectations {
        let Condition::Replicas(ids) = &expectation.condition else {
            continue;
        };
        if let Some(stranger) = ids.iter().find(|id| **id >= n) {
            let path = format!("expect.{}", expectation.fact.name());
            let problem = Problem::new(format!(
                "`{path}`: there is no replica {stranger} among {n}"
            ));
            reading.blame(
                &[&path],
                problem.help(format!("replicas are 0 to {}", n - 1)),
                "",
            );
        }
    }
}

fn creates_replace_deletes(reading: &mut Reading<'_>, scenario: &Scenario) {
    let mix = &scenario.workload.mix;
    if mix.delete > 0.0 && mix.create == 0.0 && mix.put == 0.0 {
        let problem =
            Problem::new("`workload.mix` deletes and never creates: in the end no record is left");
        reading.warn(
            &["workload.mix.delete"],
            problem.help("add a share of create or put"),
            "",
        );
    }
}
