//! Who needs whom? The table of statements in `DEPENDENCIES.md`.

use std::path::Path;

use super::ImportError;

/// Statements, at most.
const MAX_STATEMENTS: usize = 4_096;

/// One statement of a specification about another building block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    /// The block whose text it is: `bb-…`.
    pub(super) from: String,
    /// The block it speaks of; something in parentheses where there is none.
    pub(super) to: String,
    pub(super) kind: Kind,
}

/// What a statement says, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// It must connect to or call the other.
    Needs,
    /// It may.
    Optional,
    /// The other is a partner.
    WorksWith,
    /// The other calls it.
    CalledBy,
    /// Out of its scope and left to the other.
    HandsOver,
    /// For a later release.
    Planned,
}

/// Reads the table below `## Statements`: `| from | to | kind | …`.
///
/// # Errors
/// [`ImportError::List`] for a missing table and an unknown kind.
pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<Statement>, ImportError> {
    let list = |what: String| ImportError::List { path: path.to_owned(), what };
    let (_, table) = text
        .split_once("\n## Statements\n")
        .ok_or_else(|| list("there is no section `Statements`".into()))?;
    let table = table.split_once("\n## ").map_or(table, |(table, _)| table);
    let rows = table.lines().filter(|line| line.starts_with('|')).skip(2);
    let mut statements = Vec::new();
    for row in rows {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let (Some(from), Some(to), Some(kind)) = (cells.next(), cells.next(), cells.next()) else {
            return Err(list(format!("a row of `Statements` has too few cells: {row}")));
        };
        let kind = match kind {
            "needs" => Kind::Needs,
            "optional" => Kind::Optional,
            "works with" => Kind::WorksWith,
            "called by" => Kind::CalledBy,
            "hands over" => Kind::HandsOver,
            "planned" => Kind::Planned,
            other => return Err(list(format!("`{other}` is no kind of statement that is known here"))),
        };
        if statements.len() == MAX_STATEMENTS {
            return Err(list("there are too many statements".into()));
        }
        statements.push(Statement { from: from.to_owned(), to: to.to_owned(), kind });
    }
    Ok(statements)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_read_from_their_table_only() {
        let text = "| from | to | kind |\n## Statements\n\n| from | to | kind | quote |\n|---|---|---|---|\n\
            | bb-a | bb-b | needs | x \\| y |\n| bb-a | (security) | called by | z |\n\n## More\n| bb-x | bb-y | needs |\n";
        let statements = parse(Path::new("x"), &format!("\n{text}")).unwrap();
        assert_eq!(statements.len(), 2);
        assert_eq!(statements[0], Statement { from: "bb-a".into(), to: "bb-b".into(), kind: Kind::Needs });
        assert!(parse(Path::new("x"), "").is_err());
        assert!(parse(Path::new("x"), "\n## Statements\n|a|b|c|\n|-|-|-|\n|a|b|eats|\n").is_err());
    }
}
