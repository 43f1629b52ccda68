//! Does an author get from nothing to an archive, and is every mistake on the way named with its next step?

mod support;

use support::{Room, check};

const GOOD: &str = r#"manifest = 1
[brick]
name = "northshire.gov.uk/case-handling"
version = "1.4.0"
kind = "component"
maturity = "live"
license = "MIT"
readme = "README.md"
[text.en]
title = "Case handling"
summary = "Open, assign, progress and close a case."
"#;

const OPENAPI: &str = "openapi: 3.1.0\ninfo: {title: Cases, version: 1.0.0}\npaths: {}\n";

/// A room with a good brick in it, `more` added to its manifest.
fn brick(more: &str) -> Room {
    let room = Room::new();
    room.write("brick.toml", format!("{GOOD}{more}")).write("README.md", "# Case handling\n");
    room
}

#[test]
fn a_new_brick_checks_and_packs_at_once() {
    let room = Room::new();
    check(
        &room,
        &["new", "northshire.gov.uk/case-handling", "--kind", "process"],
        0,
        &["Created", "brick check"],
    );
    assert!(room.read("case-handling/brick.toml").starts_with("#:schema .brick/brick.schema.json\n"));
    let schema: serde_json::Value =
        serde_json::from_str(&room.read("case-handling/.brick/brick.schema.json")).unwrap();
    assert!(schema["properties"]["brick"].is_object());
    check(&room, &["-C", "case-handling", "check"], 0, &["Checked", "template's"]);
    check(&room, &["-C", "case-handling", "check", "--strict"], 1, &["1 warning"]);
    let listed = check(&room, &["-C", "case-handling", "package", "--list"], 0, &[]);
    assert_eq!(listed.stdout, "README.md\nbrick.toml\n");
    check(
        &room,
        &["new", "northshire.gov.uk/case-handling"],
        1,
        &["there already", "brick init case-handling"],
    );
}

#[test]
fn a_folder_becomes_a_brick_or_a_service() {
    let room = Room::new();
    room.write("Case Handling/README.md", "mine");
    check(&room, &["init", "Case Handling"], 2, &["no name for a brick", "give `case-handling`"]);
    check(&room, &["init", "Case Handling", "--name", "case-handling"], 0, &["your-organisation.example"]);
    assert_eq!(room.read("Case Handling/README.md"), "mine");
    check(&room, &["init", "Case Handling", "--name", "case-handling"], 1, &["manifest already", "help: "]);
    check(&room, &["init", "nowhere"], 1, &["no folder", "brick new nowhere"]);
    check(
        &room,
        &["new", "report-bin", "--service", "--publisher", "northshire.gov.uk"],
        0,
        &["service northshire.gov.uk/report-bin"],
    );
    check(
        &room,
        &["-C", "report-bin", "check"],
        0,
        &["Checked northshire.gov.uk/report-bin", "no `[[part]]`"],
    );
    check(&room, &["-C", "report-bin", "package"], 2, &["is a service", "brick publish"]);
}

#[test]
fn outside_of_any_brick_the_next_step_is_named() {
    let room = Room::new();
    for command in [vec!["check"], vec!["package"]] {
        check(&room, &command, 1, &["no `brick.toml` or `service.toml`", "brick new NAME"]);
    }
    check(&room, &["check", "--manifest-path", "gone/brick.toml"], 1, &["no manifest", "gone"]);
    room.write("other.toml", GOOD);
    check(&room, &["check", "--manifest-path", "other.toml"], 2, &["is no manifest's name"]);
    room.write("both/brick.toml", GOOD).write("both/service.toml", "");
    check(&room, &["-C", "both", "check"], 2, &["a brick and a service", "--manifest-path"]);
}

#[test]
fn a_brick_is_found_from_the_folders_below_it() {
    let room = brick("");
    room.write("api/deep/x.txt", "");
    check(&room, &["-C", "api/deep", "check"], 0, &["northshire.gov.uk/case-handling 1.4.0"]);
}

#[test]
fn a_typo_in_a_key_is_shown_with_caret_and_the_nearest_key() {
    let room = brick("");
    room.write("brick.toml", GOOD.replace("license", "licence"));
    let ended = check(
        &room,
        &["check"],
        1,
        &["`licence` is not a key of", "did you mean `license`?", "brick.toml:7", "^^^^^^^"],
    );
    assert!(!ended.stderr.contains('\u{1b}'), "{}", ended.stderr);
    check(&room, &["package"], 1, &["did you mean `license`?", "has a problem", "brick check"]);
    let json: serde_json::Value = serde_json::from_str(&room.run(&["check", "--json"]).stdout).unwrap();
    assert_eq!((json["schema"].as_str(), json["ok"].as_bool()), (Some("brick/check/v1"), Some(false)));
    let typo = &json["problems"].as_array().unwrap().iter().find(|p| p["line"] == 7).unwrap();
    assert_eq!((typo["file"].as_str(), typo["column"].as_u64()), (Some("brick.toml"), Some(1)));
    assert!(typo["next"].as_str().unwrap().contains("license"));
}

#[test]
fn what_deceives_in_a_manifest_cannot_act_on_the_terminal() {
    let room = brick("");
    room.write("brick.toml", format!("{GOOD}evil\u{1b}[2J\u{202e} = 1\n"));
    let ended = room.run(&["check"]);
    assert_eq!(ended.code, 1);
    assert!(!ended.stderr.contains(['\u{1b}', '\u{202e}']), "{:?}", ended.stderr);
}

#[test]
fn manifests_that_are_wrong_are_refused_by_their_rule() {
    for (what, from, to, says) in [
        ("unknown version", "manifest = 1", "manifest = 2", "`manifest = 2` is not known"),
        ("unlisted licence", "\"MIT\"", "\"MTI\"", "licence is not on SPDX's list"),
        ("unknown kind", "component", "componnt", "component"),
        ("bad version", "1.4.0", "1.4", "brick.version"),
        ("no such readme", "README.md", "READ.md", "did you mean `README.md`?"),
        ("not toml", "[text.en]", "[text.en", "not TOML"),
    ] {
        let room = brick("");
        room.write("brick.toml", GOOD.replacen(from, to, 1));
        let ended = room.run(&["check"]);
        assert!(ended.code == 1 && ended.stderr.contains(says), "{what}: {}", ended.stderr);
    }
}

#[test]
fn declared_files_must_be_there_and_be_what_they_are_said_to_be() {
    let declared = |format: &str| {
        format!("[[file]]\npath = \"api/case.yaml\"\nrole = \"interface\"\nformat = \"{format}\"\n")
    };
    let room = brick(&declared("openapi-3.1"));
    check(&room, &["check"], 1, &["`file.path` names `api/case.yaml`", "not among the brick's files"]);
    room.write("api/case.yaml", OPENAPI);
    check(&room, &["check", "--strict"], 0, &["nothing to correct"]);
    room.write("api/case.yaml", "openapi: 3.1.0\n  bad: [");
    check(&room, &["check"], 1, &["error: api/case.yaml", "not YAML", "role = \"docs\""]);
    room.write("brick.toml", format!("{GOOD}{}", declared("openapi-3.0"))).write("api/case.yaml", OPENAPI);
    check(&room, &["check"], 1, &["it says it is OpenAPI 3.1.0, the manifest says openapi-3.0"]);
    // Not declared: only its name promised something.
    let room = brick("");
    room.write("process.bpmn", "<not-bpmn/>");
    check(&room, &["check"], 0, &["warning: process.bpmn", "not BPMN"]);
}

#[test]
fn what_must_not_be_published_stops_packing() {
    let room = brick("");
    room.write("deploy.key", "x");
    check(&room, &["check"], 1, &["looks like a secret", "deploy.key", "exclude"]);
    check(&room, &["package"], 1, &["looks like a secret", "deploy.key", "exclude"]);
}

#[test]
fn an_archive_is_the_same_each_time_and_is_told_in_full() {
    let room = brick("");
    let first = check(&room, &["package"], 0, &["Packaged", "2 files"]);
    assert_eq!(first.stdout, ".brick/package/case-handling-1.4.0.brick\n");
    check(&room, &["package", "--out", "a.brick"], 0, &["a.brick"]);
    let bytes = |path: &str| std::fs::read(room.work().join(path)).unwrap();
    assert_ne!(bytes("a.brick").len(), 0);
    // The first archive lies in a hidden folder; a second one beside the files would be in the third.
    let again = Room::new();
    again.write("brick.toml", GOOD).write("README.md", "# Case handling\n");
    check(&again, &["package", "--out", "."], 0, &["case-handling-1.4.0.brick"]);
    assert_eq!(
        std::fs::read(again.work().join("case-handling-1.4.0.brick")).unwrap(),
        bytes(".brick/package/case-handling-1.4.0.brick")
    );
    let json: serde_json::Value =
        serde_json::from_str(&brick("").run(&["package", "--json"]).stdout).unwrap();
    assert_eq!(
        (json["schema"].as_str(), json["version"].as_str()),
        (Some("brick/package/v1"), Some("1.4.0"))
    );
    assert_eq!(json["files"].as_array().unwrap().len(), 2);
    assert!(json["contents"].as_str().unwrap().starts_with("h1:"));
}

#[test]
fn a_service_is_checked_against_its_lockfile() {
    let room = Room::new();
    let service = r#"manifest = 1
[service]
id = "northshire.gov.uk/report-missed-bin"
function = "lgsl:524"
status = "live"
body = "local-authority-eng:XXX"
[text.en]
title = "Report a missed bin"
summary = "Tell us that a bin was not emptied."
[[part]]
step = "report"
brick = "midshire.gov.uk/missed-bin"
version = "^2.1"
"#;
    room.write("service.toml", service);
    check(&room, &["check"], 0, &["no lockfile yet", "brick update"]);
    let lock = |version: &str| {
        format!(
            "version = 1\n[commons]\norigin = \"commons.example/root\"\nroot-sha256 = \"{0}\"\n[[brick]]\nname = \"midshire.gov.uk/missed-bin\"\nversion = \"{version}\"\ncksum = \"{0}\"\nentry = 3\n",
            "a".repeat(64)
        )
    };
    room.write("brick.lock", lock("2.1.3"));
    check(&room, &["check", "--strict"], 0, &["nothing to correct"]);
    room.write("brick.lock", lock("2.0.0"));
    check(
        &room,
        &["check"],
        1,
        &["no version of `midshire.gov.uk/missed-bin` that meets `^2.1`", "brick update"],
    );
    room.write("brick.lock", "version = 9\n");
    check(&room, &["check"], 1, &["brick.lock", "version = 9"]);
    room.write(
        "service.toml",
        format!("{service}policy = \"policy.toml\"\n").replacen("[[part]]", "[[part]]", 1),
    );
    check(&room, &["check"], 1, &["policy"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_and_leaves_nothing_half_written() {
    let room = brick("");
    // Incompressible, so that the archive cannot fit.
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
    .take(400_000)
    .collect();
    room.write("noise.bin", noise);
    let full = room.work().join("full");
    std::fs::create_dir(&full).unwrap();
    let brick = env!("CARGO_BIN_EXE_brick");
    let script = format!(
        "mount -t tmpfs -o size=64k none {0} || exit 77; {brick} package --out {0}/a.brick; code=$?; ls -A {0}; exit $code",
        full.display()
    );
    let ended = std::process::Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .current_dir(room.work())
        .env("BRICK_HOME", room.home())
        .output();
    let Some(ended) = ended.ok().filter(|ended| {
        matches!(ended.status.code(), Some(0 | 1 | 2 | 3 | 4 | 101))
            && !String::from_utf8_lossy(&ended.stderr).contains("unshare failed")
    }) else {
        println!("skipped: a small file system of one's own cannot be mounted here");
        return;
    };
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("cannot write") && stderr.contains("make room on that disk"), "{stderr}");
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "", "nothing is left behind");
}
