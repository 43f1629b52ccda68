use brick_tlog::base64::{InvalidBase64, decode, decode_array, encode};
use brick_tlog::hash::{ParseHashError, leaf_hash, node_hash};
use brick_tlog::{Hash, base64};
use proptest::prelude::*;

#[test]
fn the_root_of_the_empty_tree_is_the_hash_of_nothing() {
    assert_eq!(Hash::EMPTY_TREE, Hash::of(""));
    assert_eq!(Hash::EMPTY_TREE.to_base64(), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
}

#[test]
fn leaves_and_nodes_are_told_apart_by_their_first_byte() {
    let (left, right) = (Hash::of("left"), Hash::of("right"));
    let both = [left.as_bytes().as_slice(), right.as_bytes()].concat();
    assert_eq!(leaf_hash(&both), Hash::of([&[0], both.as_slice()].concat()));
    assert_eq!(node_hash(&left, &right), Hash::of([&[1], both.as_slice()].concat()));
}

#[test]
fn a_hash_has_one_spelling_in_hex_and_one_in_base64() {
    let hash = Hash::of("x");
    assert_eq!(Hash::from_hex(&hash.to_hex()), Ok(hash));
    assert_eq!(Hash::from_base64(&hash.to_base64()), Ok(hash));
    assert_eq!((format!("{hash}"), format!("{hash:?}")), (hash.to_base64(), hash.to_hex()));
    let hex = hash.to_hex();
    for wrong in
        [hex.to_uppercase(), hex[1..].to_owned(), format!("{hex}0"), hex.replace('a', "g"), String::new()]
    {
        assert_eq!(Hash::from_hex(&wrong), Err(ParseHashError::Hex), "{wrong}");
    }
    let text = hash.to_base64();
    let long = base64::encode([0; 33]);
    for wrong in
        [text.trim_end_matches('=').to_owned(), format!("{text}="), long, base64::encode([0; 31]), hex]
    {
        assert_eq!(Hash::from_base64(&wrong), Err(ParseHashError::Base64), "{wrong}");
    }
}

#[test]
fn base64_that_another_decoder_might_let_pass_is_refused() {
    let table = [
        ("no padding", "YQ"),
        ("half the padding", "YQ="),
        ("too much padding", "YQ==="),
        ("bits left over after one byte", "YR=="),
        ("bits left over after two bytes", "YWF="),
        ("the URL alphabet", "__-_"),
        ("white space", "YWFh YWFh"),
        ("a line end", "YWFh\n"),
        ("padding in the middle", "YQ==YWFh"),
        ("a lone character", "Y"),
        ("padding only", "===="),
        ("a character of no alphabet", "YWF!"),
        ("a letter that is not ASCII", "YWFä"),
    ];
    for (wrong, text) in table {
        assert_eq!(decode(text), Err(InvalidBase64), "{wrong}");
    }
    assert_eq!(decode_array::<3>("YWFh"), Ok(*b"aaa"));
    assert_eq!(decode_array::<2>("YWFh"), Err(InvalidBase64));
    assert_eq!(decode_array::<4>("YWFh"), Err(InvalidBase64));
    assert_eq!(decode(""), Ok(Vec::new()));
}

proptest! {
    #[test]
    fn base64_gives_back_what_it_was_given(bytes: Vec<u8>) {
        prop_assert_eq!(decode(&encode(&bytes)), Ok(bytes));
    }

    #[test]
    fn base64_that_is_accepted_is_written_the_same(text in "[A-Za-z0-9+/=_-]{0,12}") {
        if let Ok(bytes) = decode(&text) {
            prop_assert_eq!(encode(bytes), text);
        }
    }
}
