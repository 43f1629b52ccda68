//! Which answers lie ready? Whole ones, by path, each as long as the head that it stands under is the one shown.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use axum::response::Response;
use brick_schemas::Digest;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::heads::ShownHead;
use crate::metrics::{MethodLabel, Metrics, RequestLabels, RouteLabels, StatusLabel};
use crate::plain::{is_worth_compressing, none_match};
use crate::request_id::{REQUEST_ID, RequestId};

/// Bytes of the body of an answer that is kept, at most; a larger one is read from its file each time.
pub const MAX_KEPT_BODY_BYTES: u64 = 1024 * 1024;
/// Bytes that are compressed while their reader waits, at most: some milliseconds, once for each head.
const MAX_COMPRESSED_BYTES: usize = 256 * 1024;
/// What an answer takes beside its body: a dozen headers with values of their own, twice, and its place in the cache.
const BESIDE_BODY_BYTES: u64 = 4_096;
/// What a reader who has the content is told besides the request's id: what is to be updated in its copy. RFC 9110 §15.4.5.
const NOT_MODIFIED_HEADERS: [HeaderName; 3] = [header::CACHE_CONTROL, header::ETAG, header::VARY];
/// What an answer is expected to take, to size the cache's own tables; a wrong guess costs a growth of them.
const USUAL_ANSWER_BYTES: u64 = 8_192;

/// Whether readers are shown another head by now. Clones tell the same.
#[derive(Clone, Debug, Default)]
pub struct Superseded(Arc<AtomicBool>);

impl Superseded {
    /// Notes that they are.
    pub fn note(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_noted(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Marks an answer that may be kept, and says for how long.
#[derive(Clone)]
pub struct MayKeep(KeptUntil);

#[derive(Clone)]
enum KeptUntil {
    Superseded(Superseded),
    Forgotten,
}

/// Lets `response` be kept until readers are shown another head than `head`.
pub fn keep_under(head: &ShownHead, response: Response) -> Response {
    keep_until(&head.superseded, response)
}

fn keep_until(superseded: &Superseded, mut response: Response) -> Response {
    response.extensions_mut().insert(MayKeep(KeptUntil::Superseded(superseded.clone())));
    response
}

/// Lets `response` be kept for as long as there is room: what its path names never changes.
pub fn keep(mut response: Response) -> Response {
    response.extensions_mut().insert(MayKeep(KeptUntil::Forgotten));
    response
}

/// Answers that lie ready.
pub struct KeptAnswers {
    cache: Cache<Box<str>, Arc<KeptAnswer>, Bulk>,
    max_body_bytes: u64,
}

#[derive(Clone)]
struct Bulk;

impl Weighter<Box<str>, Arc<KeptAnswer>> for Bulk {
    fn weight(&self, path: &Box<str>, answer: &Arc<KeptAnswer>) -> u64 {
        BESIDE_BODY_BYTES + path.len() as u64 + answer.bulk
    }
}

struct KeptAnswer {
    until: KeptUntil,
    etag: Box<str>,
    plain: Shape,
    /// The headers for a reader who has it.
    not_modified: HeaderMap,
    /// Made when somebody first asks for it; `None` in it where compressing does not pay.
    compressed: OnceLock<Option<Shape>>,
    bulk: u64,
    answered: Counter,
    unchanged: Counter,
    seconds: Histogram,
}

/// Headers and body as they go out.
struct Shape {
    headers: HeaderMap,
    body: Bytes,
}

impl KeptAnswers {
    /// Room for answers of `bytes` together; none are kept where that is 0.
    pub fn new(bytes: u64) -> Self {
        let items = usize::try_from(bytes / USUAL_ANSWER_BYTES).unwrap_or(usize::MAX);
        let cache = Cache::with_weighter(items, bytes, Bulk);
        let max_body_bytes = MAX_KEPT_BODY_BYTES.min(cache.shard_capacity() / 2);
        Self { cache, max_body_bytes }
    }

    /// Bytes of the body of an answer that can be kept here, at most.
    pub fn max_body_bytes(&self) -> u64 {
        self.max_body_bytes
    }

    /// The answer to `request` if it lies ready, counted and told like any other.
    pub fn answer<B>(&self, request: &Request<B>) -> Option<Response> {
        let begun = Instant::now();
        if *request.method() != Method::GET
            || request.uri().query().is_some()
            || request.headers().contains_key(header::RANGE)
        {
            return None;
        }
        let path = request.uri().path();
        let kept = self.cache.get(path)?;
        if let KeptUntil::Superseded(superseded) = &kept.until
            && superseded.is_noted()
        {
            return None;
        }
        let mut response = kept.for_reader(request.headers());
        let id = RequestId::of(request.headers());
        let status = response.status().as_u16();
        tracing::debug!(id = id.as_str(), method = "GET", path, status, "answered at once");
        response.headers_mut().insert(REQUEST_ID, id.into_header());
        kept.seconds.observe(begun.elapsed().as_secs_f64());
        Some(response)
    }

    /// Keeps `response` where it may be kept, and shapes it for its reader.
    ///
    /// - `path`: asked for, without a query.
    /// - `asked`: the request's headers.
    /// - `response`: all headers set but the request's id.
    pub async fn keep(
        &self,
        path: &str,
        route: &'static str,
        metrics: &Metrics,
        asked: &HeaderMap,
        mut response: Response,
    ) -> Response {
        let Some(MayKeep(until)) = response.extensions_mut().remove::<MayKeep>() else { return response };
        if response.status() != StatusCode::OK {
            return response;
        }
        if response.body().size_hint().upper().is_none_or(|bytes| bytes > self.max_body_bytes) {
            let etag = response.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok());
            if etag.is_some_and(|etag| none_match(asked, etag)) {
                *response.body_mut() = Body::empty();
                make_not_modified(&mut response);
            }
            return response;
        }
        let (mut parts, body) = response.into_parts();
        let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
            // What is sent is as short as what could be read: the reader sees that it is not whole.
            return Response::from_parts(parts, Body::from_stream(broken()));
        };
        // What was written into a growing buffer has up to as much room again, which would be kept with it.
        let body = Bytes::copy_from_slice(&body);
        let etag = parts.headers.entry(header::ETAG).or_insert_with(|| etag_of(&body));
        let etag = etag.to_str().unwrap_or_default().into();
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        let mut forms = 1;
        if is_worth_compressing(&parts.headers, body.len() as u64) {
            parts.headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
            forms = 2;
        }
        let not_modified = NOT_MODIFIED_HEADERS
            .iter()
            .filter_map(|name| Some((name.clone(), parts.headers.get(name)?.clone())))
            .collect();
        let kept = Arc::new(KeptAnswer {
            until,
            not_modified,
            etag,
            bulk: forms * body.len() as u64,
            plain: Shape { headers: parts.headers, body },
            compressed: OnceLock::new(),
            answered: metrics.requests.get_or_create_owned(&labels(route, StatusLabel::Success)),
            unchanged: metrics.requests.get_or_create_owned(&labels(route, StatusLabel::Redirection)),
            seconds: metrics.request_seconds.get_or_create_owned(&RouteLabels { route }),
        });
        self.cache.insert(path.into(), kept.clone());
        // Whoever compresses on the way out does so and says so, and whoever counts counts this one.
        let mut response = kept.shaped(asked, || Encodings::Identity);
        response.headers_mut().remove(header::VARY);
        response
    }
}

fn labels(route: &'static str, status: StatusLabel) -> RequestLabels {
    RequestLabels { route, method: MethodLabel::GET, status }
}

fn etag_of(body: &[u8]) -> HeaderValue {
    HeaderValue::try_from(format!("\"{}\"", Digest::of(body)))
        .expect("digits and quotes are a header's value")
}

fn broken() -> impl futures_util::Stream<Item = std::io::Result<Bytes>> {
    futures_util::stream::once(async {
        Err(std::io::Error::other("the answer could not be read to its end"))
    })
}

/// What a reader takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Encodings {
    Identity,
    Gzip,
}

impl Encodings {
    /// Source: RFC 9110 §12.5.3; gzip counts where it is named and not refused.
    fn of(headers: &HeaderMap) -> Self {
        let takes_gzip = headers
            .get_all(header::ACCEPT_ENCODING)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|coding| {
                let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
                name.trim().eq_ignore_ascii_case("gzip").then(|| weight.trim())
            })
            .any(|weight| {
                let refused = weight.strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()) == Some(0.0);
                !refused
            });
        if takes_gzip { Self::Gzip } else { Self::Identity }
    }
}

impl KeptAnswer {
    fn for_reader(&self, asked: &HeaderMap) -> Response {
        let response = self.shaped(asked, || Encodings::of(asked));
        let counter = if response.status() == StatusCode::OK { &self.answered } else { &self.unchanged };
        counter.inc();
        response
    }

    fn shaped(&self, asked: &HeaderMap, encodings: impl FnOnce() -> Encodings) -> Response {
        if none_match(asked, &self.etag) {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.headers_mut() = self.not_modified.clone();
            return response;
        }
        let shape = match encodings() {
            Encodings::Identity => &self.plain,
            Encodings::Gzip => {
                self.compressed.get_or_init(|| compress(&self.plain)).as_ref().unwrap_or(&self.plain)
            }
        };
        let mut response = Response::new(Body::from(shape.body.clone()));
        *response.headers_mut() = shape.headers.clone();
        response
    }
}

/// Source: RFC 9110 §15.4.5: of what describes the content only the validator stays.
fn make_not_modified(response: &mut Response) {
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LENGTH] {
        response.headers_mut().remove(name);
    }
}

fn compress(plain: &Shape) -> Option<Shape> {
    if plain.body.len() > MAX_COMPRESSED_BYTES
        || !is_worth_compressing(&plain.headers, plain.body.len() as u64)
    {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let body = encoder.write_all(&plain.body).and_then(|()| encoder.finish()).ok()?;
    if body.len() >= plain.body.len() {
        return None;
    }
    let mut headers = plain.headers.clone();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    // Other bytes for the same meaning: the validator is a weak one (RFC 9110 §8.8.1).
    if let Some(weak) =
        headers.get(header::ETAG).and_then(|etag| etag.to_str().ok()).map(|etag| format!("W/{etag}"))
        && let Ok(weak) = HeaderValue::try_from(weak)
    {
        headers.insert(header::ETAG, weak);
    }
    headers.remove(header::ACCEPT_RANGES);
    Some(Shape { headers, body: Bytes::from(body) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plain::{INDEX_CACHE, plain};

    const PATH: &str = "/index/a.example/b.jsonl";

    fn get(path: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    async fn kept(answers: &KeptAnswers, head: &Superseded, body: &'static str) -> Response {
        let response = keep_until(head, plain("application/jsonl", INDEX_CACHE, body));
        answers.keep(PATH, "/index", &Metrics::default(), &HeaderMap::new(), response).await
    }

    async fn body(response: Response) -> Bytes {
        response.into_body().collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn an_answer_lies_ready_until_its_head_is_superseded() {
        let (answers, head) = (KeptAnswers::new(1 << 20), Superseded::default());
        assert!(answers.answer(&get(PATH, &[])).is_none());
        let first = kept(&answers, &head, "one\n").await;
        let again = answers.answer(&get(PATH, &[])).unwrap();
        assert_eq!(first.headers()[header::ETAG], again.headers()[header::ETAG]);
        assert_eq!(body(first).await, body(again).await);
        head.note();
        assert!(answers.answer(&get(PATH, &[])).is_none());
    }

    #[tokio::test]
    async fn an_answer_that_was_superseded_while_it_was_made_is_not_given_again() {
        let (answers, head) = (KeptAnswers::new(1 << 20), Superseded::default());
        head.note();
        assert_eq!(body(kept(&answers, &head, "one\n").await).await, "one\n");
        assert!(answers.answer(&get(PATH, &[])).is_none());
    }

    #[tokio::test]
    async fn whoever_has_it_is_told_so() {
        let (answers, head) = (KeptAnswers::new(1 << 20), Superseded::default());
        let etag = kept(&answers, &head, "one\n").await.headers()[header::ETAG].clone();
        for asked in [etag.to_str().unwrap().to_owned(), format!("W/{}", etag.to_str().unwrap()), "*".into()]
        {
            let response = answers.answer(&get(PATH, &[("if-none-match", &asked)])).unwrap();
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{asked}");
            assert!(body(response).await.is_empty());
        }
        let response = answers.answer(&get(PATH, &[("if-none-match", "\"other\"")])).unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn parts_questions_and_other_methods_are_not_answered_from_here() {
        let (answers, head) = (KeptAnswers::new(1 << 20), Superseded::default());
        kept(&answers, &head, "one\n").await;
        assert!(answers.answer(&get(PATH, &[("range", "bytes=0-1")])).is_none());
        assert!(answers.answer(&get(&format!("{PATH}?x"), &[])).is_none());
        assert!(answers.answer(&Request::post(PATH).body(()).unwrap()).is_none());
    }

    #[tokio::test]
    async fn long_text_is_compressed_once_for_those_who_take_it() {
        use std::io::Read as _;
        let (answers, head) = (KeptAnswers::new(1 << 20), Superseded::default());
        let text: &'static str = Box::leak("brick ".repeat(1_000).into_boxed_str());
        kept(&answers, &head, text).await;
        let response = answers.answer(&get(PATH, &[("accept-encoding", "br, gzip;q=0.5")])).unwrap();
        assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
        assert!(response.headers()[header::ETAG].to_str().unwrap().starts_with("W/"));
        let mut read = String::new();
        flate2::read::GzDecoder::new(&*body(response).await).read_to_string(&mut read).unwrap();
        assert_eq!(read, text);
        let response = answers.answer(&get(PATH, &[("accept-encoding", "gzip;q=0, br")])).unwrap();
        assert!(!response.headers().contains_key(header::CONTENT_ENCODING));
    }

    #[tokio::test]
    async fn nothing_is_kept_where_there_is_no_room() {
        let (answers, head) = (KeptAnswers::new(0), Superseded::default());
        assert_eq!(body(kept(&answers, &head, "one\n").await).await, "one\n");
        assert!(answers.answer(&get(PATH, &[])).is_none());
    }

    #[tokio::test]
    async fn what_nobody_asks_for_makes_room() {
        let answers = KeptAnswers::new(1 << 20);
        let metrics = Metrics::default();
        for at in 0..1_000 {
            let response = keep(plain("application/gzip", INDEX_CACHE, vec![7; 8_192]));
            answers.keep(&format!("/{at}"), "/", &metrics, &HeaderMap::new(), response).await;
        }
        let left = (0..1_000).filter(|at| answers.answer(&get(&format!("/{at}"), &[])).is_some()).count();
        assert!((1..=102).contains(&left), "{left} of 1,000 in a place for 102");
    }
}
