//! The main job against real registries: resolve, fetch, verify and use bricks from one that is the home of none of them.

#[path = "support/commons.rs"]
mod commons;

use brick_schemas::predicate::status::ReleaseStatus;
use commons::{Liar, Machine, SERVICE, World};

#[test]
fn a_service_is_resolved_fetched_vendored_and_verified_from_a_registry_that_is_nobodys_home() {
    let world = World::stocked();
    let machine = Machine::trusting(&world, &world.url(0));
    machine.write("service.toml", SERVICE);

    machine.ok(&["update"]);
    let lock = machine.read("brick.lock");
    for line in
        ["mid.example/bins", "mid.example/address 1.1.0", "south.example/notify 2.0.0", "mid.example/log"]
    {
        assert!(lock.contains(line), "{line}: {lock}");
    }
    let tree = machine.ok(&["tree"]);
    assert_eq!(
        tree,
        "council.example/report-missed-bin\n└── mid.example/bins 2.1.0\n    ├── mid.example/address 1.1.0\n    └── south.example/notify 2.0.0\n"
    );
    assert!(machine.ok(&["tree", "--invert", "south.example/notify"]).contains("└── mid.example/bins 2.1.0"));
    machine.ok(&["fetch", "--locked"]);
    machine.ok(&["vendor", "--locked"]);
    assert!(machine.read("bricks/mid.example/bins/README.md").contains("2.1.0"));
    assert!(machine.ok(&["verify"]).contains("verified 3 releases"));
    let metadata: serde_json::Value = serde_json::from_str(&machine.ok(&["metadata"])).unwrap();
    assert_eq!(metadata["schema"], "brick/metadata/v1");
    assert_eq!(metadata["resolve"]["bricks"].as_array().unwrap().len(), 3);
    machine.ok(&["audit", "--lock"]);

    // The same from any registry, on another machine; then offline on this one.
    for registry in 0..3 {
        let other = Machine::trusting(&world, &world.url(registry));
        other.write("service.toml", SERVICE);
        other.ok(&["update"]);
        assert_eq!(other.read("brick.lock"), lock, "registry {registry}");
    }
    machine.ok(&["fetch", "--offline"]);
    machine.ok(&["vendor", "--frozen"]);
    std::fs::remove_file(machine.work().join("brick.lock")).unwrap();
    machine.ok(&["update", "--offline"]);
    assert_eq!(machine.read("brick.lock"), lock);
    machine.ok(&["verify"]);
    machine.ok(&["audit", "--lock", "--offline"]);

    // An auditor needs nothing but a clone.
    let auditor = Machine::new("http://nowhere.example");
    let clone = auditor.work().join("clone");
    let status = std::process::Command::new("git")
        .args(["clone", "--quiet", &format!("{}/git", world.url(1).trim_end_matches('/'))])
        .arg(&clone)
        .status()
        .unwrap();
    assert!(status.success());
    let said = auditor.ok(&["audit", "--index", "clone", "--root-sha256", &world.root()]);
    assert!(said.contains("everything adds up") && said.contains("5 releases in them"), "{said}");
    auditor.fails(
        &["audit", "--index", "clone", "--root-sha256", &"0".repeat(64)],
        3,
        &["root check failed"],
    );
    auditor.fails(&["audit", "--index", "nowhere", "--root-sha256", &world.root()], 1, &["git clone"]);
}

#[test]
fn old_heads_warn_then_refuse_new_choices_and_never_locked_work() {
    fn in_two_days() -> u64 {
        brickyard::registry::now() + 2 * 86_400
    }
    fn in_twenty_days() -> u64 {
        brickyard::registry::now() + 20 * 86_400
    }
    let world = World::stocked();
    let machine = Machine::trusting(&world, &world.url(0));
    machine.write("service.toml", SERVICE);
    let ended = machine.run_at(in_twenty_days, &["update"]);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    assert!(ended.stderr.contains("freshness check failed"), "{}", ended.stderr);
    assert!(!machine.work().join("brick.lock").exists());
    let ended = machine.run_at(in_two_days, &["update"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("warning: the newest head of"), "{}", ended.stderr);
    for args in [["fetch", "--locked"], ["vendor", "--frozen"]] {
        let ended = machine.run_at(in_twenty_days, &args);
        assert_eq!(ended.code, 0, "{args:?}: {}", ended.stderr);
    }
}

#[test]
fn a_lock_moves_only_when_asked_and_keeps_heads_of_what_did_not_change() {
    let world = World::stocked();
    let machine = Machine::trusting(&world, &world.url(0));
    machine.write("service.toml", SERVICE);
    machine.ok(&["update"]);
    let lock = machine.read("brick.lock");
    world.publish("mid.example/address", "1.2.0", "");
    world.settle();
    machine.ok(&["fetch"]);
    assert_eq!(machine.read("brick.lock"), lock);
    machine.ok(&["fetch", "--locked"]);
    let ended = machine.run(&["update", "mid.example/address", "--dry-run"]);
    assert!(ended.stderr.contains("mid.example/address 1.1.0 -> 1.2.0"), "{}", ended.stderr);
    assert_eq!(machine.read("brick.lock"), lock);
    machine.ok(&["update", "mid.example/address"]);
    let moved = machine.read("brick.lock");
    assert!(moved.contains("mid.example/address 1.2.0"), "{moved}");
    let head = |lock: &str, origin: &str| {
        let mut heads = lock.split("[[").filter(|table| table.starts_with("head]]"));
        heads.find(|head| head.contains(origin)).map(str::to_owned).unwrap()
    };
    assert_eq!(head(&lock, "south.example/log"), head(&moved, "south.example/log"));
    assert_ne!(head(&lock, "mid.example/log"), head(&moved, "mid.example/log"));
    machine.ok(&["update", "mid.example/address", "--precise", "1.0.0"]);
    assert!(machine.read("brick.lock").contains("mid.example/address 1.0.0"));
    machine.fails(&["update", "mid.example/address", "--precise", "9.0.0"], 1, &["9.0.0", "brick info"]);
    machine.fails(&["update", "mid.example/nothing"], 1, &["not in brick.lock"]);
    machine.fails(&["update", "--locked"], 1, &["--locked", "1.0.0 -> 1.2.0"]);
}

#[test]
fn requirements_are_added_and_removed_and_near_names_told() {
    let world = World::stocked();
    let machine = Machine::trusting(&world, &world.url(0));
    machine.write("service.toml", SERVICE);
    machine.fails(&["add", "mid.example/adress"], 1, &["no brick mid.example/adress", "mid.example/address"]);
    machine.fails(&["add", "middle.example/address"], 1, &["no brick"]);
    machine.fails(&["add", "mid.example/address@^7"], 1, &["no release", "1.1.0"]);
    machine.fails(&["add", "mid.example/address", "-F", "nope"], 1, &["no feature `nope`", "uprn"]);
    assert_eq!(machine.read("service.toml"), SERVICE);
    machine.ok(&["add", "mid.example/address@1", "-F", "uprn", "--step", "find the house"]);
    let service = machine.read("service.toml");
    assert!(service.starts_with(SERVICE.trim_end()), "{service}");
    assert!(
        service.contains("step = \"find the house\"") && service.contains("# The first step."),
        "{service}"
    );
    assert!(machine.read("brick.lock").contains("features = [\"uprn\"]"));
    machine.fails(&["remove", "mid.example/addresss"], 1, &["does not require", "mid.example/address?"]);
    machine.ok(&["remove", "mid.example/address"]);
    assert_eq!(machine.read("service.toml").trim_end(), SERVICE.trim_end());
    machine.ok(&["remove", "mid.example/bins"]);
    assert!(!machine.read("brick.lock").contains("[[brick]]"));

    // The same in a brick.
    std::fs::remove_file(machine.work().join("service.toml")).unwrap();
    machine.write(
        "brick.toml",
        "manifest = 1\n[brick]\nname = \"own.example/thing\"\nversion = \"0.1.0\"\nkind = \"component\"\nmaturity = \"alpha\"\nlicense = \"MIT\"\n[text.en]\ntitle = \"Thing\"\nsummary = \"A thing.\"\n\n[requires]\n# nothing yet\n",
    );
    machine.ok(&["add", "mid.example/bins"]);
    assert!(
        machine.read("brick.toml").contains("\"mid.example/bins\" = \"2.1.0\""),
        "{}",
        machine.read("brick.toml")
    );
    assert!(machine.read("brick.lock").contains("south.example/notify 2.0.0"));
}

#[test]
fn statuses_are_told_and_yanked_releases_are_not_newly_chosen() {
    let world = World::stocked();
    let machine = Machine::trusting(&world, &world.url(0));
    machine.write("service.toml", SERVICE);
    machine.ok(&["update"]);
    world.set_status(
        "mid.example/address",
        "1.1.0",
        ReleaseStatus::Yanked,
        Some(("mid.example/address", "=1.0.0")),
    );
    world.set_status("south.example/notify", "2.0.0", ReleaseStatus::Deprecated, None);
    world.settle();
    // Locked work goes on; an audit says so.
    machine.ok(&["fetch", "--locked"]);
    let ended = machine.fails(&["audit", "--lock"], 1, &["1 locked release should be replaced"]);
    assert!(
        ended.stdout.contains("mid.example/address 1.1.0 is yanked; use mid.example/address =1.0.0"),
        "{}",
        ended.stdout
    );
    let ended = machine.run(&["update"]);
    assert!(ended.stderr.contains("1.1.0 -> 1.0.0"), "{}", ended.stderr);
    assert!(ended.stderr.contains("south.example/notify 2.0.0 is deprecated"), "{}", ended.stderr);
    let info = machine.ok(&["info", "mid.example/address"]);
    assert!(info.contains("The address") && info.contains("1.1.0 (yanked)"), "{info}");
    let info: serde_json::Value =
        serde_json::from_str(&machine.ok(&["info", "mid.example/address", "--json"])).unwrap();
    assert_eq!(info["releases"].as_array().unwrap().len(), 2);
    let found = machine.ok(&["search", "mid.example/a"]);
    assert!(found.contains("mid.example/address 1."), "{found}");
}

#[test]
fn an_archive_is_verified_offline_with_its_proof() {
    let world = World::stocked();
    let machine = Machine::trusting(&world, &world.url(0));
    machine.write("service.toml", SERVICE);
    machine.ok(&["vendor"]);
    let packed = brick_cli::package::package(&world.dir.path().join("make/mid.example/bins-2.1.0")).unwrap();
    std::fs::write(machine.work().join("bins.brick"), &packed.archive).unwrap();
    let proof = "bricks/mid.example/bins.tlog-proof";
    let said = machine.ok(&["verify", "bins.brick", "--proof", proof, "--offline"]);
    assert!(said.contains("verified mid.example/bins 2.1.0") && said.contains("2 others cosigned"), "{said}");
    let mut broken = packed.archive.clone();
    let middle = broken.len() / 2;
    broken[middle] ^= 1;
    std::fs::write(machine.work().join("broken.brick"), &broken).unwrap();
    machine.fails(&["verify", "broken.brick", "--proof", proof], 3, &["archive check failed"]);
    let other = "bricks/mid.example/address.tlog-proof";
    machine.fails(&["verify", "bins.brick", "--proof", other], 3, &["inclusion check failed"]);

    // What lies in bricks/ is compared byte by byte.
    let readme = machine.work().join("bricks/mid.example/bins/README.md");
    std::fs::write(&readme, "other").unwrap();
    machine.fails(&["verify"], 3, &["archive check failed", "mid.example/bins 2.1.0"]);
    machine.ok(&["vendor", "--offline"]);
    machine.ok(&["verify"]);
    machine.write("bricks/mid.example/extra.txt", "x");
    machine.fails(&["verify"], 3, &["lock check failed", "extra.txt"]);
    machine.ok(&["vendor", "--offline"]);
    std::fs::remove_dir_all(machine.work().join("bricks/south.example")).unwrap();
    machine.fails(&["verify"], 1, &["brick vendor"]);
    machine.write("other/mine.txt", "x");
    machine.fails(&["vendor", "other"], 1, &["not made by `brick vendor`"]);
    assert_eq!(machine.read("other/mine.txt"), "x");
}

#[test]
fn what_is_missing_is_said_with_the_next_step() {
    let world = World::found();
    world.settle();
    let machine = Machine::new(&world.url(0));
    machine.fails(&["update"], 1, &["no `brick.toml` or `service.toml`"]);
    machine.write("service.toml", SERVICE);
    machine.fails(&["update"], 1, &["no commons is trusted", "brick commons trust"]);
    let wrong = "0".repeat(64);
    machine.fails(&["commons", "trust", &world.url(0), "--root-sha256", &wrong], 3, &["root check failed"]);
    machine.fails(&["update"], 1, &["no commons is trusted"]);
    machine.ok(&["commons", "trust", &world.url(0), "--root-sha256", &world.root()]);
    machine.fails(&["update"], 1, &["nothing fits", "mid.example/bins"]);
    // That there is no such brick was shown, and kept.
    machine.fails(&["update", "--offline"], 1, &["nothing fits"]);
    machine.fails(&["--registry", "ftp://x", "update"], 2, &["not a registry's address"]);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    machine.fails(
        &["--registry", &format!("http://127.0.0.1:{port}"), "update"],
        4,
        &["nothing listens there"],
    );
    let liar = Liar::before(&world, 0);
    liar.lie(|_, _, _| (200, b"<html>Please log in</html>".to_vec()));
    machine.fails(&["--registry", &liar.url, "update"], 4, &["does not answer as a registry does"]);
    std::fs::remove_dir_all(machine.home().join("trust")).unwrap();
    machine.fails(&["search", "x", "--offline"], 4, &["--offline"]);
}

#[test]
fn two_major_lines_lie_side_by_side() {
    let world = World::stocked();
    world.publish("south.example/old", "1.0.0", "[requires]\n\"south.example/notify\" = \"^1\"\n");
    world.settle();
    let machine = Machine::trusting(&world, &world.url(0));
    machine.write("service.toml", SERVICE);
    machine.ok(&["add", "south.example/old"]);
    machine.ok(&["vendor"]);
    assert!(machine.read("bricks/south.example/notify/README.md").contains("2.0.0"));
    assert!(machine.read("bricks/south.example/notify-1.0.0/README.md").contains("1.0.0"));
    machine.ok(&["verify"]);
}

#[test]
fn a_few_bricks_cost_a_handful_of_requests() {
    let world = World::stocked();
    let liar = Liar::before(&world, 0);
    let machine = Machine::trusting(&world, &liar.url);
    machine.write("service.toml", SERVICE);
    liar.asked();
    machine.ok(&["update"]);
    let asked = liar.asked();
    // The head of the commons, and two files for each brick.
    assert_eq!(asked.len(), 7, "{asked:#?}");
    machine.ok(&["update"]);
    assert_eq!(liar.asked().len(), 4, "unchanged files are not fetched again");
    machine.ok(&["fetch"]);
    let asked = liar.asked();
    assert!(asked.len() == 6 && asked.iter().all(|path| path.starts_with("/bricks/")), "{asked:#?}");
    machine.ok(&["fetch"]);
    assert_eq!(liar.asked(), Vec::<String>::new(), "what is locked and kept needs no network");
}
