#![allow(clippy::unwrap_used)]
use super::*;

#[test]
fn columns_keep_gaps_and_say_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.csv");
    let missing = Columns::read(&path).unwrap_err();
    assert!(missing.ends_with("/x.csv is not there."), "{missing}");
    std::fs::write(&path, "t_s,replica,lag,empty\n").unwrap();
    assert!(Columns::read(&path).unwrap_err().ends_with("has no lines."));
    std::fs::write(
        &path,
        "t_s,replica,lag,empty\n0.2,0,5,\n0.2,1,,\n0.4,1,7,\n",
    )
    .unwrap();
    let columns = Columns::read(&path).unwrap();
    assert_eq!(
        columns.numbers("lag").unwrap(),
        [Some(5.0), None, Some(7.0)]
    );
    assert!(
        columns
            .numbers("empty")
            .unwrap_err()
            .contains("the column `empty`")
    );
    assert!(
        columns
            .numbers("none")
            .unwrap_err()
            .contains("no column `none`")
    );
    let groups = columns.grouped("replica", "t_s", "lag").unwrap();
    assert_eq!(groups[&1], [(0.2, None), (0.4, Some(7.0))]);
}

#[test]
fn a_percentile_is_known_only_if_an_operation_was_that_slow() {
    let step = |share, ms, count| Percentile { share, ms, count };
    let steps = [
        step(0.0, 1.0, 1),
        step(0.5, 2.0, 50),
        step(0.99, 8.0, 99),
        step(1.0, 9.0, 100),
    ];
    assert_eq!(percentile_at(&steps, 0.0), Some(1.0));
    assert_eq!(percentile_at(&steps, 0.5), Some(2.0));
    assert_eq!(percentile_at(&steps, 0.9), Some(8.0));
    assert_eq!(percentile_at(&steps, 0.99), Some(8.0));
    assert_eq!(
        percentile_at(&steps, 0.999),
        None,
        "one in a thousand of a hundred"
    );
    assert_eq!(percentile_at(&[], 0.5), None);
}

#[test]
fn the_repeat_that_went_wrong_is_shown_or_else_the_one_in_the_middle() {
    let repeat = |throughput_ops_s| Repeat {
        throughput_ops_s,
        ..Repeat::default()
    };
    let mut run = Run {
        repeats: vec![repeat(9.0), repeat(1.0), repeat(5.0)],
        ..Run::default()
    };
    let shown = |run: &Run| {
        RunFiles::of(run, Path::new("nowhere"))
            .unwrap()
            .shown()
            .map(|repeat| repeat.number())
    };
    assert_eq!(shown(&run), Some(3));
    run.repeats[1].checks.liveness.verdict = crate::check::Verdict::Fail;
    assert_eq!(shown(&run), Some(2));
    run.repeats[0].checks.agreement.verdict = crate::check::Verdict::Fail;
    assert_eq!(shown(&run), Some(1));
    run.repeats.clear();
    assert_eq!(shown(&run), None);
}
