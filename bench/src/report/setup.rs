//! What was run: the lines of a summary that the scenario and the machine decide.

use serde_json::Value;

use super::units;
use crate::record::{Environment, Run};
use crate::scenario::schema::OpKind;

/// A value of the effective scenario; what a document lacks is `?`, so that a foreign run.json can be shown as well.
pub(super) struct Setup<'a>(&'a Value);

impl<'a> Setup<'a> {
    pub(super) const fn of(run: &'a Run) -> Self {
        Self(&run.scenario)
    }

    pub(super) fn text(&self, pointer: &str) -> String {
        match self.0.pointer(pointer) {
            None | Some(Value::Null) => "?".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number
                .as_u64()
                .map_or_else(|| number.to_string(), units::count),
            Some(other) => other.to_string(),
        }
    }

    fn number(&self, pointer: &str) -> Option<u64> {
        self.0.pointer(pointer)?.as_u64()
    }

    pub(super) fn is(&self, pointer: &str, word: &str) -> bool {
        self.0.pointer(pointer).is_some_and(|value| value == word)
    }

    /// `n = 5, f = 1; pbft-fast, q = 4, q_F = 4, commits adaptive`
    pub(super) fn cluster(&self) -> String {
        format!(
            "n = {}, f = {}; {}, {}, commits {}",
            self.text("/cluster/n"),
            self.text("/cluster/f"),
            self.text("/cluster/protocol"),
            self.quorums(),
            self.text("/cluster/commit_mode")
        )
    }

    fn quorums(&self) -> String {
        let quorums = || {
            let small = |pointer| u16::try_from(self.number(pointer)?).ok();
            let fast = match self.0.pointer("/cluster/fast_quorum")? {
                Value::String(rule) => match rule.as_str() {
                    "strong" => consensus::FastQuorum::Strong,
                    "conservative" => consensus::FastQuorum::Conservative,
                    _ => consensus::FastQuorum::Off,
                },
                votes => consensus::FastQuorum::Exactly(u16::try_from(votes.as_u64()?).ok()?),
            };
            consensus::Quorums::new(small("/cluster/n")?, small("/cluster/f")?, fast).ok()
        };
        match quorums() {
            None => "quorums unknown".to_owned(),
            Some(quorums) => match quorums.fast() {
                Some(fast) => format!("q = {}, q_F = {fast}", quorums.slow()),
                None => format!("q = {}, no fast path", quorums.slow()),
            },
        }
    }

    pub(super) fn durability(&self, environment: &Environment) -> String {
        let engine = self.text("/cluster/storage/engine");
        match environment.durability.as_str() {
            "full" => format!("full: a record is on disk (fsync) before its vote leaves; {engine}"),
            "off" => format!("OFF: no vote waits for the disk; {engine}"),
            other => other.to_owned(),
        }
    }

    pub(super) fn load(&self) -> String {
        let requests = match self.number("/load/ops_per_request") {
            Some(1) => "1 operation a request".to_owned(),
            _ => format!(
                "{} operations a request",
                self.text("/load/ops_per_request")
            ),
        };
        let clients = format!("{} clients", self.text("/load/clients"));
        if self.is("/load/model", "open") {
            format!(
                "open loop, {}, {} arrivals, {clients}, {requests}",
                self.text("/load/rate"),
                self.text("/load/arrival")
            )
        } else {
            format!(
                "closed loop, {clients}, {} outstanding each, {requests}",
                self.text("/load/outstanding")
            )
        }
    }

    pub(super) fn workload(&self) -> String {
        let kind = match self.0.pointer("/workload/preset") {
            Some(Value::String(preset)) => format!("YCSB {preset}"),
            _ => self.text("/workload/kind"),
        };
        let value = match self.text("/workload/value/dist").as_str() {
            "constant" => format!("{}-byte values", self.text("/workload/value/bytes")),
            "uniform" => format!(
                "values of {} to {}",
                self.text("/workload/value/min"),
                self.text("/workload/value/max")
            ),
            _ => format!("values around {}", self.text("/workload/value/median")),
        };
        let share = |kind: OpKind| {
            let share = self.0.pointer(&format!("/workload/mix/{}", kind.name()))?;
            Some(format!("{} {}", units::share(share.as_f64()?), kind.name()))
        };
        let mix: Vec<String> = OpKind::ALL.into_iter().filter_map(share).collect();
        format!(
            "{kind}, {} records, {} keys, {value}; {}",
            self.text("/workload/records"),
            self.text("/workload/key/dist"),
            mix.join(", ")
        )
    }

    pub(super) fn measured(&self, run: &Run) -> String {
        let mut seconds: Vec<String> = run
            .repeats
            .iter()
            .map(|repeat| format!("{:.1} s", repeat.duration_s))
            .collect();
        seconds.dedup();
        let repeats = units::counted(run.repeats.len() as u64, "repeat");
        format!(
            "{} after {} of warm-up; {repeats}, seed {}",
            if seconds.is_empty() {
                "nothing".to_owned()
            } else {
                seconds.join(", ")
            },
            self.text("/load/warmup"),
            // A seed is no quantity: its digits stay together.
            self.number("/seed")
                .map_or_else(|| "?".to_owned(), |seed| seed.to_string())
        )
    }
}

/// The machine and the build.
pub(super) fn machine(environment: &Environment) -> String {
    let Environment {
        cpu,
        cores,
        memory_bytes,
        platform,
        kernel,
        commit,
        dirty,
        rustc,
        build,
        ..
    } = environment;
    let commit: String = commit.chars().take(12).collect();
    let dirty = if *dirty {
        " with uncommitted changes"
    } else {
        ""
    };
    let memory = units::bytes(*memory_bytes as f64);
    let cores = units::counted(*cores, "core");
    format!(
        "{cpu}, {cores}, {memory}, {platform} {kernel}; {build} build of {commit}{dirty}, {rustc}"
    )
}
