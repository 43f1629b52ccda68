//! A real registry on loopback, founded and filled by the command line itself.

use std::time::Duration;

use brick_schemas::{Digest, PublisherName};
use brick_tlog::note::{Algorithm, Vkey};
use brickyard::{Server, Settings};
use ed25519_dalek::SigningKey;

use super::proxy::Proxy;
use super::{Room, check};

/// The registry's name, which is its operator's, too.
pub const REGISTRY: &str = "registry.example";

/// A commons with one registry, whose root is signed by one steward.
pub struct Commons {
    runtime: tokio::runtime::Runtime,
    server: Option<Server>,
    /// The way to it: the address that its record names.
    pub proxy: Proxy,
    settings: Settings,
    /// The digest to pin.
    pub root: String,
    _dir: tempfile::TempDir,
}

impl Commons {
    /// Founds it from `room`, which gets the keys `steward`, `registrar` and `owner`, and trusts it.
    pub fn found(room: &Room) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for key in ["steward", "registrar", "owner"] {
            check(room, &["key", "new", key, "--no-passphrase"], 0, &[]);
        }
        let id = PublisherName::parse(REGISTRY).unwrap();
        let settings = Settings {
            sync_interval: Duration::from_millis(200),
            ..Settings::new(
                dir.path().to_owned(),
                id.clone(),
                id,
                Digest::of(b"not known yet"),
                SigningKey::from_bytes(&[41; 32]),
                SigningKey::from_bytes(&[42; 32]),
            )
        };
        let log = hex::encode(settings.log_key.verifying_key().to_bytes());
        check(
            room,
            &[
                "commons",
                "init",
                "commons.example",
                "--steward",
                "steward",
                "--registrar",
                "registrar",
                "--log",
                &log,
            ],
            0,
            &["Drafted"],
        );
        check(room, &["commons", "sign", "root.json", "--yes"], 0, &["enough"]);
        let root = std::fs::read(room.work().join("root.json")).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let digest = runtime.block_on(brickyard::founding::found(&settings, &root)).unwrap();
        let mut commons = Self {
            runtime,
            server: None,
            proxy: Proxy::start(),
            settings: Settings { root_sha256: digest, ..settings },
            root: digest.to_string(),
            _dir: dir,
        };
        commons.start();
        check(
            room,
            &["commons", "trust", &commons.url(), "--root-sha256", &commons.root],
            0,
            &["trusted commons.example"],
        );
        commons.admit_registry(room);
        commons
    }

    fn admit_registry(&self, room: &Room) {
        let log = hex::encode(self.settings.log_key.verifying_key().to_bytes());
        let witness_name = self.server().registry.witness_name();
        let witness =
            Vkey::of(witness_name, Algorithm::CosignatureV1, &self.settings.witness_key).to_string();
        let url = self.url();
        let args = ["commons", "admit", "registry", REGISTRY, "--operator", REGISTRY, "--url", &url];
        let keys = ["--log-key", &log, "--witness", &witness, "--owner", "owner", "--out", "registry.json"];
        check(
            room,
            &[args.as_slice(), &keys].concat(),
            0,
            &["record of registry registry.example", "0 of 1 registrars, 1 still to come"],
        );
        sign_and_submit(room, "registry.json");
    }

    /// Admits a publisher with the key `officer` of `room`, and waits until its log is open.
    pub fn admit(&self, room: &Room, publisher: &str) {
        let args = ["commons", "admit", "publisher", publisher, "--kind", "public-body", "--home", REGISTRY];
        let keys =
            ["--key", "officer", "--owner", "owner", "--title", "A council", "--out", "publisher.json"];
        check(room, &[args.as_slice(), &keys].concat(), 0, &["Drafted", "may publish, yank"]);
        sign_and_submit(room, "publisher.json");
    }

    pub fn url(&self) -> String {
        self.proxy.url()
    }

    fn server(&self) -> &Server {
        self.server.as_ref().expect("it runs")
    }

    /// Starts it again at the address it had.
    pub fn start(&mut self) {
        let server = self.runtime.block_on(brickyard::start(self.settings.clone())).unwrap();
        self.settings.listen = server.address();
        self.proxy.to(Some(server.address()));
        self.server = Some(server);
    }

    /// Stops it; its address answers no more.
    pub fn stop(&mut self) {
        self.proxy.to(None);
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop());
        }
    }
}

/// Has the registrar sign a record, and has it logged.
pub fn sign_and_submit(room: &Room, file: &str) {
    check(room, &["commons", "sign", file, "--key", "registrar", "--yes"], 0, &["enough"]);
    check(room, &["commons", "submit", file], 0, &["Logged"]);
}
