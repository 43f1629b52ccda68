//! What is relied on, and what is refused at which step: each check of design §7 and §8 that needs no network.

mod commons;
mod entries;
mod heads;
mod releases;
mod support;
