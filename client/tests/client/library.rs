//! The library against replicas that answer as they please.

#![allow(
    clippy::disallowed_methods,
    reason = "the channels of a test end with it"
)]

use std::sync::Arc;
use std::time::Duration;

use crate::fake::{Behaviour, FakeCluster, client_key};
use crate::relay::Relay;
use client::{
    CompletionSink, ConnectError, Hub, HubSettings, ObserveError, Pace, RequestError, SubmitError,
};
use consensus::{ByteList, ReplicaId, SeqNo};
use crypto::codec::Blob;
use kv::{Op, OpResult};
use tokio::sync::mpsc;

fn read(key: &str) -> ByteList {
    let op = Op::Read {
        key: Blob(key.to_owned().into()),
    };
    std::iter::once(op.encode()).collect()
}

fn value(result: &OpResult) -> &[u8] {
    match result {
        OpResult::Value { value, .. } => value,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn f_plus_1_replicas_that_agree_are_enough() {
    let cluster = FakeCluster::start(1);
    for silent in [2, 3, 4] {
        cluster.behave(silent, Behaviour::Silent);
    }
    let hub = cluster.hub(1).await;
    let done = hub
        .client(0)
        .unwrap()
        .submit(read("k"), false)
        .await
        .unwrap();
    let mut matching = done.matching.clone();
    matching.sort();
    assert_eq!(matching, [ReplicaId(0), ReplicaId(1)]);
    assert_eq!(value(&done.results().next().unwrap().unwrap()), b"k");
    assert_eq!((done.seq, done.retransmissions), (SeqNo(1), 0));
    assert!(done.completed_at >= done.sent_at);
    hub.close().await;
}

#[tokio::test]
async fn one_replica_alone_is_not_believed_and_the_time_out_names_the_others() {
    let cluster = FakeCluster::start(1);
    for silent in [1, 2, 3, 4] {
        cluster.behave(silent, Behaviour::Silent);
    }
    let pace = Pace {
        request_timeout: Duration::from_millis(300),
        ..Pace::default()
    };
    let hub = cluster.hub_with(1, pace).await;
    let error = hub
        .client(0)
        .unwrap()
        .submit(read("k"), false)
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, RequestError::TimedOut(_)), "{text}");
    assert!(text.contains("replica 0 answered executed at 1"), "{text}");
    assert!(text.contains("replica 4 did not answer"), "{text}");
}

#[tokio::test]
async fn a_lying_replica_changes_no_result_and_is_counted() {
    let cluster = FakeCluster::start(1);
    cluster.behave(0, Behaviour::Lying);
    let hub = cluster.hub(1).await;
    let handle = hub.client(0).unwrap();
    for _ in 0..50 {
        let done = handle.submit(read("truth"), false).await.unwrap();
        assert_eq!(value(&done.results().next().unwrap().unwrap()), b"truth");
        assert!(!done.matching.contains(&ReplicaId(0)));
    }
    assert!(hub.report().await.unwrap().counters.contradictions > 0);
}

#[tokio::test]
async fn a_silent_primary_costs_one_time_out_because_all_are_asked() {
    let cluster = FakeCluster::start(1);
    cluster.behave(0, Behaviour::Silent);
    let hub = cluster.hub(1).await;
    let done = hub
        .client(0)
        .unwrap()
        .submit(read("k"), false)
        .await
        .unwrap();
    assert_eq!(done.retransmissions, 1);
    assert!(cluster.received(1) > 0 && cluster.received(0) == 2);
}

#[tokio::test]
async fn digests_and_one_body_make_a_result() {
    let cluster = FakeCluster::start(1);
    for hashing in [0, 1, 2, 4] {
        cluster.behave(hashing, Behaviour::HashOnly);
    }
    let hub = cluster.hub(1).await;
    let done = hub
        .client(0)
        .unwrap()
        .submit(read("body"), false)
        .await
        .unwrap();
    assert_eq!(value(&done.results().next().unwrap().unwrap()), b"body");
    assert!(done.matching.contains(&ReplicaId(3)));
}

#[tokio::test]
async fn a_lost_primary_costs_no_time_out_and_is_dialled_until_it_is_back() {
    let mut cluster = FakeCluster::start(1);
    // Nothing here may be explained by a time-out.
    let pace = Pace {
        retransmit_after: Duration::from_secs(3600),
        ..Pace::default()
    };
    let hub = cluster.hub_with(1, pace).await;
    let handle = hub.client(0).unwrap();
    handle.submit(read("before"), false).await.unwrap();
    cluster.kill(0);
    let done = handle.submit(read("without"), false).await.unwrap();
    assert!(!done.matching.contains(&ReplicaId(0)));
    cluster.restart(0).await;
    hub.wait_connected(5, Duration::from_secs(20))
        .await
        .unwrap();
    assert_eq!(hub.links()[0].connections, 2);
    let before = cluster.received(0);
    handle.submit(read("again"), false).await.unwrap();
    assert_eq!(cluster.received(0), before + 1);
}

#[tokio::test]
async fn a_silent_replica_is_dialled_anew_long_before_the_old_connection_times_out() {
    let mut cluster = FakeCluster::start(1);
    let relay = Relay::start(cluster.file.replicas[0].client);
    cluster.file.replicas[0].client = relay.address;
    let hub = cluster.hub(1).await;
    let handle = hub.client(0).unwrap();
    handle.submit(read("before"), false).await.unwrap();
    relay.forget();
    // Nothing comes back for this, and that is what is noticed.
    handle.submit(read("without"), false).await.unwrap();
    let renewed = async {
        while hub.links()[0].connections < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let patience = network::transport::CLIENT_IDLE_TIMEOUT / 2;
    tokio::time::timeout(patience, renewed).await.unwrap();
    let before = cluster.received(0);
    let reached = async {
        while cluster.received(0) == before {
            handle.submit(read("again"), false).await.unwrap();
        }
    };
    tokio::time::timeout(patience, reached).await.unwrap();
    hub.close().await;
}

#[tokio::test]
async fn a_busy_primary_is_asked_again_after_a_pause() {
    let cluster = FakeCluster::start(1);
    cluster.behave(0, Behaviour::Busy(3));
    let pace = Pace {
        retransmit_after: Duration::from_secs(3600),
        ..Pace::default()
    };
    let hub = cluster.hub_with(1, pace).await;
    let done = hub
        .client(0)
        .unwrap()
        .submit(read("k"), false)
        .await
        .unwrap();
    assert_eq!((done.busy, done.retransmissions), (3, 3));
    assert_eq!((cluster.received(0), cluster.received(1)), (4, 0));
    assert_eq!(hub.report().await.unwrap().counters.busy, 3);
}

#[tokio::test]
async fn many_clients_share_the_connections_and_one_channel_for_their_results() {
    let (clients, each) = (8, 200);
    let cluster = FakeCluster::start(clients);
    let hub = cluster.hub(clients).await;
    let (sender, mut results) = mpsc::unbounded_channel();
    let sink: Arc<dyn CompletionSink> = Arc::new(sender);
    let mut expected = std::collections::BTreeSet::new();
    for client in 0..clients as usize {
        let handle = hub.client(client).unwrap();
        for turn in 0..each {
            let token = (client * 1000 + turn) as u64;
            handle
                .submit_with(read(&format!("k{token}")), false, token, &sink)
                .unwrap();
            expected.insert(token);
        }
    }
    while !expected.is_empty() {
        let (token, result) = results.recv().await.unwrap();
        let done = result.unwrap();
        assert!(expected.remove(&token), "{token} completed twice");
        let result = done.results().next().unwrap().unwrap();
        assert_eq!(value(&result), format!("k{token}").as_bytes());
    }
    assert_eq!(hub.report().await.unwrap().outstanding, 0);
    assert!(hub.links().iter().all(|link| link.connections == 1));
}

#[tokio::test]
async fn a_client_that_asks_for_far_too_much_is_told_so_and_the_rest_completes() {
    let cluster = FakeCluster::start(1);
    let hub = cluster.hub(1).await;
    let handle = hub.client(0).unwrap();
    let (sender, mut results) = mpsc::unbounded_channel();
    let sink: Arc<dyn CompletionSink> = Arc::new(sender);
    let asked = 1000;
    for token in 0..asked {
        handle.submit_with(read("k"), false, token, &sink).unwrap();
    }
    let (mut done, mut refused) = (0, 0);
    for _ in 0..asked {
        match results.recv().await.unwrap().1 {
            Ok(_) => done += 1,
            Err(RequestError::Submit(SubmitError::WindowFull(_))) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(done >= 256 && refused > 0, "{done} {refused}");
}

#[tokio::test]
async fn while_the_cluster_is_silent_everybody_is_told_in_time_also_who_waits_for_room() {
    let cluster = FakeCluster::start(1);
    for replica in 0..5 {
        cluster.behave(replica, Behaviour::Silent);
    }
    let pace = Pace {
        request_timeout: Duration::from_millis(300),
        ..Pace::default()
    };
    let hub = cluster.hub_with(1, pace).await;
    let handle = hub.client(0).unwrap();
    let (sender, mut results) = mpsc::unbounded_channel();
    let sink: Arc<dyn CompletionSink> = Arc::new(sender);
    for token in 0..300 {
        handle.submit_with(read("k"), false, token, &sink).unwrap();
    }
    let (mut timed_out, mut unsent) = (0, 0);
    for _ in 0..300 {
        match results.recv().await.unwrap().1 {
            Err(RequestError::TimedOut(_)) => timed_out += 1,
            Err(RequestError::Submit(SubmitError::WindowFull(_))) => unsent += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(timed_out > 0 && unsent > 0, "{timed_out} {unsent}");
    // Those that timed out keep their places until the cluster is back, and then free them.
    for replica in 0..5 {
        cluster.behave(replica, Behaviour::Honest);
    }
    let done = loop {
        match handle.submit(read("k"), false).await {
            Ok(done) => break done,
            Err(RequestError::Submit(SubmitError::WindowFull(_))) => {}
            Err(other) => panic!("{other}"),
        }
    };
    assert!(done.seq.0 > timed_out);
}

#[tokio::test]
async fn closing_tells_whoever_waits() {
    let cluster = FakeCluster::start(1);
    for replica in 0..5 {
        cluster.behave(replica, Behaviour::Silent);
    }
    let hub = cluster.hub(1).await;
    let handle = hub.client(0).unwrap();
    let waiting = tokio::spawn({
        let handle = handle.clone();
        async move { handle.submit(read("k"), false).await }
    });
    while hub.report().await.unwrap().outstanding == 0 {
        tokio::task::yield_now().await;
    }
    hub.close().await;
    assert!(matches!(waiting.await.unwrap(), Err(RequestError::Closed)));
    assert!(matches!(
        handle.submit(read("k"), false).await,
        Err(RequestError::Closed)
    ));
}

#[tokio::test]
async fn replicas_show_themselves_and_a_lost_one_does_not() {
    let mut cluster = FakeCluster::start(1);
    let hub = cluster.hub(1).await;
    let patience = Duration::from_secs(10);
    let seen = hub
        .observe(ReplicaId(3), SeqNo(17), patience)
        .await
        .unwrap();
    assert_eq!(
        (&seen.status_json[..], seen.next_seq),
        (&br#"{"view":0,"id":3}"#[..], SeqNo(17))
    );
    let nobody = hub.observe(ReplicaId(9), SeqNo(0), patience).await;
    assert!(matches!(nobody, Err(ObserveError::NoSuchReplica(_))));
    cluster.kill(3);
    let mut links = hub.watch_links();
    links.wait_for(|links| !links[3].connected).await.unwrap();
    tokio::task::yield_now().await;
    let lost = hub.observe(ReplicaId(3), SeqNo(0), patience).await;
    assert!(matches!(
        lost,
        Err(ObserveError::NotConnected(ReplicaId(3)))
    ));
}

#[tokio::test]
async fn after_a_replica_that_stood_still_each_question_has_its_own_answer() {
    let cluster = FakeCluster::start(1);
    let hub = cluster.hub(1).await;
    cluster.behave(3, Behaviour::Silent);
    for from in 100..110 {
        let moment = Duration::from_millis(5);
        let seen = hub.observe(ReplicaId(3), SeqNo(from), moment).await;
        assert!(seen.is_err(), "{seen:?}");
    }
    cluster.behave(3, Behaviour::Honest);
    // Those that were given up are answered first; until then the others wait.
    for from in 1..=3 {
        let patience = Duration::from_secs(20);
        let seen = hub.observe(ReplicaId(3), SeqNo(from), patience).await;
        assert_eq!(seen.unwrap().next_seq, SeqNo(from));
    }
}

#[tokio::test]
async fn a_key_of_another_cluster_is_refused_before_anything_is_sent() {
    let cluster = FakeCluster::start(1);
    let stranger = client_key(77);
    let refused = Hub::start(&cluster.file, vec![stranger], HubSettings::default());
    assert!(matches!(refused, Err(ConnectError::UnknownKey(None))));
}

#[tokio::test]
async fn a_cluster_that_is_down_is_described_address_by_address() {
    let mut cluster = FakeCluster::start(1);
    for replica in [1, 3] {
        cluster.kill(replica);
    }
    let hub = Hub::start(&cluster.file, vec![client_key(0)], HubSettings::default()).unwrap();
    let error = hub
        .ready(Duration::from_millis(500))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("only 3 of 5 replicas are connected"),
        "{error}"
    );
    let address = cluster.file.replicas[3].client;
    assert!(
        error.contains(&format!("replica 3 at {address}: ")),
        "{error}"
    );
}
