//! Are readers shown exactly the state as of the size they ask for?

use std::collections::BTreeMap;

use brick_schemas::{BrickName, Digest, FullName, PublisherName};
use brick_store::{LogId, ReadError, ServiceRow, Store, StoreOptions};
use proptest::prelude::*;

use crate::fixture::{
    brick, bucket_of, database, empty, file, hosted_log, leaf_bytes, line, node, note, origin, root,
    row_count, step, version,
};

/// A log of sizes 2, 4 and 6: a release, another brick, and a status on the first; nodes and a service with each.
async fn three_steps(store: &Store) -> LogId {
    let log = hosted_log(store, "a.example").await.id;
    for (size, name, entry, text, content) in [
        (2, "case", 0, "case 1.0.0", "case 1.0.0\n"),
        (4, "form", 2, "form 1.0.0", "form 1.0.0\n"),
        (6, "case", 0, "case 1.0.0 yanked", "case 1.0.0 yanked\n"),
    ] {
        let mut step = step(log, size - 2, size);
        step.lines.push(line(name, "1.0.0", entry, text));
        step.files.push(file(name, content));
        step.nodes.push(node(16, 0, Digest::of(text.as_bytes())));
        step.services.push(ServiceRow {
            service: brick("permits"),
            entry,
            json: format!("{{\"at\":{size}}}"),
        });
        store.commit(&[step]).await.unwrap();
    }
    log
}

async fn index_file(store: &Store, log: LogId, name: &str, at_size: u64) -> Option<String> {
    let file = store.index_file(log, &brick(name), at_size).await.unwrap();
    file.map(|(bytes, _)| String::from_utf8(bytes).unwrap())
}

#[tokio::test]
async fn while_an_older_size_is_served_its_state_can_be_read() {
    let (_dir, store) = empty().await;
    let log = three_steps(&store).await;
    store.set_served(log, 2).await.unwrap();
    for (at_size, case, form, top) in [
        (2, "case 1.0.0\n", None, "case 1.0.0"),
        (3, "case 1.0.0\n", None, "case 1.0.0"),
        (4, "case 1.0.0\n", Some("form 1.0.0\n"), "form 1.0.0"),
        (6, "case 1.0.0 yanked\n", Some("form 1.0.0\n"), "case 1.0.0 yanked"),
    ] {
        assert_eq!(index_file(&store, log, "case", at_size).await.as_deref(), Some(case));
        assert_eq!(index_file(&store, log, "form", at_size).await.as_deref(), form);
        assert_eq!(store.bucket_node(log, 16, 0, at_size).await.unwrap(), Some(Digest::of(top.as_bytes())));
        let bucket = store.bucket_lines(log, bucket_of(&brick("case")), at_size).await.unwrap();
        assert_eq!(bucket, [(brick("case"), Digest::of(case.as_bytes()))]);
        let release = store.release(log, &brick("case"), &version("1.0.0"), at_size).await.unwrap().unwrap();
        assert_eq!((release.entry, release.line.as_str()), (0, case));
        assert_eq!(store.lines(log, &brick("case"), at_size).await.unwrap(), [release]);
        let service = store.service(log, &brick("permits"), at_size).await.unwrap().unwrap();
        assert_eq!(service.row.json, format!("{{\"at\":{}}}", service.since));
        assert_eq!(service.since, at_size / 2 * 2);
    }
    let changed = store.files_changed(log, 2, 6).await.unwrap();
    assert_eq!(changed, [file("case", "case 1.0.0 yanked\n"), file("form", "form 1.0.0\n")]);
    assert_eq!(store.files_changed(log, 4, 6).await.unwrap().len(), 1);
    assert_eq!(store.services(log, 6, 6).await.unwrap(), []);
}

#[tokio::test]
async fn what_nobody_can_ask_for_any_more_is_dropped() {
    let (_dir, store) = empty().await;
    let log = three_steps(&store).await;
    let counts = async || {
        let mut counts = Vec::new();
        for table in ["line", "index_file", "bucket_node", "service"] {
            counts.push(row_count(&store, table).await);
        }
        counts
    };
    assert_eq!(counts().await, [3, 3, 3, 3]);
    store.set_served(log, 2).await.unwrap();
    assert_eq!(counts().await, [3, 3, 3, 3]);
    store.set_served(log, 4).await.unwrap();
    assert_eq!(counts().await, [3, 3, 2, 2]);
    store.set_served(log, 6).await.unwrap();
    assert_eq!(counts().await, [2, 2, 1, 1]);
    assert_eq!(index_file(&store, log, "form", 6).await.as_deref(), Some("form 1.0.0\n"), "old but current");
    for at_size in [0, 5, 7, u64::MAX] {
        let err = store.index_file(log, &brick("case"), at_size).await.unwrap_err();
        assert!(matches!(err, ReadError::NotKept { served_size: 6, size: 6, .. }), "{at_size}: {err}");
    }
}

#[tokio::test]
async fn nodes_come_in_the_order_asked_for() {
    let (_dir, store) = empty().await;
    let log = hosted_log(&store, "a.example").await.id;
    let mut first = step(log, 0, 2);
    first.nodes = (0..40).map(|index| node(0, index, Digest::of(&index.to_be_bytes()))).collect();
    store.commit(&[first]).await.unwrap();
    let asked = [(0, 39), (1, 0), (0, 3), (0, 3), (0, 99)];
    let expected =
        [Some(39_u32), None, Some(3), Some(3), None].map(|i| i.map(|i| Digest::of(&i.to_be_bytes())));
    assert_eq!(store.bucket_nodes(log, &asked, 2).await.unwrap(), expected);
    let all = (0..50).map(|index| (0, index)).collect::<Vec<_>>();
    let found = store.bucket_nodes(log, &all, 2).await.unwrap();
    assert_eq!(found.iter().flatten().count(), 40);
    assert_eq!(found.len(), 50);
    assert_eq!(store.bucket_nodes(log, &[], 2).await.unwrap(), []);
}

#[tokio::test]
async fn nodes_of_a_store_of_before_are_found_in_their_parts() {
    let (dir, store) = empty().await;
    let log = hosted_log(&store, "a.example").await.id;
    let asked: Vec<(u8, u32)> =
        (0..=16).flat_map(|level| [(level, 0), (level, 65_535 >> level), (level, 40_000 >> level)]).collect();
    let hash = |(level, index): (u8, u32)| Digest::of(format!("{level}/{index}").as_bytes());
    let mut first = step(log, 0, 2);
    first.nodes = asked.iter().map(|at| node(at.0, at.1, hash(*at))).collect();
    store.commit(&[first]).await.unwrap();
    let mut database = database(&store).await;
    store.close().await;
    for statement in [
        "CREATE TABLE before (log INTEGER NOT NULL REFERENCES log (id), level INTEGER NOT NULL, idx INTEGER NOT NULL,
           since INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (log, level, idx, since)) STRICT, WITHOUT ROWID",
        "INSERT INTO before SELECT log, level, idx, since, hash FROM bucket_node",
        "DROP TABLE bucket_node",
        "ALTER TABLE before RENAME TO bucket_node",
        "DELETE FROM _sqlx_migrations WHERE version = 5",
    ] {
        sqlx::query(statement).execute(&mut database).await.unwrap();
    }
    sqlx::Connection::close(database).await.unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).await.unwrap();
    let expected: Vec<_> = asked.iter().map(|at| Some(hash(*at))).collect();
    assert_eq!(store.bucket_nodes(log, &asked, 2).await.unwrap(), expected);
}

#[tokio::test]
async fn leaves_come_a_bundle_at_a_time() {
    let (_dir, store) = empty().await;
    let log = hosted_log(&store, "a.example").await.id;
    store.commit(&[step(log, 0, 600)]).await.unwrap();
    for (range, first, count) in
        [(0..600, 0, 256), (256..512, 256, 256), (512..700, 512, 88), (600..700, 600, 0), (7..7, 7, 0)]
    {
        let leaves = store.leaves(log, range).await.unwrap();
        assert_eq!(leaves.len(), count);
        for (leaf, entry) in leaves.iter().zip(first..) {
            assert_eq!(*leaf, leaf_bytes(log, entry));
        }
    }
    assert_eq!(store.leaves(log, u64::MAX - 1..u64::MAX).await.unwrap(), Vec::<Vec<u8>>::new());
    assert_eq!(store.tile(log, 0, u64::MAX).await.unwrap(), None);
    sqlx::query("DELETE FROM leaf WHERE entry = 300").execute(&mut database(&store).await).await.unwrap();
    assert!(matches!(store.leaves(log, 256..512).await, Err(ReadError::Damaged { .. })));
}

#[tokio::test]
async fn payloads_and_versions_are_found_in_one_question_each() {
    let (_dir, store) = empty().await;
    let log = hosted_log(&store, "a.example").await.id;
    let other = hosted_log(&store, "b.example").await.id;
    let mut first = step(log, 0, 600);
    first.lines = vec![line("case", "1.0.0", 7, "one")];
    store.commit(&[first]).await.unwrap();
    let payload = |entry| Digest::of(&leaf_bytes(log, entry));
    let asked: Vec<Digest> = (0..700).map(payload).collect();
    let known = store.known_payloads(log, &asked).await.unwrap();
    assert_eq!(known, (0..599).map(payload).collect(), "all but the snapshot and what is not there");
    assert_eq!(store.known_payloads(other, &asked).await.unwrap().len(), 0);
    assert_eq!(store.known_payloads(log, &[]).await.unwrap().len(), 0);
    let (name, one, two) = (brick("case"), version("1.0.0"), version("2.0.0"));
    for (log, entry, released, expected) in [
        (log, 7, Some((&name, &one)), (Some(7), Some(7))),
        (log, 8, Some((&name, &two)), (Some(8), None)),
        (log, 650, Some((&name, &one)), (None, Some(7))),
        (log, 650, None, (None, None)),
        (other, 7, Some((&name, &one)), (None, None)),
    ] {
        let standing = store.standing(log, &payload(entry), released).unwrap();
        assert_eq!((standing.entry, standing.released), expected, "entry {entry}");
    }
}

#[tokio::test]
async fn changed_lines_are_those_after_a_size_as_of_another() {
    let (_dir, store) = empty().await;
    let log = hosted_log(&store, "a.example").await.id;
    let mut steps = [step(log, 0, 2), step(log, 2, 4), step(log, 4, 6)];
    steps[0].lines = vec![line("case", "1.0.0", 0, "old")];
    steps[1].lines = vec![line("case", "1.1.0", 2, "second"), line("bins", "1.0.0", 3, "other")];
    steps[2].lines = vec![line("case", "1.0.0", 0, "new")];
    store.commit(&steps).await.unwrap();
    let changed = async |after, at| {
        let rows = store.lines_changed(log, after, at).await.unwrap();
        rows.into_iter().map(|(brick, row)| format!("{brick} {}", row.line.trim())).collect::<Vec<_>>()
    };
    assert_eq!(changed(0, 2).await, ["case old"]);
    assert_eq!(changed(2, 4).await, ["bins other", "case second"]);
    assert_eq!(changed(4, 6).await, ["case new"]);
    assert_eq!(changed(0, 6).await, ["bins other", "case new", "case second"]);
    assert!(changed(6, 6).await.is_empty());
}

#[tokio::test]
async fn signed_heads_can_be_walked() {
    let (_dir, store) = empty().await;
    let log = hosted_log(&store, "a.example").await.id;
    assert_eq!(store.last_checkpoint(log).await.unwrap(), None);
    store.commit(&[step(log, 0, 1), step(log, 1, 4), step(log, 4, 9)]).await.unwrap();
    let sizes = async |after, limit| {
        let heads = store.checkpoints_after(log, after, limit).await.unwrap();
        heads.iter().for_each(|head| {
            assert_eq!((head.root, &head.note), (root(log, head.size), &note(log, head.size)))
        });
        heads.into_iter().map(|head| head.size).collect::<Vec<_>>()
    };
    assert_eq!(sizes(0, 10).await, [1, 4, 9]);
    assert_eq!(sizes(1, 1).await, [4]);
    assert_eq!(sizes(9, 10).await, [0_u64; 0]);
    for (at_most, size) in [(0, None), (1, Some(1)), (3, Some(1)), (4, Some(4)), (8, Some(4)), (100, Some(9))]
    {
        let head = store.checkpoint_at_most(log, at_most).await.unwrap();
        assert_eq!(head.map(|head| head.size), size, "{at_most}");
    }
}

#[tokio::test]
async fn a_flipped_bit_in_the_index_is_not_served() {
    let (_dir, store) = empty().await;
    let log = three_steps(&store).await;
    sqlx::query("UPDATE line SET line = replace(line, 'form', 'from')")
        .execute(&mut database(&store).await)
        .await
        .unwrap();
    let err = store.index_file(log, &brick("form"), 6).await.unwrap_err();
    assert!(matches!(err, ReadError::Damaged { what: "an index file" }), "{err}");
    assert!(store.index_file(log, &brick("case"), 6).await.is_ok());
}

#[tokio::test]
async fn bricks_are_found_by_the_beginning_of_either_name_and_only_when_served() {
    let (_dir, store) = empty().await;
    for (publisher, names) in [
        ("case.example", ["form", "letter"]),
        ("north.gov.uk", ["case", "case-file"]),
        ("south.gov.uk", ["case", "zebra"]),
    ] {
        let log = hosted_log(&store, publisher).await.id;
        for (number, name) in (0..).zip(names) {
            let mut step = step(log, number, number + 1);
            step.lines.push(line(name, "1.0.0", number, name));
            store.commit(&[step]).await.unwrap();
        }
        store.set_served(log, if publisher == "south.gov.uk" { 1 } else { 2 }).await.unwrap();
    }
    let search = async |prefix: &str, after: Option<&str>, limit| {
        let after = after.map(|name| FullName::parse(name).unwrap());
        let rows = store.bricks(prefix, after.as_ref(), limit).await.unwrap();
        rows.into_iter().map(|row| row.name.to_string()).collect::<Vec<_>>()
    };
    let all = [
        "case.example/form",
        "case.example/letter",
        "north.gov.uk/case",
        "north.gov.uk/case-file",
        "south.gov.uk/case",
    ];
    assert_eq!(search("", None, 100).await, all, "`zebra` is stored but not served");
    assert_eq!(search("case", None, 100).await, all, "publishers and bricks");
    assert_eq!(search("", None, 2).await, all[..2]);
    assert_eq!(search("", Some(all[1]), 2).await, all[2..4]);
    assert_eq!(search("", Some(all[4]), 2).await, [""; 0]);
    assert_eq!(search("case-", None, 100).await, [all[3]]);
    assert_eq!(search("north.gov.uk/", None, 100).await, all[2..4]);
    assert_eq!(search("north.gov.uk/case-", None, 100).await, [all[3]]);
    assert_eq!(search("north.gov.uk/", Some(all[2]), 100).await, [all[3]]);
    for none in ["zebra", "north/", "%", "_ase", "Case", "\u{10ffff}"] {
        assert_eq!(search(none, None, 100).await, [""; 0], "{none}");
    }
    let row = store.bricks("north", None, 1).await.unwrap().remove(0);
    assert_eq!(row.at_size, 2);
    assert_eq!(store.log(&origin("north.gov.uk/log")).await.unwrap().unwrap().id, row.log);
    assert_eq!(row.name.publisher, PublisherName::parse("north.gov.uk").unwrap());
}

/// One thing that a random history does.
#[derive(Debug, Clone)]
enum Act {
    /// A step of some leaves, that releases the next version of some bricks and rewrites the line of older releases.
    Step { leaves: u64, releases: Vec<usize>, rewrites: Vec<(usize, prop::sample::Index)> },
    /// Serve one of the signed sizes, if it is not smaller.
    Serve(prop::sample::Index),
}

const NAMES: [&str; 3] = ["case", "form", "letter"];

fn act() -> impl Strategy<Value = Act> {
    let releases = prop::sample::subsequence(vec![0, 1, 2], 0..=3);
    let rewrites = prop::collection::vec((0..3_usize, any::<prop::sample::Index>()), 0..3);
    prop_oneof![
        4 => (3..6_u64, releases, rewrites)
            .prop_map(|(leaves, releases, rewrites)| Act::Step { leaves, releases, rewrites }),
        1 => any::<prop::sample::Index>().prop_map(Act::Serve),
    ]
}

/// What the index is at a size: of each brick its lines by release entry.
type Model = BTreeMap<BrickName, BTreeMap<u64, String>>;

fn content(lines: &BTreeMap<u64, String>) -> String {
    lines.values().map(|line| format!("{line}\n")).collect()
}

async fn run_history(acts: &[Act]) {
    let (_dir, store) = empty().await;
    let log = hosted_log(&store, "a.example").await.id;
    let mut model = Model::new();
    let mut states = BTreeMap::from([(0_u64, model.clone())]);
    let (mut size, mut served) = (0, 0);
    for act in acts {
        match act {
            Act::Step { leaves, releases, rewrites } => {
                let mut step = step(log, size, size + leaves);
                for (at, entry) in releases.iter().zip(size..) {
                    let lines = model.entry(brick(NAMES[*at])).or_default();
                    lines.insert(entry, format!("{entry} new"));
                    step.lines.push(line(NAMES[*at], &format!("1.0.{entry}"), entry, &lines[&entry]));
                }
                for (at, which) in rewrites {
                    let Some(lines) = model.get_mut(&brick(NAMES[*at])) else { continue };
                    let entry = *which.get(&lines.keys().copied().collect::<Vec<_>>());
                    let text = lines.get_mut(&entry).unwrap();
                    *text = format!("{entry} as of {}", step.new_size);
                    step.lines.push(line(NAMES[*at], &format!("1.0.{entry}"), entry, text));
                }
                for row in &step.lines {
                    step.files.retain(|file| file.brick != row.brick);
                    step.files.push(file(row.brick.as_str(), &content(&model[&row.brick])));
                }
                step.nodes.push(node(16, 0, Digest::of(&step.new_size.to_be_bytes())));
                size = step.new_size;
                store.commit(&[step]).await.unwrap();
                states.insert(size, model.clone());
            }
            Act::Serve(which) => {
                let wanted = *which.get(&states.keys().copied().collect::<Vec<_>>());
                if wanted >= served && wanted > 0 {
                    store.set_served(log, wanted).await.unwrap();
                    served = wanted;
                }
            }
        }
        // While the history is made, the two sizes that matter most; at its end, all.
        for at_size in [served, size] {
            compare(&store, log, served, at_size, &states).await;
        }
    }
    for at_size in 0..=size {
        compare(&store, log, served, at_size, &states).await;
    }
}

async fn compare(store: &Store, log: LogId, served: u64, at_size: u64, states: &BTreeMap<u64, Model>) {
    let (since, expected) = states.range(..=at_size).next_back().unwrap();
    for name in NAMES.map(brick) {
        let found = store.index_file(log, &name, at_size).await;
        let found = found.map(|file| file.map(|(bytes, _)| String::from_utf8(bytes).unwrap()));
        if at_size < served {
            // What is there still is what was there then.
            match found {
                Ok(found) => assert_eq!(found, expected.get(&name).map(content), "{name} as of {at_size}"),
                Err(err) => assert!(matches!(err, ReadError::NotKept { .. }), "{err}"),
            }
            continue;
        }
        assert_eq!(found.unwrap(), expected.get(&name).map(content), "{name} as of {at_size}");
        let lines = store.lines(log, &name, at_size).await.unwrap();
        let entries = lines.iter().map(|row| row.entry).collect::<Vec<_>>();
        let expected = expected.get(&name).into_iter().flat_map(|lines| lines.keys().copied());
        assert_eq!(entries, expected.collect::<Vec<_>>());
    }
    if at_size >= served && *since > 0 {
        let top = store.bucket_node(log, 16, 0, at_size).await.unwrap();
        assert_eq!(top, Some(Digest::of(&since.to_be_bytes())));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn at_every_size_the_index_is_what_a_naive_model_says(acts in prop::collection::vec(act(), 1..9)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run_history(&acts));
    }
}
