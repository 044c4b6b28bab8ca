//! The measured part of a summary: throughput, latency, consensus and cost.
//!
//! Over several repeats each number is the median of the repeats, and the heading says so.

use super::document::{Section, Table, Tone};
use super::setup::Setup;
use super::units;
use crate::judge::why_nothing_succeeded;
use crate::record::{Bounds, Counters, Estimate, LatencySummary, Repeat, ReplicaResources, Run};
use crate::scenario::schema::OpKind;

pub(super) fn throughput(run: &Run) -> Section {
    let median = run.summary.throughput_ops_s.median;
    let mut facts = vec![(
        "ok",
        match why_nothing(run) {
            Some(why) if median == 0.0 => format!("0/s: {why}"),
            _ => format!(
                "{}  ({})",
                units::rate(median),
                interval(&run.summary.throughput_ops_s, units::rate)
            ),
        },
    )];
    let mut total = Counters::default();
    run.repeats
        .iter()
        .for_each(|repeat| total.add(&repeat.operations));
    facts.push(("operations", operations(&total)));
    let share = median_of(run, |repeat| repeat.bounds.signature_bound_share);
    if share > 0.0 {
        let bound = median_of(run, |repeat| repeat.bounds.signature_bound_ops_s);
        facts.push((
            "bound",
            format!(
                "{} of the {} that signatures alone would allow on this machine",
                units::share(share),
                units::rate(bound)
            ),
        ));
    }
    Section {
        heading: "Throughput",
        tone: if median == 0.0 {
            Tone::Bad
        } else {
            Tone::Neutral
        },
        remark: format!(
            "operations answered, durability {}",
            run.environment.durability
        ),
        facts,
        ..Section::default()
    }
}

fn operations(counts: &Counters) -> String {
    let mut text = format!(
        "{} ok of {} sent",
        units::count(counts.ok),
        units::count(counts.sent)
    );
    for (count, what) in [
        (counts.failed, "failed (their condition was false)"),
        (counts.unknown, "unknown (never answered)"),
        (counts.dropped, "dropped before sending"),
        (counts.late, "sent late"),
        (counts.busy_replies, "busy replies"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {} {what}", units::count(count)));
        }
    }
    text
}

pub(super) fn latency(run: &Run) -> Option<Section> {
    let row = |kind: &str| {
        let of: Vec<&LatencySummary> = run
            .repeats
            .iter()
            .filter_map(|repeat| repeat.latency_us.get(kind))
            .filter(|latency| latency.count > 0)
            .collect();
        let time = |point: fn(&LatencySummary) -> f64| {
            let values: Vec<f64> = of.iter().map(|latency| point(latency)).collect();
            units::with_interval(&Estimate::of(&values), units::time)
        };
        let count = of.iter().map(|latency| latency.count).sum();
        (!of.is_empty()).then(|| {
            vec![
                kind.to_owned(),
                units::count(count),
                time(|latency| latency.p50),
                time(|latency| latency.p90),
                time(|latency| latency.p99),
                time(|latency| latency.p999),
                time(|latency| latency.max),
            ]
        })
    };
    let kinds = std::iter::once("all").chain(OpKind::ALL.map(OpKind::name));
    let rows: Vec<Vec<String>> = kinds.filter_map(row).collect();
    let mut facts = Vec::new();
    if Setup::of(run).is("/load/model", "open") {
        let of = |point: fn(&LatencySummary) -> f64| {
            units::time(median_of(run, |repeat| {
                repeat.service_latency_us.get("all").map_or(0.0, point)
            }))
        };
        let (p50, p99) = (of(|latency| latency.p50), of(|latency| latency.p99));
        facts.push((
            "from sending on",
            format!("p50 {p50}, p99 {p99}, over all operations"),
        ));
    }
    facts.extend(hop_bound(run));
    let mut remark = "from the intended start".to_owned();
    if run.repeats.len() > 1 {
        remark.push_str("; medians over the repeats with 95 % intervals, count is the sum");
    }
    (!rows.is_empty()).then(|| Section {
        heading: "Latency",
        remark,
        facts,
        table: Some(Table {
            header: vec!["operation", "count", "p50", "p90", "p99", "p99.9", "max"],
            rows,
        }),
        ..Section::default()
    })
}

/// The least that an operation could take, beside the median; nothing if a repeat does not know it.
fn hop_bound(run: &Run) -> Option<(&'static str, String)> {
    let all = |of: fn(&Bounds) -> Option<f64>| -> Option<Vec<f64>> {
        run.repeats
            .iter()
            .map(|repeat| of(&repeat.bounds))
            .collect()
    };
    let bound_ms = median(all(|bounds| bounds.hop_bound_ms)?.into_iter());
    let share = median(all(|bounds| bounds.hop_bound_share)?.into_iter());
    let text = format!(
        "{} of p50: the {} that delays, fsyncs and signatures alone would take",
        units::share(share),
        units::time(bound_ms * 1e3)
    );
    (share > 0.0).then_some(("bound", text))
}

pub(super) fn consensus(run: &Run) -> Section {
    let count = |of: fn(&Repeat) -> u64| median_of(run, |repeat| of(repeat) as f64).round() as u64;
    let slots = count(|repeat| repeat.consensus.slots);
    let mut facts = Vec::new();
    if slots == 0 {
        let why = if count(|repeat| repeat.operations.ok) > 0 {
            "no replica reported what it decided, although clients were answered"
        } else {
            "nothing was decided, as far as the replicas reported"
        };
        facts.push(("slots", format!("0: {why}")));
    } else {
        let batch = |of: fn(&Repeat) -> u64| units::count(count(of));
        facts.push((
            "slots",
            format!(
                "{}: {} on the fast path ({} fast, {} by COMMITs)",
                units::count(slots),
                units::share(median_of(run, |repeat| repeat.consensus.fast_path_share)),
                units::count(count(|repeat| repeat.consensus.fast_path_slots)),
                units::count(count(|repeat| repeat.consensus.slow_path_slots)),
            ),
        ));
        facts.push((
            "batch",
            format!(
                "{} operations a slot on average, p50 {}, p99 {}, max {}",
                units::number(median_of(run, |repeat| repeat.consensus.batch_ops_mean)),
                batch(|repeat| repeat.consensus.batch.p50),
                batch(|repeat| repeat.consensus.batch.p99),
                batch(|repeat| repeat.consensus.batch.max),
            ),
        ));
        facts.push((
            "views",
            format!(
                "{}, in view {} at the end",
                units::counted(count(|repeat| repeat.consensus.view_changes), "view change"),
                count(|repeat| repeat.consensus.final_view),
            ),
        ));
        facts.push((
            "checkpoints",
            format!(
                "{} stable, {}",
                units::count(count(|repeat| repeat.consensus.checkpoints)),
                units::counted(
                    count(|repeat| repeat.consensus.state_transfers),
                    "state transfer"
                ),
            ),
        ));
    }
    Section {
        heading: "Consensus",
        remark: medians(run),
        facts,
        ..Section::default()
    }
}

pub(super) fn cost(run: &Run) -> Option<Section> {
    let ok = median_of(run, |repeat| repeat.operations.ok as f64);
    let seen = run
        .repeats
        .iter()
        .any(|repeat| !repeat.resources.replicas.is_empty());
    let mut facts = Vec::new();
    if seen {
        let cores = |of: fn(&mut dyn Iterator<Item = f64>) -> f64| {
            let share = median_of(run, |repeat| {
                let seconds = repeat.duration_s.max(f64::MIN_POSITIVE);
                of(&mut repeat
                    .resources
                    .replicas
                    .iter()
                    .map(|replica| replica.cpu_s / seconds))
            });
            units::share(share)
        };
        let cpu = &run.summary.cpu_us_per_op;
        if ok > 0.0 && cpu.median > 0.0 {
            facts.push((
                "CPU",
                format!(
                    "{} an operation over all replicas",
                    units::with_interval(cpu, units::time)
                ),
            ));
        }
        facts.push((
            "CPU a replica",
            format!(
                "{} of a core on average, {} at most",
                cores(|shares| mean(shares)),
                cores(|shares| shares.fold(0.0, f64::max))
            ),
        ));
        let rss = median_of(run, |repeat| {
            let all = repeat
                .resources
                .replicas
                .iter()
                .map(|replica| replica.rss_max_bytes);
            all.max().unwrap_or(0) as f64
        });
        facts.push((
            "memory",
            format!("{} in the largest replica", units::bytes(rss)),
        ));
        let sum = |of: fn(&ReplicaResources) -> u64| {
            median_of(run, |repeat| {
                repeat.resources.replicas.iter().map(of).sum::<u64>() as f64
            })
        };
        if ok > 0.0 {
            facts.push((
                "network",
                format!(
                    "{} sent an operation by all replicas together",
                    units::bytes(sum(|replica| replica.bytes_sent) / ok)
                ),
            ));
            let fsyncs = sum(|replica| replica.fsyncs);
            facts.push((
                "disk",
                if fsyncs > 0.0 {
                    format!(
                        "{} fsyncs an operation over all replicas",
                        units::number(fsyncs / ok)
                    )
                } else if run.environment.durability.starts_with("off") {
                    "0 fsyncs: durability is off".to_owned()
                } else {
                    "0 fsyncs: the replicas reported none".to_owned()
                },
            ));
        }
    }
    let generator = median_of(run, |repeat| repeat.resources.load_generator.cpu_s);
    if generator > 0.0 {
        let cores = median_of(run, |repeat| {
            repeat.resources.load_generator.cpu_s / repeat.duration_s.max(f64::MIN_POSITIVE)
        });
        facts.push((
            "load generator",
            format!(
                "{} cores of {}{}",
                units::number(cores),
                run.environment.cores,
                if ok > 0.0 {
                    format!(", {} an operation", units::time(generator * 1e6 / ok))
                } else {
                    String::new()
                }
            ),
        ));
    }
    (!facts.is_empty()).then(|| Section {
        heading: "Cost",
        remark: medians(run),
        facts,
        ..Section::default()
    })
}

fn why_nothing(run: &Run) -> Option<String> {
    if run.repeats.is_empty() {
        return Some("no repeat came to its measured phase".to_owned());
    }
    run.repeats.iter().find_map(why_nothing_succeeded)
}

fn interval(estimate: &Estimate, show: fn(f64) -> String) -> String {
    match (estimate.interval(), estimate.repeats) {
        (Some(interval), repeats) => {
            let [low, high] = interval.map(show);
            format!("median of {repeats} repeats, 95 % interval {low} to {high}")
        }
        (None, 0 | 1) => "one run: no interval".to_owned(),
        (None, repeats) => format!("median of {repeats} repeats: too few for an interval"),
    }
}

pub(super) fn medians(run: &Run) -> String {
    if run.repeats.len() > 1 {
        "medians over the repeats".to_owned()
    } else {
        String::new()
    }
}

pub(super) fn median_of(run: &Run, value: impl Fn(&Repeat) -> f64) -> f64 {
    median(run.repeats.iter().map(value))
}

pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    crate::record::median(&mut values.collect::<Vec<_>>())
}

fn mean(values: &mut dyn Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    if count == 0 {
        0.0
    } else {
        sum / f64::from(count)
    }
}
