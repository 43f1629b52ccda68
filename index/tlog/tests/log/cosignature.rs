use brick_tlog::cosignature::{Cosignature, cosign, verify_cosignatures};
use brick_tlog::note::{Note, NoteError, SignatureLine, Vkey, verify_note};

use crate::support::{counting_key, log_vkey, name, signed_head, witness};

const TEXT: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

fn cosigned(seed: u8, note: &Note, time: u64) -> SignatureLine {
    let (name, key, _) = witness(seed);
    cosign(&note.text, &name, &key, time)
}

fn counted(key: usize, seed: u8, time: u64) -> Cosignature {
    Cosignature { key, name: witness(seed).0, time }
}

#[test]
fn the_cosignature_that_another_witness_accepts_is_made_and_holds() {
    let line = cosign(TEXT, &name("witness.example/w1"), &counting_key(), 1679315147);
    let published = "— witness.example/w1 519lMgAAAABkGFDLBuRDazBLVac2NE+Y+IjbjQOcXLfF9CSDZVUIoS83rE1nFZsVE8YiWV6Ngr7lV8H6bdoBQGP/l73euDMQ9k+bBQ==";
    assert_eq!(line.to_string(), published);
    let vkey = Vkey::parse("witness.example/w1+e75f6532+BAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4");
    let note = Note { text: TEXT.to_owned(), signatures: vec![line] };
    let found = verify_cosignatures(&note, &[vkey.expect("a published key")]);
    let name = name("witness.example/w1");
    assert_eq!(found, Ok(vec![Cosignature { key: 0, name, time: 1679315147 }]));
}

#[test]
fn each_witness_counts_once_with_its_newest_time() {
    let mut note = signed_head(9);
    for (seed, time) in [(11, 50), (12, 70), (11, 90), (11, 60), (13, 1)] {
        note.signatures.push(cosigned(seed, &note, time));
    }
    let witnesses = [witness(12).2, witness(11).2, witness(14).2];
    let expected = vec![counted(1, 11, 90), counted(0, 12, 70)];
    assert_eq!(verify_cosignatures(&note, &witnesses), Ok(expected));
    assert_eq!(verify_cosignatures(&note, &[witness(14).2]), Ok(vec![]));
    assert_eq!(verify_cosignatures(&note, &[]), Ok(vec![]));
}

#[test]
fn a_log_key_among_the_witnesses_is_passed_over_and_places_stay_right() {
    let mut note = signed_head(9);
    note.signatures.push(cosigned(11, &note, 50));
    let keys = [log_vkey(), witness(12).2, witness(11).2];
    assert_eq!(verify_cosignatures(&note, &keys), Ok(vec![counted(2, 11, 50)]));
    // Both kinds of line are checked together too.
    let lines = verify_note(&note, &keys).expect("both are known");
    assert_eq!(
        lines.iter().map(|line| (line.key, line.time)).collect::<Vec<_>>(),
        [(0, None), (2, Some(50))]
    );
}

#[test]
fn one_false_cosignature_of_a_known_witness_rejects_the_note() {
    let good = signed_head(9);
    let line = cosigned(11, &good, 50);
    let expected = Err(NoteError::FalseSignature { name: line.name.clone() });
    type Change = dyn Fn(&mut SignatureLine);
    let change = |change: &Change| {
        let mut note = good.clone();
        note.signatures.push(line.clone());
        let mut broken = line.clone();
        change(&mut broken);
        note.signatures.push(broken);
        note
    };
    let table: [(&str, &Change); 6] = [
        ("another time", &|line| line.signature[7] ^= 1),
        ("another signature", &|line| line.signature[20] ^= 1),
        ("no time", &|line| drop(line.signature.drain(..8))),
        ("a byte too few", &|line| line.signature.truncate(71)),
        ("a byte too many", &|line| line.signature.push(0)),
        ("a time alone", &|line| line.signature.truncate(8)),
    ];
    for (wrong, broken) in table {
        assert_eq!(verify_cosignatures(&change(broken), &[witness(11).2]), expected, "{wrong}");
        assert_eq!(verify_cosignatures(&change(broken), &[witness(12).2]), Ok(vec![]), "{wrong}, unknown");
    }
}

#[test]
fn a_cosignature_of_another_head_is_false() {
    let mut note = signed_head(9);
    note.signatures.push(cosigned(11, &signed_head(8), 50));
    let expected = Err(NoteError::FalseSignature { name: witness(11).0 });
    assert_eq!(verify_cosignatures(&note, &[witness(11).2]), expected);
}

#[test]
fn one_key_under_two_names_is_one_witness() {
    let (_, key, _) = witness(11);
    let names = [name("a.example"), name("b.example")];
    let keys = names.clone().map(|name| Vkey::of(name, brick_tlog::note::Algorithm::CosignatureV1, &key));
    let mut note = signed_head(9);
    for (name, time) in names.iter().zip([5, 6]) {
        note.signatures.push(cosign(&note.text, name, &key, time));
    }
    let found = verify_cosignatures(&note, &keys).expect("both hold");
    assert_eq!(found, [Cosignature { key: 0, name: names[0].clone(), time: 6 }]);
}

#[test]
fn the_largest_time_is_a_time() {
    let mut note = signed_head(1);
    note.signatures.push(cosigned(11, &note, u64::MAX));
    assert_eq!(verify_cosignatures(&note, &[witness(11).2]), Ok(vec![counted(0, 11, u64::MAX)]));
}
