//! The registry each organisation runs: how programs and people reach it, and how it follows its peers.

pub mod api;
pub mod asking;
pub mod blobs;
pub mod founding;
pub mod git_http;
pub mod heads;
pub mod log_tail;
pub mod nodes;
pub mod problem;
pub mod projecting;
pub mod proofs;
pub mod reads;
pub mod receive;
pub mod registry;
pub mod sequencer;
pub mod server;
pub mod settings;
pub mod setup;
pub mod sync;
pub mod witness;

pub use registry::{Registry, RegistryError};
pub use server::{Server, start};
pub use settings::{Peer, Settings};
