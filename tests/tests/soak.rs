//! Does a registry that works on and on stay as it is? The short form; `tests/bench soak` is the long one.

#![cfg(target_os = "linux")]

use std::time::Duration;

use brick_tests::faults::{asked, told};
use brick_tests::soak::soak;

#[test]
fn a_registry_at_half_of_what_it_can_do_stays_as_it_is() {
    // A build server has the time; whoever runs all tests by hand is not kept waiting.
    let is_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    let seconds = asked("BRICK_SOAK_SECONDS", if is_ci { 90 } else { 10 });
    let soaked = soak(Duration::from_secs(seconds));
    let (memory, files) = (soaked.memory_growth(), soaked.file_growth());
    told(&format!(
        "soak of {seconds} s at half of {:.0} reads and {:.0} publishes a second: {} reads, {} publishes, {} fetches; memory × \
         {memory:.2}, open files × {files:.2}",
        soaked.saturation[0], soaked.saturation[1], soaked.reads, soaked.publishes, soaked.fetches
    ));
    assert_eq!(soaked.failures, 0, "{:#?}", soaked.told);
    // What is known of bricks that were published to fills until it is as large as it may be: in minutes, not in seconds.
    let bound = if seconds >= 600 { 1.2 } else { 1.5 };
    if seconds >= 60 {
        assert!(memory <= bound, "memory grows: {:?}", soaked.samples);
        assert!(files <= bound, "open files grow: {:?}", soaked.samples);
    }
}
