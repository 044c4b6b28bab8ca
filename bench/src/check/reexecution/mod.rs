//! The committed log executed again by another program, and compared with everything that the run left.
//!
//! ```text
//! executed.bin ─ digest = the one agreed on? ─► requests ─ sessions ─► plain map ─► results ══ what clients were told
//!                                                                   └► state digest ══ checkpoints of the replicas
//! ```
//!
//! A log that lies is noticed, since every batch must have the digest that the replicas agreed on. Written once more here,
//! from docs/protocol.md: the meaning of operations, transactions and atomic requests, exactly-once, the digests of batches,
//! results, sessions and of the whole map. Shared with the replicas are the encodings of requests, operations and
//! results, SHA-256, Ed25519, and the bookkeeping of epochs (RENEW).

#[cfg(test)]
pub(crate) mod fixture;
mod map;
mod root;
mod seen;
mod sessions;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use bytes::Bytes;
use consensus::{Batch, Cluster, Configuration, Request, SeqNo};
use crypto::{Digest, Hasher};

use super::executed::batch_digest;
use super::{CommittedLog, ExecutedLog};
use crate::record::HistoryLine;
use map::Map;
use root::Roots;
use seen::Told;
use sessions::Sessions;

/// Violations kept; the rest is only counted.
const VIOLATIONS_KEPT_MAX: usize = 16;

/// What is compared with what.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// The configuration.
    pub cluster: &'a Cluster,
    /// What correct replicas committed.
    pub committed: &'a [CommittedLog],
    /// What they executed, or the contents kept of it.
    pub executed: &'a [ExecutedLog],
    /// What clients saw.
    pub history: &'a [HistoryLine],
}

/// What executing again has shown.
#[derive(Debug, Clone, Default)]
pub struct Reexecution {
    /// The last sequence number of an unbroken sequence from 1.
    pub upto: u64,
    /// Why it ends before the last one that was committed, if it does.
    pub ends: Option<String>,
    /// Requests that took effect.
    pub requests: u64,
    /// By client.
    pub requests_of: BTreeMap<u32, u64>,
    /// Requests in batches that had been executed before, or could not be any more.
    pub repeated: u64,
    /// Operations of the requests that took effect.
    pub operations: u64,
    /// Checkpoints whose state digest was computed and compared.
    pub checkpoints: u64,
    /// Answers in the history that were compared.
    pub answers: u64,
    /// Answers from sequence numbers beyond the last one executed here.
    pub answers_beyond: u64,
    /// Whether a checkpoint lies beyond it.
    pub checkpoint_beyond: bool,
    /// Every request that took effect, for the check of signatures.
    pub raw: Vec<Bytes>,
    /// All contents, as they may be kept.
    pub contents: ExecutedLog,
    /// What does not add up.
    pub violations: Violations,
}

impl Reexecution {
    /// Whether everything was executed again that anybody relied on. The last few slots may be missing: those who keep
    /// contents need not be those who were ahead when all were stopped.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let relied_on = self.answers_beyond > 0 || self.checkpoint_beyond || self.contents.gave_up;
        self.ends.is_none() || !(relied_on || self.upto == 0)
    }
}

/// Sentences, of which only the first are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violations {
    /// The first.
    pub sentences: Vec<String>,
    /// All.
    pub count: u64,
}

impl Violations {
    fn add(&mut self, sentence: String) {
        self.count += 1;
        if self.sentences.len() < VIOLATIONS_KEPT_MAX {
            self.sentences.push(sentence);
        }
    }
}

/// Executes the log again.
#[must_use]
pub fn reexecute(evidence: &Evidence<'_>) -> Reexecution {
    let mut replay = Replay::new(evidence);
    let last = replay.agreed.keys().last().copied().unwrap_or_default();
    for seq in 1..=last {
        match replay.content(seq) {
            Ok(requests) => replay.slot(seq, requests),
            Err(why) => {
                replay.report.ends = Some(why);
                break;
            }
        }
    }
    replay.finish()
}

struct Replay<'a> {
    evidence: &'a Evidence<'a>,
    /// By sequence number: the digest that the replicas committed first.
    agreed: BTreeMap<u64, &'a str>,
    states: BTreeMap<u64, BTreeSet<&'a str>>,
    told: Told<'a>,
    map: Map,
    roots: Roots,
    sessions: Sessions,
    configuration: Configuration,
    once: HashSet<(u32, u64, u64)>,
    report: Reexecution,
}

impl<'a> Replay<'a> {
    fn new(evidence: &'a Evidence<'a>) -> Self {
        let mut agreed = BTreeMap::new();
        let mut states = BTreeMap::<u64, BTreeSet<&str>>::new();
        for log in evidence.committed {
            for entry in &log.entries {
                agreed.entry(entry.seq).or_insert(entry.digest.as_str());
            }
            for each in &log.checkpoints {
                let digests = states.entry(each.checkpoint).or_default();
                digests.insert(each.state_digest.as_str());
            }
        }
        let mut report = Reexecution::default();
        for log in evidence.executed {
            for seq in &log.twice {
                report.violations.add(format!(
                    "{} executed two different batches at sequence number {seq}",
                    writer(log)
                ));
            }
        }
        Self {
            evidence,
            agreed,
            states,
            told: Told::of(evidence.history),
            map: Map::default(),
            roots: Roots::default(),
            sessions: Sessions::new(evidence.cluster.limits().client_window),
            configuration: Configuration::genesis(evidence.cluster),
            once: HashSet::new(),
            report,
        }
    }

    /// The batch at `seq`: the first content with the digest that was agreed on. Every other content accuses its writer.
    fn content(&mut self, seq: u64) -> Result<&'a [Bytes], String> {
        let Some(agreed) = self.agreed.get(&seq) else {
            return Err(format!("no committed log has sequence number {seq}"));
        };
        let mut found = None;
        for log in self.evidence.executed {
            let Some(requests) = log.slots.get(&seq) else {
                continue;
            };
            let digest = batch_digest(requests).to_string();
            if digest == *agreed {
                found = found.or(Some(requests.as_slice()));
            } else {
                self.report.violations.add(format!(
                    "{} executed a batch at sequence number {seq} whose digest is {digest}; {agreed} was agreed on",
                    writer(log)
                ));
            }
        }
        found.ok_or_else(|| {
            let gave_up = self.evidence.executed.iter().any(|log| log.gave_up);
            format!(
                "the contents of sequence number {seq} are not there{}",
                match gave_up {
                    true => ": a replica's executed log had become too long, or its disk too slow",
                    false => "",
                }
            )
        })
    }

    fn slot(&mut self, seq: u64, raws: &[Bytes]) {
        let limits = self.evidence.cluster.limits();
        let mut requests = Vec::with_capacity(raws.len());
        for raw in raws {
            match Request::parse(raw.clone(), limits) {
                Ok(request) => requests.push(request),
                Err(error) => self.report.violations.add(format!(
                    "sequence number {seq} was executed with a request that is none: {error}"
                )),
            }
        }
        // Epochs change with RENEWs, and with the first slot behind the end of one.
        let renews = requests
            .iter()
            .any(|request| request.id.client.is_service());
        let batch = renews.then(|| Batch::new(requests.clone()));
        self.configuration.execute(SeqNo(seq), batch.as_ref());
        for request in &requests {
            if !request.id.client.is_service() {
                self.request(seq, request);
            }
        }
        self.report.upto = seq;
        self.report.contents.slots.insert(seq, raws.to_vec());
        self.told
            .settle(seq, &mut |sentence| self.report.violations.add(sentence));
        if self.states.contains_key(&seq) {
            self.checkpoint(seq);
        }
    }

    fn request(&mut self, seq: u64, request: &Request) {
        let id = &request.id;
        if self.evidence.cluster.client_key(id.client).is_none() {
            self.report.violations.add(format!(
                "sequence number {seq} was executed with a request of client {}, who is unknown",
                id.client.0
            ));
            return;
        }
        if !self.sessions.admits(id, request.ack) {
            self.report.repeated += 1;
            return;
        }
        if !self.once.insert((id.client.0, id.session, id.number)) {
            self.report.violations.add(format!(
                "request {} of client {} took effect twice, the second time at sequence number {seq}",
                id.number, id.client.0
            ));
        }
        let room = self.evidence.cluster.limits().result_bytes_max as usize;
        let done = self
            .map
            .apply(seq, request.atomic, request.ops().iter(), room);
        let results: Vec<Vec<u8>> = done.iter().map(|(_, result)| result.encode()).collect();
        self.sessions.executed(id, request.ack, seq, &results);
        self.report.requests += 1;
        *self.report.requests_of.entry(id.client.0).or_default() += 1;
        self.report.operations += done.len() as u64;
        self.report.raw.push(request.raw().clone());
        for (op, result) in done {
            if let Some(op) = op {
                self.told.executed(id.client.0, &op, &result);
            }
        }
    }

    fn checkpoint(&mut self, seq: u64) {
        let digest = self.state_digest(seq).to_string();
        let claimed = &self.states[&seq];
        self.report.checkpoints += 1;
        if !claimed.contains(digest.as_str()) || claimed.len() > 1 {
            let claimed: Vec<&str> = claimed.iter().copied().collect();
            self.report.violations.add(format!(
                "the state after sequence number {seq} is {digest} when the log is executed again, and {} at the replicas",
                claimed.join(", ")
            ));
        }
    }

    /// R9.
    fn state_digest(&mut self, seq: u64) -> Digest {
        let (map, sessions) = (self.roots.root(&mut self.map), self.sessions.root());
        let mut hasher = Hasher::new("state");
        hasher
            .u64(self.configuration.epoch().0)
            .u64(seq)
            .update(map.as_bytes())
            .update(sessions.as_bytes())
            .update(self.configuration.digest().as_bytes());
        hasher.finish()
    }

    fn finish(mut self) -> Reexecution {
        self.report.answers = self.told.compared;
        self.report.answers_beyond = self.told.left();
        self.report.checkpoint_beyond = self.states.range(self.report.upto + 1..).next().is_some();
        self.report.contents.gave_up = self.evidence.executed.iter().any(|log| log.gave_up);
        self.report
    }
}

fn writer(log: &ExecutedLog) -> String {
    match log.replica {
        Some(id) => format!("replica {id}"),
        None => "the kept log says that a replica".to_owned(),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
