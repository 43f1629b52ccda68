//! How are refusals and missing answers told? One place that turns them into failures with a next step.

use std::error::Error;

use brick_client::AskError;
use brick_trust::{Refused, Step};

use super::commons::span;
use crate::failure::{Failure, Family};

/// A check that failed: an alarm, whatever the step.
pub(crate) fn refused(refused: &Refused) -> Failure {
    let failure = Failure::alarm(refused.to_string());
    let failure = match refused.source() {
        Some(source) => failure.because(source),
        None => failure,
    };
    match help_for(refused.step) {
        Some(help) => failure.help(help),
        None => failure,
    }
}

fn help_for(step: Step) -> Option<&'static str> {
    Some(match step {
        Step::Root => {
            "compare the root's SHA-256 with what the commons publishes elsewhere before you trust it"
        }
        Step::Quorum => {
            "ask another registry with `--registry`; the head is not vouched for by enough of them"
        }
        Step::Freshness => {
            "ask another registry with `--registry`, or work from the lockfile with `--locked`"
        }
        Step::Consistency => {
            "ask another registry with `--registry`, and tell the commons' stewards if it stays"
        }
        Step::Lock => "restore brick.lock from version control; run `brick audit --lock` to see what changed",
        Step::Archive | Step::Manifest | Step::Index | Step::Inclusion => {
            "ask another registry with `--registry`; nothing of this one's answer was kept"
        }
        _ => return None,
    })
}

/// A registry that gave no answer, or none that could be used.
pub(crate) fn asked(err: &AskError) -> Failure {
    let family = match err {
        // The request itself was at fault.
        AskError::Problem { status: 400..=403 | 405..=407 | 409..=428, .. } => Family::Yours,
        _ => Family::Network,
    };
    let failure = Failure::new(family, err.to_string());
    let failure = match err.source() {
        Some(source) => failure.because(source),
        None => failure,
    };
    match (err, err.advice()) {
        (AskError::Slow { .. }, _) => failure.help(
            "try again later, choose another registry with `--registry URL`, or wait longer with BRICK_HTTP_TIMEOUT=SECONDS",
        ),
        (AskError::Problem { retry_after: Some(pause), .. }, _) => failure.help(format!(
            "it asks to be left alone for {}; try again then, or choose another registry with `--registry URL`",
            span(pause.as_secs())
        )),
        (_, Some(advice)) => {
            failure.help(decapitalised(advice).replace("another registry", "another registry with `--registry URL`"))
        }
        (_, None) => failure,
    }
}

/// Help lines begin in lower case and have no full stop.
fn decapitalised(sentence: &str) -> String {
    let sentence = sentence.strip_suffix('.').unwrap_or(sentence);
    let mut chars = sentence.chars();
    let first = chars.next().map(|c| c.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}

/// Offline, before anything was ever asked.
pub(crate) fn cannot_begin(origin: &str) -> Failure {
    Failure::network(format!("nothing of {origin} is kept on this machine yet"))
        .help("run it once without `--offline`, then what it needs is kept")
}

/// Something that the cache does not hold, offline.
pub(crate) fn not_kept(what: &str) -> Failure {
    Failure::network(format!("{what} is not kept on this machine"))
        .help("run `brick fetch` once with a network, then `--offline` will do")
}

/// Why something cannot be relied on, or not yet.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The registry may only be behind, or moving: worth asking again.
    NotYet(Refused),
    /// No second try would change it.
    Final(Failure),
}

impl Trouble {
    /// As a failure, once there are no more tries.
    pub(crate) fn last(self) -> Failure {
        match self {
            Trouble::NotYet(err) => refused(&err),
            Trouble::Final(failure) => failure,
        }
    }
}

impl From<Refused> for Trouble {
    fn from(err: Refused) -> Self {
        Trouble::Final(refused(&err))
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Trouble::Final(failure)
    }
}

impl From<AskError> for Trouble {
    fn from(err: AskError) -> Self {
        Trouble::Final(asked(&err))
    }
}
