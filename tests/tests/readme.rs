//! The README's words: do its two commands stand, and does the first tell its story in under a screen?

use brick_tests::process::Room;
use brick_tests::repository;

/// Lines of a terminal as people have it.
const SCREEN: usize = 24;

fn readme() -> String {
    std::fs::read_to_string(repository().join("README.md")).expect("a README")
}

#[test]
fn the_readme_names_two_commands_that_are_there() {
    let readme = readme();
    let blocks: Vec<&str> =
        readme.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks, ["cargo run --release --bin brick -- quickstart\n", "./tests/run\n"]);
    assert!(repository().join("tests/run").is_file());
    let ci = std::fs::read_to_string(repository().join(".ci/run")).expect("the gate");
    assert!(
        ci.lines().any(|line| line.trim_end().ends_with("./tests/run")),
        "the gate runs the README's command"
    );
}

#[test]
fn quickstart_tells_its_story_in_under_a_screen_and_leaves_nothing() {
    let room = Room::new();
    let ended = room.run("brick", &["quickstart", "--exit"]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stderr, ended.stdout);
    let said = format!("{}{}", ended.stderr, ended.stdout);
    assert!(said.lines().count() < SCREEN, "{said}");
    for verb in
        ["Founded", "Admitted", "Published", "Mirrored", "Resolved", "Verified", "Vendored", "Declared"]
    {
        assert!(said.contains(verb), "{verb} is told: {said}");
    }
    let left: Vec<_> = std::fs::read_dir(room.work()).expect("a folder").collect();
    assert!(left.is_empty(), "nothing is left where it was run: {left:?}");
}

#[test]
fn quickstart_publishes_a_folder_of_ones_own() {
    let room = Room::new();
    room.run("brick", &["new", "parish.example/notice-board"]).success();
    let ended = room.run("brick", &["quickstart", "--exit", "--from", "."]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stderr, ended.stdout);
    assert!(ended.stderr.contains("Published 1 release"), "{}", ended.stderr);
    let empty = Room::new();
    let ended = empty.run("brick", &["quickstart", "--exit", "--from", "."]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("brick.toml") && ended.stderr.contains("help:"), "{}", ended.stderr);
}
