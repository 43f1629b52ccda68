//! An archive: what is accepted is written again with the same contents.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    use brick_schemas::archive::{self, Limits};
    if let Ok(read) = archive::read(data, &Limits::default()) {
        let files: Vec<_> = read.files().map(|(path, bytes)| (path.clone(), bytes)).collect();
        let again =
            archive::write(read.name(), read.version(), &files).expect("what was read can be written");
        let again = archive::read(&again, &Limits::default()).expect("what was written can be read");
        assert_eq!(again.contents(), read.contents());
    }
});
