//! `brick search`: find bricks by the beginning of their names.

use brick_schemas::api::{BrickSummary, MAX_PAGE};
use brick_schemas::predicate::status::ReleaseStatus;
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::session::plain_client;
use crate::session::refusal::asked;

/// Find bricks by the beginning of their names
#[derive(clap::Args)]
#[command(after_help = "\
What is listed is the registry's word; `brick info` and everything after it is checked against the logs.")]
pub struct SearchArgs {
    /// Beginning of a brick's name, with or without its publisher's
    query: String,
    /// Results to show
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    limit: usize,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Found<'a> {
    bricks: &'a [BrickSummary],
    is_complete: bool,
}

/// Asks the registry, page by page.
///
/// # Errors
/// [`Failure`].
pub fn run(ctx: &Context, args: &SearchArgs) -> Result<(), Failure> {
    let client = plain_client(ctx)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|err| Failure::bug("cannot start the network").because(&err))?;
    let mut bricks: Vec<BrickSummary> = Vec::new();
    let mut cursor: Option<String> = None;
    let is_complete = loop {
        let wanted = args.limit.saturating_sub(bricks.len()).min(MAX_PAGE);
        if wanted == 0 {
            break cursor.is_none();
        }
        let page = runtime
            .block_on(client.search(&args.query, wanted, cursor.as_deref()))
            .map_err(|err| asked(&err))?;
        let was_empty = page.bricks.is_empty();
        bricks.extend(page.bricks);
        cursor = page.next;
        if cursor.is_none() || was_empty {
            break true;
        }
    };
    bricks.truncate(args.limit);
    if ctx.is_json() {
        return ctx.json("search", &Found { bricks: &bricks, is_complete });
    }
    if bricks.is_empty() {
        ctx.note(format_args!("no brick's name begins with `{}`", args.query));
    }
    let names: Vec<String> = bricks.iter().map(|brick| format!("{} {}", brick.name, brick.version)).collect();
    let width = names.iter().map(String::len).max().unwrap_or(0).min(60);
    for (brick, name) in bricks.iter().zip(&names) {
        let title = brick.text.values().next().map(|text| text.title.to_string()).unwrap_or_default();
        let status = match brick.status {
            ReleaseStatus::Active => String::new(),
            status => format!(" ({status})"),
        };
        ctx.say(format_args!("{}", format!("{name:width$}{status}  {title}").trim_end()))?;
    }
    if !is_complete {
        ctx.note(format_args!("there are more; show them with `--limit`"));
    }
    Ok(())
}
