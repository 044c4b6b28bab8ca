//! The emulated network: configured against measured, link by link.

use super::document::{Section, Table, Tone};
use crate::record::{LinkFact, Run};

/// Links that are shown one by one; all of them are in run.json. Those that were not met come first.
const SHOWN_MAX: usize = 20;

/// One row for each link of the first repeat; nothing if nothing lies between the replicas.
pub(super) fn network(run: &Run) -> Option<Section> {
    let repeats = run
        .repeats
        .iter()
        .filter_map(|repeat| repeat.network.as_ref());
    let facts = repeats.clone().next().filter(|facts| facts.impaired)?;
    let missed = repeats
        .flat_map(|facts| &facts.links)
        .any(|link| link.met == Some(false));
    let mut links: Vec<&LinkFact> = facts.links.iter().collect();
    links.sort_by_key(|link| link.met != Some(false));
    let ms = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms"));
    let row = |link: &&LinkFact| {
        let mut delay = ms(Some(link.delay_ms));
        if link.jitter_ms > 0.0 {
            delay.push_str(&format!(" +- {:.1}", link.jitter_ms));
        }
        vec![
            format!("{} to {}", link.from, link.to),
            delay,
            match link.loss {
                0.0 => "-".to_owned(),
                loss => format!("{:.3} %", loss * 100.0),
            },
            ms(Some(link.configured_ms)),
            ms(link.measured_p50_ms),
            ms(link.measured_min_ms),
            match link.met {
                Some(true) => "yes",
                Some(false) => "NO",
                None => "-",
            }
            .to_owned(),
        ]
    };
    let (shown, all) = (SHOWN_MAX.min(links.len()), links.len());
    let mut remark = "round trips as QUIC saw them between the replicas".to_owned();
    if shown < all {
        remark.push_str(&format!("; {shown} of {all} links"));
    }
    Some(Section {
        heading: "Network",
        tone: if missed {
            Tone::Doubtful
        } else {
            Tone::Neutral
        },
        remark,
        table: Some(Table {
            header: vec![
                "link",
                "one way",
                "loss",
                "configured",
                "measured p50",
                "least",
                "met",
            ],
            rows: links.iter().take(SHOWN_MAX).map(row).collect(),
        }),
        ..Section::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{NetworkFacts, Repeat};

    fn run(links: Vec<LinkFact>, impaired: bool) -> Run {
        let network = Some(NetworkFacts { links, impaired });
        Run {
            repeats: vec![Repeat {
                network,
                ..Repeat::default()
            }],
            ..Run::default()
        }
    }

    #[test]
    fn links_that_were_not_met_come_first_and_are_not_hidden() {
        let link = |to, met| LinkFact {
            to,
            delay_ms: 20.0,
            jitter_ms: 1.0,
            loss: 0.01,
            configured_ms: 40.0,
            measured_p50_ms: Some(41.3),
            met: Some(met),
            ..LinkFact::default()
        };
        let mut links: Vec<LinkFact> = (1..=30).map(|to| link(to, true)).collect();
        links.push(link(31, false));
        let section = network(&run(links, true)).unwrap_or_default();
        assert_eq!(section.tone, Tone::Doubtful);
        assert!(
            section.remark.ends_with("20 of 31 links"),
            "{}",
            section.remark
        );
        let rows = section.table.unwrap_or_default().rows;
        let first = [
            "0 to 31",
            "20.0 ms +- 1.0",
            "1.000 %",
            "40.0 ms",
            "41.3 ms",
            "-",
            "NO",
        ];
        assert_eq!(rows[0], first.map(str::to_owned));
        assert_eq!(rows.len(), 20);
    }

    #[test]
    fn a_network_that_does_nothing_is_no_section() {
        assert_eq!(network(&run(vec![LinkFact::default()], false)), None);
        assert_eq!(network(&Run::default()), None);
    }
}
