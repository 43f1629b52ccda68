//! How far does each log here go, for those who follow? One list, made again only when a head moved; and the heads that a
//! log went through, to stop at on a long way.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use brick_schemas::api::{HeadsList, LogHead, MAX_LOGS, ProblemType};
use brick_schemas::{Digest, Origin, PublisherName};
use serde::Deserialize;

use crate::heads::ShownHead;
use crate::plain::{none_match, not_modified, plain, set};
use crate::problem::Rejection;
use crate::reads::{Shared, TEXT, commons_head, publisher_head};
use crate::registry::Registry;
use crate::sync::commons_origin;

/// Nobody in between keeps it: whoever follows wants to know now.
const FRESH: &str = "no-cache";
const JSON: &str = "application/json";

/// The list as it was made last.
#[derive(Default)]
pub struct KeptHeads {
    /// Counts the moves of all heads.
    moves: AtomicU64,
    made: Mutex<Made>,
}

#[derive(Default)]
struct Made {
    /// The moves that it was made after; nothing was made where absent.
    after: Option<u64>,
    /// The line of each log, for the very head that it was made of.
    lines: BTreeMap<Origin, (Arc<ShownHead>, LogHead)>,
    body: Bytes,
    etag: String,
}

impl KeptHeads {
    /// Notes that a head moved.
    pub fn note_move(&self) {
        self.moves.fetch_add(1, Ordering::Release);
    }
}

impl Registry {
    /// The list and its ETag.
    fn heads_list(&self) -> (Bytes, String) {
        let mut made = self.kept_heads.made.lock().unwrap_or_else(PoisonError::into_inner);
        // Before the heads are looked at: what moves meanwhile has the list made again.
        let moves = self.kept_heads.moves.load(Ordering::Acquire);
        if made.after != Some(moves) {
            made.fill(self.heads(), commons_origin(self).as_ref());
            made.after = Some(moves);
        }
        (made.body.clone(), made.etag.clone())
    }
}

impl Made {
    fn fill(&mut self, heads: Vec<(Origin, Arc<ShownHead>)>, commons: Option<&Origin>) {
        let mut before = std::mem::take(&mut self.lines);
        for (origin, head) in heads.into_iter().take(MAX_LOGS) {
            let line = match before.remove(&origin) {
                Some((same, line)) if Arc::ptr_eq(&same, &head) => line,
                _ => line_of(&head),
            };
            self.lines.insert(origin, (head, line));
        }
        let first = commons.and_then(|commons| self.lines.get(commons));
        let others = self.lines.iter().filter(|(origin, _)| Some(*origin) != commons).map(|(_, line)| line);
        let heads = first.into_iter().chain(others).map(|(_, line)| line.clone()).collect();
        let body = serde_json::to_vec(&HeadsList { heads }).expect("the type has only string keys");
        self.etag = format!("\"{}\"", Digest::of(&body));
        self.body = Bytes::from(body);
    }
}

fn line_of(head: &ShownHead) -> LogHead {
    let mut note = Digest::of(&head.newest).to_string();
    note.truncate(LogHead::NOTE_CHARS);
    LogHead { path: path_of(head.publisher.as_ref()), size: head.size, note }
}

fn path_of(publisher: Option<&PublisherName>) -> String {
    publisher.map_or_else(|| "commons".to_owned(), |publisher| format!("logs/{publisher}"))
}

/// `GET /api/v1/heads`: how far every log here goes. Whoever has the list already costs no look at the store.
pub async fn heads(State(registry): Shared, headers: HeaderMap) -> Response {
    let (body, etag) = registry.heads_list();
    if none_match(&headers, &etag) {
        return not_modified(&etag, FRESH);
    }
    let mut response = plain(JSON, FRESH, body);
    set(&mut response, header::ETAG, &etag);
    response
}

/// Which head is asked for.
#[derive(Debug, Deserialize)]
pub struct Wanted {
    /// The log's path, as in [`LogHead`].
    path: String,
    /// Leaves at most; the newest head where absent.
    at_most: Option<u64>,
}

/// `GET /api/v1/checkpoint`: the newest head of a log, or the newest of at most so many leaves, whether a quorum has cosigned it
/// or not: what followers check, and witnesses cosign thereafter.
///
/// # Errors
/// [`Rejection`].
pub async fn checkpoint(
    State(registry): Shared,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Rejection> {
    let head = match wanted.path.strip_prefix("logs/") {
        Some(publisher) => publisher_head(&registry, publisher)?,
        None if wanted.path == "commons" => commons_head(&registry)?,
        None => {
            let what = "a log's path is `commons` or `logs/<publisher>`";
            return Err(Rejection::new(ProblemType::Malformed, what));
        }
    };
    let note = match wanted.at_most {
        Some(size) if size < head.size => registry.signed_note(head.id, size).await?,
        _ => Some(head.newest.clone()),
    };
    let note = note.ok_or_else(|| Rejection::not_found("head of that log with so few leaves"))?;
    Ok(plain(TEXT, FRESH, note))
}
