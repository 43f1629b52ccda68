//! `brick tree`: show what is required, and what that requires.

use std::collections::{BTreeMap, BTreeSet};

use brick_schemas::lockfile::{LockedBrick, Lockfile};
use brick_schemas::{FullName, Version};
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::session::project::Project;
use crate::session::resolved_session;

/// Depth that is shown, at most.
const MAX_DEPTH: usize = 64;

/// Show what is required, and what that requires in turn
#[derive(clap::Args)]
pub struct TreeArgs {
    /// Show what requires this brick, in place of what it requires
    #[arg(short, long, value_name = "BRICK")]
    invert: Option<FullName>,
    /// Levels to show
    #[arg(long, value_name = "LEVELS", default_value_t = MAX_DEPTH)]
    depth: usize,
    /// Repeat what was shown before
    #[arg(long)]
    no_dedupe: bool,
    /// Print the tree as JSON
    #[arg(long)]
    json: bool,
}

type Id = (FullName, Version);

/// Who requires whom.
struct Graph<'l> {
    bricks: BTreeMap<Id, &'l LockedBrick>,
    edges: BTreeMap<Id, Vec<Id>>,
}

#[derive(Serialize)]
struct JsonTree {
    root: String,
    requires: Vec<JsonId>,
    bricks: Vec<JsonNode>,
}

#[derive(Serialize)]
struct JsonNode {
    #[serde(flatten)]
    id: JsonId,
    features: Vec<String>,
    requires: Vec<JsonId>,
}

#[derive(Serialize)]
struct JsonId {
    name: String,
    version: String,
}

impl JsonId {
    fn of((name, version): &Id) -> Self {
        Self { name: name.to_string(), version: version.to_string() }
    }
}

/// Shows the lockfile as a tree; resolves first where it does not meet the manifest.
///
/// # Errors
/// [`Failure`].
pub fn run(ctx: &Context, args: &TreeArgs) -> Result<(), Failure> {
    let project = Project::find(ctx)?;
    let (lock, direct) = match project.lock(ctx)?.and_then(|lock| {
        let direct = direct_of(&project, &lock)?;
        Some((lock, direct))
    }) {
        Some(found) => found,
        None => match resolved_session(ctx, &project)? {
            Some(resolved) => {
                resolved.keep_lock(&project)?;
                let lock = resolved.answer.lock;
                let direct = direct_of(&project, &lock).unwrap_or_default();
                (lock, direct)
            }
            None => return ctx.say(format_args!("{}", project.name())),
        },
    };
    let graph = Graph {
        bricks: lock.bricks.iter().map(|b| ((b.name.clone(), b.version.clone()), b)).collect(),
        edges: lock
            .bricks
            .iter()
            .map(|b| ((b.name.clone(), b.version.clone()), b.dependencies.clone()))
            .collect(),
    };
    if ctx.is_json() {
        return ctx.json("tree", &as_json(&project, &graph, &direct));
    }
    let depth = args.depth.min(MAX_DEPTH);
    match &args.invert {
        None => {
            ctx.say(format_args!("{}", project.name()))?;
            show(ctx, &graph, &direct, depth, !args.no_dedupe)
        }
        Some(name) => show_inverted(ctx, &graph, &project, &direct, name, depth, !args.no_dedupe),
    }
}

/// What each direct requirement came to; `None` where the lockfile does not meet one.
fn direct_of(project: &Project, lock: &Lockfile) -> Option<Vec<Id>> {
    let mut direct = Vec::new();
    for dependency in project.requires() {
        let fitting = lock
            .bricks
            .iter()
            .filter(|brick| brick.name == dependency.name && dependency.req.matches(&brick.version))
            .map(|brick| &brick.version)
            .max();
        direct.push((dependency.name, fitting?.clone()));
    }
    Some(direct)
}

fn as_json(project: &Project, graph: &Graph<'_>, direct: &[Id]) -> JsonTree {
    let node = |(id, brick): (&Id, &&LockedBrick)| JsonNode {
        id: JsonId::of(id),
        features: brick.features.iter().map(ToString::to_string).collect(),
        requires: brick.dependencies.iter().map(JsonId::of).collect(),
    };
    JsonTree {
        root: project.name().to_string(),
        requires: direct.iter().map(JsonId::of).collect(),
        bricks: graph.bricks.iter().map(node).collect(),
    }
}

fn show(ctx: &Context, graph: &Graph<'_>, top: &[Id], depth: usize, dedupe: bool) -> Result<(), Failure> {
    let mut shown = BTreeSet::new();
    let mut lines = Vec::new();
    walk(graph, top, String::new(), depth, dedupe, &mut shown, &mut lines);
    for line in lines {
        ctx.say(format_args!("{line}"))?;
    }
    Ok(())
}

fn walk(
    graph: &Graph<'_>,
    children: &[Id],
    indent: String,
    depth: usize,
    dedupe: bool,
    shown: &mut BTreeSet<Id>,
    lines: &mut Vec<String>,
) {
    let Some(depth) = depth.checked_sub(1) else { return };
    for (at, id) in children.iter().enumerate() {
        let is_last = at + 1 == children.len();
        let (branch, below) = if is_last { ("└── ", "    ") } else { ("├── ", "│   ") };
        let inner = graph.edges.get(id).map(Vec::as_slice).unwrap_or_default();
        let is_new = shown.insert(id.clone());
        let repeats = dedupe && !is_new && !inner.is_empty();
        let mark = if repeats { " (*)" } else { "" };
        lines.push(format!("{indent}{branch}{} {}{mark}", id.0, id.1));
        if !repeats {
            walk(graph, inner, format!("{indent}{below}"), depth, dedupe, shown, lines);
        }
    }
}

fn show_inverted(
    ctx: &Context,
    graph: &Graph<'_>,
    project: &Project,
    direct: &[Id],
    name: &FullName,
    depth: usize,
    dedupe: bool,
) -> Result<(), Failure> {
    let mut edges: BTreeMap<Id, Vec<Id>> = BTreeMap::new();
    for (from, to) in &graph.edges {
        for id in to {
            edges.entry(id.clone()).or_default().push(from.clone());
        }
    }
    let inverted = Graph { bricks: BTreeMap::new(), edges };
    let found: Vec<&Id> = graph.bricks.keys().filter(|id| id.0 == *name).collect();
    if found.is_empty() {
        return Err(Failure::yours(format!("{name} is not required")).help("run `brick tree` to see what is"));
    }
    for id in found {
        let root =
            if direct.contains(id) { format!(" (required by {})", project.name()) } else { String::new() };
        ctx.say(format_args!("{} {}{root}", id.0, id.1))?;
        let above = inverted.edges.get(id).map(Vec::as_slice).unwrap_or_default();
        show(ctx, &inverted, above, depth, dedupe)?;
    }
    Ok(())
}
