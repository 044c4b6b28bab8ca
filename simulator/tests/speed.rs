//! How fast simulated time passes. A figure, not a judgement: `cargo test -p simulator --release
//! --test speed -- --ignored --nocapture`.

use simulator::{Config, Signatures, Stats, run};

#[test]
#[ignore = "a measurement"]
fn five_replicas_with_faults() {
    let mut total = Stats::default();
    let mut busy = std::time::Duration::ZERO;
    let drawn = (0..4_000).map(Config::drawn);
    let five = drawn.filter(|config| config.n == 5 && config.faults.twins == 0);
    for config in five.take(400) {
        let outcome = run(&Config {
            signatures: Signatures::Fake,
            ..config
        });
        total.add(&outcome.stats);
        busy += outcome.busy;
    }
    let (busy, time) = (busy.as_secs_f64(), total.virtual_time.as_secs_f64());
    println!(
        "{:.0} times real time a core, {:.1} decided slots, {:.0} messages delivered in a virtual \
         second; {:.0} messages a second of a core",
        time / busy,
        total.slots_per_second(),
        total.delivered as f64 / time,
        total.delivered as f64 / busy,
    );
}
