//! Is every blob what its name promises, and is every blob here that entries name?

use brick_schemas::Digest;
use brick_store::{BlobFile, MAX_NAMED_PER_READ, digest_of_file};

use super::{Checking, Kind, Missing};
use crate::blocking::blocking;
use crate::problem::chain;

impl Checking<'_> {
    /// Reads every blob, then asks for every one that entries name.
    pub(super) async fn blobs(&mut self) {
        for shard in 0..=u8::MAX {
            if shard % 16 == 0 {
                (self.tell)(&format!("blobs: {} so far", self.report.checked.blobs));
            }
            let store = self.store.clone();
            let read = blocking(move || {
                let files = store.blob_files(shard)?;
                Ok::<_, std::io::Error>(
                    files.into_iter().map(|file| (digest_of_file(&file.path), file)).collect::<Vec<_>>(),
                )
            });
            match read.await {
                Ok(files) => {
                    for (found, file) in files {
                        self.blob(found, &file);
                    }
                }
                Err(err) => self.report.note(Kind::Blob, format!("blobs/{shard:02x}"), chain(&err)),
            }
        }
        let mut after = None;
        loop {
            let named = match self.store.named_blobs(after.as_ref(), MAX_NAMED_PER_READ).await {
                Ok(named) => named,
                Err(err) => return self.unreadable("the blobs that entries name", &err),
            };
            let Some(last) = named.last() else { return };
            after = Some(last.sha256);
            let store = self.store.clone();
            let gone = blocking(move || {
                named.into_iter().filter(|blob| !store.blob_path(&blob.sha256).is_file()).collect::<Vec<_>>()
            });
            for blob in gone.await {
                self.report.miss(Missing { sha256: blob.sha256, bytes: blob.bytes });
            }
        }
    }

    fn blob(&mut self, found: std::io::Result<(Digest, u64)>, file: &BlobFile) {
        let place = file.digest.map_or_else(|| file.path.display().to_string(), |digest| digest.to_string());
        match (found, file.digest) {
            (Err(err), _) => self.report.note(Kind::Blob, place, format!("it cannot be read: {err}")),
            (Ok(_), None) => self.report.note(Kind::Blob, place, "its name is not a digest"),
            (Ok((found, bytes)), Some(digest)) => {
                self.report.checked.blobs += 1;
                self.report.checked.blob_bytes += bytes;
                if found != digest {
                    self.report.note(Kind::Blob, place, format!("its bytes have the digest {found}"));
                }
            }
        }
    }
}
