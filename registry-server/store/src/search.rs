//! Which bricks are there, by the beginning of a name?

use brick_schemas::{BrickName, FullName, PublisherName};
use rusqlite::{Row, params};

use crate::fault::{ReadError, from_sql, parsed_from_sql};
use crate::log::LogId;
use crate::open::Store;

/// Bricks that one search returns, at most.
pub const MAX_BRICKS_PER_READ: u32 = 1_000;
/// Sorts after every name: names are ASCII.
const AFTER_ALL_NAMES: char = '\u{10ffff}';

/// One brick that a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrickRow {
    /// Its full name.
    pub name: FullName,
    /// The log that releases it.
    pub log: LogId,
    /// The size that this log is served at, its whole size while it never was: what to read its index file as of.
    pub at_size: u64,
}

/// Parameters: prefix, first text after all that begin with it, publisher and brick to go on after, limit.
/// Two ranges, each found by its own index; a brick in both comes once.
pub(crate) const BRICKS: &str = "
    SELECT l.publisher, b.brick, b.log, CASE l.served_size WHEN 0 THEN l.size ELSE l.served_size END
      FROM log AS l JOIN brick AS b ON b.log = l.id
      WHERE l.publisher >= ?1 AND l.publisher < ?2
        AND b.since <= CASE l.served_size WHEN 0 THEN l.size ELSE l.served_size END
        AND (l.publisher, b.brick) > (?3, ?4)
    UNION
    SELECT l.publisher, b.brick, b.log, CASE l.served_size WHEN 0 THEN l.size ELSE l.served_size END
      FROM brick AS b JOIN log AS l ON l.id = b.log
      WHERE b.brick >= ?1 AND b.brick < ?2 AND l.publisher IS NOT NULL
        AND b.since <= CASE l.served_size WHEN 0 THEN l.size ELSE l.served_size END
        AND (l.publisher, b.brick) > (?3, ?4)
    ORDER BY 1, 2, 3 LIMIT ?5";

/// Parameters: publisher, prefix of the brick, first text after it, publisher and brick to go on after, limit.
pub(crate) const BRICKS_OF_PUBLISHER: &str = "
    SELECT l.publisher, b.brick, b.log, CASE l.served_size WHEN 0 THEN l.size ELSE l.served_size END
      FROM log AS l JOIN brick AS b ON b.log = l.id
      WHERE l.publisher = ?1 AND b.brick >= ?2 AND b.brick < ?3
        AND b.since <= CASE l.served_size WHEN 0 THEN l.size ELSE l.served_size END
        AND (l.publisher, b.brick) > (?4, ?5)
    ORDER BY 1, 2, 3 LIMIT ?6";

impl Store {
    /// Bricks of all logs, each at the size its log is served at (at its whole size while it never was), by full name:
    /// those whose publisher or whose own name begins with `prefix`; with a `/` in it, those whose full name does.
    ///
    /// - `after`: the last name of the page before.
    /// - `limit`: at most [`MAX_BRICKS_PER_READ`].
    ///
    /// # Errors
    /// [`ReadError::Fault`] or [`ReadError::Damaged`].
    pub async fn bricks(
        &self,
        prefix: &str,
        after: Option<&FullName>,
        limit: u32,
    ) -> Result<Vec<BrickRow>, ReadError> {
        let upper = |text: &str| format!("{text}{AFTER_ALL_NAMES}");
        let (after_publisher, after_brick) =
            after.map_or(("", ""), |name| (name.publisher.as_str(), name.brick.as_str()));
        let limit = limit.min(MAX_BRICKS_PER_READ);
        let row = |row: &Row<'_>| {
            let (publisher, brick) = (row.get::<_, String>(0)?, row.get::<_, String>(1)?);
            Ok((publisher, brick, row.get::<_, i64>(2)?, row.get::<_, i64>(3)?))
        };
        let rows = self.read_here(|read| {
            let rows = match prefix.split_once('/') {
                Some((publisher, brick)) => {
                    let asked = params![publisher, brick, upper(brick), after_publisher, after_brick, limit];
                    read.prepare_cached(BRICKS_OF_PUBLISHER)?
                        .query_map(asked, row)?
                        .collect::<Result<Vec<_>, _>>()?
                }
                None => {
                    let asked = params![prefix, upper(prefix), after_publisher, after_brick, limit];
                    read.prepare_cached(BRICKS)?.query_map(asked, row)?.collect::<Result<Vec<_>, _>>()?
                }
            };
            Ok(rows)
        })?;
        rows.into_iter()
            .map(|(publisher, brick, log, at_size)| {
                let publisher = parsed_from_sql::<PublisherName>(&publisher, "a publisher's name")?;
                let brick = parsed_from_sql::<BrickName>(&brick, "a brick's name")?;
                Ok(BrickRow {
                    name: FullName { publisher, brick },
                    log: LogId(log),
                    at_size: from_sql(at_size, "a log's served size")?,
                })
            })
            .collect()
    }
}
