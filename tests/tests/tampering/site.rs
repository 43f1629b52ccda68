//! What does a registry answer? All its files, copied once, to be served again with one thing changed.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use brick_schemas::index_line::parse_index_file;
use brick_tlog::checkpoint::Checkpoint;
use brick_tlog::note::Note;
use brick_tlog::proof::Proof;
use brick_tlog::snapshot::IndexProof;
use brick_tlog::tile::{bundles, parse_bundle, tiles};
use tokio::runtime::Runtime;

/// The files of a registry, by path without the first slash.
#[derive(Clone, Default)]
pub struct Site {
    files: BTreeMap<String, Vec<u8>>,
}

/// A site that can be asked over HTTP; gone when dropped.
pub struct Served {
    /// Its address.
    pub url: String,
    task: tokio::task::AbortHandle,
}

impl Site {
    /// Copies everything that a running registry serves about the commons and the bricks named, as
    /// (publisher, brick).
    pub async fn copy(url: &str, bricks: &[(&str, &str)]) -> Self {
        let mut site = Self::default();
        let http = reqwest::Client::new();
        let http = &http;
        let mut take = async |path: String| -> Vec<u8> {
            let answer = http.get(format!("{url}/{path}")).send().await.expect("the registry answers");
            assert!(answer.status().is_success(), "{path}: {}", answer.status());
            let bytes = answer.bytes().await.expect("a whole answer").to_vec();
            site.files.insert(path, bytes.clone());
            bytes
        };
        take(".well-known/brickyard.json".into()).await;
        let mut logs = vec!["commons".to_owned()];
        for (publisher, brick) in bricks {
            let log = format!("logs/{publisher}");
            if !logs.contains(&log) {
                take(format!("{log}/snapshot")).await;
                logs.push(log);
            }
            let index = format!("index/{publisher}/{brick}.jsonl");
            take(format!("{index}.proof")).await;
            for line in parse_index_file(&take(index).await).expect("an index file") {
                let release = format!("bricks/{publisher}/{brick}/{}", line.vers);
                take(format!("{release}/proof")).await;
                let archive = take(format!("{release}/archive")).await;
                assert_eq!(take(format!("blobs/sha256/{}", line.cksum)).await, archive);
            }
        }
        for log in logs {
            let size = head_size(&take(format!("{log}/checkpoint")).await);
            for path in tiles(size).map(|tile| tile.path()).chain(bundles(size).map(|bundle| bundle.path())) {
                take(format!("{log}/{path}")).await;
            }
        }
        site
    }

    /// Serves the files on a free port.
    pub fn serve(self, runtime: &Runtime) -> Served {
        let files = Arc::new(self.files);
        let answer = async move |Path(path): Path<String>| match files.get(&path) {
            Some(bytes) => (StatusCode::OK, bytes.clone()),
            None => (StatusCode::NOT_FOUND, Vec::new()),
        };
        let app = Router::new().route("/{*path}", axum::routing::get(answer));
        runtime.block_on(async {
            let listener =
                tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
            let url = format!("http://{}", listener.local_addr().expect("it has an address"));
            let task = tokio::spawn(async move {
                axum::serve(listener, app).await.expect("it serves until it is stopped");
            });
            Served { url, task: task.abort_handle() }
        })
    }

    /// One file.
    pub fn read(&self, path: &str) -> &[u8] {
        self.files.get(path).unwrap_or_else(|| panic!("{path} is not served"))
    }

    /// Puts a file there.
    pub fn write(&mut self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.files.insert(path.to_owned(), bytes.into());
    }

    /// Takes a file away.
    pub fn remove(&mut self, path: &str) {
        assert!(self.files.remove(path).is_some(), "{path} was not served");
    }

    /// Takes every file of another site whose path begins with `prefix`, in place of one's own.
    pub fn take_from(&mut self, other: &Site, prefix: &str) {
        self.files.retain(|path, _| !path.starts_with(prefix));
        let theirs = other.files.iter().filter(|(path, _)| path.starts_with(prefix));
        self.files.extend(theirs.map(|(path, bytes)| (path.clone(), bytes.clone())));
    }

    /// Changes a file, which must then be another.
    pub fn change(&mut self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.read(path).to_vec();
        change(&mut bytes);
        assert_ne!(bytes, self.read(path), "{path} was changed");
        self.write(path, bytes);
    }

    /// Changes a proof.
    pub fn change_proof(&mut self, path: &str, change: impl FnOnce(&mut Proof)) {
        self.change(path, |bytes| {
            let mut proof = Proof::parse(bytes).expect("a proof");
            change(&mut proof);
            *bytes = proof.to_string().into_bytes();
        });
    }

    /// Changes the proof of an index file.
    pub fn change_index_proof(&mut self, path: &str, change: impl FnOnce(&mut IndexProof)) {
        self.change(path, |bytes| {
            let mut proof = IndexProof::parse(bytes).expect("an index proof");
            change(&mut proof);
            *bytes = proof.to_string().into_bytes();
        });
    }

    /// Changes a head.
    pub fn change_head(&mut self, path: &str, change: impl FnOnce(&mut Note)) {
        self.change(path, |bytes| {
            let mut note = Note::parse(bytes).expect("a head");
            change(&mut note);
            *bytes = note.to_string().into_bytes();
        });
    }

    /// All leaves of the log that is kept at `log`: `commons` or `logs/<publisher>`.
    pub fn leaves(&self, log: &str) -> Vec<Vec<u8>> {
        bundles(head_size(self.read(&format!("{log}/checkpoint"))))
            .flat_map(|bundle| {
                let bytes = self.read(&format!("{log}/{}", bundle.path()));
                let leaves = parse_bundle(bytes, bundle.width().into()).expect("a bundle");
                leaves.into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>()
            })
            .collect()
    }
}

/// The size that a head claims.
fn head_size(note: &[u8]) -> u64 {
    let note = Note::parse(note).expect("a head");
    Checkpoint::parse(&note.text).expect("a checkpoint").size
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}
