//! What the logs add up to, and how that is kept in git
