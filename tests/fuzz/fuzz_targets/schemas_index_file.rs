//! An index file: lines that are accepted survive being written.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(lines) = brick_schemas::index_line::parse_index_file(data) {
        let text: String = lines.iter().map(brick_schemas::IndexLine::to_line).collect();
        assert_eq!(
            brick_schemas::index_line::parse_index_file(text.as_bytes()).expect("its own lines"),
            lines
        );
    }
});
