//! Do the formats say what they should, and do files that people write get the errors that people need?

#[path = "formats/bounds.rs"]
mod bounds;
#[path = "formats/files.rs"]
mod files;
#[path = "formats/fixtures.rs"]
mod fixtures;
#[path = "formats/lockfile.rs"]
mod lockfile;
#[path = "formats/manifest.rs"]
mod manifest;
#[path = "formats/registry_config.rs"]
mod registry_config;
#[path = "formats/schemas.rs"]
mod schemas;
#[path = "formats/service.rs"]
mod service;
