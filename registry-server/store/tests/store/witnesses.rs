//! Witness state, cosignatures, evidence and the state of syncs.

use brick_schemas::Digest;
use brick_store::{
    CosignatureError, CosignatureRow, MAX_EVIDENCE_PER_LOG, SEEN_STEP_SECONDS, SyncState, WitnessError,
    WitnessState,
};

use crate::fixture::{empty, hosted_log, open, origin, step};

fn state(size: u64, time: u64) -> WitnessState {
    let root = Digest::of(&size.to_be_bytes());
    WitnessState { size, root, time, note: format!("{size} at {time}").into_bytes() }
}

#[tokio::test]
async fn a_witness_moves_only_from_the_state_that_was_checked() {
    let (dir, store) = empty().await;
    let log = origin("a.example/log");
    assert_eq!(store.witness_state(&log).await.unwrap(), None);
    let expecting = |size, time| Some((state(size, time).size, state(size, time).root));
    assert!(
        !store.advance_witness(&log, expecting(0, 0), &state(5, 100)).await.unwrap(),
        "there is no state yet"
    );
    assert!(store.advance_witness(&log, None, &state(5, 100)).await.unwrap());
    assert!(!store.advance_witness(&log, None, &state(9, 100)).await.unwrap(), "there is a state already");
    assert!(!store.advance_witness(&log, expecting(4, 0), &state(9, 100)).await.unwrap());
    assert!(!store.advance_witness(&log, Some((5, Digest::of(b"other"))), &state(9, 100)).await.unwrap());
    for (size, root) in [(4, state(4, 0).root), (5, Digest::of(b"other"))] {
        let new = WitnessState { size, root, ..state(size, 200) };
        let err = store.advance_witness(&log, expecting(5, 0), &new).await.unwrap_err();
        assert!(matches!(err, WitnessError::NotAfter { expected_size: 5, .. }), "{err}");
    }
    assert!(
        store.advance_witness(&log, expecting(5, 0), &state(5, 150)).await.unwrap(),
        "the same head again"
    );
    assert!(
        !store.advance_witness(&log, expecting(5, 0), &state(5, 120)).await.unwrap(),
        "time goes not back"
    );
    assert!(store.advance_witness(&log, expecting(5, 0), &state(9, 200)).await.unwrap());
    store.close().await;
    assert_eq!(open(dir.path()).await.witness_state(&log).await.unwrap(), Some(state(9, 200)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_asked_by_32_at_once_never_goes_back() {
    let (_dir, store) = empty().await;
    let log = origin("a.example/log");
    store.advance_witness(&log, None, &state(1, 0)).await.unwrap();
    let racers = (0..32_u64)
        .map(|racer| {
            let (store, log) = (store.clone(), log.clone());
            tokio::spawn(async move {
                let mut wins = Vec::new();
                for round in 0..12 {
                    let now = store.witness_state(&log).await.unwrap().unwrap();
                    let new = state(now.size + 1 + (racer + round) % 3, now.time + 1);
                    if store.advance_witness(&log, Some((now.size, now.root)), &new).await.unwrap() {
                        wins.push((now.size, new.size));
                    }
                    let after = store.witness_state(&log).await.unwrap().unwrap();
                    assert!(after.size >= now.size && after.time >= now.time);
                }
                wins
            })
        })
        .collect::<Vec<_>>();
    let mut wins = Vec::new();
    for racer in racers {
        wins.extend(racer.await.unwrap());
    }
    wins.sort();
    // Every move began where another ended: one chain, no fork.
    let mut size = 1;
    for (from, to) in wins {
        assert_eq!(from, size);
        size = to;
    }
    assert_eq!(store.witness_state(&log).await.unwrap().unwrap().size, size);
}

fn cosignature(name: &str, key_id: u32, time: u64) -> CosignatureRow {
    CosignatureRow { key_id, name: name.into(), time, line: format!("— {name} {time}\n") }
}

#[tokio::test]
async fn of_each_witness_the_newest_cosignature_of_a_head_is_kept() {
    let (_dir, store) = empty().await;
    let log = hosted_log(&store, "a.example").await.id;
    store.commit(&[step(log, 0, 2), step(log, 2, 4)]).await.unwrap();
    let first = [cosignature("w1.example", 1, 10), cosignature("w2.example", u32::MAX, 10)];
    store.put_cosignatures(log, 2, &first).await.unwrap();
    let second = [
        cosignature("w1.example", 1, 20),
        cosignature("w2.example", u32::MAX, 5),
        cosignature("w1.example", 2, 7),
    ];
    store.put_cosignatures(log, 2, &second).await.unwrap();
    let kept = [
        cosignature("w1.example", 1, 20),
        cosignature("w1.example", 2, 7),
        cosignature("w2.example", u32::MAX, 10),
    ];
    assert_eq!(store.cosignatures(log, 2).await.unwrap(), kept);

    let err = store.put_cosignatures(log, 3, &first).await.unwrap_err();
    assert!(matches!(err, CosignatureError::UnknownCheckpoint { size: 3, .. }), "{err}");
    let flood = (0..1_025).map(|key_id| cosignature("w.example", key_id, 1)).collect::<Vec<_>>();
    for part in [&flood[..], &flood[..1_024]] {
        let err = store.put_cosignatures(log, 2, part).await.unwrap_err();
        assert!(matches!(err, CosignatureError::TooMany { .. }), "{err}");
    }
    assert_eq!(store.cosignatures(log, 2).await.unwrap(), kept);

    store.set_served(log, 4).await.unwrap();
    assert_eq!(store.cosignatures(log, 2).await.unwrap(), [], "an older head is served no more");
}

#[tokio::test]
async fn evidence_is_kept_once_and_for_ever_but_cannot_fill_the_disk() {
    let (_dir, store) = empty().await;
    let (log, other) = (origin("a.example/log"), origin("b.example/log"));
    assert!(store.put_evidence(&log, b"head 1", b"head 2", "two roots").await.unwrap());
    assert!(!store.put_evidence(&log, b"head 2", b"head 1", "the same two").await.unwrap());
    for number in 0..2 * MAX_EVIDENCE_PER_LOG {
        let kept = store.put_evidence(&log, b"head", &number.to_be_bytes(), "more").await.unwrap();
        assert_eq!(kept, number + 1 < MAX_EVIDENCE_PER_LOG);
    }
    assert!(store.put_evidence(&other, b"head 1", b"head 2", "two roots").await.unwrap());
    assert!(store.put_evidence(&other, &vec![0; 1_000_001], b"", "").await.is_err());
    let evidence = store.evidence().await.unwrap();
    assert_eq!(evidence.len() as u32, MAX_EVIDENCE_PER_LOG + 1);
    assert_eq!(
        (&evidence[0].a[..], &evidence[0].b[..], &evidence[0].why[..]),
        (&b"head 1"[..], &b"head 2"[..], "two roots")
    );
}

#[tokio::test]
async fn a_failing_sync_says_since_when() {
    let (_dir, store) = empty().await;
    let log = origin("a.example/log");
    let down = SyncState::Failed { why: "no answer".into() };
    let shown = async || {
        let rows = store.sync_states().await.unwrap();
        rows.into_iter().map(|row| (row.log, row.state, row.since, row.seen)).collect::<Vec<_>>()
    };
    store.put_sync("peer", None, &down, 1_000).await.unwrap();
    store.put_sync("peer", None, &down, 1_000 + SEEN_STEP_SECONDS - 1).await.unwrap();
    assert_eq!(shown().await, [(None, down.clone(), 1_000, 1_000)], "too soon to be written again");
    store.put_sync("peer", None, &down, 1_100).await.unwrap();
    store.put_sync("peer", Some(&log), &SyncState::Followed, 1_100).await.unwrap();
    assert_eq!(
        shown().await,
        [(None, down.clone(), 1_000, 1_100), (Some(log), SyncState::Followed, 1_100, 1_100)]
    );
    store.put_sync("peer", None, &SyncState::Followed, 1_101).await.unwrap();
    assert_eq!(shown().await[0], (None, SyncState::Followed, 1_101, 1_101));
    let long = SyncState::Failed { why: "é".repeat(4_000) };
    store.put_sync("peer", None, &long, 1_102).await.unwrap();
    assert!(matches!(&shown().await[0].1, SyncState::Failed { why } if why.len() == 4_096));
    store.put_sync("peer", None, &long, 1_103).await.unwrap();
    assert_eq!(shown().await[0].2, 1_102, "a reason that was cut is still the same reason");
    store.forget_sync("peer").await.unwrap();
    assert_eq!(shown().await, []);
}
