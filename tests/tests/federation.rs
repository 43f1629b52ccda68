//! Three registries, real sockets, real git: does a publish reach a quorum?

use std::time::Duration;

use brick_cli::quickstart::ceremony;
use brick_schemas::PublisherName;
use brick_schemas::predicate::PublisherKind;

fn name(text: &str) -> PublisherName {
    PublisherName::parse(text).expect("a good name")
}

#[tokio::test(flavor = "multi_thread")]
async fn three_registries_found_a_commons_and_cosign_each_other() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let registries =
        [name("registry.north.example"), name("registry.mid.example"), name("registry.south.example")];
    let mut commons =
        ceremony::found(dir.path(), &name("commons.example"), &registries, Duration::from_millis(200))
            .await
            .expect("a commons");
    commons.admit(&name("north.example"), PublisherKind::PublicBody, 0).await.expect("admitted");
    commons.admit(&name("mid.example"), PublisherKind::PublicBody, 1).await.expect("admitted");
    commons.wait_for_quorum().await.expect("a quorum on every head");
}
