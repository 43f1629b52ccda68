//! What stands in an envelope on its way between signers, in words? Roots, records and every other entry.

use std::collections::BTreeMap;
use std::path::Path;

use brick_schemas::predicate::{
    Predicate, Publisher, PublisherKind, ROOT_PAYLOAD_TYPE, Registry, STATEMENT_PAYLOAD_TYPE, Statement,
};
use brick_schemas::{Digest, KeySet, PublicKey};
use brick_trust::Root;
use brick_trust::envelope::{Envelope, MAX_ENTRY_BYTES};
use brick_trust::root::Role;
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::files::{self, Access};
use crate::keys;
use crate::session::Session;

/// What an envelope says.
pub(crate) enum Said {
    /// A root of a commons.
    Root(Box<Root>),
    /// Any other entry.
    Entry(Box<Statement>),
}

/// One signature on an envelope, and whether it is what it claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Mark {
    /// The signer's key id.
    pub(crate) keyid: Digest,
    /// The signer's key, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<PublicKey>,
    /// Whether it verifies.
    pub(crate) state: MarkState,
}

/// Whether a signature verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum MarkState {
    /// It does.
    Good,
    /// It does not.
    False,
    /// The key is not known here.
    UnknownKey,
}

/// Reads an envelope that may still lack signatures. A line end that an editor added is forgiven.
///
/// # Errors
/// [`Failure`] when it cannot be read or is no envelope.
pub(crate) fn read(path: &Path) -> Result<Envelope, Failure> {
    let bytes = files::read(path, MAX_ENTRY_BYTES as u64 + 2)?;
    Envelope::parse_draft(bytes.trim_ascii_end()).map_err(|err| {
        Failure::yours(format!("`{}` is not a draft or signed entry", path.display()))
            .because(&err)
            .help("name a file that `brick commons init`, `admit` or `sign` wrote")
    })
}

/// Writes an envelope, whole or not at all.
///
/// # Errors
/// [`Failure`] when it cannot be written.
pub(crate) fn write(path: &Path, envelope: &Envelope) -> Result<(), Failure> {
    let bytes = envelope.to_bytes();
    if bytes.len() > MAX_ENTRY_BYTES {
        return Err(Failure::yours("the entry is too large")
            .reason(format!("it has {} bytes, at most {MAX_ENTRY_BYTES} are allowed", bytes.len()))
            .help("use fewer keys"));
    }
    files::write(path, &bytes, Access::Everybody)
}

/// What an envelope says.
///
/// # Errors
/// [`Failure`] when its payload is malformed or of an unknown type.
pub(crate) fn said(envelope: &Envelope) -> Result<Said, Failure> {
    let malformed = "the entry in this file is malformed";
    match envelope.payload_type.as_str() {
        ROOT_PAYLOAD_TYPE => Root::parse(&envelope.payload)
            .map(|root| Said::Root(Box::new(root)))
            .map_err(|err| Failure::alarm(malformed).because(&err)),
        STATEMENT_PAYLOAD_TYPE => Statement::parse(&envelope.payload)
            .map(|statement| Said::Entry(Box::new(statement)))
            .map_err(|err| Failure::alarm(malformed).because(&err)),
        other => Err(Failure::yours(format!("the entry is of type `{other}`, which brick does not know"))),
    }
}

/// The signatures on an envelope.
///
/// - `keys`: the keys that signatures are checked with.
pub(crate) fn marks(envelope: &Envelope, keys: &[PublicKey]) -> Vec<Mark> {
    let mark = |signature: &brick_trust::envelope::EnvelopeSignature| {
        let key = keys.iter().find(|key| key.id() == signature.keyid).copied();
        let alone = Envelope { signatures: vec![*signature], ..envelope.clone() };
        let state = match key {
            None => MarkState::UnknownKey,
            Some(key) if alone.verify(&[key]).is_ok() => MarkState::Good,
            Some(_) => MarkState::False,
        };
        Mark { keyid: signature.keyid, key, state }
    };
    envelope.signatures.iter().map(mark).collect()
}

/// People whose threshold makes an entry count.
pub(crate) struct Decider {
    /// Who they are.
    pub(crate) who: &'static str,
    /// Their keys and threshold.
    pub(crate) role: Role,
}

/// Whose threshold makes an entry count, any of them: a root's stewards; a record's registrars and, where it changes one,
/// the owners of the record before. Nothing where that cannot be told without the commons. Nobody is asked.
pub(crate) fn deciders(ctx: &Context, said: &Said) -> Option<Vec<Decider>> {
    let predicate = match said {
        Said::Root(root) => return Some(vec![Decider { who: "stewards", role: root.stewards.clone() }]),
        Said::Entry(statement) => &statement.predicate,
    };
    if !matches!(predicate, Predicate::Publisher(_) | Predicate::Registry(_)) {
        return None;
    }
    let session = Session::open(ctx, None).ok()?;
    let commons = session.commons();
    if commons.origin() != predicate.place().log {
        return None;
    }
    let owners = match predicate {
        Predicate::Publisher(record) => commons.publisher(&record.id).map(|before| &before.owners),
        Predicate::Registry(record) => commons.registry(&record.id).map(|before| &before.owners),
        _ => None,
    };
    let mut deciders = vec![Decider { who: "registrars", role: commons.root().registrars.clone() }];
    deciders.extend(owners.map(|owners| Decider {
        who: "owners of the record before",
        role: Role { keys: owners.keys.clone(), threshold: owners.threshold },
    }));
    Some(deciders)
}

/// The keys of all of them.
pub(crate) fn deciding_keys(deciders: &[Decider]) -> Vec<PublicKey> {
    deciders.iter().flat_map(|decider| &decider.role.keys).copied().collect()
}

/// How many signatures there are and are needed, in words.
pub(crate) fn tally(envelope: &Envelope, deciders: &[Decider]) -> String {
    let mut words = Vec::new();
    for Decider { who, role } in deciders {
        let good = marks(envelope, &role.keys).iter().filter(|mark| mark.state == MarkState::Good).count();
        let threshold = role.threshold as usize;
        words.push(match threshold.saturating_sub(good) {
            0 => format!("{good} of {threshold} {who}, enough"),
            missing => format!("{good} of {threshold} {who}, {missing} still to come"),
        });
    }
    words.join("; or ")
}

/// A description for people: a heading and rows of label and value, in order.
pub(crate) struct Description {
    heading: String,
    rows: Vec<(&'static str, String)>,
}

impl Description {
    /// A description with no rows yet.
    pub(crate) fn new(heading: impl Into<String>) -> Self {
        Self { heading: heading.into(), rows: Vec::new() }
    }

    /// Adds a row; an empty label continues the row before.
    pub(crate) fn row(&mut self, label: &'static str, value: impl Into<String>) {
        self.rows.push((label, value.into()));
    }

    /// The lines, labels in one column. Each may hold foreign text; whoever prints them escapes them.
    pub(crate) fn lines(&self) -> Vec<String> {
        let width = self.rows.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
        let row =
            |(label, value): &(&str, String)| format!("  {label:width$}  {value}").trim_end().to_owned();
        std::iter::once(self.heading.clone()).chain(self.rows.iter().map(row)).collect()
    }
}

/// Names by which a person knows keys: those in the home's `keys/`.
pub(crate) fn key_names(ctx: &Context) -> BTreeMap<Digest, String> {
    keys::list(ctx)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|key| key.public.ok().map(|public| (public.id(), key.name)))
        .collect()
}

/// What an envelope says, who must sign it and who has, in words.
///
/// - `deciders`: whose signatures count, where that is known.
pub(crate) fn describe(
    envelope: &Envelope,
    said: &Said,
    deciders: Option<&[Decider]>,
    names: &BTreeMap<Digest, String>,
) -> Description {
    let digest = envelope.payload_digest();
    let mut out = match said {
        Said::Root(root) => {
            let mut out =
                Description::new(format!("root {} of the commons {}", root.version, root.terms.commons));
            root_rows(&mut out, root, names);
            out.row(if root.version == 1 { "digest to pin" } else { "digest" }, digest.to_string());
            out
        }
        Said::Entry(statement) => {
            let mut out = entry_rows(&statement.predicate, names);
            out.row("digest", digest.to_string());
            out
        }
    };
    let marks = marks(envelope, &deciders.map(deciding_keys).unwrap_or_default());
    for (i, mark) in marks.iter().enumerate() {
        let label = if i == 0 { "signed by" } else { "" };
        let name = names.get(&mark.keyid).map(|name| format!(" `{name}`")).unwrap_or_default();
        let verdict = match mark.state {
            MarkState::Good => "",
            MarkState::False => " – FALSE: it does not verify",
            MarkState::UnknownKey => " – a key that is not known here",
        };
        let who = mark.key.map_or_else(|| format!("key id {}", mark.keyid), |key| key.to_string());
        out.row(label, format!("{who}{name}{verdict}"));
    }
    if let Some(deciders) = deciders {
        out.row("signatures", tally(envelope, deciders));
    }
    out
}

/// The rows that say what a root says.
pub(crate) fn root_rows(out: &mut Description, root: &Root, names: &BTreeMap<Digest, String>) {
    out.row("expires", when(root.expires));
    out.row("commons log", root.terms.log.clone());
    role_rows(out, "stewards", &root.stewards, "sign every root", names);
    role_rows(out, "registrars", &root.registrars, "admit publishers and registries", names);
    if root.terms.quorum_at_least > 0 {
        out.row("quorum", format!("at least {} registries must cosign a head", root.terms.quorum_at_least));
    }
    out.row(
        "old heads",
        format!(
            "warned of after {}, refused after {}",
            span(root.terms.warn_age_s),
            span(root.terms.refuse_age_s)
        ),
    );
}

fn role_rows(
    out: &mut Description,
    label: &'static str,
    role: &Role,
    what: &str,
    names: &BTreeMap<Digest, String>,
) {
    out.row(label, format!("{} of {} {what}", role.threshold, role.keys.len()));
    for key in &role.keys {
        out.row("", key_with_name(key, names));
    }
}

/// A key, with the name that a person knows it by.
pub(crate) fn key_with_name(key: &PublicKey, names: &BTreeMap<Digest, String>) -> String {
    match names.get(&key.id()) {
        Some(name) => format!("{key} `{name}`"),
        None => key.to_string(),
    }
}

fn entry_rows(predicate: &Predicate, names: &BTreeMap<Digest, String>) -> Description {
    let place = predicate.place();
    let mut out = match predicate {
        Predicate::Publisher(record) => publisher_rows(record, names),
        Predicate::Registry(record) => registry_rows(record, names),
        Predicate::Release(release) => {
            Description::new(format!("release {} {}", release.name, release.version))
        }
        Predicate::Status(status) => {
            let versions: Vec<String> = status.versions.iter().map(ToString::to_string).collect();
            Description::new(format!("{} {} becomes {}", status.name, versions.join(", "), status.status))
        }
        Predicate::Service(service) => Description::new(format!("service {}", service.id)),
        other => Description::new(format!("{} entry", other.kind())),
    };
    out.row("log", place.log.to_string());
    out.row("seen head", format!("{} entries, root {}", place.basis.size, place.basis.root));
    out
}

fn publisher_rows(record: &Publisher, names: &BTreeMap<Digest, String>) -> Description {
    let mut out = Description::new(format!("record of publisher {}", record.id));
    out.row("kind", kind_word(record.kind));
    out.row("home", format!("registry {}", record.home));
    out.row("its log", record.vkey.clone());
    owner_rows(&mut out, &record.owners, names);
    for (i, key) in record.keys.iter().enumerate() {
        let rights: Vec<String> = key.rights.iter().map(ToString::to_string).collect();
        let label = if i == 0 { "keys" } else { "" };
        let bricks = key.bricks.as_ref().map(|b| format!(" only {}", b.join(", "))).unwrap_or_default();
        let until = key.until.map(|until| format!(" before leaf {until}")).unwrap_or_default();
        out.row(
            label,
            format!("{} may {}{bricks}{until}", key_with_name(&key.key, names), rights.join(", ")),
        );
    }
    if record.from > 0 {
        out.row("in force", format!("from leaf {} of its log", record.from));
    }
    for old in &record.succeeds {
        out.row("succeeds", old.to_string());
    }
    out
}

fn registry_rows(record: &Registry, names: &BTreeMap<Digest, String>) -> Description {
    let mut out = Description::new(format!("record of registry {}", record.id));
    out.row("operator", record.operator.to_string());
    out.row("log key", record.log_key.to_string());
    out.row("witness", record.witness.clone());
    out.row("fingerprint", record.fingerprint());
    for (i, url) in record.urls.iter().enumerate() {
        out.row(if i == 0 { "addresses" } else { "" }, url.clone());
    }
    owner_rows(&mut out, &record.owners, names);
    out
}

fn owner_rows(out: &mut Description, owners: &KeySet, names: &BTreeMap<Digest, String>) {
    out.row("owners", format!("{} of {} change this record", owners.threshold, owners.keys.len()));
    for key in &owners.keys {
        out.row("", key_with_name(key, names));
    }
}

/// The word of a publisher's kind, as in records.
pub(crate) fn kind_word(kind: PublisherKind) -> &'static str {
    match kind {
        PublisherKind::PublicBody => "public-body",
        PublisherKind::Supplier => "supplier",
        PublisherKind::Auditor => "auditor",
        PublisherKind::Community => "community",
    }
}

/// A time as people and records write it, UTC.
pub(crate) fn when(unix_s: u64) -> String {
    i64::try_from(unix_s).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok()).map_or_else(
        || format!("{unix_s} s after 1970"),
        |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    )
}

/// A length of time in its largest whole unit.
fn span(seconds: u64) -> String {
    match seconds {
        s if s >= 172_800 && s % 86_400 == 0 => format!("{} days", s / 86_400),
        s if s >= 3_600 && s % 3_600 == 0 => format!("{} h", s / 3_600),
        s => format!("{s} s"),
    }
}
