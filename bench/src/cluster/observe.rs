//! Watching the replicas from outside: their status pages, polled over the clients' connections.
//! It works alike for a cluster on this machine and for one elsewhere.

use std::sync::Arc;
use std::time::Duration;

use client::Hub;
use consensus::report::Path;
use consensus::{ReplicaId, SeqNo};
use network::{CommittedEntry, Observation};
use replica::observer::status::ReplicaStatus;

/// A replica that does not answer an observation for this long is skipped this time.
const PATIENCE: Duration = Duration::from_millis(500);
/// As above, for one that did not answer the last time: a replica that is down must not hold up news of the others.
const PATIENCE_AGAIN: Duration = Duration::from_millis(150);
/// Observations in a row that one poll asks of a replica to catch up with its committed log.
const PAGES_MAX: usize = 64;

/// What one replica said of itself last.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// By replica; `None` if it has never answered.
    pub replicas: Vec<Option<ReplicaStatus>>,
    /// Which of them answered this time.
    pub answered: Vec<bool>,
}

/// Polls every replica of a cluster.
pub struct Observer {
    hub: Arc<Hub>,
    last: Snapshot,
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
        Observer {
            hub,
            last: Snapshot {
                replicas: vec![None; n],
                // Nobody has been found silent yet.
                answered: vec![true; n],
            },
            next: collect.then(|| vec![SeqNo(1); n]),
            logs: vec![String::new(); n],
        }
    }

    /// Asks every replica once, all at the same time.
    pub async fn poll(&mut self) -> &Snapshot {
        let n = self.last.replicas.len();
        let mut asked = Vec::with_capacity(n);
        for index in 0..n {
            let hub = Arc::clone(&self.hub);
            // Beyond the end of every log: the status only.
            let from = self
                .next
                .as_ref()
                .map_or(SeqNo(u64::MAX), |next| next[index]);
            let replica = ReplicaId(u16::try_from(index).unwrap_or(u16::MAX));
            let patience = if self.last.answered[index] {
                PATIENCE
            } else {
                PATIENCE_AGAIN
            };
            asked.push(tokio::spawn(async move {
                hub.observe(replica, from, patience).await
            }));
        }
        for (index, asked) in asked.into_iter().enumerate() {
            let observation = asked.await.ok().and_then(Result::ok);
            self.last.answered[index] = observation.is_some();
            if let Some(observation) = observation {
                self.take(index, &observation);
            }
        }
        &self.last
    }

    /// Fetches what is left of the committed logs, page by page.
    pub async fn catch_up(&mut self) {
        for _ in 0..PAGES_MAX {
            let before = self.next.clone();
            self.poll().await;
            if self.next == before {
                return;
            }
        }
    }

    /// The committed logs, as the files would be. Empty unless they are collected.
    pub fn into_logs(self) -> Option<Vec<String>> {
        self.next.map(|_| self.logs)
    }

    fn take(&mut self, index: usize, observation: &Observation) {
        if let Ok(status) = serde_json::from_slice(&observation.status_json) {
            self.last.replicas[index] = Some(status);
        }
        let Some(next) = &mut self.next else { return };
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
