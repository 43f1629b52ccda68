//! What a registry says when it says no (RFC 9457).

use serde::Deserialize;

/// A problem body. Its texts are another party's: escape them before they reach a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Problem {
    /// What sort of problem, stable, for programs.
    #[serde(rename = "type", default = "blank")]
    pub kind: String,
    /// What sort of problem, for people.
    #[serde(default)]
    pub title: String,
    /// What happened this time.
    #[serde(default)]
    pub detail: Option<String>,
}

fn blank() -> String {
    "about:blank".into()
}

impl Problem {
    /// The problem that a status alone is.
    pub fn blank(status: u16) -> Self {
        let reason = reqwest::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        Self { kind: blank(), title: reason.unwrap_or("unknown status").to_owned(), detail: None }
    }
}
