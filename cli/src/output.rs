//! How is something said? cargo's habits: results on stdout, talk on stderr with a 12-column verb, quiet and verbose.

use std::fmt::{Arguments, Write as _};
use std::io::{ErrorKind, Write};
use std::sync::{Mutex, PoisonError};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

use crate::failure::Failure;
use crate::foreign::foreign;
use crate::surroundings::Stream;

/// Columns of the verb in a status line.
const VERB_COLUMNS: usize = 12;

const GREEN: Style = AnsiColor::Green.on_default().bold();
const CYAN: Style = AnsiColor::Cyan.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const RED: Style = AnsiColor::Red.on_default().bold();

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Only results and errors.
    Quiet,
    /// What is being done.
    Normal,
    /// Also how.
    Verbose,
}

/// When to colour; `Auto` is on a terminal, unless `NO_COLOR` is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Color {
    // No doc comments: clap would show them, and every page of help would be twice as long.
    #[default]
    Auto,
    Always,
    Never,
}

/// The two streams of one run.
pub struct Output {
    stdout: Mutex<Sink>,
    stderr: Mutex<Sink>,
    verbosity: Verbosity,
    /// Whether progress may be drawn: stderr is a terminal and nobody asked for quiet.
    pub(crate) is_interactive: bool,
}

struct Sink {
    stream: AutoStream<Box<dyn Write + Send>>,
    /// The reader went away (EPIPE). What is left of the work is done, nothing more is said.
    closed: bool,
}

impl Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if self.closed {
            return Ok(());
        }
        self.forgive(|stream| stream.write_all(bytes))
    }

    fn forgive(
        &mut self,
        act: impl FnOnce(&mut AutoStream<Box<dyn Write + Send>>) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        match act(&mut self.stream) {
            Err(err) if err.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            other => other,
        }
    }
}

impl Output {
    pub(crate) fn new(
        stdout: Stream,
        stderr: Stream,
        verbosity: Verbosity,
        color: Color,
        no_color: bool,
    ) -> Self {
        let is_interactive = stderr.is_terminal && verbosity > Verbosity::Quiet;
        let sink = |stream: Stream| {
            let choice = match color {
                Color::Always => ColorChoice::Always,
                Color::Auto if stream.is_terminal && !no_color => ColorChoice::Always,
                Color::Auto | Color::Never => ColorChoice::Never,
            };
            Mutex::new(Sink { stream: AutoStream::new(stream.writer, choice), closed: false })
        };
        Self { stdout: sink(stdout), stderr: sink(stderr), verbosity, is_interactive }
    }

    /// One line of results.
    pub(crate) fn say(&self, text: Arguments<'_>) -> Result<(), Failure> {
        self.results(format!("{}\n", foreign(&text.to_string())).as_bytes())
    }

    /// One line of results in styled pieces.
    pub(crate) fn say_styled(&self, pieces: &[(Style, &str)]) -> Result<(), Failure> {
        let mut line = String::new();
        for (style, text) in pieces {
            let _ = write!(line, "{style}{}{style:#}", foreign(text));
        }
        line.push('\n');
        self.results(line.as_bytes())
    }

    /// Bytes of results as they are, for files and JSON that a program reads.
    pub(crate) fn results(&self, bytes: &[u8]) -> Result<(), Failure> {
        let written = lock(&self.stdout).write(bytes);
        written.map_err(|err| Failure::yours("cannot write to standard output").because(&err))
    }

    pub(crate) fn status(&self, verb: &str, text: Arguments<'_>) {
        if self.verbosity >= Verbosity::Normal {
            self.verb_line(GREEN, verb, text);
        }
    }

    pub(crate) fn detail(&self, verb: &str, text: Arguments<'_>) {
        if self.verbosity >= Verbosity::Verbose {
            self.verb_line(CYAN, verb, text);
        }
    }

    pub(crate) fn warn(&self, text: Arguments<'_>) {
        if self.verbosity >= Verbosity::Normal {
            self.labelled(YELLOW, "warning", &text.to_string());
        }
    }

    pub(crate) fn note(&self, text: Arguments<'_>) {
        if self.verbosity >= Verbosity::Normal {
            self.labelled(CYAN, "note", &text.to_string());
        }
    }

    /// Several lines of talk, each escaped by itself.
    pub(crate) fn talk_block(&self, block: &str) {
        let mut text = String::new();
        for line in block.lines() {
            text.push_str(&foreign(line));
            text.push('\n');
        }
        self.talk(&text);
    }

    /// A block that a renderer of ours made: it escaped foreign text itself; colours are taken out where there are none.
    pub(crate) fn talk_rendered(&self, block: &str) {
        self.talk(block);
    }

    pub(crate) fn error_line(&self, text: Arguments<'_>) {
        self.labelled(RED, "error", &text.to_string());
    }

    /// A question, with room for the answer on the same line.
    pub(crate) fn question(&self, text: &str) {
        self.talk(&format!("{} [y/N] ", foreign(text)));
    }

    pub(crate) fn failure(&self, failure: &Failure) {
        self.labelled(RED, "error", failure.what());
        if let Some(block) = failure.block() {
            self.talk_rendered(block);
        }
        for cause in failure.causes() {
            self.talk(&format!("  caused by: {}\n", foreign(cause)));
        }
        if let Some(help) = failure.next_step() {
            self.labelled(CYAN, "help", help);
        }
    }

    pub(crate) fn flush(&self) -> Result<(), Failure> {
        let flushed = lock(&self.stdout).forgive(|stream| stream.flush());
        flushed.map_err(|err| Failure::yours("cannot write to standard output").because(&err))
    }

    fn verb_line(&self, style: Style, verb: &str, text: Arguments<'_>) {
        self.talk(&format!("{style}{verb:>VERB_COLUMNS$}{style:#} {}\n", foreign(&text.to_string())));
    }

    fn labelled(&self, style: Style, label: &str, text: &str) {
        self.talk(&format!("{style}{label}{style:#}: {}\n", foreign(text)));
    }

    fn talk(&self, text: &str) {
        // Talk that nobody can hear is no reason to stop the work.
        let _ = lock(&self.stderr).write(text.as_bytes());
    }
}

fn lock(sink: &Mutex<Sink>) -> std::sync::MutexGuard<'_, Sink> {
    sink.lock().unwrap_or_else(PoisonError::into_inner)
}
