//! What a client makes of every sort of answer.

#[allow(dead_code)]
mod fake;

use std::time::Duration;

use brick_client::{AskError, Client, Family, IndexAnswer, LogPath, Unreachable};
use brick_schemas::{Digest, FullName, Version};
use fake::{Fake, Reply, quick};

const HEAD: &str = "example.com/log/testdata\n15\nrKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=\n\n\
    — example.com/log/testdata M9e0luh4jTG+UMBqOUo9/q+yAEvx1ilBEniMvjf1zfcBOhg+CKubMt53MvIt/uEWP6zdkdIQzd/fmwlM/dlPWF74ewI=\n";

fn name() -> FullName {
    FullName::parse("northshire.example/bins").unwrap()
}

async fn head_of(fake: &Fake) -> Result<brick_tlog::note::Note, AskError> {
    fake.client().checkpoint(&LogPath::Commons).await
}

#[tokio::test]
async fn a_head_is_read() {
    let fake = Fake::start().await;
    fake.on("/commons/checkpoint", [Reply::ok(HEAD)]);
    assert_eq!(head_of(&fake).await.unwrap().to_string(), HEAD);
    assert!(fake.asked()[0].headers["user-agent"].starts_with("brick/"));
}

#[tokio::test]
async fn every_bad_answer_has_its_family() {
    let cases: &[(&str, Reply, Family, &str)] = &[
        ("no problem body", Reply::status(404), Family::Problem, "404: Not Found"),
        (
            "a problem body",
            Reply {
                body: br#"{"type":"urn:brickyard:problem:new","title":"No such\u001b[2J log","status":403,"detail":"bins","extra":1}"#
                    .to_vec(),
                ..Reply::status(403)
            }
            .with("content-type", "application/problem+json; charset=utf-8"),
            Family::Problem,
            "No such\\u{1b}[2J log; bins",
        ),
        (
            "a broken problem body",
            Reply { body: b"{".to_vec(), ..Reply::status(403) }
                .with("content-type", "application/problem+json"),
            Family::Problem,
            "403: Forbidden",
        ),
        (
            "a login page",
            Reply::ok("<html>").with("content-type", "text/html; charset=utf-8"),
            Family::NotARegistry,
            "a web page",
        ),
        ("another text", Reply::ok("hello"), Family::NotARegistry, "no empty line"),
        ("a strange status", Reply::status(300), Family::NotARegistry, "status 300"),
        ("an unasked 304", Reply::status(304), Family::NotARegistry, "304"),
        ("too much", Reply::ok(vec![b'x'; 1_100_000]), Family::TooLarge, "longer than"),
        (
            "damaged compression",
            Reply::ok("not gzip").with("content-encoding", "gzip"),
            Family::NotARegistry,
            "compression",
        ),
        (
            "a broken connection",
            Reply { breaks_off: true, ..Reply::ok("half") },
            Family::Unreachable,
            "broke off",
        ),
        (
            "a slow answer",
            Reply { delay: Duration::from_secs(3), ..Reply::ok(HEAD) },
            Family::Slow,
            "no whole answer within 0.5 s",
        ),
        (
            "a redirect elsewhere",
            Reply::status(302).with("location", "http://elsewhere.example/commons/checkpoint"),
            Family::NotARegistry,
            "redirects to http://elsewhere.example",
        ),
        (
            "a redirect to itself",
            Reply::status(302).with("location", "/commons/checkpoint"),
            Family::NotARegistry,
            "in circles",
        ),
    ];
    for (case, reply, family, says) in cases {
        let fake = Fake::start().await;
        fake.on("/commons/checkpoint", [reply.clone()]);
        let err = head_of(&fake).await.expect_err(case);
        assert_eq!(err.family(), *family, "{case}: {err}");
        assert!(err.to_string().contains(says), "{case}: {err}");
        assert!(err.url().starts_with(&fake.url), "{case}: {}", err.url());
    }
}

#[tokio::test]
async fn a_compressed_answer_is_bounded_by_what_it_unpacks_to() {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut gz, &[0; 100_000]).unwrap();
    let gz = gz.finish().unwrap();
    assert!(gz.len() < 1024);
    let fake = Fake::start().await;
    fake.on(
        "/blobs/sha256/".to_owned() + &Digest::of(b"").to_string(),
        [Reply::ok(gz).with("content-encoding", "gzip")],
    );
    let err = fake.client().blob(&Digest::of(b""), 1024).await.unwrap_err();
    assert_eq!(err.family(), Family::TooLarge, "{err}");
}

#[tokio::test]
async fn a_redirect_within_the_registry_is_followed() {
    let fake = Fake::start().await;
    fake.on("/commons/checkpoint", [Reply::status(307).with("location", "/v2/checkpoint")]);
    fake.on("/v2/checkpoint", [Reply::ok(HEAD)]);
    head_of(&fake).await.unwrap();
}

#[tokio::test]
async fn what_passes_by_itself_is_asked_again() {
    let fake = Fake::start().await;
    let broken = Reply { breaks_off: true, ..Reply::ok("half") };
    fake.on("/commons/checkpoint", [Reply::status(503).with("retry-after", "0"), broken, Reply::ok(HEAD)]);
    head_of(&fake).await.unwrap();
    assert_eq!(fake.asked().len(), 3);

    fake.on("/commons/checkpoint", [Reply::status(502)]);
    let err = head_of(&fake).await.unwrap_err();
    assert_eq!((err.family(), fake.asked().len()), (Family::Problem, 6), "{err}");

    fake.on("/commons/checkpoint", [Reply::status(503).with("retry-after", "3600")]);
    head_of(&fake).await.unwrap_err();
    assert_eq!(fake.asked().len(), 7, "an hour is too long to wait");
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_unreachable() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let client = Client::with_patience(&format!("http://127.0.0.1:{port}"), quick()).unwrap();
    let err = client.checkpoint(&LogPath::Commons).await.unwrap_err();
    assert!(matches!(err, AskError::Unreachable { why: Unreachable::NobodyListens, .. }), "{err:?}");
    assert!(err.advice().unwrap().contains("running"));
}

#[test]
fn what_is_no_address_is_refused() {
    for (text, says) in [
        ("", "begin with"),
        ("northshire.example", "begin with"),
        ("ftp://northshire.example", "begin with"),
        ("https://northshire.example/?q", "`?`"),
        ("https://northshire.example/#a", "`#`"),
        ("https://me:secret@northshire.example/", "password"),
    ] {
        let err = Client::new(text).unwrap_err().to_string();
        assert!(err.contains(says), "{text}: {err}");
    }
    let client = Client::new("https://northshire.example/bricks").unwrap();
    assert_eq!(client.base().as_str(), "https://northshire.example/bricks/");
}

#[tokio::test]
async fn an_index_file_is_asked_for_with_its_etag() {
    let fake = Fake::start().await;
    let path = "/index/northshire.example/bins.jsonl";
    fake.on(path, [Reply::ok("{}\n").with("etag", "\"a\""), Reply::status(304), Reply::status(404)]);
    let client = fake.client();
    let answer = client.index_file(&name(), None).await.unwrap();
    assert_eq!(answer, IndexAnswer::Fetched { bytes: b"{}\n".to_vec(), etag: Some("\"a\"".into()) });
    assert_eq!(client.index_file(&name(), Some("\"a\"")).await.unwrap(), IndexAnswer::NotModified);
    assert_eq!(fake.asked()[1].headers["if-none-match"], "\"a\"");
    assert_eq!(client.index_file(&name(), None).await.unwrap(), IndexAnswer::Missing);
    let err = client.index_proof(&name()).await.unwrap_err();
    assert!(err.is_missing());
    fake.on(format!("{path}.proof"), [Reply::ok("brickyard/index-proof/v9\n")]);
    let err = client.index_proof(&name()).await.unwrap_err();
    assert!(err.to_string().contains("does not begin with brickyard/index-proof/v1"), "{err}");
}

#[tokio::test]
async fn archives_proofs_and_blobs_may_be_missing() {
    let fake = Fake::start().await;
    let client = fake.client();
    let version = Version::parse("1.0.0-rc.1").unwrap();
    assert_eq!(client.archive(&name(), &version, 10).await.unwrap(), None);
    assert_eq!(client.proof(&name(), &version).await.unwrap(), None);
    let digest = Digest::of(b"brick");
    assert_eq!(client.blob(&digest, 10).await.unwrap(), None);
    assert!(!client.has_blob(&digest).await.unwrap());

    fake.on("/bricks/northshire.example/bins/1.0.0-rc.1/archive", [Reply::ok("brick")]);
    fake.on(format!("/blobs/sha256/{digest}"), [Reply::ok("brick")]);
    assert_eq!(client.archive(&name(), &version, 5).await.unwrap().unwrap(), b"brick");
    assert_eq!(client.archive(&name(), &version, 4).await.unwrap_err().family(), Family::TooLarge);
    assert_eq!(client.blob(&digest, 5).await.unwrap().unwrap(), b"brick");
    assert!(client.has_blob(&digest).await.unwrap());
    assert_eq!(fake.asked().last().unwrap().method, "HEAD");
    fake.on(format!("/blobs/sha256/{digest}"), [Reply::status(500)]);
    assert_eq!(client.has_blob(&digest).await.unwrap_err().family(), Family::Problem);
}
