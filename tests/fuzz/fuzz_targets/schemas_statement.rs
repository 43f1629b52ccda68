//! A Statement: what is accepted is written again as a Statement that says the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(statement) = brick_schemas::predicate::Statement::parse(data) {
        let again = brick_schemas::predicate::Statement::parse(&statement.to_bytes()).expect("its own bytes");
        assert_eq!(again, statement);
    }
});
