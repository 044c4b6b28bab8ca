//! Fixed work whose instructions `.ci/instructions` counts under valgrind: a number that, unlike a time, is the same on a busy machine.
//!
//! ```text
//!   instructions slots-of-1     one workload, once; prints how many units of work it was
//!   instructions                every workload, and that it did what it is there for (as a test)
//! ```
//!
//! Only what happens inside `quintet_measured` counts. Requests are made before it.

#[allow(
    dead_code,
    reason = "shared by benches and tests; each uses a part of it"
)]
#[path = "../../consensus/benches/lockstep/mod.rs"]
mod lockstep;

use crypto::{Check, Digest, Ed25519, Scheme as _, Signer as _};
use kv::Op;
use lockstep::{Clients, Lockstep, Signatures};

/// A name, and the work: how many units of it.
type Workload = (&'static str, fn() -> u64);

const WORKLOADS: [Workload; 6] = [
    // A slot as it is with one client; the unit is an operation at five cores together, like in the next two.
    ("slots-of-1", || slots(256, 1, 1)),
    // Many clients with an operation a request.
    ("slots-of-64", || slots(64, 64, 1)),
    // Many operations a request.
    ("requests-of-64", || slots(64, 8, 64)),
    // The unit is a signature in these.
    ("sign", || signatures(Work::Sign)),
    ("verify-single", || signatures(Work::Single)),
    ("verify-batch-64", || signatures(Work::Batch)),
];

fn main() {
    let asked = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    match asked {
        None => {
            for (name, work) in WORKLOADS {
                println!("{name} {}", work());
            }
        }
        // Another word is the filter of `cargo test`, which means other tests.
        Some(asked) => {
            for (_, work) in WORKLOADS.iter().filter(|(name, _)| *name == asked) {
                println!("{}", work());
            }
        }
    }
}

/// The name by which valgrind knows where to count.
#[inline(never)]
fn quintet_measured<T>(work: impl FnOnce() -> T) -> T {
    // Without it the call could be the last thing here, and its own frame gone.
    std::hint::black_box(work())
}

/// Slots of so many requests, each of so many operations: half of them put 128 bytes, half of them read.
fn slots(slots: u64, requests: u64, ops: u64) -> u64 {
    let mut lockstep = Lockstep::new(Signatures::Null, kv::Store::new);
    let mut clients = Clients::new(Signatures::Null);
    let raw: Vec<_> = (0..slots)
        .map(|_| clients.requests(requests, ops, operation))
        .collect();
    quintet_measured(|| raw.into_iter().for_each(|slot| lockstep.submit(slot)));
    assert_eq!(lockstep.executed().0, slots);
    let digests = lockstep.state_digests();
    assert!(digests.iter().all(|digest| *digest == digests[0]));
    slots * requests * ops
}

fn operation(number: u64) -> Vec<u8> {
    // Each key is read after it was written.
    let key = format!("user{:08}", number / 2 * 7_919 % 10_007).into_bytes();
    let op = match number % 2 {
        0 => Op::Put {
            key: key.into(),
            value: vec![number as u8; 128].into(),
        },
        _ => Op::Read { key: key.into() },
    };
    op.encode()
}

#[derive(Clone, Copy)]
enum Work {
    Sign,
    Single,
    Batch,
}

/// 64 signatures by 16 keys.
fn signatures(work: Work) -> u64 {
    const COUNT: u64 = 64;
    let keys: Vec<_> = (0..16)
        .map(|index| lockstep::key("client", index))
        .collect();
    let publics: Vec<_> = keys.iter().map(crypto::SecretKey::public).collect();
    let digests: Vec<_> = (0..COUNT)
        .map(|index| Digest::of("message", &index.to_le_bytes()))
        .collect();
    let signed = || digests.iter().zip(keys.iter().cycle());
    let sign = || -> Vec<_> { signed().map(|(digest, key)| key.sign(digest)).collect() };
    let signatures = match work {
        Work::Sign => quintet_measured(sign),
        Work::Single | Work::Batch => sign(),
    };
    let checks: Vec<_> = digests
        .iter()
        .zip(publics.iter().cycle())
        .zip(&signatures)
        .map(|((digest, key), signature)| Check {
            key,
            digest: *digest,
            signature: *signature,
        })
        .collect();
    let good = match work {
        Work::Single => quintet_measured(|| checks.iter().all(|check| Ed25519.verify(check))),
        Work::Batch => quintet_measured(|| Ed25519.verify_batch(&checks)),
        Work::Sign => true,
    };
    assert!(good, "own signatures hold");
    COUNT
}
