//! Where entries, checkpoints, catalogue and blobs live, durably
