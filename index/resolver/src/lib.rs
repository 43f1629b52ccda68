//! Which release of each brick, or why none?
//!
//! [`resolve`] takes a [`Problem`] (what is required, what is known of the index, what was locked) and gives a
//! [`Resolution`] or says why not ([`Unresolved`]). It is a function of its arguments: no file, network, clock or
//! randomness, and neither the order of insertion nor what else the [`Universe`] holds changes the answer.
//!
//! The index is asked for as the solver goes: [`Unresolved::Unfetched`] names the bricks that the caller fetches, all
//! at once, before it asks again.
//!
//! ```
//! use std::collections::BTreeMap;
//! use brick_resolver::{Problem, Universe, Unresolved, resolve};
//!
//! let (requires, features, locked) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
//! let mut universe = Universe::default();
//! let resolution = loop {
//!     let problem = Problem::new("northshire.gov.uk/report-missed-bin", &requires, &features, &universe, &locked);
//!     match resolve(&problem) {
//!         Err(Unresolved::Unfetched(names)) => {
//!             for name in names {
//!                 universe.insert(name, None); // what the index says of it
//!             }
//!         }
//!         other => break other,
//!     }
//! };
//! assert!(resolution.unwrap().bricks.is_empty());
//! ```

mod activate;
mod encoding;
mod explain;
mod line;
mod offers;
mod problem;
mod set;
mod solve;
mod universe;
mod words;

pub use encoding::{MAX_PACKAGES, MAX_REQUIREMENT_WORDS, MAX_STEPS, MAX_WORK};
pub use explain::{Explanation, LeftOut, MAX_NAMED, Reason, Who, Why};
pub use line::CompatibleLine;
pub use problem::{Note, Preference, Problem, Resolution, Resolved, Unresolved};
pub use solve::{MAX_UNFETCHED, resolve};
pub use universe::Universe;
pub use words::MAX_EXPLANATION_LINES;
