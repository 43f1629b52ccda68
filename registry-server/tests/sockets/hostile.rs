//! What no client of ours would send: every shape is answered once or cut off in time, and the server stays well.

use std::time::{Duration, Instant};

use brickyard::{listening, routes};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::http::{LIMIT, answers, form_type, get, talk};
use crate::town::Town;

/// A request that hides in another one's body: whoever answers it was fooled.
const HIDDEN: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
const HEADER: Duration = Duration::from_millis(600);
const IDLE: Duration = Duration::from_millis(900);

async fn impatient_town() -> Town {
    Town::found_with(|settings| {
        settings.patience.header = HEADER;
        settings.patience.idle = IDLE;
        settings.patience.body_grace = Duration::from_millis(500);
        settings.patience.request = Duration::from_secs(5);
    })
    .await
}

async fn is_well(town: &Town) {
    let answer = get(town.north.at(), "/healthz").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_can_be_read_in_two_ways_is_read_in_one_and_ends_the_connection() {
    let town = impatient_town().await;
    let post = "POST /api/v1/entries HTTP/1.1\r\nhost: x\r\n";
    let get = "GET /api/v1/status HTTP/1.1\r\nhost: x\r\n";
    let chunked = format!("0\r\n\r\n{HIDDEN}");
    let length = HIDDEN.len();
    // Name, request, what may be answered to it; nothing where the connection is simply closed.
    let rows: Vec<(&str, String, &[u16])> = vec![
        (
            "a length, then chunked",
            format!("{post}content-length: {}\r\ntransfer-encoding: chunked\r\n\r\n{chunked}", chunked.len()),
            &[400],
        ),
        (
            "chunked, then a length",
            format!("{post}transfer-encoding: chunked\r\ncontent-length: {}\r\n\r\n{chunked}", chunked.len()),
            &[400],
        ),
        (
            "chunked with a length of nothing",
            format!("{post}content-length: 0\r\ntransfer-encoding: chunked\r\n\r\n{chunked}"),
            &[400],
        ),
        (
            "two lengths",
            format!("{post}content-length: 0\r\ncontent-length: {length}\r\n\r\n{HIDDEN}"),
            &[400],
        ),
        ("two lengths in one line", format!("{post}content-length: 0, {length}\r\n\r\n{HIDDEN}"), &[400]),
        ("a length with a sign", format!("{post}content-length: +{length}\r\n\r\n{HIDDEN}"), &[400]),
        ("a negative length", format!("{post}content-length: -1\r\n\r\n{HIDDEN}"), &[400]),
        ("a length in hexadecimal", format!("{post}content-length: 0x10\r\n\r\n{HIDDEN}"), &[400]),
        (
            "a length beyond all numbers",
            format!("{post}content-length: 99999999999999999999999\r\n\r\n{HIDDEN}"),
            &[400],
        ),
        ("a space before the colon", format!("{post}content-length : {length}\r\n\r\n{HIDDEN}"), &[400]),
        (
            "a length folded into the next line",
            format!("{post}content-length:\r\n {length}\r\n\r\n{HIDDEN}"),
            &[400],
        ),
        ("a folded line", format!("{get}x-a: b\r\n c: d\r\n\r\n"), &[400]),
        (
            "an encoding that is not the last",
            format!("{post}transfer-encoding: chunked, identity\r\n\r\n{chunked}"),
            &[400],
        ),
        ("an unknown encoding", format!("{post}transfer-encoding: xchunked\r\n\r\n{chunked}"), &[400]),
        (
            "an encoding with a tab of another kind",
            format!("{post}transfer-encoding: \x0bchunked\r\n\r\n{chunked}"),
            &[400],
        ),
        (
            "chunks in HTTP/1.0",
            format!(
                "POST /api/v1/entries HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{chunked}"
            ),
            &[400],
        ),
        (
            "a chunk with a negative size",
            format!(
                "{post}content-type: {}\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n{HIDDEN}",
                form_type()
            ),
            &[400],
        ),
        (
            "a chunk beyond all numbers",
            format!(
                "{post}content-type: {}\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff1\r\n{HIDDEN}",
                form_type()
            ),
            &[400],
        ),
        (
            "a chunk size with a line feed alone",
            format!("{post}content-type: {}\r\ntransfer-encoding: chunked\r\n\r\n2;\n{HIDDEN}", form_type()),
            &[400],
        ),
        (
            "a chunk longer than it says",
            format!(
                "{post}content-type: {}\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n{HIDDEN}",
                form_type()
            ),
            &[400],
        ),
        ("no version", "GET /api/v1/status\r\nhost: x\r\n\r\n".to_owned(), &[400]),
        ("a version of another protocol", "GET /api/v1/status SIP/2.0\r\nhost: x\r\n\r\n".to_owned(), &[400]),
        ("HTTP/2 without asking", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), &[]),
        ("a zero byte in a header", format!("{get}x-a: a\0b\r\n\r\n"), &[400]),
        ("a carriage return alone in a header", format!("{get}x-a: a\rx-b: c\r\n\r\n"), &[400]),
        ("a name with a space", format!("{get}x a: b\r\n\r\n"), &[400]),
        ("no name", format!("{get}: b\r\n\r\n"), &[400]),
        ("a header of 40 KiB", format!("{get}x-a: {}\r\n\r\n", "a".repeat(40 * 1024)), &[431]),
        ("101 header lines", format!("{get}{}\r\n", "x-a: b\r\n".repeat(101)), &[431]),
        (
            "a path of 40 KiB",
            format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(40 * 1024)),
            &[414, 431],
        ),
    ];
    for (name, request, statuses) in rows {
        let begun = Instant::now();
        let (bytes, ended) = talk(town.north.at(), request.as_bytes(), LIMIT).await;
        let answers = answers(&bytes);
        assert!(ended, "{name}: the connection is closed");
        assert!(begun.elapsed() < HEADER + IDLE + Duration::from_secs(2), "{name}: {:?}", begun.elapsed());
        let found: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        match statuses {
            [] => assert!(found.is_empty(), "{name}: {answers:?}"),
            _ => assert!(found.len() == 1 && statuses.contains(&found[0]), "{name}: {answers:?}"),
        }
        is_well(&town).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_that_end_in_a_line_feed_alone_mean_what_they_say() {
    let town = impatient_town().await;
    let request = "GET /healthz HTTP/1.1\nhost: x\nconnection: close\n\n";
    let (bytes, ended) = talk(town.north.at(), request.as_bytes(), LIMIT).await;
    let answers = answers(&bytes);
    assert!(ended && answers.len() == 1, "{answers:?}");
    assert!(matches!(answers[0].status, 200 | 400));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_one_after_the_other_get_their_answers_in_order() {
    let town = impatient_town().await;
    let request = format!("{HIDDEN}GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n{HIDDEN}");
    let (bytes, ended) = talk(town.north.at(), request.as_bytes(), LIMIT).await;
    let statuses: Vec<u16> = answers(&bytes).iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 404, 200]);
    assert!(ended, "and whoever says nothing more is let go");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_slow_is_cut_off_within_the_bound() {
    let town = impatient_town().await;
    let upload = format!(
        "POST /api/v1/entries HTTP/1.1\r\nhost: x\r\ncontent-type: {}\r\ncontent-length: 100000\r\n\r\n--",
        form_type()
    );
    let in_chunks = format!(
        "POST /api/v1/entries HTTP/1.1\r\nhost: x\r\ncontent-type: {}\r\ntransfer-encoding: chunked\r\n\r\n2\r\n--\r\n",
        form_type()
    );
    let witness = "POST /witness/add-checkpoint HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nold";
    let git = "POST /git/git-upload-pack HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n0000";
    // Name, what is sent first, then a byte at a time; whether it must be told why.
    let rows = [
        ("nothing at all", "", false, false),
        ("half a request line", "GET /hea", false, false),
        ("half a header", "GET /healthz HTTP/1.1\r\nhost: x\r\nx-a", false, false),
        ("a header a byte at a time", "GET /healthz HTTP/1.1\r\nx-a: ", true, false),
        ("an upload that stops", &upload, false, true),
        ("an upload a byte at a time", &upload, true, true),
        ("an upload in chunks that stops", &in_chunks, false, true),
        ("a request to the witness that stops", witness, false, true),
        ("a request to git that stops", git, false, true),
    ];
    let all = rows.into_iter().map(|(name, first, trickles, told)| {
        let at = town.north.at();
        async move {
            let begun = Instant::now();
            let (mut reader, mut writer) = TcpStream::connect(at).await.unwrap().into_split();
            writer.write_all(first.as_bytes()).await.unwrap();
            let trickle = tokio::spawn(async move {
                while trickles && writer.write_all(b"a").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                // Held open: it is for the server to end this.
                std::future::pending::<()>().await;
                drop(writer);
            });
            let mut bytes = Vec::new();
            let read = tokio::time::timeout(LIMIT, reader.read_to_end(&mut bytes)).await;
            trickle.abort();
            assert!(read.is_ok(), "{name}: never cut off");
            assert!(
                begun.elapsed() < HEADER + IDLE + Duration::from_secs(2),
                "{name}: {:?}",
                begun.elapsed()
            );
            let answers = answers(&bytes);
            assert!(answers.len() <= 1 && (!told || answers.len() == 1), "{name}: {answers:?}");
            for answer in &answers {
                assert!(matches!(answer.status, 400 | 408 | 413), "{name}: {answer:?}");
            }
        }
    });
    futures_util::future::join_all(all).await;
    is_well(&town).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_over_the_bound_are_told_to_come_back() {
    const BOUND: usize = 8;
    let town = Town::found().await;
    let server = town.north.registry_arc();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let mut patience = server.settings.patience;
    patience.header = Duration::from_secs(2);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let door = listening::Door::new(server.clone(), routes::router(server));
    let serving = tokio::spawn(listening::serve(listener, door, patience, BOUND, stopped));
    let mut held = Vec::new();
    for _ in 0..BOUND {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        held.push(stream);
    }
    for (bytes, ended) in futures_util::future::join_all((0..100).map(|_| talk(at, b"", LIMIT))).await {
        let answers = answers(&bytes);
        assert!(ended && answers.len() == 1, "{answers:?}");
        assert_eq!((answers[0].status, answers[0].header("retry-after")), (503, Some("2")));
    }
    let begun = Instant::now();
    // Those who hold a place and do not use it lose it, and others get it.
    loop {
        let (bytes, _) =
            talk(at, b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", LIMIT).await;
        match answers(&bytes).first().map(|answer| answer.status) {
            Some(200) => break,
            _ => assert!(begun.elapsed() < LIMIT, "no place becomes free"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(begun.elapsed() >= Duration::from_millis(500), "they had their time");
    drop(held);
    stop.send_replace(true);
    assert_eq!(serving.await.unwrap(), 0, "nobody had to be cut");
    is_well(&town).await;
}
