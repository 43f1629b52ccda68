//! Why is there no answer?

use std::error::Error as _;
use std::time::{Duration, Instant};

use brick_schemas::api::Problem;
use brick_schemas::text::escape;

/// Why a registry did not give what its address and path promise.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No connection, or it broke off.
    #[error("cannot reach {url}: {why}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// What stands between.
        why: Unreachable,
        /// The network's own words.
        #[source]
        err: reqwest::Error,
    },
    /// It took longer than the client's patience: nothing came, or not everything.
    #[error("{url} gave no whole answer within {}", seconds(*.waited))]
    Slow {
        /// What was asked.
        url: String,
        /// From the question to the end of patience.
        waited: Duration,
        /// Which wait ended.
        #[source]
        err: reqwest::Error,
    },
    /// Something answers there, but not as a registry does.
    #[error("{url} does not answer as a registry does: {what}")]
    NotARegistry {
        /// What was asked.
        url: String,
        /// What is wrong with the answer; texts of others in it are escaped.
        what: String,
    },
    /// The registry says no, and why.
    #[error("{url} answers {status}: {}", words(.problem))]
    Problem {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The registry's words; of type `other`, with the status in words, where it has none (RFC 9457 §4.2.1).
        problem: Box<Problem>,
        /// How long it asks us to wait.
        retry_after: Option<Duration>,
    },
    /// The answer is longer than this path may give.
    #[error("the answer of {url} is longer than {max_bytes} bytes")]
    TooLarge {
        /// What was asked.
        url: String,
        /// The bound.
        max_bytes: usize,
    },
}

/// What stands between us and a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// DNS does not know the host.
    #[error("its name is not known")]
    Name,
    /// Nobody listens there.
    #[error("nothing listens there")]
    NobodyListens,
    /// The certificate is not one this machine accepts.
    #[error("its certificate is not accepted")]
    Certificate,
    /// The connection ended before the answer did.
    #[error("the connection broke off")]
    BrokeOff,
    /// Anything else on the way.
    #[error("no connection")]
    NoConnection,
}

impl Unreachable {
    /// What a person can do about it, as a full sentence.
    pub fn advice(self) -> &'static str {
        match self {
            Unreachable::Name => "Check the spelling of the address, and that this machine is online.",
            Unreachable::NobodyListens => "Check the port, and that the registry is running.",
            Unreachable::Certificate => {
                "Check this machine's clock and its certificates, or whether a proxy stands in between."
            }
            Unreachable::BrokeOff => "Try again; what was received so far was not kept.",
            Unreachable::NoConnection => {
                "Check the network and its proxy settings, or choose another registry."
            }
        }
    }
}

/// What sort of failure an [`AskError`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// No connection.
    Unreachable,
    /// No patience left.
    Slow,
    /// Not a registry, or a broken one.
    NotARegistry,
    /// The registry refused.
    Problem,
    /// Over a bound.
    TooLarge,
}

impl AskError {
    /// What sort of failure it is.
    pub fn family(&self) -> Family {
        match self {
            AskError::Unreachable { .. } => Family::Unreachable,
            AskError::Slow { .. } => Family::Slow,
            AskError::NotARegistry { .. } => Family::NotARegistry,
            AskError::Problem { .. } => Family::Problem,
            AskError::TooLarge { .. } => Family::TooLarge,
        }
    }

    /// The address that was asked.
    pub fn url(&self) -> &str {
        match self {
            AskError::Unreachable { url, .. }
            | AskError::Slow { url, .. }
            | AskError::NotARegistry { url, .. }
            | AskError::Problem { url, .. }
            | AskError::TooLarge { url, .. } => url,
        }
    }

    /// Whether the registry says that there is no such thing.
    pub fn is_missing(&self) -> bool {
        matches!(self, AskError::Problem { status: 404 | 410, .. })
    }

    /// What a person can do about it, as a full sentence; `None` where only the registry's own words help.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            AskError::Unreachable { why, .. } => Some(why.advice()),
            AskError::Slow { .. } => Some("Try again later, or choose another registry."),
            AskError::NotARegistry { .. } => {
                Some("Check the registry's address, and whether this network asks you to log in first.")
            }
            AskError::Problem { status: 429 | 500.., .. } => {
                Some("Try again later, or choose another registry.")
            }
            AskError::Problem { status: 404 | 410, .. } => {
                Some("Check the registry's address, or choose another registry.")
            }
            AskError::Problem { status: 407, .. } => {
                Some("Check the proxy settings, and whether this network asks you to log in first.")
            }
            AskError::TooLarge { .. } => {
                Some("Check the registry's address; nothing of that answer was kept.")
            }
            AskError::Problem { .. } => None,
        }
    }

    /// The same error, saying since when was waited where that was too long.
    pub(crate) fn since(self, began: Instant) -> Self {
        match self {
            AskError::Slow { url, err, .. } => AskError::Slow { url, waited: began.elapsed(), err },
            other => other,
        }
    }

    /// Sorts what the network said.
    pub(crate) fn of(url: &url::Url, err: reqwest::Error) -> Self {
        let url = url.to_string();
        let err = err.without_url();
        if err.is_timeout() {
            return AskError::Slow { url, waited: Duration::ZERO, err };
        }
        if err.is_redirect() {
            let what = deepest(&err);
            return AskError::NotARegistry { url, what };
        }
        if err.is_decode() {
            return AskError::NotARegistry { url, what: "its compression is damaged".into() };
        }
        let why = why_unreachable(&err);
        AskError::Unreachable { url, why, err }
    }
}

fn why_unreachable(err: &reqwest::Error) -> Unreachable {
    if err.is_dns() {
        return Unreachable::Name;
    }
    let mut cause = err.source();
    while let Some(err) = cause {
        match err.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
            Some(std::io::ErrorKind::ConnectionRefused) => return Unreachable::NobodyListens,
            // The TLS library is reqwest's choice: its errors can only be told by their words.
            Some(_) if err.to_string().contains("certificate") => return Unreachable::Certificate,
            _ => cause = err.source(),
        }
    }
    if err.is_connect() { Unreachable::NoConnection } else { Unreachable::BrokeOff }
}

fn deepest(err: &dyn std::error::Error) -> String {
    let mut deepest = err;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    deepest.to_string()
}

fn seconds(span: Duration) -> String {
    match span.as_secs() {
        0..10 => format!("{:.1} s", span.as_secs_f64()),
        whole => format!("{whole} s"),
    }
}

/// A problem's title and detail, escaped: they are another party's words.
fn words(problem: &Problem) -> String {
    let mut words = escape(&problem.title);
    let details = problem.errors.iter().map(|part| &part.detail);
    for detail in problem.detail.iter().chain(details) {
        words.push_str(&format!("; {}", escape(detail)));
    }
    words
}
