//! What does a registry make of a peer's repository with one thing changed? It takes nothing of the log, says at which
//! check, and accuses nobody who did not sign two histories.

use std::path::Path;
use std::time::{Duration, Instant};

use brick_schemas::{Origin, PublisherName};
use brick_store::SyncState;
use brickyard::{Peer, Server, Settings};
use ed25519_dalek::SigningKey;

use crate::scene::{CLONE, Scene, Way};
use crate::world::{PUBLISHER, World};

/// What the peer is called in reports.
const PEER: &str = "a changed repository";
const LIMIT: Duration = Duration::from_secs(60);

/// A registry that follows one repository and nobody else.
pub struct Mirror {
    server: Server,
    data: tempfile::TempDir,
}

/// What is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    /// The end of the first round.
    Once,
    /// A refusal.
    Refused,
}

/// How following one log, or the peer as a whole, went.
#[derive(Debug, Clone)]
pub struct Followed {
    /// Leaves held of the attacked publisher's log.
    pub leaves: u64,
    /// Reasons why something was not taken, the step first: `step|reason`, or the reason alone.
    pub refusals: Vec<String>,
    /// Pairs of heads kept as proof of two histories.
    pub evidence: usize,
}

impl Mirror {
    /// Starts a registry that knows the root's digest and the repository in the scene.
    pub fn start(world: &World, scene: &Scene) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root_sha256 = scene.args.last().expect("the digest to pin").parse().expect("a digest");
        let registry = name("registry.new.example");
        let keys = [1, 2].map(|seed| SigningKey::from_bytes(&[seed; 32]));
        let [log_key, witness_key] = keys;
        let data = folder.path().join("data");
        let mut settings = Settings::new(data, registry.clone(), registry, root_sha256, log_key, witness_key);
        settings.peers = vec![peer(&scene.room.work().join(CLONE))];
        settings.sync_interval = Duration::from_secs(3_600);
        let server = world.runtime.block_on(brickyard::start(settings)).expect("a registry starts");
        Self { server, data: folder }
    }

    /// Has it follow, and waits until that came to something: for the first time, or to a refusal.
    pub fn follow(&self, world: &World, until: Until) -> Followed {
        let registry = &self.server.registry;
        let deadline = Instant::now() + LIMIT;
        world.runtime.block_on(async {
            loop {
                let followed = self.look().await;
                match (&followed, until) {
                    (Some(followed), Until::Once) => return followed.clone(),
                    (Some(followed), Until::Refused) if !followed.refusals.is_empty() => {
                        return followed.clone();
                    }
                    _ => {}
                }
                assert!(Instant::now() < deadline, "following comes to something: {followed:#?}");
                registry.follow.notify_one();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
    }

    /// How things stand; `None` before the first round has ended.
    async fn look(&self) -> Option<Followed> {
        let registry = &self.server.registry;
        let states = registry.store.sync_states().await.expect("the store answers");
        let own: Vec<_> = states.into_iter().filter(|row| row.peer == PEER).collect();
        if own.iter().all(|row| row.log.is_some()) {
            return None;
        }
        let refusal = |state| match state {
            SyncState::Failed { why } => Some(why),
            SyncState::Followed => None,
        };
        let refusals = own.into_iter().filter_map(|row| refusal(row.state)).collect();
        let evidence = registry.store.evidence().await.expect("the store answers").len();
        let origin = Origin::of_publisher(&name(PUBLISHER));
        Some(Followed { leaves: registry.head(&origin).map_or(0, |head| head.size), refusals, evidence })
    }

    /// Stops it.
    pub fn stop(self, world: &World) {
        world.runtime.block_on(self.server.stop());
        drop(self.data);
    }
}

fn peer(clone: &Path) -> Peer {
    Peer { name: PEER.to_owned(), url: None, git: clone.to_string_lossy().into_owned() }
}

fn name(text: &str) -> PublisherName {
    PublisherName::parse(text).expect("a good name")
}

/// Lets a new registry follow what a row made of the clone; it must take nothing of the attacked log.
pub fn judge(world: &World, step: &str, tamper: fn(&World, &mut Scene)) -> Result<(), String> {
    let mut scene = Scene::new(world, Way::Audit, false);
    tamper(world, &mut scene);
    let mirror = Mirror::start(world, &scene);
    let followed = mirror.follow(world, Until::Once);
    mirror.stop(world);
    if followed.leaves > 0 || followed.evidence > 0 {
        return Err(format!("a registry took it: {followed:#?}"));
    }
    // A registry holds all leaves against the head before it replays them, an audit afterwards.
    let is_named =
        |why: &String| why.split_once('|').is_some_and(|(named, _)| named == step || named == "inclusion");
    // What git itself refuses, or the layout of the repository, comes before any step.
    let is_unreadable =
        |why: &String| !why.contains('|') && (why.contains("git") || why.contains("repository"));
    match followed.refusals.iter().any(|why| is_named(why) || is_unreadable(why)) {
        true => Ok(()),
        false => Err(format!("a registry did not refuse it at `{step}`: {followed:#?}")),
    }
}
