//! The main job on real data: three `brickyard` processes of three organisations, GovStack's building blocks and the
//! FIWARE schemas as signed bricks, mirrored through git, resolved and used from a registry that is the home of none of
//! them, by a person with an empty home and one pinned digest.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use brick_schemas::lockfile::LockedBrick;
use brick_schemas::predicate::PublisherKind;
use brick_schemas::{FullName, Lockfile, Manifest, PublisherName, Version};
use brick_tests::federation::{Brick as _, Federation};
use brick_tests::{corpus, process::Room};

/// The registry that services are resolved from: it hosts the commons log and no brick.
const ADOPTERS: usize = 0;
const GOVSTACK_HOME: usize = 1;
const FIWARE_HOME: usize = 2;

fn name(text: &str) -> PublisherName {
    PublisherName::parse(text).expect("a good name")
}

/// The corpus as bricks: folders of bricks, requirements first, and folders of services.
struct Imported {
    govstack: Vec<PathBuf>,
    fiware: Vec<PathBuf>,
    services: Vec<PathBuf>,
}

fn import_corpus(work: &Path) -> Option<Imported> {
    use brick_cli::import::{Options, import};
    let collection = |folder: &str| corpus::find(folder);
    let (govstack, fiware) = (collection("govstack")?, collection("fiware")?);
    let options = |publisher: &str| Options { publisher: name(publisher), body: name("council.example") };
    let blocks =
        import(&govstack, &options("govstack.example"), &work.join("govstack")).expect("GovStack imports");
    let schemas = import(&fiware, &options("fiware.example"), &work.join("fiware")).expect("FIWARE imports");
    Some(Imported { govstack: blocks.bricks, fiware: schemas.bricks, services: blocks.services })
}

fn manifest_of(folder: &Path) -> Manifest {
    let bytes = std::fs::read(folder.join("brick.toml")).expect("a manifest");
    Manifest::from_bytes(&bytes).expect("a good manifest")
}

fn is_of(folder: &Path) -> (String, String) {
    let brick = manifest_of(folder).brick;
    (brick.name.to_string(), brick.version.to_string())
}

/// The folders in an order in which each comes after all that it requires: of those that could be next always the
/// first by name and version, or always the last.
fn in_order(folders: &[PathBuf], last_first: bool) -> Vec<PathBuf> {
    let mut waiting: BTreeMap<(FullName, Version), (&PathBuf, BTreeSet<FullName>)> = folders
        .iter()
        .map(|folder| {
            let manifest = manifest_of(folder);
            let requires = manifest.requires.iter().map(|dependency| dependency.name.clone()).collect();
            ((manifest.brick.name, manifest.brick.version), (folder, requires))
        })
        .collect();
    let mut ordered = Vec::with_capacity(folders.len());
    while !waiting.is_empty() {
        let missing: BTreeSet<FullName> = waiting.keys().map(|(name, _)| name.clone()).collect();
        let mut ready = waiting.iter().filter(|(_, (_, requires))| requires.is_disjoint(&missing));
        let next = if last_first { ready.next_back() } else { ready.next() };
        let next = next.expect("no brick requires itself in a ring").0.clone();
        ordered.extend(waiting.remove(&next).map(|(folder, _)| folder.clone()));
    }
    ordered
}

/// What a lockfile chose, without where in which log it stands.
fn chosen(lock: &[u8]) -> Vec<LockedBrick> {
    let lock = Lockfile::from_bytes(lock).expect("a lockfile");
    lock.bricks.into_iter().map(|brick| LockedBrick { entry: 0, ..brick }).collect()
}

/// Resolves, vendors and verifies every service in a copy of its own; returns the lockfiles' bytes by service.
fn adopt(
    room: &Room,
    services: &[PathBuf],
    url: &str,
    flags: &[&str],
    locks: Option<&BTreeMap<String, Vec<u8>>>,
) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for service in services {
        let id = service.file_name().and_then(|name| name.to_str()).expect("a folder's name").to_owned();
        let dir = room.work().join(&id);
        std::fs::create_dir_all(&dir).expect("a folder");
        std::fs::copy(service.join("service.toml"), dir.join("service.toml")).expect("a copy");
        if let Some(locks) = locks {
            std::fs::write(dir.join("brick.lock"), &locks[&id]).expect("the lock");
        } else {
            room.brick(&dir, url, &[&["update"], flags].concat()).success();
        }
        room.brick(&dir, url, &[&["vendor"], flags].concat()).success();
        room.brick(&dir, url, &[&["verify"], flags].concat()).success();
        assert!(dir.join("bricks").is_dir(), "{id} was vendored");
        found.insert(id, std::fs::read(dir.join("brick.lock")).expect("a lockfile"));
    }
    found
}

#[test]
fn real_specifications_go_the_whole_way() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let Some(imported) = import_corpus(scratch.path()) else {
        return corpus::skipped("the corpus is not beside this checkout");
    };
    assert!(imported.govstack.len() + imported.fiware.len() >= 200, "a few hundred releases");
    assert_eq!(imported.services.len(), 15, "15 use cases");

    let mut federation = Federation::found(
        "commons.example",
        &["registry.council.example", "registry.govstack.example", "registry.fiware.example"],
    );
    federation.admit("govstack.example", PublisherKind::Community, GOVSTACK_HOME);
    federation.admit("fiware.example", PublisherKind::Community, FIWARE_HOME);
    federation.admit("council.example", PublisherKind::PublicBody, ADOPTERS);

    federation.publish("fiware.example", &imported.fiware);
    federation.publish("govstack.example", &imported.govstack);
    let releases: Vec<(String, String)> =
        imported.govstack.iter().chain(&imported.fiware).map(|f| is_of(f)).collect();
    federation.wait_for_releases(&releases, Duration::from_secs(120));

    // From an empty home, with only the root pinned, at a registry that is no brick's home.
    let url = federation.url(ADOPTERS);
    let first = federation.pinned_room(ADOPTERS);
    let locks = adopt(&first, &imported.services, &url, &[], None);
    for lock in locks.values() {
        let lock = Lockfile::from_bytes(lock).expect("a lockfile");
        assert!(lock.bricks.iter().all(|brick| brick.name.publisher != name("council.example")));
    }

    // The same from another registry, by another person: the same bytes.
    let second = federation.pinned_room(FIWARE_HOME);
    let other = adopt(&second, &imported.services, &federation.url(FIWARE_HOME), &[], None);
    assert_eq!(locks, other, "lockfiles are identical across registries");
    // And again in the first home: nothing moves.
    let again = adopt(&first, &imported.services, &url, &[], None);
    assert_eq!(locks, again, "lockfiles are identical across runs");

    // The homes of all bricks stop. A third person has nothing but the lockfiles, the pin, and a mirror.
    federation.stop(GOVSTACK_HOME);
    federation.stop(FIWARE_HOME);
    let third = federation.pinned_room(ADOPTERS);
    let locked = adopt(&third, &imported.services, &url, &["--locked"], Some(&locks));
    assert_eq!(locks, locked);

    // The last registry stops too: what was fetched is enough.
    federation.stop(ADOPTERS);
    for service in &imported.services {
        let id = service.file_name().expect("a name");
        std::fs::remove_dir_all(third.work().join(id).join("bricks")).expect("vendored before");
    }
    let offline = adopt(&third, &imported.services, &url, &["--offline"], Some(&locks));
    assert_eq!(locks, offline);
}

#[test]
fn what_is_chosen_does_not_depend_on_the_order_of_publishing() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let Some(imported) = import_corpus(scratch.path()) else {
        return corpus::skipped("the corpus is not beside this checkout");
    };
    let orders = [false, true].map(|last_first| in_order(&imported.govstack, last_first));
    assert_ne!(orders[0], orders[1], "there are two orders to compare");

    // Two commons with keys of their own, which publish the same bricks: only what was chosen can be the same.
    let [one, other] = orders.map(|order| {
        let mut federation =
            Federation::found("commons.example", &["registry.council.example", "registry.govstack.example"]);
        federation.admit("govstack.example", PublisherKind::Community, GOVSTACK_HOME);
        federation.publish("govstack.example", &order);
        let releases: Vec<(String, String)> = order.iter().map(|folder| is_of(folder)).collect();
        federation.wait_for_releases(&releases, Duration::from_secs(120));
        let room = federation.pinned_room(ADOPTERS);
        let locks = adopt(&room, &imported.services, &federation.url(ADOPTERS), &[], None);
        locks.into_iter().map(|(id, lock)| (id, chosen(&lock))).collect::<BTreeMap<_, _>>()
    });
    assert!(one.values().any(|bricks| !bricks.is_empty()), "something was chosen");
    assert_eq!(one, other);
}
