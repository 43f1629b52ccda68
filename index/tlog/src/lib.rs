//! Is this entry in this append-only log?
