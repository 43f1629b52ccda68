//! One command, no set-up: a whole commons on this machine (design §11).

pub mod ceremony;
