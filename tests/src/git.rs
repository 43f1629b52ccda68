//! How is the ordinary `git` run so that a machine's own settings change nothing?

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder to run git in.
pub struct Git {
    dir: PathBuf,
}

impl Git {
    /// Git, run in `dir`.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Clones `url` into the new folder `to`.
    ///
    /// # Panics
    /// When git fails; its words are in the panic.
    pub fn clone(url: &str, to: &Path) -> Self {
        let parent = to.parent().expect("a clone goes into a folder");
        Self::at(parent).run(&["clone", "--quiet", "--end-of-options", url, &to.to_string_lossy()]);
        Self::at(to)
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs git and returns what it printed, without the last line's end.
    ///
    /// # Panics
    /// When git fails; its words are in the panic.
    pub fn run(&self, args: &[&str]) -> String {
        let output = self.output(args);
        assert!(
            output.status.success(),
            "git {args:?} in {}: {}\n{}",
            self.dir.display(),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
    }

    /// Runs git, whatever comes of it.
    ///
    /// # Panics
    /// When there is no git to run.
    pub fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("git can be run")
    }

    /// A command line of git with none of the machine's environment but `PATH`: no configuration, no hooks, no questions.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.env_clear();
        for name in crate::process::KEPT_VARIABLES {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", if cfg!(windows) { "NUL" } else { "/dev/null" })
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_AUTHOR_NAME", "tests")
            .env("GIT_AUTHOR_EMAIL", "tests@example.org")
            .env("GIT_COMMITTER_NAME", "tests")
            .env("GIT_COMMITTER_EMAIL", "tests@example.org")
            .env("LC_ALL", "C")
            .args([
                "-c",
                "init.defaultBranch=main",
                "-c",
                "core.hooksPath=/dev/null",
                "-c",
                "safe.directory=*",
            ])
            .args(args)
            .current_dir(&self.dir)
            .stdin(std::process::Stdio::null());
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_made_and_cloned_without_the_machines_settings() {
        let dir = tempfile::tempdir().unwrap();
        let git = Git::at(dir.path());
        git.run(&["init", "--quiet", "first"]);
        let first = Git::at(dir.path().join("first"));
        std::fs::write(first.dir().join("file"), "text").unwrap();
        first.run(&["add", "file"]);
        first.run(&["commit", "--quiet", "--message", "a file"]);
        let second = Git::clone(&first.dir().to_string_lossy(), &dir.path().join("second"));
        assert_eq!(second.run(&["log", "--format=%an %s"]), "tests a file");
        assert_eq!(second.run(&["branch", "--show-current"]), "main");
    }

    #[test]
    fn a_failure_says_what_git_said() {
        let dir = tempfile::tempdir().unwrap();
        let output = Git::at(dir.path()).output(&["rev-parse", "HEAD"]);
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("not a git repository"));
    }
}
