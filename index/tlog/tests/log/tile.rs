use brick_tlog::checkpoint::MAX_TREE_SIZE;
use brick_tlog::tile::{
    BundleError, BundleId, InvalidTileId, MAX_ENTRY_BYTES, MAX_TILE_BYTES, MAX_TILE_INDEX, MAX_TILE_LEVEL,
    TileError, TileId, bundles, encode_bundle, encode_path_number, encode_tile, hash_in_tile, new_bundles,
    new_tiles, parse_bundle, parse_tile, tile_for, tile_of, tiles,
};
use brick_tlog::tree::{MissingNode, Node, inclusion_nodes, prove_inclusion, root_nodes};
use proptest::prelude::*;

use crate::support::{check_one_spelling, other_hash, tree};

fn tile(level: u8, index: u64, width: u16) -> TileId {
    TileId::new(level, index, width).expect("a tile")
}

#[test]
fn numbers_are_paths_of_three_digits() {
    let table = [
        (0, "000"),
        (5, "005"),
        (999, "999"),
        (1000, "x001/000"),
        (67_000, "x067/000"),
        (1_234_067, "x001/x234/067"),
        (u64::MAX, "x018/x446/x744/x073/x709/x551/615"),
    ];
    for (number, path) in table {
        assert_eq!(encode_path_number(number), path);
    }
}

#[test]
fn tiles_are_named_as_the_specification_shows() {
    let table = [
        (tile(0, 0, 256), "tile/0/000"),
        (tile(0, 1067, 8), "tile/0/x001/067.p/8"),
        (tile(1, 1_234_067, 255), "tile/1/x001/x234/067.p/255"),
        (tile(MAX_TILE_LEVEL, MAX_TILE_INDEX, 1), "tile/63/x004/x294/x967/295.p/1"),
    ];
    for (id, path) in table {
        assert_eq!((id.path().as_str(), TileId::parse(path)), (path, Ok(id)));
        check_one_spelling(path.as_bytes(), |path| {
            Some(TileId::parse(std::str::from_utf8(path).ok()?).ok()?.path().into_bytes())
        });
    }
    let bundle = BundleId::new(1067, 8).expect("a bundle");
    assert_eq!((bundle.path().as_str(), bundle.first_entry()), ("tile/entries/x001/067.p/8", 273_152));
    assert_eq!(bundle.full().path(), "tile/entries/x001/067");
    assert_eq!(tile(0, 1067, 8).full().path(), "tile/0/x001/067");
    for path in ["tile/entries/x001/067.p/8", "tile/entries/000"] {
        check_one_spelling(path.as_bytes(), |path| {
            Some(BundleId::parse(std::str::from_utf8(path).ok()?).ok()?.path().into_bytes())
        });
    }
}

#[test]
fn paths_that_name_no_tile_are_refused() {
    let table = [
        ("nothing", ""),
        ("another folder", "tiles/0/000"),
        ("a leading slash", "/tile/0/000"),
        ("no number", "tile/0/"),
        ("no level", "tile//000"),
        ("a level with a zero", "tile/00/000"),
        ("a level too high", "tile/64/000"),
        ("a level of very many digits", "tile/99999999999999999999999/000"),
        ("a bundle", "tile/entries/000"),
        ("two digits", "tile/0/00"),
        ("four digits", "tile/0/0000"),
        ("a sign", "tile/0/+00"),
        ("letters", "tile/0/00a"),
        ("a mark on the last group", "tile/0/x000"),
        ("no mark on the first group", "tile/0/001/000"),
        ("a group of zeros in front", "tile/0/x000/001"),
        ("a number too large", "tile/0/x004/x294/x967/296"),
        ("a number of very many groups", "tile/0/x999/x999/x999/x999/x999/x999/x999/x999/999"),
        ("a slash at the end", "tile/0/000/"),
        ("width 0", "tile/0/000.p/0"),
        ("a full partial tile", "tile/0/000.p/256"),
        ("a width too large", "tile/0/000.p/257"),
        ("a width with a zero", "tile/0/000.p/01"),
        ("no width", "tile/0/000.p/"),
        ("no width at all", "tile/0/000.p"),
        ("two widths", "tile/0/000.p/1.p/1"),
        ("a width within the number", "tile/0/x001.p/1/000"),
        ("parents", "tile/0/../000"),
    ];
    for (wrong, path) in table {
        assert_eq!(TileId::parse(path), Err(InvalidTileId), "{wrong}");
        let bundle = path.replacen("tile/0/", "tile/entries/", 1);
        assert!(BundleId::parse(&bundle).is_err() || path == "tile/entries/000", "{wrong}");
    }
    for (level, index, width) in [(64, 0, 1), (0, MAX_TILE_INDEX + 1, 1), (0, 0, 0), (0, 0, 257)] {
        assert_eq!(TileId::new(level, index, width), Err(InvalidTileId));
    }
    assert_eq!(BundleId::new(0, 0), Err(InvalidTileId));
    assert_eq!(BundleId::new(MAX_TILE_INDEX + 1, 1), Err(InvalidTileId));
}

#[test]
fn trees_have_the_tiles_of_the_specification() {
    let paths = |size| tiles(size).map(|tile| tile.path()).collect::<Vec<_>>();
    assert_eq!(paths(0), Vec::<String>::new());
    assert_eq!(paths(1), ["tile/0/000.p/1"]);
    assert_eq!(paths(256), ["tile/0/000", "tile/1/000.p/1"]);
    assert_eq!(paths(257), ["tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"]);
    let large: Vec<TileId> = tiles(70_000).collect();
    assert_eq!(large.iter().filter(|tile| tile.level() == 0 && tile.width() == 256).count(), 273);
    let rest: Vec<String> = large.iter().skip(273).map(|tile| tile.path()).collect();
    assert_eq!(rest, ["tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"]);
    assert_eq!(bundles(70_000).count(), 274);
    assert_eq!(bundles(0).count(), 0);
}

#[test]
fn the_largest_trees_are_walked_without_being_held() {
    assert_eq!(tiles(u64::MAX).next(), Some(tile(0, 0, 256)));
    let last: Vec<TileId> = new_tiles(MAX_TREE_SIZE - 1, MAX_TREE_SIZE).collect();
    assert_eq!(last.len(), 6);
    assert_eq!(last[5], tile(5, 0, 1));
    assert_eq!(
        new_bundles(MAX_TREE_SIZE - 1, u64::MAX).last().map(|last| last.index()),
        Some(MAX_TILE_INDEX)
    );
}

#[test]
fn a_tree_that_grows_adds_exactly_the_tiles_it_did_not_have() {
    for (old, new) in [(0, 1), (1, 1), (1, 2), (255, 256), (256, 257), (200, 700), (5, 66_000), (9, 3)] {
        let before: Vec<TileId> = tiles(old).collect();
        let expected: Vec<TileId> = tiles(new).filter(|tile| !before.contains(tile)).collect();
        let shrinks = new < old;
        assert_eq!(
            new_tiles(old, new).collect::<Vec<_>>(),
            if shrinks { vec![] } else { expected },
            "{old} {new}"
        );
        let before: Vec<BundleId> = bundles(old).collect();
        let expected: Vec<BundleId> = bundles(new).filter(|bundle| !before.contains(bundle)).collect();
        assert_eq!(new_bundles(old, new).collect::<Vec<_>>(), if shrinks { vec![] } else { expected });
    }
}

#[test]
fn every_proof_can_be_made_from_tiles_alone() {
    const SIZE: u64 = 700;
    let whole = tree(SIZE);
    let from_tiles = |node: Node| {
        let id = tile_for(node, SIZE).expect("the tree has this subtree");
        let bytes = encode_tile(id, |node| whole.read(node)).expect("complete subtrees only");
        assert_eq!(bytes.len(), id.bytes());
        Ok::<_, MissingNode>(hash_in_tile(node, &bytes).expect("the tile is wide enough"))
    };
    for node in
        root_nodes(SIZE).into_iter().chain((0..SIZE).flat_map(|i| inclusion_nodes(i, SIZE).expect("there")))
    {
        assert_eq!(from_tiles(node), whole.read(node), "{node:?}");
    }
    assert_eq!(prove_inclusion(321, SIZE, from_tiles).ok(), whole.prove_inclusion(321, SIZE).ok());
}

#[test]
fn subtrees_that_are_not_complete_are_in_no_tile() {
    assert_eq!(tile_for(Node { level: 0, index: 5 }, 5), None);
    assert_eq!(tile_for(Node { level: 2, index: 1 }, 7), None);
    assert_eq!(tile_for(Node { level: 8, index: 1 }, 511), None);
    assert_eq!(tile_for(Node { level: 8, index: 1 }, 512), Some(tile(1, 0, 2)));
    assert_eq!(tile_for(Node { level: 255, index: u64::MAX }, u64::MAX), None);
    assert_eq!(tile_for(Node { level: 63, index: 0 }, MAX_TREE_SIZE), None);
    assert_eq!(tile_for(Node { level: 0, index: u64::MAX }, u64::MAX), None);
    let slice = tile_of(Node { level: 255, index: u64::MAX });
    assert_eq!((slice.level, slice.index, slice.hashes), (31, u64::MAX >> 1, 128..256));
    assert_eq!(tile(63, MAX_TILE_INDEX, 256).nodes().count(), 0);
}

#[test]
fn bytes_that_are_no_tile_are_refused() {
    for bytes in [0, 1, 31, 33, MAX_TILE_BYTES + 1, MAX_TILE_BYTES + 32] {
        assert_eq!(parse_tile(&vec![0; bytes]), Err(TileError::Length { bytes }));
    }
    let narrow = other_hash().as_bytes().repeat(2);
    let error = TileError::TooNarrow { found: 2, needed: 4 };
    assert_eq!(hash_in_tile(Node { level: 1, index: 1 }, &narrow), Err(error));
    assert_eq!(hash_in_tile(Node { level: 8, index: 1 }, &narrow), Ok(other_hash()));
}

#[test]
fn bytes_that_are_not_the_bundle_are_refused_by_name() {
    let good = encode_bundle(&["one", "", "three"]).expect("a bundle");
    assert_eq!(parse_bundle(&good, 3), Ok(vec![b"one".as_slice(), b"", b"three"]));
    let longer = [good.as_slice(), b"x"].concat();
    let table = [
        ("none expected", good.as_slice(), 0, BundleError::Count { entries: 0 }),
        ("too many expected", &good, 257, BundleError::Count { entries: 257 }),
        ("fewer expected", &good, 2, BundleError::TrailingBytes { bytes: 7 }),
        ("more expected", &good, 4, BundleError::Truncated { entry: 3 }),
        ("a byte after it", &longer, 3, BundleError::TrailingBytes { bytes: 1 }),
        ("an entry cut off", &good[..good.len() - 1], 3, BundleError::Truncated { entry: 2 }),
        ("a length cut off", &good[..6], 3, BundleError::Truncated { entry: 1 }),
        ("nothing", b"", 1, BundleError::Truncated { entry: 0 }),
    ];
    for (wrong, bytes, expected, error) in table {
        assert_eq!(parse_bundle(bytes, expected), Err(error), "{wrong}");
    }
    assert_eq!(encode_bundle(&[""; 0]), Err(BundleError::Count { entries: 0 }));
    assert_eq!(encode_bundle(&[""; 257]), Err(BundleError::Count { entries: 257 }));
    let long = vec![0; MAX_ENTRY_BYTES + 1];
    let error = BundleError::EntryTooLong { entry: 1, bytes: MAX_ENTRY_BYTES + 1 };
    assert_eq!(encode_bundle(&[b"".as_slice(), &long]), Err(error));
    assert!(encode_bundle(&[&long[1..]]).is_ok());
}

#[test]
fn an_entry_is_found_in_its_bundle() {
    let id = |entry, size| BundleId::of_entry(entry, size).map(|id| id.path());
    assert_eq!(id(0, 1).as_deref(), Some("tile/entries/000.p/1"));
    assert_eq!(id(255, 256).as_deref(), Some("tile/entries/000"));
    assert_eq!(id(256, 300).as_deref(), Some("tile/entries/001.p/44"));
    assert_eq!((id(5, 5), id(u64::MAX, 5), id(u64::MAX - 1, u64::MAX)), (None, None, None));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_bundle_is_read_as_it_was_written(
        entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..=256),
    ) {
        let bytes = encode_bundle(&entries).expect("short entries");
        let read = parse_bundle(&bytes, entries.len()).expect("as it was written");
        prop_assert_eq!(&read, &entries.iter().map(Vec::as_slice).collect::<Vec<_>>());
        prop_assert_eq!(encode_bundle(&read), Ok(bytes));
    }

    #[test]
    fn every_path_is_read_as_it_was_written(level in 0..=MAX_TILE_LEVEL, index in 0..=MAX_TILE_INDEX, width in 1u16..=256) {
        let id = tile(level, index, width);
        prop_assert_eq!(TileId::parse(&id.path()), Ok(id));
        let bundle = BundleId::new(index, width).expect("a bundle");
        prop_assert_eq!(BundleId::parse(&bundle.path()), Ok(bundle));
    }

    #[test]
    fn no_path_and_no_bytes_make_a_reader_panic(path in "(tile/)?[0-9a-z/.]{0,30}", bytes: Vec<u8>, count in 0usize..300) {
        if let Ok(id) = TileId::parse(&path) {
            prop_assert_eq!(id.path(), path);
        }
        if let Ok(entries) = parse_bundle(&bytes, count) {
            prop_assert_eq!(encode_bundle(&entries), Ok(bytes));
        }
    }
}
