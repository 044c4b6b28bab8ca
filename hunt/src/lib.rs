//! Nothing but tests. Each rule of the protocol that must not be "simplified" (docs/protocol.md
//! R21) is broken on purpose (`consensus::mutation`), and something here has to notice:
//!
//! * `tests/hunt/history.rs`: all histories that a correct protocol could have produced at n = 4
//!   and 5, and samples of larger ones, against the real SELECT and COMPUTE_O;
//! * `tests/hunt/selecting.rs`: SELECT and COMPUTE_O read literally;
//! * `tests/hunt/rounds.rs`: a stateright model of whole replicas with an omnipotent Byzantine member;
//! * `tests/hunt/schedules/`: scripts with a puppet that signs whatever the script asks for;
//! * `tests/hunt/mutants.rs`: the table of planted bugs and catchers. It writes docs/mutants.md.
//!
//! It is a crate of its own because only its dev-dependencies may switch planted bugs on: no
//! other package, and no binary, is built with them.
