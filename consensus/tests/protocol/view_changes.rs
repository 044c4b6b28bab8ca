//! Changing views (docs/protocol.md R10), with whole clusters and with single replicas.

use crate::fixture::{Fixture, ms};
use crate::net::{Net, long};

#[test]
fn a_crashed_primary_is_replaced_and_what_it_had_ordered_stays() {
    let fixture = Fixture::strong();
    let mut net = Net::new(&fixture, &[]);
    net.settle();
    net.request(0, fixture.request(0, 1));
    net.run(ms(10));
    net.crash(0);
    net.request(1, fixture.request(1, 1));
    net.run(long());
    insta::assert_snapshot!(net.chart(), @r#"
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
     10 ms  c1  -> r1   REQUEST #1
     90 ms  r1  -> r0  FORWARD
    251 ms  r1 leaves for v1: silence
    251 ms  r1 *-> all VIEW-CHANGE
    251 ms  r2 leaves for v1: silence
    251 ms  r2 *-> all VIEW-CHANGE
    251 ms  r3 leaves for v1: silence
    251 ms  r3 *-> all VIEW-CHANGE
    251 ms  r4 leaves for v1: silence
    251 ms  r4 *-> all VIEW-CHANGE
    252 ms  r1 opens v1: 1 again, 0 excluded
    252 ms  r1 *-> all NEW-VIEW
    252 ms  r1 enters v1
    252 ms  r1 *-> all PREPARE s1
    252 ms  r1 *-> all PRE-PREPARE s2
    252 ms  r1 *-> all PREPARE s2
    253 ms  r2 enters v1
    253 ms  r2 *-> all PREPARE s1
    253 ms  r3 enters v1
    253 ms  r3 *-> all PREPARE s1
    253 ms  r4 enters v1
    253 ms  r4 *-> all PREPARE s1
    253 ms  r2 *-> all PREPARE s2
    253 ms  r3 *-> all PREPARE s2
    253 ms  r4 *-> all PREPARE s2
    254 ms  r4 decides s2 fast
    254 ms  r4 executes s2
    254 ms  r1 decides s2 fast
    254 ms  r1 executes s2
    254 ms  r2 decides s2 fast
    254 ms  r2 executes s2
    254 ms  r3 decides s2 fast
    254 ms  r3 executes s2
    "#);
    for id in 1..5 {
        assert!(net.executed(id, 2), "r{id}");
    }
}
