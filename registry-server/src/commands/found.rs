//! `brickyard found`: begin a commons log with its first root.

use std::path::{Path, PathBuf};

use brick_schemas::Digest;
use brick_trust::Envelope;
use brick_trust::envelope::MAX_ENTRY_BYTES;
use toml_edit::{DocumentMut, value};

use super::failure::Failure;
use super::serve::{configured, runtime};
use crate::founding;

/// Begin a commons log here with the root that its stewards signed
///
/// The registry must not be running. Doing it again with the same root changes nothing.
#[derive(clap::Args)]
pub(super) struct FoundArgs {
    /// The registry's set-up
    #[arg(long, value_name = "FILE", default_value = "registry.toml", env = "BRICKYARD_CONFIG")]
    config: PathBuf,
    /// The signed root, from `brick commons sign`
    root: PathBuf,
}

/// Logs the root as leaf 0, then writes its digest into `registry.toml`.
///
/// # Errors
/// [`Failure`].
pub(super) fn run(args: &FoundArgs) -> Result<(), Failure> {
    let configured = configured(&args.config)?;
    let bytes = read_root(&args.root)?;
    let envelope = Envelope::parse(&bytes).map_err(|err| {
        Failure::yours(format!("{} is not a signed root", args.root.display()))
            .because(&err)
            .next("have every steward run `brick commons sign` on it")
    })?;
    let digest = envelope.payload_digest();
    if let Some(pinned) = configured.config.root_sha256
        && pinned != digest
    {
        return Err(Failure::yours(format!("{} already names the root {pinned}", configured.path.display()))
            .next("found another commons with another registry: `brickyard init`"));
    }
    let settings = configured
        .settings_with(digest)
        .map_err(|err| Failure::yours("cannot found the commons").because(&err))?;
    let founded = runtime()?.block_on(founding::found(&settings, &bytes));
    founded.map_err(|err| Failure::of_registry("cannot found the commons", &err))?;
    pin(&configured.path, &digest)?;
    println!("founded; everybody pins root-sha256 = {digest}");
    println!("next: brickyard serve --config {}", configured.path.display());
    Ok(())
}

fn read_root(path: &Path) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;
    let read = || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(MAX_ENTRY_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        // The line end that editors and `echo` put at the end of a file is not part of the envelope.
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        Ok(bytes)
    };
    read().map_err(|err| Failure::yours(format!("cannot read {}", path.display())).because(&err))
}

/// Writes the root's digest into the file, everything else in it left as it is.
fn pin(path: &Path, digest: &Digest) -> Result<(), Failure> {
    let by_hand = format!("write `root-sha256 = \"{digest}\"` into it; the commons is founded all the same");
    let failed = |err: &dyn std::error::Error| {
        Failure::yours(format!("cannot write {}", path.display())).because(err).next(by_hand.clone())
    };
    let text = std::fs::read_to_string(path).map_err(|err| failed(&err))?;
    let mut document: DocumentMut = text.parse().map_err(|err: toml_edit::TomlError| failed(&err))?;
    document["root-sha256"] = value(digest.to_string());
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        use std::io::Write as _;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(document.to_string().as_bytes())?;
        file.as_file().set_permissions(std::fs::metadata(path)?.permissions())?;
        file.as_file().sync_all()?;
        file.persist(path).map(|_| ()).map_err(|err| err.error)
    };
    write().map_err(|err| failed(&err))
}
