//! How far is it? A bar or a sign of life on a terminal, for what takes more than a second; elsewhere nothing.

use std::cell::Cell;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::context::Context;
use crate::foreign::foreign;

/// Work that is done sooner needs no bar.
const PATIENCE: Duration = Duration::from_secs(1);

/// Time between two signs of life.
const TICK: Duration = Duration::from_millis(120);

/// Waits for `work`; on a terminal, after a second, shows for whom.
///
/// - `whom`: an address.
pub(crate) async fn waiting_for<T>(ctx: &Context, whom: &str, work: impl Future<Output = T>) -> T {
    if !ctx.is_interactive() {
        return work.await;
    }
    let mut work = std::pin::pin!(work);
    if let Ok(done) = tokio::time::timeout(PATIENCE, &mut work).await {
        return done;
    }
    let spinner = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("     Waiting {spinner} for {msg}, {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    spinner.set_style(style);
    spinner.set_message(foreign(whom).into_owned());
    loop {
        match tokio::time::timeout(TICK, &mut work).await {
            Ok(done) => {
                spinner.finish_and_clear();
                return done;
            }
            Err(_) => spinner.tick(),
        }
    }
}

/// Work of a known number of pieces.
pub(crate) struct Progress<'a> {
    ctx: &'a Context,
    bar: ProgressBar,
    began: Instant,
    is_shown: Cell<bool>,
}

impl<'a> Progress<'a> {
    /// Begins; nothing is drawn yet.
    ///
    /// - `verb`: what is done to each piece, as in a status line.
    pub(crate) fn begin(ctx: &'a Context, verb: &str, count: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(count as u64), ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template(&format!("{verb:>12} [{{bar:24}}] {{pos}}/{{len}}"))
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.progress_chars("=> "));
        Self { ctx, bar, began: Instant::now(), is_shown: Cell::new(false) }
    }

    /// One piece more is done.
    pub(crate) fn advance(&self) {
        if self.ctx.is_interactive() && !self.is_shown.get() && self.began.elapsed() > PATIENCE {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.is_shown.set(true);
        }
        self.bar.inc(1);
    }

    /// Says something without tearing the bar.
    pub(crate) fn status(&self, verb: &str, text: std::fmt::Arguments<'_>) {
        self.bar.suspend(|| self.ctx.status(verb, text));
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
