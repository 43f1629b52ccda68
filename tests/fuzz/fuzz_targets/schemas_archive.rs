//! An archive: what is accepted is written again with the same contents.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    use brick_schemas::archive::{self, Limits};
    if let Ok(read) = archive::read(data, &Limits::default()) {
        let files: Vec<_> = read.files().map(|(path, bytes)| (path.clone(), bytes)).collect();
        // Compressed better than it came, it may be over the bound of the ratio: nothing else can be wrong with it.
        let again = match archive::write(read.name(), read.version(), &files) {
            Err(archive::WriteError::Limit(archive::LimitError::Ratio { .. })) => return,
            again => again.expect("what was read can be written"),
        };
        let again = archive::read(&again, &Limits::default()).expect("what was written can be read");
        assert_eq!(again.contents(), read.contents());
    }
});
