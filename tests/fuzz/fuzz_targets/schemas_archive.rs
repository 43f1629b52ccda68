//! An archive as it comes from another party: the gzip frame and what is in it.

#![no_main]

use brick_schemas::archive::{Limits, read, write};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(archive) = read(bytes, &Limits::default()) {
        let files: Vec<_> = archive.files().map(|(path, content)| (path.clone(), content)).collect();
        let again = write(archive.name(), archive.version(), &files).expect("what is read can be written");
        assert_eq!(read(&again, &Limits::default()).expect("and read").contents(), archive.contents());
    }
});
