//! How do three organisations make a commons? Stewards sign a root, registries start, registrars admit.
//!
//! Everything here is what real bodies do by hand over weeks, with the same files and the same requests; only the keys
//! are made on the spot.

use std::path::Path;
use std::time::Duration;

use brick_client::Client;
use brick_index::layout;
use brick_schemas::predicate::publisher::PublisherKey;
use brick_schemas::predicate::{
    Basis, Place, Predicate, Publisher, PublisherKind, PublisherStatus, Registry as RegistryRecord, Right,
    STATEMENT_PAYLOAD_TYPE, Statement,
};
use brick_schemas::{Digest, KeySet, Origin, PublicKey, PublisherName};
use brick_tlog::checkpoint::Checkpoint;
use brick_tlog::note::{Algorithm, KeyName, Vkey};
use brick_trust::envelope::Signer as _;
use brick_trust::root::{DEFAULT_REFUSE_AGE_S, DEFAULT_WARN_AGE_S, Role, TERMS_VERSION, Terms};
use brick_trust::{Envelope, Root};
use brickyard::{Server, Settings};
use ed25519_dalek::SigningKey;

/// How long the first root of an example commons holds, in seconds.
const ROOT_LIFETIME_S: u64 = 365 * 24 * 60 * 60;

/// Why a commons could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CeremonyError {
    /// No randomness to be had.
    #[error("the system gives no randomness")]
    Random,
    /// A registry did not start.
    #[error("registry {id} did not start")]
    Start {
        /// Which.
        id: PublisherName,
        /// Why.
        #[source]
        err: brickyard::RegistryError,
    },
    /// A record was not admitted.
    #[error("{what}")]
    Ask {
        /// What was asked.
        what: String,
        /// The answer.
        #[source]
        err: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Something did not happen in time.
    #[error("{what} did not happen within {} s", limit.as_secs())]
    Slow {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
    },
}

/// A fresh key.
///
/// # Errors
/// [`CeremonyError::Random`].
pub fn fresh_key() -> Result<SigningKey, CeremonyError> {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(&mut seed[..]).map_err(|_| CeremonyError::Random)?;
    Ok(SigningKey::from_bytes(&seed))
}

/// A publisher of an example commons, with its keys.
pub struct Member {
    /// Its name.
    pub id: PublisherName,
    /// Its officer's key, with every right.
    pub officer: SigningKey,
    /// Its owner's key.
    pub owner: SigningKey,
    /// Where its log is hosted, counted among the registries.
    pub home: usize,
}

/// A running commons.
pub struct ExampleCommons {
    /// The digest to pin.
    pub root_sha256: Digest,
    /// The commons log.
    pub origin: Origin,
    /// The registries; the first hosts the commons log.
    pub servers: Vec<Server>,
    /// The publishers.
    pub members: Vec<Member>,
    /// The registrar's key, who admits publishers.
    pub registrar: SigningKey,
}

/// Founds a commons of `registries` in folders below `dir`, and starts them on free ports of loopback.
///
/// # Errors
/// [`CeremonyError`].
pub async fn found(
    dir: &Path,
    domain: &PublisherName,
    registries: &[PublisherName],
    sync_interval: Duration,
) -> Result<ExampleCommons, CeremonyError> {
    let origin = Origin::of_commons(domain);
    let (stewards, registrar) = ([fresh_key()?, fresh_key()?, fresh_key()?], fresh_key()?);
    let log_keys = registries.iter().map(|_| fresh_key()).collect::<Result<Vec<_>, _>>()?;
    let name = KeyName::new(origin.as_str()).expect("an origin is a key name");
    let terms = Terms {
        format: TERMS_VERSION,
        commons: domain.clone(),
        log: Vkey::of(name, Algorithm::Ed25519, &log_keys[0]).to_string(),
        quorum_at_least: 0,
        warn_age_s: DEFAULT_WARN_AGE_S,
        refuse_age_s: DEFAULT_REFUSE_AGE_S,
    };
    let role = Role { keys: stewards.iter().map(SigningKey::public).collect(), threshold: 2 };
    let registrars = Role { keys: vec![registrar.public()], threshold: 1 };
    let mut root = Root::draft(1, brickyard::registry::now() + ROOT_LIFETIME_S, &role, &registrars, &terms);
    for steward in &stewards[..2] {
        root.sign(steward).expect("a key in memory signs");
    }
    let root_sha256 = root.payload_digest();
    let mut servers = Vec::new();
    let mut settings = Vec::new();
    for (id, log_key) in registries.iter().zip(log_keys) {
        let data = dir.join(id.as_str());
        settings.push(Settings {
            sync_interval,
            ..Settings::new(data, id.clone(), id.clone(), root_sha256, log_key, fresh_key()?)
        });
    }
    let start_error = |id: &PublisherName| {
        let id = id.clone();
        move |err| CeremonyError::Start { id, err }
    };
    for (at, mut own) in settings.into_iter().enumerate() {
        let id = own.id.clone();
        match servers.first() {
            None => {
                brickyard::founding::found(&own, &root.to_bytes()).await.map_err(start_error(&id))?;
            }
            Some(first) => {
                let first: &Server = first;
                own.peers.push(brickyard::Peer::at(registries[0].as_str(), &first.url()));
            }
        }
        servers.push(brickyard::start(own).await.map_err(start_error(&id))?);
        debug_assert_eq!(servers.len(), at + 1);
    }
    let commons = ExampleCommons { root_sha256, origin, servers, members: Vec::new(), registrar };
    for at in 0..registries.len() {
        commons.admit_registry(at).await?;
    }
    commons.wait_for_commons().await?;
    Ok(commons)
}

impl ExampleCommons {
    /// A client of one registry.
    pub fn client(&self, registry: usize) -> Client {
        Client::new(&self.servers[registry].url()).expect("a loopback address is one")
    }

    /// Where the next record will stand: the head of the commons log at its host.
    fn place(&self) -> Place {
        let head = self.servers[0].registry.head(&self.origin);
        let checkpoint = head
            .and_then(|head| brick_tlog::note::Note::parse(&head.newest).ok())
            .and_then(|note| Checkpoint::parse(&note.text).ok())
            .expect("a founded commons has a head");
        Place {
            log: self.origin.clone(),
            basis: Basis { size: checkpoint.size, root: Digest::from(*checkpoint.root.as_bytes()) },
        }
    }

    async fn submit(&self, what: &str, subject: Digest, predicate: Predicate) -> Result<(), CeremonyError> {
        let statement = Statement::new(vec![(what.to_owned(), subject)], predicate);
        let mut envelope = Envelope::unsigned(STATEMENT_PAYLOAD_TYPE, statement.to_bytes());
        envelope.sign(&self.registrar).expect("a key in memory signs");
        self.client(0)
            .publish(envelope.to_bytes(), Vec::new())
            .await
            .map(|_| ())
            .map_err(|err| CeremonyError::Ask { what: format!("admitting {what}"), err: Box::new(err) })
    }

    async fn admit_registry(&self, at: usize) -> Result<(), CeremonyError> {
        let server = &self.servers[at];
        let settings = &server.registry.settings;
        let witness =
            Vkey::of(server.registry.witness_name(), Algorithm::CosignatureV1, &settings.witness_key);
        let record = RegistryRecord {
            place: self.place(),
            id: settings.id.clone(),
            operator: settings.operator.clone(),
            log_key: settings.log_key.public(),
            witness: witness.to_string(),
            urls: vec![server.url()],
            owners: KeySet { keys: vec![fresh_key()?.public()], threshold: 1 },
            status: PublisherStatus::Active,
        };
        let subject = Digest::of(record.witness.as_bytes());
        self.submit(settings.id.as_str(), subject, Predicate::Registry(Box::new(record))).await
    }

    /// Admits a publisher whose log is hosted by registry `home`, and waits until that registry has opened it.
    ///
    /// # Errors
    /// [`CeremonyError`].
    pub async fn admit(
        &mut self,
        id: &PublisherName,
        kind: PublisherKind,
        home: usize,
    ) -> Result<(), CeremonyError> {
        let member = Member { id: id.clone(), officer: fresh_key()?, owner: fresh_key()?, home };
        self.admit_with(id, kind, home, member.officer.public(), member.owner.public()).await?;
        self.members.push(member);
        Ok(())
    }

    /// As [`admit`](Self::admit), with keys that somebody else holds: the officer's and the owner's.
    ///
    /// # Errors
    /// [`CeremonyError`].
    pub async fn admit_with(
        &self,
        id: &PublisherName,
        kind: PublisherKind,
        home: usize,
        officer: PublicKey,
        owner: PublicKey,
    ) -> Result<(), CeremonyError> {
        let origin = Origin::of_publisher(id);
        let server = &self.servers[home];
        let record = Publisher {
            place: self.place(),
            id: id.clone(),
            kind,
            title: None,
            origin: origin.clone(),
            vkey: server.registry.hosted_vkey(&origin).to_string(),
            home: server.registry.settings.id.clone(),
            owners: KeySet { keys: vec![owner], threshold: 1 },
            keys: vec![PublisherKey {
                key: officer,
                rights: vec![Right::Publish, Right::Yank, Right::Attest, Right::Propose],
                until: None,
                bricks: None,
            }],
            from: 0,
            status: PublisherStatus::Active,
            succeeds: Vec::new(),
        };
        let subject = Digest::of(record.vkey.as_bytes());
        self.submit(id.as_str(), subject, Predicate::Publisher(Box::new(record))).await?;
        self.wait(&format!("opening the log of {id}"), || self.servers[home].registry.head(&origin).is_some())
            .await
    }

    /// Waits until every registry holds the whole commons log.
    async fn wait_for_commons(&self) -> Result<(), CeremonyError> {
        let size = |server: &Server| server.registry.head(&self.origin).map_or(0, |head| head.size);
        self.wait("mirroring the commons log", || {
            let first = size(&self.servers[0]);
            self.servers.iter().all(|server| size(server) == first)
        })
        .await
    }

    /// Waits until every registry shows every log of registry `home`'s at its newest head, with a quorum.
    ///
    /// # Errors
    /// [`CeremonyError::Slow`].
    pub async fn wait_for_quorum(&self) -> Result<(), CeremonyError> {
        self.wait_async("mirroring and cosigning", async || self.is_settled().await).await
    }

    /// Whether every registry shows the same newest, quorate head of every log, over HTTP and in its git repository.
    pub async fn is_settled(&self) -> bool {
        let mut newest = std::collections::BTreeMap::new();
        for server in &self.servers {
            let Ok(logs) = server.registry.store.logs().await else { return false };
            for log in logs {
                let size = newest.entry(log.origin).or_insert(0);
                *size = log.size.max(*size);
            }
        }
        self.servers.iter().all(|server| newest.iter().all(|(origin, size)| shows(server, origin, *size)))
    }

    async fn wait(&self, what: &str, done: impl Fn() -> bool) -> Result<(), CeremonyError> {
        self.wait_async(what, async || done()).await
    }

    async fn wait_async(&self, what: &str, done: impl AsyncFn() -> bool) -> Result<(), CeremonyError> {
        const LIMIT: Duration = Duration::from_secs(60);
        let deadline = tokio::time::Instant::now() + LIMIT;
        let mut rounds = 0_u32;
        while !done().await {
            if tokio::time::Instant::now() > deadline {
                return Err(CeremonyError::Slow { what: what.to_owned(), limit: LIMIT });
            }
            // Twice a second: registries need not wait for their own interval while somebody is watching.
            if rounds.is_multiple_of(10) {
                for server in &self.servers {
                    server.registry.follow.notify_one();
                }
            }
            rounds += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

/// Whether a registry shows a log's head of `size` leaves with a quorum, over HTTP and in git.
fn shows(server: &Server, origin: &Origin, size: u64) -> bool {
    let Some(head) = server.registry.head(origin) else { return false };
    let Ok(rules) = server.registry.rules(head.publisher.as_ref()) else { return false };
    let folder = head.publisher.as_ref().map_or_else(|| layout::COMMONS.to_owned(), layout::log);
    let in_git =
        server.registry.projection.read(&layout::checkpoint(&folder)).ok().flatten().unwrap_or_default();
    [&head.shown, &in_git].into_iter().all(|note| {
        brick_trust::open_head(note, &rules).is_ok_and(|open| {
            open.checkpoint().size == size && open.has_quorum(&rules, brickyard::registry::now())
        })
    })
}
