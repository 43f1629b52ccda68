//! The transparency log seen from outside: published vectors, other implementations, properties, and broken inputs.

mod checkpoint;
mod cosignature;
mod ed25519;
mod note;
mod oracles;
mod policy;
mod primitives;
mod proof;
mod published_log;
mod snapshot;
mod support;
mod tile;
mod tree;
mod witness;
