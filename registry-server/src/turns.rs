//! How long may a question of a client wait for its turn? Long enough for a burst; hardly at all where more comes all the time than
//! is answered, since there everybody would wait for everybody.
//!
//! Source: controlled delay, as in B. Maurer, "Fail at Scale", ACM Queue 13(8), 2015.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// Answers that are made for one client at a time, at most; those that lie ready in memory do not count.
pub const MAX_TURNS: usize = 16;
/// How long a question waits at most, and how long no turn must have been free for the wait to be [`BRIEF`].
const BURST: Duration = Duration::from_millis(100);
/// How long it waits where more comes all the time than is answered.
const BRIEF: Duration = Duration::from_millis(3);

/// The turns of one client.
pub struct Turns {
    places: Arc<Semaphore>,
    beginning: Instant,
    /// When a turn was free last, in milliseconds since the beginning.
    free_at_ms: AtomicU64,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(MAX_TURNS)),
            beginning: Instant::now(),
            free_at_ms: AtomicU64::new(0),
        }
    }
}

impl Turns {
    /// Waits for a turn; dropping what is returned ends it. `None` where the wait was too long.
    pub async fn take(&self) -> Option<OwnedSemaphorePermit> {
        let now = u64::try_from(self.beginning.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let Ok(turn) = self.places.clone().try_acquire_owned() {
            self.free_at_ms.store(now, Ordering::Relaxed);
            return Some(turn);
        }
        let taken_for = Duration::from_millis(now.saturating_sub(self.free_at_ms.load(Ordering::Relaxed)));
        let patience = if taken_for > BURST { BRIEF } else { BURST };
        timeout(patience, self.places.clone().acquire_owned()).await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_waits_and_a_standing_queue_is_refused_soon() {
        let turns = Arc::new(Turns::default());
        let mut held = Vec::new();
        for _ in 0..MAX_TURNS {
            held.push(turns.take().await.expect("there is room"));
        }
        let waiting = tokio::spawn({
            let turns = turns.clone();
            async move { turns.take().await.is_some() }
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        held.pop();
        assert!(waiting.await.unwrap(), "within a burst it waits until a turn is free");
        held.push(turns.take().await.expect("the one that waited has ended"));

        tokio::time::sleep(BURST + Duration::from_millis(1)).await;
        let began = Instant::now();
        assert!(turns.take().await.is_none());
        assert!(began.elapsed() <= BRIEF + Duration::from_millis(1), "{:?}", began.elapsed());
        held.clear();
        assert!(turns.take().await.is_some(), "as before once there is room");
    }
}
