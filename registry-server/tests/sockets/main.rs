//! What does a running registry answer, seen from its sockets? Real servers on loopback, real git, a real database.

mod backups;
mod checking;
mod files;
mod following;
mod gaps;
mod git;
mod hostile;
mod http;
mod late;
mod liars;
mod lists;
mod races;
mod refusals;
mod rot;
mod stopping;
mod town;
mod witness;
