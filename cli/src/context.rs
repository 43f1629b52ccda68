//! What does a command work with? Home, directory, flags, registry, clock and output of one run.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Arguments;
use std::path::{Path, PathBuf};

use anstyle::Style;
use serde::Serialize;

use crate::failure::Failure;
use crate::output::Output;

/// Bytes of an answer that are read, at most.
const MAX_ANSWER_BYTES: u64 = 1_024;

/// What `--locked`, `--offline` and `--frozen` allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// The lockfile must not change.
    pub locked: bool,
    /// Nothing may be asked over the network.
    pub offline: bool,
}

/// Everything one command needs from outside its own arguments.
pub struct Context {
    pub(crate) env: BTreeMap<OsString, OsString>,
    pub(crate) cwd: PathBuf,
    pub(crate) home: PathBuf,
    pub(crate) registry: Option<String>,
    pub(crate) is_registry_named: bool,
    pub(crate) manifest_path: Option<PathBuf>,
    pub(crate) limits: Limits,
    pub(crate) json: bool,
    pub(crate) can_ask: bool,
    pub(crate) now: fn() -> u64,
    pub(crate) output: Output,
}

impl Context {
    /// Where keys, trust and caches are kept: `BRICK_HOME`, or `.brick` in the user's home.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The directory that relative paths begin at (`-C` applied).
    pub fn cwd(&self) -> &Path {
        &self.cwd
    }

    /// A path of the user's, made absolute.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.cwd.join(path)
    }

    /// A path as the user would write it: relative to their directory where that is shorter.
    pub fn shown(&self, path: &Path) -> String {
        match path.strip_prefix(&self.cwd) {
            Ok(inner) if inner.as_os_str().is_empty() => ".".to_owned(),
            Ok(inner) => inner.display().to_string(),
            Err(_) => path.display().to_string(),
        }
    }

    /// `--registry`, or `BRICK_REGISTRY`; the default registry of `config.toml` comes after these.
    pub fn registry_option(&self) -> Option<&str> {
        self.registry.as_deref()
    }

    /// Whether `--registry` names the one registry to ask in this run.
    pub fn is_registry_named(&self) -> bool {
        self.is_registry_named
    }

    /// `--manifest-path`, made absolute.
    pub fn manifest_path(&self) -> Option<PathBuf> {
        self.manifest_path.as_ref().map(|path| self.path(path))
    }

    /// What `--locked`, `--offline` and `--frozen` allow.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether `--json` was given.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person can be asked: stdin and stderr are a terminal.
    pub fn can_ask(&self) -> bool {
        self.can_ask
    }

    /// Whether progress may be drawn on stderr.
    pub fn is_interactive(&self) -> bool {
        self.output.is_interactive
    }

    /// Unix seconds.
    pub fn now(&self) -> u64 {
        (self.now)()
    }

    /// An environment variable that is set to something.
    pub fn env(&self, name: &str) -> Option<&OsStr> {
        self.env.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// Asks a person a question that is answered yes or no; anything but `y` or `yes` is no.
    ///
    /// # Errors
    /// [`Failure`] when the answer cannot be read.
    pub fn confirm(&self, question: &str) -> Result<bool, Failure> {
        self.output.question(question);
        let mut answer = String::new();
        let mut stdin = std::io::Read::take(std::io::stdin().lock(), MAX_ANSWER_BYTES);
        std::io::BufRead::read_line(&mut stdin, &mut answer)
            .map_err(|err| Failure::yours("cannot read your answer").because(&err))?;
        Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }

    /// Says what was done: `   Published northshire.gov.uk/case-handling 1.4.0` on stderr.
    pub fn status(&self, verb: &str, text: Arguments<'_>) {
        self.output.status(verb, text);
    }

    /// Says how it was done, with `-v` only.
    pub fn detail(&self, verb: &str, text: Arguments<'_>) {
        self.output.detail(verb, text);
    }

    /// Says what may go wrong.
    pub fn warn(&self, text: Arguments<'_>) {
        self.output.warn(text);
    }

    /// Says what is worth knowing.
    pub fn note(&self, text: Arguments<'_>) {
        self.output.note(text);
    }

    /// Several lines of talk on stderr, each escaped by itself.
    pub fn talk_block(&self, block: &str) {
        self.output.talk_block(block);
    }

    /// A block on stderr that a renderer of ours made, colours and line ends included, foreign text escaped by it.
    pub fn talk_rendered(&self, block: &str) {
        self.output.talk_rendered(block);
    }

    /// One error of several, on stderr; the [`Failure`] that follows says how many there were.
    pub fn error_line(&self, text: Arguments<'_>) {
        self.output.error_line(text);
    }

    /// Prints one line of results on stdout; whatever would act on a terminal is escaped.
    ///
    /// # Errors
    /// [`Failure`] when stdout cannot be written; a reader who went away is no error.
    pub fn say(&self, text: Arguments<'_>) -> Result<(), Failure> {
        self.output.say(text)
    }

    /// [`Context::say`] with a style for each piece.
    ///
    /// # Errors
    /// As [`Context::say`].
    pub fn say_styled(&self, pieces: &[(Style, &str)]) -> Result<(), Failure> {
        self.output.say_styled(pieces)
    }

    /// Prints bytes on stdout as they are.
    ///
    /// # Errors
    /// As [`Context::say`].
    pub fn results(&self, bytes: &[u8]) -> Result<(), Failure> {
        self.output.results(bytes)
    }

    /// Prints the one JSON document of a `--json` run: `{"schema":"brick/<what>/v1", …members of value}`.
    ///
    /// - `what`: the command, as `check` or `key-list`.
    /// - `value`: serializes as an object.
    ///
    /// # Errors
    /// As [`Context::say`].
    pub fn json(&self, what: &str, value: &impl Serialize) -> Result<(), Failure> {
        #[derive(Serialize)]
        struct Document<'a, T> {
            schema: String,
            #[serde(flatten)]
            value: &'a T,
        }
        let document = Document { schema: format!("brick/{what}/v1"), value };
        let mut bytes = serde_json::to_vec_pretty(&document)
            .map_err(|err| Failure::bug("cannot write the result as JSON").because(&err))?;
        bytes.push(b'\n');
        self.output.results(&bytes)
    }

    /// Says why it did not work: on stderr for people and, with `--json`, as the one document on stdout.
    pub(crate) fn fail(&self, failure: &Failure) {
        #[derive(Serialize)]
        struct Told<'a> {
            family: &'a str,
            code: u8,
            error: &'a str,
            causes: &'a [String],
            #[serde(skip_serializing_if = "Option::is_none")]
            help: Option<&'a str>,
        }
        self.output.failure(failure);
        if self.json && !failure.is_told() {
            let told = Told {
                family: failure.family().word(),
                code: failure.family().code(),
                error: failure.what(),
                causes: failure.causes(),
                help: failure.next_step(),
            };
            // The exit code has said it already.
            let _ = self.json("failure", &told).and_then(|()| self.flush());
        }
    }

    pub(crate) fn flush(&self) -> Result<(), Failure> {
        self.output.flush()
    }
}
