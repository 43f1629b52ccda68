use brick_tlog::base64;
use brick_tlog::note::{
    Algorithm, InvalidKeyName, KeyId, KeyName, MAX_KEY_NAME_BYTES, MAX_NOTE_BYTES, MAX_SIGNATURE_LINES,
    MAX_VKEY_BYTES, Note, NoteError, ParseNoteError, SignatureLine, VerifiedLine, Vkey, VkeyError, sign_note,
    verify_note,
};
use proptest::prelude::*;

use crate::support::{check_one_spelling, check_refused, counting_key, key, name, x_mod_signer};

const C2SP_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const C2SP_NOTE: &str = "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

// From golang.org/x/mod, sumdb/note.
const PETER_SIGNER: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const ENOCH: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
const TEXT: &str =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const PETER_LINE: &str = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const ENOCH_LINE: &str = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

fn vkey(text: &str) -> Vkey {
    Vkey::parse(text).expect("a published key")
}

fn note(lines: &[&str]) -> Note {
    Note::parse(format!("{TEXT}\n{}", lines.concat()).as_bytes()).expect("a note")
}

/// The line with a signature that is not the key's.
fn forged(line: &str) -> String {
    let (start, encoded) = line.trim_end().rsplit_once(' ').expect("a signature line");
    let mut blob = base64::decode(encoded).expect("base64");
    *blob.last_mut().expect("not empty") ^= 1;
    format!("{start} {}\n", base64::encode(blob))
}

fn verified(key: usize, line: usize) -> VerifiedLine {
    VerifiedLine { key, line, time: None }
}

#[test]
fn the_published_example_is_signed() {
    let note = Note::parse(C2SP_NOTE.as_bytes()).expect("a note");
    assert_eq!(note.text, "This is an example message.\n");
    assert_eq!(verify_note(&note, &[vkey(C2SP_KEY)]), Ok(vec![verified(0, 0)]));
    assert_eq!(note.to_bytes(), C2SP_NOTE.as_bytes());
}

#[test]
fn a_published_signature_is_made_again() {
    let (name, key) = x_mod_signer(PETER_SIGNER);
    assert_eq!(Vkey::of(name.clone(), Algorithm::Ed25519, &key).to_string(), PETER);
    assert_eq!(format!("{}\n", sign_note(TEXT, &name, &key)), PETER_LINE);
}

#[test]
fn signatures_count_as_the_specification_says() {
    let (peter, enoch) = (vkey(PETER), vkey(ENOCH));
    let known = [peter.clone(), enoch.clone()];
    let forged_peter = forged(PETER_LINE);
    let unknown = PETER_LINE.replace("PeterNeumann", "CarmenSandiego");
    let other_id = sign_note(TEXT, &name("PeterNeumann"), &key(9)).to_string() + "\n";
    let false_signature = |name: &str| Err(NoteError::FalseSignature { name: self::name(name) });
    type Verified = Result<Vec<VerifiedLine>, NoteError>;
    let table: [(&str, &[&str], Verified); 10] = [
        ("one known", &[PETER_LINE], Ok(vec![verified(0, 0)])),
        ("two known", &[ENOCH_LINE, PETER_LINE], Ok(vec![verified(1, 0), verified(0, 1)])),
        ("one twice", &[PETER_LINE, PETER_LINE], Ok(vec![verified(0, 0)])),
        ("an unknown name", &[&unknown, PETER_LINE], Ok(vec![verified(0, 1)])),
        ("an unknown id of a known name", &[&other_id, PETER_LINE], Ok(vec![verified(0, 1)])),
        ("only an unknown name", &[&unknown], Err(NoteError::NoKnownSignature)),
        ("a false one", &[&forged_peter], false_signature("PeterNeumann")),
        ("a false one beside a true one", &[ENOCH_LINE, &forged_peter], false_signature("PeterNeumann")),
        (
            "a false one after a true one of the same key",
            &[PETER_LINE, &forged_peter],
            false_signature("PeterNeumann"),
        ),
        ("a false one of an unknown key", &[&forged(&unknown), ENOCH_LINE], Ok(vec![verified(1, 1)])),
    ];
    for (case, lines, expected) in table {
        assert_eq!(verify_note(&note(lines), &known), expected, "{case}");
    }
    assert_eq!(verify_note(&note(&[ENOCH_LINE]), &[peter]), Err(NoteError::NoKnownSignature));
    assert_eq!(verify_note(&note(&[ENOCH_LINE]), &[]), Err(NoteError::NoKnownSignature));
}

#[test]
fn a_changed_text_is_not_signed() {
    let mut changed = note(&[PETER_LINE]);
    changed.text.push('\n');
    let expected = NoteError::FalseSignature { name: name("PeterNeumann") };
    assert_eq!(verify_note(&changed, &[vkey(PETER)]), Err(expected));
}

#[test]
fn a_signature_of_the_wrong_length_is_false() {
    let expected = || Err(NoteError::FalseSignature { name: name("PeterNeumann") });
    for length in [1, 63, 65, 72, 1000] {
        let mut short = note(&[PETER_LINE]);
        short.signatures[0].signature.resize(length, 0);
        assert_eq!(verify_note(&short, &[vkey(PETER)]), expected(), "{length} bytes");
    }
}

#[test]
fn one_public_key_counts_once_under_whatever_names() {
    let (first, second) = (name("first.example"), name("second.example"));
    let keys = [&first, &second].map(|name| Vkey::of(name.clone(), Algorithm::Ed25519, &key(7)));
    let lines = [&second, &first].map(|name| sign_note(TEXT, name, &key(7)));
    let note = Note { text: TEXT.to_owned(), signatures: lines.to_vec() };
    assert_eq!(verify_note(&note, &keys), Ok(vec![verified(0, 0)]));
}

#[test]
fn the_same_key_given_twice_is_no_ambiguity() {
    assert_eq!(verify_note(&note(&[PETER_LINE]), &[vkey(PETER), vkey(PETER)]), Ok(vec![verified(0, 0)]));
}

#[test]
fn too_many_signatures_are_refused_even_in_a_note_made_by_hand() {
    let mut many = note(&[PETER_LINE]);
    many.signatures = vec![many.signatures[0].clone(); MAX_SIGNATURE_LINES + 1];
    assert_eq!(verify_note(&many, &[vkey(PETER)]), Err(NoteError::TooManySignatures));
    many.signatures.pop();
    assert_eq!(verify_note(&many, &[vkey(PETER)]), Ok(vec![verified(0, 0)]));
}

#[test]
fn the_last_empty_line_divides() {
    let text = "one\n\n\n— not a signature\n\ntwo\n";
    let whole = format!("{text}\n{PETER_LINE}");
    let read = Note::parse(whole.as_bytes()).expect("a note");
    assert_eq!((read.text.as_str(), read.signatures.len()), (text, 1));
    assert_eq!(read.to_string(), whole);
}

#[test]
fn broken_notes_are_refused_by_name() {
    let with = |lines: &str| format!("{TEXT}\n{lines}").into_bytes();
    let line_1 = ParseNoteError::SignatureLine { line: 1 };
    let blob = PETER_LINE.trim_end().rsplit_once(' ').expect("a signature line").1.to_owned();
    let long_name = "n".repeat(MAX_KEY_NAME_BYTES + 1);
    let table = [
        ("nothing", vec![], ParseNoteError::NoSignaturePart),
        ("no empty line", TEXT.as_bytes().to_vec(), ParseNoteError::NoSignaturePart),
        ("no signatures", with(""), ParseNoteError::NoSignatures),
        ("an unfinished last line", with(PETER_LINE.trim_end()), line_1.clone()),
        (
            "an unfinished second line",
            with(&format!("{PETER_LINE}{}", ENOCH_LINE.trim_end())),
            ParseNoteError::SignatureLine { line: 2 },
        ),
        ("a line that is none", with("hello\n"), line_1.clone()),
        ("another dash", with(&PETER_LINE.replace('—', "-")), line_1.clone()),
        ("no space after the dash", with(&PETER_LINE.replacen("— ", "—", 1)), line_1.clone()),
        ("two spaces after the dash", with(&PETER_LINE.replacen("— ", "—  ", 1)), line_1.clone()),
        ("no name", with(&format!("—  {blob}\n")), line_1.clone()),
        ("no signature", with("— PeterNeumann\n"), line_1.clone()),
        ("an empty signature", with("— PeterNeumann \n"), line_1.clone()),
        ("a key id alone", with("— PeterNeumann x08gow==\n"), line_1.clone()),
        ("half a key id", with("— PeterNeumann x08=\n"), line_1.clone()),
        ("a word after the signature", with(&PETER_LINE.replace('\n', " more\n")), line_1.clone()),
        ("a space at the end", with(&PETER_LINE.replace('\n', " \n")), line_1.clone()),
        ("base64 without padding", with(&PETER_LINE.replace('=', "")), line_1.clone()),
        ("a plus in the name", with(&PETER_LINE.replace("PeterN", "Peter+N")), line_1.clone()),
        ("a no-break space in the name", with(&PETER_LINE.replace("PeterN", "Peter\u{a0}N")), line_1.clone()),
        ("a name too long", with(&format!("— {long_name} {blob}\n")), line_1),
        ("an empty text", format!("\n{PETER_LINE}").into_bytes(), ParseNoteError::NoSignaturePart),
        (
            "a carriage return",
            with(&PETER_LINE.replace('\n', "\r\n")),
            ParseNoteError::SignatureLine { line: 1 },
        ),
        ("a tab in the text", format!("a\tb\n\n{PETER_LINE}").into_bytes(), ParseNoteError::ControlCharacter),
        (
            "a zero in the text",
            format!("a\0b\n\n{PETER_LINE}").into_bytes(),
            ParseNoteError::ControlCharacter,
        ),
        ("bytes that are not UTF-8", b"\xff\n\n".to_vec(), ParseNoteError::NotUtf8),
        (
            "one line too many",
            with(&PETER_LINE.repeat(MAX_SIGNATURE_LINES + 1)),
            ParseNoteError::TooManySignatures,
        ),
        ("a byte too many", vec![b'a'; MAX_NOTE_BYTES + 1], ParseNoteError::TooLong),
    ];
    check_refused(Note::parse, table);
}

#[test]
fn as_many_lines_as_allowed_are_read() {
    let most = format!("{TEXT}\n{}", PETER_LINE.repeat(MAX_SIGNATURE_LINES));
    assert_eq!(Note::parse(most.as_bytes()).expect("a note").to_string(), most);
}

#[test]
fn a_note_has_one_spelling() {
    check_one_spelling(C2SP_NOTE.as_bytes(), |bytes| Some(Note::parse(bytes).ok()?.to_bytes()));
}

#[test]
fn a_text_that_could_not_be_read_back_is_no_note() {
    assert_eq!(Note::new("no end".to_owned()), Err(ParseNoteError::UnfinishedText));
    assert_eq!(Note::new(String::new()), Err(ParseNoteError::UnfinishedText));
    assert_eq!(Note::new("a\rb\n".to_owned()), Err(ParseNoteError::ControlCharacter));
    assert_eq!(Note::new("a".repeat(MAX_NOTE_BYTES) + "\n"), Err(ParseNoteError::TooLong));
    assert_eq!(Note::new("fine\n".to_owned()).map(|note| note.text), Ok("fine\n".to_owned()));
}

#[test]
fn names_that_cannot_be_in_a_note_are_no_key_names() {
    for wrong in ["", " ", "a b", "a+b", "a\nb", "a\tb", "a\u{2003}b", "a\u{85}b", "a\u{1}b"] {
        assert_eq!(KeyName::new(wrong), Err(InvalidKeyName), "{wrong:?}");
    }
    assert_eq!(KeyName::new("n".repeat(MAX_KEY_NAME_BYTES + 1)), Err(InvalidKeyName));
    for fine in ["a", "northshire.example/log", "ä—🦀", "n".repeat(MAX_KEY_NAME_BYTES).as_str()] {
        assert_eq!(KeyName::new(fine).map(|name| name.to_string()).as_deref(), Ok(fine));
        assert_eq!(fine.parse(), KeyName::new(fine));
    }
}

#[test]
fn published_verifier_keys_are_read_and_written_the_same() {
    let witness = "witness.example/w1+e75f6532+BAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
    for (text, algorithm) in [
        (C2SP_KEY, Algorithm::Ed25519),
        (PETER, Algorithm::Ed25519),
        (ENOCH, Algorithm::Ed25519),
        (witness, Algorithm::CosignatureV1),
    ] {
        let key = vkey(text);
        assert_eq!((key.to_string().as_str(), key.algorithm()), (text, algorithm));
        let again = Vkey::new(key.name().clone(), algorithm, key.key().as_bytes());
        assert_eq!(again, Ok(key));
    }
    let as_log = Vkey::of(name("witness.example/w1"), Algorithm::Ed25519, &counting_key());
    assert!(as_log.to_string().starts_with("witness.example/w1+3218362d+AQOh"));
}

#[test]
fn broken_verifier_keys_are_refused_by_name() {
    let n = || name("n.example");
    let key = counting_key().verifying_key().to_bytes();
    // A verifier key whose id is right, so that what comes after it is looked at.
    let with = |type_byte: u8, key: &[u8]| {
        let blob = [&[type_byte], key].concat();
        let id = brick_tlog::Hash::of([b"n.example\n", blob.as_slice()].concat()).to_hex();
        format!("n.example+{}+{}", &id[..8], base64::encode(blob)).into_bytes()
    };
    let good = String::from_utf8(with(1, &key)).expect("text");
    let id = good.split('+').nth(1).expect("an id").to_owned();
    let unsupported = |type_byte, type_name| VkeyError::UnsupportedType { name: n(), type_byte, type_name };
    let computed = Vkey::parse(&good).expect("a key").id();
    let table = [
        ("nothing", b"".to_vec(), VkeyError::Parts),
        ("two parts", b"n.example+00000000".to_vec(), VkeyError::Parts),
        ("no name", good.replace("n.example", "").into_bytes(), VkeyError::Name(InvalidKeyName)),
        ("a space in the name", good.replace("n.ex", "n ex").into_bytes(), VkeyError::Name(InvalidKeyName)),
        ("an id too short", good.replace(&id, &id[1..]).into_bytes(), VkeyError::Id { name: n() }),
        ("an id in capitals", good.replace(&id, "ABCDEF01").into_bytes(), VkeyError::Id { name: n() }),
        ("an id with a sign", good.replace(&id, "-1234567").into_bytes(), VkeyError::Id { name: n() }),
        (
            "another id",
            good.replace(&id, "01020304").into_bytes(),
            VkeyError::WrongId { name: n(), found: KeyId::from([1, 2, 3, 4]), computed },
        ),
        ("no key", format!("n.example+{id}+").into_bytes(), VkeyError::Base64 { name: n() }),
        (
            "a key that is not base64",
            format!("n.example+{id}+A!==").into_bytes(),
            VkeyError::Base64 { name: n() },
        ),
        ("a line end after it", format!("{good}\n").into_bytes(), VkeyError::Base64 { name: n() }),
        ("a type byte alone", with(1, b""), VkeyError::Length { name: n(), bytes: 0 }),
        ("a byte too few", with(1, &key[1..]), VkeyError::Length { name: n(), bytes: 31 }),
        (
            "a byte too many",
            with(4, &[key.as_slice(), &[0]].concat()),
            VkeyError::Length { name: n(), bytes: 33 },
        ),
        ("ECDSA", with(2, &key), unsupported(2, "ECDSA")),
        ("a tree head key", with(5, &key), unsupported(5, "RFC 6962 tree head")),
        ("ML-DSA", with(6, &[0; 1312]), unsupported(6, "ML-DSA-44 cosignature")),
        ("a named type", with(0xff, &key), unsupported(0xff, "type named in the key")),
        ("type 0", with(0, &key), unsupported(0, "unknown")),
        ("the neutral point", with(1, &[&[1], [0; 31].as_slice()].concat()), VkeyError::Weak { name: n() }),
        ("a point of order 4", with(4, &[0; 32]), VkeyError::Weak { name: n() }),
        (
            "the neutral point spelled otherwise",
            with(1, &[&[0xee], [0xff; 30].as_slice(), &[0x7f]].concat()),
            VkeyError::NonCanonical { name: n() },
        ),
        ("a byte too many for any", vec![b'a'; MAX_VKEY_BYTES + 1], VkeyError::TooLong),
    ];
    check_refused(|bytes| Vkey::parse(std::str::from_utf8(bytes).expect("text")), table);
}

#[test]
fn a_verifier_key_has_one_spelling() {
    check_one_spelling(PETER.as_bytes(), |bytes| {
        Some(Vkey::parse(std::str::from_utf8(bytes).ok()?).ok()?.to_string().into_bytes())
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_note_is_read_as_it_was_written(
        text in "([^\\p{Cc}]{0,30}\n){1,5}",
        lines in prop::collection::vec(("[^\\p{Cc}\\p{Z}+]{1,20}", any::<[u8; 4]>(), prop::collection::vec(any::<u8>(), 1..90)), 1..5),
    ) {
        let signatures = lines.into_iter().map(|(name, id, signature)| SignatureLine {
            name: KeyName::new(name).expect("as the pattern says"),
            id: KeyId::from(id),
            signature,
        });
        let note = Note { text, signatures: signatures.collect() };
        prop_assert_eq!(Note::parse(&note.to_bytes()), Ok(note));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>, text in "(— )?[a-z+ ]{0,5} ?[A-Za-z0-9+/=\n —]{0,60}") {
        let _ = Note::parse(&bytes);
        let _ = Note::parse(format!("x\n\n{text}\n").as_bytes());
        let _ = Vkey::parse(&text);
    }
}
