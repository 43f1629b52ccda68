//! What does a registry make of a peer that lies over HTTP? It takes nothing that the log did not sign, says why, and goes on
//! where it was when the peer has come to its senses.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use brick_schemas::api::{HeadsList, LogHead};
use brick_store::SyncState;
use brick_tlog::checkpoint::{Checkpoint, sign_checkpoint};
use brick_tlog::hash::Hash;
use brick_tlog::note::KeyName;
use brick_tlog::tile::{encode_bundle, parse_bundle};
use brickyard::Peer;
use tokio_util::task::AbortOnDropHandle;

use crate::http;
use crate::town::{BODY, Key, NORTH, Seat, Town, until};

/// What is done to an answer: path with query, status and body.
type Lie = dyn Fn(&str, u16, Vec<u8>) -> (u16, Vec<u8>) + Send + Sync;

/// A peer that passes on what another registry says, all but one thing.
struct Liar {
    url: String,
    lie: Arc<Mutex<Arc<Lie>>>,
    asked: Arc<Mutex<Vec<String>>>,
    _serving: AbortOnDropHandle<()>,
}

impl Liar {
    /// Stands before the town's registry, whose record says that this is its address.
    async fn before(town: &Town) -> Self {
        let north = town.north.at();
        let honest: Arc<Lie> = Arc::new(|_, status, body| (status, body));
        let (lie, asked) = (Arc::new(Mutex::new(honest)), Arc::new(Mutex::new(Vec::new())));
        let shared = (lie.clone(), asked.clone());
        let answer = move |request: Request| {
            let (lie, asked) = shared.clone();
            async move {
                let path = request.uri().path_and_query().expect("a path").to_string();
                asked.lock().unwrap().push(path.clone());
                let answer = http::get(north, &path).await;
                let lie = lie.lock().unwrap().clone();
                let (status, body) = lie(&path, answer.status, answer.body);
                let status = StatusCode::from_u16(status).unwrap();
                if body == ENDLESS {
                    let zeroes =
                        futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 65_536]));
                    return Response::new(Body::from_stream(zeroes));
                }
                (status, body).into_response()
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().fallback(answer);
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        town.admit_registry(NORTH, NORTH, Key::NorthLog, Key::NorthWitness, &url).await;
        Self { url, lie, asked, _serving: AbortOnDropHandle::new(serving) }
    }

    fn tells(&self, lie: impl Fn(&str, u16, Vec<u8>) -> (u16, Vec<u8>) + Send + Sync + 'static) {
        *self.lie.lock().unwrap() = Arc::new(lie);
    }

    fn is_honest(&self) {
        self.tells(|_, status, body| (status, body));
    }

    fn asked(&self, part: &str) -> Vec<String> {
        self.asked.lock().unwrap().iter().filter(|path| path.contains(part)).cloned().collect()
    }
}

/// A body that has no end.
const ENDLESS: &[u8] = b"without end";

/// A registry that follows the liar alone, from nothing, four leaves at a time.
async fn follower(town: &Town, liar: &Liar, id: &str) -> Seat {
    let mut seat = town.follower(id, Peer::at(NORTH, &liar.url), |settings| settings.portions.leaves = 4);
    seat.start().await;
    seat
}

/// Why logs were not taken, once there is a reason of such a kind; and how many pairs of heads are kept as evidence.
async fn refusal(seat: &Seat, of_log: bool, word: &str) -> usize {
    let deadline = tokio::time::Instant::now() + http::LIMIT;
    loop {
        let rows = seat.registry().store.sync_states().await.unwrap();
        let why: Vec<String> = rows
            .into_iter()
            .filter(|row| row.peer == NORTH && row.log.is_some() == of_log)
            .filter_map(|row| match row.state {
                SyncState::Failed { why } => Some(why),
                SyncState::Followed => None,
            })
            .collect();
        if why.iter().any(|why| why.contains(word)) {
            return seat.registry().store.evidence().await.unwrap().len();
        }
        assert!(tokio::time::Instant::now() < deadline, "not refused for `{word}`: {why:?}");
        seat.registry().follow.notify_one();
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    }
}

fn leaves_of(town: &Town, seat: &Seat) -> u64 {
    seat.registry().head(&town.body).map_or(0, |head| head.size)
}

/// A head of the body's log that its key signed, of another history.
fn other_history(town: &Town, size: u64) -> Vec<u8> {
    let origin = KeyName::new(town.body.as_str()).unwrap();
    let checkpoint = Checkpoint { origin, size, root: Hash::from([7; 32]) };
    sign_checkpoint(&checkpoint, &Key::NorthLog.signing()).to_bytes()
}

async fn long_town() -> Town {
    let town = Town::found().await;
    for minor in 0..6 {
        town.release("parcel", &format!("1.{minor}.0")).await;
    }
    town
}

fn is_bundle(path: &str) -> bool {
    path.starts_with(&format!("/logs/{BODY}/tile/entries/"))
}

fn is_between(path: &str) -> bool {
    path.contains(BODY) && path.contains("at_most=")
}

fn is_newest(path: &str) -> bool {
    path == format!("/api/v1/checkpoint?path=logs/{BODY}")
}

/// The leaves of a bundle, changed.
fn bundle_with(body: &[u8], change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Vec<u8> {
    let count = (1..=256).find(|count| parse_bundle(body, *count).is_ok()).expect("a bundle");
    let mut leaves: Vec<Vec<u8>> =
        parse_bundle(body, count).unwrap().into_iter().map(<[u8]>::to_vec).collect();
    change(&mut leaves);
    encode_bundle(&leaves).unwrap()
}

fn list_with(body: &[u8], change: impl FnOnce(&mut Vec<LogHead>)) -> Vec<u8> {
    let mut list: HeadsList = serde_json::from_slice(body).unwrap();
    change(&mut list.heads);
    serde_json::to_vec(&list).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_log_did_not_sign_is_not_taken_whatever_the_peer_changes() {
    let town = long_town().await;
    let liar = Liar::before(&town).await;
    let size = town.north.newest(&town.body).size;
    let forked = other_history(&town, 3);
    let larger = other_history(&town, size + 2);
    // Name, a word of the reason, pairs of heads that are evidence, the lie.
    let rows: Vec<(&str, &str, usize, Box<Lie>)> = vec![
        (
            "a leaf of another log",
            "signature|",
            0,
            Box::new(|path, status, body| match is_bundle(path) {
                true => (status, bundle_with(&body, |leaves| leaves[0] = b"{}".to_vec())),
                false => (status, body),
            }),
        ),
        (
            "two leaves in each other's place",
            "",
            0,
            Box::new(|path, status, body| match is_bundle(path) {
                true => (status, bundle_with(&body, |leaves| leaves.swap(0, 2))),
                false => (status, body),
            }),
        ),
        (
            "a bundle that is short",
            "does not answer as a registry does",
            0,
            Box::new(|path, status, mut body| {
                if is_bundle(path) {
                    body.truncate(body.len() / 2);
                }
                (status, body)
            }),
        ),
        (
            "a head of more leaves than there are",
            "answers 404",
            0,
            Box::new(move |path, status, body| match is_newest(path) {
                true => (200, larger.clone()),
                false => (status, body),
            }),
        ),
        (
            "a head on the way that is of another history",
            "consistency|",
            1,
            Box::new(move |path, status, body| match is_between(path) {
                true => (200, forked.clone()),
                false => (status, body),
            }),
        ),
        (
            "hashes that connect nothing",
            "consistency|",
            0,
            Box::new(|path, status, mut body| {
                if path.starts_with(&format!("/logs/{BODY}/tile/0/")) {
                    body.iter_mut().for_each(|byte| *byte ^= 1);
                }
                (status, body)
            }),
        ),
        (
            "a head that its log did not sign",
            "checkpoint|",
            0,
            Box::new(|path, status, mut body| {
                if is_newest(path) {
                    let at = body.len() - 4;
                    body[at] = if body[at] == b'A' { b'B' } else { b'A' };
                }
                (status, body)
            }),
        ),
    ];
    for (at, (name, word, evidence, lie)) in rows.into_iter().enumerate() {
        liar.tells(lie);
        let mut seat = follower(&town, &liar, &format!("registry.lied{at}.example")).await;
        assert_eq!(refusal(&seat, true, word).await, evidence, "{name}");
        assert_eq!(leaves_of(&town, &seat), 0, "{name}: nothing is taken");
        seat.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_on_the_way_that_nobody_signed_only_make_the_way_longer() {
    let town = long_town().await;
    let liar = Liar::before(&town).await;
    let size = town.north.newest(&town.body).size;
    for (at, status) in [200, 404].into_iter().enumerate() {
        liar.tells(move |path, honest, body| match is_between(path) {
            true => (status, b"not a head\n\n\xe2\x80\x94 x AAAAAAAA\n".to_vec()),
            false => (honest, body),
        });
        let mut seat = follower(&town, &liar, &format!("registry.longer{at}.example")).await;
        until("all of it is there", || leaves_of(&town, &seat) == size).await;
        seat.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_heads_that_lies_makes_nobody_believe_anything() {
    let town = long_town().await;
    let liar = Liar::before(&town).await;
    let size = town.north.newest(&town.body).size;
    let is_list = |path: &str| path == "/api/v1/heads";

    // It says that there is nothing: nothing comes, and nothing is wrong with that.
    liar.tells(move |path, status, body| match is_list(path) {
        true => (status, list_with(&body, |heads| heads.retain(|head| head.path == "commons"))),
        false => (status, body),
    });
    let mut seat = follower(&town, &liar, "registry.silent.example").await;
    until("it has looked", || {
        seat.registry().follow.notify_one();
        liar.asked("/api/v1/heads").len() > 3 && seat.registry().head(&town.commons).is_some()
    })
    .await;
    assert_eq!(leaves_of(&town, &seat), 0);
    liar.is_honest();
    until("the truth is followed", || {
        seat.registry().follow.notify_one();
        leaves_of(&town, &seat) == size
    })
    .await;

    // It says that there is something new each time, and there is not: a look a round, and that is all.
    let count = std::sync::atomic::AtomicU64::new(size);
    liar.tells(move |path, status, body| match is_list(path) {
        true => {
            let size = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            (status, list_with(&body, |heads| heads.iter_mut().for_each(|head| head.size = size)))
        }
        false => (status, body),
    });
    let before = (liar.asked("/api/v1/heads").len(), liar.asked("/tile/").len());
    until("it has looked", || {
        seat.registry().follow.notify_one();
        liar.asked("/api/v1/heads").len() > before.0 + 4
    })
    .await;
    assert_eq!(liar.asked("/tile/").len(), before.1, "nothing is fetched");
    assert_eq!(leaves_of(&town, &seat), size);

    for (name, word, body) in [
        ("a list without end", "longer than", ENDLESS.to_vec()),
        (
            "a list of too many logs",
            "cannot fetch",
            serde_json::to_vec(&HeadsList {
                heads: (0..=brick_schemas::api::MAX_LOGS as u64)
                    .map(|n| LogHead { path: format!("logs/p{n}.example"), size: 1, note: "0".into() })
                    .collect(),
            })
            .unwrap(),
        ),
        ("no list", "cannot fetch", b"<html>".to_vec()),
    ] {
        liar.tells(move |path, status, honest| match is_list(path) {
            true => (status, body.clone()),
            // Nor a repository: what is no registry is followed by git.
            false if path.starts_with("/git") => (404, Vec::new()),
            false => (status, honest),
        });
        assert_eq!(refusal(&seat, false, word).await, 0, "{name}");
        assert_eq!(leaves_of(&town, &seat), size, "{name}");
    }
    seat.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_is_stopped_on_the_way_goes_on_where_it_was() {
    let town = long_town().await;
    let liar = Liar::before(&town).await;
    let size = town.north.newest(&town.body).size;
    // Nothing on the way beyond the seventh leaf.
    liar.tells(|path, status, body| {
        let at_most = path.rsplit_once("at_most=").and_then(|(_, at_most)| at_most.parse::<u64>().ok());
        match is_between(path) && at_most.is_some_and(|at_most| at_most > 7) {
            true => (503, Vec::new()),
            false => (status, body),
        }
    });
    let mut seat = follower(&town, &liar, "registry.stopped.example").await;
    until("it is on the way", || leaves_of(&town, &seat) == 7).await;
    let shown = seat.get(&format!("/logs/{BODY}/checkpoint")).await;
    assert_eq!(shown.status, 200, "what is there is shown for what it is");
    town.projected(&seat).await;
    seat.stop().await;
    liar.is_honest();
    liar.asked.lock().unwrap().clear();
    seat.start().await;
    assert_eq!(leaves_of(&town, &seat), 7);
    until("it has arrived", || {
        seat.registry().follow.notify_one();
        leaves_of(&town, &seat) == size
    })
    .await;
    for path in liar.asked(&format!("{BODY}&at_most=")) {
        let at_most: u64 = path.rsplit_once('=').unwrap().1.parse().unwrap();
        assert!(at_most > 7, "it begins after what it has: {path}");
    }
    town.projected(&seat).await;
    seat.stop().await;
}
