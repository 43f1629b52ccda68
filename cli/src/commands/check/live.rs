//! May this live brick require what it requires? A live release may only require live ones (design §4).

use std::collections::BTreeSet;

use brick_schemas::predicate::release::{Dependency, Maturity};
use brick_schemas::predicate::status::ReleaseStatus;
use brick_schemas::{FullName, IndexLine, Manifest};

use crate::failure::Failure;
use crate::session::Session;
use crate::session::lookup::Look;

/// A requirement of a live brick that no live release meets.
pub(crate) struct NotLive {
    /// The required brick.
    pub(crate) name: FullName,
    /// What was found instead, in words.
    pub(crate) what: String,
}

/// The requirements that no live release meets. What the index does not hold is passed over: resolution names it.
///
/// - `look`: what is kept, or what the registry says now.
///
/// # Errors
/// [`Failure`] where the index cannot be looked at.
pub(crate) fn not_live(
    session: &mut Session<'_>,
    manifest: &Manifest,
    look: Look,
) -> Result<Vec<NotLive>, Failure> {
    if manifest.brick.maturity != Maturity::Live {
        return Ok(Vec::new());
    }
    let names: BTreeSet<FullName> = manifest.requires.iter().map(|required| required.name.clone()).collect();
    let found = session.look_up(&names, look)?;
    let judge = |required: &Dependency| {
        let lines = found.get(&required.name)?.as_deref()?;
        let what = judge(required, lines)?;
        Some(NotLive { name: required.name.clone(), what })
    };
    Ok(manifest.requires.iter().filter_map(judge).collect())
}

/// Why no release of `lines` will do; nothing where one will, or none fits at all.
fn judge(required: &Dependency, lines: &[IndexLine]) -> Option<String> {
    let fitting: Vec<&IndexLine> = lines
        .iter()
        .filter(|line| line.status <= ReleaseStatus::Deprecated && required.req.matches(&line.vers))
        .collect();
    if fitting.iter().any(|line| line.maturity == Maturity::Live) {
        return None;
    }
    let newest = fitting.iter().max_by(|a, b| a.vers.cmp(&b.vers))?;
    let maturity = match newest.maturity {
        Maturity::Concept => "a concept",
        Maturity::Alpha => "alpha",
        Maturity::Beta => "beta",
        Maturity::Live => "live",
    };
    Some(format!("`{} = \"{}\"` is met by {}, which is {maturity}", required.name, required.req, newest.vers))
}
