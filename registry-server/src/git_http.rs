//! How do `git clone` and `git fetch` reach the repository? Smart HTTP by git's own `http-backend`, read only.

use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use brick_schemas::api::ProblemType;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::ChildStdout;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};

use crate::clients::Places;
use crate::git_process::GitProcess;
use crate::problem::{Rejection, said};
use crate::reads::Shared;
use crate::registry::Registry;

/// `git` processes at a time; further callers are told to come back.
pub const MAX_GIT_PROCESSES: usize = 16;
/// Bytes of a request to upload-pack, at most: haves and wants.
const MAX_REQUEST_BYTES: usize = 4 * 1024 * 1024;
/// Header lines of the backend's answer, at most.
const MAX_HEADER_LINES: u64 = 32;
/// Bytes of those lines together, at most.
const MAX_HEADER_BYTES: u64 = 16 * 1024;
/// Time for one process, at most: a clone of everything over a slow line.
const PROCESS_TIME_LIMIT: Duration = Duration::from_secs(3_600);
/// Pieces of an answer that wait for the reader.
const PIECES: usize = 4;

static PROCESSES: Semaphore = Semaphore::const_new(MAX_GIT_PROCESSES);

/// `GET /git/info/refs?service=git-upload-pack`; any other service (pushing, the dumb protocol) is refused.
///
/// # Errors
/// [`Rejection`].
pub async fn refs(
    State(registry): Shared,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Rejection> {
    const QUERY: &str = "service=git-upload-pack";
    if query.as_deref() != Some(QUERY) {
        let what = "this repository is read only, over git's smart protocol: clone or fetch it";
        return Err(Rejection::new(ProblemType::NotFound, what).with_status(StatusCode::FORBIDDEN));
    }
    let places = request.extensions().get().cloned();
    run(&registry, request.method(), "/info/refs", QUERY, request.headers(), Bytes::new(), places).await
}

/// `POST /git/git-upload-pack`
///
/// # Errors
/// [`Rejection`].
pub async fn upload_pack(State(registry): Shared, request: Request) -> Result<Response, Rejection> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, MAX_REQUEST_BYTES).await.map_err(|_| {
        Rejection::new(ProblemType::TooLarge, "the request to git is too large, or broke off")
    })?;
    let places = parts.extensions.get().cloned();
    run(&registry, &parts.method, "/git-upload-pack", "", &parts.headers, body, places).await
}

async fn run(
    registry: &Registry,
    method: &Method,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    body: Bytes,
    places: Option<Places>,
) -> Result<Response, Rejection> {
    // A clone of a part would look like the whole.
    if registry.git_is_in_the_making.load(Ordering::Acquire) {
        return Err(Rejection::busy("the git repository is being made again from the logs"));
    }
    let Ok(permit) = PROCESSES.try_acquire() else {
        return Err(Rejection::busy("too many git clients at once"));
    };
    let failed = |err: std::io::Error| {
        tracing::error!(why = %said(&err), "cannot run git");
        if brick_store::is_out_of_files(&err) {
            return Rejection::trouble(brick_store::Trouble::NoFiles);
        }
        Rejection::new(ProblemType::Internal, "git could not be run")
    };
    let (process, mut stdout) = start(registry, method, path, query, headers, body).map_err(failed)?;
    let (status, headers) = backend_header(&mut stdout).await.map_err(failed)?;
    let (pieces, received) = mpsc::channel(PIECES);
    tokio::spawn(pump(process, stdout, (permit, places), pieces, registry.settings.patience.idle));
    let stream = futures_util::stream::unfold(received, |mut received| async move {
        Some((received.recv().await?, received))
    });
    Ok((status, headers, Body::from_stream(stream)).into_response())
}

fn start(
    registry: &Registry,
    method: &Method,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> std::io::Result<(GitProcess, BufReader<ChildStdout>)> {
    let text = |name: &HeaderName| {
        headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let mut command = brick_index::follow::plain_git(registry.projection.path());
    command
        .args(["-c", "http.receivepack=false", "-c", "http.getanyfile=false"])
        .args(["-c", "uploadpack.allowFilter=true", "http-backend"])
        .env("GIT_PROJECT_ROOT", registry.projection.path())
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        // The body of an answer to HEAD is dropped on its way out.
        .env("REQUEST_METHOD", if *method == Method::POST { "POST" } else { "GET" })
        .env("CONTENT_TYPE", text(&header::CONTENT_TYPE))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", text(&header::CONTENT_ENCODING))
        .env("GIT_PROTOCOL", text(&HeaderName::from_static("git-protocol")))
        .env("REMOTE_ADDR", "0.0.0.0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut process = GitProcess::start(command)?;
    let pipes = (process.child.stdin.take(), process.child.stdout.take());
    let (Some(mut stdin), Some(stdout)) = pipes else {
        return Err(std::io::Error::other("git has no pipes"));
    };
    // Beside the reading of the answer: git may answer before it has read all.
    tokio::spawn(async move {
        let _ = stdin.write_all(&body).await;
    });
    Ok((process, BufReader::new(stdout)))
}

/// Status and header as a CGI program writes them. Source: RFC 3875 §6.
async fn backend_header(stdout: &mut BufReader<ChildStdout>) -> std::io::Result<(StatusCode, HeaderMap)> {
    let mut status = StatusCode::OK;
    let mut headers = HeaderMap::new();
    let mut bounded = stdout.take(MAX_HEADER_BYTES);
    for _ in 0..MAX_HEADER_LINES {
        let mut line = String::new();
        if bounded.read_line(&mut line).await? == 0 {
            return Err(std::io::Error::other("git answered nothing"));
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok((status, headers));
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("status") {
            let code = value.trim().split(' ').next().and_then(|code| code.parse().ok());
            status = code
                .and_then(|code| StatusCode::from_u16(code).ok())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        } else if let (Ok(name), Ok(value)) =
            (HeaderName::try_from(name), HeaderValue::try_from(value.trim()))
        {
            headers.insert(name, value);
        }
    }
    Err(std::io::Error::other("git answered with too long a header"))
}

/// Passes the backend's output on for as long as somebody reads it; then the process ends, one way or the other, and its
/// place is free.
async fn pump(
    process: GitProcess,
    mut stdout: BufReader<ChildStdout>,
    held: (SemaphorePermit<'static>, Option<Places>),
    pieces: mpsc::Sender<std::io::Result<Bytes>>,
    idle: Duration,
) {
    let all = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let piece = match stdout.read(&mut buffer).await {
                Ok(0) => return,
                Ok(bytes) => Ok(Bytes::copy_from_slice(&buffer[..bytes])),
                Err(err) => Err(err),
            };
            let is_last = piece.is_err();
            // Whoever takes nothing for so long is not there any more.
            match tokio::time::timeout(idle, pieces.send(piece)).await {
                Ok(Ok(())) if !is_last => {}
                _ => return,
            }
        }
    };
    if tokio::time::timeout(PROCESS_TIME_LIMIT, all).await.is_err() {
        tracing::warn!("a git client was cut off: it took too long");
        let _ = pieces.try_send(Err(std::io::ErrorKind::TimedOut.into()));
    }
    drop(process);
    drop(held);
}
