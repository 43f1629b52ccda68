//! How far is it? A bar on a terminal, for work that takes more than a second.

use std::cell::Cell;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::context::Context;

/// Work that is done sooner needs no bar.
const PATIENCE: Duration = Duration::from_secs(1);

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
