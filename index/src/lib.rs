//! What do the logs add up to (index lines, snapshots, records), and how is that kept in git?

pub mod audit;
pub mod fold;
pub mod follow;
pub mod layout;
pub mod projection;
pub mod replay;
