//! How does a command end that did not work? What, where, why, and one next step.

use brick_schemas::text::escape;

use crate::registry::RegistryError;

/// The input cannot be met: fix it.
pub const EXIT_YOURS: u8 = 1;
/// The command line is wrong.
pub const EXIT_USAGE: u8 = 2;
/// Something that was signed or stored does not fit: look before doing anything else.
pub const EXIT_ALARM: u8 = 3;
/// Something outside is not available: try later.
pub const EXIT_UNAVAILABLE: u8 = 4;

/// Why a command did not do what it was told.
#[derive(Debug)]
pub struct Failure {
    /// The process's exit code.
    pub code: u8,
    /// What did not work, then why, outermost first.
    causes: Vec<String>,
    /// What to do next.
    next: Option<String>,
}

impl Failure {
    /// Something of the operator's is in the way.
    pub fn yours(what: impl Into<String>) -> Self {
        Self { code: EXIT_YOURS, causes: vec![what.into()], next: None }
    }

    /// Something outside is not to be had.
    pub fn unavailable(what: impl Into<String>) -> Self {
        Self { code: EXIT_UNAVAILABLE, ..Self::yours(what) }
    }

    /// Something that was signed or stored does not fit.
    pub fn alarm(what: impl Into<String>) -> Self {
        Self { code: EXIT_ALARM, ..Self::yours(what) }
    }

    /// With the error that caused it, and what caused that.
    pub fn because(mut self, err: &dyn std::error::Error) -> Self {
        let mut cause = Some(err);
        while let Some(err) = cause {
            let text = escape(&err.to_string());
            // Wrappers that only pass an error on say the same.
            if self.causes.last() != Some(&text) {
                self.causes.push(text);
            }
            cause = err.source();
        }
        self
    }

    /// With what to do next.
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// A registry that could not be opened or started.
    pub fn of_registry(what: impl Into<String>, err: &RegistryError) -> Self {
        let failure = Self::yours(what).because(err);
        match err {
            RegistryError::Damaged { .. } => Self { code: EXIT_ALARM, ..failure }
                .next("do not delete anything; compare the store with a mirror, or restore a backup and start again"),
            RegistryError::Refused(_) => Self { code: EXIT_ALARM, ..failure },
            RegistryError::Listen { .. } => Self { code: EXIT_UNAVAILABLE, ..failure }
                .next("choose another address with `listen` in registry.toml, or stop what uses it"),
            RegistryError::Store(_) | RegistryError::Git(_) | RegistryError::Thread(_) => failure,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, cause) in self.causes.iter().enumerate() {
            match at {
                0 => write!(f, "error: {cause}")?,
                _ => write!(f, "\n  because {cause}")?,
            }
        }
        match &self.next {
            Some(next) => write!(f, "\n  next: {next}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_why_and_what_next() {
        let io = std::io::Error::other("no such thing\u{1b}[2J");
        let failure = Failure::yours("cannot read /etc/registry.toml").because(&io).next("make it");
        assert_eq!(
            failure.to_string(),
            "error: cannot read /etc/registry.toml\n  because no such thing\\u{1b}[2J\n  next: make it"
        );
    }
}
