//! Does the store keep what it acknowledged, whole, and show readers one size at a time? Real SQLite, real files.

mod blobs;
mod crash;
mod disk;
mod fixture;
mod reading;
mod witnesses;
mod writing;
