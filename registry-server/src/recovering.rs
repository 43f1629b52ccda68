//! How does a registry come back from trouble with its disk? By itself: it looks every second whether writing works again.
//!
//! What it shows meanwhile is in memory or read from what is there. After a failed write nobody knows what of it came to
//! stay, so before it goes on it holds the edge of every log against the head that was signed for it, and reads anew all
//! that it keeps in memory of the store.

use std::sync::Arc;
use std::time::Duration;

use brick_store::{Again, Trouble};

use crate::closed::Closed;
use crate::log_tail::LogTail;
use crate::mirroring::wake_sequencer;
use crate::nodes::NodeError;
use crate::problem::{chain, said};
use crate::registry::{Registry, RegistryError};

/// Between two looks while there is trouble.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Looks for as long as the registry runs.
pub async fn run(registry: Arc<Registry>) {
    let mut told: Option<Trouble> = None;
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let trouble = registry.store.trouble();
        if let Some(trouble) = trouble.filter(|trouble| told != Some(*trouble)) {
            tracing::error!(%trouble, "TROUBLE: entries are refused until it is over");
        }
        match (trouble, told) {
            (None, Some(trouble)) => tracing::warn!(%trouble, "over: entries are taken again"),
            (None, None) => {}
            (Some(_), _) => recover(&registry).await,
        }
        told = trouble;
    }
}

async fn recover(registry: &Arc<Registry>) {
    let reopened = match registry.store.try_again().await {
        Ok(Again::Reopened(reopened)) => reopened,
        Ok(Again::Well) | Err(_) => return,
    };
    match registry.look_through().await {
        Ok(()) => {
            if registry.store.resume(reopened) {
                registry.show_anew().await;
                // It reads its edges anew before it takes the next entry.
                wake_sequencer(registry).await;
            }
        }
        Err(err) => tracing::error!(why = %said(&err), "the store was opened again and cannot be read"),
    }
}

impl Registry {
    /// Holds every log against its head, and reads the commons anew. Nobody writes meanwhile.
    ///
    /// # Errors
    /// [`RegistryError`] where the store cannot be read; a hosted log that does not add up is closed instead.
    async fn look_through(&self) -> Result<(), RegistryError> {
        let logs = self.store.logs().await.map_err(RegistryError::store)?;
        for log in logs.iter().filter(|log| log.size > 0) {
            match LogTail::load(&self.store, log).await {
                Ok(_) => {}
                Err(NodeError::Read(err)) => return Err(RegistryError::store(err)),
                Err(err) if log.hosted => {
                    let what = chain(&err);
                    self.close_log(&log.origin, Closed::Damaged { origin: log.origin.clone(), what });
                }
                Err(err) => {
                    tracing::error!(origin = %log.origin, why = %said(&err), "a mirrored log does not add up");
                }
            }
        }
        self.kept_roots.forget();
        self.load_commons().await
    }

    /// Shows what is stored: a write that was not acknowledged may have come to stay.
    async fn show_anew(&self) {
        let logs = match self.store.logs().await {
            Ok(logs) => logs,
            Err(err) => {
                tracing::error!(why = %said(&err), "cannot tell which logs are stored");
                return;
            }
        };
        for log in logs {
            if let Err(err) = self.refresh_head(&log.origin).await {
                tracing::error!(origin = %log.origin, why = %said(&err), "cannot show the stored head");
            }
            self.mark_unprojected(&log.origin);
        }
    }
}
