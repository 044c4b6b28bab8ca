//! One client's stream of operations: mix, keys and values put together.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::seed::{Purpose, random_stream};
use super::value::record_value;
use super::{
    Condition, Guard, KeyChooser, KeyDistribution, KeySpace, Mix, Operation, OperationKind,
    ParameterError, SizeDistribution, TXN_OPERATIONS, ValueSource, key_name, key_number,
};

/// Values of keys that a client remembers for the `expect` of its cas operations and the guards of its transactions.
const KNOWN_VALUES_MAX: usize = 1024;

/// What every client of a run shares: the parameters of its generators.
#[derive(Debug, Clone)]
pub struct LoadPlan {
    /// Shares of the operations.
    pub mix: Mix,
    /// How keys are chosen.
    pub keys: KeyDistribution,
    /// How long values are.
    pub sizes: SizeDistribution,
    /// The longest scan, at least 1; lengths are uniform from 1 to this.
    pub scan_items_max: u32,
    /// Keys created by the load phase.
    pub records: u64,
    /// Clients, each with a stream of its own.
    pub clients: u64,
    /// The seed of the run.
    pub seed: u64,
}

/// The endless stream of operations of one client.
#[derive(Debug)]
pub struct ClientLoad {
    plan: LoadPlan,
    space: Arc<KeySpace>,
    chooser: KeyChooser,
    values: ValueSource,
    mix_random: ChaCha8Rng,
    key_random: ChaCha8Rng,
    follow_up: Option<Operation>,
    known: KnownValues,
}

impl ClientLoad {
    /// The stream of client number `client`, 0 to `plan.clients - 1`; `space` is shared by all clients of the run.
    ///
    /// # Errors
    /// [`ParameterError`] for a parameter outside its range.
    pub fn new(plan: &LoadPlan, space: Arc<KeySpace>, client: u64) -> Result<Self, ParameterError> {
        Ok(Self {
            chooser: KeyChooser::new(plan.keys, plan.records, plan.seed, client, plan.clients)?,
            values: ValueSource::new(plan.sizes, plan.seed, client)?,
            mix_random: random_stream(plan.seed, client, Purpose::Mix),
            key_random: random_stream(plan.seed, client, Purpose::Keys),
            plan: plan.clone(),
            space,
            follow_up: None,
            known: KnownValues::default(),
        })
    }

    /// The next operation. After a create, the driver says when it is over: [`KeySpace::settled`].
    pub fn next_operation(&mut self) -> Operation {
        if let Some(operation) = self.follow_up.take() {
            return operation;
        }
        match self.plan.mix.draw(&mut self.mix_random) {
            OperationKind::Create => Operation::Create {
                key: key_name(self.space.create()),
                value: self.values.next_value(),
            },
            OperationKind::Read => Operation::Read { key: self.choose() },
            OperationKind::Update => {
                let key = self.choose();
                let update = Operation::Update {
                    key: key.clone(),
                    value: self.values.next_value(),
                };
                if self.plan.mix.read_before_update {
                    self.follow_up = Some(update);
                    return Operation::Read { key };
                }
                update
            }
            OperationKind::Put => Operation::Put {
                key: self.choose(),
                value: self.values.next_value(),
            },
            // Uniform whatever the distribution: under a skewed one the popular keys would be gone in the first second, and the rest of the run
            // would measure operations on absent keys.
            OperationKind::Delete => Operation::Delete {
                key: key_name(self.key_random.random_range(0..self.space.visible())),
            },
            OperationKind::Cas => {
                let key = self.choose();
                Operation::Cas {
                    expect: self.expectation(&key),
                    value: self.values.next_value(),
                    key,
                }
            }
            OperationKind::Scan => Operation::Scan {
                start: self.choose(),
                limit: self
                    .key_random
                    .random_range(1..=self.plan.scan_items_max.max(1)),
            },
            OperationKind::Txn => self.transaction(),
        }
    }

    /// Tells the stream what a key holds, from the answer to a read or to a write of its own; `None` if it is absent. Without this a cas expects
    /// what the load phase wrote, and fails once somebody has written since. Ignored in a mix without cas and txn.
    pub fn observe(&mut self, key: &Bytes, value: Option<Bytes>) {
        if self.plan.mix.includes(OperationKind::Cas) || self.plan.mix.includes(OperationKind::Txn)
        {
            self.known.set(key, value);
        }
    }

    fn choose(&mut self) -> Bytes {
        key_name(self.chooser.choose(&self.space, &mut self.key_random))
    }

    /// The value last seen under `key`, else what the load phase wrote there (a key created since, or seen absent, gets an expectation that fails).
    fn expectation(&self, key: &Bytes) -> Bytes {
        let loaded = || {
            record_value(
                self.plan.sizes,
                self.plan.seed,
                key_number(key).unwrap_or_default(),
            )
        };
        self.known.get(key).cloned().unwrap_or_else(loaded)
    }

    /// Writes two keys together if the first still holds what this client last saw there; otherwise reads both.
    fn transaction(&mut self) -> Operation {
        let first = self.choose();
        // A few draws find a second key in all but the smallest spaces; there both operations touch the same key, which is allowed.
        let second = (0..4)
            .map(|_| self.choose())
            .find(|key| *key != first)
            .unwrap_or_else(|| first.clone());
        let keys: [Bytes; TXN_OPERATIONS] = [first, second];
        Operation::Txn {
            guards: vec![Guard {
                key: keys[0].clone(),
                condition: Condition::Value(self.expectation(&keys[0])),
            }],
            then: keys
                .iter()
                .map(|key| Operation::Put {
                    key: key.clone(),
                    value: self.values.next_value(),
                })
                .collect(),
            otherwise: keys
                .iter()
                .map(|key| Operation::Read { key: key.clone() })
                .collect(),
        }
    }
}

/// The last [`KNOWN_VALUES_MAX`] keys whose value a client learned, oldest first. Absent keys are forgotten.
#[derive(Debug, Default)]
struct KnownValues {
    values: std::collections::HashMap<Bytes, Bytes>,
    order: VecDeque<Bytes>,
}

impl KnownValues {
    fn get(&self, key: &Bytes) -> Option<&Bytes> {
        self.values.get(key)
    }

    fn set(&mut self, key: &Bytes, value: Option<Bytes>) {
        let Some(value) = value else {
            // Its place in the order stays until it comes up, which keeps forgetting cheap; a later value takes a second place.
            self.values.remove(key);
            return;
        };
        if self.values.insert(key.clone(), value).is_none() {
            self.order.push_back(key.clone());
        }
        while self.order.len() > KNOWN_VALUES_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.values.remove(&oldest);
            }
        }
    }
}

/// The creates of the load phase dealt to one client: keys `client`, `client + clients`, ... below `records`.
#[derive(Debug)]
pub struct Loader {
    next: u64,
    step: u64,
    records: u64,
    sizes: SizeDistribution,
    seed: u64,
}

impl Loader {
    /// The share of client number `client` of `plan.clients` in the load phase.
    #[must_use]
    pub fn new(plan: &LoadPlan, client: u64) -> Self {
        Self {
            next: client,
            step: plan.clients.max(1),
            records: plan.records,
            sizes: plan.sizes,
            seed: plan.seed,
        }
    }
}

impl Iterator for Loader {
    type Item = Operation;

    fn next(&mut self) -> Option<Operation> {
        let number = self.next;
        (number < self.records).then(|| {
            self.next += self.step;
            Operation::Create {
                key: key_name(number),
                value: record_value(self.sizes, self.seed, number),
            }
        })
    }
}

#[cfg(test)]
#[path = "generator_tests.rs"]
mod tests;
