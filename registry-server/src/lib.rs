//! The registry each organisation runs: how programs and people reach it, and how it follows its peers.
//!
//! From the outside in: [`listening`] and [`front`] take requests, [`routes`] says which there are. [`receive`],
//! [`admission`], [`sequencer`] and [`signing`] are the way of an entry into a log; [`reads`], [`lists`] and [`git_http`]
//! the way out, [`kept_answers`] the short one. [`sync`] and [`mirroring`] follow the peers, from
//! what [`heads_list`] and [`reads`] give out there, or from git; [`witness`] and [`asking`] exchange cosignatures, neither
//! they nor the sequencer before [`gap`] says that a log is caught up;
//! [`recovering`] brings it back when the disk failed, [`clients`] keeps one client from starving the others;
//! [`projecting`] writes the git repository, [`rebuilding`] makes it again, [`check`] holds all of it
//! against what was signed.

pub mod admission;
pub mod api;
pub mod archive_check;
pub mod aside;
pub mod asking;
pub mod blob_reads;
pub mod blobs;
pub mod blocking;
pub mod check;
pub mod clients;
pub mod closed;
pub mod commands;
pub mod configured;
pub mod counts;
pub mod crew;
pub mod drafting;
pub mod founding;
pub mod front;
pub mod gap;
pub mod git_http;
pub mod git_process;
pub mod heads;
pub mod heads_list;
pub mod health;
pub mod keeping;
pub mod kept_answers;
pub mod kept_index;
pub mod listening;
pub mod lists;
pub mod log_tail;
pub mod metrics;
pub mod mirroring;
pub mod nodes;
pub mod openapi;
pub mod own_heads;
pub mod own_thread;
pub mod peer_clients;
pub mod peer_heads;
pub mod plain;
pub mod problem;
pub mod projecting;
pub mod proofs;
pub mod reads;
pub mod rebuilding;
pub mod receive;
pub mod recovering;
pub mod registry;
pub mod request_id;
pub mod routes;
pub mod sequencer;
pub mod server;
pub mod settings;
pub mod signing;
pub mod slow;
pub mod source;
pub mod stored_index;
pub mod sweep;
pub mod sync;
pub mod sync_status;
pub mod texts;
pub mod turns;
pub mod witness;

pub use registry::{Registry, RegistryError};
pub use server::{Server, start};
pub use settings::{Patience, Peer, Portions, Settings};
