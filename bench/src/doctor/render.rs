//! A diagnosis for a terminal or a pipe.

use super::finding::{Diagnosis, State};
use super::noise::Noise;
use crate::report::{Paint, Section, Table, Tone, columns_text, page_text, units};

/// The table of findings, the noise floor, and what to change.
#[must_use]
pub fn diagnosis_text(diagnosis: &Diagnosis, paint: Paint) -> String {
    let word = |state| match state {
        State::Ok => "ok",
        State::Warn => "WARN",
        State::Unknown => "unknown",
    };
    let table = Table {
        header: vec!["looked at", "", "found"],
        rows: diagnosis
            .findings
            .iter()
            .map(|finding| {
                vec![
                    finding.title.to_owned(),
                    word(finding.state).to_owned(),
                    finding.text.clone(),
                ]
            })
            .collect(),
    };
    let remedies: Vec<String> = diagnosis
        .findings
        .iter()
        .filter_map(|finding| Some(format!("{}: {}", finding.title, finding.remedy.as_ref()?)))
        .collect();
    let mut text = columns_text(&table, &[], paint);
    let opening = match remedies.len() {
        0 => "Nothing here makes figures doubtful.".to_owned(),
        count => format!(
            "{} may make figures doubtful.",
            units::counted(count as u64, "thing")
        ),
    };
    let mut sections = Vec::new();
    sections.extend(Section::list("Remedies", Tone::Doubtful, remedies));
    sections.push(match &diagnosis.noise_floor {
        Some(noise) => floors(noise),
        None => Section {
            heading: "Noise floor",
            remark: "not measured on this machine: bench doctor --aa takes about two minutes"
                .to_owned(),
            ..Section::default()
        },
    });
    text.push('\n');
    text.push_str(&page_text(&opening, &sections, paint));
    text
}

fn floors(noise: &Noise) -> Section {
    let number = |name: &str, value: f64| {
        if name.ends_with("_us") || name == "cpu_us_per_op" {
            units::time(value)
        } else if name.contains("bytes") {
            units::bytes(value)
        } else if name.ends_with("_ops_s") {
            units::rate(value)
        } else {
            units::number(value)
        }
    };
    Section {
        heading: "Noise floor",
        remark: format!(
            "change between medians of {} runs of one thing that 95 of 100 comparisons stay below",
            noise.pairs
        ),
        table: Some(Table {
            header: vec!["metric", "median", "least", "most", "noise floor"],
            rows: noise
                .metrics
                .iter()
                .map(|one| {
                    vec![
                        one.name.clone(),
                        number(&one.name, one.median),
                        number(&one.name, one.min),
                        number(&one.name, one.max),
                        units::share(one.floor),
                    ]
                })
                .collect(),
        }),
        ..Section::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::{DOCTOR_SCHEMA, Finding};
    use super::*;
    use crate::record::Environment;

    #[test]
    fn a_warning_stands_with_its_remedy() {
        let finding = |state: bool| {
            Finding::ok("open_files", "open files", 10.0, "10").warn_if(state, "ulimit -n 1024")
        };
        let diagnosis = |warn| Diagnosis {
            schema: DOCTOR_SCHEMA,
            environment: Environment::default(),
            findings: vec![finding(warn)],
            noise_floor: None,
        };
        let text = diagnosis_text(&diagnosis(true), Paint::PLAIN);
        assert!(text.contains("WARN") && text.contains("- open files: ulimit -n 1024"));
        assert!(text.contains("1 thing may make"), "{text}");
        let text = diagnosis_text(&diagnosis(false), Paint::PLAIN);
        assert!(text.contains("Nothing here makes figures doubtful."));
        assert!(text.contains("bench doctor --aa"));
    }
}
