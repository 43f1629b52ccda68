//! Where else may the leaves and heads of the logs lie? In this registry's own git repository, at its peers, in a clone.
//! None of them is believed.

use std::path::{Path, PathBuf};

use brick_index::follow::{Follower, View};
use brick_index::layout;
use brick_schemas::{Digest, PublisherName};
use brick_tlog::checkpoint::{Checkpoint, open_checkpoint};
use brick_tlog::hash::Hash;
use brick_tlog::note::{Note, Vkey};

use crate::blocking::blocking;
use crate::problem::chain;
use crate::settings::{Peer, Settings};

/// Leaves that are read from a repository at a time.
pub(super) const LEAVES_AT_A_TIME: u64 = 256;

/// A repository that may hold the logs.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// What reports call it.
    pub(super) name: String,
    path: PathBuf,
    reference: String,
}

/// A head that a source shows: the log's key signed it.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) checkpoint: Checkpoint,
    /// With every line that stands under it.
    pub(super) note: Note,
}

impl Source {
    /// The registry's own repository.
    pub(super) fn own(data: &Path) -> Self {
        let reference = layout::BRANCH.to_owned();
        Self { name: "this registry's git repository".to_owned(), path: data.join("commons.git"), reference }
    }

    /// A clone on this machine.
    pub(super) fn clone_at(path: &Path) -> Self {
        Self { name: path.display().to_string(), path: path.to_owned(), reference: "HEAD".to_owned() }
    }

    /// A peer's repository, brought forward now; what was fetched of it before where that fails.
    ///
    /// # Errors
    /// In words, where there is nothing of it at all. A failed fetch is told by `tell`.
    pub(super) async fn of_peer(
        data: &Path,
        peer: &Peer,
        tell: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Self, String> {
        // As following keeps it.
        let path = data.join("peers").join(format!("{}.git", Digest::of(peer.git.as_bytes())));
        let (at, url) = (path.clone(), peer.git.clone());
        let fetched = blocking(move || {
            if let Some(folder) = at.parent() {
                let _ = std::fs::create_dir_all(folder);
            }
            let fetch = |at: &Path| Follower::open(at, &url).and_then(|follower| follower.fetch());
            match fetch(&at) {
                Ok(()) => Ok(()),
                Err(_) => {
                    // The copy may be what is damaged: it is only a copy.
                    let _ = std::fs::remove_dir_all(&at);
                    fetch(&at)
                }
            }
        });
        if let Err(err) = fetched.await {
            tell(&format!("{}: {}", peer.name, chain(&err)));
            return Err(format!("{}: {}", peer.name, chain(&err)));
        }
        Ok(Self { name: peer.name.clone(), path, reference: layout::BRANCH.to_owned() })
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&View) -> Option<T> + Send + 'static,
    ) -> Option<T> {
        let source = self.clone();
        blocking(move || {
            let view = View::open(&source.path, &source.reference, &source.name).ok().flatten()?;
            read(&view)
        })
        .await
    }

    /// The head of the log in `folder`, if there is one that `vkey` signed.
    pub(super) async fn head(&self, folder: &str, vkey: &Vkey) -> Option<Named> {
        let folder = folder.to_owned();
        let note = self.read(move |view| view.checkpoint(&folder).ok().flatten()).await?;
        let (checkpoint, note) = open_checkpoint(&note, vkey).ok()?.into_parts();
        Some(Named { checkpoint, note })
    }

    /// Leaves `from..to` of the log in `folder`, all of them or none.
    pub(super) async fn leaves(&self, folder: &str, from: u64, to: u64) -> Option<Vec<Vec<u8>>> {
        let folder = folder.to_owned();
        self.read(move |view| view.leaves(&folder, from, to).ok()).await
    }

    /// The publishers whose logs lie here.
    pub(super) async fn publishers(&self) -> Vec<PublisherName> {
        self.read(|view| view.publishers().ok()).await.unwrap_or_default()
    }
}

/// Every source there is: the own repository first, then `clones`, then the peers of the settings and `peers`.
pub(super) async fn sources(
    settings: &Settings,
    data: &Path,
    clones: &[PathBuf],
    peers: &[Peer],
    tell: &(dyn Fn(&str) + Send + Sync),
) -> (Vec<Source>, Vec<String>) {
    let mut sources = vec![Source::own(data)];
    sources.extend(clones.iter().map(|path| Source::clone_at(path)));
    let mut silent = Vec::new();
    let mut asked: Vec<&str> = Vec::new();
    for peer in settings.peers.iter().chain(peers) {
        if asked.contains(&peer.git.as_str()) {
            continue;
        }
        asked.push(&peer.git);
        tell(&format!("fetching from {}", peer.name));
        match Source::of_peer(data, peer, tell).await {
            Ok(source) => sources.push(source),
            Err(why) => silent.push(why),
        }
    }
    (sources, silent)
}

/// The same head from two places?
pub(super) fn is_same(a: &Checkpoint, size: u64, root: Hash) -> bool {
    a.size == size && a.root == root
}
