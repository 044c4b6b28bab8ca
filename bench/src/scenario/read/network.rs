//! The `[network]` table.

use std::path::Path;
use std::time::Duration;

use super::link::{conditions, replicas};
use crate::emulation::{Matrix, matrix_names, named_matrix};
use crate::scenario::link::LinkConditions;
use crate::scenario::nearest::nearest;
use crate::scenario::network::{Distances, Network, NetworkLink};
use crate::scenario::problem::Problem;
use crate::scenario::refusal::Refusal;
use crate::scenario::section::Section;
use crate::scenario::tree::{Entry, Node, SET, Value};

/// `[[network.link]]` entries at most: each directed link of the largest cluster has room in far fewer.
const LINKS_MAX: usize = 1_000;

/// Reads the table if it is there.
pub(super) fn read(root: &mut Section<'_, '_>, n: u32) -> Option<Network> {
    if !root.has("network") {
        let _ = root.take("network");
        return None;
    }
    Some(root.table("network", |table| {
        let default = table.table("default", conditions);
        if default == LinkConditions::default() {
            // So that the effective file has the table, too.
            table.default_group("network.default", None);
        }
        let regions = regions(table, n);
        let matrix = matrix(table, regions.is_empty());
        let clients = table.optional("clients", |value| text(value, "clients = \"virginia\""));
        let distances = distances(table, n, &regions, matrix.as_ref(), clients.as_deref());
        Network {
            default,
            regions,
            matrix: matrix.map(|(name, _)| name),
            clients,
            link: links(table, n),
            distances,
        }
    }))
}

fn text(value: &Value, example: &str) -> Result<String, Refusal> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        other => Err(Refusal::kind("a string", other, example)),
    }
}

fn regions(table: &mut Section<'_, '_>, n: u32) -> Vec<String> {
    let example = "regions = [\"virginia\", \"ireland\"]";
    let read = |value: &Value| {
        let Value::Array(items) = value else {
            return Err(Refusal::kind("a list of regions", value, example));
        };
        let names = items.iter().map(|item| text(&item.value, example));
        let names: Vec<String> = names.collect::<Result<_, _>>()?;
        match names.len() {
            0 => Err(Refusal::new(
                "the list is empty",
                format!("for example {example}"),
            )),
            many if many > n as usize => Err(Refusal::new(
                format!("there are {many} regions for {n} replicas"),
                format!("write {n} at most; with fewer it begins again"),
            )),
            _ => Ok(names),
        }
    };
    table.optional("regions", read).unwrap_or_default()
}

/// The name of the matrix, and the matrix.
fn matrix(table: &mut Section<'_, '_>, unused: bool) -> Option<(String, Matrix)> {
    if unused {
        let why = "without regions nothing is looked up in it";
        table.inapplicable(&["matrix"], "regions", why, "add regions = [...]");
        return None;
    }
    let path = table.path("matrix");
    let written = table.optional("matrix", |value| text(value, "matrix = \"aws\""));
    let Some(name) = written else {
        if !table.reading.refused(&path) && !table.reading.refused(&table.path("regions")) {
            let problem = Problem::new("`network.regions` needs a `matrix` of round trips");
            let help = "add matrix = \"aws\", or the path of a CSV file";
            let regions = table.path("regions");
            table
                .reading
                .blame(&[&regions], problem.help(help), "regions of what?");
        }
        return None;
    };
    if let Some(matrix) = named_matrix(&name) {
        return Some((name, matrix));
    }
    match from_file(table, &path, &name) {
        Ok(matrix) => Some((name, matrix)),
        Err(problem) => {
            table.reading.blame(&[&path], problem, "");
            None
        }
    }
}

/// A path is relative to the file that names it, or to where the program was started.
fn from_file(table: &Section<'_, '_>, path: &str, name: &str) -> Result<Matrix, Problem> {
    let beside = table.reading.place(path).and_then(|place| {
        let source = &table.reading.layers[place.layer];
        let folder = Path::new(&source.name).parent()?;
        (source.name != SET).then(|| folder.join(name))
    });
    let file = match beside {
        Some(beside) if beside.exists() => beside,
        _ => Path::new(name).to_owned(),
    };
    let names: Vec<&str> = matrix_names().collect();
    let text = std::fs::read_to_string(&file).map_err(|error| {
        let problem = Problem::new(format!(
            "`{path}`: \"{name}\" is no known matrix and no file: {error}"
        ));
        problem.help(match nearest(name, &names) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!(
                "write one of {}, or the path of a CSV file",
                names.join(", ")
            ),
        })
    })?;
    Matrix::parse(&text).map_err(|error| {
        Problem::new(format!("`{path}`: {} is no matrix: {error}", file.display()))
            .help("the first line names the places, each other line begins with one; the rest is milliseconds")
    })
}

fn distances(
    table: &mut Section<'_, '_>,
    n: u32,
    regions: &[String],
    matrix: Option<&(String, Matrix)>,
    clients: Option<&str>,
) -> Distances {
    let Some((name, matrix)) = matrix else {
        if clients.is_some() && regions.is_empty() {
            let path = table.path("clients");
            let problem = Problem::new(
                "`network.clients` names a region, and the replicas have none",
            )
            .help("add regions and a matrix, or remove it: then clients are beside the replicas");
            table.reading.blame(&[&path], problem, "");
        }
        return Distances::default();
    };
    let known: Vec<&str> = matrix.places().collect();
    for (key, place) in regions
        .iter()
        .map(|place| ("regions", place.as_str()))
        .chain(clients.map(|place| ("clients", place)))
    {
        if known.contains(&place) {
            continue;
        }
        let path = table.path(key);
        let problem = Problem::new(format!(
            "`{path}`: \"{place}\" is no place of the matrix \"{name}\""
        ))
        .help(format!("it has {}", known.join(", ")));
        let label = nearest(place, &known).map_or_else(
            || "unknown".to_owned(),
            |near| format!("did you mean \"{near}\"?"),
        );
        table.reading.blame(&[&path], problem, &label);
        return Distances::default();
    }
    let place = |id: u32| regions[id as usize % regions.len()].as_str();
    let trip = |from: &str, to: &str| matrix.round_trip(from, to).unwrap_or_default();
    let row =
        |from: u32| -> Vec<Duration> { (0..n).map(|to| trip(place(from), place(to))).collect() };
    Distances {
        replicas: (0..n).map(row).collect(),
        clients: clients.map_or_else(Vec::new, |clients| {
            (0..n).map(|id| trip(place(id), clients)).collect()
        }),
    }
}

fn links(table: &mut Section<'_, '_>, n: u32) -> Vec<NetworkLink> {
    let path = table.path("link");
    let Some(Entry { node, .. }) = table.take("link") else {
        return Vec::new();
    };
    let Value::Array(items) = node.value else {
        let refusal = Refusal::kind("a list of tables", &node.value, "[[network.link]]");
        table.refuse(&path, node.place, refusal);
        return Vec::new();
    };
    if items.len() > LINKS_MAX {
        let message = format!("{} entries are too many", items.len());
        let refusal = Refusal::new(
            message,
            format!("write {LINKS_MAX} at most; from and to take lists"),
        );
        table.refuse(&path, node.place, refusal);
        return Vec::new();
    }
    let mut links = Vec::with_capacity(items.len());
    for (index, Node { value, place }) in items.into_iter().enumerate() {
        let path = format!("{path}.{index}");
        let Value::Table(entry) = value else {
            table.refuse(
                &path,
                place,
                Refusal::kind("a table", &value, "[[network.link]]"),
            );
            continue;
        };
        links.push(table.subtable(&path, entry, |table| NetworkLink {
            from: replicas(table, "from", n),
            to: replicas(table, "to", n),
            conditions: conditions(table),
        }));
    }
    links
}
