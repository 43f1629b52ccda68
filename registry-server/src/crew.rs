//! How does a slow peer keep from stopping the others? A task for each, started when it appears and ended when it goes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

/// Tasks by the name of whom they deal with. Dropping the crew ends them.
#[derive(Default)]
pub struct Crew {
    tasks: BTreeMap<String, AbortOnDropHandle<()>>,
}

impl Crew {
    /// Starts a task for everybody in `wanted` who has none, and ends those of everybody else.
    ///
    /// Returns who went.
    pub fn keep<T, F>(&mut self, wanted: Vec<(String, T)>, task: impl Fn(T) -> F) -> Vec<String>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let names: BTreeSet<&String> = wanted.iter().map(|(name, _)| name).collect();
        let gone: Vec<String> = self.tasks.keys().filter(|name| !names.contains(name)).cloned().collect();
        for name in &gone {
            self.tasks.remove(name);
        }
        for (name, who) in wanted {
            // A task that ended by itself panicked: its peer is taken up again.
            if self.tasks.get(&name).is_none_or(|task| task.is_finished()) {
                self.tasks.insert(name, AbortOnDropHandle::new(tokio::spawn(task(who))));
            }
        }
        gone
    }
}

/// `time` give or take a tenth: registries that started together do not stay in step.
pub fn jittered(time: Duration) -> Duration {
    const PARTS: u32 = 1_000;
    let parts = getrandom::u32().unwrap_or(PARTS / 2) % (PARTS + 1);
    time.mul_f64(0.9 + 0.2 * f64::from(parts) / f64::from(PARTS))
}

/// The wait after `failures` failures in a row: `first`, doubled with each, at most `most`.
pub fn back_off(first: Duration, failures: u32, most: Duration) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    jittered(first.saturating_mul(1 << doublings).min(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_bound() {
        let (first, most) = (Duration::from_secs(10), Duration::from_secs(300));
        for (failures, seconds) in [(0, 10), (1, 10), (2, 20), (3, 40), (6, 300), (u32::MAX, 300)] {
            let wait = back_off(first, failures, most).as_secs_f64();
            let expected = f64::from(seconds);
            assert!((expected * 0.9..=expected * 1.1).contains(&wait), "{failures}: {wait}");
        }
    }

    #[tokio::test]
    async fn a_crew_starts_and_ends_tasks_with_those_they_deal_with() {
        let (sent, mut received) = tokio::sync::mpsc::unbounded_channel();
        let mut crew = Crew::default();
        let wanted = |names: &[&str]| names.iter().map(|n| ((*n).to_owned(), (*n).to_owned())).collect();
        let task = |name: String| {
            let sent = sent.clone();
            async move {
                let _ = sent.send(name);
                std::future::pending::<()>().await;
            }
        };
        assert!(crew.keep(wanted(&["a", "b"]), task).is_empty());
        assert_eq!(received.recv().await.as_deref(), Some("a"));
        assert_eq!(received.recv().await.as_deref(), Some("b"));
        assert_eq!(crew.keep(wanted(&["b", "c"]), task), ["a"]);
        assert_eq!(received.recv().await.as_deref(), Some("c"));
        assert!(received.try_recv().is_err());
    }
}
