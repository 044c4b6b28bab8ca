//! The `[network]` table: where the replicas are, and what lies between them (docs/network.md).

use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use super::link::LinkConditions;
use super::schema::Scenario;
use crate::emulation::{Change, Mesh};

/// The network between the replicas. A scenario without it runs on loopback as it is.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Network {
    /// All links that nothing else is said about.
    pub default: LinkConditions,
    /// Where each replica is, in order; with fewer regions than replicas it begins again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
    /// Round trips between regions: a shipped matrix by name, or a CSV file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matrix: Option<String>,
    /// The region of all clients; absent: each is beside the replica that it talks to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clients: Option<String>,
    /// Single links, later ones over earlier ones.
    pub link: Vec<NetworkLink>,
    /// What the matrix says, looked up when the scenario was read.
    #[serde(skip)]
    #[schemars(skip)]
    pub distances: Distances,
}

/// Round trips of the replicas of a scenario.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distances {
    /// From, to; empty without regions.
    pub replicas: Vec<Vec<Duration>>,
    /// From each replica to the clients; empty if they are beside it.
    pub clients: Vec<Duration>,
}

/// Links from some replicas to others.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct NetworkLink {
    /// Who sends; empty: everyone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "ids")]
    pub from: Vec<u32>,
    /// Who receives; empty: everyone else.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "ids")]
    pub to: Vec<u32>,
    /// What is so about them.
    #[serde(flatten)]
    pub conditions: LinkConditions,
}

/// A replica or a list of them.
pub(super) fn ids(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [
        { "type": "integer", "minimum": 0 },
        { "type": "array", "items": { "type": "integer", "minimum": 0 }, "minItems": 1 },
    ] })
}

/// The directed links from these to those; an empty list means everyone.
pub(super) fn links_between(
    n: u32,
    from: &[u32],
    to: &[u32],
) -> impl Iterator<Item = (usize, usize)> {
    let all: Vec<u32> = (0..n).collect();
    let or_all = |ids: &[u32]| {
        if ids.is_empty() {
            all.clone()
        } else {
            ids.to_vec()
        }
    };
    let (from, to) = (or_all(from), or_all(to));
    let pairs = from.into_iter().flat_map(move |from| {
        let to = to.clone().into_iter();
        to.map(move |to| (from as usize, to as usize))
    });
    pairs.filter(|(from, to)| from != to)
}

impl Scenario {
    /// The links that the run begins with; `None` if neither `[network]` nor a fault touches them: then nothing stands
    /// between the replicas and their sockets.
    pub fn mesh(&self) -> Option<Mesh> {
        let n = self.cluster.n;
        let mut mesh = Mesh::new(n as usize);
        let touched = self
            .faults
            .iter()
            .any(|fault| fault.kind.is_of_the_network());
        let Some(network) = &self.network else {
            return touched.then_some(mesh);
        };
        let one_way = |round_trip: Duration| Change {
            delay: Some(round_trip / 2),
            ..Change::default()
        };
        for (from, to) in links_between(n, &[], &[]) {
            mesh.set(from, to, &network.default.change());
            if let Some(round_trip) = network
                .distances
                .replicas
                .get(from)
                .and_then(|row| row.get(to))
            {
                mesh.set(from, to, &one_way(*round_trip));
            }
        }
        for link in &network.link {
            for (from, to) in links_between(n, &link.from, &link.to) {
                mesh.set(from, to, &link.conditions.change());
            }
        }
        for (replica, round_trip) in network.distances.clients.iter().enumerate() {
            mesh.set_clients(replica, &one_way(*round_trip));
        }
        Some(mesh)
    }
}
