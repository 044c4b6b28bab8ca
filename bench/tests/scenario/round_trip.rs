//! The effective file says everything: loading it gives the same scenario, with nothing left to defaults.

use bench::scenario::{Source, all_embedded, load};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// Whether the overrides were accepted, and then the round trip was made.
fn reload(name: &'static str, overrides: &[String]) -> bool {
    let Ok(first) = load(&[Source::Embedded(name)], overrides) else {
        // Overrides may contradict each other; what was refused has no effective file.
        return false;
    };
    let text = first.effective_toml();
    let source = Source::Text {
        name: "effective.toml".to_owned(),
        text: text.clone(),
    };
    let again = load(&[source], &[]).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(again.scenario, first.scenario, "{text}");
    assert_eq!(again.effective_toml(), text);
    assert!(again.warnings.len() <= first.warnings.len());
    // Its explanation is the same file with comments.
    let source = Source::Text {
        name: "explained.toml".to_owned(),
        text: first.explain(),
    };
    assert_eq!(load(&[source], &[]).unwrap().scenario, first.scenario);
    true
}

#[test]
fn every_shipped_scenario_survives_the_round_trip() {
    for (name, _) in all_embedded() {
        assert!(reload(name, &[]), "{name}");
    }
}

/// One override of each kind of key, with values that cross every unit and variant.
fn overrides() -> impl Strategy<Value = Vec<String>> {
    let number = |path: &'static str, values: std::ops::RangeInclusive<u64>| {
        values
            .prop_map(move |value| format!("{path}={value}"))
            .boxed()
    };
    let word = |path: &'static str, words: &'static [&'static str]| {
        select(words)
            .prop_map(move |word| format!("{path}={word}"))
            .boxed()
    };
    let time = |path: &'static str| {
        (1..100_000_u64, select(&["us", "ms"][..]))
            .prop_map(move |(value, unit)| format!("{path}=\"{}{unit}\"", value + 1_000))
            .boxed()
    };
    let fraction = |path: &'static str| {
        (0.001..1.0_f64)
            .prop_map(move |value| format!("{path}={value}"))
            .boxed()
    };
    let all: Vec<BoxedStrategy<String>> = vec![
        number("seed", 0..=u64::MAX / 2),
        number("repeat", 1..=9),
        ".{0,40}"
            .prop_map(|text: String| format!("description={}", toml::Value::from(text)))
            .boxed(),
        word("cluster.protocol", &["pbft", "pbft-fast"]),
        number("cluster.f", 1..=20),
        word("cluster.n", &["4f+1", "3f+1", "5f", "100"]),
        word("cluster.fast_quorum", &["strong", "conservative", "off"]),
        word("cluster.commit_mode", &["adaptive", "eager"]),
        word("cluster.storage.engine", &["sqlite", "memory"]),
        number("cluster.storage.checkpoint_interval", 1..=256),
        number("cluster.batch.max_ops", 1..=65_536),
        (64..8_192_u64)
            .prop_map(|kib| format!("cluster.batch.max_bytes={kib}KiB"))
            .boxed(),
        time("cluster.batch.max_delay"),
        time("cluster.timeouts.client"),
        word("workload.kind", &["ycsb", "crud"]),
        word("workload.preset", &["A", "B", "C", "D", "E", "F"]),
        number("workload.records", 1..=1_000_000),
        word(
            "workload.key.dist",
            &["uniform", "zipfian", "latest", "hotspot", "sequential"],
        ),
        fraction("workload.key.theta"),
        fraction("workload.key.hot_share"),
        word("workload.value.dist", &["constant", "uniform", "lognormal"]),
        fraction("workload.value.sigma"),
        (0..=8_u32)
            .prop_map(|eighths| {
                format!(
                    "workload.mix={{ scan = {}, put = {} }}",
                    f64::from(eighths) / 8.0,
                    1.0 - f64::from(eighths) / 8.0
                )
            })
            .boxed(),
        word("load.model", &["open", "closed"]),
        (0.1..1e6_f64)
            .prop_map(|rate| format!("load.rate={rate}/s"))
            .boxed(),
        word("load.arrival", &["poisson", "constant"]),
        number("load.outstanding", 1..=256),
        number("load.clients", 1..=100),
        time("load.warmup"),
        time("slo.p99")
            .prop_map(|text| text.replace("=\"", "=\"< "))
            .boxed(),
        (0..=1_000_u32)
            .prop_map(|share| format!("slo.errors=\"<= {}%\"", f64::from(share) / 10.0))
            .boxed(),
        number("expect.view_changes", 0..=9),
        word("expect.verdict", &["pass", "safety-violation"]),
        word(
            "fault",
            &[
                "[]",
                "[{ at = \"50ms\", kind = \"kill\", target = \"primary\" }]",
                "[{ at = \"1ms\", kind = \"pause\", target = [1, 2], resume_at = \"90ms\" }, { at = \"2ms\", kind = \"restart\", target = 0 }]",
                "[{ at = \"5ms\", every = \"200ms\", kind = \"kill\", target = \"random-correct\", restart_at = \"50ms\", wipe = true }]",
            ],
        ),
        (0..4_u32)
            .prop_map(|id| format!("expect.culprits=[{id}]"))
            .boxed(),
    ];
    let count = all.len();
    subsequence(all, 0..=count.min(8)).prop_flat_map(|chosen| chosen)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_effective_file_loads_to_the_same_scenario(
        name in select(all_embedded()).prop_map(|(name, _)| name),
        overrides in overrides(),
    ) {
        // Too many refusals fail the test: it would say nothing.
        prop_assume!(reload(name, &overrides));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "(schema = 1\n|name = \"x\"\n|\\[[a-z]{1,8}\\]\n|[a-z]{1,6} = [0-9\"{}\\[\\]a-zé.]{0,8}\n){0,8}") {
        let source = Source::Text { name: "random.toml".to_owned(), text };
        if let Err(error) = load(&[source], &[]) {
            prop_assert!(!error.render(bench::scenario::Style::Plain).is_empty());
        }
    }

    #[test]
    fn no_override_makes_the_reader_panic(text in "[a-z.]{0,12}=?[ -~é]{0,12}") {
        let _ = load(&[], &[text]);
    }
}
