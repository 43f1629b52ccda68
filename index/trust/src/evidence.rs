//! Does this proof file show that this release is in its publisher's log? What a third party checks years later.

use brick_schemas::predicate::{Predicate, Release};
use brick_schemas::{Digest, FullName, Version};
use brick_tlog::hash::leaf_hash;
use brick_tlog::proof::Proof;
use brick_tlog::tree::check_inclusion;

use crate::commons::Commons;
use crate::entry::{BasisRoot, Entry, Position, authorise};
use crate::head::{Head, open_head};
use crate::refused::{Refused, Step};

/// A release whose entry, signature, right and place in a cosigned log have been checked. Only [`verify_release`] makes one.
#[derive(Clone, Debug)]
pub struct VerifiedRelease {
    release: Release,
    index: u64,
    payload: Digest,
    head: Head,
}

impl VerifiedRelease {
    /// What the publisher signed.
    pub fn release(&self) -> &Release {
        &self.release
    }

    /// The entry's leaf index.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// SHA-256 of the entry's payload.
    pub fn payload(&self) -> Digest {
        self.payload
    }

    /// The head that the proof leads to.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Checks an archive's bytes against what the publisher signed.
    ///
    /// # Errors
    /// [`Refused`] at [`Step::Archive`].
    pub fn check_archive(&self, archive: &[u8]) -> Result<(), Refused> {
        let found = Digest::of(archive);
        if found == self.release.archive.sha256 && archive.len() as u64 == self.release.archive.bytes {
            return Ok(());
        }
        Err(Refused::new(
            Step::Archive,
            format!(
                "the archive of {} {} is {found} ({} bytes), signed is {} ({} bytes)",
                self.release.name,
                self.release.version,
                archive.len(),
                self.release.archive.sha256,
                self.release.archive.bytes
            ),
        ))
    }
}

/// Verifies a release's proof file, in the order of design §8: record, checkpoint, quorum, inclusion, signature, right,
/// log, basis.
///
/// The basis root needs the whole log; every mirror checked it before it cosigned, and audits check it again.
///
/// - `now`: Unix seconds, against which cosignatures from the future are not counted.
///
/// # Errors
/// [`Refused`] with the step.
pub fn verify_release(
    proof: &Proof,
    name: &FullName,
    version: &Version,
    commons: &Commons,
    now: u64,
) -> Result<VerifiedRelease, Refused> {
    let rules = commons.log_rules(&name.publisher)?;
    let head = open_head(&proof.checkpoint.to_bytes(), &rules)?;
    head.demand_quorum(&rules, now)?;
    let leaf = proof.extra.as_deref().ok_or_else(|| {
        Refused::new(Step::Inclusion, format!("the proof of {name} {version} carries no entry"))
    })?;
    let checkpoint = head.checkpoint();
    check_inclusion(proof.index, checkpoint.size, &leaf_hash(leaf), &proof.path, &checkpoint.root).map_err(
        |err| {
            Refused::caused(
                Step::Inclusion,
                format!("{name} {version} is not leaf {} of {}", proof.index, checkpoint.origin),
                err,
            )
        },
    )?;
    let record = commons.record_at(&name.publisher, proof.index)?;
    let signed = Entry::parse(leaf)?.verify(record)?;
    authorise(
        &signed,
        &Position { record, index: proof.index, basis_root: BasisRoot::NotHeld, seen: false },
    )?;
    let payload = signed.entry().payload;
    // Bind the proof to what was asked: any valid proof is not a proof of this.
    let Predicate::Release(release) = &signed.entry().statement.predicate else {
        return Err(Refused::new(
            Step::Inclusion,
            format!("the proof of {name} {version} shows an entry of another kind"),
        ));
    };
    if release.name != *name || release.version != *version {
        return Err(Refused::new(
            Step::Inclusion,
            format!("asked for {name} {version}, the proof shows {} {}", release.name, release.version),
        ));
    }
    Ok(VerifiedRelease { release: (**release).clone(), index: proof.index, payload, head })
}
