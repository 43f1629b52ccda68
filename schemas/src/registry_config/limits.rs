//! `[limits]`: bounds that an operator sets lower than the commons does.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Environment, parse_within};
use crate::index_line::MAX_RELEASES;
use crate::reader::Table;

/// Bytes of a readme that is shown, at most (design §3).
pub const MAX_README_BYTES: u64 = 1 << 20;
/// Bricks of one publisher, at most (design §3).
pub const MAX_BRICKS: u64 = 16_384;

macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $field:ident, $key:literal, $variable:literal, $max:expr;)+) => {
        /// Bounds of one registry: each at most what the commons allows (the default), at least 1. They hold for what is
        /// newly published here; what the commons has accepted elsewhere is mirrored all the same.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
        pub struct RegistryLimits {
            $($(#[doc = $doc])+ #[schemars(range(min = 1))] pub $field: u64,)+
        }

        impl Default for RegistryLimits {
            fn default() -> Self {
                Self { $($field: $max,)+ }
            }
        }

        impl RegistryLimits {
            /// Reads `[limits]` and `BRICKYARD_LIMITS_…`; what is absent or wrong stays at its default.
            pub(super) fn read(root: &mut Table<'_>, env: &mut Environment<'_>) -> Self {
                let mut limits = Self::default();
                if let Some(mut table) = root.table("limits") {
                    $(if let Some(value) = table.optional($key).and_then(|v| v.whole_within(1, $max)) {
                        limits.$field = value;
                    })+
                    table.finish();
                }
                $(if let Some(value) = env.variable(concat!("LIMITS_", $variable), |t| parse_within(t, 1, $max)) {
                    limits.$field = value;
                })+
                limits
            }
        }
    };
}

limits! {
    /// Bytes of an archive as sent.
    archive_bytes, "archive-bytes", "ARCHIVE_BYTES", crate::archive::Limits::default().archive_bytes;
    /// Bytes of an archive unpacked.
    unpacked_bytes, "unpacked-bytes", "UNPACKED_BYTES", crate::archive::Limits::default().unpacked_bytes;
    /// Files in an archive.
    file_count, "file-count", "FILE_COUNT", crate::archive::Limits::default().file_count as u64;
    /// Bytes of any other blob.
    blob_bytes, "blob-bytes", "BLOB_BYTES", crate::predicate::bounds::MAX_BLOB_BYTES;
    /// Bytes of a readme that is shown.
    readme_bytes, "readme-bytes", "README_BYTES", MAX_README_BYTES;
    /// Releases of one brick.
    release_count, "release-count", "RELEASE_COUNT", MAX_RELEASES as u64;
    /// Bricks of one publisher.
    brick_count, "brick-count", "BRICK_COUNT", MAX_BRICKS;
}

impl RegistryLimits {
    /// The bounds that archives are read under here.
    pub fn archive(&self) -> crate::archive::Limits {
        let most = crate::archive::Limits::default();
        most.lower_of(crate::archive::Limits {
            archive_bytes: self.archive_bytes,
            unpacked_bytes: self.unpacked_bytes,
            file_count: usize::try_from(self.file_count).unwrap_or(most.file_count),
            ..most
        })
    }
}
