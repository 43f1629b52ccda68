//! Is a commons founded as its stewards agreed, and shown for what it is?

mod support;

use support::{Ended, Room, check};

fn key(room: &Room, name: &str) -> String {
    let made = room.run(&["key", "new", name, "--no-passphrase"]);
    assert_eq!(made.code, 0, "{made:?}");
    made.stdout.trim().to_owned()
}

/// A room with keys `s1 s2 s3 r1 log`, and a draft root of two of three stewards.
fn founded() -> Room {
    let room = Room::new();
    for name in ["s1", "s2", "s3", "r1", "log", "stranger"] {
        key(&room, name);
    }
    let args = ["--steward", "s1", "--steward", "s2", "--steward", "s3", "--registrar", "r1", "--log", "log"];
    init(&room, &args, 0, &["Drafted", "2 of 3 sign every root", "digest to pin", "commons sign root.json"]);
    room
}

fn init(room: &Room, args: &[&str], code: u8, says: &[&str]) -> Ended {
    let all: Vec<&str> =
        ["commons", "init", "commons.example"].into_iter().chain(args.iter().copied()).collect();
    check(room, &all, code, says)
}

#[test]
fn a_root_is_drafted_signed_and_shown() {
    let room = founded();
    check(
        &room,
        &["commons", "show", "root.json"],
        0,
        &["root 1 of the commons commons.example", "0 of 2 stewards, 2 still to come"],
    );
    check(
        &room,
        &["commons", "sign", "root.json", "--key", "s1", "--yes"],
        0,
        &["Signed", "1 of 2 stewards"],
    );
    check(&room, &["commons", "sign", "root.json", "--key", "s1", "--yes"], 0, &["1 of 2 stewards"]);
    check(&room, &["commons", "sign", "root.json", "--key", "s3", "--yes"], 0, &["2 of 2 stewards, enough"]);
    let shown =
        check(&room, &["commons", "show", "root.json"], 0, &["`s1`", "`s3`", "2 of 2 stewards, enough"]);
    let json: serde_json::Value =
        serde_json::from_str(&room.run(&["commons", "show", "root.json", "--json"]).stdout).unwrap();
    assert_eq!(json["schema"], "brick/commons-show/v1");
    assert_eq!((json["kind"].as_str(), json["threshold"].as_u64()), (Some("root"), Some(2)));
    assert!(shown.stdout.contains(json["digest"].as_str().unwrap()));
    assert_eq!(json["signatures"].as_array().unwrap().len(), 2);
    assert_eq!(json["signatures"][0]["state"], "good");
    assert_eq!(json["payload"]["brickyard"]["commons"], "commons.example");
}

#[test]
fn only_stewards_sign_a_first_root_and_only_after_having_been_asked() {
    let room = founded();
    let before = room.read("root.json");
    check(
        &room,
        &["commons", "sign", "root.json", "--key", "stranger", "--yes"],
        1,
        &["not one of the stewards"],
    );
    check(
        &room,
        &["commons", "sign", "root.json", "--yes"],
        2,
        &["3 keys to sign with", "--key", "s1, s2, s3"],
    );
    check(&room, &["commons", "sign", "root.json", "--key", "s1"], 2, &["nobody can be asked", "--yes"]);
    assert_eq!(room.read("root.json"), before);
}

#[test]
fn a_draft_changed_after_a_signature_is_an_alarm() {
    let room = founded();
    check(&room, &["commons", "sign", "root.json", "--key", "s1", "--yes"], 0, &[]);
    let mut json: serde_json::Value = serde_json::from_str(&room.read("root.json")).unwrap();
    let other = Room::new();
    for name in ["s1", "s2", "s3", "r1", "log"] {
        std::fs::create_dir_all(other.home().join("keys")).unwrap();
        std::fs::copy(room.home().join("keys").join(name), other.home().join("keys").join(name)).unwrap();
    }
    let args = ["--steward", "s1", "--steward", "s2", "--registrar", "r1", "--log", "log"];
    init(&other, &args, 0, &[]);
    let swapped: serde_json::Value = serde_json::from_str(&other.read("root.json")).unwrap();
    json["payload"] = swapped["payload"].clone();
    room.write("swapped.json", json.to_string());
    check(&room, &["commons", "show", "swapped.json"], 0, &["FALSE: it does not verify"]);
    check(&room, &["commons", "sign", "swapped.json", "--key", "s2", "--yes"], 3, &["is false", "help: "]);
}

#[test]
fn what_cannot_make_a_root_is_refused_by_its_rule() {
    let room = founded();
    let all = ["--steward", "s1", "--registrar", "r1", "--log", "log"];
    let with = |more: &[&'static str]| all.iter().copied().chain(more.iter().copied()).collect::<Vec<_>>();
    for (args, code, says) in [
        (with(&[]), 1, "there already"),
        (with(&["--steward", "s1"]), 2, "stands twice"),
        (with(&["--registrar", "s1"]), 2, "one key has one role"),
        (with(&["--steward-threshold", "2"]), 2, "from 1 to 1"),
        (with(&["--steward-threshold", "0"]), 2, "from 1 to 1"),
        (with(&["--expires", "2001-01-01"]), 2, "ended already"),
        (with(&["--expires", "soon"]), 2, "2028-03-31"),
        (with(&["--steward", "nobody"]), 1, "no key `nobody`"),
        (
            vec!["--steward", "s1", "--registrar", "r1", "--log", "other.example/root+00000000+AAAA"],
            2,
            "brickyard init",
        ),
        (vec!["--steward", "s1", "--registrar", "r1"], 2, "--log"),
    ] {
        init(&room, &args, code, &[says]);
    }
    // The neutral element: anybody can sign for it.
    let weak = "0100000000000000000000000000000000000000000000000000000000000000";
    init(&room, &["--steward", weak, "--registrar", "r1", "--log", "log", "--force"], 1, &["weak"]);
    check(
        &room,
        &["commons", "init", "Commons.example", "--steward", "s1", "--registrar", "r1", "--log", "log"],
        2,
        &["Commons.example"],
    );
}

#[test]
fn files_that_are_no_drafts_are_refused() {
    let room = Room::new();
    room.write("text", "hello").write("empty", "").write("big", vec![b'x'; 70_000]);
    for (file, says) in
        [("text", "not a draft"), ("empty", "not a draft"), ("big", "longer than"), ("gone", "cannot read")]
    {
        check(&room, &["commons", "show", file], 1, &[says, file]);
    }
    let ended = room.run(&["commons", "show", "gone", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((json["schema"].as_str(), json["family"].as_str()), (Some("brick/failure/v1"), Some("yours")));
    assert_eq!(json["code"], 1);
}
