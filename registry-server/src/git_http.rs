//! How do `git clone` and `git fetch` reach the repository? Smart HTTP by git's own `http-backend`, read only.

use std::process::Stdio;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use brick_schemas::api::ProblemType;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::sync::Semaphore;
use tokio_util::io::ReaderStream;

use crate::problem::Rejection;
use crate::registry::Registry;

/// `git` processes at a time; the next callers wait their turn or are told to come back.
pub const MAX_GIT_PROCESSES: usize = 16;
/// Bytes of a request to upload-pack, at most: haves and wants.
const MAX_REQUEST_BYTES: usize = 4 * 1024 * 1024;
/// Header lines of the backend's answer, at most.
const MAX_HEADER_LINES: usize = 32;

static PROCESSES: Semaphore = Semaphore::const_new(MAX_GIT_PROCESSES);

/// Answers `/git/info/refs` and `/git/git-upload-pack`, and nothing else below `/git`.
pub async fn serve(
    State(registry): State<Arc<Registry>>,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Rejection> {
    let query = query.unwrap_or_default();
    let allowed = match (request.method(), path.as_str()) {
        (&Method::GET, "info/refs") => query == "service=git-upload-pack",
        (&Method::POST, "git-upload-pack") => query.is_empty(),
        _ => false,
    };
    if !allowed {
        return Err(Rejection::new(
            ProblemType::NotFound,
            "this repository is read only, over git's smart protocol",
        ));
    }
    let Ok(permit) = PROCESSES.try_acquire() else {
        return Err(Rejection::busy("too many git clients at once"));
    };
    let method = request.method().clone();
    let headers = request.headers().clone();
    let body = axum::body::to_bytes(request.into_body(), MAX_REQUEST_BYTES)
        .await
        .map_err(|_| Rejection::new(ProblemType::TooLarge, "the request to git is too large"))?;
    let (child, stdout) = start(&registry, &method, &path, &query, &headers, &body).await.map_err(|err| {
        tracing::error!(err = &err as &dyn std::error::Error, "cannot run git");
        Rejection::new(ProblemType::Internal, "git could not be run")
    })?;
    answer(child, stdout, permit).await
}

async fn start(
    registry: &Registry,
    method: &Method,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(tokio::process::Child, BufReader<tokio::process::ChildStdout>), std::io::Error> {
    let text = |name: &HeaderName| {
        headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let mut command =
        tokio::process::Command::from(brick_index::follow::plain_git(registry.projection.path()));
    command
        .args(["-c", "http.receivepack=false", "-c", "uploadpack.allowFilter=true", "http-backend"])
        .env("GIT_PROJECT_ROOT", registry.projection.path())
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", format!("/{path}"))
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", method.as_str())
        .env("CONTENT_TYPE", text(&header::CONTENT_TYPE))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", text(&header::CONTENT_ENCODING))
        .env("GIT_PROTOCOL", text(&HeaderName::from_static("git-protocol")))
        .env("REMOTE_ADDR", "0.0.0.0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().ok_or_else(|| std::io::Error::other("git has no input"))?;
    let stdout = child.stdout.take().ok_or_else(|| std::io::Error::other("git has no output"))?;
    let body = body.to_vec();
    // Beside the reading of the answer: git may answer before it has read all.
    tokio::spawn(async move {
        let _ = stdin.write_all(&body).await;
    });
    Ok((child, BufReader::new(stdout)))
}

async fn answer(
    child: tokio::process::Child,
    mut stdout: BufReader<tokio::process::ChildStdout>,
    permit: tokio::sync::SemaphorePermit<'static>,
) -> Result<Response, Rejection> {
    let mut status = StatusCode::OK;
    let mut headers = HeaderMap::new();
    for _ in 0..MAX_HEADER_LINES {
        let mut line = String::new();
        let read = stdout.read_line(&mut line).await.unwrap_or(0);
        let line = line.trim_end();
        if read == 0 || line.is_empty() {
            break;
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
    let stream = ReaderStream::new(WithChild { stdout, _child: child, _permit: permit });
    Ok((status, headers, Body::from_stream(stream)).into_response())
}

/// The backend's output, which keeps the process and its place in the queue for as long as somebody reads.
struct WithChild {
    stdout: BufReader<tokio::process::ChildStdout>,
    _child: tokio::process::Child,
    _permit: tokio::sync::SemaphorePermit<'static>,
}

impl AsyncRead for WithChild {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.stdout).poll_read(context, buffer)
    }
}
