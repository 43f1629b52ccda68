//! Are secret keys made, kept and used as promised?

mod support;

use support::{Room, check};

const PASSPHRASE: &str = "correct horse battery";

fn hex_of(text: &str) -> String {
    let key = text.trim().to_owned();
    assert!(key.len() == 64 && key.bytes().all(|b| b.is_ascii_hexdigit()), "{text:?}");
    key
}

/// A draft root whose steward is `key`, in `root.json`.
fn draft_root(room: &Room, steward: &str) {
    let registrar = room.run(&["key", "new", "a-registrar", "--no-passphrase"]).stdout;
    let log = room.run(&["key", "new", "a-log", "--no-passphrase"]).stdout;
    check(
        room,
        &[
            "commons",
            "init",
            "commons.example",
            "--steward",
            steward,
            "--registrar",
            registrar.trim(),
            "--log",
            log.trim(),
        ],
        0,
        &["Drafted"],
    );
}

#[test]
fn a_new_key_is_for_its_owner_alone_and_encrypted() {
    let room = Room::new().with("BRICK_KEY_PASSPHRASE", PASSPHRASE);
    let made = check(&room, &["key", "new", "ci"], 0, &["Created", "key `ci`"]);
    hex_of(&made.stdout);
    let file = std::fs::read_to_string(room.home().join("keys/ci")).unwrap();
    assert!(file.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode =
            |path: &str| std::fs::metadata(room.home().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("keys/ci"), mode("keys")), (0o600, 0o700));
    }
    let listed = check(&room, &["key", "list"], 0, &["ci", made.stdout.trim()]);
    assert!(!listed.stdout.contains("unencrypted"), "{listed:?}");
    check(&room, &["key", "new", "ci"], 1, &["there is a key `ci` already", "help: choose another name"]);
}

#[test]
fn a_key_without_passphrase_must_be_asked_for() {
    let room = Room::new();
    check(&room, &["key", "new", "ci"], 1, &["needs a passphrase", "no terminal", "--no-passphrase"]);
    assert!(!room.home().exists(), "nothing is made before the passphrase is known");
    check(&room, &["key", "new", "ci", "--no-passphrase"], 0, &["warning: ", "no passphrase"]);
    check(&room, &["key", "list"], 0, &["unencrypted"]);
}

#[test]
fn key_names_that_could_leave_the_folder_are_refused() {
    for name in ["../x", "a/b", "", ".hidden", "UPPER", "a b", "x.pub", "é"] {
        check(
            &Room::new(),
            &["key", "new", "--no-passphrase", "--", name],
            2,
            &["cannot be a key's name", "help: try"],
        );
    }
}

#[test]
fn a_key_is_exported_in_every_form() {
    let room = Room::new();
    let public = hex_of(&room.run(&["key", "new", "ci", "--no-passphrase"]).stdout);
    check(&room, &["key", "export", "ci"], 0, &[&public]);
    let ssh = check(&room, &["key", "export", "ci", "--format", "ssh"], 0, &["ssh-ed25519 AAAA"]);
    check(&room, &["key", "export", "ci", "--format", "secret"], 0, &["BEGIN OPENSSH PRIVATE KEY"]);
    room.write("ci.pub", &ssh.stdout);
    check(&room, &["key", "export", "ci.pub"], 0, &[&public]);
    check(&room, &["key", "export", "nobody"], 1, &["no key `nobody`", "choose one of ci"]);
    let json: serde_json::Value = serde_json::from_str(&room.run(&["key", "list", "--json"]).stdout).unwrap();
    assert_eq!(json["schema"], "brick/key-list/v1");
    assert_eq!(json["keys"][0]["public"], public.as_str());
}

#[test]
fn a_wrong_passphrase_is_said_and_nothing_is_signed() {
    let room = Room::new().with("BRICK_KEY_PASSPHRASE", PASSPHRASE);
    let steward = room.run(&["key", "new", "steward"]).stdout;
    draft_root(&room, steward.trim());
    let before = room.read("root.json");
    room.write("wrong", "something else\n")
        .write("right", format!("{PASSPHRASE}\nsecond line\n"))
        .write("empty", "");
    let sign = |file: &str| {
        vec!["commons", "sign", "root.json", "--yes", "--key", "steward", "--passphrase-file", file]
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let run = |file: &str, code, says: &[&str]| {
        let args = sign(file);
        check(&room, &args.iter().map(String::as_str).collect::<Vec<_>>(), code, says)
    };
    run("wrong", 1, &["cannot use key `steward`", "passphrase does not open", "help: "]);
    run("empty", 1, &["is empty or too long", "help: "]);
    run("nowhere", 1, &["cannot read", "nowhere", "help: "]);
    assert_eq!(room.read("root.json"), before);
    run("right", 0, &["Signed", "1 of 1 stewards, enough"]);
}

#[test]
fn a_key_comes_from_the_environment_in_ci() {
    let room = Room::new();
    let steward = room.run(&["key", "new", "steward", "--no-passphrase"]).stdout;
    let secret = room.run(&["key", "export", "steward", "--format", "secret"]).stdout;
    draft_root(&room, steward.trim());
    std::fs::remove_file(room.home().join("keys/steward")).unwrap();
    check(&room, &["commons", "sign", "root.json", "--yes"], 2, &["2 keys to sign with", "--key", "a-log"]);
    let room = room.with("BRICK_KEY", secret);
    check(&room, &["commons", "sign", "root.json", "--yes"], 0, &["Signed"]);
    let room = room.with("BRICK_KEY", "not a key");
    check(
        &room,
        &["commons", "sign", "root.json", "--yes"],
        1,
        &["the key in BRICK_KEY", "not an OpenSSH", "help: "],
    );
}

#[test]
fn without_any_key_the_next_step_is_to_make_one() {
    let room = Room::new();
    draft_root(&room, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    std::fs::remove_dir_all(room.home().join("keys")).unwrap();
    check(
        &room,
        &["commons", "sign", "root.json", "--yes"],
        1,
        &["no key to sign with", "brick key new NAME"],
    );
}

#[test]
fn a_home_that_cannot_be_written_is_named_with_a_way_out() {
    let room = Room::new();
    // A file where the home should be stops even the superuser.
    std::fs::write(room.home(), "").unwrap();
    check(&room, &["key", "new", "ci", "--no-passphrase"], 1, &["error: cannot make directory", "home"]);
    let read_only = Room::new().with("BRICK_HOME", "/proc/1/brick");
    check(
        &read_only,
        &["key", "new", "ci", "--no-passphrase"],
        1,
        &["error: cannot make directory `/proc/1/brick`"],
    );
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let room = Room::new();
    let steward = room.run(&["key", "new", "steward", "--no-passphrase"]).stdout;
    draft_root(&room, steward.trim());
    std::fs::set_permissions(room.home().join("keys/steward"), std::fs::Permissions::from_mode(0o644))
        .unwrap();
    check(
        &room,
        &["commons", "sign", "root.json", "--yes", "--key", "steward"],
        0,
        &["can be read by others (mode 0644)", "chmod 600"],
    );
}

#[cfg(unix)]
#[test]
fn an_agents_key_signs_and_its_secret_stays_there() {
    let Some(agent) = Agent::start() else { return };
    let room = Room::new().with("SSH_AUTH_SOCK", agent.socket());
    check(&room, &["key", "list", "--agent"], 0, &["there are no keys"]);
    let steward = room.run(&["key", "new", "steward", "--no-passphrase"]).stdout;
    draft_root(&room, steward.trim());
    check(
        &room,
        &["commons", "sign", "root.json", "--yes", "--agent"],
        1,
        &["holds no ed25519 key", "ssh-add"],
    );
    agent.add(&room.home().join("keys/steward"));
    std::fs::remove_file(room.home().join("keys/steward")).unwrap();
    check(&room, &["key", "list", "--agent"], 0, &["steward", steward.trim()]);
    check(
        &room,
        &["commons", "sign", "root.json", "--yes", "--agent", "--key", "other"],
        1,
        &["no key `other`"],
    );
    check(&room, &["commons", "sign", "root.json", "--yes", "--agent"], 0, &["Signed"]);
    check(&room, &["commons", "show", "root.json"], 0, &["1 of 1 stewards, enough"]);
}

#[test]
fn no_agent_is_named_with_a_way_out() {
    let says = ["no SSH agent", "SSH_AUTH_SOCK", "help: "];
    check(&Room::new(), &["key", "list", "--agent"], 1, &says);
    let gone = Room::new().with("SSH_AUTH_SOCK", "/nowhere/agent");
    check(&gone, &["key", "list", "--agent"], 1, &["cannot reach the SSH agent", "/nowhere/agent", "help: "]);
}

#[cfg(unix)]
struct Agent {
    dir: tempfile::TempDir,
    process: std::process::Child,
}

#[cfg(unix)]
impl Agent {
    /// A real agent on a socket of its own, or none with the reason printed.
    fn start() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("agent");
        let started = std::process::Command::new("ssh-agent")
            .args(["-D", "-a", socket.to_str().unwrap()])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn();
        let Ok(process) = started else {
            println!("skipped: there is no ssh-agent on this machine");
            return None;
        };
        let agent = Self { dir, process };
        for _ in 0..500 {
            if std::os::unix::net::UnixStream::connect(&socket).is_ok() {
                return Some(agent);
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        println!("skipped: ssh-agent does not listen");
        None
    }

    fn socket(&self) -> String {
        self.dir.path().join("agent").to_str().unwrap().to_owned()
    }

    fn add(&self, key: &std::path::Path) {
        let added = std::process::Command::new("ssh-add")
            .arg(key)
            .env("SSH_AUTH_SOCK", self.socket())
            .output()
            .expect("ssh-add comes with ssh-agent");
        assert!(added.status.success(), "{added:?}");
    }
}

#[cfg(unix)]
impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A key that `ssh-keygen -p` has changed the passphrase of is still ours; other algorithms are refused.
#[test]
fn keys_of_openssh_are_read() {
    let room = Room::new().with("BRICK_KEY_PASSPHRASE", PASSPHRASE);
    let keygen = |args: &[&str]| {
        std::process::Command::new("ssh-keygen")
            .args(args)
            .current_dir(room.work())
            .output()
            .is_ok_and(|o| o.status.success())
    };
    if !keygen(&["-q", "-t", "ed25519", "-N", PASSPHRASE, "-f", "theirs"]) {
        println!("skipped: there is no ssh-keygen on this machine");
        return;
    }
    let public = hex_of(&check(&room, &["key", "export", "theirs.pub"], 0, &[]).stdout);
    draft_root(&room, &public);
    check(&room, &["commons", "sign", "root.json", "--yes", "--key", "theirs"], 0, &["Signed"]);
    assert!(keygen(&["-q", "-t", "ecdsa", "-N", "", "-f", "ecdsa"]));
    check(
        &room,
        &["commons", "sign", "root.json", "--yes", "--key", "ecdsa"],
        1,
        &["only ssh-ed25519", "brick key new"],
    );
}
