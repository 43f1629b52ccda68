//! What does one item of a feature turn on?

use brick_schemas::{FeatureName, FullName};

/// One item of a feature, with cargo's meaning; bricks are named `publisher/brick`.
///
/// ```text
/// paper                            another feature of the same brick
/// dep:midshire.gov.uk/address      an optional requirement
/// midshire.gov.uk/address/uprn     a feature of a required brick, turning an optional requirement on
/// midshire.gov.uk/address?/uprn    the same, only where something else turns the requirement on
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Item {
    Feature(FeatureName),
    Optional(FullName),
    Of { brick: FullName, feature: FeatureName, weak: bool },
}

impl Item {
    /// Parses an item; `None` when it is none of the four.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(brick) = text.strip_prefix("dep:") {
            return Some(Self::Optional(FullName::parse(brick).ok()?));
        }
        let Some((brick, feature)) = text.rsplit_once('/') else {
            return Some(Self::Feature(FeatureName::parse(text).ok()?));
        };
        let (brick, weak) = brick.strip_suffix('?').map_or((brick, false), |brick| (brick, true));
        Some(Self::Of {
            brick: FullName::parse(brick).ok()?,
            feature: FeatureName::parse(feature).ok()?,
            weak,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_an_item_is_told_apart() {
        let of = |weak| Item::Of {
            brick: FullName::parse("a.b/c").unwrap(),
            feature: FeatureName::parse("d").unwrap(),
            weak,
        };
        for (text, item) in [
            ("d", Some(Item::Feature(FeatureName::parse("d").unwrap()))),
            ("dep:a.b/c", Some(Item::Optional(FullName::parse("a.b/c").unwrap()))),
            ("a.b/c/d", Some(of(false))),
            ("a.b/c?/d", Some(of(true))),
            ("", None),
            ("dep:c", None),
            ("a.b/c", None),
            ("a.b/c/", None),
            ("a.b/c??/d", None),
            ("a.b/c/D", None),
        ] {
            assert_eq!(Item::parse(text), item, "{text:?}");
        }
    }
}
