//! The protocol core, rule by rule (docs/protocol.md): events in, lists of actions out.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod early;
mod entering;
mod fixture;
mod node;
mod signing_views;
mod slowness;

mod net;

mod bounds;
mod catching_up;
mod checkpoints;
mod commits;
mod configuration;
mod counting;
mod durability;
mod epoch_clusters;
mod epoch_promises;
mod epoch_states;
mod epochs;
mod flows;
mod histories;
mod hostile;
mod known_bugs;
mod learners;
mod leaving;

mod opening;
mod proposing;
mod quorums;
mod refused_openings;
mod refused_reports;
mod report_sets;
mod reporting;
mod selecting;
mod sessions;
mod state_transfer;
mod view_changes;
mod view_flows;
mod view_restarts;
mod view_timers;
mod voting;
mod wire;
