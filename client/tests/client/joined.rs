//! Reads beside the log that are submitted together. The runtime of these tests has one thread, so
//! all that is submitted between two points of waiting is one turn of the hub.

#![allow(
    clippy::disallowed_methods,
    reason = "the channels of a test end with it"
)]

use std::sync::Arc;

use crate::fake::{Behaviour, FakeCluster};
use client::{ClientHandle, Completion, CompletionSink, RequestError, SubmitError};
use consensus::client::ReadPath;
use consensus::{ByteList, Grade, Limits};
use crypto::codec::Blob;
use kv::{Op, OpResult};
use tokio::sync::mpsc;

fn cluster() -> FakeCluster {
    let limits = Limits {
        quorum_reads: true,
        ..Limits::default()
    };
    FakeCluster::start_with(1, limits)
}

fn gets(keys: &[&str]) -> ByteList {
    let get = |key: &&str| {
        let key = Blob((*key).to_owned().into());
        Op::Read { key }.encode()
    };
    keys.iter().map(get).collect()
}

/// Submits all of them in one turn; what became of each, in order.
async fn together(
    handle: &ClientHandle,
    reads: Vec<(ByteList, Grade)>,
) -> Vec<Result<Completion, RequestError>> {
    let (sender, mut results) = mpsc::unbounded_channel();
    let sink: Arc<dyn CompletionSink> = Arc::new(sender);
    let mut open = Vec::new();
    for (token, (ops, grade)) in (0..).zip(reads) {
        handle.read_with(ops, grade, token, &sink).unwrap();
        open.push(token);
    }
    let mut done = Vec::new();
    for _ in open {
        done.push(results.recv().await.unwrap());
    }
    done.sort_by_key(|(token, _)| *token);
    done.into_iter().map(|(_, result)| result).collect()
}

fn values(completion: &Completion) -> Vec<Vec<u8>> {
    let value = |result: Result<OpResult, RequestError>| match result.unwrap() {
        OpResult::Value { value, .. } => value.0.to_vec(),
        other => panic!("{other:?}"),
    };
    completion.results().map(value).collect()
}

#[tokio::test]
async fn reads_of_one_turn_are_one_read_and_each_has_its_own_result() {
    let cluster = cluster();
    let hub = cluster.hub(1).await;
    let reads = ["a", "b", "c"].map(|key| (gets(&[key]), Grade::Quorum));
    let done = together(&hub.client(0).unwrap(), reads.into()).await;
    for (result, key) in done.iter().zip([b"a", b"b", b"c"]) {
        let completion = result.as_ref().unwrap();
        assert_eq!(values(completion), [key]);
        assert_eq!(completion.read, Some(ReadPath::Quorum));
    }
    let leads: Vec<bool> = done
        .iter()
        .map(|each| each.as_ref().unwrap().leads)
        .collect();
    assert_eq!(leads, [true, false, false], "one READ");
    assert_eq!(cluster.reads(0), [3]);
}

#[tokio::test]
async fn what_may_not_fit_one_answer_or_is_worth_something_else_is_not_joined() {
    let cluster = cluster();
    let hub = cluster.hub(1).await;
    // Each has up to 64 KiB of results, and an answer 256.
    let mut reads = vec![(gets(&["k"]), Grade::Quorum); 6];
    reads.push((gets(&["k"]), Grade::Stale));
    reads.push((gets(&["x", "y"]), Grade::Quorum));
    reads.push((gets(&["z"]), Grade::Quorum));
    let done = together(&hub.client(0).unwrap(), reads).await;
    assert!(done.iter().all(Result::is_ok));
    assert_eq!(values(done[7].as_ref().unwrap()), [b"x", b"y"]);
    let paths = done.iter().map(|each| each.as_ref().unwrap().read);
    let stale = paths.filter(|path| *path == Some(ReadPath::Stale));
    assert_eq!(stale.count(), 1);
    // One of them, whichever, was asked for the stale one as well.
    let mut sizes = cluster.reads(0);
    if sizes.len() > 4 {
        assert_eq!(sizes.remove(2), 1);
    }
    assert_eq!(sizes, [4, 2, 2, 1]);
}

#[tokio::test]
async fn reads_that_fail_together_are_one_request_and_the_first_speaks_for_it() {
    let cluster = cluster();
    for liar in [0, 1] {
        cluster.behave(liar, Behaviour::Lying);
    }
    let hub = cluster.hub(1).await;
    // Two that differ and three that agree: never n - f; as a request, the truth has 2f + 1.
    let reads = ["a", "b"].map(|key| (gets(&[key]), Grade::Quorum));
    let done = together(&hub.client(0).unwrap(), reads.into()).await;
    for (result, key) in done.iter().zip([b"a", b"b"]) {
        let completion = result.as_ref().unwrap();
        assert_eq!(values(completion), [key]);
        assert!(matches!(completion.read, Some(ReadPath::Ordered { .. })));
    }
    assert_eq!(cluster.received(0), 1, "one request");
}

#[tokio::test]
async fn one_that_is_over_a_limit_is_refused_alone() {
    let cluster = cluster();
    let hub = cluster.hub(1).await;
    let long = "k".repeat(Limits::default().op_bytes_max as usize + 1);
    let reads = ["a", long.as_str(), "b"].map(|key| (gets(&[key]), Grade::Quorum));
    let done = together(&hub.client(0).unwrap(), reads.into()).await;
    let too_large = |error: &RequestError| {
        matches!(error, RequestError::Submit(SubmitError::OpTooLarge { .. }))
    };
    assert!(done[1].as_ref().is_err_and(too_large));
    assert_eq!(values(done[0].as_ref().unwrap()), [b"a"]);
    assert_eq!(values(done[2].as_ref().unwrap()), [b"b"]);
}

#[tokio::test]
async fn reads_without_a_result_are_told_so_each() {
    let cluster = cluster();
    for silent in 0..5 {
        cluster.behave(silent, Behaviour::Silent);
    }
    let pace = client::Pace {
        request_timeout: std::time::Duration::from_millis(300),
        ..client::Pace::default()
    };
    let hub = cluster.hub_with(1, pace).await;
    let reads = ["a", "b"].map(|key| (gets(&[key]), Grade::Quorum));
    let done = together(&hub.client(0).unwrap(), reads.into()).await;
    for result in done {
        assert!(matches!(result, Err(RequestError::TimedOut(_))));
    }
}
