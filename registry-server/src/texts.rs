//! What do people call a brick? Titles and summaries from the manifests in archives, kept while there is room.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use brick_schemas::Digest;
use brick_schemas::archive::{self, Limits};
use brick_schemas::language::LanguageTag;
use brick_schemas::manifest::{Manifest, Text};
use tokio::sync::Semaphore;

use crate::blocking::blocking;
use crate::registry::Registry;

/// Archives whose texts are kept; past it the memory is emptied and fills again.
const MAX_KEPT: usize = 8_192;
/// Archives that are read at a time for their texts.
const MAX_READING: usize = 2;

/// Title and summary by language.
pub type Texts = Arc<BTreeMap<LanguageTag, Text>>;

/// The texts of archives, by the archives' digests: they never change.
pub struct KeptTexts {
    kept: Mutex<HashMap<Digest, Texts>>,
    reading: Semaphore,
}

impl Default for KeptTexts {
    fn default() -> Self {
        Self { kept: Mutex::default(), reading: Semaphore::new(MAX_READING) }
    }
}

impl KeptTexts {
    fn find(&self, archive: &Digest) -> Option<Texts> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(archive).cloned()
    }

    /// Keeps the texts of an archive whose manifest somebody has just read.
    pub fn keep(&self, archive: Digest, texts: BTreeMap<LanguageTag, Text>) -> Texts {
        let texts = Arc::new(texts);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(archive, texts.clone());
        texts
    }
}

impl Registry {
    /// The texts in an archive's manifest; none where the archive is not here or not one.
    pub async fn texts(&self, archive: &Digest) -> Texts {
        if let Some(texts) = self.kept_texts.find(archive) {
            return texts;
        }
        let Ok(_permit) = self.kept_texts.reading.acquire().await else { return Texts::default() };
        if let Some(texts) = self.kept_texts.find(archive) {
            return texts;
        }
        let limits = Limits::default();
        let Ok(Some(bytes)) = self.store.read_blob(archive, limits.archive_bytes).await else {
            // It may come yet.
            return Texts::default();
        };
        let read = move || {
            let archive = archive::read(&bytes, &limits).ok()?;
            Some(Manifest::from_bytes(archive.file("brick.toml")?).ok()?.text)
        };
        let texts = blocking(read).await.unwrap_or_default();
        self.kept_texts.keep(*archive, texts)
    }
}
