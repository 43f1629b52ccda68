//! Where does the real data lie? Beside the repository, in `shared/corpus`, or nowhere.

use std::io::Write;
use std::path::PathBuf;

/// The folder or file `name` of the corpus, such as `govstack`; the whole corpus for `""`.
///
/// Without it the reason is printed as `skipped: …`, past the test harness's capture so that a passing run shows it,
/// and the caller returns.
pub fn find(name: &str) -> Option<PathBuf> {
    let found = place(name);
    if found.is_none() {
        skipped(&format!("there is no `../shared/corpus/{name}` beside the repository"));
    }
    found
}

fn place(name: &str) -> Option<PathBuf> {
    let repository = crate::repository();
    let beside = repository.parent()?.join("shared/corpus");
    let path = if name.is_empty() { beside } else { beside.join(name) };
    path.exists().then_some(path)
}

/// Says that a test did not run, and why, where a person sees it.
pub fn skipped(reason: &str) {
    // Standard error may be closed; then nobody is there to be told.
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_not_in_the_corpus_is_not_found() {
        assert_eq!(super::place("no-such-collection"), None);
    }

    #[test]
    fn what_is_found_is_there() {
        for name in ["", "govstack", "fiware"] {
            assert!(super::place(name).is_none_or(|path| path.is_dir()), "{name}");
        }
    }
}
