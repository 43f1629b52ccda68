//! How does one organisation run its registry?

use std::net::SocketAddr;
use std::path::Path;

use brick_schemas::{Digest, PublisherName};
use brick_trust::key::write_key_file;
use ed25519_dalek::SigningKey;

use super::LIMIT;
use crate::process::{Room, Running, free_address, program};

/// One organisation that runs a registry.
pub(super) struct Seat {
    pub(super) id: PublisherName,
    pub(super) address: SocketAddr,
    pub(super) log_key: SigningKey,
    pub(super) witness_key: SigningKey,
    pub(super) room: Room,
    pub(super) process: Option<Running>,
    /// Words before the command line.
    wrapper: Vec<String>,
}

impl Seat {
    pub(super) fn new(id: PublisherName, keys: [SigningKey; 2], wrapper: &[&str]) -> Self {
        let [log_key, witness_key] = keys;
        let wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
        Self { id, address: free_address(), log_key, witness_key, room: Room::new(), process: None, wrapper }
    }

    pub(super) fn configure(&self, root_sha256: &Digest, host: Option<&str>) {
        let room = &self.room;
        for (path, key) in [("keys/log", &self.log_key), ("keys/witness", &self.witness_key)] {
            room.write(path, open_key(key));
            restrict(&room.work().join(path));
        }
        let peers = host
            .map_or_else(String::new, |url| format!("\n[[peer]]\nurl = \"{url}\"\ngit = \"{url}/git\"\n"));
        room.write(
            "registry.toml",
            format!(
                "config = 1\ndata = \"data\"\nlisten = \"{}\"\nurls = [\"http://{}\"]\nregistry = \"{id}\"\noperator = \"{id}\"\nroot-sha256 = \"{root_sha256}\"\nsync-interval-s = 1\n\n[keys]\nlog = \"keys/log\"\nwitness = \"keys/witness\"\n{peers}",
                self.address, self.address, id = self.id
            ),
        );
    }

    /// The end of what its process said.
    pub(super) fn said(&self) -> String {
        let said = self.process.as_ref().map(Running::stderr).unwrap_or_default();
        said.lines().rev().take(20).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    pub(super) fn start(&mut self) {
        self.spawn(&[]);
        self.process.as_ref().expect("it was just started").wait_for_line("listening", LIMIT);
    }

    /// Starts it with more environment, and does not wait.
    pub(super) fn spawn(&mut self, env: &[(&str, &str)]) {
        let serve = ["serve", "--config", "registry.toml"].map(str::to_owned);
        let mut words = self.wrapper.clone();
        words.push(program("brickyard").to_string_lossy().into_owned());
        words.extend(serve);
        let mut command = self.room.command(&words[0], &words[1..]);
        command.envs(env.iter().copied());
        self.process = Some(Running::of(command));
    }
}

/// A key file without a passphrase.
pub(super) fn open_key(key: &SigningKey) -> String {
    write_key_file(key, "test", None).expect("a key file").to_string()
}

/// Private keys are for their owner alone.
pub(super) fn restrict(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("permissions");
}
