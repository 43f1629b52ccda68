//! The tables that describe: files, configuration, law, data, accessibility, conformance, cost, upkeep.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::paths::NamedPaths;
use super::{MAX_ITEMS, MAX_SUMMARY_CHARS, MAX_TEXT_CHARS, Reading};
use crate::archive::ArchivePath;
use crate::date::{Date, Period};
use crate::money::{Amount, CostBasis, Currency, check_price_year};
use crate::near::near;
use crate::path::BrickPath;
use crate::predicate::release::ForkedFrom;
use crate::reader::{Table, Value};
use crate::text::TextError;
use crate::url::Url;

/// Bytes in the name of a format, at most.
pub const MAX_FORMAT_BYTES: usize = 64;
/// Bytes in the address of an image, at most.
pub const MAX_IMAGE_BYTES: usize = 512;
/// Bytes in a mailbox, at most (RFC 5321 §4.5.3.1.3).
pub const MAX_MAILBOX_BYTES: usize = 254;

/// `[[file]]`: what a file is, where its name does not tell.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// The file.
    pub path: ArchivePath,
    /// What it is for.
    pub role: FileRole,
    /// What it is written in: `openapi-3.1`, `bpmn-2.0` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
}

/// What a file is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FileRole {
    /// Describes an interface.
    Interface,
    /// Describes data.
    Schema,
    /// Describes a process.
    Process,
    /// Describes a decision.
    Decision,
    /// A form.
    Form,
    /// Tests conformance.
    Conformance,
    /// Shows how it is used.
    Example,
    /// Explains.
    Docs,
    /// A data protection impact assessment.
    Dpia,
    /// Evidence of accessibility.
    Accessibility,
}

impl FileEntry {
    pub(super) fn read<'r>(mut table: Table<'r>, paths: &NamedPaths<'r>) -> Option<Self> {
        let path = table.required("path").and_then(|v| paths.file(&v));
        let role = table.required("role").and_then(|v| v.word());
        let format = table.optional("format").and_then(|v| read_format(&v));
        table.finish();
        Some(Self { path: path?, role: role?, format })
    }
}

/// A format's name: `[a-z0-9][a-z0-9.+-]*`, at most 64 bytes.
fn read_format(value: &Value<'_>) -> Option<String> {
    let text = value.string()?;
    let good = text.len() <= MAX_FORMAT_BYTES
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".+-".contains(&b));
    if !good {
        value.wrong("a format is lower-case letters, digits, `.`, `+` and `-`, as in `openapi-3.1`", None);
    }
    good.then(|| text.to_owned())
}

/// `[config]`: what an adopter may set.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A JSON Schema 2020-12; each property says `x-decided-by` and `x-why`.
    pub schema: ArchivePath,
}

impl Config {
    pub(super) fn read<'r>(mut table: Table<'r>, paths: &NamedPaths<'r>) -> Option<Self> {
        let schema = table.required("schema").and_then(|v| paths.file(&v));
        table.finish();
        Some(Self { schema: schema? })
    }
}

/// `[legal]`: the law it rests on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Legal {
    /// Acts and regulations, by their addresses.
    pub basis: Vec<Url>,
}

impl Legal {
    pub(super) fn read(mut table: Table<'_>) -> Option<Self> {
        let basis = table.required("basis").map(|v| v.parse_list(MAX_ITEMS));
        table.finish();
        Some(Self { basis: basis? })
    }
}

/// `[data]`: personal data it uses. Absent is unknown; an empty list says there are none.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DataUse {
    /// Personal data, by kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personal: Option<Vec<String>>,
    /// Special categories of it (GDPR Art. 9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub special_category: Option<Vec<String>>,
    /// On which basis it is processed (GDPR Art. 6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lawful_basis: Option<Vec<String>>,
    /// For how long it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Period>,
    /// The impact assessment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpia: Option<ArchivePath>,
    /// Whether it decides about people by itself (GDPR Art. 22).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automated_decision: Option<bool>,
}

impl DataUse {
    pub(super) fn read<'r>(mut table: Table<'r>, paths: &NamedPaths<'r>) -> Option<Self> {
        let words = |v: Option<Value<'_>>| v.map(|v| v.displayed_list(MAX_ITEMS, MAX_SUMMARY_CHARS));
        let data = Self {
            personal: words(table.optional("personal")),
            special_category: words(table.optional("special-category")),
            lawful_basis: words(table.optional("lawful-basis")),
            retention: table.optional("retention").and_then(|v| v.parse()),
            dpia: table.optional("dpia").and_then(|v| paths.file(&v)),
            automated_decision: table.optional("automated-decision").and_then(|v| v.boolean()),
        };
        table.finish();
        Some(data)
    }
}

/// `[accessibility]`: how accessible it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Accessibility {
    /// The standard: `WCAG-2.2`.
    pub standard: String,
    /// The level of it: `AA`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// What shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<ArchivePath>,
    /// What does not meet it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<String>,
}

impl Accessibility {
    pub(super) fn read<'r>(mut table: Table<'r>, paths: &NamedPaths<'r>) -> Option<Self> {
        let standard = table.required("standard").and_then(|v| v.displayed(MAX_SUMMARY_CHARS));
        let level = table.optional("level").and_then(|v| v.displayed(MAX_SUMMARY_CHARS));
        let evidence = table.optional("evidence").and_then(|v| paths.file(&v));
        let exceptions = table
            .optional("exceptions")
            .map(|v| v.displayed_list(MAX_ITEMS, MAX_TEXT_CHARS))
            .unwrap_or_default();
        table.finish();
        Some(Self { standard: standard?, level, evidence, exceptions })
    }
}

/// `[conformance]`: how an implementation is tested against it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conformance {
    /// The tests: a file or a folder (`conformance/`).
    pub suite: BrickPath,
    /// What they are written in: `gherkin` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Levels that can be met, lowest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<String>,
}

impl Conformance {
    pub(super) fn read<'r>(mut table: Table<'r>, paths: &NamedPaths<'r>) -> Option<Self> {
        let suite = table.required("suite").and_then(|v| paths.file_or_folder(&v));
        let format = table.optional("format").and_then(|v| read_format(&v));
        let levels = table
            .optional("levels")
            .map(|v| v.displayed_list(MAX_ITEMS, MAX_SUMMARY_CHARS))
            .unwrap_or_default();
        table.finish();
        Some(Self { suite: suite?, format, levels })
    }
}

/// `[[cost-reference]]`: what it cost somebody once. Evidence, never summed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CostReference {
    /// What was paid for: `adoption` …
    pub what: String,
    /// How much.
    pub amount: Amount,
    /// In which currency.
    pub currency: Currency,
    /// In the prices of which year: `2025` or `2025-26`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_year: Option<String>,
    /// What the figure rests on.
    pub basis: CostBasis,
    /// Where it can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Url>,
}

impl CostReference {
    pub(super) fn read(mut table: Table<'_>, reading: Reading) -> Option<Self> {
        let what = table.required("what").and_then(|v| v.displayed(MAX_SUMMARY_CHARS));
        let amount = table.required("amount").and_then(|v| v.parse());
        let currency = table.required("currency").and_then(|v| {
            let currency: Currency = v.parse()?;
            if reading == Reading::Author && !currency.is_listed() {
                let next = near(currency.as_str(), Currency::listed())
                    .first()
                    .map(|c| format!("did you mean `{c}`?"));
                v.wrong("ISO 4217 does not list this currency", next);
            }
            Some(currency)
        });
        let price_year = table.optional("price-year").and_then(|v| read_price_year(&v));
        let basis = table.required("basis").and_then(|v| v.word());
        let source = table.optional("source").and_then(|v| v.parse());
        table.finish();
        Some(Self { what: what?, amount: amount?, currency: currency?, price_year, basis: basis?, source })
    }
}

/// `2025` or `2025-26`.
pub(crate) fn read_price_year(value: &Value<'_>) -> Option<String> {
    let text = value.string()?;
    match check_price_year(text) {
        Ok(()) => Some(text.to_owned()),
        Err(err) => {
            value.wrong(err, None);
            None
        }
    }
}

/// `[runtime]`: where an implementation exists.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Runtime {
    /// An OCI image by digest: `registry.example/case@sha256:…`.
    pub image: String,
}

impl Runtime {
    pub(super) fn read(mut table: Table<'_>) -> Option<Self> {
        let image = table.required("image").and_then(|v| {
            let text = v.string()?;
            if let Err(err) = check_image(text) {
                v.wrong(err, Some("name the image by its digest: `registry.example/case@sha256:…`".into()));
                return None;
            }
            Some(text.to_owned())
        });
        table.finish();
        Some(Self { image: image? })
    }
}

fn check_image(text: &str) -> Result<(), TextError> {
    let bad = |rule: &str| Err(TextError::new("image", text, rule));
    if text.len() > MAX_IMAGE_BYTES {
        return bad("it has more than 512 bytes");
    }
    let Some((name, digest)) = text.split_once("@sha256:") else {
        return bad("a tag can be moved to other bytes, a digest cannot");
    };
    let name_byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-/:".contains(&b);
    if name.is_empty() || !name.bytes().all(name_byte) {
        return bad("the name before `@` is made of lower-case letters, digits, `.`, `_`, `-`, `/` and `:`");
    }
    if crate::digest::Digest::parse(digest).is_err() {
        return bad("`@sha256:` is followed by 64 lower-case hexadecimal digits");
    }
    Ok(())
}

/// `[maintenance]`: who keeps it, until when.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Maintenance {
    /// By whom.
    #[serde(rename = "type")]
    pub maintained_by: MaintenanceType,
    /// Last day that is promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
    /// The day by which it will have been looked at again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review_due: Option<Date>,
}

/// Who keeps a brick.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MaintenanceType {
    /// The publisher's own people.
    Internal,
    /// A supplier.
    Contract,
    /// Whoever helps.
    Community,
    /// Nobody.
    None,
}

impl Maintenance {
    pub(super) fn read(mut table: Table<'_>) -> Option<Self> {
        let maintained_by = table.required("type").and_then(|v| v.word());
        let until = table.optional("until").and_then(|v| v.date());
        let review_due = table.optional("review-due").and_then(|v| v.date());
        table.finish();
        Some(Self { maintained_by: maintained_by?, until, review_due })
    }
}

/// `[contribute]`: how to take part, and whom to tell of a weakness.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contribute {
    /// The file that says how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<ArchivePath>,
    /// A role's mailbox, never a person's, or an https address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<String>,
}

impl Contribute {
    pub(super) fn read<'r>(mut table: Table<'r>, paths: &NamedPaths<'r>) -> Option<Self> {
        let how = table.optional("how").and_then(|v| paths.file(&v));
        let security = table.optional("security").and_then(|v| {
            let text = v.string()?;
            let good = is_mailbox(text) || Url::parse(text).is_ok();
            if !good {
                let why = "a role's mailbox or an https address is needed";
                v.wrong(why, Some("as in `security@northshire.gov.uk`".into()));
            }
            good.then(|| text.to_owned())
        });
        table.finish();
        Some(Self { how, security })
    }
}

/// The plain form of a mailbox: `local@domain`, ASCII, no quotes.
fn is_mailbox(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    text.len() <= MAX_MAILBOX_BYTES
        && (1..=64).contains(&local.len())
        && local.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b))
        && domain.contains('.')
        && domain.split('.').all(|label| {
            (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

/// `[forked-from]`.
pub(super) fn read_forked_from(mut table: Table<'_>) -> Option<ForkedFrom> {
    let name = table.required("name").and_then(|v| v.parse());
    let version = table.required("version").and_then(|v| v.parse());
    let sha256 = table.required("sha256").and_then(|v| v.parse());
    let relation = table.required("relation").and_then(|v| v.word());
    let reason = table.optional("reason").and_then(|v| v.displayed(MAX_TEXT_CHARS));
    table.finish();
    Some(ForkedFrom { name: name?, version: version?, sha256: sha256?, relation: relation?, reason })
}
