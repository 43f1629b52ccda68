//! `brick man`: manual pages, one a command.

use std::path::PathBuf;

use crate::context::Context;
use crate::failure::Failure;
use crate::files::{self, Access};

/// Write manual pages into a directory
#[derive(clap::Args)]
pub struct ManArgs {
    /// Directory to write `brick.1`, `brick-publish.1` … into
    dir: PathBuf,
}

/// Writes the pages.
///
/// # Errors
/// [`Failure`] when the directory or a page cannot be written.
pub fn run(ctx: &Context, args: &ManArgs) -> Result<(), Failure> {
    let dir = ctx.path(&args.dir);
    files::make_dir(&dir, Access::Everybody)?;
    // Building gives every subcommand its full name, `brick-key-new`, and the global options.
    let mut command = crate::command().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    collect(&command, &mut pages)?;
    for (name, page) in &pages {
        files::write(&dir.join(name), page, Access::Everybody)?;
    }
    ctx.status("Wrote", format_args!("{} manual pages to {}", pages.len(), dir.display()));
    Ok(())
}

/// The page of `command` and those of its subcommands, by file name.
fn collect(command: &clap::Command, pages: &mut Vec<(String, Vec<u8>)>) -> Result<(), Failure> {
    let man = clap_mangen::Man::new(command.clone());
    let name = man.get_filename();
    let mut page = Vec::new();
    man.render(&mut page)
        .map_err(|err| Failure::bug(format!("cannot write the manual page {name}")).because(&err))?;
    pages.push((name, page));
    command.get_subcommands().filter(|inner| !inner.is_hide_set()).try_for_each(|inner| collect(inner, pages))
}
