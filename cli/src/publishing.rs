//! How does what somebody signs get into their log, once and only once, and how is that known? (design §7, §10)
//!
//! ```text
//! $BRICK_HOME/pending/<publisher>/<what>.json         the signed entry, until the registry has acknowledged it
//! $BRICK_HOME/receipts/<publisher>/<what>.tlog-proof  the acknowledgement: shows that the entry is in the log
//! ```
//! Losing `pending` costs nothing but the certainty of sending the same bytes again; losing a receipt costs nothing, the
//! registry gives it again.

mod home;
mod receipt;

use std::path::PathBuf;

use brick_client::{AskError, Client};
use brick_schemas::api::ProblemType;
use brick_schemas::predicate::{Basis, Place, Publisher, STATEMENT_PAYLOAD_TYPE, Statement};
use brick_schemas::{Digest, PublisherName};
use brick_trust::envelope::MAX_ENTRY_BYTES;
use brick_trust::{BasisRoot, Entry, Envelope, Position, authorise};

pub(crate) use receipt::{Acknowledged, logged_release};

use crate::context::Context;
use crate::failure::Failure;
use crate::files::{self, Access};
use crate::keys::{self, SigningArgs};
use crate::session::Session;
use crate::session::refusal::{asked, refused};
use home::Seen;

/// Something to be said in a publisher's log.
pub(crate) struct Submission<'f> {
    /// Whose log.
    pub(crate) publisher: PublisherName,
    /// What it is, as a file name: the same for the same thing, so that a second try finds the first.
    pub(crate) stem: String,
    /// The statement, once its place is known.
    pub(crate) statement: &'f dyn Fn(Place) -> Result<Statement, Failure>,
    /// The blobs that it names.
    pub(crate) blobs: Vec<Vec<u8>>,
}

/// How far to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Send {
    /// Into the log.
    Really,
    /// Sign and check everything that can be checked here, then stop.
    Never,
}

/// A publisher's record and the registry that hosts its log.
pub(crate) struct Desk {
    pub(crate) record: Publisher,
    pub(crate) home: Client,
}

/// The record of `publisher` as of now, and its home registry.
///
/// # Errors
/// [`Failure`] when the commons has no such publisher, or its home cannot be found.
pub(crate) fn desk(session: &mut Session<'_>, publisher: &PublisherName) -> Result<Desk, Failure> {
    if session.registry().is_some() {
        session.sync()?;
    }
    let commons = session.commons();
    let Some(record) = commons.publisher(publisher).cloned() else {
        let known: Vec<&str> = commons.publishers().map(|record| record.id.as_str()).collect();
        let origin = commons.origin();
        let failure = Failure::yours(format!("{publisher} is not admitted to {}", origin.domain()));
        return Err(match brick_schemas::near(publisher.as_str(), known).first() {
            Some(near) => failure.help(format!("did you mean `{near}`? Otherwise ask the registrars for admission")),
            None => failure.help(format!(
                "ask the registrars for admission: `brick commons admit publisher {publisher} …` drafts the record"
            )),
        });
    };
    let home = home::client(session, &record)?;
    Ok(Desk { record, home })
}

/// Signs a statement, sends it, and verifies the acknowledgement. A second try after a lost answer sends the same entry.
///
/// Returns the acknowledgement; nothing with [`Send::Never`].
///
/// # Errors
/// [`Failure`]: the key has no right, the registry refuses or is away, or its answer does not hold.
pub(crate) fn submit(
    session: &mut Session<'_>,
    desk: &Desk,
    signing: &SigningArgs,
    submission: &Submission<'_>,
    send: Send,
) -> Result<Option<Acknowledged>, Failure> {
    let ctx = session.ctx;
    let pending = pending_path(ctx, &submission.publisher, &submission.stem);
    let seen = home::head(session, desk)?;
    let entry = match kept_entry(ctx, &pending, submission)? {
        Some(entry) => {
            ctx.detail("Sending", format_args!("the entry of the last try again"));
            entry
        }
        None => sign(ctx, desk, signing, submission, &seen)?,
    };
    if send == Send::Never {
        return Ok(None);
    }
    let dir = pending.parent().unwrap_or(&pending);
    files::make_dir(dir, Access::Everybody)?;
    files::write(&pending, &entry, Access::Everybody)?;
    let blobs = submission.blobs.iter().map(|blob| (Digest::of(blob), blob.clone())).collect();
    ctx.detail("Uploading", format_args!("{} to {}", submission.stem, desk.home.base()));
    let answer = session.wait(desk.home.publish(entry.clone(), blobs));
    let (receipt, proof) = match answer {
        Ok(answer) => answer,
        Err(err) => return Err(not_taken(ctx, submission, &err)),
    };
    let acknowledged = receipt::verify(session, desk, &seen, &entry, &receipt, proof)?;
    receipt::keep(ctx, submission, &acknowledged)?;
    forget_pending(ctx, &submission.publisher, &submission.stem);
    Ok(Some(acknowledged))
}

/// Forgets an entry that is in the log, or never will be.
pub(crate) fn forget_pending(ctx: &Context, publisher: &PublisherName, stem: &str) {
    let pending = pending_path(ctx, publisher, stem);
    if let Err(err) = std::fs::remove_file(&pending)
        && err.kind() != std::io::ErrorKind::NotFound
    {
        ctx.detail("Kept", format_args!("{}: {err}", pending.display()));
    }
}

fn pending_path(ctx: &Context, publisher: &PublisherName, stem: &str) -> PathBuf {
    ctx.home().join("pending").join(publisher.as_str()).join(format!("{stem}.json"))
}

/// The entry of a try before, if it says what is to be said now.
fn kept_entry(
    ctx: &Context,
    pending: &std::path::Path,
    submission: &Submission<'_>,
) -> Result<Option<Vec<u8>>, Failure> {
    let Some(bytes) = files::read_if_there(pending, MAX_ENTRY_BYTES as u64)? else { return Ok(None) };
    let Ok(entry) = Entry::parse(&bytes) else { return Ok(None) };
    let same = (submission.statement)(entry.statement.predicate.place().clone())?;
    if same == entry.statement {
        return Ok(Some(bytes));
    }
    ctx.note(format_args!(
        "an earlier try said something else and was never acknowledged; this one takes its place"
    ));
    Ok(None)
}

fn sign(
    ctx: &Context,
    desk: &Desk,
    signing: &SigningArgs,
    submission: &Submission<'_>,
    seen: &Seen,
) -> Result<Vec<u8>, Failure> {
    let record = &desk.record;
    let place = Place { log: record.origin.clone(), basis: seen.basis };
    let statement = (submission.statement)(place)?;
    let mut envelope = Envelope::unsigned(STATEMENT_PAYLOAD_TYPE, statement.to_bytes());
    let fitting: Vec<_> = record.keys.iter().map(|key| key.key).collect();
    let signer = keys::signer(ctx, signing, &fitting)?;
    if !fitting.contains(&signer.public()) {
        let known: Vec<String> = fitting.iter().map(ToString::to_string).collect();
        return Err(Failure::yours(format!("key {} is not one of {}'s", signer.public(), record.id))
            .reason(format!("its record names {}", known.join(", ")))
            .help("choose another with `--key`, or have the record changed by its owners"));
    }
    envelope.sign(signer.as_ref()).map_err(|err| Failure::yours("cannot sign").because(&err))?;
    let entry = envelope.to_bytes();
    if entry.len() > MAX_ENTRY_BYTES {
        return Err(Failure::yours(format!("`{}` is too large to be logged", submission.stem))
            .reason(format!("the entry has {} bytes, at most {MAX_ENTRY_BYTES} are allowed", entry.len()))
            .help("move long lists out of the manifest into files"));
    }
    // What the registry will check is checked here first: a refusal costs nothing and names the step.
    let position = Position {
        record,
        index: seen.basis.size,
        basis_root: BasisRoot::Known(seen.basis.root),
        seen: false,
    };
    Entry::parse(&entry)
        .and_then(|entry| entry.verify(record))
        .and_then(|signed| authorise(&signed, &position))
        .map_err(|err| {
            Failure::yours("this entry would not count")
                .because(&err)
                .help("choose another key with `--key`, or have the publisher's record changed by its owners")
        })?;
    Ok(entry)
}

/// The registry did not take it: is it worth sending the same again?
fn not_taken(ctx: &Context, submission: &Submission<'_>, err: &AskError) -> Failure {
    let failure = asked(err);
    let AskError::Problem { status, problem, .. } = err else {
        return failure
            .reason("the signed entry is kept; whether it was logged is not known")
            .help("run the same command again: it sends the same entry, which is harmless if it was logged");
    };
    let for_good = (400..500).contains(status) && !matches!(status, 408 | 421 | 425 | 429);
    if !for_good {
        return failure.reason("the signed entry is kept").help("run the same command again later");
    }
    forget_pending(ctx, &submission.publisher, &submission.stem);
    match problem.problem_type {
        ProblemType::Conflict => {
            failure.help("a published version never changes: raise `version`, then publish again")
        }
        ProblemType::UnauthorisedKey => failure
            .help("choose another key with `--key`, or have the publisher's record changed by its owners"),
        ProblemType::TooLarge => {
            failure.help("leave out what readers do not need with `exclude` in `[brick]`")
        }
        ProblemType::StaleBasis => {
            failure.help("tell the commons' stewards: the registry's log is not the one that was seen before")
        }
        _ => failure,
    }
}

/// The basis of a log that has no entry.
fn empty_basis() -> Basis {
    Basis { size: 0, root: Digest::of(b"") }
}

/// A refusal about the registry that acknowledges.
fn alarm(err: &brick_trust::Refused) -> Failure {
    refused(err)
}
