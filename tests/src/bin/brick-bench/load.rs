//! How are many requests sent cheaply, by so many clients, each on a connection of its own?

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue, LOCATION};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::statistics::quantile;

/// Bytes of an answer that are kept, at most.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;
/// Times that a request is sent again to a server that says it is busy.
const MAX_RETRIES: usize = 40;
/// Wait before each.
const BEFORE_RETRY: Duration = Duration::from_millis(25);
/// Time for one request.
const REQUEST_LIMIT: Duration = Duration::from_secs(120);

/// One request.
#[derive(Clone)]
pub struct Step {
    /// How.
    pub method: Method,
    /// Where to.
    pub target: Target,
    /// With what beside `Host`.
    pub headers: Vec<(HeaderName, String)>,
    /// What is sent.
    pub body: Bytes,
}

/// Where a request goes.
#[derive(Clone)]
pub enum Target {
    /// A path with its query.
    Path(String),
    /// The `Location` of the answer before, with more to its query.
    Location {
        /// Such as `digest=sha256:…`.
        and: String,
    },
}

/// What came of a load.
pub struct Done {
    /// From the first request to the last answer.
    pub took: Duration,
    /// Of each job, in milliseconds.
    pub latencies_ms: Vec<f64>,
    /// The body of each job's last answer, in the order of the jobs.
    pub answers: Vec<Bytes>,
    /// Requests that were sent again because the server was busy (429, 503); the wait counts as latency.
    pub retries: usize,
}

/// Why a load was not carried to its end.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No connection.
    #[error("cannot connect to {address}")]
    Connect {
        /// Where to.
        address: SocketAddr,
        #[source]
        err: std::io::Error,
    },
    /// A request without answer.
    #[error("no answer to job {job}")]
    Ask {
        /// Which, counted from 0.
        job: usize,
        #[source]
        err: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An answer that is no success.
    #[error("job {job} was answered with {status}: {body}")]
    Refused {
        /// Which, counted from 0.
        job: usize,
        /// The answer's status.
        status: StatusCode,
        /// The beginning of its body.
        body: String,
    },
}

impl Done {
    /// Jobs a second.
    pub fn per_second(&self) -> f64 {
        self.latencies_ms.len() as f64 / self.took.as_secs_f64()
    }

    /// The latency that `share` of the jobs do not exceed, in milliseconds.
    pub fn latency_ms(&self, share: f64) -> f64 {
        quantile(self.latencies_ms.iter().copied(), share).unwrap_or(f64::NAN)
    }
}

/// Does each of `jobs`, the steps of one in order, with `clients` at a time.
///
/// # Errors
/// [`LoadError`] of the first job that is not answered with success; the others are given up.
pub async fn run(address: SocketAddr, jobs: Vec<Vec<Step>>, clients: usize) -> Result<Done, LoadError> {
    let (jobs, next) = (Arc::new(jobs), Arc::new(AtomicUsize::new(0)));
    let retries = Arc::new(AtomicUsize::new(0));
    let mut running = tokio::task::JoinSet::new();
    let began = Instant::now();
    for _ in 0..clients {
        running.spawn(client(address, jobs.clone(), next.clone(), retries.clone()));
    }
    let mut answers = vec![Bytes::new(); jobs.len()];
    let mut latencies_ms = Vec::with_capacity(jobs.len());
    while let Some(finished) = running.join_next().await {
        for (job, latency, answer) in finished.expect("a client does not panic")? {
            latencies_ms.push(latency.as_secs_f64() * 1e3);
            answers[job] = answer;
        }
    }
    Ok(Done { took: began.elapsed(), latencies_ms, answers, retries: retries.load(Ordering::Relaxed) })
}

type Finished = Vec<(usize, Duration, Bytes)>;

async fn client(
    address: SocketAddr,
    jobs: Arc<Vec<Vec<Step>>>,
    next: Arc<AtomicUsize>,
    retries: Arc<AtomicUsize>,
) -> Result<Finished, LoadError> {
    let mut connection = connect(address).await?;
    let mut finished = Vec::new();
    loop {
        let job = next.fetch_add(1, Ordering::Relaxed);
        let Some(steps) = jobs.get(job) else { return Ok(finished) };
        let began = Instant::now();
        let (mut location, mut answer) = (None, Bytes::new());
        for step in steps {
            let mut tries = 0;
            let (status, headers, body) = loop {
                // A server may close a connection between two requests.
                if connection.ready().await.is_err() {
                    connection = connect(address).await?;
                }
                let asked = ask(&mut connection, address, step, location.as_deref());
                let asked = tokio::time::timeout(REQUEST_LIMIT, asked).await;
                let asked = asked
                    .map_err(|err| LoadError::Ask { job, err: err.into() })?
                    .map_err(|err| LoadError::Ask { job, err })?;
                let is_busy =
                    matches!(asked.0, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
                if !is_busy || tries == MAX_RETRIES {
                    break asked;
                }
                tries += 1;
                retries.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(BEFORE_RETRY).await;
            };
            if !status.is_success() {
                let body = String::from_utf8_lossy(&body[..body.len().min(500)]).into_owned();
                return Err(LoadError::Refused { job, status, body });
            }
            location = headers.get(LOCATION).and_then(|value| Some(value.to_str().ok()?.to_owned()));
            answer = body;
        }
        finished.push((job, began.elapsed(), answer));
    }
}

/// A connection of its own.
///
/// # Errors
/// [`LoadError::Connect`].
pub async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>, LoadError> {
    let failed = |err| LoadError::Connect { address, err };
    let stream = TcpStream::connect(address).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.map_err(|err| failed(std::io::Error::other(err)))?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Sends one request and reads its answer whole.
///
/// # Errors
/// Whatever stands between.
pub async fn ask(
    connection: &mut SendRequest<Full<Bytes>>,
    address: SocketAddr,
    step: &Step,
    location: Option<&str>,
) -> Result<(StatusCode, HeaderMap, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let path = match &step.target {
        Target::Path(path) => path.clone(),
        Target::Location { and } => followed(location.ok_or("there is no Location to follow")?, and),
    };
    let mut request = Request::builder().method(step.method.clone()).uri(path);
    request = request.header(HOST, HeaderValue::from_str(&address.to_string())?);
    for (name, value) in &step.headers {
        request = request.header(name, value);
    }
    let response = connection.send_request(request.body(Full::new(step.body.clone()))?).await?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await?.to_bytes();
    Ok((head.status, head.headers, body))
}

/// The path of a `Location`, with `and` added to its query.
fn followed(location: &str, and: &str) -> String {
    let path = match location.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => location,
    };
    format!("{path}{}{and}", if path.contains('?') { '&' } else { '?' })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::routing::{get, post};

    async fn serve(router: Router) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    fn step(method: Method, target: Target, body: &str) -> Step {
        Step { method, target, headers: Vec::new(), body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    #[test]
    fn a_location_is_followed_with_more_to_its_query() {
        assert_eq!(followed("/a", "x=1"), "/a?x=1");
        assert_eq!(followed("http://127.0.0.1:5000/a?b=2", "x=1"), "/a?b=2&x=1");
        assert_eq!(followed("http://127.0.0.1", "x=1"), "/?x=1");
    }

    #[tokio::test]
    async fn every_job_is_done_once_whatever_the_number_of_clients() {
        let address = serve(Router::new().route("/echo", post(|body: String| async { body }))).await;
        for clients in [1, 5, 40] {
            let job = |n: usize| vec![step(Method::POST, Target::Path("/echo".into()), &n.to_string())];
            let done = run(address, (0..20).map(job).collect(), clients).await.unwrap();
            let answers: Vec<_> = (0..20).map(|n| Bytes::from(n.to_string())).collect();
            assert_eq!(done.answers, answers);
            assert_eq!(done.latencies_ms.len(), 20);
            assert!(done.per_second() > 0.0 && done.latency_ms(0.99) >= done.latency_ms(0.5));
        }
    }

    #[tokio::test]
    async fn steps_of_a_job_follow_each_other() {
        let begin = get(|| async { ([("location", "/end?id=7")], "") });
        let end = post(|uri: axum::http::Uri| async move { uri.to_string() });
        let address = serve(Router::new().route("/begin", begin).route("/end", end)).await;
        let job = vec![
            step(Method::GET, Target::Path("/begin".into()), ""),
            step(Method::POST, Target::Location { and: "digest=abc".into() }, ""),
        ];
        let done = run(address, vec![job], 1).await.unwrap();
        assert_eq!(done.answers, ["/end?id=7&digest=abc"]);
    }

    #[tokio::test]
    async fn a_busy_server_is_asked_again() {
        let asked = Arc::new(AtomicUsize::new(0));
        let busy_twice = get(move || async move {
            let status = if asked.fetch_add(1, Ordering::Relaxed) < 2 { 503 } else { 200 };
            StatusCode::from_u16(status).unwrap()
        });
        let address = serve(Router::new().route("/busy", busy_twice)).await;
        let job = vec![step(Method::GET, Target::Path("/busy".into()), "")];
        assert_eq!(run(address, vec![job], 1).await.unwrap().retries, 2);
    }

    #[tokio::test]
    async fn an_answer_that_is_no_success_ends_it() {
        let address = serve(Router::new()).await;
        let job = vec![step(Method::GET, Target::Path("/nothing".into()), "")];
        let err = run(address, vec![job], 1).await.err().unwrap();
        assert!(matches!(err, LoadError::Refused { job: 0, status: StatusCode::NOT_FOUND, .. }), "{err}");
    }
}
