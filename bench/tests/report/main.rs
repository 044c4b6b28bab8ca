//! Reports as their readers and their scripts see them: the command, the page, and what a browser makes of it.

#![allow(clippy::unwrap_used, missing_docs)]

mod browser;
mod command;
mod fixture;
mod page;
#[path = "../program/mod.rs"]
mod program;
