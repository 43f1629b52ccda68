//! Which registry hosts this log, and how far is the log there?

use brick_client::{Client, LogPath};
use brick_schemas::predicate::{Basis, Publisher};
use brick_schemas::{Digest, PublisherName};
use brick_tlog::hash::Hash;
use brick_tlog::tree::{ProveError, check_consistency};
use brick_trust::{Refused, Step, open_head};

use super::{Desk, empty_basis};
use crate::failure::Failure;
use crate::session::refusal::{asked, refused};
use crate::session::{Session, new_client};

/// The head of a log that the signer saw.
pub(super) struct Seen {
    pub(super) basis: Basis,
}

/// A client of the registry that hosts a publisher's log: by the commons' records, else the one that was chosen.
///
/// # Errors
/// [`Failure`] when neither is there, or the home does not answer.
pub(super) fn client(session: &Session<'_>, record: &Publisher) -> Result<Client, Failure> {
    let chosen = session.online()?.clone();
    let urls: Vec<String> =
        session.commons().registry(&record.home).map(|r| r.urls.clone()).unwrap_or_default();
    let mut last = None;
    for url in &urls {
        let client = new_client(session.ctx, url)?;
        if client.base() == chosen.base() {
            return Ok(client);
        }
        match session.wait(client.well_known()) {
            Ok(_) => return Ok(client),
            Err(err) => last = Some(err),
        }
    }
    // Where the home's addresses are of no use here, the registry that was named may be the same by another address.
    match session.wait(chosen.well_known()) {
        Ok(known) if known.registry == record.home => Ok(chosen),
        _ => Err(unreachable_home(&record.id, &record.home, last.as_ref())),
    }
}

fn unreachable_home(
    publisher: &PublisherName,
    home: &PublisherName,
    err: Option<&brick_client::AskError>,
) -> Failure {
    let what = format!("the home of {publisher}, registry {home}, cannot be reached");
    match err {
        Some(err) => {
            let why = asked(err);
            let failure = Failure::network(what).reason(why.what());
            failure.help("try again later; a publisher's entries are taken by its home only")
        }
        None => Failure::network(what)
            .reason("its record names no address")
            .help(format!("name the address of {home} with `--registry URL`")),
    }
}

/// The log's head at its home: signed by the log, and an extension of the largest head that this machine has verified.
///
/// A quorum of witnesses is not asked for: an entry stands on whatever its signer saw.
///
/// # Errors
/// [`Failure`] where the head is not the log's, or not connected with the one seen before.
pub(super) fn head(session: &mut Session<'_>, desk: &Desk) -> Result<Seen, Failure> {
    let publisher = &desk.record.id;
    let kept = match session.kept_head(publisher)? {
        Some(log) => basis(log.checkpoint().size, &log.checkpoint().root),
        None => empty_basis(),
    };
    let log = LogPath::Publisher(publisher.clone());
    let note = match session.wait(desk.home.checkpoint(&log)) {
        Ok(note) => note,
        // Admitted and not opened yet, or nothing kept of it: the empty log, unless more was seen.
        Err(err) if err.is_missing() => return Ok(Seen { basis: kept }),
        Err(err) => return Err(asked(&err)),
    };
    let rules = session.commons().log_rules(publisher).map_err(|err| refused(&err))?;
    let head = open_head(&note.to_bytes(), &rules).map_err(|err| refused(&err))?;
    let offered = basis(head.checkpoint().size, &head.checkpoint().root);
    if offered.size <= kept.size {
        // A cache on the way may lag; what was seen before is as good to stand on, if it is the same log.
        if offered.size == kept.size && offered.root != kept.root {
            return Err(refused(&two_histories(desk, &kept, &offered)));
        }
        return Ok(Seen { basis: kept });
    }
    connect(session, desk, &kept, &offered)?;
    Ok(Seen { basis: offered })
}

/// Shows that the log's tree at `before` is the beginning of that at `after`.
///
/// # Errors
/// [`Failure`] at the step `consistency`.
pub(super) fn connect(
    session: &Session<'_>,
    desk: &Desk,
    before: &Basis,
    after: &Basis,
) -> Result<(), Failure> {
    if before.size == 0 || before.size == after.size && before.root == after.root {
        return Ok(());
    }
    let log = LogPath::Publisher(desk.record.id.clone());
    let path = match session.wait(desk.home.consistency(&log, before.size, after.size)) {
        Ok(path) => path,
        Err(ProveError::Read(err)) => return Err(asked(&err)),
        Err(_) => return Err(refused(&two_histories(desk, before, after))),
    };
    let hash = |digest: &Digest| Hash::from(*digest.as_bytes());
    check_consistency(before.size, after.size, &hash(&before.root), &hash(&after.root), &path)
        .map_err(|_| refused(&two_histories(desk, before, after)))
}

/// A head as a basis.
pub(super) fn basis(size: u64, root: &Hash) -> Basis {
    Basis { size, root: Digest::from(*root.as_bytes()) }
}

fn two_histories(desk: &Desk, before: &Basis, after: &Basis) -> Refused {
    Refused::new(
        Step::Consistency,
        format!(
            "{} shows two histories: its head of size {} does not extend the one of size {} seen before",
            desk.record.origin, after.size, before.size
        ),
    )
}
