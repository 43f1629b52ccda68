use brick_tlog::Hash;
use brick_tlog::checkpoint::{
    Checkpoint, MAX_TREE_SIZE, OpenCheckpointError, ParseCheckpointError, sign_checkpoint,
};
use brick_tlog::cosignature::{cosign, verify_cosignatures};
use brick_tlog::hash::ParseHashError;
use brick_tlog::note::{Algorithm, Note, NoteError, ParseNoteError, Vkey, sign_note};
use brick_tlog::tree::{MAX_PROOF_HASHES, ProofError};
use brick_tlog::witness::{
    AddCheckpoint, Cosigned, Decision, MAX_REQUEST_BYTES, ParseRequestError, Unconnected, decide,
    encode_response, encode_size, log_id, parse_response, parse_size,
};
use proptest::prelude::*;

use crate::support::{
    ORIGIN, check_one_spelling, check_refused, head, key, log_key, log_vkey, name, other_hash, signed_head,
    tree, witness,
};

fn request(old: u64, new: u64) -> AddCheckpoint {
    let proof = tree(new).prove_consistency(old, new).expect("it grew");
    AddCheckpoint::new(old, proof, signed_head(new)).expect("a request")
}

fn cosigned(size: u64) -> Cosigned {
    Cosigned { size, root: head(size).root }
}

fn with_proof(request: &AddCheckpoint, proof: Vec<Hash>) -> AddCheckpoint {
    AddCheckpoint::new(request.old(), proof, request.note().clone()).expect("a request")
}

fn signed(checkpoint: &Checkpoint) -> Note {
    sign_checkpoint(checkpoint, &log_key())
}

fn unconnected(err: ProofError) -> Decision {
    Decision::Unprocessable { err: Unconnected::Proof(err) }
}

#[test]
fn a_head_that_extends_the_last_one_is_cosigned() {
    for (old, new) in [(0, 0), (0, 1), (0, 9), (1, 9), (8, 9), (9, 9), (5, 300)] {
        let decision = decide(&request(old, new), Some(&log_vkey()), cosigned(old));
        assert_eq!(
            (decision.status(), &decision),
            (200, &Decision::Cosign { checkpoint: head(new) }),
            "{old} to {new}"
        );
    }
    assert_eq!(cosigned(0), Cosigned::NOTHING);
}

#[test]
fn refusals_are_those_of_the_specification_in_its_order() {
    let log = log_vkey();
    let good = request(5, 9);
    let signature = |err| OpenCheckpointError::Signature { origin: name(ORIGIN), err };
    let unsigned_by_log = {
        let line = sign_note(&good.note().text, &name(ORIGIN), &key(2));
        AddCheckpoint::new(
            5,
            good.proof().to_vec(),
            Note { text: good.note().text.clone(), signatures: vec![line] },
        )
        .expect("a request")
    };
    let forged = {
        let mut note = good.note().clone();
        note.signatures[0].signature[5] ^= 1;
        AddCheckpoint::new(5, good.proof().to_vec(), note).expect("a request")
    };
    let shrinking = AddCheckpoint::new(9, vec![], signed_head(5)).expect("a request");
    let forked = Checkpoint { root: other_hash(), ..head(9) };
    let forked_same_size = AddCheckpoint::new(9, vec![], signed(&forked)).expect("a request");
    let forked_larger = AddCheckpoint::new(5, good.proof().to_vec(), signed(&forked)).expect("a request");
    let root_of_nothing = Checkpoint { root: other_hash(), ..head(0) };
    let nothing = AddCheckpoint::new(0, vec![], signed(&root_of_nothing)).expect("a request");
    let mut broken = good.proof().to_vec();
    broken[1] = other_hash();
    let short = good.proof()[1..].to_vec();
    let (true_root, new_root) = (head(9).root, other_hash());
    let false_signature = NoteError::FalseSignature { name: name(ORIGIN) };

    let table = [
        ("an unknown origin", &good, None, cosigned(5), Decision::UnknownOrigin, 404),
        (
            "an unknown origin, and everything else wrong",
            &shrinking,
            None,
            cosigned(5),
            Decision::UnknownOrigin,
            404,
        ),
        (
            "another log's key",
            &unsigned_by_log,
            Some(&log),
            cosigned(5),
            Decision::Forbidden { err: signature(NoteError::NoKnownSignature) },
            403,
        ),
        (
            "a false line",
            &forged,
            Some(&log),
            cosigned(7),
            Decision::Forbidden { err: signature(false_signature) },
            403,
        ),
        ("old above new", &shrinking, Some(&log), cosigned(9), Decision::BadRequest { err: None }, 400),
        (
            "old above new, and not the last",
            &shrinking,
            Some(&log),
            cosigned(5),
            Decision::BadRequest { err: None },
            400,
        ),
        ("old below the last", &good, Some(&log), cosigned(7), Decision::Conflict { size: 7 }, 409),
        ("old above the last", &good, Some(&log), Cosigned::NOTHING, Decision::Conflict { size: 0 }, 409),
        (
            "no last, but a proof",
            &AddCheckpoint::new(0, good.proof().to_vec(), signed_head(9)).expect("a request"),
            Some(&log),
            Cosigned::NOTHING,
            unconnected(ProofError::WrongLength { hashes: good.proof().len() }),
            422,
        ),
        (
            "a wrong proof",
            &with_proof(&good, broken),
            Some(&log),
            cosigned(5),
            unconnected(ProofError::OtherRoot { root: true_root }),
            422,
        ),
        (
            "a short proof",
            &with_proof(&good, short),
            Some(&log),
            cosigned(5),
            unconnected(ProofError::WrongLength { hashes: good.proof().len() - 1 }),
            422,
        ),
        (
            "a second history",
            &forked_larger,
            Some(&log),
            cosigned(5),
            unconnected(ProofError::OtherRoot { root: new_root }),
            422,
        ),
        (
            "the same size and another root",
            &forked_same_size,
            Some(&log),
            cosigned(9),
            unconnected(ProofError::OtherRoot { root: new_root }),
            422,
        ),
        (
            "size 0 and another root",
            &nothing,
            Some(&log),
            Cosigned::NOTHING,
            Decision::Unprocessable { err: Unconnected::RootOfNothing },
            422,
        ),
    ];
    for (case, request, log, last, expected, status) in table {
        let decision = decide(request, log, last);
        assert_eq!((decision.status(), decision), (status, expected), "{case}");
    }
}

#[test]
fn a_key_that_is_not_that_logs_is_forbidden() {
    let (_, _, witness_key) = witness(3);
    assert_eq!(decide(&request(0, 3), Some(&witness_key), Cosigned::NOTHING).status(), 403);
    // The key of another log that signed this log's head under its own name.
    let other = name("other.example/log");
    let line = sign_note(&signed_head(3).text, &other, &key(2));
    let note = Note { text: signed_head(3).text, signatures: vec![line] };
    let request = AddCheckpoint::new(0, vec![], note).expect("a request");
    let other_key = Vkey::of(other.clone(), Algorithm::Ed25519, &key(2));
    let err = OpenCheckpointError::OtherOrigin { expected: other, found: name(ORIGIN) };
    assert_eq!(decide(&request, Some(&other_key), Cosigned::NOTHING), Decision::Forbidden { err });
}

#[test]
fn a_request_that_cannot_be_read_is_a_bad_request() {
    let err = AddCheckpoint::parse(b"").expect_err("nothing is no request");
    assert_eq!(Decision::from(err).status(), 400);
}

#[test]
fn broken_requests_are_refused_by_name() {
    let good = request(5, 9).to_string();
    let with = |old: &str, new: &str| good.replacen(old, new, 1).into_bytes();
    let first = request(5, 9).proof()[0].to_string();
    let hash_1 = || ParseRequestError::Hash { line: 1, err: ParseHashError::Base64 };
    let checkpoint = ParseRequestError::Checkpoint;
    let table = [
        ("nothing", b"".to_vec(), ParseRequestError::Old),
        ("no old size", with("old 5\n", ""), ParseRequestError::Old),
        ("another word", with("old 5", "new 5"), ParseRequestError::Old),
        ("a leading zero", with("old 5", "old 05"), ParseRequestError::Old),
        ("a size too large", with("old 5", &format!("old {}", MAX_TREE_SIZE + 1)), ParseRequestError::Old),
        ("a carriage return", with("old 5", "old 5\r"), ParseRequestError::Old),
        ("a hash too short", with(&first, &first[4..]), hash_1()),
        (
            "too many hashes",
            with(&first, format!("{first}\n").repeat(MAX_PROOF_HASHES).trim_end()),
            ParseRequestError::TooManyHashes,
        ),
        (
            "no empty line",
            with("\n\n", "\n"),
            ParseRequestError::Hash { line: 6, err: ParseHashError::Base64 },
        ),
        ("it ends early", b"old 5\n".to_vec(), ParseRequestError::NoCheckpoint),
        ("no note", b"old 5\n\nx\n".to_vec(), ParseRequestError::Note(ParseNoteError::NoSignaturePart)),
        (
            "a size in the checkpoint that is none",
            with("\n9\n", "\n09\n"),
            checkpoint(ParseCheckpointError::Size),
        ),
        ("an extension line", with("\n9\n", "\n9\n9\n"), checkpoint(ParseCheckpointError::ExtensionLines)),
        ("bytes that are not UTF-8", b"old 5\n\xff".to_vec(), ParseRequestError::NotUtf8),
        ("a byte too many", vec![b'a'; MAX_REQUEST_BYTES + 1], ParseRequestError::TooLong),
    ];
    check_refused(AddCheckpoint::parse, table);
    let many = vec![other_hash(); MAX_PROOF_HASHES + 1];
    assert_eq!(AddCheckpoint::new(5, many, signed_head(9)), Err(ParseRequestError::TooManyHashes));
    assert_eq!(AddCheckpoint::new(MAX_TREE_SIZE + 1, vec![], signed_head(9)), Err(ParseRequestError::Old));
}

#[test]
fn a_request_has_one_spelling() {
    for (old, new) in [(0, 3), (2, 3), (3, 3)] {
        let written = request(old, new).to_string();
        let read = AddCheckpoint::parse(written.as_bytes()).expect("as it was written");
        assert_eq!((read.origin(), read.old()), (&name(ORIGIN), old));
        check_one_spelling(written.as_bytes(), |bytes| {
            Some(AddCheckpoint::parse(bytes).ok()?.to_string().into_bytes())
        });
    }
}

#[test]
fn the_answer_is_the_cosignature_alone_and_it_holds_on_the_note() {
    let (witness_name, witness_key, vkey) = witness(4);
    let mut note = signed_head(9);
    let line = cosign(&note.text, &witness_name, &witness_key, 99);
    let body = encode_response(std::slice::from_ref(&line));
    assert_eq!(body, format!("{line}\n"));
    let lines = parse_response(body.as_bytes()).expect("as it was written");
    assert_eq!(lines, [line]);
    note.signatures.extend(lines);
    assert_eq!(verify_cosignatures(&note, &[vkey]).expect("it holds")[0].time, 99);
    check_one_spelling(body.as_bytes(), |bytes| {
        Some(encode_response(&parse_response(bytes).ok()?).into_bytes())
    });

    let signature_line = |line| ParseNoteError::SignatureLine { line };
    let table = [
        ("nothing", b"".to_vec(), ParseNoteError::NoSignatures),
        ("an empty line", b"\n".to_vec(), signature_line(1)),
        ("a whole note", note.to_bytes(), signature_line(1)),
        ("an empty line after it", format!("{body}\n").into(), signature_line(2)),
        ("an unfinished line", body.trim_end().into(), signature_line(1)),
        ("bytes that are not UTF-8", b"\xff".to_vec(), ParseNoteError::NotUtf8),
        ("too many lines", body.repeat(101).into(), ParseNoteError::TooManySignatures),
        ("too many bytes", vec![b'a'; 1_000_001], ParseNoteError::TooLong),
    ];
    check_refused(parse_response, table);
}

#[test]
fn the_size_in_a_refusal_is_one_number() {
    for size in [0, 1, 20_852_163, MAX_TREE_SIZE] {
        assert_eq!(parse_size(encode_size(size).as_bytes()), Some(size));
    }
    for wrong in ["", "\n", "5", "05\n", "5\n\n", " 5\n", "5 \n", "-5\n", "5\r\n", "1099511627777\n"] {
        assert_eq!(parse_size(wrong.as_bytes()), None, "{wrong:?}");
    }
    assert_eq!(parse_size(b"\xff\n"), None);
}

#[test]
fn a_log_is_served_under_a_name_that_is_a_plain_folder() {
    let id = log_id(&name("a/../b"));
    assert_eq!((id.len(), Hash::of("a/../b").to_hex()), (64, id));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_request_is_read_as_it_was_written(
        old in 0..=MAX_TREE_SIZE,
        proof in prop::collection::vec(any::<[u8; 32]>(), 0..=MAX_PROOF_HASHES),
    ) {
        let proof = proof.into_iter().map(Hash::from).collect();
        let request = AddCheckpoint::new(old, proof, signed_head(4)).expect("a request");
        prop_assert_eq!(AddCheckpoint::parse(request.to_string().as_bytes()), Ok(request));
    }

    #[test]
    fn only_true_extensions_are_cosigned(old in 0u64..40, new in 0u64..40, last in 0u64..40, flip in 0usize..8) {
        let mut proof = tree(40).prove_consistency(old.min(new), new).expect("it grew");
        if let Some(hash) = proof.get_mut(flip) {
            *hash = other_hash();
        }
        let flipped = flip < proof.len();
        let request = AddCheckpoint::new(old, proof, signed_head(new)).expect("a request");
        let decision = decide(&request, Some(&log_vkey()), cosigned(last));
        let expected = match () {
            () if old > new => 400,
            () if old != last => 409,
            () if flipped => 422,
            () => 200,
        };
        prop_assert_eq!(decision.status(), expected);
    }
}
