//! What does a TOML file that a person wrote say? Reads key by key, remembers every problem with its place, and knows at
//! the end which keys nobody asked for.

mod table;
mod value;

use std::cell::RefCell;

use toml::de::DeTable;

pub(crate) use table::Table;
pub(crate) use value::Value;

use crate::diagnostic::{FileError, Problem};
use crate::text::escape;

/// Bytes of a file, from..to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    from: usize,
    to: usize,
}

impl Span {
    /// The bytes `range` within this value, for a value written as a basic or literal string on one line.
    pub(crate) fn inside(self, range: std::ops::Range<usize>) -> Self {
        let from = self.from.saturating_add(1).saturating_add(range.start).min(self.to);
        Self { from, to: self.from.saturating_add(1).saturating_add(range.end).clamp(from, self.to) }
    }
}

impl From<std::ops::Range<usize>> for Span {
    fn from(range: std::ops::Range<usize>) -> Self {
        Self { from: range.start, to: range.end }
    }
}

/// The problems of one file.
pub(crate) struct Problems<'t> {
    text: &'t str,
    found: RefCell<Vec<Problem>>,
}

impl<'t> Problems<'t> {
    /// Remembers a problem at `span`; its line is found when all are known. Foreign text in `what`, `why` and `next` must have been escaped.
    pub(crate) fn add(
        &self,
        span: Span,
        what: impl Into<String>,
        why: impl Into<String>,
        next: Option<String>,
    ) {
        self.found.borrow_mut().push(Problem {
            line: 1,
            column: 1,
            span: span.from..span.to,
            what: what.into(),
            why: why.into(),
            next,
        });
    }

    fn too_large(&self, format: Format, found: usize, max_bytes: usize) {
        let what = format!("{} is too large", format.file);
        let why = format!("it has {found} bytes, at most {max_bytes} are allowed");
        self.add(Span { from: 0, to: 0 }, what, why, Some("move long texts into files of their own".into()));
    }

    /// How many there are so far.
    pub(crate) fn count(&self) -> usize {
        self.found.borrow().len()
    }
}

/// Reads the file `text` with `read`, which returns none only after it has told a problem.
///
/// - `format`: key that holds the format version, the version that is known, and the file's usual name.
///
/// # Errors
/// [`FileError`] with every problem: of the bound, else of the syntax, else of the version, else of the content.
pub(crate) fn read_file<T>(
    text: &str,
    max_bytes: usize,
    format: Format,
    read: impl for<'r> FnOnce(&mut Table<'r>) -> Option<T>,
) -> Result<T, Box<FileError>> {
    let problems = Problems { text, found: RefCell::default() };
    let value = read_document(&problems, text, max_bytes, format, read);
    if value.is_none() && problems.count() == 0 {
        // Not reached as long as every reader tells why it returns none; better a vague word than a wrong one.
        problems.add(
            Span { from: 0, to: 0 },
            format!("{} was not understood", format.file),
            "somewhere here",
            None,
        );
    }
    let found = problems.found.into_inner();
    match value {
        Some(value) if found.is_empty() => Ok(value),
        _ => Err(Box::new(FileError::new(text, found))),
    }
}

/// Reads `bytes` as UTF-8 for [`read_file`]; of more than `max_bytes` none are looked at.
///
/// # Errors
/// [`FileError`] with the bound, or at the first byte that is not UTF-8.
pub(crate) fn utf8(bytes: &[u8], max_bytes: usize, format: Format) -> Result<&str, Box<FileError>> {
    let mut problems = Problems { text: "", found: RefCell::default() };
    if bytes.len() > max_bytes {
        problems.too_large(format, bytes.len(), max_bytes);
        return Err(Box::new(FileError::new(problems.text, problems.found.into_inner())));
    }
    std::str::from_utf8(bytes).map_err(|err| {
        let good = err.valid_up_to();
        problems.text = std::str::from_utf8(&bytes[..good]).unwrap_or_default();
        problems.add(
            Span { from: good, to: good },
            "the file is not UTF-8",
            format!("byte {} is where it stops being text", good + 1),
            Some("save the file as UTF-8".into()),
        );
        Box::new(FileError::new(problems.text, problems.found.into_inner()))
    })
}

/// How a file names its format.
#[derive(Clone, Copy)]
pub(crate) struct Format {
    /// `brick.toml`.
    pub(crate) file: &'static str,
    /// `manifest`.
    pub(crate) key: &'static str,
    /// The one version that is known.
    pub(crate) version: u64,
}

fn read_document<T>(
    problems: &Problems<'_>,
    text: &str,
    max_bytes: usize,
    format: Format,
    read: impl for<'r> FnOnce(&mut Table<'r>) -> Option<T>,
) -> Option<T> {
    let start = Span { from: 0, to: 0 };
    if text.len() > max_bytes {
        problems.too_large(format, text.len(), max_bytes);
        return None;
    }
    // Only the first error of syntax: what follows it seldom means anything, and a hostile file could have one a byte.
    let document = match DeTable::parse(text) {
        Ok(document) => document,
        Err(err) => {
            let span = err.span().unwrap_or(0..0).into();
            problems.add(
                span,
                "this is not TOML",
                escape(err.message().trim()),
                syntax_hint(text, err.message()),
            );
            return None;
        }
    };
    let mut root = Table::of(problems, String::new(), start, document.get_ref());
    let version = match root.optional(format.key) {
        None => {
            let what = format!("`{}` is missing", format.key);
            let next = format!("begin the file with `{} = {}`", format.key, format.version);
            problems.add(start, what, "every file names its format version first", Some(next));
            format.version
        }
        Some(value) => value.whole()?,
    };
    if version != format.version {
        let span = root.span_of(format.key);
        let what = format!("`{} = {version}` is not known", format.key);
        let why = format!("this version of brick reads `{} = {}`", format.key, format.version);
        problems.add(span, what, why, Some("use a newer version of brick, or write the older format".into()));
        return None;
    }
    let value = read(&mut root);
    root.finish();
    value
}

fn syntax_hint(text: &str, message: &str) -> Option<String> {
    if text.lines().any(|line| line.starts_with("<<<<<<< ")) {
        return Some("the file holds marks of an unfinished merge (`<<<<<<<`): settle it first".into());
    }
    message.contains("duplicate key").then(|| "every key stands once: remove one of the two".into())
}
