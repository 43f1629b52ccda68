//! Do the guides work as they are printed? Each page runs as a test, from an empty home, against a commons of its own.
//!
//! How a page is written is said in `docs/guide/README.md`.

#[path = "guides/commons.rs"]
mod commons;
#[path = "guides/page.rs"]
mod page;
#[path = "docs/page_text.rs"]
mod page_text;

use brick_schemas::predicate::PublisherKind;
use brick_tests::corpus::skipped;
use commons::Background;
use page::Guide;

/// Publishes what the shipped examples hold, so that there is something to find.
const EXAMPLES: [&str; 6] = [
    "acme.example/notify-1.0.0",
    "acme.example/notify-2.0.0",
    "midshire.example/address-1.0.0",
    "midshire.example/address-1.1.0",
    "acme.example/case-handling-1.4.0",
    "midshire.example/missed-bin-2.1.0",
];

#[test]
fn the_council_developers_guide_works_as_printed() {
    let background = Background::start(&EXAMPLES);
    Guide::read("council-developer").run(&background.variables(), |what| background.meanwhile(what));
}

#[test]
fn the_suppliers_guide_works_as_printed() {
    let background = Background::start(&EXAMPLES);
    Guide::read("supplier").run(&background.variables(), |what| background.meanwhile(what));
}

/// Whether the tools that a page uses are there; says so where one is not.
fn has_tools(tools: &[&str]) -> bool {
    let runs = |tool: &&&str| std::process::Command::new(tool).arg("--version").output().is_ok();
    match tools.iter().find(|tool| !runs(tool)) {
        None => true,
        Some(missing) => {
            skipped(&format!("there is no `{missing}` on this machine, which the page uses"));
            false
        }
    }
}

#[test]
fn the_auditors_guide_works_as_printed() {
    if !has_tools(&["curl", "python3", "openssl"]) {
        return;
    }
    let background = Background::start(&EXAMPLES);
    Guide::read("auditor").run(&background.variables(), |what| background.meanwhile(what));
}

#[test]
fn the_operators_guide_works_as_printed() {
    if !has_tools(&["curl"]) {
        return;
    }
    let ports = [(); 3].map(|()| brick_tests::process::free_address().port().to_string());
    let variables = [
        ("NORTH_PORT".to_owned(), ports[0].clone()),
        ("MID_PORT".to_owned(), ports[1].clone()),
        ("SOUTH_PORT".to_owned(), ports[2].clone()),
    ];
    Guide::read("operator").run(&variables, |what| panic!("nothing happens meanwhile: {}", what.what));
}

#[test]
fn a_publishers_kind_is_read_as_the_command_line_writes_it() {
    assert_eq!(commons::kind("supplier"), PublisherKind::Supplier);
}
