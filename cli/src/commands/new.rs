//! `brick new` and `brick init`: begin a brick or a service.

use std::path::{Path, PathBuf};

use brick_schemas::predicate::release::BrickKind;
use brick_schemas::{BrickName, FullName, PublisherName};

use crate::context::Context;
use crate::failure::Failure;
use crate::starter::{self, Start};

/// The publisher in a name where nobody said one; reserved, so that it can never be somebody's.
const PLACEHOLDER_PUBLISHER: &str = "your-organisation.example";

/// Begin a brick or a service in a new folder
#[derive(clap::Args)]
pub struct NewArgs {
    /// Its name, `PUBLISHER/NAME`, or just the folder to make
    name: String,
    #[command(flatten)]
    what: WhatArgs,
}

/// Begin a brick or a service in a folder that is there
#[derive(clap::Args)]
pub struct InitArgs {
    /// The folder; otherwise this one
    dir: Option<PathBuf>,
    #[command(flatten)]
    what: WhatArgs,
    /// Its name, `PUBLISHER/NAME`; otherwise the folder's
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

#[derive(clap::Args)]
struct WhatArgs {
    /// What sort of brick
    #[arg(long, value_enum, default_value_t, conflicts_with = "service")]
    kind: Kind,
    /// A service of a public body instead of a brick
    #[arg(long)]
    service: bool,
    /// The publisher's domain, where the name does not say it
    #[arg(long, value_name = "DOMAIN")]
    publisher: Option<PublisherName>,
}

#[derive(clap::ValueEnum, Clone, Copy, Default)]
enum Kind {
    #[default]
    Component,
    Process,
    Interface,
    DataModel,
    Decision,
    Form,
    Content,
    Playlist,
}

impl Kind {
    fn kind(self) -> BrickKind {
        match self {
            Kind::Component => BrickKind::Component,
            Kind::Process => BrickKind::Process,
            Kind::Interface => BrickKind::Interface,
            Kind::DataModel => BrickKind::DataModel,
            Kind::Decision => BrickKind::Decision,
            Kind::Form => BrickKind::Form,
            Kind::Content => BrickKind::Content,
            Kind::Playlist => BrickKind::Playlist,
        }
    }
}

/// `brick new`.
///
/// # Errors
/// [`Failure`] when the folder is there already, the name is unfit, or something cannot be written.
pub fn run(ctx: &Context, args: &NewArgs) -> Result<(), Failure> {
    // `northshire.gov.uk/case-handling` is a name if its first part is a domain, otherwise a path.
    let (dir, name) = match args.name.parse::<FullName>() {
        Ok(name) => (ctx.path(name.brick.as_str()), name),
        Err(_) => {
            let dir = ctx.path(&args.name);
            let name = name_of(&dir, &args.what)?;
            (dir, name)
        }
    };
    if dir.exists() {
        return Err(Failure::yours(format!("`{}` is there already", ctx.shown(&dir)))
            .help(format!("begin in it with `brick init {}`", ctx.shown(&dir))));
    }
    begin(ctx, &dir, name, &args.what)
}

/// `brick init`.
///
/// # Errors
/// [`Failure`] when there is no such folder, it has a manifest already, the name is unfit, or something cannot be written.
pub fn run_init(ctx: &Context, args: &InitArgs) -> Result<(), Failure> {
    let dir = args.dir.as_ref().map_or_else(|| ctx.cwd().to_owned(), |dir| ctx.path(dir));
    if !dir.is_dir() {
        return Err(Failure::yours(format!("there is no folder `{}`", ctx.shown(&dir)))
            .help(format!("make it with `brick new {}`", ctx.shown(&dir))));
    }
    let name = match &args.name {
        None => name_of(&dir, &args.what)?,
        Some(text) => match text.parse::<FullName>() {
            Ok(name) => name,
            Err(_) if !text.contains('/') => with_publisher(parse_name(text, "as the name")?, &args.what)?,
            Err(err) => {
                return Err(Failure::usage(format!("`{text}` is no name for a brick"))
                    .because(&err)
                    .help("write it as `northshire.gov.uk/case-handling`"));
            }
        },
    };
    begin(ctx, &dir, name, &args.what)
}

fn begin(ctx: &Context, dir: &Path, name: FullName, what: &WhatArgs) -> Result<(), Failure> {
    let start = if what.service {
        Start::Service(name.clone())
    } else {
        Start::Brick(name.clone(), what.kind.kind())
    };
    let written = starter::begin(dir, &start)?;
    let sort = if what.service { "service" } else { "brick" };
    ctx.status("Created", format_args!("{sort} {name} in {}", ctx.shown(dir)));
    for path in &written {
        ctx.detail("Wrote", format_args!("{}", path.display()));
    }
    if name.publisher.as_str() == PLACEHOLDER_PUBLISHER {
        ctx.note(format_args!(
            "put your organisation's domain in the place of `{PLACEHOLDER_PUBLISHER}` in {}",
            start.manifest_path()
        ));
    }
    ctx.note(format_args!(
        "next, edit {} and run `brick check`",
        ctx.shown(&dir.join(start.manifest_path()))
    ));
    Ok(())
}

fn name_of(dir: &Path, what: &WhatArgs) -> Result<FullName, Failure> {
    let folder = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    with_publisher(parse_name(folder, "with `--name`")?, what)
}

/// - `how`: it can be given.
fn parse_name(text: &str, how: &str) -> Result<BrickName, Failure> {
    BrickName::parse(text).map_err(|err| {
        Failure::usage(format!("`{text}` is no name for a brick"))
            .because(&err)
            .help(format!("give `{}` {how}, or another", suggestion(text)))
    })
}

fn with_publisher(brick: BrickName, what: &WhatArgs) -> Result<FullName, Failure> {
    let publisher = match &what.publisher {
        Some(publisher) => publisher.clone(),
        None => PublisherName::parse(PLACEHOLDER_PUBLISHER)
            .map_err(|err| Failure::bug("the placeholder is no publisher's name").because(&err))?,
    };
    Ok(FullName { publisher, brick })
}

/// The nearest name that is one: lower case, hyphens between words.
fn suggestion(text: &str) -> String {
    let words: Vec<String> = text
        .to_lowercase()
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    let name: String = words.join("-").chars().skip_while(|c| !c.is_ascii_lowercase()).take(64).collect();
    if name.is_empty() { "case-handling".to_owned() } else { name.trim_end_matches('-').to_owned() }
}
