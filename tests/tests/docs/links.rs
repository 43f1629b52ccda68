//! Does everything that the pages name exist? Links, files, Rust paths, commands, routes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::pages::{blocks, collect, pages, prose, read, shown, top};

/// Folders at the top of the checkout whose files the pages name.
const FOLDERS: [&str; 6] = ["schemas/", "index/", "registry-server/", "cli/", "tests/", "docs/"];

/// What a path begins with in the pages, and where that crate's sources lie.
const CRATES: [(&str, &str); 10] = [
    ("schemas", "schemas/src"),
    ("tlog", "index/tlog/src"),
    ("trust", "index/trust/src"),
    ("resolver", "index/resolver/src"),
    ("index", "index/src"),
    ("client", "registry-server/client/src"),
    ("store", "registry-server/store/src"),
    ("brickyard", "registry-server/src"),
    ("cli", "cli/src"),
    ("tests", "tests/src"),
];

/// Runs `check` on every page and tells all that is wrong at once.
fn on_every_page(check: impl Fn(&Path, &str) -> Vec<String>) {
    let wrong: Vec<String> = pages().iter().flat_map(|page| check(page, &read(page))).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The code spans outside fenced blocks, with their lines.
fn spans(text: &str) -> Vec<(usize, String)> {
    prose(text)
        .into_iter()
        .flat_map(|(at, line)| {
            line.split('`').skip(1).step_by(2).map(move |span| (at, span.to_owned())).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    on_every_page(|page, text| {
        let mut wrong = Vec::new();
        for (at, line) in prose(text) {
            for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                if link.contains("://") || link.starts_with("mailto:") {
                    continue;
                }
                let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
                let target = match file {
                    "" => page.to_owned(),
                    file => page.parent().expect("a page lies in a folder").join(file),
                };
                let is_there =
                    target.exists() && (anchor.is_empty() || anchors(&read(&target)).contains(anchor));
                if !is_there {
                    wrong.push(format!("{}:{at}: nothing is at {link}", shown(page)));
                }
            }
        }
        wrong
    });
}

/// The anchors that the headings of a page give.
fn anchors(text: &str) -> BTreeSet<String> {
    prose(text)
        .into_iter()
        .filter(|(_, line)| line.starts_with('#'))
        .map(|(_, line)| line.trim_start_matches('#').trim())
        .map(|heading| {
            heading
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}

#[test]
fn every_file_that_is_named_is_there() {
    on_every_page(|page, text| {
        spans(text)
            .into_iter()
            .filter(|(_, span)| FOLDERS.iter().any(|folder| span.starts_with(folder)))
            .filter(|(_, span)| !span.contains(['<', '…', '$', ' ', '*', '{']))
            .filter(|(_, span)| !top().join(span).exists())
            .map(|(at, span)| format!("{}:{at}: there is no {span}", shown(page)))
            .collect()
    });
}

#[test]
fn every_rust_path_that_is_named_is_there() {
    on_every_page(|page, text| {
        spans(text)
            .into_iter()
            .filter_map(|(at, span)| {
                let (crate_name, rest) = span.split_once("::")?;
                let crate_name = crate_name.strip_prefix("brick_").unwrap_or(crate_name);
                let (_, sources) = CRATES.iter().find(|(name, _)| *name == crate_name)?;
                let rest = rest.split(['(', ' ', '<']).next().unwrap_or_default();
                (!is_declared(&top().join(sources), rest))
                    .then(|| format!("{}:{at}: there is no {span}", shown(page)))
            })
            .collect()
    });
}

/// Whether `path` (`module::Type::function`) is declared in the crate at `sources`.
fn is_declared(sources: &Path, path: &str) -> bool {
    let (mut dir, mut files) = (sources.to_owned(), vec![sources.join("lib.rs")]);
    for part in path.split("::") {
        let file = dir.join(format!("{part}.rs"));
        if file.is_file() {
            dir = dir.join(part);
            files = vec![file];
            if dir.is_dir() {
                collect(&dir, "rs", &mut files);
            }
        } else if let Some(declaring) = declaring(&files, part) {
            files = declaring;
        } else {
            let mut all: Vec<PathBuf> = Vec::new();
            collect(sources, "rs", &mut all);
            // Re-exported from another module of the crate.
            let is_exported =
                read(&files[0]).lines().any(|line| line.contains("pub use") && has_word(line, part));
            match declaring(&all, part).filter(|_| is_exported || dir == *sources) {
                Some(declaring) => files = declaring,
                None => return false,
            }
        }
    }
    true
}

/// Those of `files` that declare `item`.
fn declaring(files: &[PathBuf], item: &str) -> Option<Vec<PathBuf>> {
    const KEYWORDS: [&str; 8] = ["fn", "struct", "enum", "const", "trait", "type", "mod", "static"];
    let declares = |line: &str| {
        let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        words.windows(2).any(|pair| KEYWORDS.contains(&pair[0]) && pair[1] == item)
            // A variant or a field, or a type that a macro declares.
            || line.trim_start().starts_with(item) && has_word(line, item)
            || line.trim_start().strip_prefix("pub ").is_some_and(|rest| rest.starts_with(&format!("{item}:")))
    };
    let found: Vec<PathBuf> = files.iter().filter(|file| read(file).lines().any(declares)).cloned().collect();
    (!found.is_empty()).then_some(found)
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word)
}

#[test]
fn every_command_that_is_named_is_one() {
    on_every_page(|page, text| {
        let in_prose = spans(text).into_iter().filter(|(_, span)| span.starts_with("brick "));
        let in_blocks = blocks(text).into_iter().filter(|block| block.language() == "sh").flat_map(|block| {
            let joined = block.body.replace("\\\n", " ");
            joined
                .lines()
                .filter(|line| line.starts_with("brick "))
                .map(|line| (block.line, line.to_owned()))
                .collect::<Vec<_>>()
        });
        in_prose
            .chain(in_blocks)
            .filter_map(|(at, command)| {
                wrong_command(&command).map(|why| format!("{}:{at}: `{command}`: {why}", shown(page)))
            })
            .collect()
    });
}

/// What is wrong with a command line, if its words do not lead to a command or its flags are not that command's.
fn wrong_command(line: &str) -> Option<String> {
    let mut root = brick_cli::command();
    root.build();
    let mut command = &root;
    let mut words = line.split_whitespace().skip(1);
    while let Some(word) = words.next() {
        if word.starts_with(['|', '>', '&', ';', '#']) {
            break;
        }
        if let Some(flag) = word.strip_prefix('-') {
            let (flag, has_value) = flag.split_once('=').map_or((flag, false), |(flag, _)| (flag, true));
            let is_meant = |arg: &&clap::Arg| match flag.strip_prefix('-') {
                Some(long) => arg.get_long() == Some(long),
                None => flag.chars().next().is_some_and(|short| arg.get_short() == Some(short)),
            };
            let Some(arg) = command.get_arguments().find(is_meant) else {
                return Some(format!("no flag -{flag}"));
            };
            if arg.get_action().takes_values() && !has_value {
                words.next();
            }
        } else if command.has_subcommands() {
            match command.find_subcommand(word) {
                Some(inner) => command = inner,
                None if word.chars().all(|c| c.is_ascii_lowercase() || c == '-') => {
                    return Some(format!("no command {word}"));
                }
                None => {}
            }
        }
    }
    None
}

#[test]
fn every_route_of_the_registry_is_in_the_page() {
    let page = read(&top().join("docs/formats/http.md"));
    let mut files = Vec::new();
    collect(&top().join("registry-server/src"), "rs", &mut files);
    let sources: Vec<String> = files.iter().map(|file| read(file)).collect();
    let named = |text: &str| -> Vec<String> {
        [".route(", "Route::at("]
            .iter()
            .flat_map(|call| text.split(call).skip(1))
            .filter_map(|rest| rest.strip_prefix('"')?.split('"').next())
            .map(str::to_owned)
            .collect()
    };
    let routes: Vec<String> = sources.iter().flat_map(|text| named(text)).collect();
    let page = unnamed(&page, '<', '>');
    assert!(routes.len() > 10, "the routes are in these files");
    for route in routes {
        // Up to the last segment, if that is a name; what the names in between are called is the page's choice.
        let start = match route.ends_with('}') {
            true => route.rsplit_once('{').map_or(route.as_str(), |(start, _)| start),
            false => &route,
        };
        let start = unnamed(start, '{', '}');
        assert!(page.contains(&start), "docs/formats/http.md does not tell of {start}");
    }
}

/// `text` with nothing between `open` and `close`, both left out.
fn unnamed(text: &str, open: char, close: char) -> String {
    let mut inside = false;
    text.chars()
        .filter(|c| {
            let is_mark = *c == open || *c == close;
            inside = (inside || *c == open) && *c != close && *c != '\n';
            !inside && !is_mark
        })
        .collect()
}
