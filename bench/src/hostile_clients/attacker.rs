//! One hostile client: its key, its lines, and its clock.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crypto::SecretKey;
use crypto::tls::Identity;
use network::{ClusterFile, dial_endpoint};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tokio::time::{Instant, MissedTickBehavior};

use super::counts::Counts;
use super::forge::Forge;
use super::line::{Line, Remote};
use super::moves::Moves;
use crate::scenario::schema::ClientAttack;

/// Between two moves at least; faster attackers make several at once.
const PACE_MIN: Duration = Duration::from_millis(2);
/// Moves that are made up for at once by one that could not keep its rate; the rest are let go.
const BEHIND_MAX: f64 = 2000.0;

/// One hostile client.
pub(super) struct Attacker {
    remotes: Vec<Remote>,
    identity: Identity,
    pub(super) forge: Forge,
    pub(super) counts: Arc<Counts>,
    pub(super) random: ChaCha8Rng,
    /// One to each replica, once the attack runs.
    pub(super) lines: Vec<Line>,
}

impl Attacker {
    pub(super) fn new(
        file: &ClusterFile,
        key: SecretKey,
        counts: Arc<Counts>,
        seed: u64,
    ) -> Result<Self, String> {
        let entry = file
            .client_of(&key.public())
            .ok_or("a hostile client's key is none of the cluster's")?;
        let cluster = file.cluster().map_err(|error| error.to_string())?;
        let identity = Identity::new(&key).map_err(|error| error.to_string())?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let session = u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(1);
        let remote = |replica: &network::ReplicaEntry| Remote {
            address: replica.client,
            key: replica.key,
        };
        Ok(Attacker {
            remotes: file.replicas.iter().map(remote).collect(),
            identity,
            forge: Forge::new(key, entry.id, &cluster, session),
            counts,
            random: ChaCha8Rng::seed_from_u64(seed),
            lines: Vec::new(),
        })
    }

    /// Attacks until it is dropped.
    pub(super) async fn attack(mut self, attack: ClientAttack) {
        let Some(remote) = self.remotes.first() else {
            return;
        };
        let Ok(endpoint) = dial_endpoint(network::endpoint::any_port(remote.address)) else {
            return;
        };
        let listens = !matches!(attack, ClientAttack::NeverReads { .. });
        self.lines = self
            .remotes
            .iter()
            .map(|remote| {
                Line::new(
                    &endpoint,
                    &self.identity,
                    remote.clone(),
                    &self.counts,
                    listens,
                )
            })
            .collect();
        let rate = attack.rate().per_second();
        let pace = Duration::from_secs_f64(1.0 / rate).max(PACE_MIN);
        let mut ticks = tokio::time::interval(pace);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut moves = Moves::new(attack);
        let (mut due, mut last) = (1.0, Instant::now());
        loop {
            let count = due as usize;
            due -= count as f64;
            if count > 0 {
                moves.make(&mut self, count).await;
            }
            let now = ticks.tick().await;
            due += now.saturating_duration_since(last).as_secs_f64() * rate;
            due = due.min(BEHIND_MAX);
            last = now;
        }
    }
}
