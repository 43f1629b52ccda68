//! `brick commons submit`: have a signed record or root logged in the commons log.

use std::path::{Path, PathBuf};
use std::time::Duration;

use brick_client::{Client, LogPath};
use brick_schemas::Digest;
use brick_schemas::predicate::Predicate;
use brick_tlog::checkpoint::Checkpoint;
use brick_tlog::hash::leaf_hash;
use brick_tlog::tree::check_inclusion;
use brick_trust::{Envelope, Refused, Step, open_head};
use serde::Serialize;

use crate::context::Context;
use crate::drafts::{self, Said};
use crate::failure::Failure;
use crate::files;
use crate::session::refusal::{asked, refused};
use crate::session::{Session, new_client};

/// Times that the registry is asked whether it shows the record, at most; with [`PAUSE`] these are 10 seconds.
const MAX_WAITS: usize = 50;
/// Time between two of them.
const PAUSE: Duration = Duration::from_millis(200);
/// Bytes of a blob that goes along with a record, at most.
const MAX_BLOB_BYTES: u64 = 64 * 1_024;

/// Have a signed record or root logged by the registry that hosts the commons log
#[derive(clap::Args)]
pub(super) struct SubmitArgs {
    /// The file that enough people have signed
    file: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Submitted {
    log: String,
    index: u64,
    already: bool,
    payload: Digest,
}

/// Checks here what the registry will check, sends, and verifies the acknowledgement.
///
/// # Errors
/// [`Failure`].
pub(super) fn run(ctx: &Context, args: &SubmitArgs) -> Result<(), Failure> {
    let path = ctx.path(&args.file);
    let envelope = drafts::read(&path)?;
    let said = drafts::said(&envelope)?;
    let mut session = Session::open(ctx, None)?;
    session.online()?;
    session.sync()?;
    let entry = envelope.to_bytes();
    let is_new = check_here(&session, &entry)?;
    let blobs = blobs(&path, &said)?;
    let host = host(&session)?;
    ctx.detail("Uploading", format_args!("{} to {}", ctx.shown(&path), host.base()));
    let (receipt, proof) = session.wait(host.publish(entry, blobs)).map_err(|err| {
        let failure = asked(&err);
        match failure.next_step() {
            None => failure.help("run it again; sending the same record twice is harmless"),
            Some(_) => failure,
        }
    })?;
    verify(&session, &envelope, &receipt, &proof).map_err(|err| refused(&err))?;
    let what = match &said {
        Said::Root(root) => format!("root {}", root.version),
        Said::Entry(statement) => {
            let name = statement.subject.first().and_then(|subject| subject.name.clone()).unwrap_or_default();
            format!("the record of {} {name}", statement.predicate.kind())
        }
    };
    wait_until_shown(&session, &host, &said, receipt.index);
    let verb = if is_new && !receipt.duplicate { "Logged" } else { "Found" };
    ctx.status(verb, format_args!("{what}: entry {} of {}", receipt.index, receipt.log));
    if args.json {
        let payload = envelope.payload_digest();
        let already = !is_new || receipt.duplicate;
        return ctx.json(
            "commons-submit",
            &Submitted { log: receipt.log.to_string(), index: receipt.index, already, payload },
        );
    }
    Ok(())
}

/// Waits a little until the registry shows the new head, and a new publisher's home has opened its log, so that the next
/// command finds them. Neither changes that the record is logged.
fn wait_until_shown(session: &Session<'_>, host: &Client, said: &Said, index: u64) {
    let ctx = session.ctx;
    let is_shown = |client: &Client, log: &LogPath, size: u64| {
        let shown = session.wait(client.checkpoint(log)).ok();
        shown.and_then(|note| Checkpoint::parse(&note.text).ok()).is_some_and(|head| head.size >= size)
    };
    let patiently = |done: &dyn Fn() -> bool| {
        for _ in 0..MAX_WAITS {
            if done() {
                return true;
            }
            session.wait(async { tokio::time::sleep(PAUSE).await });
        }
        done()
    };
    if !patiently(&|| is_shown(host, &LogPath::Commons, index + 1)) {
        ctx.note(format_args!(
            "the registry does not show it yet: the other registries have not cosigned that head"
        ));
        return;
    }
    let Said::Entry(statement) = said else { return };
    let Predicate::Publisher(record) = &statement.predicate else { return };
    let home = session.commons().registry(&record.home).and_then(|home| home.urls.first());
    let Some(home) = home.and_then(|url| new_client(session.ctx, url).ok()) else { return };
    let log = LogPath::Publisher(record.id.clone());
    if !patiently(&|| is_shown(&home, &log, 0)) {
        ctx.note(format_args!("registry {} has not opened the log of {} yet", record.home, record.id));
    }
}

/// Applies the entry to a copy of the commons. Returns whether it is new; one that was logged before is no error.
fn check_here(session: &Session<'_>, entry: &[u8]) -> Result<bool, Failure> {
    match session.try_commons_entry(entry) {
        Ok(_) => Ok(true),
        Err(err) if err.step == Step::Replay => Ok(false),
        Err(err) => Err(Failure::yours("this would not count in the commons log")
            .because(&err)
            .help("have the missing people run `brick commons sign` on it, or draft it again")),
    }
}

/// The blobs that a record names: the title that `admit` wrote beside it.
fn blobs(path: &Path, said: &Said) -> Result<Vec<(Digest, Vec<u8>)>, Failure> {
    let Said::Entry(statement) = said else { return Ok(Vec::new()) };
    let mut blobs = Vec::new();
    for blob in statement.predicate.blobs() {
        let title_path = super::title_path(path);
        if let Some(bytes) = files::read_if_there(&title_path, MAX_BLOB_BYTES)?
            && Digest::of(&bytes) == blob.sha256
        {
            blobs.push((blob.sha256, bytes));
        }
    }
    Ok(blobs)
}

/// The registry that hosts the commons log, by its record; before it has one, the registry that is asked.
fn host(session: &Session<'_>) -> Result<Client, Failure> {
    let chosen = session.online()?;
    let urls = session.commons().commons_host().map(|registry| registry.urls.clone()).unwrap_or_default();
    match urls.first() {
        Some(url)
            if !urls.iter().any(|url| {
                new_client(session.ctx, url).is_ok_and(|client| client.base() == chosen.base())
            }) =>
        {
            new_client(session.ctx, url)
        }
        _ => Ok(chosen.clone()),
    }
}

/// The entry is in the tree under a head that the commons log signed.
fn verify(
    session: &Session<'_>,
    sent: &Envelope,
    receipt: &brick_schemas::api::EntryReceipt,
    proof: &brick_tlog::proof::Proof,
) -> Result<(), Refused> {
    let origin = session.commons().origin();
    let head = open_head(&proof.checkpoint.to_bytes(), &session.commons().commons_rules()?)?;
    let checkpoint = head.checkpoint();
    let leaf = proof.extra.as_deref().unwrap_or_default();
    let is_ours = Envelope::parse(leaf).is_ok_and(|leaf| leaf.payload_digest() == sent.payload_digest());
    if !is_ours || receipt.log != origin || receipt.index != proof.index {
        return Err(Refused::new(
            Step::Inclusion,
            format!("the registry acknowledges another entry of {origin} than the one that was sent"),
        ));
    }
    check_inclusion(proof.index, checkpoint.size, &leaf_hash(leaf), &proof.path, &checkpoint.root).map_err(
        |err| {
            Refused::caused(
                Step::Inclusion,
                format!("the entry is not leaf {} of {origin}", proof.index),
                err,
            )
        },
    )
}
