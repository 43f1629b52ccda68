//! The commons that a guide runs in: three registries in this process, with the shipped examples published.

use std::path::{Path, PathBuf};
use std::time::Duration;

use brick_cli::Surroundings;
use brick_cli::quickstart::ceremony::{self, ExampleCommons, fresh_key};
use brick_schemas::PublisherName;
use brick_schemas::predicate::PublisherKind;
use brick_trust::envelope::Signer as _;
use brick_trust::key::{public_of_key_file, write_key_file};
use tokio::runtime::Runtime;

use crate::page::Errand;
use crate::page_text::top;

/// The registries; the first hosts the commons log and those who are admitted by a page.
const REGISTRIES: [&str; 3] =
    ["registry.southshire.example", "registry.midshire.example", "registry.acme.example"];
/// Publishers of the examples, and where their logs are hosted.
const PUBLISHERS: [(&str, usize); 2] = [("midshire.example", 1), ("acme.example", 2)];
/// Short, because everybody is on one machine.
const SYNC_INTERVAL: Duration = Duration::from_millis(300);

/// A commons that runs while a page does.
pub struct Background {
    commons: ExampleCommons,
    runtime: Runtime,
    dir: tempfile::TempDir,
}

impl Background {
    /// Founds a commons and publishes the shipped `examples`, in this order.
    pub fn start(examples: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let runtime = Runtime::new().expect("a runtime");
        let commons = runtime.block_on(async {
            let ids = REGISTRIES.map(name);
            let mut commons = ceremony::found(
                &dir.path().join("registries"),
                &name("commons.example"),
                &ids,
                SYNC_INTERVAL,
            )
            .await
            .expect("a commons");
            for (publisher, home) in PUBLISHERS {
                commons.admit(&name(publisher), PublisherKind::PublicBody, home).await.expect("admission");
            }
            commons.wait_for_quorum().await.expect("a quorum");
            commons
        });
        let background = Self { commons, runtime, dir };
        for example in examples {
            background.publish(example);
        }
        background.settle();
        background
    }

    /// What pages take as given.
    pub fn variables(&self) -> Vec<(String, String)> {
        vec![
            ("REGISTRY".to_owned(), self.commons.servers[0].url()),
            ("ROOT_SHA256".to_owned(), self.commons.root_sha256.to_string()),
        ]
    }

    /// Does what a page says that others do: `settle`, or `admit <publisher> <kind> <key>`.
    pub fn meanwhile(&self, errand: &Errand) {
        let words: Vec<&str> = errand.what.split(' ').collect();
        match words.as_slice() {
            ["settle"] => {}
            ["admit", publisher, kind_word, key] => {
                let file = errand.home.join(".brick/keys").join(key);
                let text = std::fs::read(&file).unwrap_or_else(|err| panic!("{}: {err}", file.display()));
                let officer = public_of_key_file(&text).expect("a key file");
                let owner = fresh_key().expect("randomness").public();
                self.runtime
                    .block_on(self.commons.admit_with(&name(publisher), kind(kind_word), 0, officer, owner))
                    .expect("admission");
            }
            _ => panic!("nobody knows how to {}", errand.what),
        }
        self.settle();
    }

    /// Waits until every registry shows the same, cosigned.
    fn settle(&self) {
        self.runtime.block_on(self.commons.wait_for_quorum()).expect("a quorum");
    }

    /// Publishes a shipped example as its publisher would.
    fn publish(&self, example: &str) {
        let (publisher, folder) = example.split_once('/').expect("publisher and folder");
        let member =
            self.commons.members.iter().find(|member| member.id.as_str() == publisher).expect("a member");
        let home = self.dir.path().join("homes").join(publisher);
        let registry = self.commons.servers[member.home].url();
        let work = self.dir.path().join("examples").join(folder);
        copy(&top().join("cli/src/quickstart/bricks").join(example), &work);
        if !home.exists() {
            std::fs::create_dir_all(home.join("keys")).expect("a folder");
            let text = write_key_file(&member.officer, "example", None).expect("a key");
            std::fs::write(home.join("keys/officer"), text.as_bytes()).expect("a file");
            let root = self.commons.root_sha256.to_string();
            self.brick(&home, &registry, &work, &["commons", "trust", &registry, "--root-sha256", &root]);
        }
        self.brick(&home, &registry, &work, &["publish", "--key", "officer", "--yes"]);
    }

    fn brick(&self, home: &Path, registry: &str, work: &Path, args: &[&str]) {
        let env = [("BRICK_HOME", home.as_os_str().to_owned()), ("BRICK_REGISTRY", registry.into())];
        let (surroundings, captured) = Surroundings::captured(work, env);
        let code = brick_cli::run(["brick"].iter().chain(args).map(Into::into), surroundings);
        assert_eq!(code, 0, "brick {args:?}: {}", captured.stderr());
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("an example") {
        let path: PathBuf = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("it has a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("a copy");
        }
    }
}

fn name(text: &str) -> PublisherName {
    PublisherName::parse(text).expect("a good name")
}

/// A publisher's kind, as records write it.
pub fn kind(word: &str) -> PublisherKind {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).expect("a kind of publisher")
}
