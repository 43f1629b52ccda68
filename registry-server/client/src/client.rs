//! One registry, asked over connections that are kept.

use std::sync::Arc;
use std::time::{Duration, Instant};

use brick_schemas::api::{PROBLEM_MEDIA_TYPE, Problem, ProblemType};
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use url::Url;

use crate::error::AskError;
use crate::retry::pause_after;

/// Requests under way at once, at most, of one call that needs many.
pub const MAX_IN_FLIGHT: usize = 16;
/// Redirects followed within one origin, at most.
pub const MAX_REDIRECTS: usize = 4;
/// Bytes of a problem body that are read; longer ones are not read at all.
pub const MAX_PROBLEM_BYTES: usize = 64 * 1024;
/// Bytes of an ETag that is kept; a longer one is treated as none.
pub const MAX_ETAG_BYTES: usize = 256;

/// How long a client waits, and how often it tries.
#[derive(Debug, Clone)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For the next bytes of an answer.
    pub idle: Duration,
    /// For a whole answer.
    pub total: Duration,
    /// Times that a read is tried; at least 1. Whatever changes something is tried once.
    pub attempts: u32,
    /// Pause after the first failure; it doubles with each.
    pub first_pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            total: Duration::from_secs(300),
            attempts: 4,
            first_pause: Duration::from_millis(150),
        }
    }
}

/// Why there is no client for an address.
#[derive(Debug, thiserror::Error)]
pub enum NewClientError {
    /// Not the address of a registry.
    #[error("`{}` is not a registry's address: {rule}", .text.escape_debug())]
    Address {
        /// What was given.
        text: String,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// This machine's TLS or proxy settings cannot be used.
    #[error("cannot set up connections to {url}")]
    Setup {
        /// The registry.
        url: String,
        /// What is wrong.
        #[source]
        err: reqwest::Error,
    },
}

/// One registry, mirror or static host that serves the same files. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    base: Url,
    patience: Patience,
}

/// What a read came to.
pub(crate) enum Got {
    Found { bytes: Vec<u8>, etag: Option<String> },
    NotModified,
}

impl Client {
    /// A client for the registry at `url`, with the usual patience.
    ///
    /// # Errors
    /// [`NewClientError`].
    pub fn new(url: &str) -> Result<Self, NewClientError> {
        Self::with_patience(url, Patience::default())
    }

    /// A client for the registry at `url`.
    ///
    /// - `url`: `http` or `https`, with a path where the registry is not at the top; proxies are taken from the
    ///   environment. Redirects are followed within the same origin only.
    ///
    /// # Errors
    /// [`NewClientError`].
    pub fn with_patience(url: &str, patience: Patience) -> Result<Self, NewClientError> {
        let base = parse_base(url)?;
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("brick/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(patience.connect)
                .read_timeout(patience.idle)
                .timeout(patience.total)
                .pool_max_idle_per_host(MAX_IN_FLIGHT)
                .redirect(Policy::custom(same_origin_only))
                .referer(false)
                .retry(reqwest::retry::never())
        };
        // A machine without any certificates can still talk to a registry that is reached without TLS.
        let http = match builder().build() {
            Err(_) if base.scheme() == "http" => builder().tls_certs_only([]).build(),
            built => built,
        };
        match http {
            Ok(http) => Ok(Self { inner: Arc::new(Inner { http, base, patience }) }),
            Err(err) => Err(NewClientError::Setup { url: base.to_string(), err }),
        }
    }

    /// The registry's address, with a slash at its end.
    pub fn base(&self) -> &Url {
        &self.inner.base
    }

    /// The address of `path`, which has no leading slash and is made of names, numbers and digests.
    pub(crate) fn url(&self, path: &str) -> Url {
        self.inner.base.join(path).expect("paths made of names, numbers and digests can be joined")
    }

    /// What stands at `path`, at most `max_bytes` of it.
    pub(crate) async fn read(&self, path: &str, max_bytes: usize) -> Result<Vec<u8>, AskError> {
        match self.get(self.url(path), max_bytes, None).await? {
            Got::Found { bytes, .. } => Ok(bytes),
            Got::NotModified => Err(self.unasked_304(path)),
        }
    }

    /// What stands at `path`, or nothing where the registry says so.
    pub(crate) async fn read_if_there(
        &self,
        path: &str,
        max_bytes: usize,
    ) -> Result<Option<Vec<u8>>, AskError> {
        match self.read(path, max_bytes).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(err) if err.is_missing() => Ok(None),
            Err(err) => Err(err),
        }
    }

    /// A GET, tried again where that may help.
    pub(crate) async fn get(&self, url: Url, max_bytes: usize, etag: Option<&str>) -> Result<Got, AskError> {
        let condition = etag.and_then(|etag| HeaderValue::from_str(etag).ok());
        let (url, condition) = (&url, &condition);
        self.patiently(|| async move {
            let mut request = self.request(Method::GET, url.clone());
            if let Some(condition) = condition {
                request = request.header(header::IF_NONE_MATCH, condition);
            }
            let response = self.send(url, request).await?;
            if response.status() == StatusCode::NOT_MODIFIED {
                return Ok(Got::NotModified);
            }
            let response = demand_success(url, response).await?;
            refuse_page(url, response.headers())?;
            let etag = text_header(response.headers(), header::ETAG)
                .filter(|etag| etag.len() <= MAX_ETAG_BYTES)
                .map(str::to_owned);
            Ok(Got::Found { bytes: read_bounded(url, response, max_bytes).await?, etag })
        })
        .await
    }

    /// Does `once` until it works, or does not get better, or patience ends.
    ///
    /// A function that gives a future, not an async closure: those are not `Send` for every lifetime, and a registry's
    /// tasks move between threads.
    pub(crate) async fn patiently<T, F>(&self, once: impl Fn() -> F) -> Result<T, AskError>
    where
        F: Future<Output = Result<T, AskError>>,
    {
        let Patience { attempts, first_pause, .. } = self.inner.patience;
        let mut attempt = 1;
        loop {
            let began = Instant::now();
            match once().await.map_err(|err| err.since(began)) {
                Err(err) if attempt < attempts => match pause_after(&err, attempt, first_pause) {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(err),
                },
                answer => return answer,
            }
            attempt += 1;
        }
    }

    pub(crate) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.inner.http.request(method, url)
    }

    /// Sends once; any status is an answer.
    pub(crate) async fn send(&self, url: &Url, request: RequestBuilder) -> Result<Response, AskError> {
        let began = Instant::now();
        request.send().await.map_err(|err| AskError::of(url, err).since(began))
    }

    /// The error for a 304 that no condition was there for.
    pub(crate) fn unasked_304(&self, path: &str) -> AskError {
        self.not_a_registry(path, "it says 304 to a question without a condition")
    }

    /// The error for an answer of `path` that is not what that path gives.
    pub(crate) fn not_a_registry(&self, path: &str, what: impl std::fmt::Display) -> AskError {
        AskError::NotARegistry { url: self.url(path).to_string(), what: what.to_string() }
    }
}

fn parse_base(text: &str) -> Result<Url, NewClientError> {
    let refuse = |rule| NewClientError::Address { text: text.to_owned(), rule };
    let mut base = Url::parse(text.trim()).map_err(|_| refuse("it must begin with https:// or http://"))?;
    if !matches!(base.scheme(), "http" | "https") {
        return Err(refuse("it must begin with https:// or http://"));
    }
    if base.query().is_some() || base.fragment().is_some() {
        return Err(refuse("it must not have a `?` or `#`"));
    }
    if !base.username().is_empty() || base.password().is_some() {
        return Err(refuse("it must not have a user name or password in it"));
    }
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", base.path()));
    }
    Ok(base)
}

/// A registry may move things within itself; it cannot send its clients elsewhere.
fn same_origin_only(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let first = attempt.previous().first();
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error("it redirects in circles");
    }
    if first.is_none_or(|first| first.origin() == attempt.url().origin()) {
        return attempt.follow();
    }
    let elsewhere = format!(
        "it redirects to {}; if that is the registry, give that address",
        attempt.url().origin().ascii_serialization()
    );
    attempt.error(elsewhere)
}

/// The response if its status is a success; otherwise the problem it states.
pub(crate) async fn demand_success(url: &Url, response: Response) -> Result<Response, AskError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    if !status.is_client_error() && !status.is_server_error() {
        return Err(AskError::NotARegistry {
            url: url.to_string(),
            what: format!("status {}", status.as_u16()),
        });
    }
    Err(problem_of(url, response).await)
}

/// The problem that a response with an error status states.
pub(crate) async fn problem_of(url: &Url, response: Response) -> AskError {
    let status = response.status().as_u16();
    let retry_after = text_header(response.headers(), header::RETRY_AFTER)
        .and_then(|seconds| seconds.trim().parse().ok())
        .map(Duration::from_secs);
    let stated = content_type(response.headers()) == Some(PROBLEM_MEDIA_TYPE);
    let body = match stated {
        true => read_bounded(url, response, MAX_PROBLEM_BYTES).await.unwrap_or_default(),
        false => Vec::new(),
    };
    let problem = brick_schemas::json::from_slice(&body).unwrap_or_else(|_| problem_of_status(status));
    AskError::Problem { url: url.to_string(), status, problem: Box::new(problem), retry_after }
}

/// What a status alone says (RFC 9457 §4.2.1).
pub(crate) fn problem_of_status(status: u16) -> Problem {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    Problem {
        problem_type: ProblemType::Other,
        title: reason.unwrap_or("unknown status").to_owned(),
        status,
        detail: None,
        instance: None,
        errors: Vec::new(),
    }
}

/// A page for people on a path for programs: a login page of the network, or another web site altogether.
fn refuse_page(url: &Url, headers: &HeaderMap) -> Result<(), AskError> {
    if content_type(headers) == Some("text/html") {
        return Err(AskError::NotARegistry { url: url.to_string(), what: "it gives a web page".into() });
    }
    Ok(())
}

/// The body, if it has at most `max_bytes` after decompression.
pub(crate) async fn read_bounded(
    url: &Url,
    mut response: Response,
    max_bytes: usize,
) -> Result<Vec<u8>, AskError> {
    let too_large = || AskError::TooLarge { url: url.to_string(), max_bytes };
    let announced = response.content_length().unwrap_or(0);
    if announced > max_bytes as u64 {
        return Err(too_large());
    }
    let began = Instant::now();
    let mut bytes = Vec::with_capacity(announced as usize);
    while let Some(chunk) = response.chunk().await.map_err(|err| AskError::of(url, err).since(began))? {
        if chunk.len() > max_bytes - bytes.len() {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

pub(crate) fn text_header(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The media type without its parameters.
pub(crate) fn content_type(headers: &HeaderMap) -> Option<&str> {
    let value = text_header(headers, header::CONTENT_TYPE)?;
    Some(value.split(';').next().unwrap_or(value).trim())
}
