//! The list of runs for a terminal or a pipe.

use super::list::{Listing, RunLine};
use crate::record::RunVerdict;
use crate::report::{Paint, Table, columns_text, units};

/// Characters of a commit that tell it from the others.
const COMMIT_COLUMNS: usize = 10;

/// One row for each run, and what to type to see more of one.
#[must_use]
pub fn listing_text(listing: &Listing, paint: Paint) -> String {
    if listing.runs.is_empty() {
        return format!("no runs in {}: `bench run` leaves one\n", listing.directory);
    }
    let table = Table {
        header: vec![
            "run",
            "name",
            "when (UTC)",
            "status",
            "verdict",
            "ok",
            "p99",
            "commit",
        ],
        rows: listing.runs.iter().map(row).collect(),
    };
    // Figures at the right, words at the left.
    let mut text = columns_text(&table, &[5, 6], paint);
    for line in &listing.runs {
        if let Some(why) = &line.unreadable {
            text.push_str(&format!("{why}\n"));
        }
    }
    let older = listing.count - listing.runs.len();
    if older > 0 {
        text.push_str(&format!(
            "{} older; --limit {} shows all\n",
            units::counted(older as u64, "run"),
            listing.count
        ));
    }
    text
}

fn row(line: &RunLine) -> Vec<String> {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let verdict = line.verdict.map(|verdict| {
        match verdict {
            RunVerdict::Pass => "pass",
            RunVerdict::SloMissed => "SLO missed",
            RunVerdict::LivenessViolation => "LIVENESS",
            RunVerdict::SafetyViolation => "SAFETY",
        }
        .to_owned()
    });
    let commit = line.commit.as_ref().map(|commit| {
        let short: String = commit.chars().take(COMMIT_COLUMNS).collect();
        match line.dirty {
            Some(true) => short + "+",
            _ => short,
        }
    });
    vec![
        or_none(line.at.clone()),
        match line.kind {
            "" | "run" => line.name.clone(),
            kind => format!("{} ({kind})", line.name),
        },
        line.when.clone(),
        line.status.word().to_owned(),
        or_none(verdict),
        or_none(line.throughput_ops_s.map(units::rate)),
        or_none(line.p99_us.map(units::time)),
        or_none(commit),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::State;

    #[test]
    fn a_row_says_what_is_known_and_a_dash_for_the_rest() {
        let line = RunLine {
            at: Some("@1".to_owned()),
            name: "quickstart".to_owned(),
            when: "20260101T000000Z".to_owned(),
            verdict: Some(RunVerdict::Pass),
            throughput_ops_s: Some(5_123.0),
            commit: Some("a3895f05a3895f05".to_owned()),
            dirty: Some(true),
            ..RunLine::default()
        };
        let cut = RunLine {
            name: "overload".to_owned(),
            kind: "search",
            status: State::Incomplete,
            ..RunLine::default()
        };
        let listing = Listing {
            schema: super::super::LIST_SCHEMA,
            directory: "results".to_owned(),
            count: 5,
            runs: vec![line, cut],
        };
        let text = listing_text(&listing, Paint::PLAIN);
        let rows: Vec<Vec<&str>> = text
            .lines()
            .skip(2)
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            rows[0],
            [
                "@1",
                "quickstart",
                "20260101T000000Z",
                "completed",
                "pass",
                "5,123/s",
                "-",
                "a3895f05a3+"
            ]
        );
        assert_eq!(
            rows[1],
            [
                "-",
                "overload",
                "(search)",
                "incomplete",
                "-",
                "-",
                "-",
                "-"
            ]
        );
        assert!(
            text.ends_with("3 runs older; --limit 5 shows all\n"),
            "{text}"
        );
    }
}
