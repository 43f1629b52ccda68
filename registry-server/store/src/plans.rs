//! Does every statement find its rows by an index, so that its cost stays flat as the commons grows?

use sqlx::Row as _;

use crate::{Store, StoreOptions, asking, buckets, catalogue, missing, search, served, services, tiles};

/// The steps of SQLite's plan for `statement`.
async fn plan(store: &Store, statement: &'static str) -> Vec<String> {
    let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
    let rows = sqlx::query(explain).fetch_all(&store.readers()).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>("detail")).collect()
}

#[tokio::test]
async fn every_statement_searches_and_none_walks_a_table_or_a_whole_log() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).await.unwrap();
    let reads = [
        catalogue::FILE,
        catalogue::LINES,
        catalogue::RELEASE,
        catalogue::FILES_CHANGED,
        catalogue::LINES_CHANGED,
        buckets::BUCKET,
        buckets::NODE,
        services::SERVICE,
        services::SERVICES_CHANGED,
        search::BRICKS,
        search::BRICKS_OF_PUBLISHER,
        missing::MISSING,
        missing::USES,
        asking::STANDING,
        tiles::KNOWN_PAYLOADS,
    ];
    for statement in reads.into_iter().chain([served::PART]).chain(served::PRUNE) {
        let steps = plan(&store, statement).await;
        for step in &steps {
            // A statement's own lists are short: places asked for, or above the buckets of a part.
            let is_own_list = ["SCAN asked", "SCAN portion", "SCAN place"].contains(&step.as_str());
            let walks_a_table = step.starts_with("SCAN ") && !step.contains("CONSTANT ROW") && !is_own_list;
            // The one table that a log's number alone leads into is that of its brick names, when a publisher's are listed.
            let walks_a_log = step.ends_with("(log=?)") && !step.starts_with("SEARCH b ");
            // All that came up to a size is the whole log again; only what came after another size is little.
            let walks_a_history =
                step.contains("(log=? AND since<?)") || step.contains("(log=? AND since=?)");
            assert!(!walks_a_table && !walks_a_log && !walks_a_history, "{statement}\n{steps:#?}");
        }
    }
}
