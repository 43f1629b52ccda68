//! Publishing, cosignatures and the registry's own words.

#[allow(dead_code)]
mod fake;

use brick_client::{AddCheckpointAnswer, Family};
use brick_schemas::Digest;
use brick_tlog::checkpoint::{Checkpoint, sign_checkpoint};
use brick_tlog::cosignature::cosign;
use brick_tlog::note::KeyName;
use brick_tlog::witness::{AddCheckpoint, encode_response, encode_size, log_id};
use fake::{Fake, Reply};

const PROOF: &str = "c2sp.org/tlog-proof@v1\nextra b25l\nindex 0\n\nexample.com/log\n1\nrKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=\n\n— example.com/log M9e0luh4jTG+UMBqOUo9/q+yAEvx1ilBEniMvjf1zfcBOhg+CKubMt53MvIt/uEWP6zdkdIQzd/fmwlM/dlPWF74ewI=\n";

fn receipt(proof: &str) -> Reply {
    let receipt =
        serde_json::json!({"log": "northshire.example/log", "index": 0, "proof": proof, "duplicate": false});
    Reply::ok(receipt.to_string()).with("content-type", "application/json")
}

#[tokio::test]
async fn an_entry_is_sent_with_its_blobs_and_answered_with_a_proof() {
    let fake = Fake::start().await;
    fake.on("/api/v1/entries", [receipt(PROOF)]);
    let digest = Digest::of(b"the blob");
    let sent = fake.client().publish(b"{entry}".to_vec(), vec![(digest, b"the blob".to_vec())]).await;
    let (receipt, proof) = sent.unwrap();
    assert_eq!((receipt.index, proof.index, proof.extra.as_deref()), (0, 0, Some(b"one".as_slice())));
    let body = String::from_utf8(fake.asked()[0].body.clone()).unwrap();
    let entry = body.find("name=\"entry\"").unwrap();
    let blob = body.find(&format!("name=\"blob\"; filename=\"{digest}\"")).unwrap();
    assert!(entry < blob, "the entry comes first: {body}");
    assert!(body.contains("{entry}") && body.contains("the blob"));
}

#[tokio::test]
async fn publishing_is_tried_once_and_its_refusal_told() {
    let fake = Fake::start().await;
    let busy = r#"{"type":"urn:brickyard:problem:busy","title":"busy","status":503,"errors":[{"detail":"256 wait"}]}"#;
    fake.on(
        "/api/v1/entries",
        [
            Reply { body: busy.into(), ..Reply::status(503) }
                .with("content-type", "application/problem+json"),
            receipt("no proof"),
        ],
    );
    let err = fake.client().publish(Vec::new(), Vec::new()).await.unwrap_err();
    assert!(err.to_string().ends_with("503: busy; 256 wait"), "{err}");
    assert_eq!(fake.asked().len(), 1);
    let err = fake.client().publish(Vec::new(), Vec::new()).await.unwrap_err();
    assert_eq!(err.family(), Family::NotARegistry, "{err}");
}

#[tokio::test]
async fn a_witness_cosigns_or_says_where_it_stands_or_refuses() {
    let name = KeyName::new("example.com/log").unwrap();
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let head = Checkpoint { origin: name.clone(), size: 0, root: brick_tlog::Hash::EMPTY_TREE };
    let note = sign_checkpoint(&head, &key);
    let line = cosign(&note.text, &KeyName::new("w.example").unwrap(), &key, 1_700_000_000);
    let request = AddCheckpoint::new(0, Vec::new(), note.clone()).unwrap();
    let fake = Fake::start().await;
    let client = fake.client();
    fake.on(
        "/witness/add-checkpoint",
        [
            Reply::ok(encode_response(std::slice::from_ref(&line))),
            Reply { body: encode_size(7).into(), ..Reply::status(409) }
                .with("content-type", "text/x.tlog.size"),
            Reply::status(409),
            Reply::status(403),
            Reply::status(503),
            Reply::ok("hello"),
        ],
    );
    let answer = client.add_checkpoint(&request).await.unwrap();
    assert!(matches!(answer, AddCheckpointAnswer::Cosigned(lines) if lines == [line]));
    assert_eq!(fake.asked()[0].body, request.to_string().into_bytes());
    let answer = client.add_checkpoint(&request).await.unwrap();
    assert!(matches!(answer, AddCheckpointAnswer::Conflict { size: 7 }), "{answer:?}");
    for refused in [409, 403] {
        let answer = client.add_checkpoint(&request).await.unwrap();
        assert!(
            matches!(answer, AddCheckpointAnswer::Refused { status, .. } if status == refused),
            "{answer:?}"
        );
    }
    assert_eq!(client.add_checkpoint(&request).await.unwrap_err().family(), Family::Problem);
    assert_eq!(client.add_checkpoint(&request).await.unwrap_err().family(), Family::NotARegistry);

    assert_eq!(client.witness_checkpoint(&name).await.unwrap(), None);
    fake.on(format!("/witness/{}/checkpoint", log_id(&name)), [Reply::ok(note.to_bytes())]);
    assert_eq!(client.witness_checkpoint(&name).await.unwrap(), Some(note));
}

#[tokio::test]
async fn lists_are_asked_for_page_by_page() {
    let fake = Fake::start().await;
    fake.on(
        "/api/v1/search?q=northshire.example%2Fb%26&limit=100",
        [Reply::ok(r#"{"bricks":[],"next":"a b"}"#)],
    );
    fake.on("/api/v1/search?q=&limit=5&cursor=a+b", [Reply::ok(r#"{"bricks":[]}"#)]);
    fake.on("/api/v1/publishers?limit=5", [Reply::ok(r#"{"publishers":[]}"#)]);
    fake.on("/api/v1/sync", [Reply::ok(r#"{"registry":"r.example","now":1,"peers":[],"refusals":[]}"#)]);
    fake.on("/.well-known/brickyard.json", [Reply::ok(r#"{"api_version":1}"#)]);
    let client = fake.client();
    assert_eq!(client.search("northshire.example/b&", 1000, None).await.unwrap().next.unwrap(), "a b");
    assert_eq!(client.search("", 5, Some("a b")).await.unwrap().next, None);
    assert!(client.publishers(5, None).await.unwrap().publishers.is_empty());
    assert_eq!(client.sync_status().await.unwrap().registry.as_str(), "r.example");
    let err = client.well_known().await.unwrap_err();
    assert!(err.family() == Family::NotARegistry && err.to_string().contains("commons"), "{err}");
}
