//! What does a brick, a release, a request look like?
//!
//! Types that are parsed once: whoever holds one need not check its form again. Nothing here reads a file, a clock
//! or a network; nothing here checks a signature.

pub mod archive;
pub mod digest;
pub mod index_line;
pub mod json;
pub mod key;
pub mod name;
mod newtype;
pub mod origin;
pub mod predicate;
pub mod version;

pub use digest::{Blob, Contents, Digest};
pub use index_line::IndexLine;
pub use key::{KeySet, PublicKey};
pub use name::{BrickName, FeatureName, FullName, PublisherName};
pub use origin::Origin;
pub use version::{Requirement, Version};
