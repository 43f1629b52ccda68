//! Is it in the log? What a registry's acknowledgement must show before it is believed.

use brick_client::Client;
use brick_schemas::api::EntryReceipt;
use brick_schemas::predicate::{Predicate, Publisher, Release};
use brick_schemas::{FullName, Origin, Version};
use brick_tlog::hash::leaf_hash;
use brick_tlog::proof::Proof;
use brick_tlog::tree::check_inclusion;
use brick_trust::{Entry, Refused, Step, open_head};

use super::home::{self, Seen};
use super::{Desk, Submission, alarm};
use crate::context::Context;
use crate::failure::Failure;
use crate::files::{self, Access};
use crate::session::Session;
use crate::session::refusal::{asked, refused};

/// An acknowledgement that was verified.
pub(crate) struct Acknowledged {
    /// The log.
    pub(crate) log: Origin,
    /// The entry's place in it.
    pub(crate) index: u64,
    /// What shows it.
    pub(crate) proof: Proof,
    /// Whether it had been there before.
    pub(crate) duplicate: bool,
}

/// Verifies the answer to an entry: this log's own signature, the entry in the tree under it, and that tree an extension
/// of the one that was seen.
///
/// # Errors
/// [`Failure`], an alarm: the registry says what it cannot show.
pub(super) fn verify(
    session: &Session<'_>,
    desk: &Desk,
    seen: &Seen,
    sent: &[u8],
    receipt: &EntryReceipt,
    proof: Proof,
) -> Result<Acknowledged, Failure> {
    let origin = &desk.record.origin;
    if receipt.log != *origin || receipt.index != proof.index {
        return Err(alarm(&Refused::new(
            Step::Inclusion,
            format!(
                "the registry acknowledges leaf {} of {}, sent was an entry for {origin}",
                receipt.index, receipt.log
            ),
        )));
    }
    let (entry, head) = open(session, &desk.record, &proof).map_err(|err| alarm(&err))?;
    let ours = Entry::parse(sent).map_err(|err| alarm(&err))?;
    if entry.payload != ours.payload {
        return Err(alarm(&Refused::new(
            Step::Inclusion,
            format!("the registry acknowledges another entry of {origin} than the one that was sent"),
        )));
    }
    // A duplicate may be older than what was seen.
    let (before, after) =
        if head.size < seen.basis.size { (&head, &seen.basis) } else { (&seen.basis, &head) };
    home::connect(session, desk, before, after)?;
    Ok(Acknowledged { log: origin.clone(), index: proof.index, proof, duplicate: receipt.duplicate })
}

/// Opens a proof: the entry, signed by the publisher's keys, in the tree under a head that its log signed.
fn open(
    session: &Session<'_>,
    record: &Publisher,
    proof: &Proof,
) -> Result<(Entry, brick_schemas::predicate::Basis), Refused> {
    let rules = session.commons().log_rules(&record.id)?;
    let head = open_head(&proof.checkpoint.to_bytes(), &rules)?;
    let checkpoint = head.checkpoint();
    let leaf =
        proof.extra.as_deref().ok_or_else(|| Refused::new(Step::Inclusion, "the proof carries no entry"))?;
    check_inclusion(proof.index, checkpoint.size, &leaf_hash(leaf), &proof.path, &checkpoint.root).map_err(
        |err| {
            let what = format!("the entry is not leaf {} of {}", proof.index, record.origin);
            Refused::caused(Step::Inclusion, what, err)
        },
    )?;
    let entry = Entry::parse(leaf)?;
    let in_force = session.commons().record_at(&record.id, proof.index)?;
    entry.clone().verify(in_force)?;
    Ok((entry, home::basis(checkpoint.size, &checkpoint.root)))
}

/// The release of that name and version in the publisher's log, if the registry shows one.
///
/// # Errors
/// [`Failure`] where the registry does not answer, or what it shows does not hold.
pub(crate) fn logged_release(
    session: &Session<'_>,
    record: &Publisher,
    home: &Client,
    name: &FullName,
    version: &Version,
) -> Result<Option<(Release, u64)>, Failure> {
    let Some(proof) = session.wait(home.proof(name, version)).map_err(|err| asked(&err))? else {
        return Ok(None);
    };
    let (entry, _) = open(session, record, &proof).map_err(|err| refused(&err))?;
    match entry.statement.predicate {
        Predicate::Release(release) if release.name == *name && release.version == *version => {
            Ok(Some((*release, proof.index)))
        }
        _ => Err(refused(&Refused::new(
            Step::Inclusion,
            format!("asked for {name} {version}, the proof shows something else"),
        ))),
    }
}

/// Keeps the acknowledgement.
pub(super) fn keep(
    ctx: &Context,
    submission: &Submission<'_>,
    acknowledged: &Acknowledged,
) -> Result<(), Failure> {
    let dir = ctx.home().join("receipts").join(submission.publisher.as_str());
    files::make_dir(&dir, Access::Everybody)?;
    let path = dir.join(format!("{}.tlog-proof", submission.stem));
    files::write(&path, acknowledged.proof.to_string().as_bytes(), Access::Everybody)
}
