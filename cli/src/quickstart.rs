//! One command, no set-up: a whole commons on this machine, and the main job run in it (design §11).
//!
//! Registries are started in this process; everything after that is done by ordinary `brick` commands, each with the home
//! directory of the organisation that gives it.

pub mod ceremony;
mod examples;
mod folder;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use brick_schemas::PublisherName;
use brick_schemas::predicate::PublisherKind;
use ed25519_dalek::SigningKey;

use crate::context::Context;
use crate::failure::{Failure, Family};
use crate::surroundings::Surroundings;
use ceremony::{CeremonyError, ExampleCommons};

const COMMONS: &str = "commons.example";
/// The registries' names; the first hosts the commons log and the services, the others the bricks.
const REGISTRIES: [&str; 3] =
    ["registry.southshire.example", "registry.midshire.example", "registry.acme.example"];
/// The registry that bricks are resolved from: the home of none of them.
const ADOPTERS_REGISTRY: usize = 0;
/// Time between two rounds of following when nobody asks for a cosignature, which starts a round at once.
const SYNC_INTERVAL: Duration = Duration::from_secs(5);

/// What a quickstart was asked to do.
pub struct Plan {
    /// Bricks and services to publish in place of the shipped ones.
    pub from: Option<PathBuf>,
    /// Where everything is written; it must not hold anything yet.
    pub dir: PathBuf,
}

/// Bricks and services to publish, each a folder with its manifest.
pub struct Material {
    /// In an order in which requirements come first, with who publishes each.
    pub bricks: Vec<(PublisherName, PathBuf)>,
    /// With the body that declares each.
    pub services: Vec<(PublisherName, PathBuf)>,
    /// What was not published as it was found, for the reader to know.
    pub remarks: Vec<String>,
}

/// A commons that runs and holds the material.
pub struct Running {
    /// The commons.
    pub commons: ExampleCommons,
    /// Where each service was resolved, verified and vendored.
    pub adopted: Vec<PathBuf>,
    /// The home directory of the adopter, with only the root pinned before the first command.
    pub adopters_home: PathBuf,
}

/// Runs the story and leaves the commons running.
///
/// # Errors
/// [`Failure`] of the step that failed.
pub async fn run(ctx: &Context, plan: &Plan) -> Result<Running, Failure> {
    let dir = &plan.dir;
    let material = match &plan.from {
        Some(from) => folder::read(from, &dir.join("bricks"))?,
        None => shipped(&dir.join("bricks"))?,
    };
    for remark in &material.remarks {
        ctx.detail("Note", format_args!("{}", crate::foreign(remark)));
    }
    let started = Instant::now();
    let domain = name(COMMONS);
    let registries: Vec<PublisherName> = REGISTRIES.iter().map(|text| name(text)).collect();
    let mut commons = ceremony::found(&dir.join("registries"), &domain, &registries, SYNC_INTERVAL)
        .await
        .map_err(|err| failed(&err))?;
    say(
        ctx,
        "Founded",
        &format!("{domain}: 2 of 3 stewards signed its root, 3 registries run and follow each other"),
        started,
    );

    let started = Instant::now();
    let homes = homes_of(&material);
    for (publisher, (home, kind)) in &homes {
        commons.admit(publisher, *kind, *home).await.map_err(|err| failed(&err))?;
    }
    // Publishers' clients rely on records only under a head that a quorum has cosigned.
    commons.wait_for_quorum().await.map_err(|err| failed(&err))?;
    say(
        ctx,
        "Admitted",
        &format!("{}, each with a log at its home registry", count(homes.len(), "publisher")),
        started,
    );

    let started = Instant::now();
    write_homes(&commons, dir)?;
    publish(ctx, &commons, dir, &material.bricks, "release").await?;
    say(
        ctx,
        "Published",
        &format!(
            "{}, each signed, logged and answered with its proof",
            count(material.bricks.len(), "release")
        ),
        started,
    );

    let started = Instant::now();
    commons.wait_for_quorum().await.map_err(|err| failed(&err))?;
    say(
        ctx,
        "Mirrored",
        "every log through git, every entry checked, every head cosigned by the 2 other registries",
        started,
    );

    let started = Instant::now();
    let adopters_home = dir.join("homes/adopter");
    let adopter =
        Organisation { home: adopters_home.clone(), registry: commons.servers[ADOPTERS_REGISTRY].url() };
    let root = commons.root_sha256.to_string();
    adopter.brick(dir, &["commons", "trust", &adopter.registry, "--root-sha256", &root]).await?;
    let mut adopted = Vec::new();
    let mut locked = BTreeSet::new();
    for (_, service) in &material.services {
        adopter.brick(service, &["update"]).await?;
        locked.extend(locked_bricks(service));
        adopted.push(service.clone());
    }
    say(
        ctx,
        "Resolved",
        &format!(
            "{} to {} at {}, the home of none of them",
            count(material.services.len(), "service"),
            count(locked.len(), "brick"),
            REGISTRIES[ADOPTERS_REGISTRY]
        ),
        started,
    );

    let started = Instant::now();
    for service in &adopted {
        adopter.brick(service, &["vendor", "--locked"]).await?;
        adopter.brick(service, &["verify"]).await?;
    }
    say(
        ctx,
        "Verified",
        "every archive and proof: root, record, quorum, inclusion, signature, right, digest",
        started,
    );
    if let Some(first) = adopted.first() {
        ctx.status("Vendored", format_args!("to {}", ctx.shown(&first.join("bricks"))));
    }

    if !material.services.is_empty() {
        let started = Instant::now();
        publish(ctx, &commons, dir, &material.services, "service").await?;
        commons.wait_for_quorum().await.map_err(|err| failed(&err))?;
        say(
            ctx,
            "Declared",
            &format!("{}, each by what it is made of", count(material.services.len(), "service")),
            started,
        );
    }
    Ok(Running { commons, adopted, adopters_home })
}

/// What to try next, as commands that work while the commons runs.
pub fn what_next(ctx: &Context, running: &Running) -> String {
    let url = running.commons.servers[ADOPTERS_REGISTRY].url();
    let home = ctx.shown(&running.adopters_home);
    let mut text = format!(
        "\nThe commons runs until Ctrl-C. In another terminal:\n\n    export BRICK_HOME={home}\n    brick search ''\n"
    );
    if let Some(service) = running.adopted.first() {
        text.push_str(&format!("    brick -C {} tree\n", ctx.shown(service)));
    }
    text.push_str(&format!(
        "    git clone {url}/git commons && brick audit --index commons --root-sha256 {}\n    curl {url}/api/v1/sync\n",
        running.commons.root_sha256
    ));
    text
}

fn shipped(dir: &Path) -> Result<Material, Failure> {
    let (bricks, services) = examples::write(dir).map_err(|err| cannot_write(dir, &err))?;
    let of = |folders: Vec<PathBuf>| {
        folders
            .into_iter()
            .map(|folder| {
                let publisher = folder
                    .parent()
                    .and_then(Path::file_name)
                    .and_then(|name| name.to_str())
                    .unwrap_or_default();
                (name(publisher), folder.clone())
            })
            .collect()
    };
    Ok(Material { bricks: of(bricks), services: of(services), remarks: Vec::new() })
}

/// Where each publisher's log lives: bodies that declare services at the first registry, the others in turn at the rest.
fn homes_of(material: &Material) -> BTreeMap<PublisherName, (usize, PublisherKind)> {
    let mut homes = BTreeMap::new();
    let mut next = 1;
    for (publisher, _) in &material.bricks {
        homes.entry(publisher.clone()).or_insert_with(|| {
            let home = next;
            next = if next + 1 < REGISTRIES.len() { next + 1 } else { 1 };
            (home, PublisherKind::PublicBody)
        });
    }
    for (publisher, _) in &material.services {
        homes.entry(publisher.clone()).or_insert((ADOPTERS_REGISTRY, PublisherKind::PublicBody));
    }
    homes
}

/// One organisation at its keyboard: its home directory and its registry.
struct Organisation {
    home: PathBuf,
    registry: String,
}

impl Organisation {
    /// Runs one `brick` command as this organisation would, in `cwd`.
    async fn brick(&self, cwd: &Path, args: &[&str]) -> Result<String, Failure> {
        let mut command = vec!["brick".to_owned()];
        command.extend(args.iter().map(|arg| (*arg).to_owned()));
        let shown = command.join(" ");
        let env = [
            ("BRICK_HOME", self.home.clone().into_os_string()),
            ("BRICK_REGISTRY", self.registry.clone().into()),
        ];
        let (surroundings, captured) = Surroundings::captured(cwd, env);
        let code = tokio::task::spawn_blocking(move || {
            crate::run(command.into_iter().map(Into::into), surroundings)
        })
        .await
        .unwrap_or(101);
        if code == 0 {
            return Ok(captured.stdout());
        }
        let said = captured.stderr();
        let words = said.trim().strip_prefix("error: ").unwrap_or(said.trim());
        let what = format!("`{shown}` in {} ended with exit code {code}", cwd.display());
        let family = [Family::Usage, Family::Alarm, Family::Network, Family::Bug]
            .into_iter()
            .find(|f| f.code() == code);
        Err(Failure::new(family.unwrap_or(Family::Yours), what).detail(words))
    }
}

fn write_homes(commons: &ExampleCommons, dir: &Path) -> Result<(), Failure> {
    for member in &commons.members {
        let keys = organisation(commons, dir, &member.id).home.join("keys");
        std::fs::create_dir_all(&keys).map_err(|err| cannot_write(&keys, &err))?;
        write_key(&keys.join("officer"), &member.officer)?;
    }
    Ok(())
}

fn write_key(path: &Path, key: &SigningKey) -> Result<(), Failure> {
    let text = brick_trust::key::write_key_file(key, "quickstart", None)
        .map_err(|err| Failure::bug(err.to_string()))?;
    crate::files::write(path, text.as_bytes(), crate::files::Access::Owner)
}

fn organisation(commons: &ExampleCommons, dir: &Path, id: &PublisherName) -> Organisation {
    let home = commons.members.iter().find(|member| member.id == *id).map_or(0, |member| member.home);
    Organisation { home: dir.join("homes").join(id.as_str()), registry: commons.servers[home].url() }
}

async fn publish(
    ctx: &Context,
    commons: &ExampleCommons,
    dir: &Path,
    folders: &[(PublisherName, PathBuf)],
    what: &str,
) -> Result<(), Failure> {
    let root = commons.root_sha256.to_string();
    let mut trusting = BTreeSet::new();
    for (at, (publisher, folder)) in folders.iter().enumerate() {
        let organisation = organisation(commons, dir, publisher);
        if trusting.insert(publisher) {
            organisation
                .brick(folder, &["commons", "trust", &organisation.registry, "--root-sha256", &root])
                .await?;
        }
        ctx.detail("Publishing", format_args!("{what} {} of {}", at + 1, folders.len()));
        organisation.brick(folder, &["publish", "--key", "officer", "--yes"]).await?;
    }
    Ok(())
}

fn locked_bricks(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("brick.lock")).unwrap_or_default();
    let lock = brick_schemas::Lockfile::parse(&text);
    lock.map(|lock| lock.bricks.iter().map(|brick| format!("{} {}", brick.name, brick.version)).collect())
        .unwrap_or_default()
}

fn say(ctx: &Context, verb: &str, text: &str, started: Instant) {
    ctx.status(verb, format_args!("{text} ({:.1} s)", started.elapsed().as_secs_f64()));
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn name(text: &str) -> PublisherName {
    PublisherName::parse(text).expect("the example's names are names")
}

fn cannot_write(path: &Path, err: &std::io::Error) -> Failure {
    Failure::yours(format!("cannot write {}: {err}", path.display()))
}

fn failed(err: &CeremonyError) -> Failure {
    Failure::yours(err.to_string()).because(err)
}
