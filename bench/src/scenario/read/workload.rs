//! The `[workload]` table.

use crate::scenario::problem::Problem;
use crate::scenario::refusal::{Refusal, Words, bytes};
use crate::scenario::section::Section;
use crate::scenario::tree::{Entry, Node, Value};
use crate::scenario::units::Size;
use crate::scenario::workload::{
    KeyDistribution, Mix, OpKind, Preset, ReadMode, ValueSize, Workload, WorkloadKind,
};

/// Records loaded before a run at most; more would take longer to load than anybody waits.
const RECORDS_MAX: u64 = 100_000_000;

/// Bytes of a value at most: an operation has 64 KiB at most (docs/protocol.md R19), of which its key and framing take a part.
pub(in crate::scenario) const VALUE_BYTES_MAX: u64 = 60 << 10;

/// Records one scan returns at most.
const SCAN_MAX: u32 = 10_000;

/// The skew of YCSB.
const THETA: f64 = 0.99;

pub(super) fn read(table: &mut Section<'_, '_>) -> Workload {
    let kind = table.choice(
        "kind",
        WorkloadKind::Ycsb,
        &Words {
            now: &[("ycsb", WorkloadKind::Ycsb), ("crud", WorkloadKind::Crud)],
            later: &["bank"],
        },
    );
    let preset = preset(table, kind);
    Workload {
        kind,
        preset,
        records: table.integer("records", 100_000, 0..=RECORDS_MAX),
        key: table.table("key", |table| key(table, preset)),
        value: table.table("value", value),
        mix: mix(table, preset),
        scan_length: table.integer("scan_length", 100, 1..=SCAN_MAX),
        read_mode: table.choice(
            "read_mode",
            ReadMode::Ordered,
            &Words {
                now: &[("ordered", ReadMode::Ordered), ("quorum", ReadMode::Quorum)],
                later: &["stale"],
            },
        ),
    }
}

fn preset(table: &mut Section<'_, '_>, kind: WorkloadKind) -> Option<Preset> {
    if kind == WorkloadKind::Crud {
        table.inapplicable(
            &["preset"],
            "kind",
            "only kind = \"ycsb\" has presets",
            "remove it, or write kind = \"ycsb\"",
        );
        return None;
    }
    let words = Words {
        now: &[
            ("A", Preset::A),
            ("B", Preset::B),
            ("C", Preset::C),
            ("D", Preset::D),
            ("E", Preset::E),
            ("F", Preset::F),
        ],
        later: &[],
    };
    Some(table.choice("preset", Preset::A, &words))
}

fn key(table: &mut Section<'_, '_>, preset: Option<Preset>) -> KeyDistribution {
    #[derive(Clone, Copy, PartialEq)]
    enum Dist {
        Uniform,
        Zipfian,
        Latest,
        Hotspot,
        Sequential,
    }
    let default = match preset.map(Preset::key) {
        Some(KeyDistribution::Latest) => Dist::Latest,
        _ => Dist::Zipfian,
    };
    let dist = table.choice(
        "dist",
        default,
        &Words {
            now: &[
                ("uniform", Dist::Uniform),
                ("zipfian", Dist::Zipfian),
                ("latest", Dist::Latest),
                ("hotspot", Dist::Hotspot),
                ("sequential", Dist::Sequential),
            ],
            later: &[],
        },
    );
    if default == Dist::Latest {
        table.derived("dist", "from preset = \"D\"");
    }
    let foreign: &[&'static str] = match dist {
        Dist::Zipfian => &["hot_fraction", "hot_share"],
        Dist::Hotspot => &["theta"],
        Dist::Uniform | Dist::Latest | Dist::Sequential => &["theta", "hot_fraction", "hot_share"],
    };
    let why = "it belongs to another distribution";
    table.inapplicable(
        foreign,
        "dist",
        why,
        "theta belongs to \"zipfian\", hot_fraction and hot_share to \"hotspot\"",
    );
    match dist {
        Dist::Uniform => KeyDistribution::Uniform,
        Dist::Latest => KeyDistribution::Latest,
        Dist::Sequential => KeyDistribution::Sequential,
        Dist::Zipfian => KeyDistribution::Zipfian {
            theta: table.fraction(
                "theta",
                THETA,
                |theta| theta > 0.0 && theta <= 5.0,
                "more than 0 and at most 5",
            ),
        },
        Dist::Hotspot => KeyDistribution::Hotspot {
            hot_fraction: table.fraction(
                "hot_fraction",
                0.2,
                |share| share > 0.0 && share <= 1.0,
                "more than 0 and at most 1",
            ),
            hot_share: table.fraction(
                "hot_share",
                0.8,
                |share| (0.0..=1.0).contains(&share),
                "0 to 1",
            ),
        },
    }
}

fn value(table: &mut Section<'_, '_>) -> ValueSize {
    #[derive(Clone, Copy)]
    enum Dist {
        Constant,
        Uniform,
        Lognormal,
    }
    let dist = table.choice(
        "dist",
        Dist::Constant,
        &Words {
            now: &[
                ("constant", Dist::Constant),
                ("uniform", Dist::Uniform),
                ("lognormal", Dist::Lognormal),
            ],
            later: &[],
        },
    );
    let foreign: &[&'static str] = match dist {
        Dist::Constant => &["min", "max", "median", "sigma"],
        Dist::Uniform => &["bytes", "median", "sigma"],
        Dist::Lognormal => &["bytes", "min"],
    };
    let help = "\"constant\" has bytes, \"uniform\" has min and max, \"lognormal\" has median, sigma and max";
    table.inapplicable(foreign, "dist", "it belongs to another distribution", help);
    let bounds = Size::of(1)..=Size::of(VALUE_BYTES_MAX);
    let (size, pair) = match dist {
        Dist::Constant => {
            let bytes = table.value("bytes", 100, |value| match bytes(value)? {
                fitting @ 1..=VALUE_BYTES_MAX => Ok(fitting),
                other => Err(Refusal::new(
                    format!("{other} is out of bounds"),
                    format!("a value has 1 to {VALUE_BYTES_MAX} bytes"),
                )),
            });
            return ValueSize::Constant { bytes };
        }
        Dist::Uniform => {
            let min = table.quantity("min", Size::of(64), bounds.clone());
            let max = table.quantity("max", Size::of(1 << 10), bounds);
            (ValueSize::Uniform { min, max }, (("min", min), max))
        }
        Dist::Lognormal => {
            let median = table.quantity("median", Size::of(100), bounds.clone());
            let sigma = table.fraction(
                "sigma",
                1.0,
                |sigma| sigma > 0.0 && sigma <= 4.0,
                "more than 0 and at most 4",
            );
            let max = table.quantity("max", Size::of(4 << 10), bounds);
            (
                ValueSize::Lognormal { median, sigma, max },
                (("median", median), max),
            )
        }
    };
    let ((name, low), max) = pair;
    if low > max {
        let problem = Problem::new(format!(
            "`workload.value.{name}` is more than `workload.value.max`"
        ));
        let path = table.path(name);
        table.reading.blame(
            &[&path, "workload.value.max"],
            problem.help("make max at least as large"),
            "",
        );
    }
    size
}

/// The shares: those of the preset, or those written (kinds not named have none), or a usual mix.
fn mix(table: &mut Section<'_, '_>, preset: Option<Preset>) -> Mix {
    let usual = Mix {
        create: 0.05,
        read: 0.5,
        update: 0.4,
        delete: 0.05,
        ..Mix::default()
    };
    let path = table.path("mix");
    let written = table.take("mix");
    let Some(Entry {
        node: Node { value, place },
        key,
    }) = written
    else {
        table.default_group(
            &path,
            preset.map(|preset| format!("from preset = \"{preset:?}\"")),
        );
        return preset.map_or(usual, Preset::mix);
    };
    let Value::Table(shares) = value else {
        table.refuse(
            &path,
            place,
            Refusal::kind(
                "a table of shares",
                &value,
                "mix = { read = 0.5, update = 0.5 }",
            ),
        );
        return usual;
    };
    let before = table.reading.problems.len();
    let mix = table.subtable(&path, shares, |table| {
        let mut mix = Mix::default();
        for kind in OpKind::ALL {
            *mix.share_mut(kind) = table.fraction(
                kind.name(),
                0.0,
                |share| (0.0..=1.0).contains(&share),
                "0 to 1",
            );
        }
        mix
    });
    if table.reading.problems.len() > before {
        return mix;
    }
    let judged = !table.reading.refused("workload.kind");
    if let Some(preset) = preset.filter(|preset| judged && preset.mix() != mix) {
        // A mix that a lower layer wrote for kind = "crud" gives way to a preset chosen above it.
        let chosen = ["workload.kind", "workload.preset"]
            .iter()
            .filter_map(|path| table.reading.place(path))
            .map(|place| table.reading.rank(place))
            .max();
        let problem = Problem::new(format!(
            "`workload.mix` does not apply: preset = \"{preset:?}\" of kind = \"ycsb\" fixes the mix"
        ));
        if chosen.is_some_and(|chosen| table.reading.rank(key) < chosen) {
            let problem = problem.help("it is ignored");
            table.reading.warnings.push(
                key.blame(table.reading.layers, problem, "ignored")
                    .warning(),
            );
        } else {
            let problem =
                problem.help("write kind = \"crud\" for a mix of your own, or remove `mix`");
            table
                .reading
                .problems
                .push(key.blame(table.reading.layers, problem, "does not apply"));
        }
        table.derive_group(&path, &format!("from preset = \"{preset:?}\""));
        return preset.mix();
    }
    let total = mix.total();
    if (total - 1.0).abs() > Mix::TOLERANCE {
        let written: Vec<String> = mix
            .shares()
            .iter()
            .filter(|(_, share)| *share > 0.0)
            .map(|(kind, share)| format!("{} {share}", kind.name()))
            .collect();
        let total = (total * 1e9).round() / 1e9;
        let problem = Problem::new(format!(
            "the shares of `workload.mix` sum to {total}, not 1 ({})",
            written.join(" + ")
        ));
        let help = if total > 0.0 {
            remedy(&mix)
        } else {
            "for example mix = { read = 0.5, update = 0.5 }".to_owned()
        };
        table.reading.problems.push(place.blame(
            table.reading.layers,
            problem.help(help),
            &format!("sums to {total}"),
        ));
    }
    mix
}

/// The change of the largest share that makes the sum 1, or the same proportions scaled.
fn remedy(mix: &Mix) -> String {
    let total = mix.total();
    let largest = mix
        .shares()
        .into_iter()
        .max_by(|(_, a), (_, b)| a.total_cmp(b));
    let round = |share: f64| (share * 1e6).round() / 1e6;
    match largest {
        Some((kind, share)) if share + 1.0 - total >= 0.0 && share + 1.0 - total <= 1.0 => {
            format!(
                "for example {} = {}",
                kind.name(),
                round(share + 1.0 - total)
            )
        }
        _ => "make the shares smaller".to_owned(),
    }
}
