//! A registry that is slow, down, busy, or none: one clear message with a next step, exit code 4, in bounded time, and nothing
//! is written. Through the built program.

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use support::Room;
use support::registry::Commons;
use support::sockets::{Manner, Stranger};

/// Seconds without a byte, where there is one to wait for.
const TIMEOUT: &str = "0.6";
/// The same where an answer comes, however busy the machine is.
const ENOUGH: &str = "5";
/// No run may take longer: a whole answer has ten times the timeout.
const MAX_RUN: Duration = Duration::from_secs(20);
/// Connections that two commands may make: one redirect after the other, or some tries.
const MAX_ASKED: usize = 16;

const SERVICE: &str = r#"manifest = 1

[service]
id = "council.example/report-missed-bin"
function = "lgsl:524"
status = "live"
body = "local-authority-eng:XXX"

[text.en]
title = "Report a missed bin"
summary = "Tell the council that a bin was not emptied."

[[part]]
step = "report"
brick = "mid.example/bins"
version = "^2.1"
"#;

/// How a stranger behaves, and what must be said of it.
const STRANGERS: &[(&str, Manner, &[&str])] = &[
    ("never answers", Manner::Silent, &["gave no whole answer within ", "BRICK_HTTP_TIMEOUT"]),
    ("stalls in the body", Manner::Stalls, &["gave no whole answer within ", "BRICK_HTTP_TIMEOUT"]),
    (
        "trickles",
        Manner::Trickles(Duration::from_millis(200)),
        &["gave no whole answer within ", "BRICK_HTTP_TIMEOUT"],
    ),
    ("hangs up", Manner::HangsUp, &["cannot reach", "the connection broke off", "try again"]),
    (
        "a web page",
        Manner::Says("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>"),
        &["does not answer as a registry does", "web page", "log in first"],
    ),
    (
        "a redirect loop",
        Manner::SaysOfPath(
            "HTTP/1.1 302 Found\r\nlocation: {path}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        ),
        &["does not answer as a registry does", "redirects in circles", "address"],
    ),
    (
        "a redirect elsewhere",
        Manner::Says(
            "HTTP/1.1 302 Found\r\nlocation: http://elsewhere.example/\r\ncontent-length: 0\r\n\r\n",
        ),
        &["redirects to http://elsewhere.example", "address"],
    ),
    ("an endless body", Manner::Endless, &["is longer than", "bytes", "address"]),
    (
        "a huge body",
        Manner::Says("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\nx"),
        &["is longer than", "bytes", "address"],
    ),
    (
        "a picture",
        Manner::Says("HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 4\r\n\r\n\u{1}PNG"),
        &["does not answer as a registry does", "address"],
    ),
    (
        "garbage JSON",
        Manner::Says(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{\"brick\":",
        ),
        &["does not answer as a registry does", "address"],
    ),
    (
        "nothing of ours",
        Manner::Says("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"),
        &["answers 404", "check the registry's address"],
    ),
    (
        "busy for an hour",
        Manner::Says("HTTP/1.1 503 Service Unavailable\r\nretry-after: 3600\r\ncontent-length: 0\r\n\r\n"),
        &["answers 503: Service Unavailable", "60 minutes", "--registry URL"],
    ),
    (
        "too many questions",
        Manner::Says("HTTP/1.1 429 Too Many Requests\r\nretry-after: 90\r\ncontent-length: 0\r\n\r\n"),
        &["answers 429", "90 seconds", "--registry URL"],
    ),
    (
        "broken",
        Manner::Says("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"),
        &["answers 500", "try again later"],
    ),
    ("another protocol", Manner::Says("220 mail.example ESMTP\r\n"), &["cannot reach", "help: "]),
];

/// Every file below a folder, but for locks.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.ends_with("lock") => {}
                false => drop(files.insert(path.clone(), std::fs::read(&path).unwrap())),
            }
        }
    }
    files
}

fn everything(room: &Room) -> BTreeMap<PathBuf, Vec<u8>> {
    files(room.work().parent().unwrap())
}

/// Runs the program: it must end in time with code 4, one error with its help, no results, no escapes, nothing written.
fn fails_well(room: &Room, (case, manner, says): &(&str, Manner, &[&str]), url: &str, args: &[&str]) {
    let timeout = match manner {
        Manner::Silent | Manner::Stalls | Manner::Trickles(_) => TIMEOUT,
        _ => ENOUGH,
    };
    let before = everything(room);
    let began = Instant::now();
    let ended = room.program(args).env("BRICK_HTTP_TIMEOUT", timeout).output().unwrap();
    let (took, said) = (began.elapsed(), String::from_utf8_lossy(&ended.stderr).into_owned());
    assert_eq!(ended.status.code(), Some(4), "{case}: {args:?}: {said}");
    assert!(took < MAX_RUN, "{case}: {args:?} took {took:?}");
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "", "{case}: {args:?}");
    assert!(!said.contains(['\r', '\u{1b}']), "{case}: progress is for terminals: {said:?}");
    assert_eq!(said.matches("error: ").count(), 1, "{case}: {args:?}: {said}");
    assert_eq!(said.matches("help: ").count(), 1, "{case}: {args:?}: {said}");
    for text in says.iter().chain([&url]) {
        assert!(said.contains(text), "{case}: {args:?} does not say {text:?}: {said}");
    }
    let after = everything(room);
    assert!(
        after == before,
        "{case}: {args:?} wrote {:?}",
        after.keys().filter(|path| !before.contains_key(*path))
    );
}

#[test]
fn whatever_answers_in_a_registrys_place_is_told_in_bounded_time_and_nothing_is_written() {
    let trusting = Room::new();
    let _commons = Commons::found(&trusting);
    trusting.write("service.toml", SERVICE);
    let fresh = Room::new();
    let root = "0".repeat(64);
    std::thread::scope(|scope| {
        for kind in STRANGERS {
            let (trusting, fresh, root) = (&trusting, &fresh, &root);
            scope.spawn(move || {
                let stranger = Stranger::with(kind.1);
                let url = stranger.url();
                fails_well(fresh, kind, &url, &["commons", "trust", &url, "--root-sha256", root]);
                fails_well(trusting, kind, &url, &["update", "--registry", &url]);
                let asked = stranger.asked();
                assert!((1..=MAX_ASKED).contains(&asked), "{}: asked {asked} times", kind.0);
                fails_well(trusting, kind, &url, &["search", "bins", "--registry", &url]);
            });
        }
    });
}

#[test]
fn how_long_a_registry_is_waited_for_can_be_set() {
    let room = Room::new();
    let _commons = Commons::found(&room);
    room.write("service.toml", SERVICE);
    let stranger = Stranger::with(Manner::Silent);
    let update = ["update", "--registry", &stranger.url()];
    let config = room.home().join("config.toml");
    let set = |text: &str| std::fs::write(&config, text).unwrap();
    for seconds in [0.5, 1.5] {
        set(&format!("[http]\ntimeout = {seconds}\n"));
        let began = Instant::now();
        support::check(&room, &update, 4, &["gave no whole answer within ", "help: "]);
        let waited = began.elapsed();
        assert!(Duration::from_secs_f64(seconds) <= waited && waited < MAX_RUN, "{seconds} s: {waited:?}");
    }
    for (text, code, says) in [
        ("[http]\ntimeout = 0\n", 2, "`timeout` in config.toml is no time to wait"),
        ("[http]\ntimeouts = 1\n", 1, "is not a configuration of brick"),
    ] {
        set(text);
        support::check(&room, &update, code, &[says, "help: "]);
    }
    set("");
    for text in ["soon", "0", "-1", "nan", "1e9"] {
        let room = Room::new().with("BRICK_HTTP_TIMEOUT", text);
        let trust = ["commons", "trust", &stranger.url(), "--root-sha256", &"0".repeat(64)];
        support::check(&room, &trust, 2, &["BRICK_HTTP_TIMEOUT is no time to wait", "BRICK_HTTP_TIMEOUT=60"]);
    }
}
