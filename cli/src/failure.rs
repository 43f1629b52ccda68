//! Why did a command not do what was wanted, whose turn is it, and what is the next step?

use std::error::Error;

/// Whose turn it is, and the exit code that says so (design §11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Fix the input.
    Yours,
    /// Call it differently.
    Usage,
    /// A signature, digest or history is wrong: nothing was changed, evidence is kept.
    Alarm,
    /// Try again later, or another registry.
    Network,
    /// Ours.
    Bug,
}

impl Family {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Family::Yours => 1,
            Family::Usage => 2,
            Family::Alarm => 3,
            Family::Network => 4,
            Family::Bug => 101,
        }
    }

    /// The one word in `--json` output.
    pub fn word(self) -> &'static str {
        match self {
            Family::Yours => "yours",
            Family::Usage => "usage",
            Family::Alarm => "alarm",
            Family::Network => "network",
            Family::Bug => "bug",
        }
    }
}

/// What went wrong, why, and one next step.
///
/// Printed as cargo does:
/// ```text
/// error: cannot read key file `keys/ci`
///   caused by: permission denied
/// help: run `brick key list` to see the keys there are
/// ```
#[derive(Debug, Clone)]
pub struct Failure {
    family: Family,
    what: String,
    detail: Option<String>,
    because: Vec<String>,
    help: Option<String>,
    is_told: bool,
}

impl Failure {
    /// A failure of `family`; `what` names the thing, without a full stop.
    pub fn new(family: Family, what: impl Into<String>) -> Self {
        Self { family, what: what.into(), detail: None, because: Vec::new(), help: None, is_told: false }
    }

    /// Something for the caller to fix.
    pub fn yours(what: impl Into<String>) -> Self {
        Self::new(Family::Yours, what)
    }

    /// A call that makes no sense.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Family::Usage, what)
    }

    /// Something that must not be relied on.
    pub fn alarm(what: impl Into<String>) -> Self {
        Self::new(Family::Alarm, what)
    }

    /// Something that may work later or elsewhere.
    pub fn network(what: impl Into<String>) -> Self {
        Self::new(Family::Network, what)
    }

    /// Our fault.
    pub fn bug(what: impl Into<String>) -> Self {
        Self::new(Family::Bug, what)
    }

    pub(crate) fn panicked() -> Self {
        Self::bug("brick stopped because of a fault of its own; what it was writing was not put in place")
            .help("run it again with RUST_BACKTRACE=1 and report what it prints")
    }

    /// Adds a cause and its whole chain of sources.
    #[must_use]
    pub fn because(mut self, err: &(dyn Error + 'static)) -> Self {
        let mut next = Some(err);
        while let Some(err) = next {
            let text = err.to_string();
            // Some libraries repeat their source in their own text.
            if self.because.last() != Some(&text) {
                self.because.push(text);
            }
            next = err.source();
        }
        self
    }

    /// Adds a cause in words.
    #[must_use]
    pub fn reason(mut self, text: impl Into<String>) -> Self {
        self.because.push(text.into());
        self
    }

    /// Adds a block of whole lines shown under the first, such as a manifest's line with a caret. Whoever renders it
    /// escapes foreign text in it; colours are taken out where there are none.
    #[must_use]
    pub fn detail(mut self, block: impl Into<String>) -> Self {
        self.detail = Some(block.into());
        self
    }

    /// Says that the one JSON document of this run has been printed and holds the failure already.
    #[must_use]
    pub(crate) fn told(mut self) -> Self {
        self.is_told = true;
        self
    }

    pub(crate) fn is_told(&self) -> bool {
        self.is_told
    }

    /// Says one next step, in the imperative.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Whose turn it is.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The first line.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The lines under the first.
    pub fn block(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// The causes, outermost first.
    pub fn causes(&self) -> &[String] {
        &self.because
    }

    /// The next step.
    pub fn next_step(&self) -> Option<&str> {
        self.help.as_deref()
    }
}
