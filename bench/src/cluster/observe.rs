//! Watching the replicas from outside: their status pages, polled over the clients' connections.
//! It works alike for a cluster on this machine and for one elsewhere.
//!
//! Each replica is asked on its own, and what it says has the time at which it was heard: one that is down or slow holds up
//! no news of the others. A question without an answer is given up after [`PATIENCE`], and a look never asks a replica
//! that has not answered its last one yet.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use client::Hub;
use consensus::report::Path;
use consensus::{ReplicaId, SeqNo};
use network::{CommittedEntry, Observation};
use replica::observer::status::ReplicaStatus;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// A question that is not answered for this long is given up.
const PATIENCE: Duration = Duration::from_millis(500);
/// As above, when everybody is waited for and the replica did not answer the last time.
const PATIENCE_AGAIN: Duration = Duration::from_millis(150);
/// The last questions of a run are waited for longer: what is not fetched then is judged by nobody.
const LAST_PATIENCE: Duration = Duration::from_secs(5);
/// A look waits for those that usually answer, and not longer than this: a later answer belongs to the next look.
const LOOK_MAX: Duration = Duration::from_millis(100);
/// Observations in a row that one poll asks of a replica to catch up with its committed log.
const PAGES_MAX: usize = 64;

/// What one replica said of itself last.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// By replica; `None` if it has never answered.
    pub replicas: Vec<Option<ReplicaStatus>>,
    /// When each of them was heard this time; `None` if it was not.
    pub answered: Vec<Option<std::time::Instant>>,
}

impl Snapshot {
    /// What was said this time, and when.
    pub fn heard(&self) -> impl Iterator<Item = (std::time::Instant, &ReplicaStatus)> {
        let both = self.replicas.iter().zip(&self.answered);
        both.filter_map(|(status, at)| Some(((*at)?, status.as_ref()?)))
    }
}

/// How a replica is asked: which one, where its committed log goes on, for how long.
type Ask = Arc<
    dyn Fn(ReplicaId, SeqNo, Duration) -> Pin<Box<dyn Future<Output = Option<Observation>> + Send>>
        + Send
        + Sync,
>;

/// What came of a question.
struct Answer {
    index: usize,
    /// Which poll or look asked.
    round: u64,
    /// Where the committed log was to go on.
    from: SeqNo,
    at: Instant,
    observation: Option<Observation>,
}

/// Polls every replica of a cluster.
pub struct Observer {
    ask: Ask,
    last: Snapshot,
    /// Questions that nobody has answered yet.
    asked: JoinSet<Answer>,
    /// How many of them each replica has: two at most, of a look and of a poll.
    pending: Vec<usize>,
    /// When each was heard last.
    heard: Vec<Option<Instant>>,
    /// Who did not answer the last time.
    silent: Vec<bool>,
    round: u64,
    /// Where each committed log goes on; `None`: logs are not collected.
    next: Option<Vec<SeqNo>>,
    /// The committed logs so far, as lines of committed.jsonl.
    logs: Vec<String>,
}

impl Observer {
    /// An observer over the connections of `hub`. With `collect`, committed logs are fetched too:
    /// for clusters whose files are out of reach.
    pub fn new(hub: Arc<Hub>, collect: bool) -> Self {
        let n = hub.cluster().quorums().n();
        let ask: Ask = Arc::new(move |replica, from, patience| {
            let hub = Arc::clone(&hub);
            Box::pin(async move { hub.observe(replica, from, patience).await.ok() })
        });
        Self::asking(ask, n, collect)
    }

    fn asking(ask: Ask, n: usize, collect: bool) -> Self {
        Observer {
            ask,
            last: Snapshot {
                replicas: vec![None; n],
                answered: vec![None; n],
            },
            asked: JoinSet::new(),
            pending: vec![0; n],
            heard: vec![None; n],
            // Nobody has been found silent yet.
            silent: vec![false; n],
            round: 0,
            next: collect.then(|| vec![SeqNo(1); n]),
            logs: vec![String::new(); n],
        }
    }

    /// Asks every replica once, all at the same time, and waits for each: what they say is of now.
    pub async fn poll(&mut self) -> &Snapshot {
        self.ask_all(PATIENCE).await;
        &self.last
    }

    /// As [`Observer::poll`]; waits so long for those that answered the last time.
    async fn ask_all(&mut self, patience: Duration) {
        self.begin(false);
        let round = self.round;
        let mut waiting = self.pending.len();
        for index in 0..waiting {
            let patience = match self.silent[index] {
                true => PATIENCE_AGAIN,
                false => patience,
            };
            self.question(index, patience);
        }
        while waiting > 0 {
            let Some(answer) = self.asked.join_next().await else {
                break;
            };
            if let Ok(answer) = answer {
                waiting -= usize::from(answer.round == round);
                // An answer to an earlier question may be of before this poll.
                let of_now = answer.round == round;
                self.hear(answer, of_now);
            }
        }
    }

    /// Takes in what was said since the last look, asks every replica that owes no answer, and waits a moment for those
    /// that usually answer.
    pub async fn look(&mut self) -> &Snapshot {
        self.begin(true);
        let until = Instant::now() + LOOK_MAX;
        for index in 0..self.pending.len() {
            if self.pending[index] == 0 {
                self.question(index, PATIENCE);
            }
        }
        let awaited = |this: &Self| {
            let each = this.pending.iter().zip(&this.silent);
            each.filter(|(_, silent)| !**silent)
                .any(|(pending, _)| *pending > 0)
        };
        while awaited(self) {
            match timeout_at(until, self.asked.join_next()).await {
                Ok(Some(Ok(answer))) => self.hear(answer, true),
                Ok(Some(Err(_))) => {}
                Ok(None) | Err(_) => break,
            }
        }
        &self.last
    }

    /// Takes in what has come since the last time; `counts` if that is of this time.
    fn begin(&mut self, counts: bool) {
        self.round += 1;
        self.last.answered.fill(None);
        while let Some(answer) = self.asked.try_join_next() {
            if let Ok(answer) = answer {
                self.hear(answer, counts);
            }
        }
    }

    fn question(&mut self, index: usize, patience: Duration) {
        // Beyond the end of every log: the status only.
        let from = self
            .next
            .as_ref()
            .map_or(SeqNo(u64::MAX), |next| next[index]);
        let replica = ReplicaId(u16::try_from(index).unwrap_or(u16::MAX));
        let asking = (self.ask)(replica, from, patience);
        let round = self.round;
        self.pending[index] += 1;
        self.asked.spawn(async move {
            let observation = asking.await;
            Answer {
                index,
                round,
                from,
                at: Instant::now(),
                observation,
            }
        });
    }

    /// Takes in one answer; `counts` if it is of this time.
    fn hear(&mut self, answer: Answer, counts: bool) {
        let Answer {
            index,
            from,
            at,
            observation,
            ..
        } = answer;
        self.pending[index] = self.pending[index].saturating_sub(1);
        // Two questions may be answered in any order.
        let newest = self.heard[index].is_none_or(|before| before <= at);
        let Some(observation) = observation else {
            self.silent[index] |= newest;
            return;
        };
        self.silent[index] = false;
        if newest {
            self.heard[index] = Some(at);
            if let Ok(status) = serde_json::from_slice(&observation.status_json) {
                self.last.replicas[index] = Some(status);
            }
            if counts {
                self.last.answered[index] = Some(at.into_std());
            }
        }
        self.collect(index, from, &observation);
    }

    /// Fetches what is left of the committed logs, page by page. Who was silent a moment ago, on a
    /// machine that has much to do, may still answer.
    pub async fn catch_up(&mut self) {
        self.silent.fill(false);
        for _ in 0..PAGES_MAX {
            let before = self.next.clone();
            self.ask_all(LAST_PATIENCE).await;
            if self.next == before {
                return;
            }
        }
    }

    /// The committed logs, as the files would be. Empty unless they are collected.
    pub fn into_logs(self) -> Option<Vec<String>> {
        self.next.map(|_| self.logs)
    }

    fn collect(&mut self, index: usize, from: SeqNo, observation: &Observation) {
        let Some(next) = &mut self.next else { return };
        // Two questions may have asked for the same page.
        if next[index] != from {
            return;
        }
        next[index] = observation.next_seq;
        let log = &mut self.logs[index];
        for entry in &observation.committed {
            log.push_str(&committed_line(entry));
        }
        for (seq, digest) in &observation.checkpoints {
            log.push_str(&format!(
                "{{\"checkpoint\":{},\"state_digest\":\"{digest}\"}}\n",
                seq.0
            ));
        }
    }
}

fn committed_line(entry: &CommittedEntry) -> String {
    let path = network::wire_client::path_of(entry.path)
        .unwrap_or(Path::Transfer)
        .name();
    format!(
        "{{\"seq\":{},\"view\":{},\"digest\":\"{}\",\"path\":\"{path}\",\"ops\":{}}}\n",
        entry.seq.0, entry.view.0, entry.digest, entry.ops
    )
}

#[cfg(test)]
impl Observer {
    /// Watches a cluster in which each replica takes its time, or longer than anybody waits. Each question has a page.
    pub(crate) fn of_slow_replicas(delays_ms: &'static [u64], collect: bool) -> Self {
        let ask: Ask = Arc::new(move |replica, from, patience| {
            let delay = Duration::from_millis(delays_ms[usize::from(replica.0)]);
            Box::pin(async move {
                let answer = tokio::time::timeout(patience, tokio::time::sleep(delay)).await;
                answer.ok().map(|()| page(replica, from))
            })
        });
        Self::asking(ask, delays_ms.len(), collect)
    }
}

#[cfg(test)]
fn page(replica: ReplicaId, from: SeqNo) -> Observation {
    let status = ReplicaStatus {
        replica: replica.0,
        view: 3,
        ..ReplicaStatus::default()
    };
    Observation {
        status_json: serde_json::to_vec(&status).unwrap_or_default().into(),
        committed: Vec::new(),
        checkpoints: vec![(from, crypto::Digest::of("test", b""))],
        next_seq: SeqNo(from.0.saturating_add(1)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn observer(delays_ms: &'static [u64], collect: bool) -> Observer {
        Observer::of_slow_replicas(delays_ms, collect)
    }

    /// Milliseconds from `begin` to each answer.
    fn times(snapshot: &Snapshot, begin: Instant) -> Vec<Option<u128>> {
        let ms = |at: &std::time::Instant| (*at - begin.into_std()).as_millis();
        snapshot
            .answered
            .iter()
            .map(|at| at.as_ref().map(ms))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_replica_holds_up_no_news_of_the_others() {
        let mut observer = observer(&[3, 10_000, 7], false);
        let begin = Instant::now();
        let seen = times(observer.look().await, begin);
        assert_eq!(seen, [Some(3), None, Some(7)], "each has its own time");
        assert_eq!(begin.elapsed(), LOOK_MAX, "it is waited for a moment");
        tokio::time::sleep(PATIENCE).await;
        let second = Instant::now();
        let seen = times(observer.look().await, second);
        assert_eq!(seen, [Some(3), None, Some(7)]);
        assert_eq!(second.elapsed(), MS * 7, "it is known to be silent");
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_counts_at_the_next_look_with_the_time_at_which_it_came() {
        let mut observer = observer(&[3, 150], false);
        let begin = Instant::now();
        assert_eq!(times(observer.look().await, begin), [Some(3), None]);
        assert!(observer.last.replicas[1].is_none());
        tokio::time::sleep(MS * 100).await;
        let seen = times(observer.look().await, begin);
        assert_eq!(seen, [Some(203), Some(150)]);
        assert_eq!(observer.last.replicas[1].as_ref().unwrap().view, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_replica_has_one_question_at_a_time_however_often_it_is_looked_at() {
        let mut observer = observer(&[10_000], false);
        for _ in 0..4 {
            observer.look().await;
            assert_eq!((observer.pending[0], observer.asked.len()), (1, 1));
        }
        // A poll asks all the same, and waits less for one that was silent.
        tokio::time::sleep(PATIENCE).await;
        let begin = Instant::now();
        observer.poll().await;
        assert_eq!(begin.elapsed(), PATIENCE_AGAIN);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_poll_gives_was_asked_by_it() {
        let mut observer = observer(&[3, 150], false);
        observer.look().await;
        tokio::time::sleep(MS * 20).await;
        let begin = Instant::now();
        let seen = times(observer.poll().await, begin);
        // The answer to the look came after 30 ms, and may be of before the poll.
        assert_eq!(seen, [Some(3), Some(150)]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_pages_are_waited_for_although_their_replica_was_silent_before() {
        let mut observer = observer(&[3, 2_000, 10_000], true);
        observer.poll().await;
        assert!(observer.silent[1] && observer.silent[2]);
        let begin = Instant::now();
        observer.catch_up().await;
        let logs = observer.into_logs().unwrap();
        assert!(!logs[1].is_empty() && logs[2].is_empty(), "{logs:?}");
        // The dead one once for long, and then shortly, as often as the others have another page.
        let longest = LAST_PATIENCE + MS * 2_000 * u32::try_from(PAGES_MAX).unwrap();
        assert!(begin.elapsed() <= longest, "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_that_was_asked_for_twice_is_kept_once() {
        let mut observer = observer(&[150], true);
        observer.look().await;
        observer.poll().await;
        observer.poll().await;
        let logs = observer.into_logs().unwrap();
        let pages: Vec<&str> = logs[0].lines().collect();
        assert_eq!(pages.len(), 2, "{logs:?}");
        assert!(pages[0].contains("\"checkpoint\":1,") && pages[1].contains("\"checkpoint\":2,"));
    }
}
