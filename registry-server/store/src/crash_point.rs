//! Where may a process be ended to see that nothing is lost? At named points of its work, as if by `kill -9`.
//!
//! ```text
//! BRICKYARD_CRASH_POINT=commit-applied:3 brickyard serve    ends when it passes `commit-applied` for the third time
//! ```
//!
//! Only builds with debug assertions have the points; in a release build they are nothing at all, and asking for one is
//! refused at the start, so that nobody takes a run without crashes for a run that survived them.

/// Names the point, and the passing that ends the process: `NAME` or `NAME:PASSING`, counted from 1.
pub const CRASH_POINT_VARIABLE: &str = "BRICKYARD_CRASH_POINT";

/// Every point, in the order in which a publish, a cosignature, a mirrored step and a commit to git pass them.
pub const CRASH_POINTS: [&str; 36] = [
    // Publish, on its way into a log.
    "publish-admitted",
    "blob-received",
    "blob-written",
    "blob-flushed",
    "blob-renamed",
    "blob-kept",
    "publish-queued",
    "batch-taken",
    "batch-drafted",
    "commit-begun",
    "commit-leaves-written",
    "commit-applied",
    "commit-done",
    "batch-committed",
    "batch-shown",
    "batch-answered",
    // Cosigning, as a witness.
    "witness-checked",
    "witness-signed",
    "witness-persisted",
    "witness-answering",
    // Being cosigned.
    "cosignature-asked",
    "cosignature-came",
    "cosignature-stored",
    "quorum-served",
    // Mirroring.
    "mirror-looked",
    "mirror-archives-fetched",
    "mirror-replayed",
    "mirror-committed",
    "mirror-shown",
    "fetched-blob-checked",
    "fetched-blob-kept",
    // The git repository.
    "git-gathered",
    "git-objects-made",
    "git-pack-written",
    "git-branch-moved",
    "git-committed",
];

/// Why a process that was asked to crash does not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrashPointError {
    /// No point of that name.
    #[error("{CRASH_POINT_VARIABLE} names `{name}`, and there is no such point; there are: {}", CRASH_POINTS.join(", "))]
    Unknown {
        /// The name.
        name: String,
    },
    /// What comes after the colon is not a number from 1.
    #[error("{CRASH_POINT_VARIABLE} ends with `{passing}`, which is no number of a passing, counted from 1")]
    Passing {
        /// What stands there.
        passing: String,
    },
    /// A release build.
    #[error(
        "{CRASH_POINT_VARIABLE} is set, and this build has no such points: build it with debug assertions"
    )]
    NotBuilt,
}

/// Ends the process at once if this is the point and the passing that the environment names: nothing is unwound, flushed
/// or closed.
///
/// - `name`: one of [`CRASH_POINTS`].
#[inline]
pub fn crash_point(name: &'static str) {
    #[cfg(debug_assertions)]
    passing::pass(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// Whether the environment asks for a crash that can be had. A program asks before it begins to work.
///
/// - `value`: what [`CRASH_POINT_VARIABLE`] is set to.
///
/// # Errors
/// [`CrashPointError`].
pub fn check_crash_point(value: Option<&str>) -> Result<(), CrashPointError> {
    match value {
        None => Ok(()),
        Some(_) if cfg!(not(debug_assertions)) => Err(CrashPointError::NotBuilt),
        Some(value) => parse(value).map(|_| ()),
    }
}

/// The point and the passing.
fn parse(value: &str) -> Result<(&'static str, u64), CrashPointError> {
    let (name, passing) = value.split_once(':').unwrap_or((value, "1"));
    let point = CRASH_POINTS.into_iter().find(|point| *point == name);
    let point = point.ok_or_else(|| CrashPointError::Unknown { name: name.to_owned() })?;
    match passing.parse() {
        Ok(passing) if passing > 0 => Ok((point, passing)),
        _ => Err(CrashPointError::Passing { passing: passing.to_owned() }),
    }
}

#[cfg(debug_assertions)]
mod passing {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// What the environment asked for when the first point was passed.
    static WANTED: LazyLock<Option<(&'static str, u64)>> = LazyLock::new(|| {
        let value = std::env::var(super::CRASH_POINT_VARIABLE).ok()?;
        // A program that did not check crashes nowhere rather than somewhere.
        super::parse(&value).ok()
    });
    static PASSED: AtomicU64 = AtomicU64::new(0);

    pub(super) fn pass(name: &'static str) {
        debug_assert!(super::CRASH_POINTS.contains(&name), "{name} is on the list of crash points");
        if let Some((wanted, passing)) = *WANTED
            && wanted == name
            && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == passing
        {
            eprintln!("crash point {name}, passing {passing}");
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_points_have_one_name() {
        let mut names = CRASH_POINTS.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CRASH_POINTS.len());
    }

    #[cfg(debug_assertions)]
    #[test]
    fn what_is_asked_for_must_exist() {
        for good in ["commit-applied", "commit-applied:1", "git-branch-moved:40"] {
            assert_eq!(check_crash_point(Some(good)), Ok(()), "{good}");
        }
        assert_eq!(check_crash_point(None), Ok(()));
        for name in ["", "commit", "Commit-applied", "commit-applied "] {
            assert_eq!(check_crash_point(Some(name)), Err(CrashPointError::Unknown { name: name.into() }));
        }
        for passing in ["", "0", "-1", "1.5", "all"] {
            let value = format!("commit-applied:{passing}");
            assert_eq!(
                check_crash_point(Some(&value)),
                Err(CrashPointError::Passing { passing: passing.into() })
            );
        }
    }

    #[cfg(not(debug_assertions))]
    #[test]
    fn a_release_build_has_no_points() {
        assert_eq!(check_crash_point(Some("commit-applied")), Err(CrashPointError::NotBuilt));
    }
}
