use brick_tlog::checkpoint::OpenCheckpointError;
use brick_tlog::cosignature::cosign;
use brick_tlog::note::{Note, NoteError, Vkey, VkeyError};
use brick_tlog::policy::{
    CheckPolicyError, LineProblem, MAX_POLICY_BYTES, MAX_POLICY_ITEMS, ParsePolicyError, Policy,
};
use proptest::prelude::*;

use crate::support::{ORIGIN, check_refused, key, log_vkey, name, signed_head, witness};

/// Lines that define witnesses a, b, c and so on.
fn witnesses(count: u8) -> String {
    (0..count).map(|at| format!("witness {} {}\n", char::from(b'a' + at), witness(10 + at).2)).collect()
}

fn policy(text: &str) -> Policy {
    Policy::parse(text.as_bytes()).expect("a policy")
}

/// The head with cosignatures of these of the witnesses a, b, c and so on.
fn cosigned(by: &str) -> Note {
    let mut note = signed_head(5);
    for letter in by.bytes() {
        let (name, key, _) = witness(10 + letter - b'a');
        note.signatures.push(cosign(&note.text, &name, &key, 100));
    }
    note
}

fn check_quorum(text: &str, enough: &[&str], too_few: &[&str]) {
    let policy = policy(text);
    for by in enough {
        let counted = policy.check_quorum(&cosigned(by)).expect(by);
        assert_eq!(counted.len(), by.len(), "{by}");
        for cosignature in counted {
            assert_eq!(*policy.witnesses()[cosignature.key].key.name(), cosignature.name);
        }
    }
    for by in too_few {
        let expected = CheckPolicyError::NoQuorum { cosignatures: by.len() };
        assert_eq!(policy.check_quorum(&cosigned(by)), Err(expected), "{by}");
    }
}

#[test]
fn a_quorum_is_a_witness_or_a_group_of_them() {
    let three = witnesses(3);
    check_quorum("quorum none\n", &[""], &[]);
    check_quorum(&format!("{three}quorum b\n"), &["b", "abc"], &["", "a", "ac"]);
    check_quorum(&format!("{three}group g any a b c\nquorum g\n"), &["a", "b", "c", "ab"], &[""]);
    check_quorum(&format!("{three}group g all a b c\nquorum g\n"), &["abc"], &["", "ab", "bc"]);
    check_quorum(&format!("{three}group g 2 a b c\nquorum g\n"), &["ab", "bc", "ca", "abc"], &["", "a", "c"]);
}

#[test]
fn groups_of_groups_are_judged_as_in_the_specification() {
    let text = format!(
        "{}group X 2 a b c\ngroup Y any d e f\ngroup X-and-Y all X Y\nquorum X-and-Y\n",
        witnesses(6)
    );
    check_quorum(&text, &["abd", "bcf", "abcdef"], &["ab", "d", "ade", "def", "abc"]);
}

#[test]
fn each_witness_counts_once_however_often_it_signs() {
    let policy = policy(&format!("{}group g 2 a b\nquorum g\n", witnesses(2)));
    let expected = CheckPolicyError::NoQuorum { cosignatures: 1 };
    assert_eq!(policy.check_quorum(&cosigned("aaa")), Err(expected));
}

#[test]
fn strangers_do_not_count_and_forgers_spoil_the_head() {
    let policy = policy(&format!("{}group g any a b\nquorum g\n", witnesses(2)));
    assert_eq!(policy.check_quorum(&cosigned("c")), Err(CheckPolicyError::NoQuorum { cosignatures: 0 }));
    let mut forged = cosigned("ab");
    forged.signatures[2].signature[9] ^= 1;
    let expected = NoteError::FalseSignature { name: witness(11).0 };
    assert_eq!(policy.check_quorum(&forged), Err(CheckPolicyError::Cosignature(expected)));
}

#[test]
fn a_head_must_be_of_a_log_in_the_policy() {
    let text = format!("log {} https://northshire.example\n{}quorum a\n", log_vkey(), witnesses(1));
    let ours = policy(&text);
    let (signed, counted) = ours.check(cosigned("a")).expect("it is signed and cosigned");
    assert_eq!((signed.checkpoint().size, counted.len()), (5, 1));
    assert_eq!(ours.logs()[0].url.as_deref(), Some("https://northshire.example"));
    assert_eq!(ours.check(cosigned("")), Err(CheckPolicyError::NoQuorum { cosignatures: 0 }));

    let none = policy(&format!("{}quorum a\n", witnesses(1)));
    assert_eq!(none.check(cosigned("a")), Err(CheckPolicyError::Log(None)));
    let same_name = Vkey::of(name(ORIGIN), brick_tlog::note::Algorithm::Ed25519, &key(9));
    let other = policy(&format!("log {same_name}\n{}quorum a\n", witnesses(1)));
    let err = OpenCheckpointError::Signature { origin: name(ORIGIN), err: NoteError::NoKnownSignature };
    assert_eq!(other.check(cosigned("a")), Err(CheckPolicyError::Log(Some(err))));
    // A log that changed its key may be listed with both.
    let both = policy(&format!("log {same_name}\nlog {}\n{}quorum a\n", log_vkey(), witnesses(1)));
    assert!(both.check(cosigned("a")).is_ok());
}

#[test]
fn comments_blanks_and_tabs_are_passed_over() {
    let spaced = format!(
        "# whom we trust\n\n \t\n\t# indented\nwitness \t a\t{}   https://a.example\t\n  group g  any\ta\nquorum\tg  \n",
        witness(10).2
    );
    let plain = format!("witness a {} https://a.example\ngroup g 1 a\nquorum g\n", witness(10).2);
    assert_eq!(policy(&spaced), policy(&plain));
    assert_eq!(policy(&spaced).to_string(), plain);
}

#[test]
fn broken_policies_are_refused_with_their_line() {
    let (log, a, b) = (log_vkey(), witness(10).2, witness(11).2);
    let as_log = Vkey::of(name("a.example"), brick_tlog::note::Algorithm::Ed25519, &key(10));
    let two = witnesses(2);
    let line = |line, problem| ParsePolicyError::Line { line, problem };
    let form = |form| LineProblem::Form { form };
    let group_form = || form("group <name> all|any|<k> <member>...");
    let taken = |name: &str| LineProblem::NameTaken { name: name.to_owned() };
    let unknown = |name: &str| LineProblem::UnknownName { name: name.to_owned() };
    let repeated = |name: &str| LineProblem::RepeatedMember { name: name.to_owned() };
    let threshold = |text: &str, members| LineProblem::Threshold { text: text.to_owned(), members };
    let keyword = |word: &str| LineProblem::Keyword { word: word.to_owned() };
    let text = |text: String| text.into_bytes();
    let table = [
        ("nothing", vec![], ParsePolicyError::NoQuorum),
        ("no quorum", text(two.clone()), ParsePolicyError::NoQuorum),
        ("an unfinished line", b"quorum none".to_vec(), ParsePolicyError::UnfinishedLine),
        ("another word", b"quorums none\n".to_vec(), line(1, keyword("quorums"))),
        ("capitals", b"Quorum none\n".to_vec(), line(1, keyword("Quorum"))),
        ("a no-break space", "quorum\u{a0}none\n".into(), line(1, keyword("quorum\u{a0}none"))),
        ("a carriage return", b"quorum none\r\n".to_vec(), line(1, LineProblem::ControlCharacter)),
        ("a delete character", b"# \x7f\nquorum none\n".to_vec(), line(1, LineProblem::ControlCharacter)),
        ("a comment after words", b"quorum none # all\n".to_vec(), line(1, form("quorum <name>|none"))),
        ("two quorums", b"quorum none\nquorum none\n".to_vec(), line(2, LineProblem::RepeatedQuorum)),
        ("an unknown quorum", b"quorum a\n".to_vec(), line(1, unknown("a"))),
        ("a quorum defined below", text(format!("quorum a\n{two}")), line(1, unknown("a"))),
        ("a log without key", b"log\n".to_vec(), line(1, form("log <vkey> [<url>]"))),
        ("a log with two addresses", text(format!("log {log} x y\n")), line(1, form("log <vkey> [<url>]"))),
        ("a broken key", b"log x\n".to_vec(), line(1, LineProblem::Key(VkeyError::Parts))),
        (
            "a witness key as a log's",
            text(format!("log {a}\n")),
            line(1, LineProblem::KeyType { role: "log" }),
        ),
        (
            "a log key as a witness's",
            text(format!("witness a {log}\n")),
            line(1, LineProblem::KeyType { role: "witness" }),
        ),
        (
            "a witness without name",
            text(format!("witness {a}\n")),
            line(1, form("witness <name> <vkey> [<url>]")),
        ),
        ("a log twice", text(format!("log {log}\nlog {log}\n")), line(2, LineProblem::RepeatedKey)),
        ("a witness key twice", text(format!("{two}witness c {a}\n")), line(3, LineProblem::RepeatedKey)),
        (
            "a key as log and witness",
            text(format!("log {as_log}\nwitness a {a}\n")),
            line(2, LineProblem::RepeatedKey),
        ),
        ("a witness name twice", text(format!("witness a {a}\nwitness a {b}\n")), line(2, taken("a"))),
        ("a witness named none", text(format!("witness none {a}\n")), line(1, taken("none"))),
        ("a group named as a witness", text(format!("{two}group a any b\n")), line(3, taken("a"))),
        ("a group named none", text(format!("{two}group none any b\n")), line(3, taken("none"))),
        ("a group without members", text(format!("{two}group g any\n")), line(3, group_form())),
        ("a group without threshold", text(format!("{two}group g\n")), line(3, group_form())),
        ("a group of itself", text(format!("{two}group g any g\n")), line(3, unknown("g"))),
        ("a group of none", text(format!("{two}group g any none\n")), line(3, unknown("none"))),
        ("a member defined below", b"group g any a\n".to_vec(), line(1, unknown("a"))),
        ("a member twice", text(format!("{two}group g any a a\n")), line(3, repeated("a"))),
        (
            "a member of two groups",
            text(format!("{two}group g any a\ngroup h any a b\n")),
            line(4, repeated("a")),
        ),
        ("a threshold of 0", text(format!("{two}group g 0 a b\n")), line(3, threshold("0", 2))),
        ("a threshold too high", text(format!("{two}group g 3 a b\n")), line(3, threshold("3", 2))),
        ("a threshold with a zero", text(format!("{two}group g 01 a b\n")), line(3, threshold("01", 2))),
        ("a threshold in words", text(format!("{two}group g both a b\n")), line(3, threshold("both", 2))),
        ("bytes that are not UTF-8", b"\xff\n".to_vec(), ParsePolicyError::NotUtf8),
        ("a byte too many", vec![b'#'; MAX_POLICY_BYTES + 1], ParsePolicyError::TooLong),
    ];
    check_refused(Policy::parse, table);
}

#[test]
fn a_policy_may_have_many_of_each_but_not_any_number() {
    let many = |count: usize| {
        let mut text = String::new();
        for at in 0..count {
            let mut seed = [0; 32];
            seed[..8].copy_from_slice(&at.to_le_bytes());
            let key = ed25519_dalek::SigningKey::from_bytes(&seed);
            let key = Vkey::of(name("w.example"), brick_tlog::note::Algorithm::CosignatureV1, &key);
            text += &format!("witness w{at} {key}\ngroup g{at} any w{at}\n");
        }
        text + "quorum none\n"
    };
    assert_eq!(policy(&many(100)).witnesses().len(), 100);
    let found = Policy::parse(many(MAX_POLICY_ITEMS + 1).as_bytes());
    let line = MAX_POLICY_ITEMS * 2 + 1;
    assert_eq!(found, Err(ParsePolicyError::Line { line, problem: LineProblem::TooMany }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_policy_is_read_as_it_was_written(count in 1u8..8, threshold in 1usize..8, nested: bool, log: bool) {
        let members: Vec<String> = (0..count).map(|at| char::from(b'a' + at).to_string()).collect();
        let threshold = threshold.min(members.len());
        let log = if log { format!("log {}\n", log_vkey()) } else { String::new() };
        let nested = if nested { "group outer 1 inner\nquorum outer\n" } else { "quorum inner\n" };
        let text = format!("{log}{}group inner {threshold} {}\n{nested}", witnesses(count), members.join(" "));
        let read = policy(&text);
        prop_assert_eq!(read.to_string(), text);
        prop_assert!(read.is_met(|_| true));
        prop_assert!(!read.is_met(|_| false));
    }

    #[test]
    fn what_is_accepted_is_written_as_the_same_policy(lines in prop::collection::vec("[ \t]?(log|witness|group|quorum|#)( (a|b|g|none|any|all|1|2))*", 0..8)) {
        let text = witnesses(2).replace("witness a", "witness a1") + &lines.join("\n") + "\n";
        if let Ok(policy) = Policy::parse(text.as_bytes()) {
            prop_assert_eq!(Policy::parse(policy.to_string().as_bytes()), Ok(policy));
        }
    }
}
