//! Why a request was refused: RFC 9457 problem bodies with types that programs can rely on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The media type of a problem body.
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

const TYPE_PREFIX: &str = "urn:brickyard:problem:";

/// A problem body. Source: RFC 9457 §3.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// What sort of problem; stable.
    #[serde(rename = "type")]
    pub problem_type: ProblemType,
    /// The sort in words; the same for every occurrence.
    pub title: String,
    /// The HTTP status code.
    pub status: u16,
    /// This occurrence in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// This occurrence's id, to be found in the registry's own log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// What is wrong where, if it is about parts of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemDetail>,
}

/// What is wrong in one part of a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ProblemDetail {
    /// What is wrong.
    pub detail: String,
    /// The field, file or step that it is about: `requires`, `brick.toml`, `signature`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl Problem {
    /// A problem of a sort, with its usual title and status code.
    pub fn new(problem_type: ProblemType, detail: impl Into<String>) -> Self {
        Self {
            problem_type,
            title: problem_type.title().to_owned(),
            status: problem_type.status(),
            detail: Some(detail.into()),
            instance: None,
            errors: Vec::new(),
        }
    }
}

impl std::fmt::Display for Problem {
    /// What was said, escaped: it comes from another party.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crate::text::escape(self.detail.as_deref().unwrap_or(&self.title)))
    }
}

/// Why a text is not the URI of a problem type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a problem type begins with `{TYPE_PREFIX}`")]
pub struct TypeUriError;

macro_rules! problem_types {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal, $status:literal, $title:literal;)+) => {
        /// What sort of problem. As text `urn:brickyard:problem:<word>`; words are never reused.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        pub enum ProblemType {
            $($(#[doc = $doc])+ $name,)+
            /// A sort that this version does not know; go by the status code.
            Other,
        }

        impl ProblemType {
            /// Every sort that this version knows.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The last part of the URI.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                    Self::Other => "other",
                }
            }

            /// The usual HTTP status code.
            pub fn status(self) -> u16 {
                match self {
                    $(Self::$name => $status,)+
                    Self::Other => 500,
                }
            }

            /// The sort in words.
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)+
                    Self::Other => "Another problem",
                }
            }
        }
    };
}

problem_types! {
    /// The request, the entry or a file in it does not have the right form.
    Malformed = "malformed", 400, "The request does not have the right form";
    /// There is nothing of that name.
    NotFound = "not-found", 404, "Not found";
    /// The entry is for a log that this registry does not know.
    UnknownLog = "unknown-log", 404, "The log is not known here";
    /// The signing key may not do this, by the record in force.
    UnauthorisedKey = "unauthorised-key", 403, "The key has no right to do this";
    /// A signature does not verify.
    BadSignature = "bad-signature", 403, "A signature does not verify";
    /// The entry's basis is not a head that this log had.
    StaleBasis = "stale-basis", 409, "The entry was made on another history of the log";
    /// The version is there already, with other bytes, or the entry contradicts what is logged.
    Conflict = "conflict", 409, "It conflicts with what is in the log";
    /// The archive is not the one the entry names, or its manifest says something else.
    ArchiveMismatch = "archive-mismatch", 422, "The archive and the entry do not say the same";
    /// A blob that the entry names was neither here nor sent along.
    MissingBlob = "missing-blob", 422, "A blob that the entry names is missing";
    /// Something is over its bound.
    TooLarge = "too-large", 413, "Over a size limit";
    /// Too many requests.
    RateLimited = "rate-limited", 429, "Too many requests";
    /// Too much waits already.
    Busy = "busy", 503, "The registry is busy";
    /// No room left.
    StorageFull = "storage-full", 507, "The registry has no room left";
    /// The registry takes nothing new at present.
    ReadOnly = "read-only", 503, "The registry takes nothing new at present";
    /// The log lives at another registry, which the detail names.
    NotHostedHere = "not-hosted-here", 421, "The log is hosted by another registry";
    /// The payload has been in this log before, in another place or meaning.
    Replayed = "replayed", 409, "The entry has been in the log before";
    /// The registry is at fault.
    Internal = "internal", 500, "The registry failed";
}

impl ProblemType {
    /// Parses the URI; a word of a later version becomes [`ProblemType::Other`].
    ///
    /// # Errors
    /// [`TypeUriError`] if it is not one of ours at all.
    pub fn parse(uri: &str) -> Result<Self, TypeUriError> {
        let word = uri.strip_prefix(TYPE_PREFIX).ok_or(TypeUriError)?;
        Ok(Self::ALL.iter().copied().find(|known| known.word() == word).unwrap_or(Self::Other))
    }
}

impl std::fmt::Display for ProblemType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{TYPE_PREFIX}{}", self.word())
    }
}

impl std::str::FromStr for ProblemType {
    type Err = TypeUriError;
    fn from_str(text: &str) -> Result<Self, TypeUriError> {
        Self::parse(text)
    }
}

crate::newtype::serde_as_text!(ProblemType);

impl JsonSchema for ProblemType {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ProblemType".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let known: Vec<String> = Self::ALL.iter().map(ToString::to_string).collect();
        schemars::json_schema!({
            "type": "string",
            "description": "What sort of problem; later versions may add words",
            "pattern": "^urn:brickyard:problem:",
            "examples": known,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_own_word_and_a_status_of_an_error() {
        let mut words: Vec<&str> = ProblemType::ALL.iter().map(|t| t.word()).collect();
        words.sort();
        words.dedup();
        assert_eq!(words.len(), ProblemType::ALL.len());
        for known in ProblemType::ALL {
            assert!((400..600).contains(&known.status()));
            assert_eq!(ProblemType::parse(&known.to_string()).unwrap(), *known);
        }
    }

    #[test]
    fn a_problem_of_a_later_version_still_reads() {
        let body = br#"{"type":"urn:brickyard:problem:quota","title":"t","status":402,"extra":1}"#;
        let problem: Problem = crate::json::from_slice(body).unwrap();
        assert_eq!((problem.problem_type, problem.status), (ProblemType::Other, 402));
        let strange = br#"{"type":"about:blank","title":"t","status":402}"#;
        assert!(crate::json::from_slice::<Problem>(strange).is_err());
    }

    #[test]
    fn a_problem_is_written_as_rfc_9457_says() {
        let problem =
            Problem::new(ProblemType::Conflict, "northshire.gov.uk/case-handling 1.4.0 is there already");
        assert_eq!(
            serde_json::to_string(&problem).unwrap(),
            r#"{"type":"urn:brickyard:problem:conflict","title":"It conflicts with what is in the log","status":409,"detail":"northshire.gov.uk/case-handling 1.4.0 is there already"}"#
        );
        let hostile = Problem::new(ProblemType::Busy, "\u{1b}[2Jgone");
        assert_eq!(hostile.to_string(), "\\u{1b}[2Jgone");
    }
}
