#![allow(clippy::unwrap_used)]

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::Verdict;
use super::*;

/// One line: `op value call ret`, where op ends in `!` for failed and `?` for unknown, and value is `old>new` for a cas, `-` for absent.
fn line(text: &str) -> HistoryLine {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let (name, status) = match fields[0].strip_suffix('!') {
        Some(name) => (name, LineStatus::Fail),
        None => fields[0]
            .strip_suffix('?')
            .map_or((fields[0], LineStatus::Ok), |name| {
                (name, LineStatus::Unknown)
            }),
    };
    let op: OperationKind = serde_json::from_value(name.into()).unwrap();
    let (expect, value) = fields[1]
        .split_once('>')
        .map_or((None, fields[1]), |(old, new)| (Some(old.to_owned()), new));
    let value = (value != "-").then(|| value.to_owned());
    let is_read = op == OperationKind::Read;
    HistoryLine {
        client: 0,
        op,
        key: "k".into(),
        expect,
        value: value.clone().filter(|_| !is_read),
        limit: None,
        result: (is_read && status == LineStatus::Ok).then_some(HistoryResult::Value(value)),
        call: fields[2].parse().unwrap(),
        ret: (status != LineStatus::Unknown).then(|| fields[3].parse().unwrap()),
        status,
        seq: None,
        phase: None,
    }
}

fn verdict(history: &str) -> Verdict {
    let lines: Vec<_> = history.split(';').map(line).collect();
    check_linearizable(&lines).result().verdict
}

#[test]
fn histories_that_one_copy_could_produce_pass() {
    for history in [
        "create a 0 1; read a 2 3; update b 4 5; read b 6 7; delete - 8 9; read - 10 11",
        "create a 0 9; read - 1 2; read a 3 4; create! b 5 6",
        "put a 0 1; put b 2 9; read a 3 4; read b 5 6; read b 7 8",
        "create a 0 1; cas a>b 2 9; cas! a>c 3 8; read b 4 5",
        "update! a 0 1; delete! - 2 3; create b 4 5; delete - 6 7; create c 8 9",
        "create a 0 1; put? b 2; read a 3 4; read b 5 6; read b 7 8",
        "create a 0 1; put? b 2; read a 3 4; read a 50 60",
        "create a 0 1; delete? - 2; read a 3 4; create b 5 6",
        "create? a 0; create! b 1 2; cas? a>c 3; update d 4 5; read d 6 7",
    ] {
        assert_eq!(verdict(history), Verdict::Pass, "{history}");
    }
}

#[test]
fn planted_violations_are_caught() {
    for history in [
        // A stale read, a lost update, a value from nowhere, and one from the future.
        "create a 0 1; update b 2 3; read a 4 5",
        "create a 0 1; put b 2 3; put c 4 5; read b 6 7",
        "create a 0 1; read x 2 3",
        "read a 0 1; create a 2 3",
        // Reads of two values in an order that goes back.
        "create a 0 1; put b 2 9; read b 3 4; read a 5 6",
        // Two cas from one value, and a cas that failed though its value was there.
        "create a 0 1; cas a>b 2 9; cas a>c 2 9",
        "create a 0 1; cas! a>b 2 3",
        // Existence: a second create, a failed create of an absent key, an update of an absent one.
        "create a 0 1; create b 2 3",
        "create! a 0 1",
        "update a 0 1",
        "create a 0 1; delete - 2 3; delete - 4 5",
        // An unknown write must not be seen, unseen and seen again.
        "create a 0 1; put? b 2; read b 3 4; read a 5 6",
        "create a 0 1; read b 2 3; put? b 4",
        "put! a 0 1",
    ] {
        assert_eq!(verdict(history), Verdict::Fail, "{history}");
    }
}

#[test]
fn a_violation_names_key_operation_and_value() {
    let lines: Vec<_> = "create a 0 1; update b 2 3; read a 4 5"
        .split(';')
        .map(line)
        .collect();
    assert_eq!(
        check_linearizable(&lines).result().detail,
        "key k: no order explains client 0's update of b (ok, 2 to 3 ns): the best one places 1 of 3 operations \
         and leaves the key holding a, which client 0's read of a (ok, 4 to 5 ns) saw; whatever the others did that were called by \
         5 ns, no order explains client 0's update of b (ok, 2 to 3 ns) + client 0's read of a (ok, 4 to 5 ns)"
    );
}

#[test]
fn scans_are_left_out_and_said_to_be() {
    let scan = HistoryLine {
        op: OperationKind::Scan,
        ..line("read - 0 1")
    };
    let result = check_linearizable(&[line("create a 0 1"), scan.clone()]).result();
    assert_eq!(
        (result.verdict, result.detail.as_str()),
        (
            Verdict::Pass,
            "1 operations on 1 keys, each key linearizable; 1 scans not checked"
        )
    );
    assert_eq!(
        check_linearizable(&[scan]).result().verdict,
        Verdict::Skipped
    );
}

/// A random execution: operations at random points of a sequential key, seen through random intervals, some damaged afterwards.
fn random_history(random: &mut ChaCha8Rng, operations: usize, damage: bool) -> Vec<HistoryLine> {
    let mut state: Option<String> = None;
    let mut lines: Vec<HistoryLine> = (0..operations)
        .map(|index| {
            let point = index as u64 * 10 + 100;
            let (call, ret) = (
                point - random.random_range(0..40),
                point + random.random_range(0..40),
            );
            let value = format!("v{index}");
            let present = state.clone().unwrap_or("-".into());
            let is_present = state.is_some();
            let text = match random.random_range(0..6) {
                0 => format!("{} {value}", if is_present { "create!" } else { "create" }),
                1 => format!("{} {value}", if is_present { "update" } else { "update!" }),
                2 => format!("put {value}"),
                3 if random.random_bool(0.5) => {
                    format!("{} -", if is_present { "delete" } else { "delete!" })
                }
                4 if is_present && random.random_bool(0.6) => format!("cas {present}>{value}"),
                4 => format!("cas! v{}>{value}", operations + index),
                _ => format!("read {present}"),
            };
            let mut line = line(&format!("{text} {call} {ret}"));
            if line.status == LineStatus::Ok {
                match line.op {
                    OperationKind::Delete => state = None,
                    OperationKind::Read => {}
                    _ => state = Some(value),
                }
            }
            if random.random_bool(0.15) {
                (line.status, line.ret, line.result) = (LineStatus::Unknown, None, None);
            }
            line
        })
        .collect();
    if damage {
        let victim = random.random_range(0..lines.len());
        match random.random_range(0..3) {
            0 if lines[victim].op == OperationKind::Read
                && lines[victim].status == LineStatus::Ok =>
            {
                let value = format!("v{}", random.random_range(0..operations));
                lines[victim].result = Some(HistoryResult::Value(Some(value)));
            }
            1 => {
                lines.remove(victim);
            }
            _ => {
                let line = &mut lines[victim];
                line.call += 35;
                line.ret = line.ret.map(|ret| ret + 35);
            }
        }
    }
    lines
}

/// Every order of every subset that contains the finished operations.
fn brute_force(lines: &[HistoryLine]) -> bool {
    let mut values = Values::default();
    let actions: Vec<_> = lines
        .iter()
        .map(|line| action_of(line, &mut values).unwrap())
        .collect();
    fn place(
        lines: &[HistoryLine],
        actions: &[Option<super::super::register::Action>],
        done: u32,
        state: u32,
    ) -> bool {
        let open = |index: &usize| done & (1 << index) == 0;
        let must = |index: &usize| lines[*index].status != LineStatus::Unknown;
        if (0..lines.len()).filter(open).filter(must).count() == 0 {
            return true;
        }
        let horizon = (0..lines.len())
            .filter(open)
            .filter(must)
            .filter_map(|index| lines[index].ret)
            .min()
            .unwrap();
        (0..lines.len()).filter(open).any(|index| {
            let Some(action) = actions[index] else {
                return false;
            };
            lines[index].call <= horizon
                && action.holds(state)
                && place(lines, actions, done | (1 << index), action.after(state))
        })
    }
    place(lines, &actions, 0, ABSENT)
}

#[test]
fn the_search_agrees_with_brute_force_on_small_random_histories() {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let (mut passed, mut failed) = (0, 0);
    for round in 0..20_000 {
        let operations = random.random_range(2..9);
        let lines = random_history(&mut random, operations, round % 3 != 0);
        let expected = brute_force(&lines);
        let report = check_linearizable(&lines);
        assert_eq!(
            report.violations.is_empty(),
            expected,
            "round {round}: {report:?}\n{lines:#?}"
        );
        assert!(
            round % 3 != 0 || expected,
            "an undamaged history is linearizable: {lines:#?}"
        );
        if expected { passed += 1 } else { failed += 1 }
    }
    assert!(
        passed > 1500 && failed > 1500,
        "both verdicts are exercised: {passed} passed, {failed} failed"
    );
}

/// `width` operations overlap; the replies' sequence numbers tell every sixteenth operation apart, as batches do.
fn wide_history(operations: u64, width: u64, deletes: bool) -> Vec<HistoryLine> {
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let mut state = "v".to_owned();
    let mut lines = vec![line("create v 0 1")];
    for index in 0..operations {
        let point = 10_000 + index * 10;
        let (call, ret) = (
            point - random.random_range(0..width * 5),
            point + random.random_range(0..width * 5),
        );
        let text = if deletes && state != "-" && random.random_bool(0.02) {
            state = "-".into();
            "delete -".to_owned()
        } else if random.random_bool(0.5) {
            format!("read {state}")
        } else {
            state = format!("v{index}");
            format!("put {state}")
        };
        lines.push(HistoryLine {
            seq: Some(index / 16),
            ..line(&format!("{text} {call} {ret}"))
        });
    }
    lines
}

#[test]
fn a_hundred_thousand_operations_on_one_hot_key_are_decided() {
    for (width, deletes) in [
        (8, false),
        (100, false),
        (1000, false),
        (8, true),
        (32, true),
    ] {
        let result = check_linearizable(&wide_history(
            if width > 500 { 20_000 } else { 100_000 },
            width,
            deletes,
        ))
        .result();
        assert_eq!(
            result.verdict,
            Verdict::Pass,
            "width {width}, deletes {deletes}: {}",
            result.detail
        );
    }
}

#[test]
fn one_stale_read_among_many_operations_is_found() {
    let mut lines = wide_history(20_000, 20, false);
    let late = lines
        .iter()
        .rposition(|line| line.op == OperationKind::Read)
        .unwrap();
    let early = lines
        .iter()
        .find(|line| line.op == OperationKind::Put)
        .and_then(|line| line.value.clone());
    lines[late].result = Some(HistoryResult::Value(early));
    assert_eq!(check_linearizable(&lines).result().verdict, Verdict::Fail);
}

/// A map of one key as stateright's tester knows sequential objects.
#[derive(Clone)]
struct Cell(Option<String>);

/// What the tester's object answers.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Done,
    ConditionFalse,
    Found(Option<String>),
}

impl stateright::semantics::SequentialSpec for Cell {
    type Op = HistoryLine;
    type Ret = Answer;

    fn invoke(&mut self, line: &HistoryLine) -> Answer {
        let present = self.0.is_some();
        let holds = match line.op {
            OperationKind::Read => return Answer::Found(self.0.clone()),
            OperationKind::Put => true,
            OperationKind::Create => !present,
            OperationKind::Cas => self.0 == line.expect,
            _ => present,
        };
        if !holds {
            return Answer::ConditionFalse;
        }
        self.0 = line.value.clone();
        Answer::Done
    }
}

/// The same history for stateright's tester: every operation by a thread of its own, calls before returns at one time.
fn stateright_says(lines: &[HistoryLine]) -> bool {
    use stateright::semantics::{ConsistencyTester as _, LinearizabilityTester};
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for (thread, line) in lines.iter().enumerate() {
        events.push((line.call, false, thread));
        events.extend(line.ret.map(|ret| (ret, true, thread)));
    }
    events.sort_unstable();
    let mut tester = LinearizabilityTester::new(Cell(None));
    for (_, returned, thread) in events {
        let line = &lines[thread];
        if !returned {
            tester.on_invoke(thread, line.clone()).unwrap();
            continue;
        }
        let answer = match (&line.status, &line.result) {
            (LineStatus::Fail, _) => Answer::ConditionFalse,
            (_, Some(HistoryResult::Value(value))) => Answer::Found(value.clone()),
            _ => Answer::Done,
        };
        tester.on_return(thread, answer).unwrap();
    }
    tester.is_consistent()
}

#[test]
fn the_search_agrees_with_stateright_on_small_random_histories() {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let (mut passed, mut failed) = (0, 0);
    for round in 0..6_000 {
        let operations = random.random_range(2..7);
        let lines = random_history(&mut random, operations, round % 3 != 0);
        let expected = stateright_says(&lines);
        let report = check_linearizable(&lines);
        assert_eq!(
            report.violations.is_empty(),
            expected,
            "round {round}: {report:?}\n{lines:#?}"
        );
        if expected { passed += 1 } else { failed += 1 }
    }
    assert!(passed > 500 && failed > 300, "{passed}, {failed}");
}

#[test]
fn a_counterexample_cannot_be_explained_and_none_of_it_can_be_spared() {
    let mut random = ChaCha8Rng::seed_from_u64(13);
    let (mut found, mut shorter) = (0, 0);
    for _ in 0..3_000 {
        let operations = random.random_range(3..9);
        let lines = random_history(&mut random, operations, true);
        let report = check_linearizable(&lines);
        if report.counterexample.is_empty() {
            continue;
        }
        found += 1;
        shorter += usize::from(report.counterexample.len() < lines.len());
        // The others may have happened at any time, or never.
        let relaxed = |line: &HistoryLine| {
            let forgotten = !report.counterexample.contains(line);
            let wrote = line.status != LineStatus::Fail && line.op != OperationKind::Read;
            match (forgotten, wrote) {
                _ if line.call > report.counterexample_until => None,
                (false, _) => Some(line.clone()),
                (true, false) => None,
                (true, true) => Some(HistoryLine {
                    call: 0,
                    ret: None,
                    status: LineStatus::Unknown,
                    ..line.clone()
                }),
            }
        };
        let rest: Vec<HistoryLine> = lines.iter().filter_map(relaxed).collect();
        assert!(!brute_force(&rest), "{lines:#?}\n{report:#?}");
        // Without any one of those that only say what they saw, the rest can be explained.
        for spared in &report.counterexample {
            let saw = spared.op == OperationKind::Read || spared.status == LineStatus::Fail;
            let without: Vec<HistoryLine> = rest
                .iter()
                .filter(|line| *line != spared)
                .cloned()
                .collect();
            assert!(!saw || brute_force(&without), "{lines:#?}\n{report:#?}");
        }
    }
    assert!(found > 300 && shorter * 2 > found, "{found}, {shorter}");
}

#[test]
fn a_stale_read_among_thousands_of_operations_is_shown_by_a_few() {
    let mut lines = wide_history(5_000, 20, false);
    let late = lines
        .iter()
        .rposition(|line| line.op == OperationKind::Read)
        .unwrap();
    let early = lines
        .iter()
        .find(|line| line.op == OperationKind::Put)
        .and_then(|line| line.value.clone());
    lines[late].result = Some(HistoryResult::Value(early));
    let report = check_linearizable(&lines);
    assert!(
        (2..=6).contains(&report.counterexample.len()),
        "{:#?}",
        report.counterexample
    );
    assert!(report.counterexample.contains(&lines[late]));
}

#[test]
fn a_thousand_writes_of_unknown_outcome_on_one_key_are_decided() {
    let mut lines = wide_history(20_000, 8, true);
    let mut unknown = 0;
    for line in lines.iter_mut().skip(1).step_by(7) {
        // A delete or a put that nobody here knows of.
        if line.op != OperationKind::Read {
            (line.status, line.ret) = (LineStatus::Unknown, None);
            unknown += 1;
        }
    }
    assert!(unknown > 1_000);
    assert_eq!(check_linearizable(&lines).result().verdict, Verdict::Pass);
}

/// `cargo test --release -p bench --lib -- million --nocapture` says how long it takes.
#[test]
fn a_million_operations_are_decided() {
    let mut lines = Vec::new();
    for (key, operations, width) in (0..100)
        .map(|key| (key, 8_000, 8))
        .chain([(100, 100_000, 64), (101, 100_000, 8)])
    {
        let of_key = wide_history(operations, width, key % 2 == 0 && width < 64);
        lines.extend(of_key.into_iter().map(|line| HistoryLine {
            key: format!("k{key}"),
            ..line
        }));
    }
    // One in a hundred writes has no answer.
    for line in lines.iter_mut().skip(7).step_by(50) {
        if line.op == OperationKind::Put {
            (line.status, line.ret) = (LineStatus::Unknown, None);
        }
    }
    let started = std::time::Instant::now();
    let result = check_linearizable(&lines).result();
    eprintln!("{} operations in {:?}", lines.len(), started.elapsed());
    assert!(lines.len() >= 1_000_000);
    assert_eq!(result.verdict, Verdict::Pass, "{}", result.detail);
}
