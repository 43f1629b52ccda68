//! How fast is the registry beside others, in one run on one machine? Started by `tests/bench`.

use std::process::ExitCode;
use std::time::Duration;

use brick_tests::{content, random};
use clap::Parser as _;

use figure::Figure;
use options::Options;
use parts::{Bench, LONG_PARTS, PARTS, Part};
use tools::Tools;
use trouble::Trouble;

mod disk;
mod figure;
mod load;
mod machine;
mod options;
mod parts;
mod peers;
mod report;
mod statistics;
mod tools;
mod trouble;
mod wrk;
mod yard;

/// Something that is measured did not work.
const FAILED: u8 = 3;
/// The command line is not understood.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(err) => {
            let _ = err.print();
            return if err.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    if options.list {
        for part in PARTS.iter().chain(&LONG_PARTS) {
            println!("{:10}{}", part.name, part.about);
        }
        return ExitCode::SUCCESS;
    }
    match measure(&options) {
        Ok(figures) => ExitCode::from(report::exit_code(&figures)),
        Err(err) => {
            eprintln!("tests/bench: {}", chain(&err));
            ExitCode::from(FAILED)
        }
    }
}

fn measure(options: &Options) -> Result<Vec<Figure>, Trouble> {
    let program = std::env::current_exe().map_err(|err| Trouble::failed("this program's path", err))?;
    let profile = program.parent().and_then(|folder| folder.parent());
    let folder = profile.map(|build| build.join("bench")).unwrap_or_default();
    let tools = Tools { folder, may_install: !options.no_install };
    disk::keep_apart(&std::env::temp_dir());
    let time = Duration::from_secs(2);
    let publishes = if options.quick { 96 } else { 480 };
    let mut bench = Bench::new(tools, options.rounds(), time, publishes, options.releases());
    bench.is_quick = options.quick;
    let is_for_people = !options.json && !options.markdown;
    if is_for_people {
        println!("{}", report::heading());
    }
    let (mut figures, mut loads) = (Vec::new(), vec![machine::load_average()]);
    let mut failed = None;
    let wanted =
        |part: &&Part| options.names.is_empty() || options.names.iter().any(|name| name == part.name);
    let is_named = |part: &&Part| options.names.iter().any(|name| name == part.name);
    for part in PARTS.iter().filter(wanted).chain(LONG_PARTS.iter().filter(is_named)) {
        eprintln!("measuring {}: {}", part.name, part.about);
        let found = match (part.run)(&mut bench) {
            Ok(found) => found,
            Err(Trouble::Missing(why)) => vec![Figure::own(part.about, "", "").skipped(&why)],
            // What was measured before is told: it may have taken hours.
            Err(err) => {
                failed = Some(err);
                break;
            }
        };
        loads.push(machine::load_average());
        if is_for_people {
            found.iter().for_each(|figure| println!("{}", report::line(figure)));
        }
        figures.extend(found);
    }
    let loads: Vec<String> = loads.iter().flatten().map(|load| format!("{load:.1}")).collect();
    let loads = loads.join(", ");
    if options.json {
        let whole = serde_json::json!({
            "version": 1, "rounds": options.rounds(), "releases": options.releases(),
            "load_average": loads, "figures": report::json(&figures),
        });
        println!("{whole:#}");
    } else if options.markdown {
        println!(
            "{}\nRounds: {}. Load average before each part and at the end: {loads}.",
            report::markdown(&figures),
            options.rounds()
        );
    } else {
        println!("\nload average before each part and at the end: {loads}");
    }
    failed.map_or(Ok(figures), Err)
}

fn chain(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut source = err.source();
    while let Some(err) = source {
        text.push_str(": ");
        text.push_str(&err.to_string());
        source = err.source();
    }
    text
}
