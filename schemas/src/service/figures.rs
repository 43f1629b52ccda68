//! Volumes, costs, contracts, outcome, assurance, succession: what is known about a service. Unknown is absent, never 0.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::date::Date;
use crate::manifest::{MAX_ITEMS, MAX_SUMMARY_CHARS, MAX_TEXT_CHARS, read_price_year};
use crate::money::{Amount, CostBasis, Currency, Percent};
use crate::name::{FullName, MAX_LABEL_BYTES};
use crate::near::near;
use crate::predicate::service::MAX_PARTS;
use crate::predicate::service::check_organisation;
use crate::reader::{Table, Value};
use crate::url::Url;

/// `[[volume]]`: how often the service was used in a period.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// First day.
    pub from: Date,
    /// Last day, not before the first.
    pub to: Date,
    /// `all`, `online`, `phone` …
    pub channel: String,
    /// Cases begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<u64>,
    /// Cases finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed: Option<u64>,
    /// Where the figure stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Url>,
}

/// First and last day of the table that is being read.
fn read_period(table: &mut Table<'_>) -> Option<(Date, Date)> {
    let from = table.required("from").and_then(|v| v.date());
    let to = table.required("to").and_then(|v| v.date());
    let (from, to) = (from?, to?);
    if to < from {
        let span = table.span_of("to");
        table.problems.add(span, "a period ends before it begins", format!("it begins on {from}"), None);
        return None;
    }
    Some((from, to))
}

impl Volume {
    pub(super) fn read(mut table: Table<'_>) -> Option<Self> {
        let period = read_period(&mut table);
        let channel = table.required("channel").and_then(|v| v.displayed(MAX_LABEL_BYTES));
        let started = table.optional("started").and_then(|v| v.whole());
        let completed = table.optional("completed").and_then(|v| v.whole());
        let source = table.optional("source").and_then(|v| v.parse());
        table.finish();
        let (from, to) = period?;
        Some(Self { from, to, channel: channel?, started, completed, source })
    }
}

/// `[[cost]]`: what the service, or some of its steps, cost in a period.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Cost {
    /// First day.
    pub from: Date,
    /// Last day, not before the first.
    pub to: Date,
    /// For which stage of its life.
    pub what: CostWhat,
    /// For what sort of thing.
    pub kind: CostKind,
    /// How much.
    pub amount: Amount,
    /// In which currency.
    pub currency: Currency,
    /// In the prices of which year.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_year: Option<String>,
    /// What the figure rests on.
    pub basis: CostBasis,
    /// The steps it covers, each a part's; empty: unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scope: Vec<String>,
    /// The share of a larger line that this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
    /// Where the figure stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Url>,
    /// What it leaves out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excludes: Vec<String>,
}

/// Which share of a larger line a cost is, and how that was found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// The share.
    pub percent: Percent,
    /// How it was found: `time survey` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
}

/// For which stage of a service's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CostWhat {
    /// Making it.
    Build,
    /// Running it.
    Run,
    /// Moving to it.
    Transition,
    /// Taking it down.
    Decommission,
}

/// For what sort of thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CostKind {
    /// People's time.
    Staff,
    /// Rights to use.
    Licence,
    /// Machines.
    Hosting,
    /// Somebody else's work.
    Contract,
    /// A share of what all services need.
    Overhead,
    /// Anything else.
    Other,
}

impl CostWhat {
    /// The word in files and entries.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Run => "run",
            Self::Transition => "transition",
            Self::Decommission => "decommission",
        }
    }
}

impl CostKind {
    /// The word in files and entries.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Staff => "staff",
            Self::Licence => "licence",
            Self::Hosting => "hosting",
            Self::Contract => "contract",
            Self::Overhead => "overhead",
            Self::Other => "other",
        }
    }
}

impl Cost {
    pub(super) fn read(mut table: Table<'_>, steps: &[&str]) -> Option<Self> {
        let period = read_period(&mut table);
        let what = table.required("what").and_then(|v| v.word());
        let kind = table.required("kind").and_then(|v| v.word());
        let amount = table.required("amount").and_then(|v| v.parse());
        let currency = table.required("currency").and_then(|v| v.parse());
        let price_year = table.optional("price-year").and_then(|v| read_price_year(&v));
        let basis = table.required("basis").and_then(|v| v.word());
        let scope = table.optional("scope").map(|v| read_steps(v, steps)).unwrap_or_default();
        let share = table.table("share").and_then(Share::read);
        let source = table.optional("source").and_then(|v| v.parse());
        let excludes = table
            .optional("excludes")
            .map(|v| v.displayed_list(MAX_ITEMS, MAX_TEXT_CHARS))
            .unwrap_or_default();
        table.finish();
        let (from, to) = period?;
        let (what, kind, amount, currency, basis) = (what?, kind?, amount?, currency?, basis?);
        Some(Self {
            from,
            to,
            what,
            kind,
            amount,
            currency,
            price_year,
            basis,
            scope,
            share,
            source,
            excludes,
        })
    }
}

impl Share {
    fn read(mut table: Table<'_>) -> Option<Self> {
        let percent = table.required("percent").and_then(|v| v.parse());
        let method = table.optional("method").and_then(|v| v.displayed(MAX_SUMMARY_CHARS));
        table.finish();
        Some(Self { percent: percent?, method })
    }
}

/// A list of steps, each of which must be a part's.
fn read_steps(value: Value<'_>, steps: &[&str]) -> Vec<String> {
    for item in value.clone_list(MAX_PARTS) {
        let Some(step) = item.string().filter(|step| !steps.contains(step)) else { continue };
        let next = near(step, steps.iter().copied()).first().map(|near| format!("did you mean `{near}`?"));
        item.wrong(format!("no part has the step `{}`", crate::text::escape(step)), next);
    }
    value.displayed_list(MAX_PARTS, MAX_LABEL_BYTES)
}

/// `[[contract]]`: who supplies what until when.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// Organisation id: `GB-COH-…`.
    pub supplier: String,
    /// Open Contracting id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ocid: Option<String>,
    /// Last day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Date>,
    /// The steps it covers, each a part's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub covers: Vec<String>,
}

impl Contract {
    pub(super) fn read(mut table: Table<'_>, steps: &[&str]) -> Option<Self> {
        let supplier = table.required("supplier").and_then(|v| {
            let text = v.string()?;
            check_organisation(text).map_err(|err| v.wrong(err.rule, None)).ok()?;
            Some(text.to_owned())
        });
        let ocid = table.optional("ocid").and_then(|v| v.displayed(MAX_SUMMARY_CHARS));
        let ends = table.optional("ends").and_then(|v| v.date());
        let covers = table.optional("covers").map(|v| read_steps(v, steps)).unwrap_or_default();
        table.finish();
        Some(Self { supplier: supplier?, ocid, ends, covers })
    }
}

/// `[outcome]`: what came of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// How satisfied its users were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub satisfaction: Option<Satisfaction>,
}

/// A share of satisfied users, with how many answered and when.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Satisfaction {
    /// The share.
    pub percent: Percent,
    /// How many answered.
    pub responses: u64,
    /// First day.
    pub from: Date,
    /// Last day, not before the first.
    pub to: Date,
}

impl Outcome {
    pub(super) fn read(mut table: Table<'_>) -> Self {
        let satisfaction = table.table("satisfaction").and_then(|mut table| {
            let period = read_period(&mut table);
            let percent = table.required("percent").and_then(|v| v.parse());
            let responses = table.required("responses").and_then(|v| v.whole());
            table.finish();
            let (from, to) = period?;
            Some(Satisfaction { percent: percent?, responses: responses?, from, to })
        });
        table.finish();
        Self { satisfaction }
    }
}

/// `[assurance]`: what shows that it is in order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Assurance {
    /// The data protection impact assessment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpia: Option<Url>,
    /// The accessibility statement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accessibility_statement: Option<Url>,
}

impl Assurance {
    pub(super) fn read(mut table: Table<'_>) -> Self {
        let dpia = table.optional("dpia").and_then(|v| v.parse());
        let accessibility_statement = table.optional("accessibility-statement").and_then(|v| v.parse());
        table.finish();
        Self { dpia, accessibility_statement }
    }
}

/// `[succession]`: what it carries on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Succession {
    /// Services that it replaces.
    pub replaces: Vec<FullName>,
}

impl Succession {
    pub(super) fn read(mut table: Table<'_>) -> Option<Self> {
        let replaces = table.required("replaces").map(|v| v.parse_list(MAX_ITEMS));
        table.finish();
        Some(Self { replaces: replaces? })
    }
}
