//! The configuration that all replicas agree on, and the only quorum arithmetic in the workspace
//! (docs/protocol.md R2).

use crypto::{ClusterId, Hasher, PublicKey};

use crate::ids::{ClientId, Epoch, ReplicaId, SERVICES_FROM, View};
use crate::mutation::{Mutation, active};
use crate::settings::Limits;

/// Which fast quorum a configuration asks for (docs/protocol.md R2, "Which rule").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FastQuorum {
    /// The smallest safe one; equivocators are excluded in the view change.
    #[default]
    Strong,
    /// That of the FaB/SBFT family: one vote more.
    Conservative,
    /// None: classic three-phase PBFT.
    Off,
    /// A number between the smallest safe one and n.
    Exactly(u16),
}

/// The counts that make certificates, for one (n, f, fast quorum). Made once, checked once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorums {
    n: u16,
    f: u16,
    slow: u16,
    fast: Option<u16>,
}

/// Why a configuration is impossible. Whoever wrote it is to blame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A cluster that tolerates no fault is no BFT cluster.
    #[error("f = 0 tolerates no fault: f must be at least 1")]
    NoFaults,
    /// PBFT needs n ≥ 3f + 1.
    #[error("n = {n} replicas cannot tolerate f = {f} faulty ones: n must be at least {least}")]
    TooFewReplicas {
        /// Replicas asked for.
        n: u16,
        /// Faults asked for.
        f: u16,
        /// Least possible n.
        least: u32,
    },
    /// More replicas than a configuration may have.
    #[error("n = {n} is more than {most} replicas")]
    TooManyReplicas {
        /// Replicas asked for.
        n: u16,
        /// Most possible.
        most: u16,
    },
    /// More clients than there are numbers for.
    #[error("{0} clients are more than the {SERVICES_FROM} that numbers are reserved for")]
    TooManyClients(usize),
    /// A fast quorum outside its safe range.
    #[error("fast quorum {asked} is outside {least}..={most} for n = {n}, f = {f}")]
    FastQuorum {
        /// Votes asked for.
        asked: u16,
        /// The smallest safe count.
        least: u16,
        /// n.
        most: u16,
        /// Replicas.
        n: u16,
        /// Faults.
        f: u16,
    },
    /// Two members or clients share a key.
    #[error("{first} and {second} have the same key")]
    DuplicateKey {
        /// One holder.
        first: String,
        /// The other.
        second: String,
    },
    /// A limit that cannot work.
    #[error("{0}")]
    Limit(String),
}

/// Most replicas of one configuration. Vote sets are arrays of this order.
pub const REPLICAS_MAX: u16 = 256;

impl Quorums {
    /// Quorums of `n` replicas of which `f` may be Byzantine.
    ///
    /// # Errors
    /// If n < 3f + 1, f = 0, n is too large, or the fast quorum is outside its range.
    pub fn new(n: u16, f: u16, fast: FastQuorum) -> Result<Self, ConfigError> {
        if f == 0 {
            return Err(ConfigError::NoFaults);
        }
        if u32::from(n) < 3 * u32::from(f) + 1 {
            return Err(ConfigError::TooFewReplicas {
                n,
                f,
                least: 3 * u32::from(f) + 1,
            });
        }
        if n > REPLICAS_MAX {
            return Err(ConfigError::TooManyReplicas {
                n,
                most: REPLICAS_MAX,
            });
        }
        let slow = (n + f) / 2 + 1;
        let least = slow.max(3 * f + 1).max((n + 3 * f) / 2);
        let conservative = n.min(slow.max(3 * f + 1).max((n + 3 * f) / 2 + 1));
        let fast = match fast {
            FastQuorum::Strong => Some(least),
            FastQuorum::Conservative => Some(conservative),
            FastQuorum::Off => None,
            FastQuorum::Exactly(asked) if (least..=n).contains(&asked) => Some(asked),
            FastQuorum::Exactly(asked) => {
                return Err(ConfigError::FastQuorum {
                    asked,
                    least,
                    most: n,
                    n,
                    f,
                });
            }
        };
        let quorums = Quorums { n, f, slow, fast };
        quorums.assert_facts();
        Ok(quorums)
    }

    /// Facts F1-F6 of docs/protocol.md R2, on which the safety proof rests.
    fn assert_facts(&self) {
        let (n, f, q) = (self.n, self.f, self.slow);
        assert!(
            2 * q > n + f,
            "F1: two slow quorums share a correct replica"
        );
        assert!(
            q + f <= n,
            "F2: the correct replicas alone form a slow quorum"
        );
        assert!(q > 2 * f, "F6: a slow quorum has a correct majority");
        if let Some(fast) = self.fast {
            assert!(fast >= q, "F3: a fast quorum is a slow quorum");
            assert!(
                fast > 3 * f,
                "F4: the vote threshold outnumbers hidden liars"
            );
            assert!(
                2 * fast + 1 >= n + 3 * f,
                "F5: no tie once an equivocator is excluded"
            );
        }
    }

    /// Replicas.
    pub fn n(&self) -> usize {
        usize::from(self.n)
    }

    /// Byzantine replicas tolerated.
    pub fn f(&self) -> usize {
        usize::from(self.f)
    }

    /// q: PREPAREs of a prepared certificate, COMMITs of a decision, CHECKPOINTs of a stable one.
    pub fn slow(&self) -> usize {
        usize::from(self.slow) - usize::from(active(Mutation::SlowQuorumOneSmaller))
    }

    /// q_F: PREPAREs that decide at once, if the fast path is on.
    pub fn fast(&self) -> Option<usize> {
        let fast = self.fast.map(usize::from)?;
        Some(fast - usize::from(active(Mutation::FastQuorumOneSmaller)))
    }

    /// q_F = q: preparing and deciding coincide, COMMITs are never needed (R8).
    pub fn prepared_is_decided(&self) -> bool {
        self.fast() == Some(self.slow())
    }

    /// N_vc = n − f: VIEW-CHANGEs in a NEW-VIEW, exactly.
    pub fn view_change(&self) -> usize {
        usize::from(self.n - self.f) - usize::from(active(Mutation::ViewChangeQuorumOneSmaller))
    }

    /// T_e: reports for a digest that make it a candidate in the view change when `excluded`
    /// replicas are proven Byzantine; `None` with the fast path off.
    pub fn vote_threshold(&self, excluded: usize) -> Option<usize> {
        if active(Mutation::IgnoreVotes) {
            return None;
        }
        let fast = self.fast()?;
        if active(Mutation::ThresholdOne) {
            return Some(1);
        }
        if active(Mutation::ThresholdF) {
            return Some(self.f());
        }
        if active(Mutation::KeepBaseThreshold) {
            return Some(fast - 2 * self.f());
        }
        Some(fast - 2 * self.f() + excluded)
    }

    /// t = n − q_F: silent replicas that the fast path survives.
    pub fn fast_slack(&self) -> Option<usize> {
        self.fast.map(|fast| usize::from(self.n - fast))
    }

    /// f + 1: at least one of them is correct. Replies that a client needs, VIEW-CHANGEs that a
    /// replica joins.
    pub fn weak(&self) -> usize {
        usize::from(self.f + 1)
    }

    /// Replies that complete a write: 2f + 1 when quorum reads are on, else f + 1 (R14).
    pub fn write_replies(&self, quorum_reads: bool) -> usize {
        if quorum_reads && !active(Mutation::WeakWrites) {
            usize::from(2 * self.f + 1)
        } else {
            self.weak()
        }
    }

    /// n − f: matching replies of a quorum read (R14).
    pub fn read_replies(&self) -> usize {
        usize::from(self.n - self.f) - usize::from(active(Mutation::ReadQuorumOneSmaller))
    }
}

/// The founding configuration of a cluster: members, clients, quorums, limits. Equal at every
/// correct replica and in every epoch (R16); its digest names the cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    id: ClusterId,
    quorums: Quorums,
    limits: Limits,
    replicas: Vec<PublicKey>,
    clients: Vec<PublicKey>,
}

impl Cluster {
    /// The genesis configuration (epoch 0). `n` is the number of `replicas`.
    ///
    /// # Errors
    /// If quorums or limits are impossible, or a key occurs twice.
    pub fn genesis(
        f: u16,
        fast: FastQuorum,
        limits: Limits,
        replicas: Vec<PublicKey>,
        clients: Vec<PublicKey>,
    ) -> Result<Self, ConfigError> {
        let n = u16::try_from(replicas.len()).unwrap_or(u16::MAX);
        let quorums = Quorums::new(n, f, fast)?;
        limits.validate()?;
        if !u32::try_from(clients.len()).is_ok_and(|count| count <= SERVICES_FROM) {
            return Err(ConfigError::TooManyClients(clients.len()));
        }
        refuse_duplicates(&replicas, &clients)?;
        let mut hasher = Hasher::new("cluster");
        hasher
            .u64(u64::from(n))
            .u64(u64::from(f))
            .u64(quorums.fast().unwrap_or(0) as u64)
            .part(&crypto::encode(&limits));
        for keys in [&replicas, &clients] {
            hasher.u64(keys.len() as u64);
            for key in keys {
                hasher.update(key.as_bytes());
            }
        }
        let id = ClusterId(hasher.finish());
        Ok(Cluster {
            id,
            quorums,
            limits,
            replicas,
            clients,
        })
    }

    /// Identity of the cluster: digest of its genesis configuration.
    pub fn id(&self) -> &ClusterId {
        &self.id
    }

    /// The quorums.
    pub fn quorums(&self) -> &Quorums {
        &self.quorums
    }

    /// The limits that all replicas share.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// `primary(epoch, view) = members[(epoch + view) mod n]` (R1).
    pub fn primary(&self, epoch: Epoch, view: View) -> ReplicaId {
        let n = u128::from(self.quorums.n);
        let turn = (u128::from(epoch.0) + u128::from(view.0)) % n;
        ReplicaId(u16::try_from(turn).expect("a remainder of n fits n's type"))
    }

    /// Bytes that a NEW-VIEW may have: n − f reports of L slots, each with a vote and a prepared
    /// certificate, and a header for each slot (R10.4). Whoever bounds frames must leave room for it, or a full window could
    /// never change its view.
    pub fn new_view_bytes_max(&self) -> u64 {
        const FIXED_MAX: u64 = 64 << 10;
        const SLOT_MAX: u64 = 182;
        const SIGNER_MAX: u64 = 66;
        const HEADER_MAX: u64 = 120;
        let quorums = &self.quorums;
        let slot = SLOT_MAX + SIGNER_MAX * quorums.slow() as u64;
        let reports = quorums.view_change() as u64 * self.limits.log_window * slot;
        reports + self.limits.log_window * HEADER_MAX + FIXED_MAX
    }

    /// The key of a member.
    pub fn replica_key(&self, id: ReplicaId) -> Option<&PublicKey> {
        self.replicas.get(id.index())
    }

    /// The key of a client.
    pub fn client_key(&self, id: ClientId) -> Option<&PublicKey> {
        self.clients.get(usize::try_from(id.0).ok()?)
    }

    /// Every member's id, ascending.
    pub fn members(&self) -> impl Iterator<Item = ReplicaId> + use<> {
        (0..self.quorums.n).map(ReplicaId)
    }

    /// Every member's key in order of id.
    pub fn replica_keys(&self) -> &[PublicKey] {
        &self.replicas
    }

    /// Every client's key in order of id.
    pub fn client_keys(&self) -> &[PublicKey] {
        &self.clients
    }
}

fn refuse_duplicates(replicas: &[PublicKey], clients: &[PublicKey]) -> Result<(), ConfigError> {
    let named = replicas
        .iter()
        .enumerate()
        .map(|(id, key)| (key.as_bytes(), format!("replica {id}")))
        .chain(
            clients
                .iter()
                .enumerate()
                .map(|(id, key)| (key.as_bytes(), format!("client {id}"))),
        );
    let mut seen = std::collections::BTreeMap::new();
    for (key, name) in named {
        if let Some(first) = seen.insert(*key, name.clone()) {
            return Err(ConfigError::DuplicateKey {
                first,
                second: name,
            });
        }
    }
    Ok(())
}
