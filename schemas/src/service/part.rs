//! `[[part]]`: a brick, or something of the body's own with its reason.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::date::Date;
use crate::name::{FeatureName, FullName, MAX_LABEL_BYTES};
use crate::predicate::release::MAX_FEATURE_ITEMS;
use crate::predicate::service::LocalReason;
use crate::reader::Table;
use crate::version::Requirement;

/// One part of a service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum Part {
    /// A brick does this step.
    #[serde(rename_all = "kebab-case")]
    Brick {
        /// The step, in the user's words; 1 to 64 characters.
        step: String,
        /// The brick.
        brick: FullName,
        /// Which versions of it will do.
        version: Requirement,
        /// Features turned on; sorted.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        features: Vec<FeatureName>,
        /// Whether its `default` feature is asked for.
        #[serde(default = "yes")]
        default_features: bool,
    },
    /// Something of the body's own does this step.
    Local {
        /// The step, in the user's words; 1 to 64 characters.
        step: String,
        /// What it is called locally; 1 to 64 characters.
        local: String,
        /// Why it is not a brick.
        why: LocalReason,
        /// Until when.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Date>,
        /// The brick that comes nearest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nearest: Option<FullName>,
    },
}

fn yes() -> bool {
    true
}

impl Part {
    /// The step it does, in the user's words.
    pub fn step(&self) -> &str {
        match self {
            Part::Brick { step, .. } | Part::Local { step, .. } => step,
        }
    }

    fn read(mut table: Table<'_>) -> Option<Self> {
        let step = table.required("step").and_then(|v| v.displayed(MAX_LABEL_BYTES));
        let brick = table.optional("brick");
        let local = table.optional("local");
        match (brick, local) {
            (Some(brick), None) => {
                let brick = brick.parse();
                let version = table.required("version").and_then(|v| v.parse());
                let mut features: Vec<FeatureName> =
                    table.optional("features").map(|v| v.parse_list(MAX_FEATURE_ITEMS)).unwrap_or_default();
                features.sort();
                let default_features =
                    table.optional("default-features").and_then(|v| v.boolean()).unwrap_or(true);
                table.finish();
                Some(Self::Brick {
                    step: step?,
                    brick: brick?,
                    version: version?,
                    features,
                    default_features,
                })
            }
            (None, Some(local)) => {
                let local = local.displayed(MAX_LABEL_BYTES);
                let why = table.required("why").and_then(|v| v.word());
                let until = table.optional("until").and_then(|v| v.date());
                let nearest = table.optional("nearest").and_then(|v| v.parse());
                table.finish();
                Some(Self::Local { step: step?, local: local?, why: why?, until, nearest })
            }
            (both, _) => {
                let why = if both.is_some() { "it has `brick` and `local`" } else { "it has neither" };
                let next = "a part is `brick = \"publisher/brick\"` with a `version`, or `local = \"…\"` with its `why`";
                table.problems.add(
                    table.span,
                    "a part is a brick or local, one of the two",
                    why,
                    Some(next.into()),
                );
                None
            }
        }
    }
}

/// Reads all parts. A brick that several parts use must be asked for in one and the same version.
pub(super) fn read_parts(tables: Vec<Table<'_>>, max_bricks: usize) -> Vec<Part> {
    let mut asked: BTreeMap<FullName, Requirement> = BTreeMap::new();
    let mut parts = Vec::new();
    for table in tables {
        let (problems, span, at) = (table.problems, table.span, table.span_of("version"));
        let Some(part) = Part::read(table) else { continue };
        if let Part::Brick { brick, version, .. } = &part {
            let first = asked.entry(brick.clone()).or_insert_with(|| version.clone());
            if first != version {
                let why = format!("another part asks for `{first}`, this one for `{version}`");
                let next = "write the same requirement in both parts".to_owned();
                problems.add(at, format!("`{brick}` is asked for in two versions"), why, Some(next));
            }
            if asked.len() == max_bricks + 1 {
                let why = format!("at most {max_bricks} are allowed");
                problems.add(span, "the service has too many different bricks", why, None);
            }
        }
        parts.push(part);
    }
    parts
}
