//! How to ask a registry
