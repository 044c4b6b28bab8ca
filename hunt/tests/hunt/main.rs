//! Planted bugs and what catches them (see the crate's own documentation).

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod cast;
mod chance;
mod history;
mod ledger;
mod modelling;
mod mutants;
mod rounds;
mod schedules;
mod selecting;
mod stage;
