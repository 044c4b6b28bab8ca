//! Message flows as charts. `*` marks what waits for the sender's disk.

use consensus::FastQuorum;
use insta::assert_snapshot;

use crate::fixture::{Fixture, ms};
use crate::net::Net;

#[test]
fn five_replicas_decide_in_two_message_delays_without_commits() {
    let fixture = Fixture::strong();
    let mut net = Net::new(&fixture, &[]);
    net.settle();
    net.request(0, fixture.request(0, 1));
    net.run(ms(10));
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
    2 ms  r4 decides s1 fast
    2 ms  r4 executes s1
    2 ms  r0 decides s1 fast
    2 ms  r0 executes s1
    2 ms  r1 decides s1 fast
    2 ms  r1 executes s1
    2 ms  r2 decides s1 fast
    2 ms  r2 executes s1
    "#);
}

#[test]
fn with_one_replica_silent_the_strong_quorum_decides_fast_all_the_same() {
    let fixture = Fixture::strong();
    let mut net = Net::new(&fixture, &[4]);
    net.settle();
    net.request(0, fixture.request(0, 1));
    net.run(ms(10));
    assert_snapshot!(net.chart(), @r#"
    0 ms  c0  -> r0   REQUEST #1
    0 ms  r0  -> all PRE-PREPARE s1
    0 ms  r0 *-> all PREPARE s1
    1 ms  r1 *-> all PREPARE s1
    1 ms  r2 *-> all PREPARE s1
    1 ms  r3 *-> all PREPARE s1
    2 ms  r3 decides s1 fast
    2 ms  r3 executes s1
    2 ms  r0 decides s1 fast
    2 ms  r0 executes s1
    2 ms  r1 decides s1 fast
    2 ms  r1 executes s1
    2 ms  r2 decides s1 fast
    2 ms  r2 executes s1
    "#);
}

#[test]
fn with_one_replica_silent_the_conservative_quorum_falls_back_to_commits() {
    let fixture = Fixture::conservative();
    let mut net = Net::new(&fixture, &[4]);
    net.settle();
    net.request(0, fixture.request(0, 1));
    net.run(ms(40));
    assert_snapshot!(net.chart(), @r#"
     0 ms  c0  -> r0   REQUEST #1
     0 ms  r0  -> all PRE-PREPARE s1
     0 ms  r0 *-> all PREPARE s1
     1 ms  r1 *-> all PREPARE s1
     1 ms  r2 *-> all PREPARE s1
     1 ms  r3 *-> all PREPARE s1
    22 ms  r3 falls back at s1, missing [r4]
    22 ms  r3 *-> all COMMIT s1
    22 ms  r0 falls back at s1, missing [r4]
    22 ms  r0 *-> all COMMIT s1
    22 ms  r1 falls back at s1, missing [r4]
    22 ms  r1 *-> all COMMIT s1
    22 ms  r2 falls back at s1, missing [r4]
    22 ms  r2 *-> all COMMIT s1
    23 ms  r2 decides s1 slow
    23 ms  r2 executes s1
    23 ms  r0 decides s1 slow
    23 ms  r0 executes s1
    23 ms  r1 decides s1 slow
    23 ms  r1 executes s1
    23 ms  r3 decides s1 slow
    23 ms  r3 executes s1
    "#);
}

#[test]
fn classic_pbft_takes_three_phases() {
    let fixture = Fixture::new(4, 1, FastQuorum::Off);
    let mut net = Net::new(&fixture, &[]);
    net.settle();
    net.request(0, fixture.request(0, 1));
    net.run(ms(10));
    assert_snapshot!(net.chart(), @r#"
    0 ms  c0  -> r0   REQUEST #1
    0 ms  r0  -> all PRE-PREPARE s1
    0 ms  r0 *-> all PREPARE s1
    1 ms  r1 *-> all PREPARE s1
    1 ms  r2 *-> all PREPARE s1
    1 ms  r3 *-> all PREPARE s1
    2 ms  r2 *-> all COMMIT s1
    2 ms  r3 *-> all COMMIT s1
    2 ms  r0 *-> all COMMIT s1
    2 ms  r1 *-> all COMMIT s1
    3 ms  r0 decides s1 slow
    3 ms  r0 executes s1
    3 ms  r1 decides s1 slow
    3 ms  r1 executes s1
    3 ms  r2 decides s1 slow
    3 ms  r2 executes s1
    3 ms  r3 decides s1 slow
    3 ms  r3 executes s1
    "#);
}

#[test]
fn a_request_at_a_backup_reaches_the_primary() {
    let fixture = Fixture::strong();
    let mut net = Net::new(&fixture, &[]);
    net.settle();
    net.request(3, fixture.request(0, 1));
    net.run(ms(91));
    assert_snapshot!(net.chart(), @r#"
     0 ms  c0  -> r3   REQUEST #1
    90 ms  r3  -> r0  FORWARD
    91 ms  r0  -> all PRE-PREPARE s1
    91 ms  r0 *-> all PREPARE s1
    91 ms  r0  -> r4  PRE-PREPARE s1
    91 ms  r0  -> r4  PREPARE s1
    "#);
}
