use brick_tlog::Hash;
use brick_tlog::checkpoint::{
    Checkpoint, MAX_TREE_SIZE, OpenCheckpointError, ParseCheckpointError, open_checkpoint, sign_checkpoint,
};
use brick_tlog::hash::ParseHashError;
use brick_tlog::note::{InvalidKeyName, Note, NoteError, ParseNoteError, sign_note};
use proptest::prelude::*;

use crate::support::{
    ORIGIN, check_one_spelling, check_refused, head, key, log_key, log_vkey, name, other_hash, signed_head,
    witness,
};

const TEXT: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
const EMPTY: &str = "example.com/new\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";

fn parse(bytes: &[u8]) -> Result<Checkpoint, ParseCheckpointError> {
    Checkpoint::parse(std::str::from_utf8(bytes).expect("text"))
}

#[test]
fn a_checkpoint_is_written_as_it_was_read() {
    for text in [TEXT, EMPTY] {
        assert_eq!(Checkpoint::parse(text).expect("a checkpoint").to_string(), text);
        check_one_spelling(text.as_bytes(), |bytes| {
            Some(Checkpoint::parse(std::str::from_utf8(bytes).ok()?).ok()?.to_string().into_bytes())
        });
    }
}

#[test]
fn broken_checkpoints_are_refused_by_name() {
    let with_size = |size: &str| TEXT.replace("20852163", size).into_bytes();
    let root = ParseCheckpointError::Root(ParseHashError::Base64);
    let table = [
        ("nothing", b"".to_vec(), ParseCheckpointError::MissingLine),
        ("two lines", b"a\n1\n".to_vec(), ParseCheckpointError::MissingLine),
        ("an unfinished last line", TEXT.trim_end().into(), ParseCheckpointError::MissingLine),
        ("an extension line", format!("{TEXT}more\n").into(), ParseCheckpointError::ExtensionLines),
        ("an empty extension line", format!("{TEXT}\n").into(), ParseCheckpointError::ExtensionLines),
        ("an unfinished extension", format!("{TEXT}more").into(), ParseCheckpointError::ExtensionLines),
        (
            "no origin",
            TEXT.replacen("example.com/behind-the-sofa", "", 1).into(),
            ParseCheckpointError::Origin(InvalidKeyName),
        ),
        (
            "a space in the origin",
            TEXT.replacen("behind-", "behind ", 1).into(),
            ParseCheckpointError::Origin(InvalidKeyName),
        ),
        (
            "a long origin",
            format!("{}{TEXT}", "o".repeat(250)).into(),
            ParseCheckpointError::Origin(InvalidKeyName),
        ),
        ("no size", with_size(""), ParseCheckpointError::Size),
        ("a leading zero", with_size("01"), ParseCheckpointError::Size),
        ("two zeros", with_size("00"), ParseCheckpointError::Size),
        ("a plus", with_size("+1"), ParseCheckpointError::Size),
        ("a minus", with_size("-1"), ParseCheckpointError::Size),
        ("a space", with_size(" 1"), ParseCheckpointError::Size),
        ("hexadecimal", with_size("0x1"), ParseCheckpointError::Size),
        ("other digits", with_size("١"), ParseCheckpointError::Size),
        ("a leaf too many", with_size(&(MAX_TREE_SIZE + 1).to_string()), ParseCheckpointError::Size),
        ("more than 64 bits", with_size("18446744073709551616"), ParseCheckpointError::Size),
        ("very many digits", with_size(&"9".repeat(5000)), ParseCheckpointError::Size),
        ("a short root", TEXT.replace("CsUYapGG", "").into(), root.clone()),
        ("a root without padding", TEXT.replace('=', "").into(), root.clone()),
        ("a root in hex", format!("a\n1\n{}\n", other_hash().to_hex()).into(), root.clone()),
        (
            "a carriage return",
            TEXT.replace('\n', "\r\n").into(),
            ParseCheckpointError::Origin(InvalidKeyName),
        ),
        ("no leaves, but a root", with_size("0"), ParseCheckpointError::RootOfNothing),
    ];
    check_refused(parse, table);
    assert!(parse(&with_size(&MAX_TREE_SIZE.to_string())).is_ok());
}

#[test]
fn only_the_log_itself_can_claim_its_tree() {
    let good = signed_head(5);
    let log = log_vkey();
    let opened = open_checkpoint(&good.to_bytes(), &log).expect("it is signed");
    assert_eq!((opened.checkpoint(), opened.note()), (&head(5), &good));
    assert_eq!(opened.into_parts(), (head(5), good.clone()));

    let signature = |err| OpenCheckpointError::Signature { origin: name(ORIGIN), err };
    let resigned = |text: &str, seed| {
        let line = sign_note(text, &name(ORIGIN), &key(seed));
        Note { text: text.to_owned(), signatures: vec![line] }.to_bytes()
    };
    let mut forged = good.clone();
    forged.text = forged.text.replace("\n5\n", "\n6\n");
    let other = Checkpoint { origin: name("other.example/log"), ..head(5) };
    let transplanted = resigned(&other.to_string(), 1);
    let mut other_name = good.clone();
    other_name.signatures[0].name = name("other.example/log");
    let extended = resigned(&format!("{}more\n", good.text), 1);
    let err = ParseCheckpointError::ExtensionLines;
    let table = [
        ("no note", b"x".to_vec(), OpenCheckpointError::Note(ParseNoteError::NoSignaturePart)),
        ("a changed size", forged.to_bytes(), signature(NoteError::FalseSignature { name: name(ORIGIN) })),
        ("another key", resigned(&good.text, 2), signature(NoteError::NoKnownSignature)),
        ("another name", other_name.to_bytes(), signature(NoteError::NoKnownSignature)),
        (
            "another log's head",
            transplanted,
            OpenCheckpointError::OtherOrigin { expected: name(ORIGIN), found: name("other.example/log") },
        ),
        ("a signed extension", extended, OpenCheckpointError::Checkpoint { origin: name(ORIGIN), err }),
    ];
    check_refused(|bytes| open_checkpoint(bytes, &log), table);

    let (witness_name, _, witness_key) = witness(2);
    let refused = OpenCheckpointError::NotALogKey { name: witness_name };
    assert_eq!(open_checkpoint(&good.to_bytes(), &witness_key), Err(refused));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_checkpoint_is_read_as_it_was_written(size in 1..=MAX_TREE_SIZE, root: [u8; 32]) {
        let ours = Checkpoint { origin: name(ORIGIN), size, root: Hash::from(root) };
        prop_assert_eq!(Checkpoint::parse(&ours.to_string()), Ok(ours.clone()));
        let note = sign_checkpoint(&ours, &log_key());
        let opened = open_checkpoint(&note.to_bytes(), &log_vkey()).expect("it is signed");
        prop_assert_eq!(opened.checkpoint(), &ours);
    }
}
