//! Which commands are there? One file each: arguments, one call into a library, one sentence out.

pub mod add;
pub mod audit;
pub mod check;
pub mod commons;
pub mod completions;
pub mod fetch;
pub mod info;
pub mod key;
pub mod man;
pub mod metadata;
pub mod new;
pub mod package;
pub mod publish;
pub mod yank;

pub mod quickstart;
pub mod remove;
pub mod search;
pub mod tree;
pub mod update;
pub mod vendor;
pub mod verify;

use crate::context::Context;
use crate::failure::Failure;

/// Every command, in the order of `brick --help`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Quickstart(quickstart::QuickstartArgs),
    New(new::NewArgs),
    Init(new::InitArgs),
    Check(check::CheckArgs),
    Package(package::PackageArgs),
    Publish(publish::PublishArgs),
    Yank(yank::YankArgs),
    Add(add::AddArgs),
    Remove(remove::RemoveArgs),
    Update(update::UpdateArgs),
    Tree(tree::TreeArgs),
    Metadata(metadata::MetadataArgs),
    Info(info::InfoArgs),
    Search(search::SearchArgs),
    Fetch(fetch::FetchArgs),
    Vendor(vendor::VendorArgs),
    Verify(verify::VerifyArgs),
    Audit(audit::AuditArgs),
    Key(key::KeyArgs),
    Commons(commons::CommonsArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

impl Command {
    /// Runs it.
    ///
    /// # Errors
    /// [`Failure`], whose family is the exit code.
    pub(crate) fn run(&self, ctx: &Context) -> Result<(), Failure> {
        match self {
            Command::Quickstart(args) => quickstart::run(ctx, args),
            Command::New(args) => new::run(ctx, args),
            Command::Init(args) => new::run_init(ctx, args),
            Command::Check(args) => check::run(ctx, args),
            Command::Package(args) => package::run(ctx, args),
            Command::Publish(args) => publish::run(ctx, args),
            Command::Yank(args) => yank::run(ctx, args),
            Command::Add(args) => add::run(ctx, args),
            Command::Remove(args) => remove::run(ctx, args),
            Command::Update(args) => update::run(ctx, args),
            Command::Tree(args) => tree::run(ctx, args),
            Command::Metadata(args) => metadata::run(ctx, args),
            Command::Info(args) => info::run(ctx, args),
            Command::Search(args) => search::run(ctx, args),
            Command::Fetch(args) => fetch::run(ctx, args),
            Command::Vendor(args) => vendor::run(ctx, args),
            Command::Verify(args) => verify::run(ctx, args),
            Command::Audit(args) => audit::run(ctx, args),
            Command::Key(args) => key::run(ctx, args),
            Command::Commons(args) => commons::run(ctx, args),
            Command::Completions(args) => completions::run(ctx, args),
            Command::Man(args) => man::run(ctx, args),
        }
    }
}
