//! The hunt: every rule of docs/protocol.md R21 is broken, and its catcher has to notice; the rule
//! as it is has to pass the same catcher. The table that comes of it is docs/mutants.md:
//!
//! `UPDATE=1 cargo test -p hunt mutants -- --nocapture` writes it.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use consensus::FastQuorum;
use consensus::mutation::{Mutation, plant};

use crate::modelling::NOTICED;
use crate::schedules::{self, Verdict};
use crate::selecting;

/// CPU time within which a planted bug has to be found.
const TIME_MAX: Duration = Duration::from_secs(60);

/// What notices.
#[derive(Clone, Copy)]
struct Catcher {
    kind: &'static str,
    name: &'static str,
    run: fn() -> Verdict,
}

/// A planted bug: the rule's row in R21, and who has to find it.
struct Mutant {
    mutation: Mutation,
    row: &'static str,
    catcher: Catcher,
}

/// All histories of two views at n = 4, 5 and 6, f = 1, and the opening of the third.
const HISTORIES: Catcher = Catcher {
    kind: "all histories",
    name: "n = 4, 5, 6 over two views",
    run: || selecting::all_small_histories(2).map(drop),
};

/// Histories of n = 9, f = 2: the smallest at which f and 1 differ below T.
const DRAWN: Catcher = Catcher {
    kind: "drawn histories",
    name: "n = 9, seed 1",
    run: || selecting::drawn_histories((9, 2, FastQuorum::Strong), 1, 60),
};

/// COMPUTE_O against the words of R10.5.
const WORDS: Catcher = Catcher {
    kind: "reference",
    name: "openings, seed 11",
    run: || selecting::openings_follow_the_words(11, 400),
};

macro_rules! schedule {
    ($name:ident) => {
        Catcher {
            kind: "schedule",
            name: stringify!($name),
            run: schedules::$name,
        }
    };
}

const fn mutant(mutation: Mutation, row: &'static str, catcher: Catcher) -> Mutant {
    Mutant {
        mutation,
        row,
        catcher,
    }
}

const MUTANTS: [Mutant; Mutation::ALL.len()] = [
    mutant(Mutation::FastQuorumOneSmaller, "q_F one smaller", HISTORIES),
    mutant(Mutation::SlowQuorumOneSmaller, "q one smaller", HISTORIES),
    mutant(
        Mutation::ViewChangeQuorumOneSmaller,
        "N_vc one smaller",
        HISTORIES,
    ),
    mutant(
        Mutation::IgnoreVotes,
        "PREPARE votes ignored in the view change while the fast path is on",
        HISTORIES,
    ),
    mutant(
        Mutation::BreakTies,
        "equivocators not excluded, the tie broken",
        HISTORIES,
    ),
    mutant(
        Mutation::RefuseTies,
        "equivocators not excluded, the tie refused",
        schedule!(an_equivocating_primary_leaves_a_tie_behind),
    ),
    mutant(
        Mutation::KeepBaseThreshold,
        "excluded, but T_0 kept",
        HISTORIES,
    ),
    mutant(
        Mutation::ThresholdOne,
        "threshold 1 instead of T_e",
        HISTORIES,
    ),
    mutant(Mutation::ThresholdF, "threshold f instead of T_e", DRAWN),
    mutant(
        Mutation::VotesPerExactView,
        "votes counted per exact view",
        HISTORIES,
    ),
    mutant(
        Mutation::ReportLastViewOnly,
        "only votes of the last view reported",
        schedule!(a_decision_outlives_a_view_that_never_opens),
    ),
    mutant(
        Mutation::ReportFirstVote,
        "the first vote reported",
        schedule!(a_replica_votes_differently_in_two_views),
    ),
    mutant(
        Mutation::DropNullVotes,
        "NULL votes dropped",
        schedule!(a_filled_gap_is_a_decision),
    ),
    mutant(
        Mutation::ForgetVotesAtRestart,
        "votes forgotten at a restart",
        schedule!(a_primary_proposes_another_way_after_a_restart),
    ),
    mutant(
        Mutation::ForgetVotesAtViewChange,
        "votes forgotten at a view change",
        schedule!(a_decision_outlives_a_view_that_never_opens),
    ),
    mutant(Mutation::PreferPrepared, "P always preferred", HISTORIES),
    mutant(Mutation::PreferVotes, "votes always preferred", HISTORIES),
    mutant(
        Mutation::PreparedStrictlyNewer,
        "`P.view > W*` instead of ≥",
        HISTORIES,
    ),
    mutant(
        Mutation::DropPrepared,
        "prepared records dropped when q_F > q",
        HISTORIES,
    ),
    mutant(
        Mutation::VoteTwice,
        "two votes per (view, seq)",
        schedule!(a_primary_proposes_two_ways),
    ),
    mutant(
        Mutation::VoteAfterViewChange,
        "a vote in an old view after START_VC",
        schedule!(a_proposal_reaches_a_replica_that_has_left),
    ),
    mutant(
        Mutation::TrustHeaders,
        "the primary's O trusted",
        schedule!(a_new_view_proposes_what_its_reports_do_not_lead_to),
    ),
    mutant(
        Mutation::TrustCheckpointClaim,
        "a claimed checkpoint trusted",
        schedule!(a_report_with_a_made_up_checkpoint),
    ),
    mutant(
        Mutation::SmallestCheckpoint,
        "a smaller checkpoint than the maximum in S taken",
        WORDS,
    ),
    mutant(
        Mutation::LeaveGaps,
        "gaps below max_s left unassigned",
        schedule!(a_primary_leaves_a_gap_behind),
    ),
    mutant(
        Mutation::UnsignedVoteReport,
        "a reported vote accepted without the primary's signature",
        schedule!(a_report_of_a_vote_that_nobody_proposed),
    ),
    mutant(
        Mutation::ProposeAfterRestart,
        "a restarted primary proposes again in its view",
        schedule!(a_primary_forgets_what_it_proposed),
    ),
    mutant(
        Mutation::WeakWrites,
        "f + 1 replies complete a write beside reads of n − f",
        schedule!(a_read_of_those_who_lag_behind_a_write),
    ),
    mutant(
        Mutation::MatchReadsByValue,
        "reads match by their results alone",
        schedule!(a_read_of_a_key_that_has_come_and_gone),
    ),
    mutant(
        Mutation::ReadQuorumOneSmaller,
        "a read quorum of n − f − 1",
        schedule!(a_read_of_too_few),
    ),
    mutant(
        Mutation::ReadsAtOnceAfterRestart,
        "a restarted replica answers reads at once",
        schedule!(a_read_of_one_who_was_restarted),
    ),
];

/// One line of the table without its time, and the time.
struct Caught {
    line: String,
    time: Duration,
}

fn hunt(mutant: &Mutant) -> Result<Caught, String> {
    let Catcher { kind, name, run } = mutant.catcher;
    let _planted = plant(Some(mutant.mutation));
    let begun = Instant::now();
    let Err(noticed) = run() else {
        return Err(format!(
            "{:?} is not caught by {kind} {name}",
            mutant.mutation
        ));
    };
    let time = begun.elapsed();
    if time > TIME_MAX {
        return Err(format!("{:?} takes {time:?}", mutant.mutation));
    }
    let mutation = mutant.mutation;
    Ok(Caught {
        line: format!(
            "| {} | `{mutation:?}` | {kind}: {name} | {} |",
            mutant.row,
            summary(&noticed)
        ),
        time,
    })
}

/// The first thing that was noticed, without the details that follow and without digests, which
/// change with every encoding.
fn summary(noticed: &str) -> String {
    let first = ["; ", ": [", ": History", ": local corruption"]
        .iter()
        .fold(noticed, |text, end| text.split(end).next().unwrap_or(text));
    let is_digest = |word: &str| {
        let hex = word.trim_end_matches(['…', ',']);
        hex.len() >= 8 && hex.chars().all(|sign| sign.is_ascii_hexdigit())
    };
    let words: Vec<&str> = first
        .split_whitespace()
        .map(|word| if is_digest(word) { "…" } else { word })
        .collect();
    words.join(" ").replace('|', "/")
}

fn page() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/mutants.md")
}

const HEAD: &str = "# Planted bugs

Each row of docs/protocol.md R21, broken on purpose, and what noticed it. The table is made by `hunt/tests/hunt/mutants.rs`
(`UPDATE=1 cargo test -p hunt mutants`), which fails when a planted bug is not noticed, or when a catcher objects to the rule as it is. Times are
those of one run of the dev profile on a small machine.

| what R21 forbids | mutant | catcher | what it noticed first | ms |
|---|---|---|---|---|
";

/// The page without its last column.
fn without_times(page: &str) -> Vec<&str> {
    page.lines()
        .map(|line| match line.strip_suffix(" |") {
            Some(row) if line.starts_with('|') => row.rsplit_once("| ").map_or(row, |(row, _)| row),
            _ => line,
        })
        .collect()
}

#[test]
fn mutants_are_all_caught_and_the_rules_as_they_are_pass() {
    for kept in [HISTORIES, DRAWN, WORDS] {
        (kept.run)().unwrap();
    }
    for mutant in MUTANTS {
        if mutant.catcher.kind == "schedule" {
            let verdict = (mutant.catcher.run)();
            assert_eq!(verdict, Ok(()), "{}", mutant.catcher.name);
        }
    }
    let mut text = HEAD.to_owned();
    let mut missed = Vec::new();
    for mutant in MUTANTS {
        match hunt(&mutant) {
            Ok(caught) => {
                let millis = caught.time.as_secs_f64() * 1e3;
                writeln!(text, "{} {millis:.0} |", caught.line).unwrap();
            }
            Err(why) => missed.push(why),
        }
    }
    let modelled = NOTICED.map(|(mutation, _, _)| format!("`{mutation:?}`"));
    writeln!(
        text,
        "\nThe model of whole replicas (`modelling`) notices these as well: {}.",
        modelled.join(", ")
    )
    .unwrap();
    println!("{text}");
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(page(), &text).unwrap();
    }
    let committed = std::fs::read_to_string(page()).unwrap();
    assert_eq!(
        without_times(&committed),
        without_times(&text),
        "docs/mutants.md is out of date: UPDATE=1 cargo test -p hunt mutants"
    );
}

#[test]
fn every_rule_that_can_be_broken_is_hunted_once() {
    let hunted: Vec<Mutation> = MUTANTS.iter().map(|mutant| mutant.mutation).collect();
    assert_eq!(hunted, Mutation::ALL);
}
