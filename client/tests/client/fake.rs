//! Five replicas that agree on everything without a protocol: whoever hears of a request tells
//! the others over a channel, and all answer alike, each in its own way.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use client::{Hub, HubSettings, Pace};
use consensus::{
    ByteList, ClientId, Cluster, FastQuorum, Keyring, Limits, Outcome, Policy, Read, ReplicaId,
    Reply, Request, ResultBody, SeqNo, Term,
};
use crypto::SecretKey;
use crypto::codec::Blob;
use crypto::tls::Identity;
use kv::{Op, OpResult, Version};
use network::wire_client::{OBSERVATIONS_MAX, attachment_holds};
use network::{
    Class, ClientEntry, ClusterFile, EndpointError, FrameReader, FrameWriter, Observation,
    ReplicaEntry, StreamKind, ToClient, ToReplica, listen, pinned_clients, remote_key,
};
use quinn::{Connection, Endpoint, VarInt};
use tokio::sync::broadcast;

const MASTER: [u8; 32] = [3; 32];
const N: u16 = 5;

/// How a replica answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Honest,
    /// Reads everything, tells and answers nothing.
    Silent,
    /// Other values than the others'.
    Lying,
    /// Digests instead of results.
    HashOnly,
    /// Refuses this many requests that come directly from clients.
    Busy(u32),
}

/// The replicas, and how to reach them.
pub(crate) struct FakeCluster {
    pub(crate) file: ClusterFile,
    pub(crate) replicas: Vec<Fake>,
    cluster: Arc<Cluster>,
    told: broadcast::Sender<Bytes>,
}

/// One replica.
pub(crate) struct Fake {
    id: ReplicaId,
    address: SocketAddr,
    endpoint: Option<Endpoint>,
    shared: Arc<Shared>,
}

struct Shared {
    behaviour: Mutex<Behaviour>,
    received: AtomicU64,
    reads: Mutex<Vec<usize>>,
}

impl FakeCluster {
    pub(crate) fn start(clients: u32) -> Self {
        Self::start_with(clients, Limits::default())
    }

    pub(crate) fn start_with(clients: u32, limits: Limits) -> Self {
        let replicas: Vec<_> = (0..N).map(|id| replica_key(id).public()).collect();
        let client_keys: Vec<_> = (0..clients).map(|id| client_key(id).public()).collect();
        let fast = FastQuorum::Strong;
        let cluster = Cluster::genesis(
            1,
            fast,
            limits.clone(),
            replicas.clone(),
            client_keys.clone(),
        );
        let cluster = Arc::new(cluster.unwrap());
        let (told, _) = broadcast::channel(1 << 14);
        let mut fakes = Vec::new();
        for id in (0..N).map(ReplicaId) {
            let shared = Arc::new(Shared {
                behaviour: Mutex::new(Behaviour::Honest),
                received: AtomicU64::new(0),
                reads: Mutex::default(),
            });
            let address = SocketAddr::from(([127, 0, 0, 1], 0));
            let mut fake = Fake {
                id,
                address,
                endpoint: None,
                shared,
            };
            fake.start(&cluster, &told).unwrap();
            fakes.push(fake);
        }
        let entry = |fake: &Fake| ReplicaEntry {
            id: fake.id,
            key: replica_key(fake.id.0).public(),
            // Never used, but a cluster file wants every port to be another.
            peer: SocketAddr::from(([127, 0, 0, 2], fake.address.port())),
            client: fake.address,
        };
        let client = |(id, key)| ClientEntry {
            id: ClientId(id),
            key,
        };
        let file = ClusterFile {
            f: 1,
            fast_quorum: fast,
            limits,
            policy: Policy::default(),
            replicas: fakes.iter().map(entry).collect(),
            clients: (0..).zip(client_keys).map(client).collect(),
        };
        FakeCluster {
            file,
            replicas: fakes,
            cluster,
            told,
        }
    }

    pub(crate) fn behave(&self, replica: usize, behaviour: Behaviour) {
        *self.replicas[replica].shared.behaviour.lock().unwrap() = behaviour;
    }

    /// Requests that `replica` got from clients.
    pub(crate) fn received(&self, replica: usize) -> u64 {
        self.replicas[replica]
            .shared
            .received
            .load(Ordering::Relaxed)
    }

    /// How many operations each READ had that `replica` got.
    pub(crate) fn reads(&self, replica: usize) -> Vec<usize> {
        self.replicas[replica].shared.reads.lock().unwrap().clone()
    }

    pub(crate) fn kill(&mut self, replica: usize) {
        let endpoint = self.replicas[replica].endpoint.take().unwrap();
        endpoint.close(VarInt::from_u32(9), b"killed");
    }

    /// Starts a killed replica at its old address; its last life has the port until its
    /// connections have drained.
    pub(crate) async fn restart(&mut self, replica: usize) {
        let (cluster, told) = (self.cluster.clone(), self.told.clone());
        let started = async {
            while self.replicas[replica].start(&cluster, &told).is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), started)
            .await
            .unwrap();
    }

    /// A hub with the first `clients` keys and short time-outs, connected to all.
    pub(crate) async fn hub(&self, clients: u32) -> Hub {
        let pace = Pace {
            retransmit_after: Duration::from_millis(150),
            request_timeout: Duration::from_secs(20),
            ..Pace::default()
        };
        self.hub_with(clients, pace).await
    }

    pub(crate) async fn hub_with(&self, clients: u32, pace: Pace) -> Hub {
        let keys = (0..clients).map(client_key).collect();
        let settings = HubSettings {
            pace,
            ..HubSettings::default()
        };
        let hub = Hub::start(&self.file, keys, settings).unwrap();
        hub.wait_connected(usize::from(N), Duration::from_secs(20))
            .await
            .unwrap();
        hub
    }
}

impl Fake {
    fn start(
        &mut self,
        cluster: &Arc<Cluster>,
        told: &broadcast::Sender<Bytes>,
    ) -> Result<(), EndpointError> {
        let identity = Identity::new(&replica_key(self.id.0)).unwrap();
        let accepted = pinned_clients(cluster);
        let endpoint = listen(self.address, &identity, accepted, Class::Client)?;
        self.address = endpoint.local_addr().unwrap();
        self.endpoint = Some(endpoint.clone());
        let (id, cluster, told) = (self.id, cluster.clone(), told.clone());
        let shared = self.shared.clone();
        tokio::spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                let (cluster, told, shared) = (cluster.clone(), told.clone(), shared.clone());
                tokio::spawn(async move {
                    let Ok(connection) = incoming.await else {
                        return;
                    };
                    // Ends when the client goes or the replica is killed.
                    let _ = serve(id, &cluster, connection, told, &shared).await;
                });
            }
        });
        Ok(())
    }
}

async fn serve(
    id: ReplicaId,
    cluster: &Arc<Cluster>,
    connection: Connection,
    told: broadcast::Sender<Bytes>,
    shared: &Shared,
) -> Option<()> {
    let key = remote_key(&connection).ok()?;
    let owner = cluster
        .client_keys()
        .iter()
        .position(|client| *client == key)?;
    let mut attached = BTreeSet::from([ClientId(owner as u32)]);
    let mut heard = told.subscribe();
    let mut writer = FrameWriter::open(&connection, StreamKind::Messages)
        .await
        .ok()?;
    let hello = ToClient::Hello {
        replica: id,
        term: Term::default(),
    };
    writer
        .write_all(&[crypto::encode(&hello).into()])
        .await
        .ok()?;
    let patience = Duration::from_secs(5);
    let (_, stream) = FrameReader::accept(&connection, patience).await.ok()?;
    let mut reader = FrameReader::new(stream, 4 << 20, patience);
    let mut asked = Vec::new();
    loop {
        let mut answers = Vec::new();
        tokio::select! {
            frame = reader.next() => match ToReplica::from_frame(&frame.ok()??).ok()? {
                ToReplica::Attach { client, signature } => {
                    let keyring = Keyring::new(cluster.clone());
                    let holds = attachment_holds(&connection, &keyring, client, signature);
                    assert!(holds.unwrap(), "{client:?} attached with a wrong signature");
                    attached.insert(client);
                }
                ToReplica::Requests(requests) => for Blob(raw) in requests {
                    shared.received.fetch_add(1, Ordering::Relaxed);
                    let mut behaviour = shared.behaviour.lock().unwrap();
                    match &mut *behaviour {
                        Behaviour::Silent => {}
                        Behaviour::Busy(left) if *left > 0 => {
                            *left -= 1;
                            let outcome = Outcome::Busy { retry_after_ms: 5 };
                            answers.push(reply(id, &parse(raw, cluster), SeqNo(0), outcome));
                        }
                        _ => {
                            told.send(raw).unwrap();
                        }
                    }
                },
                ToReplica::Reads(reads) => for Blob(raw) in reads {
                    let read = Read::parse(raw, cluster.limits()).unwrap();
                    shared.reads.lock().unwrap().push(read.ops.len());
                    let behaviour = *shared.behaviour.lock().unwrap();
                    if behaviour != Behaviour::Silent {
                        answers.push(answer(id, &read, behaviour));
                    }
                },
                // As a replica: what is more than may be asked for is dropped.
                ToReplica::Observe { from_seq } if asked.len() < OBSERVATIONS_MAX => {
                    asked.push(from_seq);
                }
                ToReplica::Observe { .. } => {}
            },
            () = tokio::time::sleep(Duration::from_millis(1)), if !asked.is_empty() => {
                let behaviour = *shared.behaviour.lock().unwrap();
                let answered = match behaviour {
                    Behaviour::Silent => Vec::new(),
                    _ => std::mem::take(&mut asked),
                };
                for from_seq in answered {
                    let observation = Observation {
                        status_json: Blob(format!(r#"{{"view":0,"id":{}}}"#, id.0).into()),
                        committed: Vec::new(),
                        next_seq: from_seq,
                        checkpoints: Vec::new(),
                    };
                    let frame = crypto::encode(&ToClient::Observation(observation));
                    writer.write_all(&[frame.into()]).await.ok()?;
                }
            }
            raw = heard.recv() => {
                let request = parse(raw.ok()?, cluster);
                let behaviour = *shared.behaviour.lock().unwrap();
                if behaviour != Behaviour::Silent && attached.contains(&request.id.client) {
                    let seq = SeqNo(request.id.number);
                    answers.push(reply(id, &request, seq, outcome(&request, behaviour)));
                }
            }
        }
        if !answers.is_empty() {
            let frame = crypto::encode(&ToClient::Replies(answers));
            writer.write_all(&[frame.into()]).await.ok()?;
        }
    }
}

fn parse(raw: Bytes, cluster: &Cluster) -> Request {
    Request::parse(raw, cluster.limits()).unwrap()
}

fn reply(replica: ReplicaId, request: &Request, seq: SeqNo, outcome: Outcome) -> Reply {
    Reply {
        term: Term::default(),
        replica,
        id: request.id,
        seq,
        outcome,
    }
}

fn answer(replica: ReplicaId, read: &Read, behaviour: Behaviour) -> Reply {
    let body = body(&read.ops, SeqNo(1), behaviour);
    let versions = vec![SeqNo(1); read.ops.len()];
    Reply {
        term: Term::default(),
        replica,
        id: read.id,
        seq: SeqNo(1),
        outcome: Outcome::Read { body, versions },
    }
}

fn outcome(request: &Request, behaviour: Behaviour) -> Outcome {
    let seq = SeqNo(request.id.number);
    Outcome::Executed(body(&request.ops(), seq, behaviour))
}

/// Results that depend on nothing but the request: reads find their own key as value.
fn body(ops: &ByteList, seq: SeqNo, behaviour: Behaviour) -> ResultBody {
    let version = Version { seq, rank: 0 };
    let result = |op: &[u8]| match Op::decode(op).unwrap() {
        Op::Read { key } if key.starts_with(b"absent") => OpResult::Absent,
        Op::Read { .. } if behaviour == Behaviour::Lying => OpResult::Value {
            value: Blob(Bytes::from_static(b"lie")),
            version,
        },
        Op::Read { key } => OpResult::Value {
            value: key,
            version,
        },
        Op::Create { .. } => OpResult::AlreadyExists { version },
        Op::Update { .. } | Op::Delete { .. } => OpResult::NotFound,
        _ => OpResult::Put { version },
    };
    let results: ByteList = ops.iter().map(|op| result(op).encode()).collect();
    let full = ResultBody::Full(results);
    match behaviour {
        Behaviour::HashOnly => ResultBody::Hash(full.digest()),
        _ => full,
    }
}

pub(crate) fn client_key(id: u32) -> SecretKey {
    SecretKey::derive(&MASTER, "client", u64::from(id))
}

fn replica_key(id: u16) -> SecretKey {
    SecretKey::derive(&MASTER, "replica", u64::from(id))
}
