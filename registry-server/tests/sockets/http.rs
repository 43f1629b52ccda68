//! HTTP as bytes on a socket: no client of ours that might mend what is broken, or hide what was answered.

use std::net::SocketAddr;
use std::time::Duration;

use brick_schemas::api::{PROBLEM_MEDIA_TYPE, Problem};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The longest that any answer is waited for.
pub const LIMIT: Duration = Duration::from_secs(30);
/// What separates the parts of a form.
const BOUNDARY: &str = "a-boundary-that-no-part-holds";

/// One answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The problem that was answered, with the media type of one.
    #[track_caller]
    pub fn problem(&self) -> Problem {
        assert_eq!(self.header("content-type"), Some(PROBLEM_MEDIA_TYPE), "{}", self.text());
        let problem: Problem = serde_json::from_slice(&self.body).expect("a problem body");
        assert_eq!(problem.status, self.status, "the body says the status that was sent");
        assert_eq!(self.header("cache-control"), Some("no-store"), "no cache holds a refusal");
        problem
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.status, 200, "{}", self.text());
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}

/// Sends bytes and reads all that comes until the other side closes, resets, or `limit` passes.
///
/// Returns what came, and whether the other side ended the connection.
pub async fn talk(at: SocketAddr, bytes: &[u8], limit: Duration) -> (Vec<u8>, bool) {
    let (mut reader, mut writer) = TcpStream::connect(at).await.expect("it listens").into_split();
    let bytes = bytes.to_vec();
    // Beside the reading: a refusal may come before all is sent, and then nobody takes the rest.
    let writing = tokio::spawn(async move {
        let _ = writer.write_all(&bytes).await;
        writer
    });
    let mut all = Vec::new();
    let reading = async {
        let mut buffer = [0; 16 * 1024];
        while let Ok(count @ 1..) = reader.read(&mut buffer).await {
            all.extend_from_slice(&buffer[..count]);
        }
    };
    let ended = tokio::time::timeout(limit, reading).await.is_ok();
    writing.abort();
    (all, ended)
}

/// Every answer in what came over one connection.
pub fn answers(mut bytes: &[u8]) -> Vec<Answer> {
    let mut found = Vec::new();
    while let Some(gap) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&bytes[..gap]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut answer = Answer { status: status.parse().expect("a status"), headers, body: Vec::new() };
        bytes = &bytes[gap + 4..];
        if answer.header("transfer-encoding") == Some("chunked") {
            bytes = take_chunks(bytes, &mut answer.body);
        } else {
            let length = answer.header("content-length").and_then(|length| length.parse().ok());
            let (body, rest) = bytes.split_at(length.unwrap_or(0).min(bytes.len()));
            answer.body = body.to_vec();
            bytes = rest;
        }
        found.push(answer);
    }
    found
}

fn take_chunks<'a>(mut bytes: &'a [u8], body: &mut Vec<u8>) -> &'a [u8] {
    loop {
        let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") else { return &[] };
        let size =
            usize::from_str_radix(&String::from_utf8_lossy(&bytes[..end]), 16).expect("a chunk's size");
        bytes = &bytes[end + 2..];
        body.extend_from_slice(&bytes[..size.min(bytes.len())]);
        bytes = bytes.get(size + 2..).unwrap_or_default();
        if size == 0 {
            return bytes;
        }
    }
}

/// One request on a connection of its own.
#[track_caller]
pub fn ask(at: SocketAddr, request: Vec<u8>) -> impl Future<Output = Answer> {
    let caller = std::panic::Location::caller();
    async move {
        let (bytes, ended) = talk(at, &request, LIMIT).await;
        let first = answers(&bytes).into_iter().next();
        first.unwrap_or_else(|| panic!("no answer (closed: {ended}) to the request at {caller}"))
    }
}

/// `GET path`, with header lines `more`, each ended by CRLF.
#[track_caller]
pub fn get_with(at: SocketAddr, path: &str, more: &str) -> impl Future<Output = Answer> + use<> {
    ask(at, format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{more}\r\n").into_bytes())
}

/// `GET path`
#[track_caller]
pub fn get(at: SocketAddr, path: &str) -> impl Future<Output = Answer> + use<> {
    get_with(at, path, "")
}

/// The bytes of a `POST`.
pub fn post(path: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {content_type}\r\n\
         content-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// The media type of [`form`].
pub fn form_type() -> String {
    format!("multipart/form-data; boundary={BOUNDARY}")
}

/// A multipart form: parts with their names, file names and bytes.
pub fn form(parts: &[(&str, &str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file_name, bytes) in parts {
        let head = format!(
            "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"{file_name}\"\r\n\
             content-type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}
