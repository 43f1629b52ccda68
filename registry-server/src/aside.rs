//! How is work done that costs much processor time, and that no reader waits for? On threads of their own that give way to those
//! that answer: a thread that computes for a third of a millisecond would otherwise be answered after, ten at a time.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::LazyLock;

use crossbeam_channel::{SendError, Sender, unbounded};
use tokio::sync::oneshot;

/// Threads for such work that is short.
pub const THREADS: usize = 2;
/// How much the scheduler prefers others, on the scale of `nice`: a tenth of the time where both want all of it.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

type Work = Box<dyn FnOnce() + Send>;

static SHORT: LazyLock<Sender<Work>> = LazyLock::new(|| threads("aside", THREADS));
/// One does: what takes long shares itself out among threads that it starts, which give way as it does.
static LONG: LazyLock<Sender<Work>> = LazyLock::new(|| threads("aside-long", 1));

fn threads(name: &str, count: usize) -> Sender<Work> {
    let (waiting, next) = unbounded::<Work>();
    for _ in 0..count {
        let next = next.clone();
        let run = move || {
            give_way();
            next.iter().for_each(|work| work());
        };
        if let Err(err) = std::thread::Builder::new().name(name.to_owned()).spawn(run) {
            tracing::warn!(%err, "no thread for work that may wait");
        }
    }
    waiting
}

/// Lets the threads that answer go first. Linux counts this for each thread; elsewhere it would slow the whole process.
pub fn give_way() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(NICE);
}

/// Does `work` aside, and waits for it. A panic in it goes on in the caller.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    begin(work).done().await
}

/// Does `work` that takes long aside, where nothing short has to wait for it, and waits for it. A panic in it goes on in the caller.
pub async fn aside_long<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    begin_on(&LONG, work).done().await
}

/// Work that has been begun.
pub struct Begun<T>(oneshot::Receiver<std::thread::Result<T>>);

/// Has `work` done aside.
pub fn begin<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Begun<T> {
    begin_on(&SHORT, work)
}

fn begin_on<T: Send + 'static>(
    threads: &Sender<Work>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Begun<T> {
    let (tell, told) = oneshot::channel();
    let run = move || {
        let _ = tell.send(catch_unwind(AssertUnwindSafe(work)));
    };
    match threads.send(Box::new(run)) {
        Ok(()) => {}
        // The system gave no thread.
        Err(SendError(run)) => run(),
    }
    Begun(told)
}

impl<T> Begun<T> {
    /// Waits for it. A panic in it goes on in the caller.
    pub async fn done(self) -> T {
        match self.0.await.expect("whoever takes work tells what came of it") {
            Ok(done) => done,
            Err(panic) => resume_unwind(panic),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_and_its_outcome_handed_back() {
        let all = (0..20).map(|n| aside(move || n * n));
        let expected: Vec<i32> = (0..20).map(|n| n * n).collect();
        assert_eq!(futures_util::future::join_all(all).await, expected);
    }

    #[tokio::test]
    async fn a_panic_goes_on_in_the_caller_and_the_threads_go_on() {
        for _ in 0..2 * THREADS {
            let failed = tokio::spawn(aside_long(|| panic!("on purpose"))).await.unwrap_err();
            assert_eq!(*failed.into_panic().downcast::<&str>().unwrap(), "on purpose");
            let failed = tokio::spawn(aside(|| panic!("on purpose"))).await.unwrap_err();
            assert_eq!(*failed.into_panic().downcast::<&str>().unwrap(), "on purpose");
        }
        assert_eq!(aside(|| 7).await + aside_long(|| 8).await, 15);
    }
}
