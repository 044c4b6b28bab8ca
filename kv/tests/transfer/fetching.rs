//! Honest sources: what is fetched, and what is not.

use std::time::Duration;

use consensus::transfer::message::StateMessage;
use consensus::{Batch, ClientId, Lookup, Outcome, Report, SeqNo};
use kv::Op;

use crate::cluster::{Fate, K, LAGGARD, World, blob, put};

#[test]
fn an_empty_replica_gets_the_whole_state_from_several_sources() {
    let mut world = World::holding(3000, 20);
    let target = world.begin();
    let took = world.run_until_installed();
    world.assert_equal();
    let (parts, sources) = world.done();
    assert!(parts > 900 && sources == 4, "{parts} parts of {sources}");
    assert!(took < Duration::from_millis(60), "{took:?}");
    assert!(world.accused().is_empty());
    assert_eq!(
        world.reports[0],
        Report::TransferStarted { seq: target.seq }
    );
    assert_eq!(world.transfers[usize::from(LAGGARD)].fetching(), None);
}

#[test]
fn what_the_replica_holds_already_is_not_fetched() {
    let mut world = World::new();
    world.up = vec![0, 1, 2, 3, 4];
    for first in 0..20 {
        world.execute((0..500).map(|n| put(first * 500 + n, 20, 1)).collect());
    }
    world.up.pop();
    world.execute(vec![put(5, 20, 2), put(6, 20, 2)]);
    world.reach_checkpoint();
    world.begin();
    world.run_until_installed();
    world.assert_equal();
    let (parts, _) = world.done();
    // Two buckets, the session and its newest reply.
    assert!(parts <= 4, "{parts} parts");
}

#[test]
fn a_replica_that_lacks_nothing_but_the_number_fetches_only_the_manifest() {
    let mut world = World::new();
    world.up = vec![0, 1, 2, 3, 4];
    world.execute(vec![put(1, 20, 1)]);
    world.reach_checkpoint();
    world.up.pop();
    for _ in 0..K {
        world.execute_requests(Vec::new());
    }
    world.begin();
    world.run_until_installed();
    world.assert_equal();
    assert_eq!(world.done(), (0, 0));
}

#[test]
fn what_only_the_lagging_replica_holds_is_gone_afterwards() {
    let mut world = World::new();
    world.up = vec![LAGGARD];
    // It executed something else: a bug, or a disk that was set back. What is certified counts.
    world.execute(vec![put(77, 20, 9)]);
    let stray = world.request(1, &[put(78, 20, 9)]);
    world.execute_requests(vec![stray]);
    world.captured.clear();
    world.up = vec![0, 1, 2, 3];
    for n in 0..2 * K {
        world.execute(vec![put(n, 20, 1)]);
    }
    world.begin();
    world.run_until_installed();
    world.assert_equal();
}

/// Its digest goes to disk with the states after it (docs/protocol.md R9): whoever restarts claims it.
#[test]
fn an_installed_state_is_an_earlier_checkpoint_of_those_after_it() {
    let mut world = World::holding(300, 20);
    let target = world.begin();
    world.run_until_installed();
    let laggard = &mut world.executors[usize::from(LAGGARD)];
    assert_eq!(laggard.earlier_checkpoints(), [], "it is the newest");
    laggard.execute(target.seq.next(), None);
    assert_eq!(laggard.earlier_checkpoints(), [(target.seq, target.digest)]);
}

#[test]
fn values_of_the_largest_size_arrive() {
    let mut world = World::new();
    for n in 0..2 * K {
        let ops = (0..10).map(|m| put(n * 10 + m, kv::VALUE_BYTES_MAX, n as u8));
        world.execute(ops.collect());
    }
    world.begin();
    let took = world.run_until_installed();
    world.assert_equal();
    assert!(took < Duration::from_millis(200), "{took:?} for 5 MB");
}

#[test]
fn requests_replayed_after_a_transfer_are_answered_and_executed_never_again() {
    let mut world = World::new();
    for client in 0..3 {
        for name in 0..5 {
            let ops = [put(name, 30, client as u8), Op::Read { key: blob("none") }];
            let request = world.request(client, &ops);
            world.execute_requests(vec![request]);
        }
    }
    world.reach_checkpoint();
    world.begin();
    world.run_until_installed();
    let laggard = usize::from(LAGGARD);
    let mut answered = 0;
    for request in &world.captured {
        let (ours, theirs) = (
            world.executors[laggard].lookup(request),
            world.executors[0].lookup(request),
        );
        assert_eq!(ours, theirs, "{:?}", request.id);
        answered += usize::from(matches!(ours, Lookup::Done(_, Outcome::Executed(_))));
    }
    assert!(answered >= 3, "{answered} replies are still kept");
    let before = world.executors[laggard]
        .machine()
        .iter()
        .collect::<Vec<_>>();
    let replay = Batch::new(world.captured.clone());
    let seq = world.executors[laggard].last_executed().next();
    let executed = world.executors[laggard].execute(seq, Some(&replay));
    assert_eq!(executed.len(), world.captured.len());
    assert!(executed.iter().all(|item| !item.fresh));
    let after = world.executors[laggard]
        .machine()
        .iter()
        .collect::<Vec<_>>();
    assert_eq!(after, before);
    assert_eq!(world.captured[0].id.client, ClientId(0));
}

#[test]
fn a_replica_that_catches_up_by_itself_gives_the_transfer_up() {
    let mut world = World::holding(10, 20);
    let target = world.begin();
    while world.executors[usize::from(LAGGARD)].last_executed() < target.seq {
        let seq = world.executors[usize::from(LAGGARD)].last_executed().next();
        world.executors[usize::from(LAGGARD)].execute(seq, None);
    }
    world.run(Duration::from_secs(1));
    assert!(world.installed.is_empty());
    assert_eq!(world.transfers[usize::from(LAGGARD)].fetching(), None);
}

#[test]
fn execution_during_a_transfer_does_not_spoil_it() {
    let mut world = World::new();
    world.up = vec![0, 1, 2, 3, 4];
    for n in 0..K {
        world.execute((0..200).map(|m| put(n * 200 + m, 20, 1)).collect());
    }
    world.up.pop();
    let mut missed = Vec::new();
    for n in 0..2 * K {
        let request = world.request(1, &[put(n, 20, 2), put(900 + n, 20, 2)]);
        missed.push(request.clone());
        world.execute_requests(vec![request]);
    }
    world.begin();
    // The manifest has been compared; then two slots are executed after all.
    world.run(Duration::from_millis(2));
    for request in missed.into_iter().take(2) {
        let seq = world.executors[usize::from(LAGGARD)].last_executed().next();
        world.executors[usize::from(LAGGARD)].execute(seq, Some(&Batch::new(vec![request])));
    }
    world.run_until_installed();
    world.assert_equal();
}

#[test]
fn a_state_that_is_being_fetched_stays_while_the_sources_go_on() {
    let mut world = World::holding(3000, 200);
    // One part an answer: the transfer takes long.
    world.tamper = Box::new(|from, message| {
        if let StateMessage::FetchParts { parts, .. } = message
            && from == LAGGARD
        {
            parts.truncate(1);
            return Fate::Late(Duration::from_millis(4));
        }
        Fate::Arrives
    });
    let target = world.begin();
    for round in 0..30 {
        world.run(Duration::from_millis(5));
        for n in 0..K {
            world.execute(vec![put(round * K + n, 20, 3)]);
        }
    }
    assert!(world.installed.is_empty(), "it is still being fetched");
    let frozen: Vec<SeqNo> = world.executors[0].frozen().collect();
    assert_eq!(frozen.len(), 3, "two stable ones and the pinned one");
    assert_eq!(frozen[0], target.seq);
    world.run_until_installed();
    assert_eq!(world.installed[0].0, target.seq);
    // The rest is little.
    world.begin();
    world.run_until_installed();
    world.assert_equal();
    let (parts, _) = world.done();
    assert!(parts < 300, "{parts} parts");
}

#[test]
fn a_newer_certificate_is_followed_when_the_sources_have_moved_on_and_parts_are_kept() {
    let mut world = World::holding(3000, 20);
    let first = world.begin();
    // Manifests and the first parts arrive, then the sources restart: their pins are gone.
    world.run(Duration::from_millis(5));
    let fetched = |world: &World| {
        let messages = world.sent.iter().filter(|(from, _)| **from != LAGGARD);
        let parts = messages
            .flat_map(|(_, sent)| sent)
            .map(|message| match message {
                StateMessage::Parts { parts, .. } => parts.len(),
                _ => 0,
            });
        parts.sum::<usize>()
    };
    let before = fetched(&world);
    assert!(before > 100);
    for at in 0..4_u16 {
        let cluster = std::sync::Arc::clone(&world.cluster);
        world.transfers[usize::from(at)] =
            consensus::Transfer::new(consensus::ReplicaId(at), cluster);
    }
    for n in 0..3 * K {
        world.execute(vec![put(n, 20, 2)]);
    }
    let second = world.begin();
    assert!(second.seq > first.seq);
    world.run_until_installed();
    assert_eq!(world.installed[0].0, second.seq);
    world.assert_equal();
    let all = fetched(&world);
    assert!(all < 1024 + 200, "{before} before and {all} in all");
}
