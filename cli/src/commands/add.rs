//! `brick add`: require a brick.

use brick_schemas::predicate::status::ReleaseStatus;
use brick_schemas::{FeatureName, FullName, IndexLine, Requirement};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, Value};

use crate::commands::info::newest;
use crate::context::Context;
use crate::failure::Failure;
use crate::session::Session;
use crate::session::project::{Kind, Project};
use crate::session::resolve::Unlock;

/// Require bricks: write them into the manifest, and resolve
#[derive(clap::Args)]
pub struct AddArgs {
    /// Brick to require, with a requirement where the newest version should not decide: `publisher/brick@^1.2`
    #[arg(value_name = "BRICK[@REQUIREMENT]", required = true)]
    bricks: Vec<String>,
    /// Features to ask of it
    #[arg(short = 'F', long, value_name = "FEATURES", value_delimiter = ',')]
    features: Vec<FeatureName>,
    /// Do not ask for its default features
    #[arg(long)]
    no_default_features: bool,
    /// Only when a feature asks for it
    #[arg(long)]
    optional: bool,
    /// The step of a service that it does, in the user's words [default: the brick's name]
    #[arg(long, value_name = "TEXT")]
    step: Option<String>,
    /// Say what would change without writing it
    #[arg(long)]
    dry_run: bool,
}

/// Looks the bricks up, edits the manifest and resolves; writes only when all of that worked.
///
/// # Errors
/// [`Failure`]; nothing is written then.
pub fn run(ctx: &Context, args: &AddArgs) -> Result<(), Failure> {
    let project = Project::find(ctx)?;
    let is_service = matches!(project.kind, Kind::Service(_));
    if is_service && args.optional {
        return Err(Failure::usage("a part of a service cannot be optional").help("leave out `--optional`"));
    }
    if !is_service && args.step.is_some() {
        return Err(Failure::usage("`--step` is for services").help("leave out `--step`"));
    }
    let old = project.lock(ctx)?;
    let mut session = Session::open(ctx, old.as_ref())?;
    let mut document = parse_document(&project.text)?;
    let mut added = Vec::new();
    for text in &args.bricks {
        let (name, requirement) = parse(text)?;
        if name == *project.name() {
            return Err(Failure::usage(format!("{name} cannot require itself")));
        }
        let lines = session.demand_lines(&name)?;
        let (requirement, chosen) = choose(&name, requirement, &lines)?;
        check_features(&name, &args.features, chosen)?;
        for other in session.look_alikes(&name) {
            ctx.warn(format_args!("{name} is easily taken for {other}; make sure that you mean it"));
        }
        match is_service {
            true => add_part(&mut document, args, &name, &requirement)?,
            false => add_requirement(&mut document, args, &name, &requirement)?,
        }
        added.push((name, requirement));
    }
    let changed = project.with_text(ctx, document.to_string())?;
    let answer = session.resolve(&changed, old.as_ref(), &Unlock::Nothing)?;
    for (name, requirement) in &added {
        ctx.status("Adding", format_args!("{name} {requirement} to {}", ctx.shown(&project.path)));
    }
    if args.dry_run {
        ctx.note(format_args!("nothing was written"));
        return Ok(());
    }
    changed.keep_with_lock(Some(&answer.lock))?;
    session.say_changes(old.as_ref(), &answer);
    Ok(())
}

/// A manifest as a document whose comments and order stay.
pub(crate) fn parse_document(text: &str) -> Result<DocumentMut, Failure> {
    text.parse().map_err(|err: toml_edit::TomlError| Failure::yours("the manifest is not TOML").because(&err))
}

fn parse(text: &str) -> Result<(FullName, Option<Requirement>), Failure> {
    let wrong = |err: &dyn std::fmt::Display| {
        Failure::usage(err.to_string()).help("write a brick as `publisher/brick` or `publisher/brick@^1.2`")
    };
    let (name, requirement) =
        text.split_once('@').map_or((text, None), |(name, requirement)| (name, Some(requirement)));
    let name = FullName::parse(name).map_err(|err| wrong(&err))?;
    let requirement = requirement.map(Requirement::parse).transpose().map_err(|err| wrong(&err))?;
    Ok((name, requirement))
}

/// The requirement to write, and the release that it would choose today.
fn choose<'l>(
    name: &FullName,
    requirement: Option<Requirement>,
    lines: &'l [IndexLine],
) -> Result<(Requirement, &'l IndexLine), Failure> {
    let usable: Vec<IndexLine>;
    let (requirement, version) = match requirement {
        Some(requirement) => {
            usable = lines.iter().filter(|line| requirement.matches(&line.vers)).cloned().collect();
            let Some(best) = newest(&usable) else {
                let versions: Vec<String> =
                    lines.iter().rev().take(6).map(|line| line.vers.to_string()).collect();
                return Err(Failure::yours(format!("no release of {name} meets {requirement}"))
                    .help(format!("its newest are {}", versions.join(", "))));
            };
            (requirement, best.vers.clone())
        }
        None => {
            let best = newest(lines).expect("a brick that exists has a release");
            let requirement = Requirement::parse(&best.vers.to_string()).expect("a version is a requirement");
            (requirement, best.vers.clone())
        }
    };
    let line = lines.iter().find(|line| line.vers == version).expect("it is one of them");
    if line.status > ReleaseStatus::Deprecated {
        return Err(Failure::yours(format!(
            "{name} {version} is {}, and so is every other that would do",
            line.status
        ))
        .help(match &line.use_instead {
            Some(other) => format!("its publisher says to use {} {}", other.name, other.req),
            None => format!("run `brick info {name}` to see its versions"),
        }));
    }
    Ok((requirement, line))
}

fn check_features(name: &FullName, features: &[FeatureName], line: &IndexLine) -> Result<(), Failure> {
    match features.iter().find(|feature| !line.features.contains_key(*feature)) {
        None => Ok(()),
        Some(feature) => {
            let known: Vec<String> = line.features.keys().map(ToString::to_string).collect();
            let failure = Failure::yours(format!("{name} {} has no feature `{feature}`", line.vers));
            Err(match known.is_empty() {
                true => failure.help("leave out `--features`"),
                false => failure.help(format!("its features are {}", known.join(", "))),
            })
        }
    }
}

fn names(features: &[FeatureName]) -> Array {
    features.iter().map(ToString::to_string).collect()
}

fn add_requirement(
    document: &mut DocumentMut,
    args: &AddArgs,
    name: &FullName,
    requirement: &Requirement,
) -> Result<(), Failure> {
    let requires = document.entry("requires").or_insert_with(|| Item::Table(Table::new()));
    let table = requires
        .as_table_like_mut()
        .ok_or_else(|| Failure::yours("`requires` in the manifest is not a table"))?;
    let was_sorted = table.iter().map(|(key, _)| key.to_owned()).is_sorted();
    let is_plain = args.features.is_empty() && !args.no_default_features && !args.optional;
    let value = match is_plain {
        true => Value::from(requirement.as_str()),
        false => {
            let mut inline = InlineTable::new();
            inline.insert("version", requirement.as_str().into());
            if args.optional {
                inline.insert("optional", true.into());
            }
            if args.no_default_features {
                inline.insert("default-features", false.into());
            }
            if !args.features.is_empty() {
                inline.insert("features", Value::Array(names(&args.features)));
            }
            Value::InlineTable(inline)
        }
    };
    match table.get_mut(name.to_string().as_str()).and_then(Item::as_value_mut) {
        // Comments beside the old value stay.
        Some(held) => {
            let decor = held.decor().clone();
            *held = value;
            *held.decor_mut() = decor;
        }
        None => drop(table.insert(&name.to_string(), Item::Value(value))),
    }
    if was_sorted {
        table.sort_values();
    }
    Ok(())
}

fn add_part(
    document: &mut DocumentMut,
    args: &AddArgs,
    name: &FullName,
    requirement: &Requirement,
) -> Result<(), Failure> {
    let parts = document
        .entry("part")
        .or_insert_with(|| Item::ArrayOfTables(toml_edit::ArrayOfTables::new()))
        .as_array_of_tables_mut()
        .ok_or_else(|| Failure::yours("`part` in the service is not a list of tables"))?;
    let named = name.to_string();
    if let Some(part) = parts.iter_mut().find(|part| part.get("brick").and_then(Item::as_str) == Some(&named))
    {
        part["version"] = toml_edit::value(requirement.as_str());
        if !args.features.is_empty() {
            part["features"] = toml_edit::value(names(&args.features));
        }
        return Ok(());
    }
    let mut part = Table::new();
    part["step"] = toml_edit::value(args.step.clone().unwrap_or_else(|| name.brick.to_string()));
    part["brick"] = toml_edit::value(named);
    part["version"] = toml_edit::value(requirement.as_str());
    if !args.features.is_empty() {
        part["features"] = toml_edit::value(names(&args.features));
    }
    if args.no_default_features {
        part["default-features"] = toml_edit::value(false);
    }
    parts.push(part);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> AddArgs {
        AddArgs {
            bricks: Vec::new(),
            features: Vec::new(),
            no_default_features: false,
            optional: false,
            step: None,
            dry_run: false,
        }
    }

    fn added(text: &str, args: &AddArgs, name: &str, requirement: &str) -> String {
        let mut document = parse_document(text).unwrap();
        let (name, requirement) = (FullName::parse(name).unwrap(), Requirement::parse(requirement).unwrap());
        add_requirement(&mut document, args, &name, &requirement).unwrap();
        document.to_string()
    }

    #[test]
    fn a_requirement_is_added_in_order_and_comments_stay() {
        let text = "manifest = 1 # format\n\n[requires]\n# ours\n\"a.example/a\" = \"1\"\n\"c.example/c\" = \"1\" # keep\n";
        assert_eq!(
            added(text, &args(), "b.example/b", "^2"),
            "manifest = 1 # format\n\n[requires]\n# ours\n\"a.example/a\" = \"1\"\n\"b.example/b\" = \"^2\"\n\"c.example/c\" = \"1\" # keep\n"
        );
    }

    #[test]
    fn a_requirement_that_is_there_is_changed_where_it_stands() {
        let text = "[requires]\n\"c.example/c\" = \"1\" # keep\n\"a.example/a\" = \"1\"\n";
        assert_eq!(
            added(text, &args(), "c.example/c", "2"),
            "[requires]\n\"c.example/c\" = \"2\" # keep\n\"a.example/a\" = \"1\"\n"
        );
    }

    #[test]
    fn options_make_a_table_of_it() {
        let wanted = AddArgs {
            features: vec![FeatureName::parse("uprn").unwrap()],
            optional: true,
            no_default_features: true,
            ..args()
        };
        assert_eq!(
            added("", &wanted, "c.example/c", "2"),
            "[requires]\n\"c.example/c\" = { version = \"2\", optional = true, default-features = false, features = [\"uprn\"] }\n"
        );
    }

    #[test]
    fn a_part_of_a_service_comes_last_and_is_changed_where_it_stands() {
        let text = "[[part]]\nstep = \"report\" # first\nbrick = \"a.example/a\"\nversion = \"1\"\n";
        let mut document = parse_document(text).unwrap();
        let name = |text| FullName::parse(text).unwrap();
        add_part(&mut document, &args(), &name("b.example/b"), &Requirement::parse("2").unwrap()).unwrap();
        add_part(&mut document, &args(), &name("a.example/a"), &Requirement::parse("3").unwrap()).unwrap();
        assert_eq!(
            document.to_string(),
            "[[part]]\nstep = \"report\" # first\nbrick = \"a.example/a\"\nversion = \"3\"\n\n[[part]]\nstep = \"b\"\nbrick = \"b.example/b\"\nversion = \"2\"\n"
        );
    }
}
