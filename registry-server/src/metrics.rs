//! What can an operator measure? Counters and gauges in OpenMetrics' text, every label from a fixed set.

use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use brick_schemas::api::ProblemType;
use brick_store::SyncState;

use crate::problem::Rejection;
use crate::reads::Shared;
use crate::registry::Registry;

/// Upper ends of the buckets for the time of a request or a round, in seconds.
const SECONDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0];
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Which request: the route as the table writes it, never the path that came.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct RequestLabels {
    /// The route.
    pub route: &'static str,
    /// The method.
    pub method: MethodLabel,
    /// The status by its first digit.
    pub status: StatusLabel,
}

/// A route alone.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct RouteLabels {
    /// The route.
    pub route: &'static str,
}

/// What became of an entry.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct EntryLabels {
    /// `logged`, `duplicate`, or the last part of the problem's type.
    pub outcome: &'static str,
}

/// Whether this registry signs a log.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct LogLabels {
    /// `hosted` or `mirrored`.
    pub role: &'static str,
}

/// The methods that are told apart.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
#[allow(clippy::upper_case_acronyms)]
pub enum MethodLabel {
    /// GET.
    GET,
    /// HEAD.
    HEAD,
    /// POST.
    POST,
    /// Any other.
    Other,
}

/// The sorts of status.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
pub enum StatusLabel {
    /// 2xx.
    Success,
    /// 3xx.
    Redirection,
    /// 4xx.
    ClientError,
    /// 5xx.
    ServerError,
}

impl From<&Method> for MethodLabel {
    fn from(method: &Method) -> Self {
        match *method {
            Method::GET => Self::GET,
            Method::HEAD => Self::HEAD,
            Method::POST => Self::POST,
            _ => Self::Other,
        }
    }
}

impl From<StatusCode> for StatusLabel {
    fn from(status: StatusCode) -> Self {
        match status.as_u16() {
            ..=299 => Self::Success,
            300..=399 => Self::Redirection,
            400..=499 => Self::ClientError,
            _ => Self::ServerError,
        }
    }
}

/// Everything that is measured.
pub struct Metrics {
    registry: prometheus_client::registry::Registry,
    /// Requests answered.
    pub requests: Family<RequestLabels, Counter>,
    /// Time until an answer's header was ready.
    pub request_seconds: Family<RouteLabels, Histogram>,
    /// Entries received, by what became of them.
    pub entries: Family<EntryLabels, Counter>,
    /// Transactions of the sequencer.
    pub batches: Counter,
    /// Commits to the git repository.
    pub git_commits: Counter,
    /// Cosignatures made by this registry's witness.
    pub cosignatures: Counter,
    /// Rounds of following that failed.
    pub failed_rounds: Counter,
    /// Time that a round of following took.
    pub round_seconds: Histogram,
    waiting_entries: Gauge,
    logs: Family<LogLabels, Gauge>,
    leaves: Family<LogLabels, Gauge>,
    unshown_logs: Gauge,
    failing_peers: Gauge,
    writable: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: prometheus_client::registry::Registry::with_prefix("brickyard"),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            entries: Family::default(),
            batches: Counter::default(),
            git_commits: Counter::default(),
            cosignatures: Counter::default(),
            failed_rounds: Counter::default(),
            round_seconds: Histogram::new(SECONDS),
            waiting_entries: Gauge::default(),
            logs: Family::default(),
            leaves: Family::default(),
            unshown_logs: Gauge::default(),
            failing_peers: Gauge::default(),
            writable: Gauge::default(),
        };
        let m = &mut metrics;
        m.registry.register("requests", "Requests answered", m.requests.clone());
        let help = "Time until an answer's header was ready";
        m.registry.register("request_seconds", help, m.request_seconds.clone());
        m.registry.register("entries", "Entries received, by what became of them", m.entries.clone());
        m.registry.register("batches", "Transactions of the sequencer", m.batches.clone());
        m.registry.register("git_commits", "Commits to the git repository", m.git_commits.clone());
        m.registry.register("cosignatures", "Cosignatures made", m.cosignatures.clone());
        m.registry.register("failed_rounds", "Rounds of following that failed", m.failed_rounds.clone());
        let help = "Time from asking a peer what is new until all of it is stored and shown";
        m.registry.register("round_seconds", help, m.round_seconds.clone());
        m.registry.register("waiting_entries", "Entries in the queue", m.waiting_entries.clone());
        m.registry.register("logs", "Logs held", m.logs.clone());
        m.registry.register("leaves", "Leaves stored", m.leaves.clone());
        let help = "Logs whose newest head is not shown to readers yet, for want of cosignatures";
        m.registry.register("unshown_logs", help, m.unshown_logs.clone());
        m.registry.register("failing_peers", "Peers that cannot be followed", m.failing_peers.clone());
        let help = "1 while entries are taken, 0 while only reading goes on";
        m.registry.register("writable", help, m.writable.clone());
        metrics
    }
}

impl Metrics {
    /// Counts an entry that was logged, had been before, or was refused.
    pub fn count_entry(&self, outcome: Result<bool, ProblemType>) {
        let outcome = match outcome {
            Ok(false) => "logged",
            Ok(true) => "duplicate",
            Err(problem) => problem.word(),
        };
        self.entries.get_or_create(&EntryLabels { outcome }).inc();
    }

    async fn look(&self, registry: &Registry) -> Result<(), Rejection> {
        let queue = &registry.queue;
        self.waiting_entries.set((queue.max_capacity() - queue.capacity()) as i64);
        let (mut logs, mut leaves, mut unshown) = ([0, 0], [0, 0], 0);
        for (_, head) in registry.heads() {
            let role = usize::from(!head.hosted);
            logs[role] += 1;
            leaves[role] += i64::try_from(head.size).unwrap_or(i64::MAX);
            unshown += i64::from(head.shown_size < head.size);
        }
        for (at, role) in ["hosted", "mirrored"].into_iter().enumerate() {
            self.logs.get_or_create(&LogLabels { role }).set(logs[at]);
            self.leaves.get_or_create(&LogLabels { role }).set(leaves[at]);
        }
        self.unshown_logs.set(unshown);
        let rows = registry.store.sync_states().await?;
        let failing = rows
            .iter()
            .filter(|row| row.log.is_none() && matches!(row.state, SyncState::Failed { .. }))
            .count();
        self.failing_peers.set(failing as i64);
        self.writable.set(i64::from(registry.may_write().is_ok()));
        Ok(())
    }
}

/// `/metrics`: for operators; keep it from the public where load is a secret.
///
/// # Errors
/// [`Rejection`] where the store fails.
pub async fn metrics(State(registry): Shared) -> Result<Response, Rejection> {
    registry.metrics.look(&registry).await?;
    let mut text = String::new();
    encode(&mut text, &registry.metrics.registry)
        .map_err(|_| Rejection::new(ProblemType::Internal, "the metrics could not be written"))?;
    let mut response = text.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS));
    Ok(response)
}
