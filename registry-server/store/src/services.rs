//! Which services does a public body declare, as of a size of its log?

use brick_schemas::BrickName;

use crate::fault::{ReadError, from_sql, parsed_from_sql, to_sql};
use crate::log::LogId;
use crate::open::Store;
use crate::step::ServiceRow;

/// A service as of a size of its publisher's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceState {
    /// The newest entry about it.
    pub row: ServiceRow,
    /// The log size from which that entry counts.
    pub since: u64,
}

/// Parameters: log, service, size.
pub(crate) const SERVICE: &str = "
    SELECT service, since, entry, json FROM service WHERE log = ? AND service = ? AND since <= ?
    ORDER BY since DESC LIMIT 1";

/// Parameters: log, size after which, size as of which. Sorted by the caller, see
/// [`FILES_CHANGED`](crate::catalogue::FILES_CHANGED).
pub(crate) const SERVICES_CHANGED: &str = "
    SELECT service, since, entry, json FROM service AS a
    WHERE log = ?1 AND since > ?2 AND since <= ?3 AND NOT EXISTS (
      SELECT 1 FROM service AS b WHERE b.log = a.log AND b.service = a.service
        AND b.since > a.since AND b.since <= ?3)";

impl Store {
    /// The current state of a service.
    ///
    /// # Errors
    /// [`ReadError::NotKept`].
    pub async fn service(
        &self,
        log: LogId,
        service: &BrickName,
        at_size: u64,
    ) -> Result<Option<ServiceState>, ReadError> {
        let mut read = self.reading_at(log, at_size).await?;
        let row = sqlx::query_as::<_, (String, i64, i64, String)>(SERVICE)
            .bind(log.0)
            .bind(service.as_str())
            .bind(to_sql(at_size))
            .fetch_optional(&mut *read)
            .await?;
        read.commit().await?;
        row.map(service_from_sql).transpose()
    }

    /// The current state of all services of a log that changed after `after_size`, by name; all when it is 0.
    ///
    /// # Errors
    /// [`ReadError::NotKept`].
    pub async fn services(
        &self,
        log: LogId,
        after_size: u64,
        at_size: u64,
    ) -> Result<Vec<ServiceState>, ReadError> {
        let mut read = self.reading_at(log, at_size).await?;
        let rows = sqlx::query_as::<_, (String, i64, i64, String)>(SERVICES_CHANGED)
            .bind(log.0)
            .bind(to_sql(after_size))
            .bind(to_sql(at_size))
            .fetch_all(&mut *read)
            .await?;
        read.commit().await?;
        let mut services = rows.into_iter().map(service_from_sql).collect::<Result<Vec<_>, _>>()?;
        services.sort_by(|a, b| a.row.service.cmp(&b.row.service));
        Ok(services)
    }
}

fn service_from_sql(row: (String, i64, i64, String)) -> Result<ServiceState, ReadError> {
    let (service, since, entry, json) = row;
    Ok(ServiceState {
        row: ServiceRow {
            service: parsed_from_sql(&service, "a service's name")?,
            entry: from_sql(entry, "a service's entry")?,
            json,
        },
        since: from_sql(since, "a service's size")?,
    })
}
