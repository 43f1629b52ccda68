//! How is work done that blocks? On a thread of its own, and quietly left behind when the registry stops.

use std::panic::resume_unwind;

/// Does `work` on a thread that may block, and waits for it.
///
/// A panic in it goes on in the caller. When the runtime goes down before `work` began it never will: the caller then waits
/// until it is dropped itself, which the runtime does with every task that waits. Nobody is told of an outcome that there
/// is not.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(err) => match err.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn work_is_done_and_its_outcome_handed_back() {
        assert_eq!(blocking(|| 7).await, 7);
    }

    #[tokio::test]
    async fn a_panic_goes_on_in_the_caller() {
        let caller = tokio::spawn(blocking(|| panic!("on purpose")));
        assert_eq!(caller.await.unwrap_err().into_panic().downcast_ref(), Some(&"on purpose"));
    }

    #[test]
    fn work_that_never_began_when_the_runtime_went_down_is_no_panic() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (ended, end) = std::sync::mpsc::channel();
        runtime.block_on(async {
            // The only thread is busy, so what comes next waits in the queue until it is thrown away.
            tokio::spawn(blocking(|| std::thread::sleep(Duration::from_millis(300))));
            tokio::time::sleep(Duration::from_millis(50)).await;
            tokio::spawn(async move {
                let outcome = tokio::spawn(blocking(|| ())).await;
                let _ = ended.send(outcome.is_err_and(|err| err.is_panic()));
            });
            tokio::time::sleep(Duration::from_millis(50)).await;
        });
        runtime.shutdown_timeout(Duration::from_secs(5));
        assert!(!end.recv().unwrap_or(false), "the caller was dropped, it did not panic");
    }
}
