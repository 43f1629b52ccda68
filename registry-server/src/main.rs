//! The registry each organisation runs, as a program.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use brick_schemas::{Digest, PublisherName};
use brickyard::setup::{self, NewRegistry, SetupError};
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Run a registry of bricks: logs, index, git repository, mirror and witness
#[derive(Parser)]
#[command(name = "brickyard", version, about)]
struct Arguments {
    /// Print log lines as JSON objects, one a line
    #[arg(long, global = true)]
    log_json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a registry's folder: keys and registry.toml
    Init(InitArguments),
    /// Begin a commons: log the stewards' signed first root in this registry
    Found(FoundArguments),
    /// Run the registry until it is told to stop
    Serve(ServeArguments),
}

#[derive(clap::Args)]
struct InitArguments {
    /// Folder to make it in; it must not hold a registry.toml yet
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Name of the registry, a DNS name: `registry.northshire.gov.uk`
    #[arg(long, value_name = "NAME")]
    id: PublisherName,
    /// Name of the organisation that runs it: `northshire.gov.uk`
    #[arg(long, value_name = "NAME")]
    operator: PublisherName,
    /// Address under which others reach it: `https://registry.northshire.gov.uk`
    #[arg(long, value_name = "URL")]
    url: String,
    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4873")]
    listen: std::net::SocketAddr,
    /// Domain of a commons that this registry is to host the log of; prints that log's key
    #[arg(long, value_name = "DOMAIN")]
    commons: Option<PublisherName>,
    /// SHA-256 of the first root of the commons to join
    #[arg(long, value_name = "HEX")]
    root_sha256: Option<Digest>,
    /// Address of a registry of the commons to join; may be given again
    #[arg(long, value_name = "URL")]
    peer: Vec<String>,
}

#[derive(clap::Args)]
struct FoundArguments {
    /// The registry's configuration
    #[arg(long, value_name = "FILE", default_value = "registry.toml")]
    config: PathBuf,
    /// The root that enough stewards have signed
    root: PathBuf,
}

#[derive(clap::Args)]
struct ServeArguments {
    /// The registry's configuration; every value of it can also come from the environment (`BRICKYARD_…`)
    #[arg(long, value_name = "FILE", default_value = "registry.toml")]
    config: PathBuf,
    /// Read and check the configuration and the keys, and end
    #[arg(long)]
    check_config: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_logging(arguments.log_json);
    let environment: BTreeMap<String, String> = std::env::vars().collect();
    let result = match &arguments.command {
        Command::Init(init) => run_init(init),
        Command::Found(found) => run_found(found, &environment),
        Command::Serve(serve) => run_serve(serve, &environment),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("error: {err}");
            let mut source = std::error::Error::source(&err);
            while let Some(cause) = source {
                eprintln!("  caused by: {cause}");
                source = cause.source();
            }
            if let Some(help) = err.help() {
                eprintln!("help: {help}");
            }
            ExitCode::from(err.exit_code())
        }
    }
}

fn start_logging(json: bool) {
    let filter = EnvFilter::try_from_env("BRICKYARD_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json {
        lines.json().init();
    } else {
        lines.with_ansi(std::io::stderr().is_terminal()).init();
    }
}

fn run_init(args: &InitArguments) -> Result<(), SetupError> {
    let made = setup::init(&NewRegistry {
        dir: args.dir.clone(),
        id: args.id.clone(),
        operator: args.operator.clone(),
        url: args.url.clone(),
        listen: args.listen,
        root_sha256: args.root_sha256,
        peers: args.peer.clone(),
    })?;
    println!("registry  {}", args.id);
    println!("config    {}", made.config.display());
    println!("log key   {}", made.log_key);
    println!("witness   {}", made.witness);
    if let Some(domain) = &args.commons {
        println!("commons   {}", made.commons_vkey(domain));
        eprintln!(
            "Next: draft the root with `brick commons init {domain} --log <the commons line>`, have the stewards sign it, then"
        );
        eprintln!("      brickyard found --config {} root.json", made.config.display());
    } else {
        eprintln!("Next: have the registrars admit it (`brick commons admit registry …`), then");
        eprintln!("      brickyard serve --config {}", made.config.display());
    }
    eprintln!(
        "The two keys lie beside it unencrypted, readable by you alone: a registry signs without anybody at the keyboard."
    );
    Ok(())
}

fn run_found(args: &FoundArguments, environment: &BTreeMap<String, String>) -> Result<(), SetupError> {
    let pinned = runtime()?.block_on(setup::found(&args.config, &args.root, environment))?;
    println!("{pinned}");
    eprintln!(
        "Founded. That is the digest for everybody to pin: `brick commons trust <url> --root-sha256 {pinned}`"
    );
    Ok(())
}

fn run_serve(args: &ServeArguments, environment: &BTreeMap<String, String>) -> Result<(), SetupError> {
    let settings = setup::settings(&args.config, environment)?;
    if args.check_config {
        println!("{} is good", args.config.display());
        return Ok(());
    }
    runtime()?.block_on(async {
        let server = brickyard::start(settings).await.map_err(SetupError::Start)?;
        println!("listening on {}", server.url());
        told_to_stop().await.map_err(SetupError::Runtime)?;
        tracing::info!("stopping: open requests are finished first; a second signal stops at once");
        tokio::select! {
            () = server.stop() => Ok(()),
            stopped = told_to_stop() => stopped.map_err(SetupError::Runtime),
        }
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, SetupError> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(SetupError::Runtime)
}

/// Waits for SIGTERM or SIGINT.
async fn told_to_stop() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = terminate.recv() => Ok(()),
            interrupted = tokio::signal::ctrl_c() => interrupted,
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
