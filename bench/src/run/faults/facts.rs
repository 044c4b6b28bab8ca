//! What each fault cost: how long nobody was answered, when the throughput was back, when the replica had caught up.

use std::time::Duration;

use super::clients;
use super::timeline::Injected;
use crate::record::{BUCKET, FaultFact, Recording};

/// Before a fault this long is what the throughput after it is compared with ...
const BEFORE_MAX: Duration = Duration::from_secs(2);
/// ... and less than this is too little to compare with.
const BEFORE_MIN: Duration = Duration::from_millis(500);
/// The throughput after it is taken over windows of this length, one beginning in every bucket.
const WINDOW: Duration = Duration::from_millis(500);
/// Share of the throughput before that counts as recovered.
const RECOVERED: f64 = 0.95;

/// What was seen of the replicas at one look.
#[derive(Clone, Debug, Default)]
pub(in crate::run) struct Progressed {
    /// By replica; `None` if it did not answer.
    pub(in crate::run) replicas: Vec<Option<Standing>>,
}

/// How one replica stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::run) struct Standing {
    /// When it said so, into the measured phase.
    pub(in crate::run) at: Duration,
    /// The sequence number executed last.
    pub(in crate::run) executed: u64,
    /// Whether it votes.
    pub(in crate::run) member: bool,
}

/// What was seen while the faults happened.
pub(in crate::run) struct Seen<'s> {
    /// By the clients.
    pub(in crate::run) recording: &'s Recording,
    /// Of the replicas, in the order of time.
    pub(in crate::run) progress: &'s [Progressed],
    /// Length of the measured phase.
    pub(in crate::run) measured: Duration,
}

/// The facts of run.json, one for each replica that was hit.
pub(in crate::run) fn facts(injected: &[Injected], seen: &Seen<'_>) -> Vec<FaultFact> {
    let answered = seen.recording.answered_by_bucket();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    injected
        .iter()
        .map(|one| {
            let silence_until = injected
                .iter()
                .map(|other| other.start)
                .filter(|start| *start > one.start)
                .min();
            let until = silence_until.unwrap_or(seen.measured);
            let after = seen.recording.first_answer_after(one.mark);
            let back = one.target.zip(one.end);
            let since_back = |at: fn(&[Progressed], usize, Duration) -> Option<Duration>| {
                let (id, end) = back?;
                Some(ms(at(seen.progress, id, end)?.saturating_sub(end)))
            };
            let (caught_up_ms, voting_ms) = (since_back(caught_up_at), since_back(voting_at));
            let disturbed_until = match (one.end, caught_up_ms, voting_ms) {
                (Some(end), Some(caught_up), Some(voting)) => {
                    end + Duration::from_secs_f64(caught_up.max(voting) / 1e3)
                }
                _ => until,
            };
            FaultFact {
                kind: one.kind.to_owned(),
                target: one.target.and_then(|id| u32::try_from(id).ok()),
                what: one.what.clone(),
                wipe: one.wiped,
                behavior: one.behavior.map(str::to_owned),
                acted: one.acted,
                attack: one.attack.map(str::to_owned),
                stopped: one.stopped.clone(),
                refused: one.refused.clone(),
                learner: one.learner,
                start_s: one.start.as_secs_f64(),
                end_s: one.end.map(|end| end.as_secs_f64()),
                first_commit_ms: after.map(ms),
                recovered_95_ms: recovered(&answered, one.start, seen.measured).map(ms),
                longest_stall_ms: ms(seen.recording.longest_stall(one.start, until)),
                throughput_kept: kept(&answered, one.start, disturbed_until.min(until)),
                caught_up_ms,
                voting_ms,
                clients: one.attacked.as_ref().map(|attacked| {
                    let end = one.end.unwrap_or(seen.measured).min(seen.measured);
                    clients::fact(attacked, seen.recording, one.start, end)
                }),
                outsider: one.outsider.clone(),
                failed: one.failed.clone(),
            }
        })
        .collect()
}

/// From a fault to the beginning of the first window whose throughput is at least 95 % of that before the fault; 0 if the
/// window around the fault itself is such a one.
fn recovered(answered: &[u64], start: Duration, measured: Duration) -> Option<Duration> {
    let buckets = |time: Duration| usize::try_from(time.as_nanos() / BUCKET.as_nanos());
    let (Ok(struck), Ok(window), Ok(end)) = (buckets(start), buckets(WINDOW), buckets(measured))
    else {
        return None;
    };
    let of = |bucket: usize| answered.get(bucket).copied().unwrap_or_default();
    let before = struck.saturating_sub(buckets(BEFORE_MAX).ok()?)..struck;
    if before.len() < buckets(BEFORE_MIN).ok()? {
        return None;
    }
    let mean = before.clone().map(of).sum::<u64>() as f64 / before.len() as f64;
    let wanted = RECOVERED * mean * window as f64;
    if wanted == 0.0 {
        return None;
    }
    let is_back = |from: &usize| (*from..from + window).map(of).sum::<u64>() as f64 >= wanted;
    let first = (struck..(end + 1).saturating_sub(window)).find(is_back)?;
    let begin = BUCKET * u32::try_from(first).ok()?;
    Some(begin.saturating_sub(start))
}

/// The mean throughput from one time to another, as a share of that before the first.
fn kept(answered: &[u64], start: Duration, until: Duration) -> Option<f64> {
    let bucket = |time: Duration| usize::try_from(time.as_nanos() / BUCKET.as_nanos()).ok();
    let (struck, end) = (bucket(start)?, bucket(until)?);
    let mean = |range: std::ops::Range<usize>| {
        let of = |bucket| answered.get(bucket).copied().unwrap_or_default();
        range.clone().map(of).sum::<u64>() as f64 / range.len() as f64
    };
    let before = struck.saturating_sub(bucket(BEFORE_MAX)?)..struck;
    if before.len() < bucket(BEFORE_MIN)? || end <= struck {
        return None;
    }
    let before = mean(before);
    (before > 0.0).then(|| mean(struck..end) / before)
}

/// When the replica was seen for the first time, after the end of its fault, to have executed what the replica in the
/// middle had executed at the look before: the two looks are 0.2 s apart.
fn caught_up_at(progress: &[Progressed], id: usize, end: Duration) -> Option<Duration> {
    progress.windows(2).find_map(|pair| {
        let [before, now] = pair else { return None };
        let answers = before.replicas.iter().flatten();
        let mut executed: Vec<u64> = answers.map(|one| one.executed).collect();
        executed.sort_unstable();
        let middle = *executed.get(executed.len() / 2)?;
        let own = (*now.replicas.get(id)?)?;
        (own.at >= end && own.executed >= middle).then_some(own.at)
    })
}

/// When the replica was seen to vote for the first time after the end of its fault; at its end, if it was not seen without
/// its vote before that.
fn voting_at(progress: &[Progressed], id: usize, end: Duration) -> Option<Duration> {
    let all = progress.iter().filter_map(|look| *look.replicas.get(id)?);
    let mut seen = all.filter(|standing| standing.at >= end);
    if seen.next()?.member {
        return Some(end);
    }
    seen.find(|standing| standing.member).map(|one| one.at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Seconds of 10 answers a bucket, with what is planted in between.
    fn series(planted: &[(std::ops::Range<usize>, u64)]) -> Vec<u64> {
        let mut series = vec![10; 100];
        for (range, answers) in planted {
            series[range.clone()].fill(*answers);
        }
        series
    }

    #[test]
    fn a_planted_gap_gives_the_time_to_95_percent() {
        let back = |planted: &[_], start| recovered(&series(planted), ms(start), ms(10_000));
        // Nothing for 700 ms: the first window of five good buckets begins at 5.7 s.
        assert_eq!(back(&[(50..57, 0)], 5_020), Some(ms(680)));
        // 9, 9, 10, 10, 10 are 48 of 50.
        let slow = [(50..57, 0), (57..90, 9)];
        assert_eq!(back(&slow, 5_020), Some(ms(3_780)));
        assert_eq!(back(&[], 5_020), Some(ms(0)), "never gone");
        assert_eq!(back(&[(50..100, 9)], 5_020), None, "never back");
        assert_eq!(back(&[(50..96, 0)], 5_020), None, "back for too short");
        assert_eq!(back(&[(50..95, 0)], 5_000), Some(ms(4_500)));
        assert_eq!(back(&[], 400), None, "nothing to compare with");
        assert_eq!(back(&[(0..50, 0)], 5_000), None, "nothing before");
    }

    #[test]
    fn what_is_kept_is_the_mean_until_the_end_over_the_mean_before() {
        let share = |planted: &[_], start, until| kept(&series(planted), ms(start), ms(until));
        assert_eq!(share(&[], 5_000, 9_000), Some(1.0));
        assert_eq!(share(&[(50..60, 5)], 5_000, 7_000), Some(0.75));
        assert_eq!(share(&[(50..60, 5)], 5_000, 6_000), Some(0.5));
        assert_eq!(share(&[], 400, 6_000), None, "nothing to compare with");
        assert_eq!(share(&[(0..50, 0)], 5_000, 6_000), None, "nothing before");
        assert_eq!(share(&[], 5_000, 5_000), None, "over at once");
    }

    /// What replicas have executed, and whether they vote.
    fn look(at: u64, replicas: [Option<(u64, bool)>; 3]) -> Progressed {
        let standing = |(executed, member)| Standing {
            at: ms(at),
            executed,
            member,
        };
        Progressed {
            replicas: replicas.iter().map(|one| one.map(standing)).collect(),
        }
    }

    #[test]
    fn a_learner_votes_when_it_is_seen_to_and_who_never_lost_its_vote_at_once() {
        let looks = [
            look(0, [Some((1, true)), Some((1, true)), Some((1, true))]),
            look(200, [Some((2, true)), None, Some((2, true))]),
            look(400, [Some((3, true)), Some((1, false)), Some((3, true))]),
            look(600, [Some((4, true)), Some((4, false)), Some((4, true))]),
            look(800, [Some((5, true)), Some((5, true)), Some((5, true))]),
        ];
        assert_eq!(voting_at(&looks, 1, ms(300)), Some(ms(800)));
        assert_eq!(voting_at(&looks, 2, ms(300)), Some(ms(300)));
        assert_eq!(voting_at(&looks[..4], 1, ms(300)), None);
    }

    #[test]
    fn a_replica_has_caught_up_when_it_has_what_the_others_had() {
        let look =
            |at, executed: [Option<u64>; 3]| look(at, executed.map(|one| Some((one?, true))));
        let looks = [
            look(0, [Some(10), Some(10), Some(10)]),
            look(200, [Some(20), Some(20), None]),
            look(400, [Some(30), Some(31), Some(12)]),
            look(600, [Some(40), Some(41), Some(29)]),
            look(800, [Some(50), Some(51), Some(40)]),
        ];
        assert_eq!(caught_up_at(&looks, 2, ms(300)), Some(ms(800)));
        assert_eq!(caught_up_at(&looks[..4], 2, ms(300)), None);
        assert_eq!(caught_up_at(&looks, 1, ms(300)), Some(ms(400)));
    }
}
