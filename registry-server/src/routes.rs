//! Which addresses are there? One table, from which the router and `/openapi.json` are both made.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::MethodRouter;
use brick_schemas::api::{
    CatalogueStatus, EntryReceipt, HeadsList, Health, ProblemType, PublishersPage, RegistrySummary,
    SearchResults, ServicesPage, SyncStatus, WellKnown,
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use tower_http::compression::CompressionLayer;

use crate::registry::Registry;
use crate::{api, front, git_http, heads_list, health, lists, metrics, openapi, plain, reads, sync_status};

/// Bytes of a request to publish beside its archive: the entry, other blobs, and the multipart form around them.
const BESIDE_ARCHIVE_BYTES: u64 = 4 * 1024 * 1024;

/// One address and what can be done with it.
pub struct Route {
    /// As the router writes it: `{name}` is one segment, `{*name}` the rest with its slashes.
    pub path: &'static str,
    /// What can be done, each with a method of its own. `HEAD` goes with `GET` and is not listed.
    pub operations: Vec<Operation>,
}

/// One method of one address.
pub struct Operation {
    /// `GET` or `POST`.
    pub method: Method,
    /// The operation's name for programs that are made from the document.
    pub id: &'static str,
    /// What it is for, in a line.
    pub summary: &'static str,
    /// Parameters after `?`.
    pub query: &'static [&'static str],
    /// What is sent.
    pub request: Option<Content>,
    /// What is answered when all is well.
    pub answer: Content,
    /// The refusals that are worth telling apart.
    pub problems: &'static [ProblemType],
    handler: MethodRouter<Arc<Registry>>,
}

/// What a body holds.
#[derive(Clone, Copy)]
pub enum Content {
    /// JSON of a type.
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// Anything else.
    Media {
        /// The media type.
        media_type: &'static str,
        /// What it holds, in words.
        about: &'static str,
    },
}

impl Content {
    /// JSON of `T`.
    pub fn json<T: JsonSchema>() -> Self {
        Self::Json(|generator| generator.subschema_for::<T>())
    }

    /// Something else, in words.
    pub const fn media(media_type: &'static str, about: &'static str) -> Self {
        Self::Media { media_type, about }
    }
}

/// A parameter of a path or query.
pub struct Parameter {
    /// As it stands in the path or query.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// What it looks like, as a regular expression of JSON Schema.
    pub pattern: &'static str,
    /// One that has the right form.
    pub example: &'static str,
}

/// Every parameter that the table names.
pub const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "publisher",
        about: "A publisher's name",
        pattern: "^[a-z0-9.-]{1,100}$",
        example: "northshire.example",
    },
    Parameter {
        name: "brick",
        about: "A brick's name without its publisher's",
        pattern: "^[a-z][a-z0-9]*(-[a-z0-9]+)*$",
        example: "case-handling",
    },
    Parameter {
        name: "version",
        about: "SemVer without build metadata",
        pattern: "^[0-9].*$",
        example: "1.4.0",
    },
    Parameter {
        name: "file",
        about: "`<brick>.jsonl`, one line a release, or `<brick>.jsonl.proof`, which shows that file to be the \
                complete current one or the brick not to exist",
        pattern: r"^[a-z][a-z0-9]*(-[a-z0-9]+)*\.jsonl(\.proof)?$",
        example: "case-handling.jsonl",
    },
    Parameter {
        name: "tile",
        about: "Rest of the path of a tile or entry bundle, slashes included (C2SP tlog-tiles): \
                `<level>/<N>[.p/<width>]` or `entries/<N>[.p/<width>]`",
        pattern: r"^([0-9]{1,2}|entries)(/x[0-9]{3})*/[0-9]{3}(\.p/[0-9]{1,3})?$",
        example: "0/000.p/1",
    },
    Parameter {
        name: "sha256",
        about: "SHA-256 of the blob, lower-case hexadecimal",
        pattern: "^[0-9a-f]{64}$",
        example: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    },
    Parameter {
        name: "log",
        about: "SHA-256 of the log's origin, lower-case hexadecimal",
        pattern: "^[0-9a-f]{64}$",
        example: "6994c64086cc171ca46c749d036fd313bac575a8b2b2a2b9874ef097775714d5",
    },
    Parameter { name: "q", about: "What names begin with", pattern: "^[a-z0-9./-]*$", example: "northshire" },
    Parameter { name: "limit", about: "Items of the page, 1 to 100", pattern: "^[0-9]{1,3}$", example: "20" },
    Parameter {
        name: "cursor",
        about: "`next` of the page before",
        pattern: "^[a-z0-9./-]{0,512}$",
        example: "northshire.example/case-handling",
    },
    Parameter {
        name: "path",
        about: "Where a log is served: `commons` or `logs/<publisher>`",
        pattern: "^(commons|logs/[a-z0-9.-]{1,100})$",
        example: "commons",
    },
    Parameter {
        name: "at_most",
        about: "Leaves under the head, at most; any number where absent",
        pattern: "^[0-9]{1,20}$",
        example: "8192",
    },
    Parameter {
        name: "service",
        about: "git's service; only `git-upload-pack` is answered",
        pattern: "^git-upload-pack$",
        example: "git-upload-pack",
    },
];

const NOTE: Content = Content::media("text/plain", "A checkpoint: a C2SP signed note with cosignatures");
const PROOF: Content = Content::media("text/plain", "A C2SP tlog-proof with the leaf in its `extra`");
const TILE: Content =
    Content::media("application/octet-stream", "Hashes end to end, or entries with lengths");
const LOG_PROBLEMS: &[ProblemType] = &[ProblemType::UnknownLog, ProblemType::NotFound];
const LIST: &[&str] = &["q", "limit", "cursor"];
const PAGES: &[&str] = &["limit", "cursor"];

/// The table.
pub fn table() -> Vec<Route> {
    use ProblemType as P;
    let git = |kind| Content::media(kind, "git's smart protocol");
    vec![
        Route::at("/").get(
            "frontPage",
            "What this is, for people",
            Content::media("text/html", "A page"),
            front::page,
        ),
        Route::at("/.well-known/brickyard.json")
            .get(
                "wellKnown",
                "Which commons, which registry, and every log it holds",
                Content::json::<WellKnown>(),
                api::well_known,
            )
            .problems(&[P::Busy]),
        Route::at("/commons/checkpoint")
            .get("commonsCheckpoint", "The commons log's newest head with a quorum", NOTE, reads::commons_checkpoint)
            .problems(LOG_PROBLEMS),
        Route::at("/commons/tile/{*tile}")
            .get("commonsTile", "A tile or entry bundle of the commons log", TILE, reads::commons_tile)
            .problems(LOG_PROBLEMS),
        Route::at("/logs/{publisher}/checkpoint")
            .get("checkpoint", "A publisher's log's newest head with a quorum", NOTE, reads::checkpoint)
            .problems(LOG_PROBLEMS),
        Route::at("/logs/{publisher}/snapshot")
            .get("snapshot", "The snapshot that is the last leaf under that head", PROOF, reads::snapshot)
            .problems(LOG_PROBLEMS),
        Route::at("/logs/{publisher}/tile/{*tile}")
            .get("tile", "A tile or entry bundle of a publisher's log", TILE, reads::tile)
            .problems(LOG_PROBLEMS),
        Route::at("/index/{publisher}/{file}")
            .get(
                "index",
                "A brick's releases, or the proof that they are all of them",
                Content::media("application/jsonl", "One JSON object a line, oldest release first"),
                reads::index,
            )
            .problems(LOG_PROBLEMS),
        Route::at("/bricks/{publisher}/{brick}/{version}/archive")
            .get(
                "archive",
                "A release's archive",
                Content::media("application/gzip", "A gzip'd ustar"),
                reads::archive,
            )
            .problems(LOG_PROBLEMS),
        Route::at("/bricks/{publisher}/{brick}/{version}/proof")
            .get("releaseProof", "The proof of a release's entry", PROOF, reads::release_proof)
            .problems(LOG_PROBLEMS),
        Route::at("/blobs/sha256/{sha256}")
            .get(
                "blob",
                "A blob by its digest; ranges are answered",
                Content::media("application/octet-stream", "The blob"),
                reads::blob,
            )
            .problems(&[P::NotFound]),
        Route::at("/witness/add-checkpoint").post(
            "addCheckpoint",
            "Ask this registry's witness to cosign a head (C2SP tlog-witness)",
            Content::media("text/plain", "The old size, a consistency proof and the head"),
            Content::media("text/plain", "Cosignature lines; errors as tlog-witness prescribes"),
            api::add_checkpoint,
        ),
        Route::at("/witness/{log}/checkpoint")
            .get("witnessCheckpoint", "The head that the witness cosigned last", NOTE, reads::witness_checkpoint)
            .problems(&[P::NotFound]),
        Route::at("/api/v1/entries")
            .post(
                "publish",
                "Log an entry: a part `entry`, then a part `blob` for each blob that is not here, its SHA-256 as file name",
                Content::media("multipart/form-data", "The entry and its blobs"),
                Content::json::<EntryReceipt>(),
                api::entries,
            )
            .problems(&[
                P::Malformed,
                P::UnknownLog,
                P::UnauthorisedKey,
                P::BadSignature,
                P::StaleBasis,
                P::Conflict,
                P::Replayed,
                P::ArchiveMismatch,
                P::MissingBlob,
                P::TooLarge,
                P::NotHostedHere,
                P::RateLimited,
                P::Busy,
                P::StorageFull,
                P::ReadOnly,
            ]),
        Route::at("/api/v1/search")
            .get("search", "Bricks whose name begins with `q`", Content::json::<SearchResults>(), lists::bricks)
            .query(LIST)
            .problems(&[P::Malformed]),
        Route::at("/api/v1/bricks")
            .get("bricks", "All bricks, by name", Content::json::<SearchResults>(), lists::bricks)
            .query(LIST)
            .problems(&[P::Malformed]),
        Route::at("/api/v1/publishers")
            .get("publishers", "All publishers, by name", Content::json::<PublishersPage>(), lists::publishers)
            .query(PAGES)
            .problems(&[P::Malformed]),
        Route::at("/api/v1/registries").get(
            "registries",
            "All registries of the commons",
            Content::json::<Vec<RegistrySummary>>(),
            lists::registries,
        ),
        Route::at("/api/v1/services")
            .get("services", "Services that public bodies declare", Content::json::<ServicesPage>(), lists::services)
            .query(LIST)
            .problems(&[P::Malformed]),
        Route::at("/api/v1/status").get(
            "status",
            "What this registry holds, in numbers",
            Content::json::<CatalogueStatus>(),
            lists::status,
        ),
        Route::at("/api/v1/sync").get(
            "sync",
            "How following the other registries goes, and what was refused",
            Content::json::<SyncStatus>(),
            sync_status::sync,
        ),
        Route::at("/api/v1/heads").get(
            "heads",
            "How far every log here goes, for those who follow; answered by ETag",
            Content::json::<HeadsList>(),
            heads_list::heads,
        ),
        Route::at("/api/v1/checkpoint")
            .get(
                "newestCheckpoint",
                "The newest head of a log, or the newest of at most so many leaves, with a quorum or without",
                NOTE,
                heads_list::checkpoint,
            )
            .query(&["path", "at_most"])
            .problems(&[P::Malformed, P::UnknownLog, P::NotFound]),
        Route::at("/api/v1/evidence").get(
            "evidence",
            "Heads of one log that cannot be connected",
            Content::json::<Vec<sync_status::EvidenceBody>>(),
            sync_status::evidence,
        ),
        Route::at("/git/info/refs")
            .get(
                "gitRefs",
                "What `git clone` and `git fetch` ask first",
                git("application/x-git-upload-pack-advertisement"),
                git_http::refs,
            )
            .query(&["service"])
            .problems(&[P::NotFound, P::RateLimited, P::Busy]),
        Route::at("/git/git-upload-pack")
            .post(
                "gitUploadPack",
                "What `git clone` and `git fetch` ask then",
                git("application/x-git-upload-pack-request"),
                git("application/x-git-upload-pack-result"),
                git_http::upload_pack,
            )
            .problems(&[P::TooLarge, P::RateLimited, P::Busy]),
        Route::at("/healthz").get(
            "healthz",
            "Whether the process answers",
            Content::media("text/plain", "`ok`"),
            health::healthz,
        ),
        Route::at("/readyz").get(
            "readyz",
            "Whether it can do its work, and why not",
            Content::json::<Health>(),
            health::readyz,
        ),
        Route::at("/metrics").get(
            "metrics",
            "Measurements for operators",
            Content::media("application/openmetrics-text", "OpenMetrics"),
            metrics::metrics,
        ),
        Route::at("/openapi.json").get(
            "openapi",
            "This document",
            Content::json::<serde_json::Value>(),
            openapi::openapi,
        ),
    ]
}

impl Route {
    fn at(path: &'static str) -> Self {
        Self { path, operations: Vec::new() }
    }

    fn get<H, T>(self, id: &'static str, summary: &'static str, answer: Content, handler: H) -> Self
    where
        H: Handler<T, Arc<Registry>>,
        T: 'static,
    {
        self.operation(Method::GET, id, summary, None, answer, axum::routing::get(handler))
    }

    fn post<H, T>(
        self,
        id: &'static str,
        summary: &'static str,
        request: Content,
        answer: Content,
        handler: H,
    ) -> Self
    where
        H: Handler<T, Arc<Registry>>,
        T: 'static,
    {
        self.operation(Method::POST, id, summary, Some(request), answer, axum::routing::post(handler))
    }

    fn operation(
        mut self,
        method: Method,
        id: &'static str,
        summary: &'static str,
        request: Option<Content>,
        answer: Content,
        handler: MethodRouter<Arc<Registry>>,
    ) -> Self {
        let (query, problems): (&[_], &[_]) = (&[], &[]);
        self.operations.push(Operation { method, id, summary, query, request, answer, problems, handler });
        self
    }

    fn query(mut self, query: &'static [&'static str]) -> Self {
        self.operations.iter_mut().for_each(|operation| operation.query = query);
        self
    }

    fn problems(mut self, problems: &'static [ProblemType]) -> Self {
        self.operations.iter_mut().for_each(|operation| operation.problems = problems);
        self
    }

    /// The names of the path's parameters, in order.
    pub fn parameters(&self) -> impl Iterator<Item = &'static str> {
        self.path
            .split('/')
            .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
            .map(|name| name.trim_start_matches('*'))
    }
}

/// A route as the table writes it, for labels: a fixed set, whatever the router says.
pub fn known_route(path: &str) -> &'static str {
    static PATHS: std::sync::OnceLock<Vec<&'static str>> = std::sync::OnceLock::new();
    let paths = PATHS.get_or_init(|| table().iter().map(|route| route.path).collect());
    paths.iter().find(|known| **known == path).copied().unwrap_or("other")
}

/// The router of everything.
pub fn router(registry: Arc<Registry>) -> Router {
    let limits = &registry.settings.limits;
    let body_limit =
        limits.archive_bytes.saturating_add(limits.blob_bytes).saturating_add(BESIDE_ARCHIVE_BYTES);
    let mut router = Router::new();
    for route in table() {
        for operation in route.operations {
            router = router.route(route.path, operation.handler);
        }
    }
    router
        .fallback(front::nothing)
        .method_not_allowed_fallback(front::wrong_method)
        .layer(DefaultBodyLimit::max(usize::try_from(body_limit).unwrap_or(usize::MAX)))
        .layer(from_fn_with_state(registry.clone(), front::pass))
        .layer(CompressionLayer::new().gzip(true).compress_when(pays))
        .with_state(registry)
}

/// Whether compressing an answer pays, as the layer asks it.
fn pays(
    _: axum::http::StatusCode,
    _: axum::http::Version,
    headers: &axum::http::HeaderMap,
    _: &axum::http::Extensions,
) -> bool {
    let length = headers.get(axum::http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    plain::is_worth_compressing(headers, length.and_then(|length| length.parse().ok()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_parameter_is_described_and_every_description_is_used() {
        let mut used = BTreeSet::new();
        for route in table() {
            used.extend(route.parameters());
            used.extend(route.operations.iter().flat_map(|operation| operation.query));
        }
        let described: BTreeSet<&str> = PARAMETERS.iter().map(|parameter| parameter.name).collect();
        assert_eq!(used, described);
        assert_eq!(described.len(), PARAMETERS.len(), "a parameter is described twice");
    }

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let ids: Vec<&str> = table().iter().flat_map(|route| &route.operations).map(|o| o.id).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    }

    #[test]
    fn labels_of_routes_are_a_fixed_set() {
        assert_eq!(known_route("/logs/{publisher}/checkpoint"), "/logs/{publisher}/checkpoint");
        assert_eq!(known_route("/logs/evil.example/checkpoint"), "other");
    }
}
