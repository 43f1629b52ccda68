//! `brick remove`: require a brick no more.

use brick_schemas::{FullName, near};
use toml_edit::{DocumentMut, Item};

use crate::commands::add::parse_document;
use crate::context::Context;
use crate::failure::Failure;
use crate::session::project::{Kind, Project};
use crate::session::resolve::Unlock;
use crate::session::resolve_project;

/// Require bricks no more: take them out of the manifest, and resolve
#[derive(clap::Args)]
pub struct RemoveArgs {
    /// Brick to take out
    #[arg(value_name = "BRICK", required = true)]
    bricks: Vec<FullName>,
    /// Say what would change without writing it
    #[arg(long)]
    dry_run: bool,
}

/// Edits the manifest and resolves; writes only when both worked.
///
/// # Errors
/// [`Failure`]; nothing is written then.
pub fn run(ctx: &Context, args: &RemoveArgs) -> Result<(), Failure> {
    let project = Project::find(ctx)?;
    let mut document = parse_document(&project.text)?;
    for name in &args.bricks {
        let removed = match project.kind {
            Kind::Brick(_) => remove_requirement(&mut document, name),
            Kind::Service(_) => remove_parts(&mut document, name),
        };
        if removed == 0 {
            let required: Vec<String> = project.requires().iter().map(|d| d.name.to_string()).collect();
            let failure = Failure::yours(format!("{} does not require {name}", ctx.shown(&project.path)));
            return Err(match near(&name.to_string(), required.iter().map(String::as_str)).first() {
                Some(near) => failure.help(format!("did you mean {near}?")),
                None => failure.help("run `brick tree --depth 1` to see what it requires"),
            });
        }
    }
    let changed = project.with_text(ctx, document.to_string())?;
    let old = project.lock(ctx)?;
    let resolved = resolve_project(ctx, &changed, old.as_ref(), &Unlock::Nothing)?;
    for name in &args.bricks {
        ctx.status("Removing", format_args!("{name} from {}", ctx.shown(&project.path)));
    }
    if args.dry_run {
        ctx.note(format_args!("nothing was written"));
        return Ok(());
    }
    changed.keep_with_lock(resolved.as_ref())
}

/// Returns how many were removed.
fn remove_requirement(document: &mut DocumentMut, name: &FullName) -> usize {
    let table = document.get_mut("requires").and_then(Item::as_table_like_mut);
    usize::from(table.is_some_and(|table| table.remove(&name.to_string()).is_some()))
}

/// Returns how many were removed.
fn remove_parts(document: &mut DocumentMut, name: &FullName) -> usize {
    let Some(parts) = document.get_mut("part").and_then(Item::as_array_of_tables_mut) else { return 0 };
    let before = parts.len();
    parts.retain(|part| part.get("brick").and_then(Item::as_str) != Some(&name.to_string()));
    before - parts.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_is_removed() {
        let text = "# top\n[requires]\n\"a.example/a\" = \"1\" # gone\n\"b.example/b\" = \"1\" # stays\n";
        let mut document = parse_document(text).unwrap();
        assert_eq!(remove_requirement(&mut document, &FullName::parse("a.example/a").unwrap()), 1);
        assert_eq!(remove_requirement(&mut document, &FullName::parse("a.example/a").unwrap()), 0);
        assert_eq!(document.to_string(), "# top\n[requires]\n\"b.example/b\" = \"1\" # stays\n");
        let text = "[[part]]\nbrick = \"a.example/a\"\n\n[[part]]\nlocal = \"x\"\n\n[[part]]\nbrick = \"a.example/a\"\n";
        let mut document = parse_document(text).unwrap();
        assert_eq!(remove_parts(&mut document, &FullName::parse("a.example/a").unwrap()), 2);
        assert_eq!(document.to_string().trim(), "[[part]]\nlocal = \"x\"");
    }
}
