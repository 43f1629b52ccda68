//! What does a feature turn on? One item of a `[features]` list, in cargo's words.
//!
//! ```text
//! item    = feature                     another feature of this brick
//!         | "dep:" brick                an optional requirement
//!         | brick "/" feature           a requirement (turned on if it is optional), with one of its features
//!         | brick "?/" feature          one of its features, if something else turns the requirement on
//! brick   = publisher "/" name          as everywhere
//! feature = [a-z0-9][a-z0-9_-]*         at most 64 bytes
//! ```
//!
//! A feature has no slash and a brick has exactly one, so the number of slashes tells the four apart. Unlike cargo's, an
//! optional requirement is never a feature by itself: its name could not be one.

use crate::name::{FeatureName, FullName, NameError};
use crate::newtype::serde_as_text;

/// Bytes in an item, at most: a full name, `?/` and a feature.
pub const MAX_ITEM_BYTES: usize = 256;

/// One thing that a feature turns on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FeatureItem {
    /// Another feature of the same brick.
    Feature(FeatureName),
    /// `dep:publisher/brick`: an optional requirement.
    Requirement(FullName),
    /// `publisher/brick/feature`: a requirement, on if optional, and its feature.
    Strong(FullName, FeatureName),
    /// `publisher/brick?/feature`: the feature of a requirement that something else turns on.
    Weak(FullName, FeatureName),
}

impl FeatureItem {
    /// Parses an item.
    ///
    /// # Errors
    /// [`NameError`] names the part that is wrong; a bare `publisher/brick` is answered with its two meanings.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.len() > MAX_ITEM_BYTES {
            return Err(NameError::TooLong { what: "feature item", bytes: text.len(), max: MAX_ITEM_BYTES });
        }
        if let Some(brick) = text.strip_prefix("dep:") {
            return Ok(Self::Requirement(FullName::parse(brick)?));
        }
        match text.rsplit_once('/') {
            None => Ok(Self::Feature(FeatureName::parse(text)?)),
            Some((brick, feature)) if brick.contains('/') => {
                let feature = FeatureName::parse(feature)?;
                Ok(match brick.strip_suffix('?') {
                    None => Self::Strong(FullName::parse(brick)?, feature),
                    Some(brick) => Self::Weak(FullName::parse(brick)?, feature),
                })
            }
            Some(_) => Err(NameError::Shape {
                what: "feature item",
                name: crate::text::escape(text),
                rule: "write `dep:publisher/brick` to turn on a requirement, `publisher/brick/feature` for a feature of it",
            }),
        }
    }

    /// The requirement it speaks of, if any.
    pub fn brick(&self) -> Option<&FullName> {
        match self {
            Self::Feature(_) => None,
            Self::Requirement(brick) | Self::Strong(brick, _) | Self::Weak(brick, _) => Some(brick),
        }
    }
}

impl std::fmt::Display for FeatureItem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Feature(feature) => write!(f, "{feature}"),
            Self::Requirement(brick) => write!(f, "dep:{brick}"),
            Self::Strong(brick, feature) => write!(f, "{brick}/{feature}"),
            Self::Weak(brick, feature) => write!(f, "{brick}?/{feature}"),
        }
    }
}

impl std::fmt::Debug for FeatureItem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl std::str::FromStr for FeatureItem {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

serde_as_text!(FeatureItem);

impl schemars::JsonSchema for FeatureItem {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FeatureItem".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A feature, `dep:publisher/brick`, `publisher/brick/feature` or `publisher/brick?/feature`",
            "maxLength": MAX_ITEM_BYTES,
            "pattern": r"^([a-z0-9][a-z0-9_-]*|dep:[a-z0-9.-]+/[a-z0-9-]+|[a-z0-9.-]+/[a-z0-9-]+\??/[a-z0-9][a-z0-9_-]*)$",
        })
    }
}

/// Why the features of a brick do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeatureError {
    /// An item names a feature that is not there.
    #[error("there is no feature `{missing}`")]
    NoFeature {
        /// The feature that is named.
        missing: FeatureName,
    },
    /// An item names a brick that is not required.
    #[error("`{missing}` is not required by this brick")]
    NoRequirement {
        /// The brick that is named.
        missing: FullName,
    },
    /// An item turns on, or waits for, a requirement that is always there.
    #[error("`{brick}` is required anyway: `{item}` needs it to be `optional = true`")]
    NotOptional {
        /// The brick that is named.
        brick: FullName,
        /// The item.
        item: Box<FeatureItem>,
    },
}

/// Checks that what `item` names is there.
///
/// - `has_feature`: whether this brick has a feature of that name.
/// - `optional`: for a brick that is required, whether only optionally; none for others.
///
/// # Errors
/// [`FeatureError`] names what is missing.
pub fn check_item(
    item: &FeatureItem,
    has_feature: impl Fn(&FeatureName) -> bool,
    optional: impl Fn(&FullName) -> Option<bool>,
) -> Result<(), FeatureError> {
    match item {
        FeatureItem::Feature(feature) if has_feature(feature) => Ok(()),
        FeatureItem::Feature(feature) => Err(FeatureError::NoFeature { missing: feature.clone() }),
        FeatureItem::Requirement(brick) | FeatureItem::Strong(brick, _) | FeatureItem::Weak(brick, _) => {
            match optional(brick) {
                None => Err(FeatureError::NoRequirement { missing: brick.clone() }),
                Some(false) if !matches!(item, FeatureItem::Strong(..)) => {
                    Err(FeatureError::NotOptional { brick: brick.clone(), item: Box::new(item.clone()) })
                }
                Some(_) => Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_items_are_told_apart_and_kept_as_written() {
        let brick = || FullName::parse("southshire.gov.uk/pay").unwrap();
        let feature = |name| FeatureName::parse(name).unwrap();
        for (text, item) in [
            ("uprn", FeatureItem::Feature(feature("uprn"))),
            ("dep:southshire.gov.uk/pay", FeatureItem::Requirement(brick())),
            ("southshire.gov.uk/pay/cards", FeatureItem::Strong(brick(), feature("cards"))),
            ("southshire.gov.uk/pay?/cards", FeatureItem::Weak(brick(), feature("cards"))),
        ] {
            assert_eq!(FeatureItem::parse(text).unwrap(), item);
            assert_eq!(item.to_string(), text);
        }
    }

    #[test]
    fn a_broken_item_is_refused_by_its_part() {
        for (text, says) in [
            ("", "empty"),
            ("southshire.gov.uk/pay", "dep:publisher/brick"),
            ("dep:pay", "publisher and a brick"),
            ("dep:southshire.gov.uk/pay/cards", "`/` in brick name"),
            ("southshire.gov.uk/pay?", "dep:publisher/brick"),
            ("southshire.gov.uk/pay??/cards", "`?` in brick name"),
            ("southshire.gov.uk/pay/", "feature name is empty"),
            ("a.b/c/d/e", "`/` in brick name"),
            ("Cards", "only lower-case"),
        ] {
            let error = FeatureItem::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        assert!(FeatureItem::parse(&"a".repeat(257)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn what_parses_is_written_the_same(text in "(dep:)?[a-z]{1,3}(\\.[a-z]{1,3})?(/[a-z]{1,3}){0,2}\\??(/[a-z]{1,2})?") {
            if let Ok(item) = FeatureItem::parse(&text) {
                proptest::prop_assert_eq!(item.to_string(), text);
            }
        }
    }
}
