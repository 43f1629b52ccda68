//! Are steps written whole, once, in order, or not at all?

use brick_schemas::Digest;
use brick_store::{
    CommitError, CreateLogError, Fault, LeafKind, LogId, LogStep, ServeError, Store, StoreOptions,
};
use sqlx::Connection as _;

use crate::fixture::{
    blob, brick, database, empty, file, hosted_log, leaf_bytes, line, node, note, open, origin, root,
    row_count, step, tile_hashes, version,
};

#[tokio::test]
async fn a_step_is_there_whole_after_the_store_was_opened_again() {
    let (dir, store) = empty().await;
    let log = hosted_log(&store, "a.example").await.id;
    let mut first = step(log, 0, 3);
    first.lines.push(line("case", "1.0.0", 0, "one"));
    first.files.push(file("case", "one\n"));
    first.nodes.push(node(16, 0, Digest::of(b"root")));
    first.blobs.push(blob(b"archive", 0));
    store.commit(&[first]).await.unwrap();
    store.set_served(log, 3).await.unwrap();
    // Without a close: the write-ahead log is still full, as after a kill.
    drop(store);

    let store = open(dir.path()).await;
    let stored = store.log(&origin("a.example/log")).await.unwrap().unwrap();
    assert_eq!((stored.size, stored.served_size, stored.hosted), (3, 3, true));
    assert_eq!(store.logs().await.unwrap(), [stored]);
    let leaves = store.leaves(log, 0..9).await.unwrap();
    assert_eq!(leaves, [leaf_bytes(log, 0), leaf_bytes(log, 1), leaf_bytes(log, 2)]);
    assert_eq!(store.tile(log, 0, 0).await.unwrap().unwrap(), tile_hashes(log, 3));
    assert_eq!(store.last_checkpoint(log).await.unwrap().unwrap().note, note(log, 3));
    assert_eq!(store.root_at(log, 3).await.unwrap(), Some(root(log, 3)));
    assert_eq!(store.root_at(log, 2).await.unwrap(), None);
    let (bytes, digest) = store.index_file(log, &brick("case"), 3).await.unwrap().unwrap();
    assert_eq!((bytes, digest), (b"one\n".to_vec(), Digest::of(b"one\n")));
    assert_eq!(store.bucket_node(log, 16, 0, 3).await.unwrap(), Some(Digest::of(b"root")));
    assert_eq!(store.missing_blobs(None, 9).await.unwrap()[0].sha256, Digest::of(b"archive"));
}

#[tokio::test]
async fn a_step_from_another_size_is_refused_and_changes_nothing() {
    let (_dir, store) = empty().await;
    let log = hosted_log(&store, "a.example").await.id;
    store.commit(&[step(log, 0, 2)]).await.unwrap();
    for old_size in [0, 1, 3] {
        let err = store.commit(&[step(log, old_size, 5)]).await.unwrap_err();
        assert!(
            matches!(err, CommitError::Conflict { expected, stored: 2, .. } if expected == old_size),
            "{err}"
        );
    }
    assert_eq!(row_count(&store, "leaf").await, 2);
    store.commit(&[step(log, 2, 5)]).await.unwrap();
}

#[tokio::test]
async fn one_refused_step_refuses_all_of_its_commit() {
    let (_dir, store) = empty().await;
    let one = hosted_log(&store, "a.example").await.id;
    let other = hosted_log(&store, "b.example").await.id;
    let err = store.commit(&[step(one, 0, 2), step(other, 1, 2)]).await.unwrap_err();
    assert!(matches!(err, CommitError::Conflict { log, .. } if log == other));
    for table in ["leaf", "tile", "checkpoint"] {
        assert_eq!(row_count(&store, table).await, 0, "{table}");
    }
    assert!(store.logs().await.unwrap().iter().all(|log| log.size == 0));
    // Later steps of the same commit see the earlier ones.
    store.commit(&[step(one, 0, 2), step(other, 0, 2), step(one, 2, 4)]).await.unwrap();
}

#[tokio::test]
async fn a_replayed_payload_is_refused_with_its_first_place() {
    let (_dir, store) = empty().await;
    let log = hosted_log(&store, "a.example").await.id;
    store.commit(&[step(log, 0, 3)]).await.unwrap();
    let payload = Digest::of(&leaf_bytes(log, 1));
    assert_eq!(store.payload_index(log, &payload).await.unwrap(), Some(1));

    let mut replay = step(log, 3, 6);
    replay.leaves[1].kind = LeafKind::Envelope { payload };
    let err = store.commit(&[replay]).await.unwrap_err();
    assert!(
        matches!(err, CommitError::Replayed { entry: 4, first: 1, payload: p, .. } if p == payload),
        "{err}"
    );

    let mut twice = step(log, 3, 6);
    twice.leaves[1].kind = twice.leaves[0].kind;
    let err = store.commit(&[twice]).await.unwrap_err();
    assert!(matches!(err, CommitError::Replayed { entry: 4, first: 3, .. }), "{err}");

    // The same payload in another log is no replay: the entry's `log` keeps them apart.
    let other = hosted_log(&store, "b.example").await.id;
    let mut elsewhere = step(other, 0, 2);
    elsewhere.leaves[0].kind = LeafKind::Envelope { payload };
    store.commit(&[elsewhere]).await.unwrap();
}

#[tokio::test]
async fn a_version_is_won_by_one_entry() {
    let (_dir, store) = empty().await;
    let log = hosted_log(&store, "a.example").await.id;
    let mut first = step(log, 0, 2);
    first.lines.push(line("case", "1.0.0", 0, "one"));
    first.files.push(file("case", "one\n"));
    store.commit(&[first]).await.unwrap();
    let mut again = step(log, 2, 4);
    again.lines.push(line("case", "1.0.0", 2, "other"));
    let err = store.commit(&[again]).await.unwrap_err();
    assert!(matches!(err, CommitError::VersionTaken { entry: 2, first: 0, .. }), "{err}");
    let mut status = step(log, 2, 4);
    status.lines.push(line("case", "1.0.0", 0, "one, yanked"));
    status.files.push(file("case", "one, yanked\n"));
    store.commit(&[status]).await.unwrap();
    let release = store.release(log, &brick("case"), &version("1.0.0"), 4).await.unwrap().unwrap();
    assert_eq!((release.entry, release.line.as_str()), (0, "one, yanked\n"));
}

#[tokio::test]
async fn a_second_root_or_a_changed_tile_is_refused() {
    let (_dir, store) = empty().await;
    let log = hosted_log(&store, "a.example").await.id;
    store.commit(&[step(log, 0, 2)]).await.unwrap();

    let resigned = LogStep::new(log, 2, 2, b"signed again".to_vec(), root(log, 2));
    store.commit(&[resigned]).await.unwrap();
    assert_eq!(store.checkpoint(log, 2).await.unwrap().unwrap().note, b"signed again");

    let forked = LogStep::new(log, 2, 2, b"another history".to_vec(), Digest::of(b"another"));
    let err = store.commit(&[forked]).await.unwrap_err();
    assert!(matches!(err, CommitError::RootChanged { size: 2, .. }), "{err}");
    assert_eq!(store.checkpoint(log, 2).await.unwrap().unwrap().note, b"signed again");

    for broken in ["shorter", "one bit flipped"] {
        let mut changed = step(log, 2, 4);
        match broken {
            "shorter" => changed.tiles[0].hashes.truncate(32),
            _ => changed.tiles[0].hashes[7] ^= 1,
        }
        let err = store.commit(&[changed]).await.unwrap_err();
        assert!(matches!(err, CommitError::TileChanged { level: 0, index: 0, .. }), "{broken}: {err}");
    }
    store.commit(&[step(log, 2, 4)]).await.unwrap();
    assert_eq!(store.tile(log, 0, 0).await.unwrap().unwrap(), tile_hashes(log, 4));
}

#[tokio::test]
async fn a_malformed_step_is_refused_by_its_rule() {
    let (_dir, store) = empty().await;
    let log = hosted_log(&store, "a.example").await.id;
    type Spoil = fn(&mut LogStep);
    let cases: [(&str, Spoil); 11] = [
        ("leaves are not as many", |step| drop(step.leaves.pop())),
        ("leaves are not as many", |step| step.new_size = 0),
        ("1 to 65,535 bytes", |step| step.leaves[0].bytes.clear()),
        ("1 to 65,535 bytes", |step| step.leaves[0].bytes.resize(65_536, 0)),
        ("1 to 256 hashes", |step| step.tiles[0].hashes.push(0)),
        ("1 to 256 hashes", |step| step.tiles[0].hashes.clear()),
        ("level is at most 63", |step| step.tiles[0].level = 64),
        ("ends in a newline", |step| {
            step.lines.push(brick_store::LineRow { line: String::new(), ..line("a", "1.0.0", 0, "") })
        }),
        ("no other newline", |step| step.lines.push(line("a", "1.0.0", 0, "two\nlines"))),
        ("entry is in the log", |step| step.lines.push(line("a", "1.0.0", 3, "later"))),
        ("index below 65,536", |step| step.nodes.push(node(16, 65_536, Digest::of(b"")))),
    ];
    for (rule, spoil) in cases {
        let mut broken = step(log, 0, 3);
        spoil(&mut broken);
        let err = store.commit(&[broken]).await.unwrap_err().to_string();
        assert!(err.contains(rule), "{err}");
    }
    assert_eq!(row_count(&store, "leaf").await, 0);
}

#[tokio::test]
async fn many_rows_of_many_logs_go_in_one_commit() {
    let (_dir, store) = empty().await;
    let mut steps = Vec::new();
    for number in 0..5 {
        let log = hosted_log(&store, &format!("p{number}.example")).await.id;
        let mut step = step(log, 0, 200);
        for row in 0..199_u32 {
            let name = format!("brick-{row}");
            step.lines.push(line(&name, "1.0.0", row.into(), &name));
            step.files.push(file(&name, &format!("{name}\n")));
            step.nodes.push(node(3, row, Digest::of(name.as_bytes())));
            step.blobs.push(blob(name.as_bytes(), row.into()));
        }
        steps.push(step);
    }
    store.commit(&steps).await.unwrap();
    for step in &steps {
        for (row, name) in [(0, "brick-0"), (127, "brick-127"), (198, "brick-198")] {
            let at = step.new_size;
            let (bytes, _) = store.index_file(step.log, &brick(name), at).await.unwrap().unwrap();
            assert_eq!(bytes, format!("{name}\n").into_bytes());
            assert_eq!(
                store.bucket_node(step.log, 3, row, at).await.unwrap(),
                Some(Digest::of(name.as_bytes()))
            );
        }
    }
    assert_eq!(row_count(&store, "blob").await, 199, "five logs name the same blobs");
    assert_eq!(row_count(&store, "blob_use").await, 5 * 199);
}

#[tokio::test]
async fn of_racing_steps_one_wins_and_readers_never_see_half_a_commit() {
    let (_dir, store) = empty().await;
    let one = hosted_log(&store, "a.example").await.id;
    let other = hosted_log(&store, "b.example").await.id;
    let watcher = tokio::spawn({
        let store = store.clone();
        async move {
            let mut size = 0;
            while size < 20 {
                let logs = store.logs().await.unwrap();
                assert_eq!(logs[0].size, logs[1].size, "both logs move in one commit");
                assert!(logs[0].size >= size, "sizes never go back");
                size = logs[0].size;
                let leaves = store.leaves(one, 0..size).await.unwrap();
                assert_eq!(leaves.len() as u64, size);
            }
        }
    });
    for round in 0..10 {
        let size = round * 2;
        let racers = (0..8)
            .map(|_| {
                let store = store.clone();
                let steps = [step(one, size, size + 2), step(other, size, size + 2)];
                tokio::spawn(async move { store.commit(&steps).await.is_ok() })
            })
            .collect::<Vec<_>>();
        let mut winners = 0;
        for racer in racers {
            winners += usize::from(racer.await.unwrap());
        }
        assert_eq!(winners, 1);
    }
    watcher.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_nobody_waits_for_any_more_is_whole_or_absent() {
    let (_dir, store) = empty().await;
    let log = hosted_log(&store, "a.example").await.id;
    let mut size = 0;
    for round in 0..40_u64 {
        let task = tokio::spawn({
            let store = store.clone();
            let step = step(log, size, size + 3);
            async move { store.commit(&[step]).await }
        });
        tokio::time::sleep(std::time::Duration::from_micros(round * 50)).await;
        task.abort();
        let _ = task.await;
        // Another write is possible at once, and waits for what the abandoned one left running.
        store.meta_put("round", &round.to_be_bytes()).await.unwrap();
        let stored = store.log(&origin("a.example/log")).await.unwrap().unwrap().size;
        assert!(stored == size || stored == size + 3);
        assert_eq!(row_count(&store, "leaf").await as u64, stored);
        size = stored;
    }
}

#[tokio::test]
async fn the_second_log_of_an_origin_is_refused() {
    let (_dir, store) = empty().await;
    hosted_log(&store, "a.example").await;
    let err = store.create_log(&origin("a.example/log"), "other", None, false).await.unwrap_err();
    assert!(matches!(err, CreateLogError::Exists { .. }), "{err}");
    let commons = store.create_log(&origin("commons.example/root"), "key", None, false).await.unwrap();
    assert_eq!((commons.publisher, commons.hosted), (None, false));
    assert_eq!(store.log(&origin("b.example/log")).await.unwrap(), None);
}

#[tokio::test]
async fn readers_are_never_shown_less_or_what_was_not_signed() {
    let (_dir, store) = empty().await;
    let log = hosted_log(&store, "a.example").await.id;
    store.commit(&[step(log, 0, 3), step(log, 3, 6)]).await.unwrap();
    assert!(store.set_served(log, 3).await.unwrap());
    assert!(!store.set_served(log, 3).await.unwrap(), "nothing changed");
    for size in [0, 2, 5, 7, u64::MAX] {
        let err = store.set_served(log, size).await.unwrap_err();
        assert!(matches!(err, ServeError::NotASize { served_size: 3, size: 6, .. }), "{size}: {err}");
    }
    assert!(store.set_served(log, 6).await.unwrap());
}

/// A node that changes with every step and the index file below it, as the root of the bucket tree does.
fn step_with_node(log: LogId, old_size: u64, new_size: u64) -> LogStep {
    let nodes = vec![node(16, 0, root(log, new_size))];
    let files = vec![file("case", &new_size.to_string())];
    LogStep { nodes, files, ..step(log, old_size, new_size) }
}

#[tokio::test]
async fn what_was_superseded_while_readers_saw_nothing_new_is_dropped_in_parts() {
    const STEPS: u64 = 5_000;
    let (_dir, store) = empty().await;
    let log = hosted_log(&store, "a.example").await.id;
    let steps: Vec<LogStep> = (0..STEPS).map(|at| step_with_node(log, at, at + 1)).collect();
    for steps in steps.chunks(1_000) {
        store.commit(steps).await.unwrap();
    }
    let state = async || {
        let stored = store.log(&origin("a.example/log")).await.unwrap().unwrap();
        (stored.served_size, stored.kept_size, row_count(&store, "bucket_node").await as u64)
    };
    assert_eq!(state().await, (0, 0, STEPS));
    // One call drops so much and no more; the newest of what was dropped from stays.
    store.set_served(log, STEPS).await.unwrap();
    assert_eq!(state().await, (STEPS, 16 * 256, STEPS - 16 * 256 + 1));
    assert_eq!(store.bucket_node(log, 16, 0, STEPS).await.unwrap(), Some(root(log, STEPS)));
    // Every later step drops some more.
    let next = LogStep { is_served: true, ..step_with_node(log, STEPS, STEPS + 1) };
    store.commit(&[next]).await.unwrap();
    assert_eq!(state().await, (STEPS + 1, 17 * 256, STEPS + 1 - 17 * 256 + 1));
    store.drop_superseded(log, STEPS + 1).await.unwrap();
    assert_eq!(state().await, (STEPS + 1, STEPS + 1, 1));
    assert_eq!(store.bucket_node(log, 16, 0, STEPS + 1).await.unwrap(), Some(root(log, STEPS + 1)));
}

#[tokio::test]
async fn a_lock_that_is_held_for_too_long_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { busy_timeout_ms: 100, ..StoreOptions::default() };
    let store = Store::open(dir.path(), options).await.unwrap();
    let mut other = database(&store).await;
    let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    assert!(matches!(store.meta_put("key", b"").await, Err(Fault::Locked(_))));
    assert_eq!(store.meta_get("key").await.unwrap(), None, "readers do not wait for a writer");
    held.rollback().await.unwrap();
    store.meta_put("key", b"value").await.unwrap();
    store.meta_put("key", b"newer").await.unwrap();
    assert_eq!(store.meta_get("key").await.unwrap().as_deref(), Some(&b"newer"[..]));
}

/// A server runs these on a pool of threads; that this compiles is the test.
#[tokio::test(flavor = "multi_thread")]
async fn every_operation_may_move_between_threads() {
    let (_dir, store) = empty().await;
    let work = async move {
        let log = hosted_log(&store, "a.example").await.id;
        let name = brick("case");
        store.commit(&[step(log, 0, 2)]).await.unwrap();
        store.set_served(log, 2).await.unwrap();
        store.index_file(log, &name, 2).await.unwrap();
        store.bucket_lines(log, 0, 2).await.unwrap();
        store.bucket_nodes(log, &[(0, 0)], 2).await.unwrap();
        store.services(log, 0, 2).await.unwrap();
        store.bricks("case", None, 1).await.unwrap();
        store.missing_blobs(None, 1).await.unwrap();
        store.put_cosignatures(log, 2, &[]).await.unwrap();
        store.put_evidence(&origin("a.example/log"), b"a", b"b", "why").await.unwrap();
        store.set_aside_rotten(&Digest::of(b"")).await.unwrap();
        store.put_sync("peer", None, &brick_store::SyncState::Followed, 1).await.unwrap();
    };
    tokio::spawn(work).await.unwrap();
}

#[tokio::test]
async fn a_long_step_leaves_moving_its_pages_to_the_next_short_one() {
    const LEAVES: u64 = 1_100;
    const LEAF_BYTES: usize = 20_000;
    let (dir, store) = empty().await;
    let log = hosted_log(&store, "a.example").await.id;
    let sizes = || {
        ["registry.sqlite3", "registry.sqlite3-wal"]
            .map(|name| std::fs::metadata(dir.path().join(name)).unwrap().len())
    };
    let mut long = step(log, 0, LEAVES);
    long.leaves.iter_mut().for_each(|leaf| leaf.bytes.resize(LEAF_BYTES, 7));
    let of_leaves = LEAVES * LEAF_BYTES as u64;
    store.commit(&[long]).await.unwrap();
    let [database, ahead] = sizes();
    assert!(database < of_leaves && ahead > of_leaves, "{database} and {ahead} bytes");
    store.commit(&[step(log, LEAVES, LEAVES + 1)]).await.unwrap();
    let [database, ahead] = sizes();
    assert!(database > of_leaves, "{database} bytes");
    // The log is written from its beginning again.
    for size in LEAVES + 1..LEAVES + 50 {
        store.commit(&[step(log, size, size + 1)]).await.unwrap();
    }
    assert_eq!(sizes()[1], ahead);
}
