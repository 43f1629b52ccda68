//! Where is a file wrong, why, and what next? Errors in files that people write, all of one file together.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// Problems of one file that are kept; of further ones only their number.
pub const MAX_PROBLEMS: usize = 20;

/// One thing that is wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line, counted from 1.
    pub line: usize,
    /// Character in the line, counted from 1.
    pub column: usize,
    /// Bytes of the file that it is about.
    pub span: Range<usize>,
    /// What is wrong, naming the key: one line, foreign text escaped.
    pub what: String,
    /// Why, said beside the caret.
    pub why: String,
    /// What to do: the nearest valid key, or another next step.
    pub next: Option<String>,
}

/// Why a file that a person wrote was not accepted: every problem that was found, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    problems: Vec<Problem>,
    left_out: usize,
}

impl FileError {
    /// An error of `problems` in `text`, of which there is at least one; those over [`MAX_PROBLEMS`] are counted.
    ///
    /// Lines and columns are found here, for those alone that are kept: each costs a look at all of the text before it.
    pub(crate) fn new(text: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|p| (p.span.start, p.span.end));
        let left_out = problems.len().saturating_sub(MAX_PROBLEMS);
        problems.truncate(MAX_PROBLEMS);
        for problem in &mut problems {
            (problem.line, problem.column) = line_and_column(text, problem.span.start);
        }
        Self { problems, left_out }
    }

    /// The problems, in the order of the file; at least 1, at most [`MAX_PROBLEMS`].
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Says everything: for each problem what, the place with its line and a caret, why, and the next step.
    ///
    /// - `file_name`: as the person knows it; escaped here.
    /// - `text`: the file as it was parsed. Characters that could disturb a terminal are shown as `�`.
    /// - `color`: whether to use ANSI colours.
    pub fn render(&self, file_name: &str, text: &str, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let file_name = crate::text::escape(file_name);
        let shown = visible(text);
        let mut out = String::new();
        for problem in &self.problems {
            let span = clamp(&shown, &problem.span);
            let snippet = Snippet::source(shown.as_str())
                .path(file_name.as_str())
                .annotation(AnnotationKind::Primary.span(span).label(problem.why.as_str()));
            let mut group = Level::ERROR.primary_title(problem.what.as_str()).element(snippet);
            if let Some(next) = &problem.next {
                group = group.element(Level::HELP.message(next.as_str()));
            }
            if !out.is_empty() {
                out.push('\n');
            }
            out.push_str(&renderer.render(&[group]));
            out.push('\n');
        }
        if self.left_out > 0 {
            out.push_str(&format!("\nand {} more in {file_name}\n", self.left_out));
        }
        out
    }
}

impl std::fmt::Display for FileError {
    /// The first problem on one line, and how many there are.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(first) = self.problems.first() else { return f.write_str("the file is wrong") };
        write!(f, "line {}, column {}: {}: {}", first.line, first.column, first.what, first.why)?;
        match self.problems.len() - 1 + self.left_out {
            0 => Ok(()),
            more => write!(f, " (and {more} more)"),
        }
    }
}

impl std::error::Error for FileError {}

/// Line and character of byte `at`, both counted from 1.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..clamp(text, &(at..at)).start];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.bytes().filter(|b| *b == b'\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// `span` cut to whole characters that `text` has.
fn clamp(text: &str, span: &Range<usize>) -> Range<usize> {
    let whole = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = whole(span.start);
    start..whole(span.end).max(start)
}

/// The text with everything that deceives the eye or drives a terminal made visible, each by as many bytes as it had, so
/// that spans keep their meaning.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = None;
    for c in text.chars() {
        if !matches!(c, '\n' | '\r' | '\t') && crate::text::deceives(before, c) {
            out.push_str(match c.len_utf8() {
                1 => "?",
                2 => "¿",
                3 => "\u{fffd}",
                _ => "¿¿",
            });
        } else {
            out.push(c);
        }
        before = Some(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_shown_and_take_their_room() {
        let text = "a\u{1b}[31m\u{85}\u{202e}\u{200b}\u{e0041}b\n";
        let shown = visible(text);
        assert_eq!(shown, "a?[31m¿\u{fffd}\u{fffd}¿¿b\n");
        assert_eq!(shown.len(), text.len());
    }

    #[test]
    fn lines_and_columns_count_characters_from_one() {
        assert_eq!(line_and_column("", 0), (1, 1));
        assert_eq!(line_and_column("ab\nüc", 5), (2, 2));
        assert_eq!(line_and_column("ab\nüc", 4), (2, 1), "inside a character: its start");
        assert_eq!(line_and_column("ab", 99), (1, 3));
    }

    #[test]
    fn spans_outside_the_text_do_not_panic() {
        let problem =
            Problem { line: 1, column: 1, span: 5..99, what: "w".into(), why: "y".into(), next: None };
        let error = FileError::new("", vec![problem]);
        for text in ["", "ü", "aaaa\u{202e}bbbb"] {
            assert!(error.render("x.toml", text, true).contains('w'));
        }
    }
}
