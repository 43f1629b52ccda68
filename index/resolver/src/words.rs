//! How is an explanation told to people?

use std::fmt;

use brick_schemas::Version;

use crate::explain::{Explanation, LeftOut, Reason, Who, Why};

/// Lines of an explanation's text, at most.
pub const MAX_EXPLANATION_LINES: usize = 12;
/// Lines kept from the start of a longer text; one line then says how many are left out.
const FIRST_LINES: usize = 5;
/// Versions that are listed one by one; of more, the first and the last are named.
const LISTED: usize = 3;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only @ (Reason::Unmet { .. } | Reason::Unknown { .. }), _] = &self.reasons[..] {
            return f.write_str(&only.to_string());
        }
        let mut lines = Vec::new();
        let mut before: Option<&Reason> = None;
        for reason in &self.reasons {
            let starts = match (reason, before) {
                (Reason::So { .. }, _) => "so",
                (Reason::OneOfLine { .. }, _) => "but",
                (_, None) => "because",
                (_, Some(Reason::So { .. })) => "and because",
                (_, Some(_)) => "and",
            };
            before = Some(reason);
            let says = match reason {
                Reason::So { together, needs } if together.is_empty() => match &needs[..] {
                    [] => format!("nothing fits the requirements of `{}`", self.root),
                    needs => format!("`{}` needs {}", self.root, any_of(needs)),
                },
                reason => reason.to_string(),
            };
            lines.push(format!("{starts} {says}"));
        }
        if lines.len() > MAX_EXPLANATION_LINES {
            let last = lines.len() - (MAX_EXPLANATION_LINES - FIRST_LINES - 1);
            let left_out = format!("… ({} more steps)", last - FIRST_LINES);
            lines.splice(FIRST_LINES..last, [left_out]);
        }
        f.write_str(&lines.join("\n"))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Requires { by, brick, requirements, feature, fits, left_out } => {
                let requirements: Vec<_> = requirements.iter().map(ToString::to_string).collect();
                write!(f, "{by} {} `{brick}`", if by.is_one() { "requires" } else { "require" })?;
                if !requirements.is_empty() {
                    write!(f, " {}", listed(&requirements, "or"))?;
                }
                if let Some(feature) = feature {
                    write!(f, " with feature `{feature}`")?;
                }
                write!(f, " ({}", versions(fits))?;
                if !left_out.is_empty() {
                    write!(f, "; {}", left_out_words(left_out))?;
                }
                f.write_str(")")
            }
            Reason::Unmet { by, brick, requirement, feature, nearest, release_count, left_out } => {
                write!(
                    f,
                    "{by} {} `{brick}` {requirement}",
                    if by.is_one() { "requires" } else { "require" }
                )?;
                if let Some(feature) = feature {
                    write!(f, " with feature `{feature}`")?;
                }
                f.write_str(", but ")?;
                let named: Vec<_> = nearest.iter().map(ToString::to_string).collect();
                let named = named.join(", ");
                let only = match (left_out.is_empty(), release_count - nearest.len()) {
                    (_, 1..) => format!("the nearest of its {release_count} releases are"),
                    (true, 0) if nearest.len() == 1 => "the only release is".to_owned(),
                    (true, 0) => "the only releases are".to_owned(),
                    (false, 0) if nearest.len() == 1 => "the only other release is".to_owned(),
                    (false, 0) => "the only other releases are".to_owned(),
                };
                match (left_out.is_empty(), nearest.is_empty()) {
                    (true, true) => f.write_str("it has no releases"),
                    (true, false) => write!(f, "{only} {named}"),
                    (false, true) => f.write_str(&left_out_words(left_out)),
                    (false, false) => write!(f, "{}, and {only} {named}", left_out_words(left_out)),
                }
            }
            Reason::Unknown { by, brick } => {
                let require = if by.is_one() { "requires" } else { "require" };
                write!(f, "{by} {require} `{brick}`, but there is no brick of that name")
            }
            Reason::Broken { by, how } => write!(f, "{by} {how}"),
            Reason::OneOfLine { brick, line } => {
                write!(f, "only one {line} release of `{brick}` can be used at a time")
            }
            Reason::So { together, needs } => {
                let all: Vec<_> = together.iter().map(ToString::to_string).collect();
                match (&all[..], &needs[..]) {
                    ([], []) => f.write_str("nothing fits"),
                    ([], needs) => write!(f, "{} is needed", any_of(needs)),
                    ([one], []) => write!(f, "{one} cannot be used"),
                    (all, []) => write!(f, "{} cannot be used together", listed(all, "and")),
                    (all, needs) => {
                        write!(f, "{} cannot be used without {}", listed(all, "and"), any_of(needs))
                    }
                }
            }
        }
    }
}

impl Who {
    /// Whether the verb after it takes an `s`.
    fn is_one(&self) -> bool {
        match self {
            Who::Root(_) => true,
            Who::Releases { versions, all_of, .. } => versions.len() == 1 || all_of.is_some(),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Root(root) => write!(f, "`{root}`"),
            Who::Releases { brick, versions: chosen, all_of, feature } => {
                match all_of {
                    Some(line) if chosen.len() > 1 => write!(f, "every {line} release of `{brick}`")?,
                    _ => write!(f, "`{brick}` {}", versions(chosen))?,
                }
                match feature {
                    Some(feature) => write!(f, " with feature `{feature}`"),
                    None => Ok(()),
                }
            }
        }
    }
}

fn any_of(needs: &[Who]) -> String {
    let needs: Vec<_> = needs.iter().map(ToString::to_string).collect();
    listed(&needs, "or")
}

fn versions(versions: &[Version]) -> String {
    match versions {
        [first, .., last] if versions.len() > LISTED => {
            format!("{first} to {last}, {} releases", versions.len())
        }
        few => listed(&few.iter().map(ToString::to_string).collect::<Vec<_>>(), "and"),
    }
}

fn left_out_words(left_out: &[LeftOut]) -> String {
    let words = left_out.iter().map(|LeftOut { version, why }| match why {
        Why::Status(status) => format!("{version} is {status}"),
        Why::Prerelease => format!("{version} is a pre-release that the requirement does not name"),
        Why::Feature => format!("{version} does not have it"),
    });
    listed(&words.collect::<Vec<_>>(), "and")
}

/// `a`, `a and b`, `a, b and c`.
fn listed(words: &[String], and: &str) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} {and} {last}", first.join(", ")),
    }
}
