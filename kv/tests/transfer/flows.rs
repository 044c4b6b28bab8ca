//! A state transfer as a chart.

use consensus::transfer::message::StateMessage;
use crypto::codec::Blob;

use crate::cluster::{Fate, K, World, put};

#[test]
fn a_replica_asks_everybody_for_the_manifest_then_for_parts_and_does_without_a_liar() {
    let mut world = World::new();
    for n in 0..K {
        world.execute(vec![put(n, 20, 1)]);
    }
    world.tamper = Box::new(|from, message| {
        if let StateMessage::Parts { parts, .. } = message
            && from == 1
        {
            parts[0] = Blob::default();
        }
        Fate::Arrives
    });
    world.begin();
    world.run_until_installed();
    // Four keys in four buckets and a session; then the replies that the session names.
    assert_eq!(
        world.chart,
        [
            "  0 ms  r4 -> r0  fetch manifest of s4",
            "  0 ms  r4 -> r1  fetch manifest of s4",
            "  0 ms  r4 -> r2  fetch manifest of s4",
            "  0 ms  r4 -> r3  fetch manifest of s4",
            "  1 ms  r0 -> r4  manifest of s4",
            "  1 ms  r1 -> r4  manifest of s4",
            "  1 ms  r2 -> r4  manifest of s4",
            "  1 ms  r3 -> r4  manifest of s4",
            "  2 ms  r4 -> r0  fetch 5 parts of s4",
            "  3 ms  r0 -> r4  5 parts of s4",
            "  4 ms  r4 -> r1  fetch 3 parts of s4",
            "  5 ms  r1 -> r4  3 parts of s4",
            "  6 ms  r4 gives r1 up: unexpected message: a part that the certified manifest does not name",
            "  6 ms  r4 -> r2  fetch 3 parts of s4",
            "  7 ms  r2 -> r4  3 parts of s4",
            "  8 ms  r4 installs the state at s4",
        ]
    );
}
