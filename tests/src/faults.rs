//! What do all tests share that end, cut or disturb a registry? Publishers with a ledger outside the disturbed process and
//! disk, and the oracle that holds the registry against it afterwards.
//!
//! The oracle, after every disturbance and restart: each acknowledged entry is in its log once, where its receipt says,
//! under a head that extends every head that anybody has seen; what was not acknowledged is wholly there or wholly
//! absent; sending it again gives its one place and a proof; the index has one line for it, and its archive is served.

pub mod image;
pub mod ledger;
pub mod load;
pub mod oracle;
pub mod scene;
pub mod shim;

/// What a test's environment asks for: a number of rounds, of cuts and the like; `otherwise` where it says nothing.
///
/// # Panics
/// When it is no number.
pub fn asked(variable: &str, otherwise: u64) -> u64 {
    let Some(value) = std::env::var_os(variable) else { return otherwise };
    let number = value.to_str().and_then(|value| value.parse().ok());
    number.unwrap_or_else(|| panic!("{variable} is a number, not {}", value.display()))
}

/// Prints a figure past the test harness's capture, so that a passing run shows it.
pub fn told(figure: &str) {
    use std::io::Write as _;
    // Standard error may be closed; then nobody is there to be told.
    let _ = writeln!(std::io::stderr(), "{figure}");
}
