//! What does each command's help show beyond its options? What happens, an example to copy, and how it can end.

use clap::Command;

/// The end of one command's help.
struct Example {
    /// The command as it is typed, without `brick`.
    path: &'static str,
    /// What happens, in full sentences; empty where the first line says it all.
    happens: &'static str,
    /// Command lines to copy.
    lines: &'static [&'static str],
    /// Exit codes that a script should tell apart; empty where 0, 1 and 2 are all there is.
    codes: &'static str,
}

const NETWORK: &str =
    "0 done, 1 cannot be met, 3 a check failed and nothing was written, 4 no registry could be asked.";
const OFFLINE: &str = "0 everything holds, 1 something is missing, 3 something is not what was signed.";

const EXAMPLES: &[Example] = &[
    Example {
        path: "quickstart",
        happens: "Needs nothing but this program and git, listens on this machine only, and leaves nothing behind.",
        lines: &["brick quickstart", "brick quickstart --exit --dir try-it"],
        codes: "",
    },
    Example {
        path: "new",
        happens: "Writes a manifest that passes `brick check` once its texts are yours.",
        lines: &[
            "brick new northshire.gov.uk/case-handling --kind process",
            "brick new northshire.gov.uk/missed-bin --service",
        ],
        codes: "",
    },
    Example {
        path: "init",
        happens: "Writes a manifest beside what is there, and changes no other file.",
        lines: &["brick init --name northshire.gov.uk/case-handling"],
        codes: "",
    },
    Example {
        path: "check",
        happens: "Reads the manifest and the files as a registry would, and shows each problem with its line.",
        lines: &["brick check", "brick check --strict --json"],
        codes: "0 it can be published, 1 it cannot, and every problem has been shown.",
    },
    Example {
        path: "package",
        happens: "The same files give the same bytes on every machine.",
        lines: &["brick package --list", "brick package --out case-handling.brick"],
        codes: "",
    },
    Example {
        path: "publish",
        happens: "Checks, packs, shows what will be public for ever, asks, signs, and verifies the registry's acknowledgement.",
        lines: &["brick publish --dry-run", "brick publish --key officer"],
        codes: "0 it is in the log, 1 not accepted, 3 the acknowledgement does not hold, 4 no answer: run it again.",
    },
    Example {
        path: "yank",
        happens: "Has a signed entry logged by the home registry that says so, with a reason.",
        lines: &[
            "brick yank northshire.gov.uk/case-handling@1.4.0 --code error --reason 'The fee table is last year’s'",
            "brick yank northshire.gov.uk/case-handling@1.4.0 --undo",
        ],
        codes: "0 it is in the log, 1 not accepted, 3 the acknowledgement does not hold, 4 no answer: run it again.",
    },
    Example {
        path: "add",
        happens: "Writes manifest and brick.lock together, only when everything could be resolved.",
        lines: &[
            "brick add midshire.gov.uk/address",
            "brick add midshire.gov.uk/address@^1.1 --features uprn",
        ],
        codes: NETWORK,
    },
    Example {
        path: "remove",
        happens: "Writes manifest and brick.lock together, only when what is left could be resolved.",
        lines: &["brick remove midshire.gov.uk/address"],
        codes: NETWORK,
    },
    Example {
        path: "update",
        happens: "Chooses the newest releases that meet the requirements, says what moved, and writes brick.lock.",
        lines: &["brick update --dry-run", "brick update midshire.gov.uk/address --precise 1.1.0"],
        codes: NETWORK,
    },
    Example {
        path: "tree",
        happens: "Reads brick.lock; resolves first where it does not meet the manifest.",
        lines: &["brick tree", "brick tree --invert midshire.gov.uk/address"],
        codes: "",
    },
    Example {
        path: "metadata",
        happens: "The first member, `schema`, names the version of the output.",
        lines: &["brick metadata", "brick metadata --no-deps"],
        codes: "",
    },
    Example {
        path: "info",
        happens: "Versions, statuses, requirements and licence, as shown by the publisher's own log.",
        lines: &["brick info midshire.gov.uk/address", "brick info midshire.gov.uk/address@1.1.0 --json"],
        codes: "",
    },
    Example {
        path: "search",
        happens: "Lists names with their newest version and summary.",
        lines: &["brick search midshire.gov.uk/", "brick search address --limit 5"],
        codes: "",
    },
    Example {
        path: "fetch",
        happens: "Every archive is checked against its proof before any is kept, and before brick.lock is written; then `--offline` will do.",
        lines: &["brick fetch", "brick fetch --locked"],
        codes: NETWORK,
    },
    Example {
        path: "vendor",
        happens: "For repositories that must hold everything they need: files and proofs, relative paths only.",
        lines: &["brick vendor", "brick vendor third-party/bricks --locked"],
        codes: NETWORK,
    },
    Example {
        path: "verify",
        happens: "Nothing is asked over the network: the pinned root, the kept records and the proofs are enough.",
        lines: &["brick verify", "brick verify bins-2.1.0.brick --proof bins-2.1.0.tlog-proof"],
        codes: OFFLINE,
    },
    Example {
        path: "audit",
        happens: "Says in numbers what was checked.",
        lines: &["brick audit", "brick audit --index commons.git --root-sha256 HEX"],
        codes: "0 everything holds, 1 a locked release should be replaced, 3 a check failed, 4 no registry could be asked.",
    },
    Example {
        path: "key",
        happens: "Secret keys never leave this machine, and are never shown.",
        lines: &["brick key new officer", "brick key list"],
        codes: "",
    },
    Example {
        path: "key new",
        happens: "Asks for a passphrase on a terminal; elsewhere BRICK_KEY_PASSPHRASE holds it. One key has one role: make another for each.",
        lines: &["brick key new officer", "brick key new owner > owner.pub"],
        codes: "",
    },
    Example {
        path: "key list",
        happens: "Names and public halves; nothing secret.",
        lines: &["brick key list", "brick key list --agent"],
        codes: "",
    },
    Example {
        path: "key export",
        happens: "The public half is what registrars and other people need.",
        lines: &["brick key export officer > officer.pub"],
        codes: "",
    },
    Example {
        path: "commons",
        happens: "Who takes part is said by records that enough registrars signed, under a root that enough stewards signed.",
        lines: &["brick commons trust https://registry.example --root-sha256 HEX", "brick commons show"],
        codes: "",
    },
    Example {
        path: "commons init",
        happens: "Writes `root.json` for the stewards to sign, and prints the digest that everybody will pin; signatures do not change it.",
        lines: &[
            "brick commons init commons.example --steward a.pub --steward b.pub --registrar r.pub --log VKEY",
        ],
        codes: "",
    },
    Example {
        path: "commons sign",
        happens: "Says what the draft says, asks, and adds one signature. Compare a registry's fingerprint with its operator first.",
        lines: &["brick commons sign root.json --key steward"],
        codes: "",
    },
    Example {
        path: "commons show",
        happens: "",
        lines: &["brick commons show", "brick commons show registry.mid.example.json"],
        codes: "",
    },
    Example {
        path: "commons trust",
        happens: "Fetches the commons log and keeps it only if everything in it follows from that root.",
        lines: &["brick commons trust https://registry.example --root-sha256 2e8595dc…"],
        codes: "0 trusted, 3 another root or a check failed, 4 the registry could not be asked; nothing is kept then.",
    },
    Example {
        path: "commons admit",
        happens: "Asks nobody to believe anything yet: a draft counts once enough registrars have signed it.",
        lines: &["brick commons admit registry --from introduction.json --owner owner.pub"],
        codes: "",
    },
    Example {
        path: "commons admit publisher",
        happens: "The draft names its keys, what they may sign, and the registry that hosts its log.",
        lines: &[
            "brick commons admit publisher northshire.gov.uk --kind public-body --home registry.north.example --key officer.pub --owner owner.pub",
        ],
        codes: "",
    },
    Example {
        path: "commons admit registry",
        happens: "Shows a fingerprint; compare it with what `brickyard init` printed on that registry, by voice or on paper, before anybody signs.",
        lines: &["brick commons admit registry --from introduction.json --owner owner.pub"],
        codes: "",
    },
    Example {
        path: "commons submit",
        happens: "Checks what the registry will check, sends, and verifies the acknowledgement. Doing it again is harmless.",
        lines: &["brick commons submit registry.mid.example.json"],
        codes: "0 it is in the log, 1 it would not count, 3 the acknowledgement does not hold, 4 no answer: run it again.",
    },
    Example {
        path: "completions",
        happens: "",
        lines: &["brick completions bash > ~/.local/share/bash-completion/completions/brick"],
        codes: "",
    },
    Example {
        path: "man",
        happens: "The pages say what `--help` says.",
        lines: &["brick man ~/.local/share/man/man1"],
        codes: "",
    },
];

/// The command line with every command's example, in `-h`, `--help` and the manual pages alike.
pub(crate) fn with_examples(command: Command) -> Command {
    with_examples_below(command, "")
}

fn with_examples_below(mut command: Command, path: &str) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    for name in names {
        let path = if path.is_empty() { name.clone() } else { format!("{path} {name}") };
        command = command.mut_subcommand(&name, |inner| with_examples_below(inner, &path));
    }
    match EXAMPLES.iter().find(|example| example.path == path) {
        Some(example) => {
            let text = ending(example, command.get_after_help().map(ToString::to_string));
            command.after_help(text)
        }
        None => command,
    }
}

fn ending(example: &Example, before: Option<String>) -> String {
    let mut paragraphs: Vec<String> = Vec::new();
    if !example.happens.is_empty() {
        paragraphs.push(example.happens.to_owned());
    }
    paragraphs.extend(before);
    let lines: Vec<String> = example.lines.iter().map(|line| format!("  {line}")).collect();
    let heading = if lines.len() == 1 { "Example:" } else { "Examples:" };
    paragraphs.push(format!("{heading}\n{}", lines.join("\n")));
    if !example.codes.is_empty() {
        paragraphs.push(format!("Exit codes: {}", example.codes));
    }
    paragraphs.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_is_of_a_command_and_a_command_line_that_is_accepted() {
        for example in EXAMPLES {
            let mut at = &crate::command();
            for word in example.path.split(' ') {
                at = at
                    .find_subcommand(word)
                    .unwrap_or_else(|| panic!("there is no command `{}`", example.path));
            }
            for line in example.lines {
                let line = line.split(" > ").next().unwrap();
                // A shell's quotes: one argument between two of them.
                let words = line.split('\'').enumerate().flat_map(|(at, part)| match at % 2 {
                    0 => part.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
                    _ => vec![part.to_owned()],
                });
                let digest = "0".repeat(64);
                let words = words.map(|word| word.replace("HEX", &digest).replace("2e8595dc…", &digest));
                if let Err(err) = crate::command().try_get_matches_from(words) {
                    panic!("{line}: {err}");
                }
            }
        }
    }
}
