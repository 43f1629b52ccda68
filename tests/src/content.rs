//! What is published? Releases of made-up bricks, whose archives are good for every registry that is compared.

use brick_schemas::archive::{self, ArchivePath};
use brick_schemas::predicate::{Place, Predicate, STATEMENT_PAYLOAD_TYPE, Statement};
use brick_schemas::{Blob, BrickName, Manifest, PublisherName, Version};
use brick_trust::Envelope;
use ed25519_dalek::SigningKey;
use hyper::body::Bytes;

use crate::random::Random;

/// Bytes of an archive beside those that cannot be compressed, roughly.
const OVERHEAD_BYTES: usize = 435;

/// One version of one brick.
pub struct Content {
    /// The brick's name without its publisher's.
    pub brick: BrickName,
    /// Its version.
    pub version: Version,
    /// The archive: it holds a `brick.toml` and a `Cargo.toml`.
    pub archive: Bytes,
    manifest: Manifest,
}

impl Content {
    /// Version `0.<round>.1` of brick `<family><number>`.
    ///
    /// - `archive_bytes`: size of the archive, reached within 300 bytes where it is above a kilobyte.
    ///
    /// # Panics
    /// When the family is no beginning of a brick's name.
    pub fn of(
        publisher: &PublisherName,
        family: &str,
        number: usize,
        round: usize,
        archive_bytes: usize,
    ) -> Self {
        let (name, version) = (format!("{family}{number:05}"), format!("0.{round}.1"));
        let manifest = format!(
            "manifest = 1\n\n[brick]\nname = \"{publisher}/{name}\"\nversion = \"{version}\"\nkind = \"content\"\n\
             maturity = \"live\"\nlicense = \"MIT\"\n\n[text.en]\ntitle = \"{name}\"\nsummary = \"Something to measure with.\"\n"
        );
        let cargo = format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\nedition = \"2021\"\n");
        let seed = (number as u64) << 32 | round as u64;
        let data = Random::of(seed).bytes(archive_bytes.saturating_sub(OVERHEAD_BYTES));
        let path = |text: &str| ArchivePath::parse(text).expect("a plain path");
        let files = [
            (path("brick.toml"), manifest.as_bytes()),
            (path("Cargo.toml"), cargo.as_bytes()),
            (path("data.bin"), data.as_slice()),
            (path("src/lib.rs"), b"// nothing\n".as_slice()),
        ];
        let brick = BrickName::parse(&name).expect("a family and a number are a name");
        let version = Version::parse(&version).expect("numbers are a version");
        let archive = archive::write(&brick, &version, &files).expect("four files fit an archive");
        let manifest = Manifest::parse(&manifest).expect("a good manifest");
        Self { brick, version, archive: archive.into(), manifest }
    }

    /// The signed entry that releases it.
    ///
    /// # Panics
    /// Never: a key signs.
    pub fn entry(&self, place: &Place, officer: &SigningKey) -> Bytes {
        let limits = archive::Limits::default();
        let contents = archive::read(&self.archive, &limits).expect("it was just written").contents();
        let blob = Blob::of(&self.archive);
        let release = self.manifest.release(place.clone(), blob, contents, Vec::new(), None);
        let subject = (format!("{}-{}.brick", self.brick, self.version), blob.sha256);
        let statement = Statement::new(vec![subject], Predicate::Release(Box::new(release)));
        let mut envelope = Envelope::unsigned(STATEMENT_PAYLOAD_TYPE, statement.to_bytes());
        envelope.sign(officer).expect("a key signs");
        envelope.to_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_the_size_that_was_asked_for() {
        let publisher = PublisherName::parse("north.example").unwrap();
        for bytes in [2_000, 100_000, 102_400] {
            let content = Content::of(&publisher, "pkg", 7, 3, bytes);
            assert!(content.archive.len().abs_diff(bytes) < 300, "{bytes}: {}", content.archive.len());
            assert_eq!((content.brick.as_str(), content.version.to_string().as_str()), ("pkg00007", "0.3.1"));
        }
    }
}
