//! The edges of Ed25519, on which implementations are known to disagree.

use std::collections::BTreeMap;

use brick_tlog::note::{Algorithm, Vkey, VkeyError};
use ed25519_dalek::{Signature, Verifier, VerifyingKey};

use crate::support::{key, name, vector};

#[derive(serde::Deserialize)]
struct Edge {
    key: String,
    sig: String,
    msg: String,
    #[serde(default)]
    flags: Option<Vec<String>>,
}

fn edges() -> Option<Vec<Edge>> {
    let bytes = vector("ed25519/ed25519vectors.json")?;
    Some(serde_json::from_slice(&bytes).expect("the published form"))
}

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    hex::decode(hex).expect("hex").try_into().expect("the right length")
}

#[test]
fn plain_verify_accepts_exactly_the_signatures_that_go_and_openssl_accept() {
    let Some(edges) = edges() else { return };
    assert_eq!(edges.len(), 914);
    let accepted = edges.iter().filter(|edge| {
        let signature = Signature::from_bytes(&bytes(&edge.sig));
        VerifyingKey::from_bytes(&bytes(&edge.key))
            .is_ok_and(|key| key.verify(edge.msg.as_bytes(), &signature).is_ok())
    });
    assert_eq!(accepted.count(), 208);
}

#[test]
fn weak_and_non_canonical_keys_are_refused_and_all_others_are_not() {
    let Some(edges) = edges() else { return };
    let mut refused: BTreeMap<&str, usize> = BTreeMap::new();
    for edge in &edges {
        let has = |flag: &str| edge.flags.iter().flatten().any(|found| found == flag);
        let made = Vkey::new(name("edge.example"), Algorithm::Ed25519, &bytes(&edge.key));
        let found = match &made {
            Ok(_) => "accepted",
            Err(VkeyError::Weak { .. }) => "weak",
            Err(VkeyError::NonCanonical { .. }) => "non-canonical",
            Err(err) => panic!("{err}"),
        };
        // A key may be both; either reason is enough.
        let expected = has("low_order_A") || has("non_canonical_A");
        assert_eq!(made.is_err(), expected, "key {} was {found}", edge.key);
        *refused.entry(found).or_default() += 1;
    }
    assert_eq!(refused.keys().copied().collect::<Vec<_>>(), ["accepted", "non-canonical", "weak"]);
}

#[test]
fn bytes_that_are_no_point_are_no_key() {
    let none = (0..=255u8).map(|byte| [byte; 32]).find(|bytes| VerifyingKey::from_bytes(bytes).is_err());
    let none = none.expect("half of all byte strings are no point");
    let made = Vkey::new(name("edge.example"), Algorithm::Ed25519, &none);
    assert_eq!(made, Err(VkeyError::NotAPoint { name: name("edge.example") }));
    let good = key(1).verifying_key();
    assert!(Vkey::new(name("edge.example"), Algorithm::Ed25519, good.as_bytes()).is_ok());
}
