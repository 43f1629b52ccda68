//! The large registry that several parts look at, made once: about ten versions of each brick, or as many as it takes.

use super::Bench;
use crate::content::Content;
use crate::machine::recover;
use crate::trouble::Trouble;
use crate::wrk::ANSWERING_CPU;
use crate::yard::Yard;

/// Versions of each brick, as long as there is room for more bricks.
const VERSIONS: usize = 10;
/// Bricks, at most: a publisher may have 16,384.
const MAX_BRICKS: usize = 16_000;
/// Size of an archive: what is kept of it does not grow the rest.
pub(super) const ARCHIVE_BYTES: usize = 1_500;

/// Versions of each brick of a registry of `releases`, about.
pub(super) fn versions_of(releases: usize) -> usize {
    VERSIONS.max(releases / MAX_BRICKS)
}

/// Release number `n` of a registry of `releases`: all bricks get their first version first.
pub(super) fn content(yard: &Yard, releases: usize, n: usize) -> Content {
    content_of(yard, releases / versions_of(releases), n)
}

fn content_of(yard: &Yard, bricks: usize, n: usize) -> Content {
    Content::of(&yard.publisher, "pkg", n % bricks, n / bricks, ARCHIVE_BYTES)
}

/// A registry with so many releases, about so many of each brick.
pub(super) fn yard_of(releases: usize, versions: usize) -> Result<Yard, Trouble> {
    let yard = Yard::found(&["registry.north.example"], Some(ANSWERING_CPU));
    eprintln!("publishing {releases} releases");
    yard.fill(0..releases, |n| content_of(&yard, releases / versions, n))?;
    recover(yard.pid());
    Ok(yard)
}

impl Bench {
    /// The large registry.
    pub(super) fn large(&mut self) -> Result<&mut Yard, Trouble> {
        if self.large.is_none() {
            self.tools.debian("taskset", "util-linux")?;
            self.large = Some(yard_of(self.releases, versions_of(self.releases))?);
        }
        Ok(self.large.as_mut().expect("it was just made"))
    }
}
