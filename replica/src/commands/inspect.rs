//! `replica inspect` and `replica fsck`: a stopped replica's data.

use std::path::PathBuf;

use replica::inspect::{Inspection, Remembered, Standing};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The directory of a replica that does not run
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// The data does not add up.
#[derive(Debug, thiserror::Error)]
#[error("{0}; the next start sets the data aside, and the replica has no vote until it is renewed")]
pub(super) struct Damage(String);

/// Shows what is there. Damage is shown like everything else.
pub(super) fn inspect(arguments: &Arguments, json: bool) -> anyhow::Result<()> {
    let found = replica::inspect::inspect(&arguments.directory)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&found)?);
    } else {
        print!("{}", page(&found));
    }
    Ok(())
}

/// Verifies what is there: damage is a failure.
pub(super) fn fsck(arguments: &Arguments, json: bool) -> anyhow::Result<()> {
    let found = replica::inspect::inspect(&arguments.directory)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&found)?);
    }
    match (found.damage, found.memory) {
        (Some(damage), _) => Err(Damage(damage).into()),
        _ if json => Ok(()),
        (None, Some(memory)) => {
            println!(
                "{}: {} records and {} keys at checkpoint {} add up",
                arguments.directory.display(),
                memory.records.votes + memory.records.prepared + memory.records.unbound,
                memory.keys,
                memory.checkpoint
            );
            Ok(())
        }
        (None, None) => {
            println!("{}: has never run", arguments.directory.display());
            Ok(())
        }
    }
}

fn page(found: &Inspection) -> String {
    let standing = match found.standing {
        Standing::New => "has never run; its first run gives it a vote",
        Standing::Member => "member",
        Standing::Learner => "learner: it has lost records and waits for its vote",
        Standing::Lost => "none: its records are lost, and the next start makes it a learner",
    };
    let mut lines = vec![
        ("replica", found.replica.to_string()),
        ("cluster", found.cluster.chars().take(16).collect()),
        ("standing", standing.to_owned()),
    ];
    if let Some(damage) = &found.damage {
        lines.push(("damage", damage.clone()));
    }
    if let Some(memory) = &found.memory {
        lines.extend(remembered(memory));
    }
    for path in &found.set_aside {
        lines.push(("set aside", path.display().to_string()));
    }
    lines
        .iter()
        .map(|(name, text)| format!("{name:<11} {text}\n"))
        .collect()
}

fn remembered(memory: &Remembered) -> Vec<(&'static str, String)> {
    let stop = match memory.clean_stop {
        true => "clean stop",
        false => "no clean stop",
    };
    let view = match memory.changing_view {
        true => format!("{}, not entered yet", memory.view),
        false => memory.view.to_string(),
    };
    let voted = memory.records.voted.map_or(String::new(), |(low, high)| {
        format!(" in slots {low} to {high}")
    });
    let state = match &memory.state_digest {
        Some(digest) => {
            let short: String = digest.chars().take(16).collect();
            format!(
                "checkpoint {}, {} keys, digest {short} verified",
                memory.checkpoint, memory.keys
            )
        }
        None => "none".to_owned(),
    };
    vec![
        ("runs", format!("{}, {stop}", memory.incarnation)),
        ("epoch", memory.epoch.to_string()),
        ("view", view),
        ("stable", format!("checkpoint {}", memory.stable)),
        ("state", state),
        (
            "records",
            format!(
                "{} votes{voted}, {} prepared certificates, {} others; chain verified",
                memory.records.votes, memory.records.prepared, memory.records.unbound
            ),
        ),
    ]
}
