//! Stretches of a publisher's log, replayed as if they came from an enemy.

#[path = "../../trust/tests/checks/support.rs"]
mod support;

mod chronicle;
mod pieces;
mod refused;
