//! The table of bounds, from the sources: every public `MAX_…` of the crates that read what others wrote.

use std::fmt::Write as _;

use crate::pages::{collect, read, shown, top};

/// The crates whose bounds are part of the formats, with what each reads.
const CRATES: [(&str, &str); 4] = [
    ("schemas/src", "Files that people write, entries, archives, HTTP bodies"),
    ("index/tlog/src", "Logs, notes, proofs, snapshots"),
    ("index/trust/src", "Envelopes, roots, keys, heads"),
    ("index/src", "The git repository"),
];

/// One bound.
struct Bound {
    name: String,
    expression: String,
    /// Its own words: the first line of its doc comment.
    what: String,
    file: String,
}

/// Where the bounds of a running registry stand, in the order in which a request meets them.
const SERVER: [&str; 10] = [
    "registry-server/src/listening.rs",
    "registry-server/src/slow.rs",
    "registry-server/src/clients.rs",
    "registry-server/src/turns.rs",
    "registry-server/src/receive.rs",
    "registry-server/store/src/blob_writer.rs",
    "registry-server/src/registry.rs",
    "registry-server/src/sequencer.rs",
    "registry-server/src/git_http.rs",
    "registry-server/src/commands/serve.rs",
];

/// What a running registry has under way at most.
pub fn server_table() -> String {
    let mut table = "| bound | value | what |\n|---|---|---|\n".to_owned();
    for file in SERVER {
        let bounds = bounds_in(vec![top().join(file)], |_| true);
        for bound in &bounds {
            let is_bound = bound.name.starts_with("MAX_") || bound.name.starts_with("MIN_");
            // Times stand in a table of their own.
            if !is_bound || bound.expression.starts_with("Duration") {
                continue;
            }
            let value = evaluate(&bound.expression, &|name| {
                bounds.iter().find(|other| other.name == name).map(|other| other.expression.as_str())
            });
            let value = spelled(&bound.name, value);
            let (name, file, what) = (&bound.name, &bound.file, bound.what.replace(['[', ']'], ""));
            writeln!(table, "| [`{name}`](../../{file}) | {value} | {what} |").expect("writing to a string");
        }
    }
    table
}

/// How long a registry waits for others.
pub fn patience_table() -> String {
    let patience = brickyard::Patience::default();
    let mut table = "| for | at most | then |\n|---|---|---|\n".to_owned();
    for (what, time, then) in [
        ("the header of a request", patience.header, "the connection is closed"),
        ("the next bytes of a body, or a reader to take some", patience.idle, "the connection is closed"),
        ("a body before its rate counts", patience.body_grace, "408 below `MIN_BODY_RATE`"),
        ("a request as a whole", patience.request, "503"),
        ("a peer to list its heads, or one `git fetch` from it", patience.fetch, "it is tried again later"),
        ("open requests when it stops", patience.stop, "they are cut"),
    ] {
        writeln!(table, "| {what} | {} s | {then} |", time.as_secs()).expect("writing to a string");
    }
    table
}

fn bounds_of(folder: &str) -> Vec<Bound> {
    let mut files = Vec::new();
    collect(&top().join(folder), "rs", &mut files);
    files.sort();
    let is_archive_limit = |file: &str| folder.ends_with("schemas/src") && file.contains("archive/limits");
    bounds_in(files, is_archive_limit)
}

/// The constants of some files.
///
/// - `also_private`: whether a file's private ones are told too.
fn bounds_in(files: Vec<std::path::PathBuf>, also_private: impl Fn(&str) -> bool) -> Vec<Bound> {
    let mut found = Vec::new();
    for file in files {
        let text = read(&file);
        let mut doc = Vec::new();
        for line in text.lines() {
            let line = line.trim_start();
            if let Some(words) = line.strip_prefix("///") {
                doc.push(words.trim());
                continue;
            }
            let named = ["pub const ", "pub(super) const ", "pub(crate) const ", "const "]
                .iter()
                .find_map(|start| line.strip_prefix(start));
            if let Some((name, rest)) = named.and_then(|rest| rest.split_once(": "))
                && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
                && let Some((_, expression)) = rest.split_once(" = ")
            {
                found.push(Bound {
                    name: name.to_owned(),
                    expression: expression.trim_end_matches(';').to_owned(),
                    what: if line.starts_with("pub ") || also_private(&shown(&file)) {
                        doc.join(" ")
                    } else {
                        String::new()
                    },
                    file: shown(&file),
                });
            }
            doc.clear();
        }
    }
    found
}

/// The table.
pub fn table() -> String {
    let crates: Vec<(&str, Vec<Bound>)> =
        CRATES.iter().map(|(folder, what)| (*what, bounds_of(folder))).collect();
    let all: Vec<&Bound> = crates.iter().flat_map(|(_, bounds)| bounds).collect();
    let mut table = String::new();
    for (what, bounds) in &crates {
        writeln!(table, "### {what}\n\n| bound | value | what |\n|---|---|---|")
            .expect("writing to a string");
        for bound in bounds.iter().filter(|bound| bound.name.starts_with("MAX_") && !bound.what.is_empty()) {
            let value = evaluate(&bound.expression, &|name| {
                // A constant may pass on one of its own name from elsewhere; otherwise its own file comes first, then its
                // own crate.
                let is_meant = |other: &&Bound| other.name == name && !std::ptr::eq(*other, bound);
                let in_file = bounds.iter().filter(is_meant).find(|other| other.file == bound.file);
                let in_crate = || bounds.iter().find(is_meant);
                let anywhere = || all.iter().copied().find(is_meant);
                in_file.or_else(in_crate).or_else(anywhere).map(|other| other.expression.as_str())
            });
            let words = bound.what.replace(['[', ']'], "").replace('|', "\\|");
            let file = &bound.file;
            writeln!(
                table,
                "| [`{}`](../../{file}) | {} | {words} |",
                bound.name,
                spelled(&bound.name, value)
            )
            .expect("writing to a string");
        }
        table.push('\n');
    }
    table.trim_end().to_owned() + "\n"
}

/// `16,777,216 (16 MiB)`.
fn spelled(name: &str, value: u128) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    let power = value.trailing_zeros();
    match value {
        _ if value > 1 << 32 && value.is_power_of_two() => text + &format!(" (2^{power})"),
        _ if name.ends_with("_BYTES") && power >= 20 => text + &format!(" ({} MiB)", value >> 20),
        _ => text,
    }
}

/// The value of a constant's expression: numbers, names, `*`, `/`, `+`, `-`, `<<`, `as`, brackets.
fn evaluate<'a>(expression: &str, constant: &dyn Fn(&str) -> Option<&'a str>) -> u128 {
    let mut tokens: Vec<String> = Vec::new();
    for c in expression.chars() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        match tokens.last_mut() {
            Some(last) if is_word(c) && last.chars().all(is_word) => last.push(c),
            Some(last) if c == '<' && last == "<" => last.push(c),
            _ if c.is_whitespace() => tokens.push(String::new()),
            _ => tokens.push(c.to_string()),
        }
    }
    tokens.retain(|token| !token.is_empty());
    let mut tokens = tokens.into_iter().rev().collect::<Vec<_>>();
    let value = shift(&mut tokens, constant);
    assert!(tokens.is_empty(), "cannot read `{expression}`");
    value
}

type Constants<'f, 'a> = &'f dyn Fn(&str) -> Option<&'a str>;

fn shift(tokens: &mut Vec<String>, constant: Constants) -> u128 {
    let value = sum(tokens, constant);
    match tokens.pop_if(|token| token == "<<") {
        Some(_) => value << sum(tokens, constant),
        None => value,
    }
}

fn sum(tokens: &mut Vec<String>, constant: Constants) -> u128 {
    let mut value = product(tokens, constant);
    while let Some(sign) = tokens.pop_if(|token| token == "+" || token == "-") {
        let other = product(tokens, constant);
        value = if sign == "+" { value + other } else { value - other };
    }
    value
}

fn product(tokens: &mut Vec<String>, constant: Constants) -> u128 {
    let mut value = atom(tokens, constant);
    while let Some(sign) = tokens.pop_if(|token| token == "*" || token == "/") {
        let other = atom(tokens, constant);
        value = if sign == "*" { value * other } else { value / other };
    }
    value
}

fn atom(tokens: &mut Vec<String>, constant: Constants) -> u128 {
    let token = tokens.pop().expect("an expression is not empty");
    let value = if token == "(" {
        let value = shift(tokens, constant);
        assert_eq!(tokens.pop().as_deref(), Some(")"));
        value
    } else if let Ok(number) = token.replace('_', "").parse() {
        number
    } else {
        let name = token.rsplit("::").next().unwrap_or_default();
        let expression = constant(name).unwrap_or_else(|| panic!("no constant is called {name}"));
        match expression.strip_prefix('"') {
            Some(text) => return skip_len(tokens, text.trim_end_matches('"').len() as u128),
            None => evaluate(expression, constant),
        }
    };
    if tokens.pop_if(|token| token == "as").is_some() {
        tokens.pop();
    }
    value
}

/// The length of a text constant, after its name: `.len()`.
fn skip_len(tokens: &mut Vec<String>, length: u128) -> u128 {
    for wanted in [".", "len", "(", ")"] {
        assert_eq!(tokens.pop().as_deref(), Some(wanted));
    }
    length
}

#[test]
fn the_table_of_bounds_has_the_values_of_the_compiled_constants() {
    use brick_schemas::archive::Limits;
    let table = table();
    let limits = Limits::default();
    for (name, value) in [
        ("MAX_ARCHIVE_BYTES", limits.archive_bytes),
        ("MAX_UNPACKED_BYTES", limits.unpacked_bytes),
        ("MAX_FILE_COUNT", limits.file_count as u64),
        ("MAX_RATIO", limits.ratio),
        ("MAX_PATH_BYTES", limits.path_bytes as u64),
        ("MAX_MANIFEST_BYTES", brick_schemas::manifest::MAX_MANIFEST_BYTES as u64),
        ("MAX_ENTRY_BYTES", brick_trust::envelope::MAX_ENTRY_BYTES as u64),
        ("MAX_REQUIRES", brick_schemas::predicate::release::MAX_REQUIRES as u64),
        ("MAX_FEATURES", brick_schemas::predicate::release::MAX_FEATURES as u64),
        ("MAX_FEATURE_ITEMS", brick_schemas::predicate::release::MAX_FEATURE_ITEMS as u64),
        ("MAX_INTERFACES", brick_schemas::predicate::release::MAX_INTERFACES as u64),
        ("MAX_RELEASES", brick_schemas::index_line::MAX_RELEASES as u64),
        ("MAX_BRICKS", brick_schemas::registry_config::MAX_BRICKS),
        ("MAX_README_BYTES", brick_schemas::registry_config::MAX_README_BYTES),
        ("MAX_PUBLISHER_BYTES", brick_schemas::name::MAX_PUBLISHER_BYTES as u64),
        ("MAX_BRICK_BYTES", brick_schemas::name::MAX_BRICK_BYTES as u64),
        ("MAX_VERSION_BYTES", brick_schemas::version::MAX_VERSION_BYTES as u64),
        ("MAX_NUMBER", brick_schemas::version::MAX_NUMBER),
        ("MAX_DEPENDENCIES", brick_schemas::lockfile::MAX_DEPENDENCIES as u64),
        ("MAX_PROOF_BYTES", brick_tlog::proof::MAX_PROOF_BYTES as u64),
        ("MAX_TILE_INDEX", brick_tlog::tile::MAX_TILE_INDEX),
        ("MAX_INDEX_PROOF_BYTES", brick_tlog::snapshot::MAX_INDEX_PROOF_BYTES as u64),
        ("MAX_SIGNATURES", brick_trust::envelope::MAX_SIGNATURES as u64),
        ("MAX_SKEW_S", brick_trust::head::MAX_SKEW_S),
        ("MAX_INDEX_FILE_BYTES", brick_index::follow::MAX_INDEX_FILE_BYTES as u64),
    ] {
        let start = format!("| [`{name}`]");
        let row = table
            .lines()
            .find(|line| line.starts_with(&start))
            .unwrap_or_else(|| panic!("no row for {name}"));
        assert!(row.contains(&format!("| {} |", spelled(name, value.into()))), "{name} is {value}: {row}");
    }
}
