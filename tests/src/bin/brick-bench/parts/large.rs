//! The large registry that several parts look at, made once: about ten versions of each brick.

use super::Bench;
use crate::content::Content;
use crate::machine::recover;
use crate::trouble::Trouble;
use crate::wrk::ANSWERING_CPU;
use crate::yard::Yard;

/// Versions of each brick, as long as there is room for more bricks.
pub(super) const VERSIONS: usize = 10;
/// Bricks, at most: a publisher may have 16,384.
const MAX_BRICKS: usize = 16_000;
/// Size of an archive: what is kept of it does not grow the rest.
pub(super) const ARCHIVE_BYTES: usize = 1_500;

/// Release number `n` of a registry of `releases`: all bricks get their first version first.
pub(super) fn content(yard: &Yard, releases: usize, n: usize) -> Content {
    let bricks = (releases / VERSIONS).min(MAX_BRICKS);
    Content::of(&yard.publisher, "pkg", n % bricks, n / bricks, ARCHIVE_BYTES)
}

/// A registry with so many releases.
pub(super) fn yard_of(releases: usize) -> Result<Yard, Trouble> {
    let yard = Yard::found(&["registry.north.example"], Some(ANSWERING_CPU));
    eprintln!("publishing {releases} releases");
    yard.fill(0..releases, |n| content(&yard, releases, n))?;
    recover(yard.pid());
    Ok(yard)
}

impl Bench {
    /// The large registry.
    pub(super) fn large(&mut self) -> Result<&mut Yard, Trouble> {
        if self.large.is_none() {
            self.tools.debian("taskset", "util-linux")?;
            self.large = Some(yard_of(self.releases)?);
        }
        Ok(self.large.as_mut().expect("it was just made"))
    }
}
