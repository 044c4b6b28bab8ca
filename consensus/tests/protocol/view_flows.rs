//! View changes as charts. `*` marks what waits for the sender's disk.

use insta::assert_snapshot;

use crate::fixture::{Fixture, ms};
use crate::net::{Net, long};

/// Replica 3 alone gets enough votes, executes and answers its client; then nobody hears it.
#[test]
fn what_only_one_replica_decided_is_proposed_again_and_decided_by_all() {
    let fixture = Fixture::strong();
    let mut net = Net::new(&fixture, &[]);
    net.settle();
    net.loses = Box::new(|_, to, wire| wire.name() == "prepare" && to != 3);
    net.request(0, fixture.request(0, 1));
    net.run(ms(10));
    net.loses = Box::new(|from, to, _| from == 3 || to == 3);
    net.restart(0);
    net.run(ms(20));
    assert_snapshot!(net.chart(), @r#"
     0 ms  c0  -> r0   REQUEST #1
     0 ms  r0  -> all PRE-PREPARE s1
     0 ms  r0 *-> all PREPARE s1
     1 ms  r1 *-> all PREPARE s1
     1 ms  r2 *-> all PREPARE s1
     1 ms  r3 *-> all PREPARE s1
     1 ms  r4 *-> all PREPARE s1
     2 ms  r3 decides s1 fast
     2 ms  r3 executes s1
    10 ms  r0 is restarted
    10 ms  r0 leaves for v1: restart
    10 ms  r0 *-> all VIEW-CHANGE
    11 ms  r1 leaves for v1: resignation
    11 ms  r1 *-> all VIEW-CHANGE
    11 ms  r2 leaves for v1: resignation
    11 ms  r2 *-> all VIEW-CHANGE
    11 ms  r4 leaves for v1: resignation
    11 ms  r4 *-> all VIEW-CHANGE
    12 ms  r1 opens v1: 1 again, 0 excluded
    12 ms  r1 *-> all NEW-VIEW
    12 ms  r1 enters v1
    12 ms  r1 *-> all PREPARE s1
    13 ms  r0 enters v1
    13 ms  r0 *-> all PREPARE s1
    13 ms  r2 enters v1
    13 ms  r2 *-> all PREPARE s1
    13 ms  r4 enters v1
    13 ms  r4 *-> all PREPARE s1
    14 ms  r4 decides s1 fast
    14 ms  r4 executes s1
    14 ms  r0 decides s1 fast
    14 ms  r0 executes s1
    14 ms  r1 decides s1 fast
    14 ms  r1 executes s1
    14 ms  r2 decides s1 fast
    14 ms  r2 executes s1
    "#);
    let lonely = net.decided[&(3, consensus::SeqNo(1))];
    for id in [0, 1, 2, 4] {
        assert_eq!(net.decided[&(id, consensus::SeqNo(1))], lonely, "r{id}");
    }
    net.loses = Box::new(|_, _, _| false);
    net.run(long());
    assert_eq!(net.core(3).view(), net.core(1).view());
    assert_eq!(net.halts, Vec::<String>::new());
}

/// Replica 0 is faulty: it signs one batch for two of the others and another one for the rest.
#[test]
fn a_primary_that_signs_two_batches_is_convicted_by_the_votes_and_left_out() {
    let fixture = Fixture::strong();
    let mut net = Net::new(&fixture, &[0]);
    net.settle();
    for (to, proposal) in [
        (1, fixture.proposal(1)),
        (2, fixture.proposal(1)),
        (3, fixture.other_proposal(1)),
        (4, fixture.other_proposal(1)),
    ] {
        net.say(0, to, proposal.wire());
    }
    net.run(ms(20));
    assert_snapshot!(net.chart(), @r#"
    0 ms  r0  -> r1  PRE-PREPARE s1
    0 ms  r0  -> r2  PRE-PREPARE s1
    0 ms  r0  -> r3  PRE-PREPARE s1
    0 ms  r0  -> r4  PRE-PREPARE s1
    1 ms  r1 *-> all PREPARE s1
    1 ms  r2 *-> all PREPARE s1
    1 ms  r3 *-> all PREPARE s1
    1 ms  r4 *-> all PREPARE s1
    2 ms  r3 convicts r0 at s1
    2 ms  r3  -> all EVIDENCE
    2 ms  r3 leaves for v1: equivocation
    2 ms  r3 *-> all VIEW-CHANGE
    2 ms  r4 convicts r0 at s1
    2 ms  r4  -> all EVIDENCE
    2 ms  r4 leaves for v1: equivocation
    2 ms  r4 *-> all VIEW-CHANGE
    2 ms  r1 convicts r0 at s1
    2 ms  r1  -> all EVIDENCE
    2 ms  r1 leaves for v1: equivocation
    2 ms  r1 *-> all VIEW-CHANGE
    2 ms  r2 convicts r0 at s1
    2 ms  r2  -> all EVIDENCE
    2 ms  r2 leaves for v1: equivocation
    2 ms  r2 *-> all VIEW-CHANGE
    3 ms  r1 opens v1: 0 again, 1 excluded
    3 ms  r1 *-> all NEW-VIEW
    3 ms  r1 enters v1
    4 ms  r2 enters v1
    4 ms  r3 enters v1
    4 ms  r4 enters v1
    "#);
    assert!(net.decided.is_empty(), "neither had enough votes");
    net.request(3, fixture.request(1, 1));
    net.run(ms(150));
    for id in 1..5 {
        assert!(net.executed(id, 1), "r{id}");
    }
}

#[test]
fn a_restarted_primary_hands_over_at_once_and_what_was_in_flight_is_decided() {
    let fixture = Fixture::strong();
    let mut net = Net::new(&fixture, &[]);
    net.settle();
    // Nobody gets the votes for the first request.
    net.loses = Box::new(|_, _, wire| wire.name() == "prepare");
    net.request(0, fixture.request(0, 1));
    net.run(ms(5));
    net.loses = Box::new(|_, _, _| false);
    net.restart(0);
    net.run(ms(5));
    net.request(1, fixture.request(0, 2));
    net.run(ms(10));
    assert_snapshot!(net.chart(), @r#"
     0 ms  c0  -> r0   REQUEST #1
     0 ms  r0  -> all PRE-PREPARE s1
     0 ms  r0 *-> all PREPARE s1
     1 ms  r1 *-> all PREPARE s1
     1 ms  r2 *-> all PREPARE s1
     1 ms  r3 *-> all PREPARE s1
     1 ms  r4 *-> all PREPARE s1
     5 ms  r0 is restarted
     5 ms  r0 leaves for v1: restart
     5 ms  r0 *-> all VIEW-CHANGE
     6 ms  r1 leaves for v1: resignation
     6 ms  r1 *-> all VIEW-CHANGE
     6 ms  r2 leaves for v1: resignation
     6 ms  r2 *-> all VIEW-CHANGE
     6 ms  r3 leaves for v1: resignation
     6 ms  r3 *-> all VIEW-CHANGE
     6 ms  r4 leaves for v1: resignation
     6 ms  r4 *-> all VIEW-CHANGE
     7 ms  r1 opens v1: 1 again, 0 excluded
     7 ms  r1 *-> all NEW-VIEW
     7 ms  r1 enters v1
     7 ms  r1 *-> all PREPARE s1
     8 ms  r0 enters v1
     8 ms  r0 *-> all PREPARE s1
     8 ms  r2 enters v1
     8 ms  r2 *-> all PREPARE s1
     8 ms  r3 enters v1
     8 ms  r3 *-> all PREPARE s1
     8 ms  r4 enters v1
     8 ms  r4 *-> all PREPARE s1
     9 ms  r3 decides s1 fast
     9 ms  r3 executes s1
     9 ms  r4 decides s1 fast
     9 ms  r4 executes s1
     9 ms  r0 decides s1 fast
     9 ms  r0 executes s1
     9 ms  r1 decides s1 fast
     9 ms  r1 executes s1
     9 ms  r2 decides s1 fast
     9 ms  r2 executes s1
    10 ms  c0  -> r1   REQUEST #2
    10 ms  r1  -> all PRE-PREPARE s2
    10 ms  r1 *-> all PREPARE s2
    11 ms  r0 *-> all PREPARE s2
    11 ms  r2 *-> all PREPARE s2
    11 ms  r3 *-> all PREPARE s2
    11 ms  r4 *-> all PREPARE s2
    12 ms  r3 decides s2 fast
    12 ms  r3 executes s2
    12 ms  r4 decides s2 fast
    12 ms  r4 executes s2
    12 ms  r0 decides s2 fast
    12 ms  r0 executes s2
    12 ms  r1 decides s2 fast
    12 ms  r1 executes s2
    12 ms  r2 decides s2 fast
    12 ms  r2 executes s2
    "#);
}
