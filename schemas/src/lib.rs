//! What does a brick, a release, a request look like?
//!
//! Types that are parsed once: whoever holds one need not check its form again. Nothing here reads a file, a clock
//! or a network; nothing here checks a signature.

pub mod api;
pub mod archive;
pub mod code;
pub mod date;
pub mod diagnostic;
pub mod digest;
pub mod feature;
pub mod index_line;
pub mod introduction;
pub mod json;
pub mod json_schema;
pub mod key;
pub mod language;
pub mod license;
pub mod lockfile;
pub mod manifest;
pub mod money;
pub mod name;
pub mod near;
mod newtype;
pub mod origin;
pub mod path;
pub mod predicate;
mod reader;
pub mod registry_config;
pub mod service;
pub mod text;
pub mod url;
pub mod version;

pub use diagnostic::FileError;
pub use digest::{Blob, Contents, Digest};
pub use feature::FeatureItem;
pub use index_line::IndexLine;
pub use key::{KeySet, PublicKey};
pub use lockfile::{Lockfile, LockfileError};
pub use manifest::{Manifest, ManifestError};
pub use name::{BrickName, FeatureName, FullName, PublisherName};
pub use near::{differs_by_a_hair, near};
pub use origin::Origin;
pub use registry_config::RegistryConfig;
pub use service::ServiceManifest;
pub use version::{Requirement, Version};
