//! Does what an author signs get into the log once, whatever happens on the way? Against a real registry.

mod support;

use support::proxy::Way;
use support::registry::{Commons, sign_and_submit};
use support::{Room, check};

const PUBLISHER: &str = "northshire.gov.uk";

fn manifest(version: &str) -> String {
    format!(
        "manifest = 1\n[brick]\nname = \"{PUBLISHER}/case-handling\"\nversion = \"{version}\"\nkind = \"component\"\nmaturity = \"beta\"\nlicense = \"MIT\"\nreadme = \"README.md\"\n[text.en]\ntitle = \"Case handling\"\nsummary = \"Open and close a case.\"\n"
    )
}

/// A commons in which Northshire is admitted, and a room of its officer with a brick.
fn northshire() -> (Commons, Room) {
    let room = Room::new();
    let commons = Commons::found(&room);
    check(&room, &["key", "new", "officer", "--no-passphrase"], 0, &[]);
    commons.admit(&room, PUBLISHER);
    room.write("brick/brick.toml", manifest("1.0.0")).write("brick/README.md", "# Cases\n");
    (commons, room)
}

fn publish(room: &Room, code: u8, says: &[&str]) -> support::Ended {
    // Several keys are in the home; the record says which one fits.
    check(room, &["-C", "brick", "publish"], code, says)
}

#[test]
fn a_release_is_published_once_and_yanked_and_taken_back() {
    let (_commons, room) = northshire();
    check(&room, &["-C", "brick", "publish", "--dry-run"], 0, &["signed, nothing was sent"]);
    publish(
        &room,
        0,
        &["Packaged", "Published northshire.gov.uk/case-handling 1.0.0: entry", "northshire.gov.uk/log"],
    );
    assert!(
        room.home().join(format!("receipts/{PUBLISHER}/release-case-handling-1.0.0.tlog-proof")).is_file()
    );
    assert!(!room.home().join(format!("pending/{PUBLISHER}/release-case-handling-1.0.0.json")).exists());
    publish(&room, 0, &["published before"]);
    room.write("brick/README.md", "# Other cases\n");
    publish(&room, 1, &["published already, with other contents", "raise `version`"]);
    room.write("brick/brick.toml", manifest("1.1.0"));
    let ended = check(&room, &["-C", "brick", "publish", "--json"], 0, &["Published"]);
    let json: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        (json["schema"].as_str(), json["published"].as_bool()),
        (Some("brick/publish/v1"), Some(true))
    );
    check(&room, &["info", "northshire.gov.uk/case-handling"], 0, &["1.1.0"]);

    let release = "northshire.gov.uk/case-handling@1.1.0";
    check(&room, &["yank", release], 2, &["--code"]);
    check(
        &room,
        &["yank", "northshire.gov.uk/case-handling", "--code", "error"],
        2,
        &["names no release", "@1.4.0"],
    );
    check(
        &room,
        &["yank", "northshire.gov.uk/case-handling@9.0.0", "--code", "error"],
        1,
        &["9.0.0 is not published"],
    );
    check(&room, &["yank", release, "--code", "error", "--dry-run"], 0, &["nothing was sent"]);
    check(
        &room,
        &["yank", release, "--code", "error", "--reason", "The fees are last year's"],
        0,
        &["Yanked", "entry"],
    );
    check(&room, &["info", "northshire.gov.uk/case-handling"], 0, &["yanked"]);
    check(&room, &["yank", release, "--undo"], 0, &["Unyanked"]);
}

fn pending(room: &Room) -> std::path::PathBuf {
    room.home().join(format!("pending/{PUBLISHER}/release-case-handling-1.0.0.json"))
}

#[test]
fn a_lost_answer_is_made_good_by_sending_the_same_entry() {
    let (commons, room) = northshire();
    commons.proxy.set(Way::AnswersLost);
    publish(&room, 4, &["the signed entry is kept", "run the same command again"]);
    let entry = std::fs::read(pending(&room)).unwrap();
    commons.proxy.set(Way::Open);
    publish(&room, 0, &["case-handling 1.0.0", "published before"]);
    assert!(!pending(&room).exists());
    check(&room, &["info", "northshire.gov.uk/case-handling"], 0, &["1.0.0"]);
    // Were it not known yet that it is logged, the same bytes would be sent: the registry says the same again.
    std::fs::write(pending(&room), &entry).unwrap();
    publish(&room, 0, &["published before"]);

    let yank = ["yank", "northshire.gov.uk/case-handling@1.0.0", "--code", "error"];
    commons.proxy.set(Way::AnswersLost);
    check(&room, &yank, 4, &["the signed entry is kept"]);
    commons.proxy.set(Way::Open);
    check(&room, &["-v", yank[0], yank[1], yank[2], yank[3]], 0, &["Sending", "last try", "Yanked"]);
}

#[test]
fn a_registry_that_is_down_is_named_and_nothing_is_lost() {
    let (mut commons, room) = northshire();
    commons.stop();
    publish(&room, 4, &["127.0.0.1", "help: "]);
    commons.start();
    publish(&room, 0, &["Published"]);
}

/// Whether whoever started the tests has interrupts ignored, as a shell does for what it runs in the background: then those
/// that they start ignore them too.
#[cfg(unix)]
fn ignores_interrupts() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & (1 << 1) != 0)
}

#[cfg(unix)]
#[test]
fn an_interrupt_in_the_middle_loses_nothing() {
    if ignores_interrupts() {
        println!("skipped: interrupts are ignored here");
        return;
    }
    let (commons, room) = northshire();
    commons.proxy.set(Way::AnswersStuck);
    let mut running = room
        .program(&["-C", "brick", "publish"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..1_000 {
        if pending(&room).exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    let pid = running.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let ended = running.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(2), "{ended:?}");
    assert!(pending(&room).exists(), "the signed entry is kept");
    commons.proxy.set(Way::Open);
    publish(&room, 0, &["case-handling 1.0.0"]);
    assert!(!pending(&room).exists());
}

#[test]
fn a_live_brick_requires_live_ones() {
    let (_commons, room) = northshire();
    publish(&room, 0, &["Published"]);
    let live = manifest("1.0.0").replace("case-handling", "case-portal").replace("beta", "live")
        + "[requires]\n\"northshire.gov.uk/case-handling\" = \"^1\"\n";
    room.write("portal/brick.toml", live).write("portal/README.md", "");
    check(&room, &["-C", "portal", "publish"], 1, &["may only require live", "met by 1.0.0, which is beta"]);
    // The index is kept now, so that the check needs nobody.
    check(
        &room,
        &["-C", "portal", "check", "--offline"],
        1,
        &["a live brick may only require live ones", "beta"],
    );
    room.write("brick/brick.toml", manifest("1.1.0").replace("beta", "live"));
    publish(&room, 0, &["Published"]);
    check(&room, &["-C", "portal", "publish"], 0, &["Published"]);
}

#[test]
fn a_name_that_is_easily_taken_for_another_is_warned_of() {
    let (_commons, room) = northshire();
    publish(&room, 0, &["Published"]);
    room.write("other/brick.toml", manifest("1.0.0").replace("case-handling", "case-handlings"))
        .write("other/README.md", "");
    check(
        &room,
        &["-C", "other", "publish", "--dry-run"],
        0,
        &["is easily taken for `northshire.gov.uk/case-handling`"],
    );
}

#[test]
fn who_may_not_publish_is_told_before_anything_is_sent() {
    let (_commons, room) = northshire();
    check(&room, &["key", "new", "stranger", "--no-passphrase"], 0, &[]);
    check(
        &room,
        &["-C", "brick", "publish", "--key", "stranger"],
        1,
        &["is not one of northshire.gov.uk's", "--key"],
    );
    room.write("brick/brick.toml", manifest("1.0.0").replace(PUBLISHER, "southshire.gov.uk"));
    publish(&room, 1, &["southshire.gov.uk is not admitted", "did you mean `northshire.gov.uk`?"]);
    room.write("brick/brick.toml", manifest("1.0.0").replace("license", "licence"));
    publish(&room, 1, &["did you mean `license`?", "brick check"]);
    check(&room, &["-C", "brick", "publish", "--offline"], 1, &["licence"]);
    room.write("brick/brick.toml", manifest("1.0.0"));
    check(&room, &["-C", "brick", "publish", "--offline"], 4, &["--offline"]);
}

#[test]
fn a_service_without_bricks_is_published_as_it_is() {
    let (_commons, room) = northshire();
    room.write(
        "service/service.toml",
        format!("manifest = 1\n[service]\nid = \"{PUBLISHER}/report-missed-bin\"\nfunction = \"lgsl:524\"\nstatus = \"live\"\nbody = \"local-authority-eng:XXX\"\n[text.en]\ntitle = \"Report a missed bin\"\nsummary = \"Tell us.\"\n[[part]]\nstep = \"report\"\nlocal = \"a form\"\nwhy = \"none-exists\"\n"),
    );
    check(&room, &["-C", "service", "publish"], 0, &["Published northshire.gov.uk/report-missed-bin: entry"]);
}

#[test]
fn nothing_works_before_a_root_is_pinned_and_the_wrong_one_is_an_alarm() {
    let (commons, _) = northshire();
    let room = Room::new();
    room.write("brick/brick.toml", manifest("1.0.0")).write("brick/README.md", "");
    publish(&room, 1, &["no commons is trusted", "brick commons trust"]);
    let wrong = "0".repeat(64);
    check(&room, &["commons", "trust", &commons.url(), "--root-sha256", &wrong], 3, &["root", &commons.root]);
    assert!(!room.home().join("trust/commons.example/pin.json").exists());
    check(&room, &["commons", "trust", &commons.url(), "--root-sha256", "abc"], 2, &["root-sha256"]);
}

#[test]
fn what_is_no_registry_is_named() {
    let root = "0".repeat(64);
    let trust = |url: &str, code, says: &[&str]| {
        check(&Room::new(), &["commons", "trust", url, "--root-sha256", &root], code, says);
    };
    trust("http://127.0.0.1:1", 4, &["127.0.0.1:1", "nothing listens", "help: "]);
    trust("ftp://registry.example", 2, &["is not a registry's address", "https://"]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let page = std::thread::spawn(move || {
        for stream in listener.incoming().take(1) {
            let mut stream = stream.unwrap();
            let mut request = [0; 2048];
            let _ = std::io::Read::read(&mut stream, &mut request);
            let body = "<html>Please log in</html>";
            let _ = std::io::Write::write_all(
                &mut stream,
                format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                )
                .as_bytes(),
            );
        }
    });
    trust(&format!("http://{address}"), 4, &["does not answer as a registry does", "help: "]);
    page.join().unwrap();
}

#[test]
fn records_are_checked_before_they_are_sent() {
    let (_commons, room) = northshire();
    let admit = |more: &[&str], code, says: &[&str]| {
        let args =
            ["commons", "admit", "publisher", "midshire.gov.uk", "--kind", "supplier", "--out", "m.json"];
        check(&room, &[args.as_slice(), more].concat(), code, says);
    };
    admit(
        &["--home", "other.example", "--key", "officer", "--owner", "owner"],
        1,
        &["other.example is not admitted", "choose one of registry.example"],
    );
    admit(
        &["--home", "registry.example", "--key", "owner", "--owner", "owner"],
        2,
        &["is an owner's and signs entries"],
    );
    admit(
        &["--home", "registry.example", "--key", "officer=publish,yank", "--owner", "owner"],
        0,
        &["may publish, yank"],
    );
    check(&room, &["commons", "submit", "m.json"], 1, &["would not count", "brick commons sign"]);
    check(&room, &["commons", "sign", "m.json", "--key", "stewardess", "--yes"], 1, &["no key `stewardess`"]);
    check(
        &room,
        &["commons", "sign", "m.json", "--key", "officer", "--yes"],
        1,
        &["is not one of the registrars"],
    );
    admit(&["--home", "registry.example", "--key", "officer", "--owner", "owner"], 0, &[]);
    sign_and_submit(&room, "m.json");
    check(&room, &["commons", "submit", "m.json"], 0, &["Found"]);
    check(&room, &["commons", "show"], 0, &["midshire.gov.uk", "northshire.gov.uk", "registry.example"]);
}

#[test]
fn a_registry_is_admitted_by_its_introduction() {
    let (_commons, room) = northshire();
    let admit = |more: &[&str], code, says: &[&str]| {
        let args = ["commons", "admit", "registry", "--owner", "owner", "--out", "r.json"];
        check(&room, &[args.as_slice(), more].concat(), code, says)
    };
    let data = room.work().join("mid");
    let key = ed25519_dalek::SigningKey::from_bytes(&[51; 32]);
    let witness = brick_tlog::note::Vkey::of(
        brickyard::registry::witness_name(
            &brick_schemas::PublisherName::parse("registry.mid.example").unwrap(),
        ),
        brick_tlog::note::Algorithm::CosignatureV1,
        &ed25519_dalek::SigningKey::from_bytes(&[52; 32]),
    );
    let introduction = brick_schemas::introduction::Introduction::new(
        brick_schemas::PublisherName::parse("registry.mid.example").unwrap(),
        brick_schemas::PublisherName::parse("mid.example").unwrap(),
        brick_schemas::PublicKey::from(key.verifying_key().to_bytes()),
        witness.to_string(),
        vec![brick_schemas::url::RegistryUrl::parse("https://registry.mid.example").unwrap()],
    );
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("introduction.json"), introduction.to_text()).unwrap();
    let from = ["--from", "mid/introduction.json"];
    let fingerprint = introduction.fingerprint();
    admit(&from, 0, &["record of registry registry.mid.example", &fingerprint, "by voice or on paper"]);
    // Whoever signs sees it again.
    check(
        &room,
        &["commons", "sign", "r.json", "--key", "registrar", "--yes"],
        0,
        &[&fingerprint, "https://registry.mid.example", "enough"],
    );
    // The options say the same.
    let (log_key, witness) = (introduction.log_key.to_string(), introduction.witness.clone());
    let options =
        ["--operator", "mid.example", "--url", "https://registry.mid.example", "--log-key", &log_key];
    let options = [&["registry.mid.example"], &options[..], &["--witness", &witness]].concat();
    admit(&options, 0, &[&fingerprint]);
    admit(&[&from[..], &["registry.mid.example"]].concat(), 0, &[&fingerprint]);
    admit(
        &[&from[..], &["registry.south.example"]].concat(),
        2,
        &["introduces registry.mid.example", "help: "],
    );
    admit(&[&from[..], &["--operator", "x.example"]].concat(), 2, &["--from"]);
    admit(&["registry.mid.example"], 2, &["--operator", "--witness"]);
    room.write("mid/introduction.json", introduction.to_text().replace("\"v\": 1", "\"v\": 9"));
    admit(&from, 1, &["introduces no registry", "version 9", "help: "]);
    room.write(
        "mid/introduction.json",
        introduction.to_text().replace("mid.example/witness", "mid.example/log"),
    );
    admit(&from, 2, &["is no witness key"]);
}
