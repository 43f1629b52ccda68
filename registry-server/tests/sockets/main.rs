//! What does a running registry answer, seen from its sockets? Real servers on loopback, real git, a real database.

mod files;
mod http;
mod races;
mod refusals;
mod town;
mod witness;
