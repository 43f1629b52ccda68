//! How much of the time that bare signatures take does checking entries in bulk take?

use std::time::Instant;

use brick_client::LogPath;
use brick_index::audit::check_leaves;
use brick_tlog::hash::leaf_hash;
use brick_tlog::tree::Tree;
use brick_trust::envelope::pae;
use brick_trust::{Commons, Envelope};
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};

use super::Bench;
use crate::figure::{Bound, Figure, Round};
use crate::machine::{Watch, cpu_seconds};
use crate::trouble::Trouble;
use crate::yard::Yard;

/// Entries whose signatures are checked, at most.
const MAX_ENTRIES: u64 = 20_000;
/// Entries that a registry is asked for at a time.
const PORTION: u64 = 1_024;

/// What checking came to.
struct Checked {
    per_second: f64,
    cpu_us: f64,
    foreign_cores: f64,
}

pub(super) fn run(bench: &mut Bench) -> Result<Vec<Figure>, Trouble> {
    let count = bench.rounds;
    let yard = bench.large()?;
    let commons = commons(yard)?;
    let leaves = leaves(yard, &LogPath::Publisher(yard.publisher.clone()))?;
    // Snapshots have no signature.
    let entries: Vec<Vec<u8>> = leaves.into_iter().filter(|leaf| Envelope::parse(leaf).is_ok()).collect();
    let bare: Vec<(VerifyingKey, Vec<u8>, Signature)> = entries
        .iter()
        .map(|leaf| {
            bare(&commons, yard, leaf).ok_or_else(|| Trouble::failed("an entry", "nobody's signature"))
        })
        .collect::<Result<_, _>>()?;
    let (mut ours, mut others) = (Vec::new(), Vec::new());
    for _ in 0..count {
        ours.push(timed(entries.len(), || {
            check_leaves(&commons, &yard.publisher, 1, &entries).map(|_| ()).map_err(|err| err.to_string())
        })?);
        others.push(timed(bare.len(), || verify_bare(&bare))?);
    }
    let rounds = |pick: fn(&Checked) -> f64| {
        let pairs = ours.iter().zip(&others);
        let rounds = pairs.map(|(ours, other)| Round {
            ours: pick(ours),
            other: Some(pick(other)),
            foreign_cores: ours.foreign_cores.max(other.foreign_cores),
        });
        rounds.collect()
    };
    let name = format!("{} entries verified in bulk", entries.len());
    let other = "bare Ed25519, all cores";
    Ok(vec![
        Figure::wall(name.as_str(), "/s", other)
            .must(Bound::AtLeast(0.7))
            .measured(rounds(|checked| checked.per_second)),
        Figure::own(format!("{name}: CPU of one"), "µs", other).measured(rounds(|checked| checked.cpu_us)),
    ])
}

/// The commons as its log says, from the pinned root on.
fn commons(yard: &Yard) -> Result<Commons, Trouble> {
    let failed = |err| Trouble::failed("the commons log", err);
    let leaves = leaves(yard, &LogPath::Commons)?;
    let mut tree = Tree::new();
    let mut commons: Option<Commons> = None;
    for leaf in &leaves {
        match &mut commons {
            None => commons = Some(Commons::begin(leaf, &yard.federation.pin()).map_err(failed)?),
            Some(commons) => drop(commons.apply(leaf, |size| tree.root_at(size).ok()).map_err(failed)?),
        }
        tree.push(leaf_hash(leaf));
    }
    commons.ok_or_else(|| Trouble::failed("the commons log", "it is empty"))
}

fn leaves(yard: &Yard, log: &LogPath) -> Result<Vec<Vec<u8>>, Trouble> {
    let client = yard.federation.client(0);
    let failed = |err| Trouble::failed(format!("the entries of {log}"), err);
    let size = yard.size_of(log)?.min(MAX_ENTRIES);
    let mut leaves = Vec::new();
    for first in (0..size).step_by(usize::try_from(PORTION).expect("it is small")) {
        let end = size.min(first + PORTION);
        leaves.extend(yard.federation.block_on(client.entries(log, first, end)).map_err(failed)?);
    }
    Ok(leaves)
}

/// What a bare verification of an entry needs.
fn bare(commons: &Commons, yard: &Yard, leaf: &[u8]) -> Option<(VerifyingKey, Vec<u8>, Signature)> {
    let envelope = Envelope::parse(leaf).ok()?;
    let signature = envelope.signatures.first()?;
    let record = commons.publisher(&yard.publisher)?;
    let key = record.keys.iter().map(|key| key.key).find(|key| key.id() == signature.keyid)?;
    let verifying = VerifyingKey::from_bytes(key.as_bytes()).ok()?;
    let message = pae(&envelope.payload_type, &envelope.payload);
    Some((verifying, message, Signature::from_bytes(&signature.signature)))
}

fn verify_bare(all: &[(VerifyingKey, Vec<u8>, Signature)]) -> Result<(), String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = all
            .chunks(all.len().div_ceil(cores).max(1))
            .map(|part| {
                scope.spawn(|| {
                    part.iter().all(|(key, message, signature)| key.verify(message, signature).is_ok())
                })
            })
            .collect();
        let hold = workers.into_iter().all(|worker| worker.join().expect("verifying does not panic"));
        if hold { Ok(()) } else { Err("a signature does not hold".to_owned()) }
    })
}

fn timed(count: usize, check: impl FnOnce() -> Result<(), String>) -> Result<Checked, Trouble> {
    // This program's own time alone: the servers rest.
    let (watch, cpu, began) = (Watch::start(), cpu_seconds(std::process::id()), Instant::now());
    check().map_err(|why| Trouble::failed("verification in bulk", why))?;
    let per_second = count as f64 / began.elapsed().as_secs_f64();
    let cpu_us = (cpu_seconds(std::process::id()) - cpu) * 1e6 / count as f64;
    Ok(Checked { per_second, cpu_us, foreign_cores: watch.foreign_cores() })
}
