//! Where was this release made? The commit that the folder stands at, if it holds nothing else.

use std::path::Path;
use std::process::{Command, Stdio};

use brick_schemas::predicate::release::Source;
use brick_schemas::url::Url;

use crate::context::Context;

/// Characters of a commit id, at most (SHA-256 repositories).
const MAX_COMMIT_CHARS: usize = 64;

/// The repository and commit, if the manifest names a repository and the folder is exactly a commit of one.
///
/// It is a claim of the publisher's: readers compare the archive with that commit themselves.
pub(super) fn of(ctx: &Context, dir: &Path, repository: Option<&Url>) -> Option<Source> {
    let repository = repository?;
    let commit = git(ctx, dir, &["rev-parse", "--verify", "--quiet", "HEAD"])?;
    let commit = commit.trim();
    if commit.len() > MAX_COMMIT_CHARS || !commit.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let changed = git(ctx, dir, &["status", "--porcelain", "--untracked-files=normal", "--", "."])?;
    if !changed.trim().is_empty() {
        ctx.note(format_args!(
            "the folder holds changes that are not committed: the release will name no commit"
        ));
        return None;
    }
    Some(Source { repository: repository.to_string(), commit: commit.to_owned() })
}

/// What git says, or nothing where there is no git or no repository.
fn git(ctx: &Context, dir: &Path, args: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    command.arg("-C").arg(dir).args(args).env_clear().stdin(Stdio::null()).stderr(Stdio::null());
    for name in ["PATH", "HOME", "USERPROFILE", "SYSTEMROOT"] {
        if let Some(value) = ctx.env(name) {
            command.env(name, value);
        }
    }
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}
