//! What is there? Bricks, publishers, registries and services, by the page and in a stable order.

use std::collections::BTreeMap;
use std::ops::Bound;

use axum::Json;
use axum::extract::{Query, State};
use brick_schemas::api::{
    BrickSummary, CatalogueStatus, MAX_CURSOR_BYTES, MAX_PAGE, ProblemType, PublisherSummary, PublishersPage,
    RegistrySummary, SearchResults, ServiceSummary, ServicesPage,
};
use brick_schemas::index_line::{IndexLine, parse_index_file};
use brick_schemas::predicate::service::Part;
use brick_schemas::predicate::{ReleaseStatus, Service};
use brick_schemas::{FullName, PublisherName};
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
        let lines = parse_index_file(&bytes)
            .map_err(|_| Rejection::new(ProblemType::Internal, "a stored index file is damaged"))?;
        let Some(line) = newest(&lines) else { continue };
        bricks.push(BrickSummary {
            name: line.name.clone(),
            version: line.vers.clone(),
            kind: line.kind,
            maturity: line.maturity,
            license: line.license.clone(),
            status: line.status,
            release_count: lines.len() as u64,
            time: line.time,
            text: registry.texts(&line.cksum).await.as_ref().clone(),
        });
    }
    Ok(SearchResults { bricks, next })
}

/// The newest release that may be newly used, else the newest; a pre-release only where there is nothing else.
fn newest(lines: &[IndexLine]) -> Option<&IndexLine> {
    let is_usable =
        |line: &IndexLine| matches!(line.status, ReleaseStatus::Active | ReleaseStatus::Deprecated);
    lines.iter().max_by(|a, b| {
        let rank = |line: &IndexLine| (is_usable(line), !line.vers.is_prerelease());
        rank(a).cmp(&rank(b)).then_with(|| a.vers.cmp(&b.vers))
    })
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
