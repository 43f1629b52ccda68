//! What does a person meet first? Help, usage errors, and the streams that things are said on.

mod support;

use support::{Room, check};

#[test]
fn no_arguments_show_help_and_mean_usage() {
    check(&Room::new(), &[], 2, &["Usage: brick", "completions"]);
}

#[test]
fn an_unknown_command_suggests_the_nearest() {
    check(&Room::new(), &["completion"], 2, &["completion", "completions"]);
}

#[test]
fn help_and_version_are_results() {
    let room = Room::new();
    let ended = room.run(&["--help"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert!(ended.stdout.contains("Exit codes"), "{}", ended.stdout);
    let ended = room.run(&["--version"]);
    assert_eq!((ended.code, ended.stdout.trim()), (0, concat!("brick ", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn every_command_begins_its_help_with_an_imperative_line_without_full_stop() {
    fn walk(command: &clap::Command) {
        for inner in command.get_subcommands() {
            let after = inner.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains("Example") && after.contains("  brick "), "{}: {after}", inner.get_name());
            let about = inner.get_about().map(ToString::to_string).unwrap_or_default();
            let name = inner.get_name();
            assert!(!about.is_empty() && !about.ends_with('.') && about.len() <= 110, "{name}: {about:?}");
            assert!(about.starts_with(char::is_uppercase), "{name}: {about:?}");
            walk(inner);
        }
    }
    brick_cli::command().debug_assert();
    walk(&brick_cli::command());
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    check(&Room::new(), &["-C", "nowhere", "man", "m"], 1, &["there is no directory", "nowhere", "help: "]);
}

#[test]
fn manual_pages_are_written_for_every_command() {
    let room = Room::new();
    check(&room, &["man", "pages"], 0, &["Wrote"]);
    for page in ["brick.1", "brick-man.1", "brick-completions.1", "brick-commons-admit-registry.1"] {
        assert!(room.read(format!("pages/{page}")).contains(".TH"), "{page}");
    }
    for (page, says) in [
        ("brick-fetch.1", ["brick fetch", "Exit codes:"]),
        ("brick-commons-admit-registry.1", ["introduction.json", "by voice or on paper"]),
    ] {
        let text = room.read(format!("pages/{page}")).replace('\\', "");
        assert!(says.iter().all(|say| text.contains(say)), "{page}: {text}");
    }
}

#[test]
fn quiet_says_nothing_and_color_never_no_escapes() {
    let room = Room::new();
    let ended = room.run(&["-q", "man", "pages"]);
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, "", ""));
    assert!(room.run(&["--color=always", "man", "pages"]).stderr.contains("\u{1b}["));
    assert!(!room.run(&["--color=never", "man", "pages"]).stderr.contains('\u{1b}'));
}

#[test]
fn completions_are_printed_for_the_usual_shells() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ended = Room::new().run(&["completions", shell]);
        assert!(ended.code == 0 && ended.stdout.contains("brick"), "{shell}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_reader_who_leaves_is_no_error_and_a_full_one_is() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ended = Room::new().program(&["completions", "bash"]).stdout(full).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("cannot write to standard output"));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = Room::new().program(&["completions", "bash"]).stdout(writer).output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr), (Some(0), Vec::new()));
}
