//! kellnr: a registry of crates in Rust, on SQLite.

use brick_tests::process::{Room, free_address};
use hyper::Method;
use hyper::header::AUTHORIZATION;
use serde_json::json;

use super::{Registry, Server};
use crate::content::Content;
use crate::load::{Step, Target};
use crate::tools::Tools;
use crate::trouble::Trouble;

/// The release that is compared with.
const VERSION: &str = "6.6.0";
/// Lets one publish to this run's own server, and nowhere else.
const TOKEN: &str = "ThisRunsOwnTokenOf32LettersLong0";

/// Starts one with an empty folder.
///
/// # Errors
/// [`Trouble`] when it is not there and cannot be built, or does not start.
pub fn start(tools: &Tools) -> Result<Registry, Trouble> {
    let program = tools.cargo("kellnr", VERSION)?;
    let (mut room, address) = (Room::new(), free_address());
    let (data, port) = (room.work().join("data").display().to_string(), address.port().to_string());
    let settings = [
        ("REGISTRY__DATA_DIR", data.as_str()),
        ("REGISTRY__DOWNLOAD_MAX_CONCURRENT", "0"),
        ("LOCAL__IP", "127.0.0.1"),
        ("LOCAL__PORT", &port),
        ("ORIGIN__HOSTNAME", "127.0.0.1"),
        ("ORIGIN__PORT", &port),
        ("ORIGIN__PROTOCOL", "http"),
        ("SETUP__ADMIN_TOKEN", TOKEN),
        ("DOCS__ENABLED", "false"),
        ("PROXY__ENABLED", "false"),
        ("LOG__LEVEL", "error"),
        ("LOG__LEVEL_WEB_SERVER", "error"),
    ];
    for (name, value) in settings {
        room = room.with(&format!("KELLNR_{name}"), value);
    }
    Ok(Registry { name: "kellnr", server: Server::start(room, address, &program, &["start"])?, job })
}

/// What cargo sends: the length of a description, the description, the length of the archive, the archive.
fn job(content: &Content) -> Vec<Step> {
    let about = json!({
        "name": content.brick.as_str(), "vers": content.version.to_string(), "deps": [], "features": {},
        "authors": [], "description": "Something to measure with.", "documentation": null, "homepage": null,
        "readme": null, "readme_file": null, "keywords": [], "categories": [], "license": "MIT",
        "license_file": null, "repository": null, "badges": {}, "links": null,
    });
    let about = about.to_string().into_bytes();
    let mut body = Vec::with_capacity(8 + about.len() + content.archive.len());
    for part in [about.as_slice(), &content.archive] {
        let bytes = u32::try_from(part.len()).expect("parts are small");
        body.extend_from_slice(&bytes.to_le_bytes());
        body.extend_from_slice(part);
    }
    let headers = vec![(AUTHORIZATION, TOKEN.to_owned())];
    let target = Target::Path("/api/v1/crates/new".to_owned());
    vec![Step { method: Method::PUT, target, headers, body: body.into() }]
}
