//! The faults of a run and what each cost.

use super::document::{Section, Table};
use super::units;
use crate::record::{ClientAttackFact, FaultFact, Run};

/// Faults that are shown one by one; all of them are in run.json.
const SHOWN_MAX: usize = 20;

/// One row for each fault, and the distribution of the times if there are several.
pub(super) fn faults(run: &Run) -> Option<Section> {
    let several = run.repeats.len() > 1;
    let all: Vec<(usize, &FaultFact)> = (1..)
        .zip(&run.repeats)
        .flat_map(|(number, repeat)| repeat.faults.iter().map(move |fault| (number, fault)))
        .collect();
    if all.is_empty() {
        return None;
    }
    let row = |(repeat, fault): &(usize, &FaultFact)| {
        let mut what = match &fault.clients {
            Some(clients) => format!("{} by {} clients", clients.attack, clients.count),
            None => fault.kind_in_full(),
        };
        if let Some(id) = fault.target {
            what.push_str(&format!(" {id}"));
        }
        // Which bytes of a file were struck is for run.json.
        if let Some(detail) = fault.what.as_ref().filter(|_| fault.attack.is_none()) {
            what.push_str(&format!(": {detail}"));
        }
        if fault.wipe && fault.attack.is_none() {
            what.push_str(", wiped");
        }
        for (word, happened) in [
            ("stopped", fault.stopped.is_some()),
            ("refused", fault.refused.is_some()),
            ("learner", fault.learner),
        ] {
            if happened {
                what.push_str(&format!(", {word}"));
            }
        }
        if let Some(acted) = fault.acted {
            what.push_str(&format!(", {acted} times"));
        }
        if several {
            what.push_str(&format!(" (repeat {repeat})"));
        }
        let seconds = |at: f64| format!("{at:.1} s");
        let none = |or: &str| or.to_owned();
        vec![
            what,
            seconds(fault.start_s),
            fault.end_s.map_or_else(|| none("never"), seconds),
            fault.first_commit_ms.map_or_else(|| none("never"), ms),
            match fault.longest_stall_ms {
                0.0 => "< 100 ms".to_owned(),
                stall => ms(stall),
            },
            fault.recovered_95_ms.map_or_else(|| none("never"), ms),
            fault.caught_up_ms.map_or_else(|| none("-"), ms),
            match fault.voting_ms {
                Some(0.0) => none("all along"),
                Some(voting) => ms(voting),
                None if fault.end_s.is_some() && fault.target.is_some() => none("never"),
                None => none("-"),
            },
        ]
    };
    let mut facts = Vec::new();
    if all.len() > 1 {
        let over = |time: fn(&FaultFact) -> Option<f64>| {
            distribution(all.iter().map(|(_, fault)| time(fault)).collect())
        };
        facts.push(("first answer", over(|fault| fault.first_commit_ms)));
        facts.push(("back at 95 %", over(|fault| fault.recovered_95_ms)));
    }
    for (_, fault) in &all {
        facts.extend(fault.clients.as_ref().map(under_attack));
    }
    Some(Section {
        heading: "Faults",
        remark: if all.len() > SHOWN_MAX {
            format!("the first {SHOWN_MAX} of {}", all.len())
        } else {
            String::new()
        },
        facts,
        table: Some(Table {
            header: vec![
                "fault",
                "at",
                "back at",
                "first answer",
                "stall",
                "95 % again",
                "caught up",
                "votes",
            ],
            rows: all.iter().take(SHOWN_MAX).map(row).collect(),
        }),
        ..Section::default()
    })
}

/// What an attack by clients left to the correct ones.
fn under_attack(fact: &ClientAttackFact) -> (&'static str, String) {
    let share = |part: Option<f64>| {
        part.map_or_else(
            || "unknown".to_owned(),
            |part| format!("{:.1} %", part * 100.0),
        )
    };
    let counts = &fact.counts;
    let text = format!(
        "correct clients kept {} together, the least of them {} of its share (of the {} of the machine that the attackers' \
         own program left), p99 {} of the others', longest wait {}; \
         {} requests sent, {} replies executed, {} busy, {} refused, {} connections closed",
        share(fact.service_kept),
        share(fact.share_kept),
        share(fact.machine_left),
        fact.p99_ratio.map_or_else(
            || "unknown".to_owned(),
            |ratio| format!("{ratio:.1} x that")
        ),
        ms(fact.longest_wait_ms),
        counts.sent,
        counts.executed_replies,
        counts.busy_replies,
        counts.refused_replies,
        counts.closed,
    );
    ("under attack", text)
}

fn ms(ms: f64) -> String {
    units::time(ms * 1e3)
}

/// Of times in milliseconds, those that never came last.
fn distribution(times: Vec<Option<f64>>) -> String {
    let mut times: Vec<f64> = times
        .into_iter()
        .map(|time| time.unwrap_or(f64::INFINITY))
        .collect();
    times.sort_unstable_by(f64::total_cmp);
    // Nearest rank.
    let at = |percent: usize| times[(times.len() * percent).div_ceil(100).saturating_sub(1)];
    let shown = |time: f64| match time.is_finite() {
        true => ms(time),
        false => "never".to_owned(),
    };
    format!(
        "p50 {}, p99 {}, max {} over {} faults",
        shown(at(50)),
        shown(at(99)),
        shown(at(100)),
        times.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Repeat;

    fn fault(start_s: f64, first_commit_ms: Option<f64>) -> FaultFact {
        FaultFact {
            kind: "kill".to_owned(),
            target: Some(3),
            start_s,
            first_commit_ms,
            recovered_95_ms: Some(0.0),
            ..FaultFact::default()
        }
    }

    fn section(faults: Vec<FaultFact>) -> Option<Section> {
        faults_of(&[faults])
    }

    fn faults_of(repeats: &[Vec<FaultFact>]) -> Option<Section> {
        let repeat = |faults: &Vec<FaultFact>| Repeat {
            faults: faults.clone(),
            ..Repeat::default()
        };
        faults(&Run {
            repeats: repeats.iter().map(repeat).collect(),
            ..Run::default()
        })
    }

    #[test]
    fn what_never_came_is_never_and_not_zero() {
        assert_eq!(section(Vec::new()), None);
        let one = section(vec![fault(5.0, None)]).unwrap_or_default();
        let rows = one.table.unwrap_or_default().rows;
        assert_eq!(
            rows,
            [[
                "kill 3", "5.0 s", "never", "never", "< 100 ms", "0 us", "-", "-"
            ]
            .map(str::to_owned)]
        );
        assert_eq!(one.facts, []);
    }

    #[test]
    fn a_fault_without_an_answer_counts_in_the_distribution() {
        let mut all: Vec<FaultFact> = (1..=30).map(|n| fault(1.0, Some(f64::from(n)))).collect();
        let facts = |faults| section(faults).unwrap_or_default().facts[0].1.clone();
        assert_eq!(
            facts(all.clone()),
            "p50 15.0 ms, p99 30.0 ms, max 30.0 ms over 30 faults"
        );
        all[0].first_commit_ms = None;
        assert_eq!(
            facts(all.clone()),
            "p50 16.0 ms, p99 never, max never over 30 faults"
        );
        let shown = section(all).unwrap_or_default();
        assert_eq!(shown.table.unwrap_or_default().rows.len(), 20);
        assert_eq!(shown.remark, "the first 20 of 30");
    }
}
