//! The tar stream in an archive, framed here so that mutations reach it: what is accepted is exactly what would be written.

#![no_main]

use std::io::{Read as _, Write as _};

use brick_schemas::archive::{LimitError, Limits, WriteError, read, write};
use flate2::{Compression, GzBuilder, read::GzDecoder};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|tar: &[u8]| {
    // Any level will do: only its mark in the header must be that of the highest.
    let mut gzip = GzBuilder::new().operating_system(255).write(Vec::new(), Compression::fast());
    gzip.write_all(tar).expect("memory");
    let mut bytes = gzip.finish().expect("memory");
    bytes[8] = 2;
    if let Ok(archive) = read(&bytes, &Limits::default()) {
        let files: Vec<_> = archive.files().map(|(path, content)| (path.clone(), content)).collect();
        let again = match write(archive.name(), archive.version(), &files) {
            Err(WriteError::Limit(LimitError::Ratio { .. })) => return,
            again => again.expect("what is read can be written"),
        };
        let mut written = Vec::new();
        GzDecoder::new(again.as_slice()).read_to_end(&mut written).expect("is gzip");
        assert_eq!(written, tar);
    }
});
