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

mod explain;
mod line;
mod problem;
mod universe;

pub use explain::{Explanation, LeftOut, MAX_EXPLANATION_LINES, Reason, Term, Who, Why};
pub use line::CompatibleLine;
pub use problem::{Note, Preference, Problem, Resolution, Resolved, Unresolved, resolve};
pub use universe::Universe;
