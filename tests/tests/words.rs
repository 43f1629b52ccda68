//! Do the files that belong to the repository say only what others may read, and nothing half done?

use brick_tests::corpus::skipped;
use brick_tests::git::Git;
use brick_tests::repository;

/// Needles are written in two halves, so that this file does not hold them.
const UNFINISHED: [(&str, &str); 8] = [
    ("to", "do!("),
    ("TO", "DO"),
    ("FIX", "ME"),
    ("unimple", "mented!("),
    ("XX", "X:"),
    ("for n", "ow,"),
    ("not yet imple", "mented"),
    ("in a real imple", "mentation"),
];
/// Absolute paths of somebody's machine.
const MACHINE: [(&str, &str); 6] =
    [("/wo", "rk/"), ("/ro", "ot/"), ("/ho", "me/"), ("/Us", "ers/"), ("C:\\Us", "ers"), ("/t", "mp/bash")];
/// Where packages come from is the business of whoever builds.
const HOSTS: [(&str, &str); 7] = [
    ("crates", ".io"),
    ("pypi", ".org"),
    ("pythonhosted", ".org"),
    ("registry.npmjs", ".org"),
    ("proxy.golang", ".org"),
    ("lib", ".rs/"),
    ("rubygems", ".org"),
];
/// Files larger than this are data.
const MAX_BYTES: usize = 1024 * 1024;

/// The text files that git tracks, with their content; `None` where there is no git repository.
fn tracked() -> Option<Vec<(String, String)>> {
    let output = Git::at(repository()).output(&["ls-files", "-z"]);
    if !output.status.success() {
        skipped("the sources are no git repository, so nobody can tell which files belong to them");
        return None;
    }
    let names = String::from_utf8(output.stdout).expect("names are text");
    let read = |name: &str| {
        // A file may be tracked and deleted a moment ago.
        let bytes = std::fs::read(repository().join(name)).ok()?;
        let text = String::from_utf8(bytes).ok().filter(|text| text.len() <= MAX_BYTES)?;
        Some((name.to_owned(), text))
    };
    let files: Vec<_> = names.split_terminator('\0').filter_map(read).collect();
    assert!(files.len() > 100, "the files were looked at");
    Some(files)
}

/// Each line that holds one of `needles` after a character that `may_precede` it.
fn lines_with(
    needles: &[(&str, &str)],
    skips: impl Fn(&str) -> bool,
    may_precede: fn(char) -> bool,
) -> Vec<String> {
    let needles: Vec<String> = needles.iter().map(|(head, tail)| format!("{head}{tail}")).collect();
    let mut found = Vec::new();
    for (name, text) in tracked().unwrap_or_default() {
        if skips(&name) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let is_hit = |needle: &String| {
                line.match_indices(needle.as_str())
                    .any(|(at, _)| line[..at].chars().next_back().is_none_or(may_precede))
            };
            if let Some(needle) = needles.iter().find(|needle| is_hit(needle)) {
                found.push(format!("{name}:{}: {needle}", number + 1));
            }
        }
    }
    found
}

#[test]
fn nothing_is_marked_as_unfinished() {
    let found = lines_with(&UNFINISHED, |_| false, |before| !before.is_alphanumeric());
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_file_names_a_place_on_somebodys_machine() {
    // A relative path or a URL goes on before the slash.
    let begins = |before: char| !(before.is_alphanumeric() || "._-~}>)]*$".contains(before));
    let found = lines_with(&MACHINE, |_| false, begins);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_file_names_where_packages_come_from() {
    // Lock files name the source of every package: it is how cargo pins them.
    let found = lines_with(&HOSTS, |name| name.ends_with("Cargo.lock"), |_| true);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_relative_link_of_a_page_leads_to_a_file() {
    let mut broken = Vec::new();
    let mut looked_at = 0;
    for (name, text) in tracked().unwrap_or_default() {
        if !name.ends_with(".md") || name.contains("/seeds/") {
            continue;
        }
        let folder = repository().join(&name).parent().expect("a file lies in a folder").to_owned();
        let mut is_code = false;
        for (number, line) in text.lines().enumerate() {
            is_code ^= line.trim_start().starts_with("```");
            if is_code {
                continue;
            }
            for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let path = target.split('#').next().unwrap_or_default();
                if path.is_empty()
                    || path.contains("://")
                    || path.starts_with("mailto:")
                    || path.contains(' ')
                {
                    continue;
                }
                looked_at += 1;
                if !folder.join(path).exists() {
                    broken.push(format!("{name}:{}: {target}", number + 1));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{looked_at} links: {broken:#?}");
}

#[test]
fn programs_of_the_repository_can_be_run() {
    let programs = ["tests/run", "tests/bench", ".ci/run", "tests/fuzz/run"];
    let output = Git::at(repository()).output(&[&["ls-files", "--stage"], &programs[..]].concat());
    let listing = String::from_utf8_lossy(&output.stdout);
    for line in listing.lines() {
        assert!(line.starts_with("100755 "), "{line} is not executable");
    }
}
