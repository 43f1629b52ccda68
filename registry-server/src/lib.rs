//! The registry each organisation runs: how programs and people reach it, and how it follows its peers.

pub mod asking;
pub mod heads;
pub mod log_tail;
pub mod nodes;
pub mod problem;
pub mod proofs;
pub mod receive;
pub mod registry;
pub mod sequencer;
pub mod settings;
pub mod witness;
