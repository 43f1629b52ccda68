//! docker-registry: images, each a layer, a description and a manifest, as files.

use brick_schemas::Digest;
use brick_tests::process::{Room, free_address};
use hyper::Method;
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use serde_json::json;

use super::{Registry, Server};
use crate::content::Content;
use crate::load::{Step, Target};
use crate::tools::Tools;
use crate::trouble::Trouble;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Starts one with an empty folder.
///
/// # Errors
/// [`Trouble`] when it is not there or does not start.
pub fn start(tools: &Tools) -> Result<Registry, Trouble> {
    let program = tools.debian("docker-registry", "docker-registry")?;
    let (room, address) = (Room::new(), free_address());
    let data = room.work().join("data");
    room.write(
        "config.yml",
        format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{cache: {{blobdescriptor: inmemory}}, filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: \"{address}\"}}\n",
            data.display()
        ),
    );
    let server = Server::start(room, address, &program, &["serve", "config.yml"])?;
    Ok(Registry { name: "docker-registry", server, job })
}

/// Five requests: twice a place to upload to and the bytes, then the manifest that makes it an image.
fn job(content: &Content) -> Vec<Step> {
    let (name, version) = (content.brick.as_str(), content.version.to_string());
    let config = json!({ "architecture": "all", "os": "none", "name": name, "version": version });
    let config = Bytes::from(config.to_string());
    let layer = content.archive.clone();
    let digest = |bytes: &[u8]| format!("sha256:{}", Digest::of(bytes));
    let blob =
        |kind: &str, bytes: &[u8]| json!({ "mediaType": kind, "size": bytes.len(), "digest": digest(bytes) });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": blob(CONFIG, &config), "layers": [blob(LAYER, &layer)],
    });
    let manifest = Bytes::from(manifest.to_string());
    let mut steps = Vec::new();
    for bytes in [layer, config] {
        let begin = Target::Path(format!("/v2/{name}/blobs/uploads/"));
        steps.push(Step { method: Method::POST, target: begin, headers: Vec::new(), body: Bytes::new() });
        let target = Target::Location { and: format!("digest={}", digest(&bytes)) };
        let headers = vec![(CONTENT_TYPE, "application/octet-stream".to_owned())];
        steps.push(Step { method: Method::PUT, target, headers, body: bytes });
    }
    let target = Target::Path(format!("/v2/{name}/manifests/{version}"));
    let headers = vec![(CONTENT_TYPE, MANIFEST.to_owned())];
    steps.push(Step { method: Method::PUT, target, headers, body: manifest });
    steps
}
