//! Logs over HTTP: tiles, bundles and the proofs made from them.

#[allow(dead_code)]
mod fake;

use brick_client::{Client, Family, LogPath};
use brick_tlog::hash::leaf_hash;
use brick_tlog::tile::{TileId, bundles, encode_bundle, encode_tile, tiles};
use brick_tlog::tree::{ProveError, Tree, check_consistency, inclusion_nodes, prove_inclusion};
use fake::{Fake, Reply};

const LOG: LogPath = LogPath::Commons;

fn entry(at: u64) -> Vec<u8> {
    format!("entry {at}").into_bytes()
}

/// A log of `size` entries; partial tiles and bundles of `also` leaves are there too, of no other size.
async fn log_of(size: u64, also: &[u64]) -> (Fake, Tree) {
    let fake = Fake::start().await;
    let tree: Tree = (0..size).map(|at| leaf_hash(&entry(at))).collect();
    for size in also.iter().copied().chain([size]) {
        for tile in tiles(size) {
            let bytes = encode_tile(tile, |node| tree.read(node)).unwrap();
            fake.on(format!("/commons/{tile}"), [Reply::ok(bytes)]);
        }
        for bundle in bundles(size) {
            let first = bundle.first_entry();
            let entries: Vec<_> = (first..first + u64::from(bundle.width())).map(entry).collect();
            fake.on(format!("/commons/{bundle}"), [Reply::ok(encode_bundle(&entries).unwrap())]);
        }
    }
    (fake, tree)
}

async fn check_entries(client: &Client, from: u64, to: u64) {
    let entries = client.entries(&LOG, from, to).await.unwrap();
    assert!(entries.iter().cloned().eq((from..to).map(entry)), "{from}..{to}: {} entries", entries.len());
}

#[tokio::test]
async fn entries_come_in_order_from_any_place() {
    let (fake, _) = log_of(700, &[]).await;
    let client = fake.client();
    for (from, to) in [(0, 700), (0, 512), (255, 257), (256, 512), (511, 700), (699, 700), (700, 700), (0, 0)]
    {
        check_entries(&client, from, to).await;
    }
    assert!(client.entries(&LOG, 9, 3).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_was_partial_once_is_cut_from_the_full_file() {
    let (fake, tree) = log_of(700, &[]).await;
    let client = fake.client();
    // No file of width 10 is served: the log went past it long ago.
    check_entries(&client, 0, 10).await;
    check_entries(&client, 250, 266).await;
    let tile = TileId::new(0, 1, 10).unwrap();
    let bytes = client.tile(&LOG, tile).await.unwrap();
    assert_eq!(bytes, encode_tile(tile, |node| tree.read(node)).unwrap());
    // The last one is partial and there is no full one.
    let gone = TileId::new(0, 2, 10).unwrap();
    assert!(client.tile(&LOG, gone).await.unwrap_err().is_missing());
}

#[tokio::test]
async fn a_tile_of_another_length_is_not_one() {
    let (fake, _) = log_of(300, &[]).await;
    for bytes in [0, 31, 32 * 43, 32 * 45] {
        fake.on("/commons/tile/0/001.p/44", [Reply::ok(vec![0; bytes])]);
        let err = fake.client().tile(&LOG, TileId::new(0, 1, 44).unwrap()).await.unwrap_err();
        assert!(matches!(err.family(), Family::NotARegistry | Family::TooLarge), "{err}");
    }
    fake.on("/commons/tile/entries/001.p/44", [Reply::ok(vec![0; 87])]);
    let err = fake.client().entries(&LOG, 256, 300).await.unwrap_err();
    assert_eq!(err.family(), Family::NotARegistry, "{err}");
}

#[tokio::test]
async fn consistency_of_any_two_sizes_is_proved_from_tiles() {
    let (fake, tree) = log_of(700, &[]).await;
    let client = fake.client();
    let new = tree.root();
    for old in (0..700).step_by(37).chain([1, 255, 256, 257, 512, 699, 700]) {
        let path = client.consistency(&LOG, old, 700).await.unwrap();
        check_consistency(old, 700, &tree.root_at(old).unwrap(), &new, &path).unwrap();
    }
    let err = client.consistency(&LOG, 701, 700).await.unwrap_err();
    assert!(matches!(err, ProveError::Shrinks { .. }), "{err}");
}

#[tokio::test]
async fn the_hashes_of_a_proof_come_from_few_tiles() {
    let (fake, tree) = log_of(70_000, &[]).await;
    let nodes = inclusion_nodes(12_345, 70_000).unwrap();
    let hashes = fake.client().hashes(&LOG, 70_000, &nodes).await.unwrap();
    let path = prove_inclusion(12_345, 70_000, |node| hashes.read(node)).unwrap();
    assert_eq!(path, tree.prove_inclusion(12_345, 70_000).unwrap());
    assert!(fake.asked().len() <= 5, "{} requests", fake.asked().len());
}
