//! The registry each organisation runs
