//! One honest commons, set up once: founded, published to, copied, cloned, and stopped.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use brick_cli::quickstart::ceremony::{self, ExampleCommons};
use brick_schemas::predicate::{PublisherKind, STATEMENT_PAYLOAD_TYPE, Statement};
use brick_schemas::{Digest, Origin, PublisherName};
use brick_tests::folder;
use brick_tests::git::Git;
use brick_tests::process::Room;
use brick_tlog::note::KeyName;
use brick_trust::Envelope;
use brick_trust::key::write_key_file;
use ed25519_dalek::SigningKey;
use tokio::runtime::Runtime;

use crate::forge::Keys;
use crate::site::Site;

/// The publisher that is attacked, and its bricks.
pub const PUBLISHER: &str = "north.example";
/// Another one, in the same commons.
pub const OTHER: &str = "south.example";
const BRICKS: [(&str, &str); 3] = [(PUBLISHER, "case"), (PUBLISHER, "notes"), (OTHER, "pay")];
const REGISTRIES: [&str; 3] = ["registry.first.example", "registry.north.example", "registry.south.example"];

/// What the rows of the table begin from.
pub struct World {
    /// Serves sites.
    pub runtime: Runtime,
    /// The digest to pin, in hex.
    pub root_sha256: String,
    /// What the first registry, which is nobody's home, served before the last release…
    pub early: Site,
    /// … and after it.
    pub late: Site,
    /// A clone of its git repository, at the time of `late`.
    pub clone: PathBuf,
    /// What the host of [`PUBLISHER`]'s log and all witnesses could sign together.
    pub log_keys: Keys,
    /// The same of the commons log.
    pub commons_keys: Keys,
    /// [`PUBLISHER`]'s officer.
    pub officer: SigningKey,
    /// The registrar, who admits publishers.
    pub registrar: SigningKey,
    /// Unix seconds.
    pub now: u64,
    /// A home that pinned the root from `late` and did nothing else.
    pub pinned: PathBuf,
    /// A home that resolved, fetched and vendored from `late`; its project, vendored, lies in `project`.
    pub seen: PathBuf,
    /// A home that did the same with `early`.
    pub seen_early: PathBuf,
    /// A project that requires `case`, with lockfile and vendored bricks.
    pub project: PathBuf,
    _dir: tempfile::TempDir,
}

fn name(text: &str) -> PublisherName {
    PublisherName::parse(text).expect("a good name")
}

impl World {
    /// Sets everything up; some seconds.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let runtime = Runtime::new().expect("threads");
        let registries = REGISTRIES.map(name);
        let mut commons = runtime
            .block_on(ceremony::found(
                &dir.path().join("registries"),
                &name("commons.example"),
                &registries,
                Duration::from_millis(200),
            ))
            .expect("a commons");
        for (at, publisher) in [(1, PUBLISHER), (2, OTHER)] {
            runtime
                .block_on(commons.admit(&name(publisher), PublisherKind::PublicBody, at))
                .expect("admitted");
        }
        // Readers see heads that a quorum has cosigned.
        runtime.block_on(commons.wait_for_quorum()).expect("a quorum");
        let officer = Officer::new(&commons, PUBLISHER);
        officer.publish("case", "1.0.0", &[]);
        officer.publish("case", "1.1.0", &["docs/more.md"]);
        officer.publish("notes", "1.0.0", &[]);
        Officer::new(&commons, OTHER).publish("pay", "1.0.0", &[]);
        runtime.block_on(commons.wait_for_quorum()).expect("a quorum");
        let url = commons.servers[0].url();
        let early = runtime.block_on(Site::copy(&url, &BRICKS));

        officer.publish("case", "1.2.0", &["docs/more.md", "docs/yet-more.md"]);
        runtime
            .block_on(commons.admit(&name("late.example"), PublisherKind::PublicBody, 1))
            .expect("admitted");
        runtime.block_on(commons.wait_for_quorum()).expect("a quorum");
        let late = runtime.block_on(Site::copy(&url, &BRICKS));
        let clone = dir.path().join("clone");
        wait_for_git(&url, &clone, &late);

        let keys = |origin: Origin, host: usize| Keys {
            log: (
                KeyName::new(origin.as_str()).expect("an origin is a key name"),
                commons.servers[host].registry.settings.log_key.clone(),
            ),
            witnesses: commons
                .servers
                .iter()
                .map(|server| (server.registry.witness_name(), server.registry.settings.witness_key.clone()))
                .collect(),
        };
        let log_keys = keys(Origin::of_publisher(&name(PUBLISHER)), 1);
        let commons_keys = keys(commons.origin.clone(), 0);
        let root_sha256 = commons.root_sha256.to_string();
        let officer = commons.members[0].officer.clone();
        let registrar = commons.registrar.clone();
        runtime.block_on(async {
            for server in commons.servers {
                server.stop().await;
            }
        });

        let [pinned, seen, project] = adopt(&dir.path().join("late"), &runtime, &late, &root_sha256);
        let [_, seen_early, _] = adopt(&dir.path().join("early"), &runtime, &early, &root_sha256);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
        Self {
            runtime,
            root_sha256,
            early,
            late,
            clone,
            log_keys,
            commons_keys,
            officer,
            registrar,
            now,
            pinned,
            seen,
            seen_early,
            project,
            _dir: dir,
        }
    }

    /// A leaf that [`PUBLISHER`]'s officer signed.
    pub fn sign(&self, statement: &Statement) -> Vec<u8> {
        seal(statement, &self.officer)
    }
}

/// A statement as an entry signed by `key`.
pub fn seal(statement: &Statement, key: &SigningKey) -> Vec<u8> {
    let mut envelope = Envelope::unsigned(STATEMENT_PAYLOAD_TYPE, statement.to_bytes());
    envelope.sign(key).expect("a key in memory signs");
    envelope.to_bytes()
}

/// A publisher at its keyboard.
struct Officer {
    room: Room,
    publisher: &'static str,
}

impl Officer {
    fn new(commons: &ExampleCommons, publisher: &'static str) -> Self {
        let member = commons.members.iter().find(|member| member.id.as_str() == publisher).expect("a member");
        let url = commons.servers[member.home].url();
        let room = Room::new().with("BRICK_REGISTRY", url.as_str());
        let keys = room.home().join(".brick/keys");
        let text = write_key_file(&member.officer, "officer", None).expect("a key file");
        std::fs::create_dir_all(&keys)
            .and_then(|()| std::fs::write(keys.join("officer"), text.as_bytes()))
            .expect("a home");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let private = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(keys.join("officer"), private).expect("one's own file");
        }
        done(&room, &["commons", "trust", &url, "--root-sha256", &commons.root_sha256.to_string()]);
        Self { room, publisher }
    }

    fn publish(&self, brick: &str, version: &str, more_files: &[&str]) {
        let folder = format!("{brick}-{version}");
        let manifest = format!(
            "manifest = 1\n\n[brick]\nname = \"{}/{brick}\"\nversion = \"{version}\"\nkind = \"data-model\"\n\
             maturity = \"live\"\nlicense = \"MIT\"\nreadme = \"README.md\"\n\n[text.en]\ntitle = \"{brick}\"\n\
             summary = \"What the word {brick} means.\"\n",
            self.publisher
        );
        self.room.write(&format!("{folder}/brick.toml"), manifest);
        self.room.write(&format!("{folder}/README.md"), format!("# {brick} {version}\n"));
        for file in more_files {
            self.room.write(&format!("{folder}/{file}"), "More.\n");
        }
        done(&self.room, &["-C", &folder, "publish", "--key", "officer", "--yes"]);
    }
}

/// Runs `brick`, which must do what it is told.
fn done(room: &Room, args: &[&str]) {
    let ended = room.run("brick", args);
    assert_eq!(ended.code, Some(0), "brick {args:?}: {ended:#?}");
}

/// Clones the registry's repository once it shows what `site` shows: it follows the logs within a second.
fn wait_for_git(url: &str, clone: &Path, site: &Site) {
    const LIMIT: Duration = Duration::from_secs(60);
    let deadline = std::time::Instant::now() + LIMIT;
    let size = |note: &[u8]| note.split(|byte| *byte == b'\n').nth(1).map(<[u8]>::to_vec);
    Git::clone(&format!("{url}/git"), clone);
    loop {
        let logs = ["commons".to_owned(), format!("logs/{PUBLISHER}"), format!("logs/{OTHER}")];
        let is_there = logs.iter().all(|log| {
            let path = format!("{log}/checkpoint");
            let found = std::fs::read(clone.join(&path)).unwrap_or_default();
            let cosigned = found.windows(9).filter(|part| part == b"/witness ").count();
            size(&found) == size(site.read(&path)) && cosigned >= 2
        });
        if is_there {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "the repository follows the logs");
        std::thread::sleep(Duration::from_millis(200));
        Git::at(clone).run(&["pull", "--quiet", "--ff-only"]);
    }
}

/// An honest adopter: pins the root, requires `case`, resolves, fetches and vendors it. Returns the home with only the
/// pin, the home afterwards, and the project.
fn adopt(dir: &Path, runtime: &Runtime, site: &Site, root_sha256: &str) -> [PathBuf; 3] {
    let served = site.clone().serve(runtime);
    let room = Room::new();
    done(&room, &["commons", "trust", &served.url, "--root-sha256", root_sha256]);
    let home = room.home();
    std::fs::remove_file(home.join(".brick/config.toml")).expect("the default registry is kept there");
    let copied = |name: &str, from: &Path| {
        folder::copy(from, &dir.join(name));
        dir.join(name)
    };
    let pinned = copied("pinned", &home);
    room.write("brick.toml", project_manifest());
    done(&room, &["--registry", &served.url, "fetch"]);
    done(&room, &["--registry", &served.url, "vendor", "--locked"]);
    done(&room, &["verify"]);
    [pinned, copied("seen", &home), copied("project", &room.work())]
}

/// The manifest of a brick that requires `case`.
pub fn project_manifest() -> String {
    format!(
        "manifest = 1\n\n[brick]\nname = \"portal.example/portal\"\nversion = \"0.1.0\"\nkind = \"component\"\n\
         maturity = \"beta\"\nlicense = \"MIT\"\n\n[text.en]\ntitle = \"Portal\"\nsummary = \"All services.\"\n\n\
         [requires]\n\"{PUBLISHER}/case\" = \"1\"\n"
    )
}

/// The digest of an archive, as text.
pub fn sha256(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}
