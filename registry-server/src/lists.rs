//! What is there? Bricks, publishers, registries and services, by the page and in a stable order.

use std::collections::BTreeMap;
use std::ops::Bound;

use axum::Json;
use axum::extract::{Query, State};
use brick_schemas::api::{
    BrickSummary, CatalogueStatus, MAX_CURSOR_BYTES, MAX_PAGE, ProblemType, PublisherSummary, PublishersPage,
    RegistrySummary, SearchResults, ServiceSummary, ServicesPage,
};
use brick_schemas::index_line::{IndexFileError, IndexLine, parse_index_file};
use brick_schemas::predicate::service::Part;
use brick_schemas::predicate::{ReleaseStatus, Service};
use brick_schemas::{FullName, PublisherName, Version};
use serde::Deserialize;

use crate::problem::Rejection;
use crate::reads::{Shared, as_shown};
use crate::registry::Registry;

/// A page of a list: what to begin after, and how many.
#[derive(Debug, Default, Deserialize)]
pub struct Page {
    /// What names begin with, for searches.
    #[serde(default)]
    pub q: String,
    /// How many, at most [`MAX_PAGE`].
    pub limit: Option<usize>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

impl Page {
    fn limit(&self) -> usize {
        self.limit.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE)
    }

    /// The cursor as a name of the list's.
    fn after<T: std::str::FromStr>(&self) -> Result<Option<T>, Rejection> {
        let strange = || Rejection::new(ProblemType::Malformed, "the cursor is not one of this list's");
        if self.q.len() > MAX_CURSOR_BYTES {
            return Err(Rejection::new(ProblemType::Malformed, "no name begins with so long a text"));
        }
        match &self.cursor {
            Some(cursor) if cursor.len() > MAX_CURSOR_BYTES => Err(strange()),
            Some(cursor) => cursor.parse().map(Some).map_err(|_| strange()),
            None => Ok(None),
        }
    }
}

/// `GET /api/v1/search` and `/api/v1/bricks`: bricks whose publisher, name or full name begins with `q`.
///
/// # Errors
/// [`Rejection`].
pub async fn bricks(
    State(registry): Shared,
    Query(page): Query<Page>,
) -> Result<Json<SearchResults>, Rejection> {
    as_shown(|| brick_page(&registry, &page)).await.map(Json)
}

async fn brick_page(registry: &Registry, page: &Page) -> Result<SearchResults, Rejection> {
    let after: Option<FullName> = page.after()?;
    let limit = page.limit();
    let rows =
        registry.store.bricks(&page.q, after.as_ref(), u32::try_from(limit).unwrap_or(u32::MAX)).await?;
    let next = (rows.len() == limit).then(|| rows.last().map(|row| row.name.to_string())).flatten();
    let mut bricks = Vec::with_capacity(rows.len());
    for row in rows {
        let Some((bytes, _)) = registry.store.index_file(row.log, &row.name.brick, row.at_size).await? else {
            continue;
        };
        let found = newest(&bytes)
            .map_err(|_| Rejection::new(ProblemType::Internal, "a stored index file is damaged"))?;
        let Some((line, release_count)) = found else { continue };
        bricks.push(BrickSummary {
            name: line.name.clone(),
            version: line.vers.clone(),
            kind: line.kind,
            maturity: line.maturity,
            license: line.license.clone(),
            status: line.status,
            release_count,
            time: line.time,
            text: registry.texts(&line.cksum).await.as_ref().clone(),
        });
    }
    Ok(SearchResults { bricks, next })
}

/// The newest release that may be newly used, else the newest; a pre-release only where there is nothing else. And how many
/// there are. Of the others no more is read than tells that they are not it.
fn newest(file: &[u8]) -> Result<Option<(IndexLine, u64)>, IndexFileError> {
    #[derive(Deserialize)]
    struct Sketch {
        vers: Version,
        status: ReleaseStatus,
    }
    let (mut best, mut count): (Option<(_, &[u8])>, _) = (None, 0);
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        let sketch: Sketch = serde_json::from_slice(line)
            .map_err(|err| IndexFileError::Line { line: count + 1, err: err.into() })?;
        count += 1;
        let is_usable = matches!(sketch.status, ReleaseStatus::Active | ReleaseStatus::Deprecated);
        let rank = (is_usable, !sketch.vers.is_prerelease(), sketch.vers);
        if best.as_ref().is_none_or(|(best, _)| *best <= rank) {
            best = Some((rank, line));
        }
    }
    let Some((_, line)) = best else { return Ok(None) };
    Ok(parse_index_file(line)?.pop().map(|line| (line, count as u64)))
}

/// `GET /api/v1/publishers`
///
/// # Errors
/// [`Rejection`].
pub async fn publishers(
    State(registry): Shared,
    Query(page): Query<Page>,
) -> Result<Json<PublishersPage>, Rejection> {
    as_shown(|| publisher_page(&registry, &page)).await.map(Json)
}

async fn publisher_page(registry: &Registry, page: &Page) -> Result<PublishersPage, Rejection> {
    let after: Option<PublisherName> = page.after()?;
    let state = registry.commons();
    let limit = page.limit();
    let mut records = state
        .commons
        .iter()
        .flat_map(|commons| commons.publishers())
        .filter(|record| after.as_ref().is_none_or(|after| record.id > *after));
    let mut publishers = Vec::new();
    for record in records.by_ref().take(limit) {
        let head = registry.head(&record.origin);
        let counts = match &head {
            Some(head) => registry.counts(head).await?,
            None => Default::default(),
        };
        publishers.push(PublisherSummary {
            id: record.id.clone(),
            kind: record.kind,
            home: record.home.clone(),
            origin: record.origin.clone(),
            status: record.status,
            entry_count: head.map_or(0, |head| head.shown_size),
            brick_count: counts.bricks,
            service_count: counts.services,
        });
    }
    let next = match records.next() {
        Some(_) => publishers.last().map(|publisher| publisher.id.to_string()),
        None => None,
    };
    Ok(PublishersPage { publishers, next })
}

/// `GET /api/v1/registries`
pub async fn registries(State(registry): Shared) -> Json<Vec<RegistrySummary>> {
    let records = registry.registry_records();
    Json(
        records
            .into_iter()
            .map(|record| RegistrySummary {
                id: record.id,
                operator: record.operator,
                urls: record.urls,
                status: record.status,
            })
            .collect(),
    )
}

/// `GET /api/v1/services`: services whose full name begins with `q`.
///
/// # Errors
/// [`Rejection`].
pub async fn services(
    State(registry): Shared,
    Query(page): Query<Page>,
) -> Result<Json<ServicesPage>, Rejection> {
    as_shown(|| service_page(&registry, &page)).await.map(Json)
}

async fn service_page(registry: &Registry, page: &Page) -> Result<ServicesPage, Rejection> {
    let after: Option<FullName> = page.after()?;
    let limit = page.limit();
    // Logs by publisher, and services within a log by name, are in the list's order already: only the logs that the
    // page reaches are read.
    let logs: BTreeMap<PublisherName, _> =
        registry.heads().into_iter().filter_map(|(_, head)| Some((head.publisher.clone()?, head))).collect();
    let from = match &after {
        Some(after) => Bound::Included(after.publisher.clone()),
        None => Bound::Unbounded,
    };
    let (q_publisher, _) = page.q.split_once('/').unwrap_or((&page.q, ""));
    let mut services: Vec<ServiceSummary> = Vec::new();
    for (publisher, head) in logs.range((from, Bound::Unbounded)) {
        if !publisher.as_str().starts_with(q_publisher) {
            continue;
        }
        for state in registry.store.services(head.id, 0, head.shown_size).await? {
            let service: Service = serde_json::from_str(&state.row.json)
                .map_err(|_| Rejection::new(ProblemType::Internal, "a stored service is damaged"))?;
            if after.as_ref().is_none_or(|after| service.id > *after)
                && service.id.to_string().starts_with(&page.q)
            {
                services.push(summary(&service, state.row.entry));
            }
        }
        services.sort_by(|a, b| a.id.cmp(&b.id));
        if services.len() > limit {
            break;
        }
    }
    let more = services.len() > limit;
    services.truncate(limit);
    let next = more.then(|| services.last().map(|service| service.id.to_string())).flatten();
    Ok(ServicesPage { services, next })
}

fn summary(service: &Service, entry: u64) -> ServiceSummary {
    let local = service.parts.iter().filter(|part| matches!(part, Part::Local { .. })).count() as u64;
    ServiceSummary {
        id: service.id.clone(),
        function: service.function.clone(),
        body: service.body.clone(),
        status: service.status,
        part_count: service.parts.len() as u64,
        local_part_count: local,
        entry,
    }
}

/// `GET /api/v1/status`: what this registry holds, in numbers.
///
/// # Errors
/// [`Rejection`].
pub async fn status(State(registry): Shared) -> Result<Json<CatalogueStatus>, Rejection> {
    as_shown(|| all_counts(&registry)).await.map(Json)
}

async fn all_counts(registry: &Registry) -> Result<CatalogueStatus, Rejection> {
    let state = registry.commons();
    let mut status = CatalogueStatus {
        publisher_count: state.commons.iter().flat_map(|commons| commons.publishers()).count() as u64,
        brick_count: 0,
        release_count: 0,
        service_count: 0,
        entry_count: 0,
    };
    for (_, head) in registry.heads() {
        status.entry_count += head.shown_size;
        if head.publisher.is_some() {
            let counts = registry.counts(&head).await?;
            status.brick_count += counts.bricks;
            status.release_count += counts.releases;
            status.service_count += counts.services;
        }
    }
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_release_stands_for_a_brick() {
        let line = |vers: &str, status: &str| {
            format!(
                "{{\"v\":1,\"name\":\"a.example/b\",\"vers\":\"{vers}\",\"kind\":\"process\",\"maturity\":\"live\",\
                 \"license\":\"EUPL-1.2\",\"deps\":[],\"features\":{{}},\"cksum\":\"{}\",\"contents\":\"h1:{}=\",\"size\":1,\
                 \"provides\":{{}},\"needs\":{{}},\"status\":\"{status}\",\"entry\":1,\"time\":1}}\n",
                "0".repeat(64),
                "A".repeat(43)
            )
        };
        for (releases, expected) in [
            (&[("1.0.0", "active"), ("0.9.0", "active")][..], "1.0.0"),
            (&[("1.0.0", "active"), ("2.0.0", "yanked")], "1.0.0"),
            (&[("1.0.0", "active"), ("2.0.0", "deprecated")], "2.0.0"),
            (&[("1.0.0", "active"), ("2.0.0-rc.1", "active")], "1.0.0"),
            (&[("2.0.0-rc.1", "active"), ("1.0.0", "yanked")], "2.0.0-rc.1"),
            (&[("1.0.0", "yanked"), ("2.0.0", "yanked")], "2.0.0"),
        ] {
            let file: String = releases.iter().map(|(vers, status)| line(vers, status)).collect();
            let (newest, count) = newest(file.as_bytes()).unwrap().unwrap();
            assert_eq!((newest.vers.to_string().as_str(), count), (expected, releases.len() as u64));
        }
        assert!(newest(b"").unwrap().is_none());
        let broken = format!("{}{{\n", line("1.0.0", "active"));
        assert!(newest(broken.as_bytes()).unwrap_err().to_string().contains("line 2"));
    }
}
