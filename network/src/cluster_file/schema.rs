//! The keys of `cluster.toml` and their way to and from [`ClusterFile`].
//!
//! The tables here are what stands in the file, word for word. Unknown keys are refused: a
//! misspelt limit would otherwise be a default that nobody asked for.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use consensus::{ClientId, FastQuorum, Limits, Policy, ReplicaId};
use crypto::{Digest, PublicKey};
use serde::{Deserialize, Serialize};

use super::{COMMIT_MODES, ClientEntry, ClusterFile, ClusterFileError, ReplicaEntry};

/// The version of this format.
const SCHEMA: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    id: String,
    f: u16,
    fast_quorum: Fast,
    limits: LimitsTable,
    #[serde(default)]
    policy: PolicyTable,
    replica: Vec<ReplicaTable>,
    #[serde(default)]
    client: Vec<ClientTable>,
}

/// A word or a number.
#[derive(Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected \"strong\", \"conservative\", \"off\" or a number"
)]
enum Fast {
    Exactly(u16),
    Named(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsTable {
    checkpoint_interval: u64,
    log_window: u64,
    batch_requests_max: u32,
    batch_bytes_max: u32,
    request_ops_max: u16,
    op_bytes_max: u32,
    result_bytes_max: u32,
    client_window: u64,
    quorum_reads: bool,
}

/// Durations are texts with a unit.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PolicyTable {
    commit_mode: String,
    inflight_max: usize,
    batch_delay: String,
    status_interval: String,
    heartbeat_timeout: String,
    request_timeout: String,
    order_delay_min: String,
    view_change_timeout: String,
    retransmit_interval: String,
    fast_timeout_min: String,
    fast_timeout_max: String,
    pending_requests_max: usize,
    pending_bytes_max: usize,
    pending_per_client_max: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplicaTable {
    id: u16,
    key: String,
    peer: String,
    client: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientTable {
    id: u32,
    key: String,
}

pub(super) fn parse(text: &str, path: &Path) -> Result<ClusterFile, ClusterFileError> {
    let file: File = toml::from_str(text).map_err(|error| ClusterFileError::Syntax {
        path: path.into(),
        message: error.to_string().trim_end().to_owned(),
    })?;
    let value = |key: &str, problem: String| ClusterFileError::Value {
        path: path.into(),
        key: key.to_owned(),
        problem,
    };
    if file.schema != SCHEMA {
        let problem = format!(
            "{} is not {SCHEMA}, the one this program reads: use the program that wrote the file",
            file.schema
        );
        return Err(value("schema", problem));
    }
    let written = Digest::from_str(&file.id).map_err(|error| value("id", error.to_string()))?;
    let parsed = ClusterFile {
        f: file.f,
        fast_quorum: fast(&file.fast_quorum).map_err(|problem| value("fast_quorum", problem))?,
        limits: file.limits.into(),
        policy: file
            .policy
            .parse()
            .map_err(|(key, problem)| value(key, problem))?,
        replicas: replicas(&file.replica).map_err(|(key, problem)| value(&key, problem))?,
        clients: clients(&file.client).map_err(|(key, problem)| value(&key, problem))?,
    };
    let cluster = parsed
        .cluster()
        .map_err(|source| ClusterFileError::Config {
            path: path.into(),
            source,
        })?;
    let computed = cluster.id().0;
    if computed != written {
        let (written, computed) = (written.to_string(), computed.to_string());
        return Err(ClusterFileError::Id {
            path: path.into(),
            written,
            computed,
        });
    }
    Ok(parsed)
}

pub(super) fn to_toml(file: &ClusterFile, path: &Path) -> Result<String, ClusterFileError> {
    let cluster = file.cluster().map_err(|source| ClusterFileError::Config {
        path: path.into(),
        source,
    })?;
    let table = File {
        schema: SCHEMA,
        id: cluster.id().0.to_string(),
        f: file.f,
        fast_quorum: match file.fast_quorum {
            FastQuorum::Strong => Fast::Named("strong".into()),
            FastQuorum::Conservative => Fast::Named("conservative".into()),
            FastQuorum::Off => Fast::Named("off".into()),
            FastQuorum::Exactly(votes) => Fast::Exactly(votes),
        },
        limits: (&file.limits).into(),
        policy: (&file.policy).into(),
        replica: file.replicas.iter().map(ReplicaTable::from).collect(),
        client: file.clients.iter().map(ClientTable::from).collect(),
    };
    let body = toml::to_string(&table).map_err(|error| ClusterFileError::Syntax {
        path: path.into(),
        message: error.to_string(),
    })?;
    Ok(format!("{HEADER}{body}"))
}

const HEADER: &str = "\
# A Quintet cluster. The same file for every replica and client.
# Addresses and [policy] may be changed; anything else belongs to the id.

";

fn fast(fast: &Fast) -> Result<FastQuorum, String> {
    match fast {
        Fast::Exactly(votes) => Ok(FastQuorum::Exactly(*votes)),
        Fast::Named(name) => match name.as_str() {
            "strong" => Ok(FastQuorum::Strong),
            "conservative" => Ok(FastQuorum::Conservative),
            "off" => Ok(FastQuorum::Off),
            _ => Err(format!(
                "{name:?} is none: write \"strong\", \"conservative\", \"off\" or a number"
            )),
        },
    }
}

/// A key of the file and what is wrong with its value.
type Problem<K> = (K, String);

fn replicas(tables: &[ReplicaTable]) -> Result<Vec<ReplicaEntry>, Problem<String>> {
    let mut addresses = BTreeSet::new();
    let mut entries = Vec::with_capacity(tables.len());
    for (position, table) in tables.iter().enumerate() {
        let at = |key: &str| format!("replica {position}: {key}");
        if usize::from(table.id) != position {
            return Err((
                at("id"),
                format!(
                    "{} stands at position {position}: list replicas in order of id, from 0, without gaps",
                    table.id
                ),
            ));
        }
        let mut address = |key: &str, text: &str| {
            let parsed = listening_address(text).map_err(|problem| (at(key), problem))?;
            if !addresses.insert(parsed) {
                return Err((
                    at(key),
                    format!("{parsed} is used twice: give every port of every replica its own"),
                ));
            }
            Ok(parsed)
        };
        entries.push(ReplicaEntry {
            id: ReplicaId(table.id),
            peer: address("peer", &table.peer)?,
            client: address("client", &table.client)?,
            key: public_key(&table.key).map_err(|problem| (at("key"), problem))?,
        });
    }
    Ok(entries)
}

fn clients(tables: &[ClientTable]) -> Result<Vec<ClientEntry>, Problem<String>> {
    let entry = |(position, table): (usize, &ClientTable)| {
        let at = |key: &str| format!("client {position}: {key}");
        if usize::try_from(table.id).ok() != Some(position) {
            return Err((
                at("id"),
                format!(
                    "{} stands at position {position}: list clients in order of id, from 0, without gaps",
                    table.id
                ),
            ));
        }
        let key = public_key(&table.key).map_err(|problem| (at("key"), problem))?;
        Ok(ClientEntry {
            id: ClientId(table.id),
            key,
        })
    };
    tables.iter().enumerate().map(entry).collect()
}

fn public_key(text: &str) -> Result<PublicKey, String> {
    text.parse()
        .map_err(|error| format!("{error}: write the key as `replica genesis` made it"))
}

fn listening_address(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| format!("{text:?} is no address: write IP:PORT, such as 127.0.0.1:7100"))?;
    if address.port() == 0 || address.ip().is_unspecified() {
        return Err(format!(
            "{address} cannot be dialled: write the address and port that others dial"
        ));
    }
    Ok(address)
}

impl From<LimitsTable> for Limits {
    fn from(table: LimitsTable) -> Self {
        Limits {
            checkpoint_interval: table.checkpoint_interval,
            log_window: table.log_window,
            batch_requests_max: table.batch_requests_max,
            batch_bytes_max: table.batch_bytes_max,
            request_ops_max: table.request_ops_max,
            op_bytes_max: table.op_bytes_max,
            result_bytes_max: table.result_bytes_max,
            client_window: table.client_window,
            quorum_reads: table.quorum_reads,
        }
    }
}

impl From<&Limits> for LimitsTable {
    fn from(limits: &Limits) -> Self {
        LimitsTable {
            checkpoint_interval: limits.checkpoint_interval,
            log_window: limits.log_window,
            batch_requests_max: limits.batch_requests_max,
            batch_bytes_max: limits.batch_bytes_max,
            request_ops_max: limits.request_ops_max,
            op_bytes_max: limits.op_bytes_max,
            result_bytes_max: limits.result_bytes_max,
            client_window: limits.client_window,
            quorum_reads: limits.quorum_reads,
        }
    }
}

impl Default for PolicyTable {
    fn default() -> Self {
        (&Policy::default()).into()
    }
}

impl From<&Policy> for PolicyTable {
    fn from(policy: &Policy) -> Self {
        let mode = COMMIT_MODES
            .iter()
            .find(|(_, mode)| *mode == policy.commit_mode);
        PolicyTable {
            commit_mode: mode.expect("every commit mode has a name").0.to_owned(),
            inflight_max: policy.inflight_max,
            batch_delay: duration_text(policy.batch_delay),
            status_interval: duration_text(policy.status_interval),
            heartbeat_timeout: duration_text(policy.heartbeat_timeout),
            request_timeout: duration_text(policy.request_timeout),
            order_delay_min: duration_text(policy.order_delay_min),
            view_change_timeout: duration_text(policy.view_change_timeout),
            retransmit_interval: duration_text(policy.retransmit_interval),
            fast_timeout_min: duration_text(policy.fast_timeout_min),
            fast_timeout_max: duration_text(policy.fast_timeout_max),
            pending_requests_max: policy.pending_requests_max,
            pending_bytes_max: policy.pending_bytes_max,
            pending_per_client_max: policy.pending_per_client_max,
        }
    }
}

impl PolicyTable {
    fn parse(&self) -> Result<Policy, Problem<&'static str>> {
        let time = |key: &'static str, text: &str| duration(text).map_err(|problem| (key, problem));
        let count = |key: &'static str, value: usize| match value {
            0 => Err((key, "0 would stop the replica: write at least 1".to_owned())),
            _ => Ok(value),
        };
        let mode = COMMIT_MODES
            .iter()
            .find(|(name, _)| *name == self.commit_mode);
        let (_, commit_mode) = mode.ok_or_else(|| {
            let problem = format!(
                "{:?} is none: write \"adaptive\" or \"eager\"",
                self.commit_mode
            );
            ("policy.commit_mode", problem)
        })?;
        Ok(Policy {
            commit_mode: *commit_mode,
            inflight_max: count("policy.inflight_max", self.inflight_max)?,
            batch_delay: time("policy.batch_delay", &self.batch_delay)?,
            status_interval: time("policy.status_interval", &self.status_interval)?,
            heartbeat_timeout: time("policy.heartbeat_timeout", &self.heartbeat_timeout)?,
            request_timeout: time("policy.request_timeout", &self.request_timeout)?,
            order_delay_min: time("policy.order_delay_min", &self.order_delay_min)?,
            view_change_timeout: time("policy.view_change_timeout", &self.view_change_timeout)?,
            retransmit_interval: time("policy.retransmit_interval", &self.retransmit_interval)?,
            fast_timeout_min: time("policy.fast_timeout_min", &self.fast_timeout_min)?,
            fast_timeout_max: time("policy.fast_timeout_max", &self.fast_timeout_max)?,
            pending_requests_max: count("policy.pending_requests_max", self.pending_requests_max)?,
            pending_bytes_max: count("policy.pending_bytes_max", self.pending_bytes_max)?,
            pending_per_client_max: count(
                "policy.pending_per_client_max",
                self.pending_per_client_max,
            )?,
        })
    }
}

impl From<&ReplicaEntry> for ReplicaTable {
    fn from(entry: &ReplicaEntry) -> Self {
        ReplicaTable {
            id: entry.id.0,
            key: entry.key.to_string(),
            peer: entry.peer.to_string(),
            client: entry.client.to_string(),
        }
    }
}

impl From<&ClientEntry> for ClientTable {
    fn from(entry: &ClientEntry) -> Self {
        ClientTable {
            id: entry.id.0,
            key: entry.key.to_string(),
        }
    }
}

/// Units, largest first, in nanoseconds.
const UNITS: [(&str, u128); 4] = [
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// The shortest text with a unit that gives this duration exactly.
fn duration_text(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let exact = UNITS.iter().find(|(_, size)| nanos.is_multiple_of(*size));
    let (unit, size) = exact.expect("one nanosecond divides every duration");
    format!("{}{unit}", nanos / size)
}

/// The longest duration of the policy that makes sense.
const DURATION_MAX: Duration = Duration::from_secs(3600);

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || {
        format!(
            "{text:?} is no duration: write a whole number with s, ms, us or ns, such as \"500ms\""
        )
    };
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let (_, size) = UNITS
        .iter()
        .find(|(name, _)| *name == unit.trim())
        .ok_or_else(wrong)?;
    let nanos = u128::from(number) * size;
    match u64::try_from(nanos).map(Duration::from_nanos) {
        Ok(Duration::ZERO) => Err("0 is no time to wait: write at least \"1ns\"".to_owned()),
        Ok(duration) if duration <= DURATION_MAX => Ok(duration),
        _ => Err(format!("{text:?} is longer than an hour")),
    }
}
