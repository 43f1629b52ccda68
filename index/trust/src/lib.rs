//! May I rely on these bytes, and why?
//!
//! Pure: clocks, files and randomness are handed in. Every refusal names its [`Step`].

pub mod commons;
pub mod entry;
pub mod envelope;
pub mod evidence;
pub mod head;
pub mod key;
pub mod refused;
pub mod root;
pub mod snapshot;

pub use commons::{Commons, Pin};
pub use entry::{BasisRoot, Entry, Position, SignedEntry, authorise};
pub use envelope::{Envelope, Signer};
pub use head::{Head, HeadRules, open_head};
pub use refused::{Refused, Step};
pub use root::Root;
