//! Do two stores hold the same of a log? What one derived as the log grew, beside what another made of the same leaves.

use std::path::Path;

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use crate::fault::{Fault, ReadError, to_sql};
use crate::log::LogId;
use crate::open::Store;

/// Differences of one table that one call returns, at most.
pub const MAX_DIFFERENCES: u32 = 256;

/// A table whose rows follow from the leaves of logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Derived {
    /// Tiles.
    Tile,
    /// Digests of the leaves' payloads.
    Payload,
    /// Bricks.
    Brick,
    /// Which entry won a version.
    Release,
    /// Index lines.
    Line,
    /// Index files.
    IndexFile,
    /// Nodes of the bucket tree.
    BucketNode,
    /// Services.
    Service,
    /// Which entries name which blobs.
    BlobUse,
}

impl Derived {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Tile,
        Self::Payload,
        Self::Brick,
        Self::Release,
        Self::Line,
        Self::IndexFile,
        Self::BucketNode,
        Self::Service,
        Self::BlobUse,
    ];

    /// Table, columns that tell rows apart, columns that follow.
    fn columns(self) -> (&'static str, &'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Tile => ("tile", &["level", "idx"], &["hashes"]),
            Self::Payload => ("leaf", &["entry"], &["payload"]),
            Self::Brick => ("brick", &["brick"], &["since"]),
            Self::Release => ("release", &["brick", "version"], &["entry"]),
            Self::Line => ("line", &["brick", "entry", "since"], &["version", "line"]),
            Self::IndexFile => ("index_file", &["brick", "since"], &["bucket", "sha256", "bytes"]),
            Self::BucketNode => ("bucket_node", &["part", "level", "idx", "since"], &["hash"]),
            Self::Service => ("service", &["service", "since"], &["entry", "json"]),
            Self::BlobUse => ("blob_use", &["sha256", "entry", "bytes"], &[]),
        }
    }

    /// What a row of it is called in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tile => "tile",
            Self::Payload => "payload digest of leaf",
            Self::Brick => "brick",
            Self::Release => "release",
            Self::Line => "index line",
            Self::IndexFile => "index file",
            Self::BucketNode => "bucket-tree node",
            Self::Service => "service",
            Self::BlobUse => "note of a blob",
        }
    }
}

/// A row that is not in both stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its key: the columns after the log, with `/` between them.
    pub key: String,
    /// What is wrong with it here.
    pub kind: DifferenceKind,
}

/// How a row differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DifferenceKind {
    /// The other store has it, this one does not.
    Missing,
    /// This one has it with other values, or the other has none of that key.
    Wrong,
}

/// The tables whose rows are versioned by the size of the log, and what tells their rows apart beside it.
const VERSIONED: [(&str, &[&str]); 4] = [
    ("line", &["brick", "entry"]),
    ("index_file", &["brick"]),
    ("bucket_node", &["part", "level", "idx"]),
    ("service", &["service"]),
];

/// `a.x = b.x` for every column, each with `AND` before it.
fn same(columns: &[&str], operator: &str) -> String {
    columns.iter().map(|column| format!(" AND b.{column} {operator} a.{column}")).collect()
}

/// A key as text; digests in hexadecimal.
fn shown(columns: &[&str]) -> String {
    let texts: Vec<String> = columns
        .iter()
        .map(|column| format!(
                "CASE typeof(a.{column}) WHEN 'blob' THEN lower(hex(a.{column})) ELSE cast(a.{column} AS TEXT) END"
            ))
        .collect();
    texts.join(" || '/' || ")
}

impl Store {
    /// The rows of one table about `log` that `other` does not have, or has otherwise, of its `other_log`.
    ///
    /// Rows are compared where they lie, neither table is read into memory.
    ///
    /// Returns at most [`MAX_DIFFERENCES`] of each kind, by key.
    ///
    /// # Errors
    /// [`ReadError::Fault`].
    pub async fn differences(
        &self,
        table: Derived,
        log: LogId,
        other: &Store,
        other_log: LogId,
    ) -> Result<Vec<Difference>, ReadError> {
        let (name, keys, values) = table.columns();
        let (same_keys, same_values, key) = (same(keys, "="), same(values, "IS"), shown(keys));
        let statements = [
            (
                DifferenceKind::Wrong,
                format!(
                    "SELECT {key} FROM main.{name} AS a WHERE a.log = ?1 AND NOT EXISTS (
                       SELECT 1 FROM other.{name} AS b WHERE b.log = ?2{same_keys}{same_values})
                     ORDER BY 1 LIMIT ?3"
                ),
            ),
            (
                DifferenceKind::Missing,
                format!(
                    "SELECT {key} FROM other.{name} AS a WHERE a.log = ?2 AND NOT EXISTS (
                       SELECT 1 FROM main.{name} AS b WHERE b.log = ?1{same_keys})
                     ORDER BY 1 LIMIT ?3"
                ),
            ),
        ];
        let mut both = self.inner.connect.clone().pragma("query_only", "ON").connect().await?;
        sqlx::query("ATTACH DATABASE ? AS other").bind(database(other.dir())).execute(&mut both).await?;
        let mut differences = Vec::new();
        for (kind, statement) in statements {
            let found = sqlx::query_scalar::<_, String>(AssertSqlSafe(statement))
                .bind(log.0)
                .bind(other_log.0)
                .bind(MAX_DIFFERENCES)
                .fetch_all(&mut both)
                .await?;
            differences.extend(found.into_iter().map(|key| Difference { key, kind }));
        }
        both.close().await?;
        Ok(differences)
    }

    /// Makes the steps from `after` to `size` look like one: of each row the last state counts, from `size` on.
    ///
    /// For a store that folds a long way in parts, as another went it at once.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn merge_steps(&self, log: LogId, after: u64, size: u64) -> Result<(), Fault> {
        let merge = async {
            let mut writing = self.writing().await?;
            let mut tx = writing.begin().await?;
            let mut statements = Vec::new();
            for (table, keys) in VERSIONED {
                statements.push(format!(
                    "DELETE FROM {table} AS a WHERE log = ?1 AND since > ?2 AND since < ?3 AND EXISTS (
                       SELECT 1 FROM {table} AS b WHERE b.log = a.log{} AND b.since > a.since AND b.since <= ?3)",
                    same(keys, "=")
                ));
                statements.push(format!(
                    "UPDATE {table} SET since = ?3 WHERE log = ?1 AND since > ?2 AND since < ?3"
                ));
            }
            statements
                .push("UPDATE brick SET since = ?3 WHERE log = ?1 AND since > ?2 AND since < ?3".to_owned());
            for statement in statements {
                sqlx::query(AssertSqlSafe(statement))
                    .bind(log.0)
                    .bind(to_sql(after))
                    .bind(to_sql(size))
                    .execute(&mut *tx)
                    .await?;
            }
            tx.commit().await?;
            writing.done();
            Ok(())
        };
        self.watch(merge.await)
    }
}

fn database(dir: &Path) -> String {
    dir.join("registry.sqlite3").to_string_lossy().into_owned()
}
