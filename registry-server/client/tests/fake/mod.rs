//! A registry that says what it is told to, over loopback.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use brick_client::{Client, Patience};

/// One answer of the fake.
#[derive(Clone, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// Waits before it answers.
    pub delay: Duration,
    /// Announces more than it gives, and breaks off.
    pub breaks_off: bool,
}

impl Reply {
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, body: body.into(), ..Self::default() }
    }

    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub fn with(mut self, header: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((header, value.into()));
        self
    }
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

#[derive(Default)]
struct Script {
    replies: HashMap<String, VecDeque<Reply>>,
    asked: Vec<Asked>,
}

#[derive(Clone)]
pub struct Fake {
    pub url: String,
    script: Arc<Mutex<Script>>,
}

impl Fake {
    pub async fn start() -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(Arc::clone(&script));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, script }
    }

    /// Answers `path` with these, one after the other, the last one for ever.
    pub fn on(&self, path: impl Into<String>, replies: impl IntoIterator<Item = Reply>) {
        self.script.lock().unwrap().replies.insert(path.into(), replies.into_iter().collect());
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.script.lock().unwrap().asked.clone()
    }

    pub fn client(&self) -> Client {
        Client::with_patience(&self.url, quick()).unwrap()
    }
}

/// Patience for tests.
pub fn quick() -> Patience {
    Patience {
        connect: Duration::from_secs(2),
        idle: Duration::from_millis(500),
        total: Duration::from_secs(5),
        attempts: 3,
        first_pause: Duration::from_millis(5),
    }
}

async fn answer(State(script): State<Arc<Mutex<Script>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 32 * 1024 * 1024).await.unwrap();
    let reply = {
        let mut script = script.lock().unwrap();
        let headers = parts.headers.iter().map(|(k, v)| (k.to_string(), v.to_str().unwrap().to_owned()));
        script.asked.push(Asked {
            method: parts.method.to_string(),
            path: parts.uri.path_and_query().unwrap().to_string(),
            headers: headers.collect(),
            body: body.to_vec(),
        });
        match script.replies.get_mut(parts.uri.path_and_query().unwrap().as_str()) {
            Some(replies) if replies.len() > 1 => replies.pop_front().unwrap(),
            Some(replies) => replies[0].clone(),
            None => Reply::status(404),
        }
    };
    tokio::time::sleep(reply.delay).await;
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    if reply.breaks_off {
        let parts = [Ok(Bytes::from(reply.body)), Err(std::io::Error::other("cut"))];
        return response.body(Body::from_stream(futures_util::stream::iter(parts))).unwrap();
    }
    response.body(Body::from(reply.body)).unwrap()
}
