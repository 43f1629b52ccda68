//! What runs on a thread of its own? A task that waits for the disk again and again: handing each piece of its work to
//! another thread and back costs more than the work, and memory that one thread gave back serves no other. It gives way to those
//! that answer.

use std::io;
use std::thread::JoinHandle;

use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::aside::give_way;
use crate::blocking::blocking;

/// A task on a thread of its own. Dropping it ends the task soon; after [`OwnThread::stop`] it has ended.
pub struct OwnThread {
    /// None once it was told to stop.
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl OwnThread {
    /// Starts a task.
    ///
    /// - `name`: of the thread.
    /// - `runtime`: of the current-thread kind, with what the task needs; the task has it to itself.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start<F: Future<Output = ()>>(
        name: &str,
        runtime: &mut Builder,
        task: impl FnOnce() -> F + Send + 'static,
    ) -> io::Result<Self> {
        let runtime = runtime.build()?;
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            give_way();
            runtime.block_on(async {
                tokio::select! {
                    () = task() => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(Self { running: Some((stop, thread)) })
    }

    /// Ends the task where it awaits something, and waits for that.
    pub async fn stop(&mut self) {
        let Some((stop, thread)) = self.running.take() else { return };
        drop(stop);
        let name = thread.thread().name().unwrap_or_default().to_owned();
        if blocking(|| thread.join()).await.is_err() {
            tracing::error!(name, "a thread had ended in a panic");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// Says when it is dropped.
    struct Told(mpsc::Sender<()>);

    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }

    fn waiting() -> (OwnThread, mpsc::Receiver<()>) {
        let (sent, ended) = mpsc::channel();
        let told = Told(sent);
        let task = move || async move {
            let _told = told;
            std::future::pending().await
        };
        (OwnThread::start("waiting", &mut Builder::new_current_thread(), task).unwrap(), ended)
    }

    #[tokio::test]
    async fn a_task_has_ended_when_it_was_stopped() {
        let (mut thread, ended) = waiting();
        thread.stop().await;
        assert!(ended.try_recv().is_ok());
        thread.stop().await;
    }

    #[test]
    fn a_task_ends_when_nobody_holds_it() {
        let (thread, ended) = waiting();
        drop(thread);
        ended.recv_timeout(Duration::from_secs(30)).unwrap();
    }

    #[tokio::test]
    async fn a_panic_in_a_task_stays_there() {
        let task = || async { panic!("on purpose") };
        let mut thread = OwnThread::start("panicking", &mut Builder::new_current_thread(), task).unwrap();
        thread.stop().await;
    }
}
